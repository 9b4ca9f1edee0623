"""Rules between images: convolution and pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikesim.checks import integer, weights
from spikesim.connect.rule import ArrayRule, Pairs, Rule, Shape, check_sizes, from_entries
from spikesim.errors import InvalidValueError
from spikesim.rng import Stream

Indices: TypeAlias = NDArray[np.int64]


def _two(what: str, value: Any, low: int) -> tuple[int, int]:
    """Make a pair of integers, from one or two."""
    pair = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value, value)
    if len(pair) != 2:
        raise InvalidValueError(f"{what} is {value!r}; allowed are one or two integers")
    return integer(what, pair[0], low), integer(what, pair[1], low)


def _image(rule: Rule, pre_shape: Sequence[int] | None) -> tuple[int, int, int]:
    if pre_shape is None or len(pre_shape) != 3:
        raise InvalidValueError(
            f"{type(rule).__name__} needs senders of shape (channels, height, width); found "
            f"{None if pre_shape is None else tuple(pre_shape)}; give the sending population such a shape"
        )
    channels, height, width = (integer("shape of the senders", n, 1) for n in pre_shape)
    return channels, height, width


def _length(rule: Rule, size: int, kernel: int, stride: int, padding: int) -> int:
    """Positions of a kernel along one axis."""
    if size + 2 * padding < kernel:
        raise InvalidValueError(
            f"{type(rule).__name__} has a kernel of {kernel} along an axis of {size} with padding {padding}; the "
            "kernel must fit; lower it or pad more"
        )
    return (size + 2 * padding - kernel) // stride + 1


def _taps(size: int, kernel: int, stride: int, padding: int, length: int) -> tuple[Indices, Indices, Indices]:
    """Along one axis, all (input, output, kernel) positions that meet inside the image."""
    outputs, kernels = (a.ravel() for a in np.meshgrid(np.arange(length), np.arange(kernel), indexing="ij"))
    inputs = outputs * stride + kernels - padding
    inside = (inputs >= 0) & (inputs < size)
    return inputs[inside], outputs[inside], kernels[inside]


def _windows(
    image: tuple[int, int, int], out: Shape, kernel: Shape, stride: Shape, padding: Shape
) -> tuple[Indices, Indices, Indices]:
    """For one channel, all (input pixel, output pixel, kernel entry) that meet."""
    in_y, out_y, k_y = _taps(image[1], kernel[0], stride[0], padding[0], out[1])
    in_x, out_x, k_x = _taps(image[2], kernel[1], stride[1], padding[1], out[2])
    pixels = (in_y[:, None] * image[2] + in_x).ravel()
    targets = (out_y[:, None] * out[2] + out_x).ravel()
    return pixels, targets, (k_y[:, None] * kernel[1] + k_x).ravel()


def _check_image(rule: Rule, image: Shape, out: Shape, n_pre: int, n_post: int, post: Sequence[int] | None) -> None:
    check_sizes(n_pre, n_post)
    if math.prod(image) != n_pre:
        raise InvalidValueError(f"{type(rule).__name__}: senders of shape {image} are not {n_pre} neurons")
    if math.prod(out) != n_post or (post is not None and len(post) == 3 and tuple(post) != out):
        found = f"shape {tuple(post)}" if post is not None else f"{n_post} neurons"
        raise InvalidValueError(
            f"{type(rule).__name__} from senders of shape {image} needs receivers of shape {out}, which are "
            f"{math.prod(out)} neurons; found {found}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Conv2d(ArrayRule):
    """Two-dimensional cross-correlation, as in torch; every synapse is listed, weights are repeated.

    Parameters
    ----------
    weights
        float64[output channels, input channels, kernel height, kernel width].
    stride, padding
        One integer, or one for each axis. Padding is with zeros.

    Examples
    --------
    >>> Conv2d(np.ones((8, 2, 3, 3)), padding=1).output_shape((2, 10, 12))
    (8, 10, 12)
    """

    weights: NDArray[np.float64]
    stride: tuple[int, int] | int = 1
    padding: tuple[int, int] | int = 0

    def __post_init__(self) -> None:
        """Check the fields and copy the weights."""
        object.__setattr__(self, "weights", weights("Conv2d weights", self.weights, 4))
        object.__setattr__(self, "stride", _two("Conv2d stride", self.stride, 1))
        object.__setattr__(self, "padding", _two("Conv2d padding", self.padding, 0))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of the rule, by name."""
        return {"weights": self.weights}

    def output_shape(self, pre_shape: Sequence[int]) -> Shape:
        """Shape (channels, height, width) of the receiving population."""
        channels, height, width = _image(self, pre_shape)
        c_out, c_in, kernel_height, kernel_width = self.weights.shape
        if channels != c_in:
            raise InvalidValueError(f"Conv2d has weights for {c_in} input channels; the senders have {channels}")
        (sy, sx), (py, px) = _two("stride", self.stride, 1), _two("padding", self.padding, 0)
        return (
            c_out,
            _length(self, height, kernel_height, sy, py),
            _length(self, width, kernel_width, sx, px),
        )

    def pairs(
        self,
        n_pre: int,
        n_post: int,
        stream: Stream,
        pre_shape: Sequence[int] | None = None,
        post_shape: Sequence[int] | None = None,
    ) -> Pairs:
        """Make the synapses; see :meth:`spikesim.connect.rule.Rule.pairs`."""
        image = _image(self, pre_shape)
        out = self.output_shape(image)
        _check_image(self, image, out, n_pre, n_post, post_shape)
        c_out, c_in, *kernel = self.weights.shape
        stride, padding = _two("stride", self.stride, 1), _two("padding", self.padding, 0)
        pixels, targets, entries = _windows(image, out, tuple(kernel), stride, padding)
        pre = (np.arange(c_in)[None, :, None] * (image[1] * image[2]) + pixels).repeat(c_out, axis=0)
        post = (np.arange(c_out)[:, None, None] * (out[1] * out[2]) + targets).repeat(c_in, axis=1)
        values = self.weights.reshape(c_out, c_in, -1)[:, :, entries]
        return from_entries(pre.ravel(), post.ravel(), values.ravel())


@dataclass(frozen=True)
class Pool2d(Rule):
    """Sum or average over windows, channel by channel, as in torch (no padding, incomplete windows are dropped).

    Parameters
    ----------
    size
        Height and width of a window, or one integer for both.
    stride
        Distance of windows; None is their size.
    kind
        ``"sum"`` or ``"average"``.

    Examples
    --------
    >>> Pool2d(2).output_shape((8, 5, 6))
    (8, 2, 3)
    """

    size: tuple[int, int] | int
    stride: tuple[int, int] | int | None = None
    kind: str = "sum"

    def __post_init__(self) -> None:
        """Check the fields."""
        size = _two("Pool2d size", self.size, 1)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "stride", size if self.stride is None else _two("Pool2d stride", self.stride, 1))
        if self.kind not in ("sum", "average"):
            raise InvalidValueError(
                f"Pool2d kind is {self.kind!r}; allowed are 'sum' and 'average' (a maximum is not linear)"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain data of the rule; its own field ``kind`` is stored as ``pooling``."""
        return {"kind": "Pool2d", "size": self.size, "stride": self.stride, "pooling": self.kind}

    @classmethod
    def rebuild(cls, fields: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Rule:
        """Make the rule from what :meth:`to_dict` gave."""
        return cls(fields["size"], fields["stride"], fields["pooling"])

    def output_shape(self, pre_shape: Sequence[int]) -> Shape:
        """Shape (channels, height, width) of the receiving population."""
        channels, height, width = _image(self, pre_shape)
        (ky, kx), (sy, sx) = _two("size", self.size, 1), _two("stride", self.stride, 1)
        return channels, _length(self, height, ky, sy, 0), _length(self, width, kx, sx, 0)

    def pairs(
        self,
        n_pre: int,
        n_post: int,
        stream: Stream,
        pre_shape: Sequence[int] | None = None,
        post_shape: Sequence[int] | None = None,
    ) -> Pairs:
        """Make the synapses; see :meth:`spikesim.connect.rule.Rule.pairs`."""
        image = _image(self, pre_shape)
        out = self.output_shape(image)
        _check_image(self, image, out, n_pre, n_post, post_shape)
        size, stride = _two("size", self.size, 1), _two("stride", self.stride, 1)
        pixels, targets, _ = _windows(image, out, size, stride, (0, 0))
        channel = np.arange(image[0])[:, None]
        pre = (channel * (image[1] * image[2]) + pixels).ravel()
        post = (channel * (out[1] * out[2]) + targets).ravel()
        weight = 1.0 if self.kind == "sum" else 1.0 / math.prod(size)
        return from_entries(pre, post, np.full(pre.size, weight))
