"""Full matrices of weights, one row for each source."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba.build import kernels
from spikesim.backends.numba.build.rows import each
from spikesim.backends.numba.build.segments import DrawnEdge, parts_of
from spikesim.connect import Dense
from spikesim.connect.walks import Tile
from spikesim.graph import Edge
from spikesim.synapses import Snapped


def dense(edge: Edge, tiles: Sequence[Tile], threads: int = 1) -> list[NDArray[Any]]:
    """Draw the weights of an edge into matrices; synapses of one pair are added up, whatever their delays.

    Parameters
    ----------
    edge, tiles, threads
        See :func:`~.rows.rows16`; the tiles of a ``Dense`` rule may be any ranges.

    Returns
    -------
    list of int32 or float64 ``[sources, high - low]``
        Multiples of the grid of the edge's port, float64 if one does not fit into int32; the weights themselves,
        float64, if snapping is off.
    """
    rule = edge.pattern.rule
    if isinstance(rule, Dense):
        grid = edge.weight.grid if isinstance(edge.weight, Snapped) else 0.0
        rows = [np.ascontiguousarray(rule.weights[low:high].T) for low, high in tiles]
        return [kernels.on_grid(w.reshape(-1), grid).reshape(w.shape) for w in rows] if grid else rows
    drawn = DrawnEdge(edge, tiles, threads)
    matrices = [np.zeros((edge.n_pre, high - low)) for low, high in tiles]
    jobs = [partial(_add, drawn, tiles, matrices, a, b) for a, b in parts_of([drawn])]
    each(threads, jobs)
    drawn.finish()
    return [_narrow(m) for m in matrices] if isinstance(edge.weight, Snapped) else matrices


def _add(
    drawn: DrawnEdge, tiles: Sequence[Tile], matrices: Sequence[NDArray[np.float64]], first: int, last: int
) -> None:
    weights = drawn.weights(first, last)
    for tile, matrix in zip(tiles, matrices, strict=True):
        rows, zeros = drawn.rows(drawn.bounds.index(tile), first, last), drawn.zeros[first:last]
        kernels.add_rows(matrix[first:last], weights, drawn.targets, *rows, zeros)


def _narrow(matrix: NDArray[np.float64]) -> NDArray[Any]:
    return matrix.astype(np.int32) if np.abs(matrix).max(initial=0.0) < 2.0**31 else matrix
