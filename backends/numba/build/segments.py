"""Synapses with weights or delays of their own: one table by source and delay for all projections of a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba.build import kernels
from spikesim.backends.numba.build.rows import MAX_ENTRIES, each, spread
from spikesim.connect.walks import TILE, Tile
from spikesim.errors import UnsupportedError
from spikesim.graph import Edge
from spikesim.synapses import Snapped

INT32 = 2**31 - 1
SYNAPSES = 2**18  # whose weights and delays a thread draws at a time

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """Targets ``low ... high - 1`` of an edge, whose sums stand in a tile from the cell ``cell`` on.

    ``low`` is a multiple of 64, and so is ``high`` unless it is the end of the population.
    """

    edge: Edge
    low: int
    high: int
    cell: int = 0


@dataclass(frozen=True, eq=False)
class Segments:
    """Synapses of one source population into one tile.

    Parameters
    ----------
    first
        uint32 ``[sources * delays + 1]``: the synapses of source ``s`` with delay ``min_delay + d`` are the entries
        ``first[s * delays + d] ... first[s * delays + d + 1] - 1``, ascending in their cell within each edge.
    cells
        uint16: where the weight is added.
    weights
        Multiples of the grid of each edge's port, int32, or float64 if some do not fit; the weights themselves,
        float64, where snapping is off.
    min_delay, delays
        Smallest delay in steps, and how many follow from there on.
    """

    first: NDArray[np.uint32]
    cells: NDArray[np.uint16]
    weights: NDArray[np.int32] | NDArray[np.float64]
    min_delay: int
    delays: int


def segments(tiles: Sequence[Sequence[Part]], threads: int = 1) -> list[Segments]:
    """Draw the synapses of all edges of a source, a table for each tile.

    Parameters
    ----------
    tiles
        What each table holds: at least one part; all are of edges of the same source. An edge may be in any number of
        tiles, but no target of it in two.
    threads
        How many threads draw; the result does not depend on them.

    Raises
    ------
    UnsupportedError
        If a table would have more than 2^32 entries, or more than 65 536 cells.
    """
    edges = list({part.edge.name: part.edge for tile in tiles for part in tile}.values())
    drawn = {
        e.name: DrawnEdge(e, [(p.low, p.high) for tile in tiles for p in tile if p.edge is e], threads) for e in edges
    }
    tables = [_Table(tile, drawn) for tile in tiles]
    jobs = [partial(_fill, list(drawn.values()), tables, a, b) for a, b in parts_of(list(drawn.values()))]
    each(threads, jobs)
    for d in drawn.values():
        d.finish()
    return [t.result for t in tables]


def is_narrow(edge: Edge) -> bool:
    """Tell whether all weights are int32 multiples of the grid."""
    return isinstance(edge.weight, Snapped) and edge.weight_limit < INT32 * edge.weight.grid


def table_weights(edge: Edge, first: int, n: int) -> NDArray[Any]:
    """Return the weights of the synapses ``first ... first + n - 1`` as they stand in tables; see :class:`Segments`."""
    weight = edge.weight
    if isinstance(weight, Snapped):
        raw = weight.numbers.part(first, n)
        return kernels.on_grid(raw, weight.grid) if is_narrow(edge) else np.rint(raw / weight.grid)
    return weight.part(first, n)


class DrawnEdge:
    """Sorted targets of an edge, and the number of each synapse."""

    def __init__(self, edge: Edge, tiles: Sequence[Tile], threads: int) -> None:
        self.edge, n_pre = edge, edge.n_pre
        self.wanted = sorted(set(tiles))
        self.bounds = _filled(self.wanted, edge.n_post)
        self.offsets, self.targets = spread(edge, self.bounds, threads)
        sizes = np.diff(self.offsets, axis=1)
        self.numbers: Ints = np.zeros(n_pre + 1, np.int64)  # of the first synapse of each source
        np.cumsum(sizes.sum(axis=0), out=self.numbers[1:])
        self.row_numbers = self.numbers[:-1] + np.cumsum(sizes, axis=0) - sizes  # ... in each tile
        self.zeros: Ints = np.zeros(n_pre, np.int64)
        self.narrow = is_narrow(edge)

    def weights(self, first: int, last: int) -> Any:
        """Return the weights of the synapses of some sources as they stand in tables; see :class:`Segments`."""
        return table_weights(self.edge, int(self.numbers[first]), int(self.numbers[last] - self.numbers[first]))

    def delays(self, first: int, last: int) -> NDArray[np.int32]:
        """Return the delays of the synapses of some sources."""
        return self.edge.delays_of(int(self.numbers[first]), int(self.numbers[last] - self.numbers[first]))

    def rows(self, k: int, first: int, last: int) -> tuple[Ints, Ints, Ints]:
        """Return where the rows of some sources into a tile begin and end, and their first synapse in the values."""
        here = slice(first, last)
        return self.offsets[k, here], self.offsets[k, 1:][here], self.row_numbers[k, here] - self.numbers[first]

    def finish(self) -> None:
        """Hand over what has been counted on the way."""
        if self.wanted == self.bounds:
            self.edge.remember(self.edge.pattern.out_degree - self.zeros)


def parts_of(drawn: Sequence[DrawnEdge]) -> list[tuple[int, int]]:
    """Cut the sources that edges share into ranges with about ``SYNAPSES`` synapses."""
    if not drawn:
        return []
    total = sum((d.numbers for d in drawn[1:]), drawn[0].numbers)
    cuts = np.searchsorted(total, np.arange(0, total[-1], SYNAPSES))
    return list(pairwise(np.unique(np.append(cuts, [0, len(total) - 1])).tolist()))


def _filled(wanted: Sequence[Tile], n: int) -> list[Tile]:
    """Return the tiles and what lies between them, so that they hold all targets."""
    ends = sorted({0, n, *(x for tile in wanted for x in tile)})
    out: list[Tile] = []
    for low, high in pairwise(ends):
        out += [(a, min(a + TILE, high)) for a in range(low, high, TILE)]
    return out


class _Table:
    """A table under construction."""

    def __init__(self, parts: Sequence[Part], drawn: dict[str, DrawnEdge]) -> None:
        owners = [drawn[p.edge.name] for p in parts]
        self.parts = [(p.cell, d, d.bounds.index((p.low, p.high))) for p, d in zip(parts, owners, strict=True)]
        edges = [p.edge for p in parts]
        self.low = min(e.min_delay for e in edges)
        self.delays = max(e.max_delay for e in edges) - self.low + 1
        self.rows: Ints = np.zeros(edges[0].n_pre + 1, np.int64)  # where the sources begin
        np.cumsum(sum(np.diff(d.offsets[k]) for _, d, k in self.parts), out=self.rows[1:])
        _check(parts, int(self.rows[-1]))
        self.first = np.empty((len(self.rows) - 1) * self.delays + 1, np.uint32)
        self.first[-1] = self.rows[-1]
        self.cells = np.empty(self.rows[-1], np.uint16)
        self.weights: NDArray[Any] = np.empty(self.rows[-1], np.int32 if all(d.narrow for d in owners) else np.float64)

    @property
    def result(self) -> Segments:
        return Segments(self.first, self.cells, self.weights, self.low, self.delays)


def _check(parts: Sequence[Part], size: int) -> None:
    if size >= MAX_ENTRIES or max(p.cell + p.high - p.low for p in parts) > TILE:
        raise UnsupportedError(
            [
                f"a table of {size} synapses from {parts[0].edge.pre!r} has more than {MAX_ENTRIES - 1} entries or "
                f"{TILE} cells; use smaller tiles"
            ]
        )


def _fill(drawn: Sequence[DrawnEdge], tables: Sequence[_Table], first: int, last: int) -> None:
    """Draw weights and delays of the sources ``first ... last - 1`` and write their rows."""
    values = {d.edge.name: (d.weights(first, last), d.delays(first, last)) for d in drawn}
    for table in tables:
        at = np.zeros((last - first, table.delays), np.int64)
        for _, d, k in table.parts:
            kernels.count_delays(at, values[d.edge.name][1], table.low, *d.rows(k, first, last))
        sizes = np.cumsum(at, axis=1)
        at = table.rows[first:last, None] + sizes - at
        table.first[first * table.delays : last * table.delays] = at.reshape(-1)
        for cell, d, k in table.parts:
            weights, delays = values[d.edge.name]
            rows, zeros = d.rows(k, first, last), d.zeros[first:last]
            place = (table.cells, table.weights, at, delays, table.low, weights, d.targets, cell, *rows, zeros)
            kernels.place(*place)
