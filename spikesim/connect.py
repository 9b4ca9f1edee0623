"""Connection rules: who is connected to whom. A rule is a value; it is drawn when the network is lowered.

Rules give rows by source: ``indices[indptr[i] : indptr[i + 1]]`` are the targets of source ``i``, sorted. Shapes are
``(channels, height, width)``; elements are numbered in C order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.errors import InvalidValueError
from spikesim.partners import chosen, distinct
from spikesim.rng import Stream
from spikesim.value import Value

Shape = tuple[int, ...]
WeightMap = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Rows(NamedTuple):
    """Synapses sorted by source, then target; ``weights`` is None where the rule has none of its own."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Connection(Value):
    """Base of all rules."""

    @property
    def has_weights(self) -> bool:
        """Whether the rule brings weights of its own."""
        return False

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses between a source and a target of given shapes."""
        raise NotImplementedError

    def map_weights(self, change: WeightMap) -> Connection:
        """Return the rule with its weights changed, element by element."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_brief(f.name, getattr(self, f.name)) for f in fields(self))})"


def _brief(name: str, value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{name}=<{' x '.join(map(str, shape))}>" if shape else f"{name}={value!r}"


def _size(shape: Shape) -> int:
    return int(np.prod(shape))


def _check(condition: bool, sentence: str) -> None:
    if not condition:
        raise InvalidValueError(sentence)


def _count(what: str, value: Any, low: int = 0) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    _check(whole and value >= low, f"{what} must be a whole number of at least {low}, found {value!r}")


def _probability(what: str, value: Any) -> None:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    _check(number and 0.0 <= value <= 1.0, f"{what} must be from 0 to 1, found {value!r}")


def _full_rows(n_pre: int, n_post: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    return np.arange(n_pre + 1, dtype=np.int64) * n_post, np.tile(np.arange(n_post, dtype=np.int32), n_pre)


# ------------------------------------------------------------------------------------------------ rules without weights
@dataclass(frozen=True, eq=False, repr=False)
class AllToAll(Connection):
    """Every source to every target."""

    autapses: bool = True

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        indptr, indices = _full_rows(_size(pre), _size(post))
        if self.autapses:
            return Rows(indptr, indices)
        _check(_size(pre) == _size(post), f"autapses=False needs equal sizes, found {_size(pre)} and {_size(post)}")
        n = _size(pre)
        keep = indices != np.repeat(np.arange(n), n)
        return Rows(np.arange(n + 1, dtype=np.int64) * (n - 1), indices[keep])


@dataclass(frozen=True, eq=False, repr=False)
class OneToOne(Connection):
    """Source ``i`` to target ``i``."""

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        _check(_size(pre) == _size(post), f"OneToOne needs equal sizes, found {_size(pre)} and {_size(post)}")
        n = _size(pre)
        return Rows(np.arange(n + 1, dtype=np.int64), np.arange(n, dtype=np.int32))


@dataclass(frozen=True, eq=False, repr=False)
class FixedProbability(Connection):
    """Each pair with probability ``p``, independently.

    Parameters
    ----------
    p
        0 to 1.
    autapses
        Whether a neuron may connect to itself (sizes must be equal for False).
    """

    p: float
    autapses: bool = True

    def __post_init__(self) -> None:
        _probability("FixedProbability: p", self.p)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        n_pre, n_post = _size(pre), _size(post)
        if self.p == 1.0:
            return AllToAll(self.autapses).rows(pre, post, stream)
        pairs = chosen(n_pre * n_post, self.p, stream)
        source, target = np.divmod(pairs, n_post)
        if not self.autapses:
            _check(n_pre == n_post, f"autapses=False needs equal sizes, found {n_pre} and {n_post}")
            keep = source != target
            source, target = source[keep], target[keep]
        return Rows(_indptr(source, n_pre), target.astype(np.int32))


def _indptr(source: NDArray[np.int64], n_pre: int) -> NDArray[np.int64]:
    indptr = np.zeros(n_pre + 1, np.int64)
    np.cumsum(np.bincount(source, minlength=n_pre), out=indptr[1:])
    return indptr


@dataclass(frozen=True, eq=False, repr=False)
class FixedIndegree(Connection):
    """Each target draws ``k`` sources.

    Parameters
    ----------
    k
        Synapses per target.
    multapses
        Whether a source may be drawn more than once.
    autapses
        Whether a neuron may draw itself.
    """

    k: int
    multapses: bool = True
    autapses: bool = True

    def __post_init__(self) -> None:
        _count("FixedIndegree: k", self.k)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        by_target = _draw_partners(_size(post), _size(pre), self.k, self.multapses, self.autapses, stream)
        return _sort_by_source(by_target, self.k, _size(pre))


@dataclass(frozen=True, eq=False, repr=False)
class FixedOutdegree(Connection):
    """Each source draws ``k`` targets; see :class:`FixedIndegree`."""

    k: int
    multapses: bool = True
    autapses: bool = True

    def __post_init__(self) -> None:
        _count("FixedOutdegree: k", self.k)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        n_pre = _size(pre)
        targets = _draw_partners(n_pre, _size(post), self.k, self.multapses, self.autapses, stream)
        rows = np.sort(targets.reshape(n_pre, self.k), axis=1).reshape(-1)
        return Rows(np.arange(n_pre + 1, dtype=np.int64) * self.k, rows)


def _draw_partners(n: int, others: int, k: int, multapses: bool, autapses: bool, stream: Stream) -> NDArray[np.int32]:
    """Return ``k`` partners for each of ``n`` neurons, int32 ``[n * k]``."""
    room = others - (0 if autapses else 1)
    _check(k == 0 or room > 0, f"cannot draw {k} partners among {others}")
    _check(multapses or k <= room, f"cannot draw {k} different partners among {room}; allow multapses or draw fewer")
    if not autapses:
        _check(n == others, f"autapses=False needs equal sizes, found {n} and {others}")
    if k == 0:
        return np.zeros(0, np.int32)
    if multapses:
        partners = stream.integers(n * k, room).reshape(n, k)
    else:
        partners = (distinct(k, room, stream, n) % room).reshape(n, k)
    if not autapses:
        partners += partners >= np.arange(n)[:, None]
    return partners.astype(np.int32).reshape(-1)


def _sort_by_source(sources: NDArray[np.int32], k: int, n_pre: int) -> Rows:
    """Turn the sources of targets 0, 0, .., 1, 1, .. into rows by source: a counting sort, stable in the target."""
    from spikesim.connect_kernels import counting_sort

    indptr = np.zeros(n_pre + 1, np.int64)
    np.cumsum(np.bincount(sources, minlength=n_pre), out=indptr[1:])
    return Rows(indptr, counting_sort(sources, k, indptr))


@dataclass(frozen=True, eq=False, repr=False)
class FixedTotalNumber(Connection):
    """So many synapses in all, each between a random source and a random target (with replacement)."""

    n: int

    def __post_init__(self) -> None:
        _count("FixedTotalNumber: n", self.n)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        n_pre, n_post = _size(pre), _size(post)
        source = stream.integers(self.n, n_pre)
        target = stream.integers(self.n, n_post, step=1)
        pairs = np.sort(source * n_post + target)
        return Rows(_indptr(pairs // n_post, n_pre), (pairs % n_post).astype(np.int32))


@dataclass(frozen=True, eq=False, repr=False)
class SmallWorld(Connection):
    """Directed Watts-Strogatz ring: each source to its ``k`` nearest neighbours, each synapse rewired with ``p``.

    A rewired synapse goes to a random target that the source does not have yet, and never to the source itself.

    Parameters
    ----------
    k
        Even number of neighbours.
    p
        Probability of a random target instead.
    """

    k: int
    p: float

    def __post_init__(self) -> None:
        _count("SmallWorld: k", self.k)
        _check(self.k % 2 == 0, f"SmallWorld: k must be even, found {self.k}")
        _probability("SmallWorld: p", self.p)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        n = _size(pre)
        _check(n == _size(post), f"SmallWorld needs equal sizes, found {n} and {_size(post)}")
        _check(self.k < n, f"SmallWorld: k must be below the number of neurons {n}, found {self.k}")
        near = np.concatenate([np.arange(-self.k // 2, 0), np.arange(1, self.k // 2 + 1)])
        source = np.repeat(np.arange(n), self.k)
        target = (np.arange(n)[:, None] + near).reshape(-1) % n
        stay = ~stream.child("rewire").bernoulli(n * self.k, self.p)
        source, target = source[stay], target[stay]
        ring = np.sort(source * (n - 1) + target - (target > source))  # targets numbered without the source itself
        targets = distinct(self.k, n - 1, stream, n, keep=ring) % max(n - 1, 1)
        targets += targets >= np.repeat(np.arange(n), self.k)
        return Rows(np.arange(n + 1, dtype=np.int64) * self.k, targets.astype(np.int32))


# ------------------------------------------------------------------------------------------------ rules with weights
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

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        by_source = sparse.csr_array(self.matrix(pre, post).T)
        by_source.sort_indices()
        return Rows(
            by_source.indptr.astype(np.int64), by_source.indices.astype(np.int32), by_source.data.astype(np.float64)
        )


def _check_size(who: str, found: Shape, needed: Shape) -> None:
    _check(found == needed, f"{who}: weights need the shape [targets, sources] = {list(needed)}, found {list(found)}")


def _finite(who: str, weights: Any) -> NDArray[np.float64]:
    try:
        array = np.array(weights, np.float64)  # a copy: a rule is a value
    except (TypeError, ValueError):
        raise InvalidValueError(f"{who}: weights must be an array of numbers, found {type(weights).__name__}") from None
    _check(bool(np.isfinite(array).all()), f"{who}: weights must be finite, found NaN or infinity")
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
        _check(weights.ndim == 2, f"Dense: weights need the shape [targets, sources], found {list(weights.shape)}")
        object.__setattr__(self, "weights", weights)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        size = (_size(post), _size(pre))
        _check_size("Dense", self.weights.shape, size)
        return Rows(*_full_rows(size[1], size[0]), np.ascontiguousarray(self.weights.T).reshape(-1))

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
        _check(
            sparse.issparse(self.weights),
            f"Sparse: weights must be a scipy.sparse matrix, found {type(self.weights).__name__}",
        )
        matrix = sparse.csr_array(self.weights, dtype=np.float64, copy=True)
        _finite("Sparse", matrix.data)
        matrix.sort_indices()
        object.__setattr__(self, "weights", matrix)

    def matrix(self, pre: Shape, post: Shape) -> sparse.csr_array:
        """Return the map."""
        size = (_size(post), _size(pre))
        _check_size("Sparse", self.weights.shape, size)
        return self.weights

    def map_weights(self, change: WeightMap) -> Sparse:
        """Return the rule with changed weights."""
        matrix = self.weights.copy()
        matrix.data = change(matrix.data)
        return replace(self, weights=matrix)


def _image(who: str, shape: Shape) -> tuple[int, int, int]:
    _check(len(shape) == 3, f"{who} needs an input of shape (channels, height, width), found {shape}")
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
        _check(
            weights.ndim == 4, f"Conv2d: weights need four dimensions [out, in, height, width], found {weights.ndim}"
        )
        _count("Conv2d: stride", self.stride, 1)
        _count("Conv2d: padding", self.padding)
        object.__setattr__(self, "weights", weights)

    def output_shape(self, pre: Shape) -> Shape:
        """Return the shape that an input shape leads to."""
        channels, *sides = _image("Conv2d", pre)
        known = self.weights.shape[1]
        _check(channels == known, f"Conv2d: the weights are for {known} input channels, found {channels}")
        out = [
            (side + 2 * self.padding - k) // self.stride + 1
            for side, k in zip(sides, self.weights.shape[2:], strict=True)
        ]
        _check(min(out) >= 1, f"Conv2d: kernel {self.weights.shape[2:]} is larger than the input {tuple(sides)}")
        return (self.weights.shape[0], *out)

    def matrix(self, pre: Shape, post: Shape) -> sparse.csr_array:
        """Return the map."""
        shape = self.output_shape(pre)
        _check(_size(shape) == _size(post), f"Conv2d: the output has shape {shape}, the target {post}")
        c_out, c_in, height, width = self.weights.shape
        co, ci, ky, kx, oy, ox = np.meshgrid(
            *(np.arange(k) for k in (c_out, c_in, height, width, shape[1], shape[2])), indexing="ij", sparse=True
        )
        iy, ix = oy * self.stride + ky - self.padding, ox * self.stride + kx - self.padding
        inside = (iy >= 0) & (iy < pre[1]) & (ix >= 0) & (ix < pre[2]) & (co >= 0) & (ci >= 0)
        row = np.broadcast_to((co * shape[1] + oy) * shape[2] + ox, inside.shape)[inside]
        column = np.broadcast_to((ci * pre[1] + iy) * pre[2] + ix, inside.shape)[inside]
        values = np.broadcast_to(self.weights[:, :, :, :, None, None], inside.shape)[inside]
        return sparse.csr_array(sparse.coo_array((values, (row, column)), shape=(_size(shape), _size(pre))))

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
        _count("Pool2d: size", self.size, 1)
        if self.stride is not None:
            _count("Pool2d: stride", self.stride, 1)
        _check(self.kind in ("average", "sum"), f"Pool2d: kind must be 'average' or 'sum', found {self.kind!r}")

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
        _check(len(self.rules) > 0, "Chain needs at least one rule")
        object.__setattr__(self, "rules", tuple(self.rules))

    def shapes(self, pre: Shape, post: Shape) -> list[Shape]:
        """Return the shape before each rule and after the last."""
        shapes = [pre]
        for rule in self.rules:
            known = hasattr(rule, "output_shape")
            shapes.append(rule.output_shape(shapes[-1]) if known else (rule.weights.shape[0],))
        _check(_size(shapes[-1]) == _size(post), f"Chain: the output has shape {shapes[-1]}, the target {post}")
        return [*shapes[:-1], post]

    def matrix(self, pre: Shape, post: Shape) -> sparse.csr_array:
        """Return the map."""
        shapes = self.shapes(pre, post)
        product = self.rules[0].matrix(shapes[0], shapes[1])
        for rule, before, after in zip(self.rules[1:], shapes[1:], shapes[2:], strict=False):
            product = rule.matrix(before, after) @ product
        return sparse.csr_array(product)

    def map_weights(self, change: WeightMap) -> Chain:
        """Return the rule with changed weights."""
        return replace(self, rules=tuple(r.map_weights(change) for r in self.rules))


CONNECTIONS: dict[str, type[Connection]] = {
    c.__name__: c
    for c in (
        AllToAll,
        OneToOne,
        FixedProbability,
        FixedIndegree,
        FixedOutdegree,
        FixedTotalNumber,
        SmallWorld,
        Dense,
        Sparse,
        Conv2d,
        Pool2d,
        Chain,
    )
}
