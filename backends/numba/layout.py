"""Graph and plan -> the tables that the compiled loop reads (columns: :mod:`spikesim.backends.numba.loop`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba import tables
from spikesim.backends.numba.plan import Owned, Part, Plan
from spikesim.drive import padded
from spikesim.equations.numba_source import KernelForm, PortForm
from spikesim.graph import Edge, Graph, Node
from spikesim.lowering import is_graded_input
from spikesim.rng import Stream, poisson_parts, poisson_thresholds
from spikesim.stimulus import PoissonDrive

COUNTED = ("rows", "bitmap")
MOST_COUNT = 255  # of a byte


@dataclass(eq=False)
class Group:
    """All populations of one kernel form, side by side in one state array."""

    form: KernelForm
    owned: Owned
    nodes: list[Node] = field(default_factory=list)
    start: dict[str, int] = field(default_factory=dict)  # where neuron 0 of a population is, or would be

    @property
    def n(self) -> int:
        """Number of neurons."""
        return sum(hi - lo for lo, hi in (self.owned[node.name] for node in self.nodes))

    def add(self, node: Node) -> None:
        """Append a population."""
        self.start[node.name] = self.n - self.owned[node.name][0]
        self.nodes.append(node)

    def _mine(self, values: Any, node: Node) -> NDArray[Any]:
        return np.broadcast_to(values, node.n)[slice(*self.owned[node.name])]

    def initial(self) -> NDArray[np.float64]:
        """Return the initial states, ``[states, n]``."""
        names = self.form.model.states
        rows = [np.concatenate([self._mine(node.init[s], node) for node in self.nodes]) for s in names]
        return np.array(rows).reshape(len(names), self.n)

    def constants(self, dtype: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the constants that are one number, ``[populations, names]``, and those per neuron, ``[names, n]``."""
        scalars, vectors = self.form.names()
        numbers = [[float(node.constants[name]) for name in scalars] for node in self.nodes]
        rows = [np.concatenate([self._mine(k.constants[name], k) for k in self.nodes]) for name in vectors]
        return np.array(numbers, dtype).reshape(len(self.nodes), -1), np.array(rows, dtype).reshape(len(vectors), self.n)


def port_forms(graph: Graph, plan: Plan, dtype: str, fast: set[str]) -> dict[tuple[str, str], PortForm]:
    """Return in which form input arrives at each port."""
    forms = {}
    for node in graph.nodes:
        for port in node.model.inputs:
            edges = [e for e in graph.edges if (e.post, e.port) == (node.name, port)]
            counted = [e for e in edges if plan.choices[e.name].kind in COUNTED]
            drives = [d.name for d in graph.drives if (d.target, d.port) == (node.name, port)]
            drive = "" if not drives else "counts" if drives[0] in fast else "values"
            sums = len(counted) < len(edges)
            grid = _grid(graph, node.name, port)
            split = dtype == "float32" and 0 < len(counted) <= 2 and not sums and not drive and grid > 2.0**-100
            forms[node.name, port] = PortForm(len(counted), sums, drive, split)
    return forms


def groups(graph: Graph, ports: dict[tuple[str, str], PortForm], owned: Owned) -> list[Group]:
    """Group the populations by the kernel that serves them."""
    found: dict[KernelForm, Group] = {}
    for node in graph.nodes:
        vectors = frozenset(n for n in node.model.used_constants() if np.ndim(node.constants[n]))
        form = KernelForm(node.model, vectors, tuple(ports[node.name, p] for p in node.model.inputs))
        found.setdefault(form, Group(form, owned)).add(node)
    return list(found.values())


def _grid(graph: Graph, post: str, port: str) -> float:
    exact = graph.exactness.get((post, port))
    return exact.grid if exact else 0.0


@dataclass(eq=False)
class FastDrives:
    """The Poisson drives that the kernel draws: one constant rate, alone on their port.

    ``counts`` are those whose counts fit a byte.
    """

    names: set[str] = field(default_factory=set)
    counts: set[str] = field(default_factory=set)
    thresholds: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    table: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(1, np.uint32))


def fast_drives(graph: Graph) -> FastDrives:
    """Find the Poisson drives that the kernel can draw itself."""
    found = FastDrives()
    pieces: list[NDArray[np.uint32]] = []
    ports = [(d.target, d.port) for d in graph.drives]
    for drive in graph.drives:
        alone = ports.count((drive.target, drive.port)) == 1
        if not (isinstance(drive, PoissonDrive) and alone and isinstance(drive.rate, float)):
            continue
        number, mean = poisson_parts(drive.rate * graph.dt)
        table = poisson_thresholds(mean)
        first = sum(len(t) for t in pieces)
        found.thresholds[drive.name] = (first, first + len(table), number)
        pieces.append(table)
        found.names.add(drive.name)
        if number == 1 and len(table) <= MOST_COUNT:
            found.counts.add(drive.name)
    found.table = np.concatenate([*pieces, np.zeros(1, np.uint32)])
    return found


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
        self.port_forms = port_forms(graph, plan, dtype, self.drives.counts)
        self.groups = groups(graph, self.port_forms, plan.owned)
        self.parts = [part for phase in plan.phases for tile in phase for part in tile]
        self.offset = dict(zip((n.name for n in graph.nodes), np.cumsum([0, *(n.n for n in graph.nodes)]), strict=False))
        self.spike_sources = [s.name for s in graph.sources if not is_graded_input(s)]
        self.value_sources = [s.name for s in graph.sources if is_graded_input(s)]
        self.source_names = [s.name for s in graph.sources]
        self._spans()
        self._tiles()
        self.history = max(graph.max_delay, 0) + 2 * plan.epoch
        self.source_memory = max((e.max_delay for e in graph.edges if e.pre in self.source_names), default=0)

    def group_of(self, population: str) -> int:
        """Return the number of the group of a population."""
        return next(k for k, g in enumerate(self.groups) if population in g.start)

    # ------------------------------------------------------------------------------------------------ where spikes are
    def _spans(self) -> None:
        """Number the parts population by population: their spike lists are read in this order.

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
        self.part_rows: list[list[int]] = []
        self.port_rows: list[list[int]] = []
        self.factor_rows: list[list[float]] = []
        self.poisson_rows: list[list[int]] = []
        self.poisson_weights: list[float] = []
        self.job_rows: list[list[int]] = []
        self.job_weights: list[float] = []
        self.kept: list[Any] = []  # arrays that the jobs point into
        self.ext_base, self.ext_size = self._ext()
        tile_rows, phase_rows = [], []
        self.tile_of_job: list[int] = []
        self.channel_rows: dict[str, list[tuple[int, int]]] = {}  # edge: its places in the factors
        for phase in self.plan.phases:
            phase_rows.append([len(tile_rows), len(tile_rows) + len(phase)])
            for tile in phase:
                tile_rows.append(self._tile(tile))
        self.tiles = np.array(tile_rows, np.int64).reshape(-1, 8)
        self.phases = np.array(phase_rows, np.int64).reshape(-1, 2)
        self.part_table = np.array(self.part_rows, np.int64).reshape(-1, 12)
        self.ports = np.array(self.port_rows, np.int64).reshape(-1, 4)
        self.factors = np.array(self.factor_rows, np.float64).reshape(-1, 6)
        self.poisson = np.array(self.poisson_rows, np.int64).reshape(-1, 10)
        self.jobs = np.array(self.job_rows, np.int64).reshape(-1, 16)
        self.weights = np.array(self.job_weights, np.float64)
        self.poisson_factors = np.array(self.poisson_weights, np.float64)
        widest = max((part.padded for part in self.parts), default=0)
        large = widest if any(not row[0] for row in self.poisson_rows) else 0
        most_parts = max((len(tile) for phase in self.plan.phases for tile in phase), default=0)
        counters, cells, drawn, channels = self.tiles[:, 4:].max(axis=0, initial=0)
        self.sizes = np.array([counters, cells, drawn, widest, channels, most_parts, large], np.int64)

    def _ext(self) -> tuple[dict[tuple[str, str], int], int]:
        base, size = {}, 0
        for node in self.graph.nodes:
            for port in node.model.inputs:
                if self.port_forms[node.name, port].drive == "values":
                    lo, hi = self.plan.owned[node.name]
                    base[node.name, port] = size - lo
                    size += hi - lo
        return base, size

    def _tile(self, tile: tuple[Part, ...]) -> list[int]:
        """Lay out one tile: where its counters, sums and drawn numbers are, and what is delivered to it."""
        first_part, first_job = len(self.part_rows), len(self.job_rows)
        self.counts = self.cells = self.drawn = self.channels = 0
        places: dict[tuple[int, str], tuple[int, int]] = {}  # (part, port): first cell, row in ports
        for k, part in enumerate(tile):
            self._part(k, part, places)
        self._jobs(tile, places)
        return [
            first_part, len(self.part_rows), first_job, len(self.job_rows), self.counts, self.cells, self.drawn,
            self.channels,
        ]  # fmt: skip

    def _part(self, k: int, part: Part, places: dict[tuple[int, str], tuple[int, int]]) -> None:
        node, first_port, first_poisson = part.node, len(self.port_rows), len(self.poisson_rows)
        group = self.group_of(node.name)
        for port in node.model.inputs:
            form = self.port_forms[node.name, port]
            places[k, port] = (self.cells, len(self.port_rows))
            weights = [0.0] * 4
            for c, edge in enumerate(self._counted(node.name, port)):
                weights[c] = float(np.asarray(edge.weights))
                self.channel_rows.setdefault(edge.name, []).append((len(self.port_rows), 2 + c))
            drive = next((d for d in self.graph.drives if (d.target, d.port) == (node.name, port)), None)
            where = 0
            if form.drive == "counts":
                where = self.drawn
                self.drawn += part.padded
            elif form.drive == "values":
                where = self.ext_base[node.name, port] + part.lo
            if drive is not None and drive.name in self.drives.names:
                self._poisson(drive, part, form.drive == "counts", where)
            factor = float(drive.weight) if form.drive == "counts" and isinstance(drive, PoissonDrive) else 0.0
            self.port_rows.append([self.cells, self.counts, where, part.padded])
            self.factor_rows.append([_grid(self.graph, node.name, port) or 1.0, factor, *weights])
            self.counts += form.channels * part.padded
            self.cells += part.padded
        self.part_rows.append(
            [
                self.graph.nodes.index(node), group, self.groups[group].start[node.name] + part.lo, part.n,
                self.span_of[len(self.part_rows)], first_port, len(self.port_rows),
                self.groups[group].nodes.index(node), first_poisson, len(self.poisson_rows), 0, 0,
            ]
        )  # fmt: skip

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
    def _jobs(self, tile: tuple[Part, ...], places: dict[tuple[int, str], tuple[int, int]]) -> None:
        merged: dict[str, list[tuple[Edge, int, int, int, float]]] = {}
        for k, part in enumerate(tile):
            for edge in (e for e in self.graph.edges if e.post == part.node.name and e.synapses):
                cell, row = places[k, edge.port]
                kind = self.plan.choices[edge.name].kind
                if kind in COUNTED:
                    self._count_job(k, part, edge, cell, row)
                elif kind == "dense":
                    self._dense_job(part, edge, cell)
                else:
                    grid = _grid(self.graph, edge.post, edge.port)
                    merged.setdefault(edge.pre, []).append((edge, part.lo, part.hi, cell, grid))
        for pre, members in merged.items():
            found = tables.segments(members)
            kind = "segments32" if found.weights.dtype == np.int32 else "segments64"
            self._job(kind, pre, found.low, found.delays, [0, 0, self.cells, 0], [found.first, found.targets, found.weights], 0.0)

    def _job(self, kind: str, pre: str, low: int, delays: int, numbers: list[int], arrays: list[Any], weight: float) -> None:
        """Append a delivery; ``numbers`` are four columns of its own kind, ``arrays`` at most three."""
        source = self.source_names.index(pre) if pre in self.source_names else -1
        spans = (0, 0) if source >= 0 else self.spans_of[pre]
        addresses = []
        for array in arrays:
            self.kept.append(array)
            addresses += [array.ctypes.data, len(array)]
        from spikesim.backends.numba.deliveries import NUMBER

        row = [NUMBER[kind + ("_values" if pre in self.value_sources else "")], source, *spans, low, delays, *numbers, *addresses]
        self.job_rows.append(row + [0] * (16 - len(row)))
        self.job_weights.append(weight)

    def _count_job(self, k: int, part: Part, edge: Edge, cell: int, row: int) -> None:
        channel = self._counted(edge.post, edge.port).index(edge)
        at = self.port_rows[row][1] + channel * part.padded
        mantissa = float(np.asarray(edge.weights)) / self.factor_rows[row][0]
        delay = int(np.asarray(edge.delays))
        if self.plan.choices[edge.name].kind == "bitmap":
            bits, again = tables.bitmap(edge, part.lo, part.hi)
            self._job("bitmap", edge.pre, delay, 1, [at, part.padded, cell, self._use(k, 1)], [bits], mantissa)
            again_use = self._use(k, again.multiplicity)
            if len(again.targets):
                self._job("rows", edge.pre, delay, 1, [at, part.padded, cell, again_use], [again.indptr, again.targets], mantissa)
        else:
            found = tables.rows(edge, part.lo, part.hi)
            use = self._use(k, found.multiplicity)
            self._job("rows", edge.pre, delay, 1, [at, part.padded, cell, use], [found.indptr, found.targets], mantissa)
        self.channels += 1

    def set_weights(self, edge: Edge) -> None:
        """Take over changed weights of a projection."""
        edges = tuple(edge if e.name == edge.name else e for e in self.graph.edges)
        self.graph = replace(self.graph, edges=edges)
        self.kept.clear()
        self._tiles()

    def _use(self, part: int, multiplicity: int) -> int:
        """Pack the channel of a tile, its part, and how much one row may add to a counter."""
        return self.channels | part << 20 | max(1, multiplicity) << 40

    def _dense_job(self, part: Part, edge: Edge, cell: int) -> None:
        weights = tables.dense(edge, part.lo, part.hi, _grid(self.graph, edge.post, edge.port))
        kind = "dense32" if weights.dtype == np.int32 else "dense64"
        self._job(kind, edge.pre, int(np.asarray(edge.delays)), 1, [0, part.n, cell, 0], [weights], 0.0)
