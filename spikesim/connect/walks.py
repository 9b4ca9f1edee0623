"""Synapses visited without being kept: to count them, or to write them where they are needed.

A tile is a range of targets ``low .. high - 1`` with at most 65 536 of them, ``low`` a multiple of 64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect.base import Connection, Rows, Shape, check, elements
from spikesim.connect.partners import log_of_complement, words_for
from spikesim.connect.rules import AllToAll, FixedIndegree, FixedProbability, FixedTotalNumber
from spikesim.rng import MAX_INDEX, Stream

Tile = tuple[int, int]
Walk = Callable[[NDArray[np.int64], NDArray[np.uint16], bool], None]
Ints = NDArray[np.int64]

TILE = 65536  # targets of a tile at most: their numbers within it have 16 bits
_NOTHING = np.empty(0, np.uint16)


@dataclass(frozen=True)
class Tiles:
    """Tiles of one population of ``n``, as the kernels want them: see :mod:`spikesim.connect.kernels`."""

    n: int
    bounds: tuple[Tile, ...]

    def __post_init__(self) -> None:
        last = 0
        for low, high in self.bounds:
            fits = last <= low <= high <= self.n and low % 64 == 0 and (high % 64 == 0 or high == self.n)
            check(
                fits and high - low <= TILE,
                f"tiles must be ascending ranges of at most {TILE} among {self.n} targets that begin and end at "
                f"multiples of 64, found {list(self.bounds)}",
            )
            last = high

    @property
    def whole(self) -> bool:
        """Whether every target lies in a tile."""
        return sum(high - low for low, high in self.bounds) == self.n

    @property
    def reach(self) -> Tile:
        """First target of the first tile, and the one after the last of the last."""
        return (self.bounds[0][0], self.bounds[-1][1]) if self.bounds else (0, 0)

    @property
    def low(self) -> Ints:
        """First targets."""
        return np.array([low for low, _ in self.bounds], np.int64)

    @property
    def of(self) -> NDArray[np.int32]:
        """Tile of each group of 64 targets, or -1."""
        out = np.full(-(-self.n // 64), -1, np.int32)
        for k, (low, high) in enumerate(self.bounds):
            out[low >> 6 : -(-high // 64)] = k
        return out


def walks(
    rule: Connection, pre: Shape, post: Shape, stream: Stream, tiles: Tiles, parts: int, rows: Rows | None = None
) -> list[Walk]:
    """Cut the synapses of a rule into parts that may be visited at the same time.

    Parameters
    ----------
    rule, pre, post, stream
        See :meth:`Connection.rows`.
    tiles
        Targets outside are passed over.
    parts
        How many parts; each holds synapses of a source that come before those of the next part, except for
        ``FixedTotalNumber``.
    rows
        The rows, if they are drawn already.

    Returns
    -------
    list of functions (``at``, ``out``, ``fill``)
        See :mod:`spikesim.connect.kernels`.
    """
    from spikesim.connect import kernels

    n_pre, n_post, rest = elements(pre), elements(post), (tiles.of, tiles.low)
    draw = (stream.id, *stream.key)
    count = rule.count(pre, post)
    check(2 * (count or 0) <= MAX_INDEX, f"{rule!r} makes {count} synapses; at most {MAX_INDEX // 2} can be drawn")
    if rows is not None:
        return [partial(kernels.walk_rows, a, b, rows.indptr, rows.indices, *rest) for a, b in _cut(0, n_pre, parts)]
    if isinstance(rule, FixedProbability) and 0.0 < rule.p < 1.0:
        return _chosen(rule, n_pre, n_post, stream, rest, parts)
    if count == 0:
        return []
    if isinstance(rule, FixedTotalNumber):
        return [partial(kernels.walk_total, a, b, n_pre, n_post, *draw, *rest) for a, b in _cut(0, rule.n, parts)]
    if isinstance(rule, FixedIndegree) and rule.multapses:
        skip = not rule.autapses
        return [
            partial(kernels.walk_indegree, a * rule.k, b * rule.k, rule.k, n_pre - skip, skip, *draw, *rest)
            for a, b in _cut(*tiles.reach, parts)
        ]
    if isinstance(rule, (AllToAll, FixedProbability)):
        return [partial(kernels.walk_all, a, b, n_post, not rule.autapses, *rest) for a, b in _cut(0, n_pre, parts)]
    return walks(rule, pre, post, stream, tiles, parts, rule.rows(pre, post, stream))


def out_degrees(rule: Connection, pre: Shape, post: Shape, stream: Stream) -> Ints:
    """Count the synapses of every source without keeping them.

    Parameters
    ----------
    rule, pre, post, stream
        See :meth:`Connection.rows`.

    Returns
    -------
    int64[sources]
    """
    n_pre, n_post = elements(pre), elements(post)
    whole = Tiles(n_post, tuple((a, min(a + TILE, n_post)) for a in range(0, n_post, TILE)))
    at = np.zeros((len(whole.bounds), n_pre), np.int64)
    for walk in walks(rule, pre, post, stream, whole, 1):
        walk(at, _NOTHING, False)
    return np.asarray(at.sum(axis=0))


def in_degrees(rule: Connection, pre: Shape, post: Shape, stream: Stream) -> Ints:
    """Count the synapses of every target; see :func:`out_degrees`."""
    if isinstance(rule, FixedIndegree):
        return np.full(elements(post), rule.k, np.int64)
    if isinstance(rule, FixedTotalNumber):
        from spikesim.connect.kernels import count_below

        counts = np.zeros(elements(post), np.int64)
        count_below(counts, rule.n, 1, stream.id, *stream.key)
        return counts
    return np.bincount(rule.rows(pre, post, stream).indices, minlength=elements(post)).astype(np.int64)


def _cut(low: int, high: int, parts: int) -> list[Tile]:
    """Cut ``low .. high - 1``, ``low`` a multiple of 64, into parts that begin at such multiples."""
    ends = sorted({min(high, low + -(-(high - low) * k // parts // 64) * 64) for k in range(parts + 1)})
    return list(pairwise(ends))


def _chosen(
    rule: FixedProbability, n_pre: int, n_post: int, stream: Stream, rest: tuple[Any, ...], parts: int
) -> list[Walk]:
    """Cut the distances between chosen pairs; the sums of the parts tell where each begins."""
    from spikesim.connect.kernels import sum_gaps, walk_chosen

    found: list[Walk] = []
    total, last, step = n_pre * n_post, -1, 0
    scale = log_of_complement(rule.p)
    while last < total:
        ends = _cut(0, words_for(total - last, rule.p), parts)
        lengths = [sum_gaps(a, b, scale, total, step, stream.id, *stream.key) for a, b in ends]
        for (a, b), length in zip(ends, lengths, strict=True):
            where = (a, b, last, n_pre, n_post, scale, not rule.autapses, step)
            found.append(partial(walk_chosen, *where, stream.id, *stream.key, *rest))
            last += length
            if last >= total:
                break
        step += 1
    return found
