"""Rules with weights of their own: linear maps given by a matrix ``[target, source]``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.connect.base import Connection, Rows, Shape, WeightMap, check, check_count, elements, full_rows
from spikesim.errors import InvalidValueError
from spikesim.rng import Stream


@dataclass(frozen=True, eq=False, repr=False)
class Weighted(Connection):
    """Base of the rules with weights: linear maps given by a matrix ``[target, source]``."""

    @property
    def has_weights(self) -> bool:
        """Weights belong to the rule."""
        return True

    def matrix(self, pre: Shape, post: Shape) -> sparse.csr_array:
        """Return the map as a sparse matrix ``[target, source]``; explicit zeros are synapses."""
        raise NotImplementedError

    def shared(self) -> NDArray[np.float64] | None:
        """Return the numbers that occur among the weights where they are fewer than the synapses, else None.

        A deep network has more synapses than memory, but its kernels are small. Such rules know :meth:`fits` and
        :meth:`count` too, so they are lowered without being laid out.
        """
        return None

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        by_source = sparse.csr_array(self.matrix(pre, post).T)
        by_source.sort_indices()
        return Rows(
            by_source.indptr.astype(np.int64), by_source.indices.astype(np.int32), by_source.data.astype(np.float64)
        )


def _check_size(who: str, found: Shape, needed: Shape) -> None:
    check(found == needed, f"{who}: weights need the shape [targets, sources] = {list(needed)}, found {list(found)}")


def _finite(who: str, weights: Any) -> NDArray[np.float64]:
    try:
        array = np.array(weights, np.float64)  # a copy: a rule is a value
    except (TypeError, ValueError):
        raise InvalidValueError(f"{who}: weights must be an array of numbers, found {type(weights).__name__}") from None
    check(bool(np.isfinite(array).all()), f"{who}: weights must be finite, found NaN or infinity")
    return array


@dataclass(frozen=True, eq=False, repr=False)
class Dense(Weighted):
    """A full matrix.

    Parameters
    ----------
    weights
        float64 ``[targets, sources]``.
    """

    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        weights = _finite("Dense", self.weights)
        check(weights.ndim == 2, f"Dense: weights need the shape [targets, sources], found {list(weights.shape)}")
        object.__setattr__(self, "weights", weights)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        size = (elements(post), elements(pre))
        _check_size("Dense", self.weights.shape, size)
        return Rows(*full_rows(size[1], size[0]), np.ascontiguousarray(self.weights.T).reshape(-1))

    def matrix(self, pre: Shape, post: Shape) -> sparse.csr_array:
        """Return the map."""
        return sparse.csr_array(self.weights)

    def map_weights(self, change: WeightMap) -> Dense:
        """Return the rule with changed weights."""
        return replace(self, weights=change(self.weights))


@dataclass(frozen=True, eq=False, repr=False)
class Sparse(Weighted):
    """A sparse matrix.

    Parameters
    ----------
    weights
        Any ``scipy.sparse`` matrix ``[targets, sources]``; its explicit entries are the synapses.
    """

    weights: Any

    def __post_init__(self) -> None:
        check(
            sparse.issparse(self.weights),
            f"Sparse: weights must be a scipy.sparse matrix, found {type(self.weights).__name__}",
        )
        matrix = sparse.csr_array(self.weights, dtype=np.float64, copy=True)
        _finite("Sparse", matrix.data)
        matrix.sort_indices()
        object.__setattr__(self, "weights", matrix)

    def matrix(self, pre: Shape, post: Shape) -> sparse.csr_array:
        """Return the map."""
        size = (elements(post), elements(pre))
        _check_size("Sparse", self.weights.shape, size)
        return self.weights

    def map_weights(self, change: WeightMap) -> Sparse:
        """Return the rule with changed weights."""
        matrix = self.weights.copy()
        matrix.data = change(matrix.data)
        return replace(self, weights=matrix)


def _image(who: str, shape: Shape) -> tuple[int, int, int]:
    check(len(shape) == 3, f"{who} needs an input of shape (channels, height, width), found {shape}")
    return shape[0], shape[1], shape[2]


@dataclass(frozen=True, eq=False, repr=False)
class Conv2d(Weighted):
    """Two-dimensional cross-correlation, as in torch.

    Parameters
    ----------
    weights
        float64 ``[output channels, input channels, kernel height, kernel width]``.
    stride, padding
        Whole numbers, the same in both directions.
    """

    weights: NDArray[np.float64]
    stride: int = 1
    padding: int = 0

    def __post_init__(self) -> None:
        weights = _finite("Conv2d", self.weights)
        check(weights.ndim == 4, f"Conv2d: weights need four dimensions [out, in, height, width], found {weights.ndim}")
        check_count("Conv2d: stride", self.stride, 1)
        check_count("Conv2d: padding", self.padding)
        object.__setattr__(self, "weights", weights)

    def output_shape(self, pre: Shape) -> Shape:
        """Return the shape that an input shape leads to."""
        channels, *sides = _image("Conv2d", pre)
        known = self.weights.shape[1]
        check(channels == known, f"Conv2d: the weights are for {known} input channels, found {channels}")
        out = [
            (side + 2 * self.padding - k) // self.stride + 1
            for side, k in zip(sides, self.weights.shape[2:], strict=True)
        ]
        check(min(out) >= 1, f"Conv2d: kernel {self.weights.shape[2:]} is larger than the input {tuple(sides)}")
        return (self.weights.shape[0], *out)

    def fits(self, pre: Shape, post: Shape) -> bool:
        """Refuse shapes that do not lead from one to the other."""
        shape = self.output_shape(pre)
        check(elements(shape) == elements(post), f"Conv2d: the output has shape {shape}, the target {post}")
        return True

    def count(self, pre: Shape, post: Shape) -> int:
        """Return the number of synapses: pairs of a kernel entry and a position at which it meets the image."""
        met = int(self.weights.shape[0]) * int(self.weights.shape[1])
        for side, out, kernel in zip(pre[1:], self.output_shape(pre)[1:], self.weights.shape[2:], strict=True):
            at = np.arange(out)[:, None] * self.stride + np.arange(kernel) - self.padding
            met *= int(((at >= 0) & (at < side)).sum())
        return met

    def most_inputs(self, pre: Shape, post: Shape) -> int:
        """Return the kernel entries of an output channel."""
        return int(np.prod(self.weights.shape[1:]))

    def shared(self) -> NDArray[np.float64]:
        """Return the kernel."""
        return self.weights

    def matrix(self, pre: Shape, post: Shape) -> sparse.csr_array:
        """Return the map."""
        self.fits(pre, post)
        shape = self.output_shape(pre)
        c_out, c_in, height, width = self.weights.shape
        co, ci, ky, kx, oy, ox = np.meshgrid(
            *(np.arange(k) for k in (c_out, c_in, height, width, shape[1], shape[2])), indexing="ij", sparse=True
        )
        iy, ix = oy * self.stride + ky - self.padding, ox * self.stride + kx - self.padding
        inside = (iy >= 0) & (iy < pre[1]) & (ix >= 0) & (ix < pre[2]) & (co >= 0) & (ci >= 0)
        row = np.broadcast_to((co * shape[1] + oy) * shape[2] + ox, inside.shape)[inside]
        column = np.broadcast_to((ci * pre[1] + iy) * pre[2] + ix, inside.shape)[inside]
        values = np.broadcast_to(self.weights[:, :, :, :, None, None], inside.shape)[inside]
        return sparse.csr_array(sparse.coo_array((values, (row, column)), shape=(elements(shape), elements(pre))))

    def map_weights(self, change: WeightMap) -> Conv2d:
        """Return the rule with changed weights."""
        return replace(self, weights=change(self.weights))


@dataclass(frozen=True, eq=False, repr=False)
class Pool2d(Weighted):
    """Sum or average pooling over squares.

    Parameters
    ----------
    size
        Side of the square.
    stride
        ``size`` by default.
    kind
        ``"average"`` or ``"sum"``.
    """

    size: int
    stride: int | None = None
    kind: str = "average"

    def __post_init__(self) -> None:
        check_count("Pool2d: size", self.size, 1)
        if self.stride is not None:
            check_count("Pool2d: stride", self.stride, 1)
        check(self.kind in ("average", "sum"), f"Pool2d: kind must be 'average' or 'sum', found {self.kind!r}")

    def _conv(self, channels: int) -> Conv2d:
        value = 1.0 / self.size**2 if self.kind == "average" else 1.0
        weights = np.zeros((channels, channels, self.size, self.size))
        weights[np.arange(channels), np.arange(channels)] = value
        return Conv2d(weights, stride=self.stride or self.size)

    def output_shape(self, pre: Shape) -> Shape:
        """Return the shape that an input shape leads to."""
        return self._conv(_image("Pool2d", pre)[0]).output_shape(pre)

    def matrix(self, pre: Shape, post: Shape) -> sparse.csr_array:
        """Return the map."""
        matrix = self._conv(_image("Pool2d", pre)[0]).matrix(pre, post)
        matrix.eliminate_zeros()  # channels do not mix
        return matrix


@dataclass(frozen=True, eq=False, repr=False)
class Chain(Weighted):
    """Linear maps one after the other, without neurons between: for example a pool, then a convolution.

    Parameters
    ----------
    rules
        ``Dense``, ``Conv2d`` or ``Pool2d``, in the order of the signal.
    """

    rules: tuple[Any, ...]

    def __post_init__(self) -> None:
        check(len(self.rules) > 0, "Chain needs at least one rule")
        object.__setattr__(self, "rules", tuple(self.rules))

    def shapes(self, pre: Shape, post: Shape) -> list[Shape]:
        """Return the shape before each rule and after the last."""
        shapes = [pre]
        for rule in self.rules:
            known = hasattr(rule, "output_shape")
            shapes.append(rule.output_shape(shapes[-1]) if known else (rule.weights.shape[0],))
        check(elements(shapes[-1]) == elements(post), f"Chain: the output has shape {shapes[-1]}, the target {post}")
        return [*shapes[:-1], post]

    @property
    def _pooled(self) -> int | None:
        """Inputs of each pooled value, where all but the last rule are pools whose squares do not overlap."""
        *first, last = self.rules
        apart = all(isinstance(r, Pool2d) and (r.stride or r.size) >= r.size for r in first)
        return int(np.prod([r.size**2 for r in first])) if apart and isinstance(last, (Dense, Conv2d)) else None

    def fits(self, pre: Shape, post: Shape) -> bool:
        """Refuse shapes that do not lead from one to the other; False where only the rows tell the weights."""
        shapes = self.shapes(pre, post)
        if isinstance(self.rules[-1], Dense):
            _check_size("Dense", self.rules[-1].weights.shape, (elements(post), elements(shapes[-2])))
        return self._pooled is not None

    def count(self, pre: Shape, post: Shape) -> int | None:
        """Return the number of synapses, or None where only the rows tell it."""
        if self._pooled is None:
            return None
        last, here = self.rules[-1], self.shapes(pre, post)[-2]
        known = last.count(here, post) if isinstance(last, Conv2d) else last.weights.size
        return int(known) * self._pooled

    def most_inputs(self, pre: Shape, post: Shape) -> int | None:
        """Return what no target's number of synapses exceeds, or None where only the rows tell it."""
        return None if self._pooled is None else int(self.rules[-1].weights[0].size * self._pooled)

    def shared(self) -> NDArray[np.float64] | None:
        """Return the last rule's weights times the factors of the pools before it."""
        if self._pooled is None:
            return None
        weights: NDArray[np.float64] = self.rules[-1].weights
        for rule in self.rules[:-1]:
            weights = weights * (1.0 / rule.size**2) if rule.kind == "average" else weights
        return weights

    def matrix(self, pre: Shape, post: Shape) -> sparse.csr_array:
        """Return the map."""
        shapes = self.shapes(pre, post)
        maps = [r.matrix(*ends) for r, *ends in zip(self.rules, shapes, shapes[1:], strict=False)]
        product = _product(maps)
        if self._pooled is None or self.rules[-1].weights.all():
            return product
        last = self.rules[-1]  # a product of sparse matrices drops weights of 0, which are synapses too
        maps[-1] = sparse.csr_array(np.ones_like(last.weights)) if isinstance(last, Dense) else maps[-1]
        whole = _product([sparse.csr_array((np.ones_like(m.data), m.indices, m.indptr), m.shape) for m in maps])
        values = np.zeros(whole.nnz)
        values[np.searchsorted(_places(whole), _places(product))] = product.data
        return sparse.csr_array((values, whole.indices, whole.indptr), whole.shape)

    def map_weights(self, change: WeightMap) -> Chain:
        """Return the rule with changed weights."""
        return replace(self, rules=tuple(r.map_weights(change) for r in self.rules))


def _product(maps: list[sparse.csr_array]) -> sparse.csr_array:
    """Return the map that does all maps one after the other, its entries sorted."""
    product = maps[0]
    for following in maps[1:]:
        product = following @ product
    product = sparse.csr_array(product)
    product.sort_indices()
    return product


def _places(matrix: sparse.csr_array) -> NDArray[np.int64]:
    """Return a number for each entry that rises with row and column."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.asarray(row * matrix.shape[1] + matrix.indices, np.int64)
