"""Full matrices of weights, one row for each source."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba.build import kernels
from spikesim.backends.numba.build.rows import each
from spikesim.backends.numba.build.segments import SYNAPSES, DrawnEdge, is_narrow, parts_of, table_weights
from spikesim.connect import AllToAll, Dense, FixedProbability
from spikesim.connect.walks import Tile
from spikesim.graph import Edge
from spikesim.synapses import Snapped


def dense(edge: Edge, tiles: Sequence[Tile], threads: int = 1) -> list[NDArray[Any]]:
    """Draw the weights of an edge into matrices; synapses of one pair are added up, whatever their delays.

    Parameters
    ----------
    edge, tiles, threads
        See :func:`~.rows.rows16`.

    Returns
    -------
    list of int32 or float64 ``[sources, high - low]``
        See :class:`~.segments.Segments`.
    """
    if edge.synapses == edge.n_pre * edge.n_post and _has_all_pairs(edge):
        kind = np.int32 if is_narrow(edge) else np.float64
        matrices: list[NDArray[Any]] = [np.empty((edge.n_pre, high - low), kind) for low, high in tiles]
        step = max(1, SYNAPSES // edge.n_post)
        jobs = [partial(_copy, edge, tiles, matrices, a, step) for a in range(0, edge.n_pre, step)]
        each(threads, jobs)
        return matrices
    drawn = DrawnEdge(edge, tiles, threads)
    sums = [np.zeros((edge.n_pre, high - low)) for low, high in tiles]
    each(threads, [partial(_add, drawn, tiles, sums, a, b) for a, b in parts_of([drawn])])
    drawn.finish()
    return [_narrowed(m) for m in sums] if isinstance(edge.weight, Snapped) else list(sums)


def _has_all_pairs(edge: Edge) -> bool:
    """Tell whether the rows hold every target once."""
    rule = edge.pattern.rule
    return isinstance(rule, (AllToAll, Dense)) or (isinstance(rule, FixedProbability) and rule.p == 1.0)


def _copy(edge: Edge, tiles: Sequence[Tile], matrices: Sequence[NDArray[Any]], first: int, count: int) -> None:
    n = min(count, edge.n_pre - first)
    weights = table_weights(edge, first * edge.n_post, n * edge.n_post).reshape(n, edge.n_post)
    for (low, high), matrix in zip(tiles, matrices, strict=True):
        matrix[first : first + n] = weights[:, low:high]


def _add(
    drawn: DrawnEdge, tiles: Sequence[Tile], matrices: Sequence[NDArray[np.float64]], first: int, last: int
) -> None:
    weights = drawn.weights(first, last)
    for tile, matrix in zip(tiles, matrices, strict=True):
        rows, zeros = drawn.rows(drawn.bounds.index(tile), first, last), drawn.zeros[first:last]
        kernels.add_rows(matrix[first:last], weights, drawn.targets, *rows, zeros)


def _narrowed(matrix: NDArray[np.float64]) -> NDArray[Any]:
    return matrix.astype(np.int32) if np.abs(matrix).max(initial=0.0) < 2.0**31 else matrix
