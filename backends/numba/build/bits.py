"""Bitmaps of synapses: one bit for each pair of a source and a target, for constant weight and delay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba.build import kernels
from spikesim.backends.numba.build.rows import Rows16, each, spread
from spikesim.connect import AllToAll, FixedIndegree, FixedProbability
from spikesim.connect.walks import Tile, Tiles
from spikesim.graph import Edge

COLUMN_BYTES = 2**19  # bits that are drawn before they are moved to their places: half a second-level cache

PAIRS = 2**24  # repeated pairs that a thread has room for


@dataclass(frozen=True, eq=False)
class Bitmap:
    """Synapses into one tile as bits.

    Parameters
    ----------
    bits
        uint64 ``[sources * width]``: bit ``t % 64`` of ``bits[source * width + t // 64]`` tells whether ``source`` has
        a synapse to target ``t``, counted from the first of the tile.
    width
        Words of a source.
    rest
        All synapses of a pair beyond its first.
    """

    bits: NDArray[np.uint64]
    width: int
    rest: Rows16

    @property
    def multiplicity(self) -> int:
        """Most synapses between one source and one target (at least 1)."""
        return 1 + self.rest.multiplicity


def bitmaps(edge: Edge, tiles: Sequence[Tile], threads: int = 1) -> list[Bitmap]:
    """Draw the synapses of an edge into bits, a map for each tile; see :func:`~.rows.rows16`."""
    rule, cut = edge.pattern.rule, Tiles(edge.n_post, tuple(tiles))
    if isinstance(rule, FixedIndegree) and rule.multapses and rule.k:
        maps = _by_target(edge, rule, cut.bounds, threads)
    elif isinstance(rule, AllToAll) or (isinstance(rule, FixedProbability) and rule.p == 1.0):
        maps = [_full(edge.n_pre, low, high, rule.autapses) for low, high in cut.bounds]
    else:
        offsets, targets = spread(edge, tiles, threads)
        return [_of_rows(o, targets, high - low, threads) for o, (low, high) in zip(offsets, tiles, strict=True)]
    if cut.whole:
        edge.pattern.remember(_out_degree(edge.n_pre, maps))
    return maps


def _full(n_pre: int, low: int, high: int, autapses: bool) -> Bitmap:
    """Return all pairs, or all but those of a neuron with itself."""
    width = -(-(high - low) // 64)
    bits = np.full((n_pre, width), 2**64 - 1, np.uint64)
    if (high - low) % 64:
        bits[:, -1] = 2 ** ((high - low) % 64) - 1
    if not autapses:
        own = np.arange(high - low)
        bits[own + low, own >> 6] ^= np.uint64(1) << (own & 63).astype(np.uint64)
    return Bitmap(bits.reshape(-1), width, Rows16(np.zeros(n_pre + 1, np.uint32), np.empty(0, np.uint16), 0))


# ------------------------------------------------------------------------------------------------------ by target
def _by_target(edge: Edge, rule: FixedIndegree, tiles: Sequence[Tile], threads: int) -> list[Bitmap]:
    """Draw the targets in groups, whose bits fit into the cache, and move them to their places group by group."""
    words = max(1, min(8, COLUMN_BYTES // (8 * edge.n_pre), PAIRS // (64 * rule.k)))
    maps, jobs = [], []
    for low, high in tiles:
        width = -(-(high - low) // 64)
        maps.append((np.empty(edge.n_pre * width, np.uint64), width))
        for a in range(low, high, 64 * words):
            jobs.append(partial(_group, edge, rule, *maps[-1], low, (a, min(a + 64 * words, high)), words))
    pairs = iter(each(threads, jobs))
    out = []
    for (low, high), (bits, width) in zip(tiles, maps, strict=True):
        mine = [next(pairs) for _ in range(low, high, 64 * words)]
        out.append(Bitmap(bits, width, _rows_of_pairs(edge.n_pre, mine)))
    return out


def _group(
    edge: Edge, rule: FixedIndegree, bits: NDArray[np.uint64], width: int, start: int, group: Tile, words: int
) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    low, high = group
    stream, skip = edge.pattern.stream, not rule.autapses
    column = np.empty((words, edge.n_pre), np.uint64)
    most = rule.k * (high - low)
    sources, targets = np.empty(most, np.int32), np.empty(most, np.uint16)
    draws = (rule.k, edge.n_pre - skip, skip, stream.id, *stream.key)
    n = kernels.indegree_bits(bits, width, column, low, high, start, *draws, sources, targets)
    return sources[:n].copy(), targets[:n].copy()


def _rows_of_pairs(n_pre: int, pairs: Sequence[tuple[NDArray[np.int32], NDArray[np.uint16]]]) -> Rows16:
    """Turn pairs with ascending targets into rows."""
    counts = sum((np.bincount(sources, minlength=n_pre) for sources, _ in pairs), np.zeros(n_pre, np.int64))
    indptr = np.zeros(n_pre + 1, np.uint32)
    np.cumsum(counts, out=indptr[1:])
    at, out = indptr[:-1].copy(), np.empty(int(indptr[-1]), np.uint16)
    for sources, targets in pairs:
        kernels.rows_of_pairs(at, sources, targets, out)
    return Rows16(indptr, out, kernels.multiplicity(indptr, out))


# ------------------------------------------------------------------------------------------------------- from rows
def _of_rows(offsets: NDArray[np.int64], targets: NDArray[np.uint16], size: int, threads: int) -> Bitmap:
    """Turn sorted rows, which are used up, into bits."""
    n_pre, width = len(offsets) - 1, -(-size // 64)
    bits, repeats = np.zeros(n_pre * width, np.uint64), np.zeros(n_pre, np.int64)
    ends = [n_pre * k // (4 * threads) for k in range(4 * threads + 1)]
    draw = partial(kernels.rows_to_bits, bits, width, offsets, targets, repeats)
    each(threads, [partial(draw, a, b) for a, b in pairwise(ends)])
    rows = np.flatnonzero(repeats)
    pieces: list[NDArray[Any]] = [targets[offsets[i] : offsets[i] + repeats[i]] for i in rows]
    indptr = np.zeros(n_pre + 1, np.uint32)
    np.cumsum(repeats, out=indptr[1:])
    rest = np.concatenate(pieces) if pieces else np.empty(0, np.uint16)
    return Bitmap(bits, width, Rows16(indptr, rest, kernels.multiplicity(indptr, rest)))


def _out_degree(n_pre: int, maps: Sequence[Bitmap]) -> NDArray[np.int64]:
    counts = np.zeros(n_pre, np.int64)
    for found in maps:
        kernels.degrees_of_bits(found.bits, found.width, counts)
        counts += np.diff(found.rest.indptr)
    return counts
