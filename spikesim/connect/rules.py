"""Rules that say who is connected to whom; the weights come from the projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.connect.base import (
    Connection,
    Rows,
    Shape,
    check,
    check_count,
    check_equal_sizes,
    check_probability,
    elements,
    full_rows,
)
from spikesim.connect.partners import chosen, distinct
from spikesim.rng import Stream


@dataclass(frozen=True, eq=False, repr=False)
class AllToAll(Connection):
    """Every source to every target."""

    autapses: bool = True

    def fits(self, pre: Shape, post: Shape) -> bool:
        """Refuse different sizes without autapses."""
        _check_autapses(self.autapses, pre, post)
        return True

    def count(self, pre: Shape, post: Shape) -> int:
        """Return the number of synapses."""
        return elements(pre) * (elements(post) - (not self.autapses))

    def most_inputs(self, pre: Shape, post: Shape) -> int:
        """Return the synapses per target."""
        return elements(pre) - (not self.autapses)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        self.fits(pre, post)
        indptr, indices = full_rows(elements(pre), elements(post))
        if self.autapses:
            return Rows(indptr, indices)
        n = elements(pre)
        keep = indices != np.repeat(np.arange(n), n)
        return Rows(np.arange(n + 1, dtype=np.int64) * (n - 1), indices[keep])


def _check_autapses(autapses: bool, pre: Shape, post: Shape) -> None:
    if not autapses:
        check_equal_sizes("autapses=False", pre, post)


@dataclass(frozen=True, eq=False, repr=False)
class OneToOne(Connection):
    """Source ``i`` to target ``i``."""

    def fits(self, pre: Shape, post: Shape) -> bool:
        """Refuse different sizes."""
        check_equal_sizes("OneToOne", pre, post)
        return True

    def count(self, pre: Shape, post: Shape) -> int:
        """Return the number of synapses."""
        return elements(pre)

    def most_inputs(self, pre: Shape, post: Shape) -> int:
        """Return the synapses per target."""
        return 1

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        self.fits(pre, post)
        n = elements(pre)
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
        check_probability("FixedProbability: p", self.p)

    def fits(self, pre: Shape, post: Shape) -> bool:
        """Refuse different sizes without autapses."""
        _check_autapses(self.autapses, pre, post)
        return True

    def count(self, pre: Shape, post: Shape) -> int | None:
        """Return the number of synapses, if the probability leaves no choice."""
        if self.p in (0.0, 1.0):
            return int(self.p) * AllToAll(self.autapses).count(pre, post)
        return None

    def most_inputs(self, pre: Shape, post: Shape) -> int:
        """Return the number of sources: none is drawn twice."""
        return elements(pre)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        self.fits(pre, post)
        n_pre, n_post = elements(pre), elements(post)
        if self.p == 1.0:
            return AllToAll(self.autapses).rows(pre, post, stream)
        pairs = chosen(n_pre * n_post, self.p, stream)
        source, target = np.divmod(pairs, n_post)
        if not self.autapses:
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
        check_count("FixedIndegree: k", self.k)

    def fits(self, pre: Shape, post: Shape) -> bool:
        """Refuse too few sources, and different sizes without autapses."""
        return _check_partners(elements(post), elements(pre), self.k, self.multapses, self.autapses)

    def count(self, pre: Shape, post: Shape) -> int:
        """Return the number of synapses."""
        return elements(post) * self.k

    def most_inputs(self, pre: Shape, post: Shape) -> int:
        """Return the synapses per target."""
        return self.k

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        by_target = _draw_partners(elements(post), elements(pre), self.k, self.multapses, self.autapses, stream)
        return _sort_by_source(by_target, self.k, elements(pre))


@dataclass(frozen=True, eq=False, repr=False)
class FixedOutdegree(Connection):
    """Each source draws ``k`` targets; see :class:`FixedIndegree`."""

    k: int
    multapses: bool = True
    autapses: bool = True

    def __post_init__(self) -> None:
        check_count("FixedOutdegree: k", self.k)

    def fits(self, pre: Shape, post: Shape) -> bool:
        """Refuse too few targets, and different sizes without autapses."""
        return _check_partners(elements(pre), elements(post), self.k, self.multapses, self.autapses)

    def count(self, pre: Shape, post: Shape) -> int:
        """Return the number of synapses."""
        return elements(pre) * self.k

    def most_inputs(self, pre: Shape, post: Shape) -> int:
        """Return what no target exceeds: every source takes part with all its synapses, or with one."""
        return elements(pre) * (self.k if self.multapses else 1)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        n_pre = elements(pre)
        targets = _draw_partners(n_pre, elements(post), self.k, self.multapses, self.autapses, stream)
        rows = np.sort(targets.reshape(n_pre, self.k), axis=1).reshape(-1)
        return Rows(np.arange(n_pre + 1, dtype=np.int64) * self.k, rows)


def _check_partners(n: int, others: int, k: int, multapses: bool, autapses: bool) -> bool:
    room = others - (0 if autapses else 1)
    check(k == 0 or room > 0, f"cannot draw {k} partners among {others}")
    check(multapses or k <= room, f"cannot draw {k} different partners among {room}; allow multapses or draw fewer")
    _check_autapses(autapses, (n,), (others,))
    return True


def _draw_partners(n: int, others: int, k: int, multapses: bool, autapses: bool, stream: Stream) -> NDArray[np.int32]:
    """Return ``k`` partners for each of ``n`` neurons, int32 ``[n * k]``."""
    _check_partners(n, others, k, multapses, autapses)
    room = others - (0 if autapses else 1)
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
    from spikesim.connect.kernels import counting_sort

    indptr = np.zeros(n_pre + 1, np.int64)
    np.cumsum(np.bincount(sources, minlength=n_pre), out=indptr[1:])
    return Rows(indptr, counting_sort(sources, k, indptr))


@dataclass(frozen=True, eq=False, repr=False)
class FixedTotalNumber(Connection):
    """So many synapses in all, each between a random source and a random target (with replacement)."""

    n: int

    def __post_init__(self) -> None:
        check_count("FixedTotalNumber: n", self.n)

    def fits(self, pre: Shape, post: Shape) -> bool:
        """Accept all shapes."""
        return True

    def count(self, pre: Shape, post: Shape) -> int:
        """Return the number of synapses."""
        return self.n

    def most_inputs(self, pre: Shape, post: Shape) -> int:
        """Return the number of synapses: a target might draw them all."""
        return self.n

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        n_pre, n_post = elements(pre), elements(post)
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
        check_count("SmallWorld: k", self.k)
        check(self.k % 2 == 0, f"SmallWorld: k must be even, found {self.k}")
        check_probability("SmallWorld: p", self.p)

    def fits(self, pre: Shape, post: Shape) -> bool:
        """Refuse different sizes, and fewer neurons than neighbours."""
        check_equal_sizes("SmallWorld", pre, post)
        n = elements(pre)
        check(self.k < n, f"SmallWorld: k must be below the number of neurons {n}, found {self.k}")
        return True

    def count(self, pre: Shape, post: Shape) -> int:
        """Return the number of synapses."""
        return elements(pre) * self.k

    def most_inputs(self, pre: Shape, post: Shape) -> int:
        """Return the number of sources: none has a target twice."""
        return elements(pre)

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses."""
        self.fits(pre, post)
        n = elements(pre)
        near = np.concatenate([np.arange(-self.k // 2, 0), np.arange(1, self.k // 2 + 1)])
        source = np.repeat(np.arange(n), self.k)
        target = (np.arange(n)[:, None] + near).reshape(-1) % n
        stay = ~stream.child("rewire").bernoulli(n * self.k, self.p)
        source, target = source[stay], target[stay]
        ring = np.sort(source * (n - 1) + target - (target > source))  # targets numbered without the source itself
        targets = distinct(self.k, n - 1, stream, n, keep=ring) % max(n - 1, 1)
        targets += targets >= np.repeat(np.arange(n), self.k)
        return Rows(np.arange(n + 1, dtype=np.int64) * self.k, targets.astype(np.int32))
