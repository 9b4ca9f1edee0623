"""Other tools' convolutions and pools as connection rules; those that no rule expresses as sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.connect import Conv2d, Pool2d, Sparse, Weighted
from spikesim.errors import FileFormatError

Shape = tuple[int, ...]


def array(value: Any) -> NDArray[np.float64]:
    """Return an array or tensor as float64."""
    value = value.detach().cpu().double().numpy() if hasattr(value, "detach") else value
    return np.asarray(value, np.float64)


def pair(value: Any) -> tuple[int, int]:
    """Return (height, width) of one number or two."""
    numbers = np.asarray(value).reshape(-1)
    return int(numbers[0]), int(numbers[-1])


def paddings(value: Any, kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (top, bottom), (left, right) of a padding: one number, two, or ``"same"`` or ``"valid"``."""
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise FileFormatError(f"padding must be 'same', 'valid' or numbers, found {value!r}")
        total = [d * (k - 1) if value == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)
    first, second = pair(value)
    return (first, first), (second, second)


def conv_rule(node: Any, before: Shape) -> tuple[Weighted, Shape]:
    """Return the rule of a NIR Conv1d or Conv2d node, and the shape it leads to."""
    weight, one = array(node.weight), type(node).__name__ == "Conv1d"
    if one:
        weight, before = weight[:, :, None, :], (before[0], 1, *before[1:])
    if len(before) != 3:
        raise FileFormatError(f"a {type(node).__name__} needs an image (channels, ...), found the shape {before}")
    stride, dilation, groups = pair(node.stride), pair(node.dilation), int(np.asarray(node.groups))
    if one:
        stride, dilation = (1, stride[1]), (1, dilation[1])
    padding = paddings(node.padding, (weight.shape[2], weight.shape[3]), dilation)
    if not one:
        return any_conv(weight, before, stride, padding, dilation, groups)
    matrix, shape = conv_matrix(weight, before, stride, ((0, 0), padding[1]), dilation, groups)
    return Sparse(matrix), (shape[0], shape[2])


def any_conv(
    weight: NDArray[np.float64],
    before: Shape,
    stride: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
    dilation: tuple[int, int],
    groups: int,
) -> tuple[Weighted, Shape]:
    """Return the rule of any two-dimensional cross-correlation, and the shape it leads to."""
    if stride[0] == stride[1] and dilation == (1, 1) and groups == 1 and len({*padding[0], *padding[1]}) == 1:
        rule = Conv2d(weight, stride=stride[0], padding=padding[0][0])
        return rule, rule.output_shape(before)
    matrix, shape = conv_matrix(weight, before, stride, padding, dilation, groups)
    return Sparse(matrix), shape


def pool_rule(node: Any, before: Shape, kind: str = "") -> tuple[Weighted, Shape]:
    """Return the rule of a SumPool2d or AvgPool2d node (or of what has their fields), and the shape it leads to."""
    if len(before) != 3:
        raise FileFormatError(
            f"a {type(node).__name__} needs an image (channels, height, width), found the shape {before}"
        )
    size, stride, padding = pair(node.kernel_size), pair(node.stride), pair(node.padding)
    kind = kind or ("average" if type(node).__name__ == "AvgPool2d" else "sum")
    if size[0] == size[1] and stride[0] == stride[1] and padding == (0, 0):
        rule = Pool2d(size[0], stride=stride[0], kind=kind)
        return rule, rule.output_shape(before)
    value = 1.0 / (size[0] * size[1]) if kind == "average" else 1.0
    weight = np.full((before[0], 1, *size), value)
    around = ((padding[0], padding[0]), (padding[1], padding[1]))
    matrix, shape = conv_matrix(weight, before, stride, around, (1, 1), before[0])
    return Sparse(matrix), shape


def conv_matrix(
    weight: NDArray[np.float64],
    before: Shape,
    stride: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
    dilation: tuple[int, int],
    groups: int,
) -> tuple[sparse.csr_array, tuple[int, int, int]]:
    """Return any two-dimensional cross-correlation as a matrix ``[targets, sources]``, and the shape it leads to."""
    c_out, c_in, *kernel = weight.shape
    if before[0] != c_in * groups:
        raise FileFormatError(f"a convolution for {c_in * groups} channels is given {before[0]}")
    sides = [(before[k + 1] + sum(padding[k]) - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1 for k in (0, 1)]
    if min(sides) < 1:
        raise FileFormatError(f"a kernel of {kernel} is larger than its input {before[1:]}")
    co, ci, ky, kx, oy, ox = np.meshgrid(
        *(np.arange(k) for k in (c_out, c_in, *kernel, *sides)), indexing="ij", sparse=True
    )
    iy = oy * stride[0] + ky * dilation[0] - padding[0][0]
    ix = ox * stride[1] + kx * dilation[1] - padding[1][0]
    channel = ci + co // (c_out // groups) * c_in
    inside = (iy >= 0) & (iy < before[1]) & (ix >= 0) & (ix < before[2]) & (channel >= 0)
    row = np.broadcast_to((co * sides[0] + oy) * sides[1] + ox, inside.shape)[inside]
    column = np.broadcast_to((channel * before[1] + iy) * before[2] + ix, inside.shape)[inside]
    values = np.broadcast_to(weight[:, :, :, :, None, None], inside.shape)[inside]
    size = (c_out * sides[0] * sides[1], int(np.prod(before)))
    return sparse.csr_array(sparse.coo_array((values, (row, column)), shape=size)), (c_out, sides[0], sides[1])
