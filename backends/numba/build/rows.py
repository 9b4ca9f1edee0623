"""Rows of 16-bit targets: the synapses of one source after the other, for constant weight and delay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba.build import kernels
from spikesim.connect import FixedTotalNumber
from spikesim.connect.walks import Tile, Tiles, walks
from spikesim.errors import UnsupportedError
from spikesim.graph import Edge

MAX_ENTRIES = 2**32  # of one table: its positions have 32 bits
ALONE = 2**16  # synapses for each thread at least: fewer would not be worth its start
MAX_COUNTS = 2**25  # kept while a table is built: fewer threads take part if more would be needed
_NOTHING = np.empty(0, np.uint16)


@dataclass(frozen=True, eq=False)
class Rows16:
    """Synapses into one tile by source.

    Parameters
    ----------
    indptr
        uint32 ``[sources + 1]``: those of source ``i`` are ``targets[indptr[i] : indptr[i + 1]]``.
    targets
        uint16, counted from the first target of the tile; ascending within a row.
    multiplicity
        Most synapses between one source and one target.
    """

    indptr: NDArray[np.uint32]
    targets: NDArray[np.uint16]
    multiplicity: int


def each(threads: int, jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Call functions that need no interpreter lock, in threads; returns what they return."""
    if threads < 2 or len(jobs) < 2:
        return [job() for job in jobs]
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


def rows16(edge: Edge, tiles: Sequence[Tile], threads: int = 1) -> list[Rows16]:
    """Draw the synapses of an edge into rows, a table for each tile.

    Parameters
    ----------
    edge
        The projection.
    tiles
        Ascending ranges ``(low, high)`` of targets: see :class:`spikesim.connect.walks.Tiles`.
    threads
        How many threads draw; the result does not depend on them.

    Raises
    ------
    UnsupportedError
        If a table would have more than 2^32 entries.
    """
    offsets, targets = spread(edge, tiles, threads)
    pieces = [targets[o[0] : o[-1]] for o in offsets]
    indptr = [(o - o[0]).astype(np.uint32) for o in offsets]
    most = each(threads, [partial(kernels.multiplicity, i, t) for i, t in zip(indptr, pieces, strict=True)])
    return [Rows16(*table) for table in zip(indptr, pieces, most, strict=True)]


def spread(edge: Edge, tiles: Sequence[Tile], threads: int) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Draw the synapses of an edge twice: to count them, then to write each where it belongs.

    Returns
    -------
    offsets
        int64 ``[tiles, sources + 1]``, positions in ``targets``.
    targets
        uint16, counted from the first target of their tile; ascending within a row.
    """
    pattern, cut = edge.pattern, Tiles(edge.n_post, tuple(tiles))
    threads = max(1, min(threads, edge.synapses // ALONE, MAX_COUNTS // max(1, edge.n_pre * len(cut.bounds))))
    parts = walks(pattern.rule, pattern.pre, pattern.post, pattern.stream, cut, threads, pattern.drawn)
    at = np.zeros((len(parts), len(cut.bounds), edge.n_pre), np.int64)
    each(threads, [partial(walk, at[k], _NOTHING, False) for k, walk in enumerate(parts)])
    offsets = _offsets(edge, at.sum(axis=0))
    if cut.whole:
        pattern.remember(at.sum(axis=(0, 1)))
    start = offsets[:, :-1].copy()
    for k in range(len(parts)):  # where each part begins to write in each row
        start += at[k]
        at[k] = start - at[k]
    targets = np.empty(int(offsets[-1, -1]) if len(cut.bounds) else 0, np.uint16)
    each(threads, [partial(walk, at[k], targets, True) for k, walk in enumerate(parts)])
    if isinstance(pattern.rule, FixedTotalNumber) and pattern.drawn is None:
        _sort(offsets, targets, threads)
    return offsets, targets


def _offsets(edge: Edge, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions at which the rows of all tiles begin and end, one table behind the other."""
    sizes = counts.sum(axis=1)
    if (sizes >= MAX_ENTRIES).any():
        raise UnsupportedError(
            [
                f"projection {edge.name!r} has {sizes.max()} synapses into one tile, at most {MAX_ENTRIES - 1} are "
                "possible; use smaller tiles"
            ]
        )
    offsets = np.zeros((len(counts), edge.n_pre + 1), np.int64)
    np.cumsum(counts, axis=1, out=offsets[:, 1:])
    offsets += (np.cumsum(sizes) - sizes)[:, None]
    return offsets


def _sort(offsets: NDArray[np.int64], targets: NDArray[np.uint16], threads: int) -> None:
    n_pre = offsets.shape[1] - 1
    ends = np.linspace(0, n_pre, 4 * threads + 1).astype(np.int64)
    jobs = [partial(kernels.sort_rows, o, a, b, targets) for o in offsets for a, b in pairwise(ends)]
    each(threads, jobs)
