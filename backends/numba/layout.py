"""Graph and plan -> the tables that the compiled loop reads (columns: :mod:`spikesim.backends.numba.loop`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba import build
from spikesim.backends.numba.deliveries import NUMBER
from spikesim.backends.numba.forms import COUNTED, MOST_COUNT, fast_drives, grid_of_port, groups, port_forms
from spikesim.backends.numba.kernels import conv
from spikesim.backends.numba.plan import CHANNELS, Part, Plan
from spikesim.backends.numba.tables import JOB_SIZE, PART_SIZE
from spikesim.drive import padded
from spikesim.graph import Edge, Graph
from spikesim.learning import learning_of
from spikesim.lowering import is_graded_input
from spikesim.rng import Stream
from spikesim.stimulus import PoissonDrive

WINDOW_BYTES = 2**18  # sums of the steps that segments are delivered for at once: a quarter of a second-level cache


class RepeatedPairs(Exception):
    """One pair has more synapses over a projection, which is named, than a counter can count at once."""


class Layout:
    """The tables of a network.

    Parameters
    ----------
    graph, plan
        What to lay out.
    dtype
        ``"float64"`` or ``"float32"``.
    """

    def __init__(self, graph: Graph, plan: Plan, dtype: str) -> None:
        self.graph, self.plan = graph, plan
        self.drives = fast_drives(graph)
        self.port_forms = port_forms(graph, plan, dtype, self.drives)
        self.groups = groups(graph, self.port_forms, plan.owned)
        self.parts = [part for phase in plan.phases for tile in phase for part in tile]
        first = np.cumsum([0, *(n.n for n in graph.nodes)]).tolist()
        self.offset = {node.name: low for node, low in zip(graph.nodes, first, strict=False)}
        self.value_sources = [s.name for s in graph.sources if is_graded_input(s)]
        self.source_names = [s.name for s in graph.sources]
        self.built: dict[Any, Any] = {}  # tables by what they hold; the jobs point into them
        self._spans()
        self._tiles()
        self.most_rows = max((e.n_pre * (e.max_delay - e.min_delay + 1) for e, _ in self.learned), default=0)
        self.history = max(graph.max_delay, 0) + 2 * plan.epoch
        self.source_memory = max((e.max_delay for e in graph.edges if e.pre in self.source_names), default=0)

    def group_of(self, population: str) -> int:
        """Return the number of the group of a population."""
        return next(k for k, g in enumerate(self.groups) if population in g.start)

    # ------------------------------------------------------------------------------------------------ where spikes are
    def _spans(self) -> None:
        """Put the parts in the order of neurons, in which their spike lists are read.

        What other ranks run of a population, before and after the own parts, is one span each.
        """
        rows: list[list[int]] = []
        self.span_of: dict[int, int] = {}  # part: its span
        self.spans_of: dict[str, tuple[int, int]] = {}
        self.remote: dict[str, tuple[int, int]] = {}  # population: spans of what is elsewhere, or -1
        for node in self.graph.nodes:
            begin, (lo, hi) = self.offset[node.name], self.plan.owned[node.name]
            mine = sorted((p.lo, k) for k, p in enumerate(self.parts) if p.node is node)
            first, before, after = len(rows), lo > 0, hi < node.n
            self.span_of |= {k: first + before + at for at, (_, k) in enumerate(mine)}
            starts = [*([0] if before else []), *(low for low, _ in mine), *([hi] if after else [])]
            rows += [[begin + low, begin] for low in starts]
            self.spans_of[node.name] = (first, len(rows))
            self.remote[node.name] = (first if before else -1, len(rows) - 1 if after else -1)
        self.spans = np.array(rows, np.int64).reshape(-1, 2)

    # ------------------------------------------------------------------------------------------------ tiles
    def _tiles(self) -> None:
        """Lay out the tiles: where the counters, sums and drawn numbers of each are, and what is delivered to it."""
        self.part_rows: list[list[int]] = []
        self.port_rows: list[list[int]] = []
        self.factor_rows: list[list[float]] = []
        self.poisson_rows: list[list[int]] = []
        self.poisson_weights: list[float] = []
        self.learned: list[tuple[Edge, Part]] = []  # plastic synapses of a projection onto a part
        self.job_rows: list[list[int]] = []
        self.ext_base, self.ext_size = self._ext()
        tiles = [tile for phase in self.plan.phases for tile in phase]
        rows = [self._place(tile) for tile in tiles]
        self.learned_table = np.array([self._learning(edge) for edge, _ in self.learned], np.int64).reshape(-1, 3)
        self._build(tiles)
        for number, (tile, row) in enumerate(zip(tiles, rows, strict=True)):
            row[2] = len(self.job_rows)
            row[7] = self._deliver(number, tile, row)
            row[3] = len(self.job_rows)
        ends = np.cumsum([0, *(len(phase) for phase in self.plan.phases)])
        self.phases = np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64)
        self.tiles = np.array(rows, np.int64).reshape(-1, 8)
        self.part_table = np.array(self.part_rows, np.int64).reshape(-1, PART_SIZE)
        self.ports = np.array(self.port_rows, np.int64).reshape(-1, 4)
        self.factors = np.array(self.factor_rows, np.float64).reshape(-1, 6)
        self.poisson = np.array(self.poisson_rows, np.int64).reshape(-1, 10)
        self.poisson_factors = np.array(self.poisson_weights, np.float64)
        self.jobs = np.array(self.job_rows, np.int64).reshape(-1, JOB_SIZE)
        widest = max((part.padded for part in self.parts), default=0)
        large = widest if any(not row[0] for row in self.poisson_rows) else 0
        counters, cells, drawn, channels = self.tiles[:, 4:].max(axis=0, initial=0)
        most_parts = max((len(tile) for tile in tiles), default=0)
        image = max((row[6] for row in self.job_rows if row[0] in (NUMBER["conv"], NUMBER["conv_values"])), default=0)
        self.window = max(1, min(self.plan.epoch, WINDOW_BYTES // (8 * max(1, int(cells)))))
        self.sizes = np.array(
            [counters, cells * self.window, drawn, widest, channels, most_parts, large, image], np.int64
        )

    def _learning(self, edge: Edge) -> list[int]:
        """Return who rewards plastic synapses, as the loop must know it."""
        learning = learning_of(edge)
        spans, source = self.spans_of.get(learning.modulator, (0, 0)), -1 if learning.modulator else -2
        if learning.modulator in self.source_names:
            source = self.source_names.index(learning.modulator)
        return [source, *spans]

    def segments_of(self, edge: Edge, part: Part) -> Any:
        """Return the table of the plastic synapses of a projection onto a part as they were drawn."""
        return self.built["segments", (edge.name, part.lo, part.hi, 0)]

    def _ext(self) -> tuple[dict[tuple[str, str], int], int]:
        base, size = {}, 0
        for node in self.graph.nodes:
            for port in node.model.inputs:
                if self.port_forms[node.name, port].drive == "values":
                    lo, hi = self.plan.owned[node.name]
                    base[node.name, port] = size - lo
                    size += hi - lo
        return base, size

    def _place(self, tile: tuple[Part, ...]) -> list[int]:
        """Give the parts and ports of a tile their places; return its row, the deliveries still missing."""
        first = len(self.part_rows)
        self.used = [0, 0, 0]  # counters, cells, drawn numbers
        for part in tile:
            self._place_part(part)
        return [first, len(self.part_rows), 0, 0, *self.used, 0]

    def _place_part(self, part: Part) -> None:
        node, first_port, first_poisson = part.node, len(self.port_rows), len(self.poisson_rows)
        number = self.group_of(node.name)
        group, first_learned = self.groups[number], len(self.learned)
        for port in node.model.inputs:
            self._place_port(part, port)
        self.learned += [(e, part) for e in self.graph.edges if e.post == node.name and e.learning and e.synapses]
        self.part_rows.append(
            [
                self.graph.nodes.index(node), number, group.start[node.name] + part.lo, part.n,
                self.span_of[len(self.part_rows)], first_port, len(self.port_rows), group.nodes.index(node),
                first_poisson, len(self.poisson_rows), 0, 0, first_learned, len(self.learned),
            ]
        )  # fmt: skip

    def _place_port(self, part: Part, port: str) -> None:
        name, form = part.node.name, self.port_forms[part.node.name, port]
        counters, cells, drawn = self.used
        drive = next((d for d in self.graph.drives if (d.target, d.port) == (name, port)), None)
        where = drawn if form.drive == "counts" else 0
        if form.drive == "values":
            where = self.ext_base[name, port] + part.lo
        factor = 0.0
        if isinstance(drive, PoissonDrive) and drive.name in self.drives.names:
            self._poisson(drive, part, form.drive == "counts", where)
            factor = float(drive.weight)
        weights = [edge.constant_weight or 0.0 for edge in self._counted(name, port)]
        self.port_rows.append([cells, counters, where, part.padded])
        self.factor_rows.append(
            [grid_of_port(self.graph, name, port) or 1.0, factor, *weights, *[0.0] * (CHANNELS - len(weights))]
        )
        self.used = [
            counters + form.channels * part.padded,
            cells + part.padded,
            drawn + (part.padded if form.drive == "counts" else 0),
        ]

    def _counted(self, post: str, port: str) -> list[Edge]:
        return [
            e for e in self.graph.edges
            if (e.post, e.port) == (post, port) and self.plan.choices[e.name].kind in COUNTED
        ]  # fmt: skip

    def _poisson(self, drive: PoissonDrive, part: Part, counted: bool, where: int) -> None:
        first, last, number = self.drives.thresholds[drive.name]
        stream = Stream(self.graph.seed, drive.name).id
        self.poisson_rows.append(
            [int(counted), stream, first, last, number, part.lo, padded(part.node.n), where, part.n, part.padded]
        )
        self.poisson_weights.append(float(drive.weight))

    # ------------------------------------------------------------------------------------------------ deliveries
    def _build(self, tiles: list[tuple[Part, ...]]) -> None:
        """Draw the tables that are not there yet: one per projection and part, or per source and tile."""
        self.merged: dict[tuple[str, int], tuple[Any, ...]] = {}
        wanted: list[tuple[Any, ...]] = []
        for number, tile in enumerate(tiles):
            for part, edge, cell in self._arrivals(number, tile):
                kind = self.plan.choices[edge.name].kind
                if kind == "segments":
                    so_far = self.merged.get((edge.pre, number), ("segments",))
                    self.merged[edge.pre, number] = (*so_far, (edge.name, part.lo, part.hi, cell))
                elif kind == "plastic":
                    wanted.append(("segments", (edge.name, part.lo, part.hi, 0)))
                else:
                    wanted.append((kind, edge.name, part.lo, part.hi))
        wanted += self.merged.values()
        edges = {e.name: e for e in self.graph.edges}
        missing = [key for key in dict.fromkeys(wanted) if key not in self.built]
        images = [key for key in missing if key[0] == "conv"]
        self.built |= {key: _convolution(edges[key[1]]) for key in images}
        self.built |= build.build([key for key in missing if key[0] != "conv"], edges, self.plan.threads)

    def _arrivals(self, number: int, tile: tuple[Part, ...]) -> list[tuple[Part, Edge, int]]:
        """Return the projections onto a tile: part, projection, and where the sums of its port begin."""
        first = sum(len(t) for t in self._all_tiles()[:number])
        return [
            (part, edge, self.port_rows[self._port_row(first + k, part, edge)][0])
            for k, part in enumerate(tile)
            for edge in self.graph.edges
            if edge.post == part.node.name and edge.synapses
        ]

    def _port_row(self, number: int, part: Part, edge: Edge) -> int:
        return self.part_rows[number][5] + part.node.model.inputs.index(edge.port)

    def _all_tiles(self) -> list[tuple[Part, ...]]:
        return [tile for phase in self.plan.phases for tile in phase]

    def _deliver(self, number: int, tile: tuple[Part, ...], placed: list[int]) -> int:
        """Append what is delivered to a tile; return how many channels of counters it has."""
        channels, first_part, cells = 0, placed[0], placed[5]
        for k, part in enumerate(tile):
            for edge in (e for e in self.graph.edges if e.post == part.node.name and e.synapses):
                row, kind = self._port_row(first_part + k, part, edge), self.plan.choices[edge.name].kind
                table: Any = self.built.get((kind, edge.name, part.lo, part.hi))
                cell, delay = self.port_rows[row][0], edge.constant_delay or 0
                if kind in COUNTED:
                    self._count(part, edge, row, channels | k << 20, table)
                    channels += 1
                elif kind == "dense":
                    weights = table.reshape(-1)
                    self._job("dense" + _width(weights), edge.pre, delay, 1, [0, part.n, cell, 0], [weights])
                elif kind == "plastic":
                    numbers = [self.learned.index((edge, part)), part.n, cell, 0]
                    self._job(kind, edge.pre, edge.min_delay, edge.max_delay - edge.min_delay + 1, numbers, [])
                elif kind == "conv":
                    weights, shape = table
                    image = int(shape[6] * shape[7] * shape[8])
                    self._job("conv", edge.pre, delay, 1, [image, part.n, cell, 0], [weights, shape])
        for pre in [*self.source_names, *self.spans_of]:
            if (pre, number) in self.merged:
                found = self.built[self.merged[pre, number]]
                arrays = [found.first, found.cells, found.weights]
                kind, numbers = "segments" + _width(found.weights), [cells, 0, 0, -1]
                self._job(kind, pre, found.min_delay, found.delays, numbers, arrays)
        return channels

    def _count(self, part: Part, edge: Edge, row: int, channel: int, table: Any) -> None:
        """Append the deliveries of a projection that is counted."""
        place = [e.name for e in self._counted(edge.post, edge.port)].index(edge.name)
        cell, counters, *_ = self.port_rows[row]
        mantissa = (edge.constant_weight or 0.0) / self.factor_rows[row][0]
        rows, kind, arrays = table, "rows", []
        if isinstance(table, build.Bitmap):
            rows, kind, arrays = table.rest, "bitmap", [table.bits]
        most = max(1, table.multiplicity)  # that a spike adds to one counter
        if most > MOST_COUNT:
            raise RepeatedPairs(edge.name)
        numbers = [counters + place * part.padded, part.padded, cell, channel | most << 40]
        self._job(kind, edge.pre, edge.constant_delay or 0, 1, numbers, [*arrays, rows.indptr, rows.targets], mantissa)

    def _job(
        self, kind: str, pre: str, low: int, delays: int, numbers: list[int], arrays: list[Any], weight: float = 0.0
    ) -> None:
        """Append a delivery, its kind for its function; ``numbers`` are its own columns, ``arrays`` at most three."""
        source = self.source_names.index(pre) if pre in self.source_names else -1
        spans = (0, 0) if source >= 0 else self.spans_of[pre]
        memory = [number for array in arrays for number in (array.ctypes.data, len(array))]
        row = [NUMBER[kind + ("_values" if pre in self.value_sources else "")], source, *spans, low, delays, *numbers]
        self.job_rows.append([*row, *memory, *[0] * (6 - len(memory)), int(np.float64(weight).view(np.int64))])

    def set_weights(self, edge: Edge) -> None:
        """Take over changed weights of a projection; the forms of its target may change with them."""
        self.graph = replace(self.graph, edges=tuple(edge if e.name == edge.name else e for e in self.graph.edges))
        if self.plan.choices[edge.name].kind == "conv":  # weights of its own for each synapse end that
            choice = replace(self.plan.choices[edge.name], kind="segments")
            self.plan = replace(self.plan, choices={**self.plan.choices, edge.name: choice})
        if edge.constant_weight is None:
            self.built = {key: table for key, table in self.built.items() if edge.name not in _names(key)}
        self._unsplit(edge)
        self._tiles()

    def _unsplit(self, edge: Edge) -> None:
        """Go back to float64 sums where a changed weight does not allow halves any more."""
        forms = port_forms(self.graph, self.plan, "float32", self.drives)
        if not self.port_forms[edge.post, edge.port].split or forms[edge.post, edge.port].split:
            return
        group = self.groups[self.group_of(edge.post)]
        group.form = replace(group.form, ports=tuple(replace(port, split=False) for port in group.form.ports))
        for node in group.nodes:
            for port, form in zip(node.model.inputs, group.form.ports, strict=True):
                self.port_forms[node.name, port] = form


def _names(key: tuple[Any, ...]) -> set[str]:
    """Return the projections that a table holds."""
    return {k[0] for k in key[1:]} if key[0] == "segments" else {key[1]}


def _convolution(edge: Edge) -> tuple[Any, Any]:
    """Return weights and sizes of a convolution onto a whole population, as the kernel wants them."""
    rule: Any = edge.pattern.rule
    grid = getattr(edge.weight, "grid", 0.0)
    channels, height, width = rule.output_shape(edge.pattern.pre)
    outputs = [height, width, conv.padded_channels(channels)]
    sizes = [*edge.pattern.pre[1:], *rule.weights.shape[2:], rule.stride, rule.padding, *outputs]
    whole = np.rint(rule.weights / grid).astype(np.int32)
    return conv.conv_weights(whole, rule.stride), np.array(sizes, np.int64)


def _width(weights: NDArray[Any]) -> str:
    return "32" if weights.dtype == np.int32 else "64"
