"""Graph and plan -> the tables that the compiled loop reads (columns: :mod:`spikesim.backends.numba.loop`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba import tables
from spikesim.backends.numba.deliveries import NUMBER
from spikesim.backends.numba.plan import Part, Plan
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
    nodes: list[Node] = field(default_factory=list)
    start: dict[str, int] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of neurons."""
        return sum(node.n for node in self.nodes)

    def add(self, node: Node) -> None:
        """Append a population."""
        self.start[node.name] = self.n
        self.nodes.append(node)

    def initial(self) -> NDArray[np.float64]:
        """Return the initial states, ``[states, n]``."""
        names = self.form.model.states
        rows = [np.concatenate([node.init[s] for node in self.nodes]) for s in names]
        return np.array(rows).reshape(len(names), self.n)

    def constants(self, dtype: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the constants that are one number, ``[populations, names]``, and those per neuron, ``[names, n]``."""
        scalars, vectors = self.form.names()
        numbers = [[float(node.constants[name]) for name in scalars] for node in self.nodes]
        rows = [np.concatenate([np.broadcast_to(k.constants[name], k.n) for k in self.nodes]) for name in vectors]
        return np.array(numbers, dtype).reshape(len(self.nodes), -1), np.array(rows, dtype).reshape(-1, self.n)


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


def groups(graph: Graph, ports: dict[tuple[str, str], PortForm]) -> list[Group]:
    """Group the populations by the kernel that serves them."""
    found: dict[KernelForm, Group] = {}
    for node in graph.nodes:
        vectors = frozenset(n for n in node.model.used_constants() if np.ndim(node.constants[n]))
        form = KernelForm(node.model, vectors, tuple(ports[node.name, p] for p in node.model.inputs))
        found.setdefault(form, Group(form)).add(node)
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
        self.groups = groups(graph, self.port_forms)
        self.parts = [part for phase in plan.phases for tile in phase for part in tile]
        first = np.cumsum([0, *(n.n for n in graph.nodes)]).tolist()
        self.offset = {node.name: low for node, low in zip(graph.nodes, first, strict=False)}
        self.value_sources = [s.name for s in graph.sources if is_graded_input(s)]
        self.source_names = [s.name for s in graph.sources]
        self.built: dict[Any, Any] = {}  # tables by what they hold; the jobs point into them
        self._spans()
        self._tiles()
        self.history = max(graph.max_delay, 0) + 2 * plan.epoch
        self.source_memory = max((e.max_delay for e in graph.edges if e.pre in self.source_names), default=0)

    def group_of(self, population: str) -> int:
        """Return the number of the group of a population."""
        return next(k for k, g in enumerate(self.groups) if population in g.start)

    # ------------------------------------------------------------------------------------------------ where spikes are
    def _spans(self) -> None:
        """Put the parts in the order of neurons, in which their spike lists are read."""
        order = sorted(range(len(self.parts)), key=lambda k: (self.offset[self.parts[k].node.name], self.parts[k].lo))
        self.span_of = {part: span for span, part in enumerate(order)}
        names = [self.parts[k].node.name for k in order]
        self.spans_of = {name: (names.index(name), names.index(name) + names.count(name)) for name in set(names)}
        low = [(self.offset[self.parts[k].node.name], self.parts[k].lo) for k in order]
        self.spans = np.array([[node + lo, node] for node, lo in low], np.int64).reshape(-1, 2)

    # ------------------------------------------------------------------------------------------------ tiles
    def _tiles(self) -> None:
        self.part_rows: list[list[int]] = []
        self.port_rows: list[list[int]] = []
        self.factor_rows: list[list[float]] = []
        self.poisson_rows: list[list[int]] = []
        self.poisson_weights: list[float] = []
        self.job_rows: list[list[int]] = []
        self.job_weights: list[float] = []
        self.ext_base, self.ext_size = self._ext()
        tile_rows: list[list[int]] = []
        phase_rows: list[list[int]] = []
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
                    base[node.name, port] = size
                    size += node.n
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
                weights[c] = edge.constant_weight or 0.0
            drive = next((d for d in self.graph.drives if (d.target, d.port) == (node.name, port)), None)
            where = 0
            if form.drive == "counts":
                where = self.drawn
                self.drawn += part.padded
            elif form.drive == "values":
                where = self.ext_base[node.name, port] + part.lo
            if isinstance(drive, PoissonDrive) and drive.name in self.drives.names:
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
            key = ("segments", *((e.name, *rest) for e, *rest in members))
            found = self._build(key, [e for e, *_ in members], partial(tables.segments, members))
            arrays = [found.first, found.targets, found.weights]
            self._job("segments" + _width(found.weights), pre, found.low, found.delays, [0, 0, 0, 0], arrays)

    def _build(self, key: Any, edges: list[Edge], make: Callable[[], Any]) -> Any:
        if key not in self.built:
            self.built[key] = make()
            for edge in edges:
                edge.forget()
        return self.built[key]

    def _job(
        self, kind: str, pre: str, low: int, delays: int, numbers: list[int], arrays: list[Any], weight: float = 0.0
    ) -> None:
        """Append a delivery; ``numbers`` are four columns of its own kind, ``arrays`` at most three."""
        source = self.source_names.index(pre) if pre in self.source_names else -1
        spans = (0, 0) if source >= 0 else self.spans_of[pre]
        memory = [number for array in arrays for number in (array.ctypes.data, len(array))]
        row = [NUMBER[kind + ("_values" if pre in self.value_sources else "")], source, *spans, low, delays, *numbers]
        self.job_rows.append([*row, *memory, *[0] * (6 - len(memory))])
        self.job_weights.append(weight)

    def _count_job(self, k: int, part: Part, edge: Edge, cell: int, row: int) -> None:
        channel = [e.name for e in self._counted(edge.post, edge.port)].index(edge.name)
        at = self.port_rows[row][1] + channel * part.padded
        mantissa = (edge.constant_weight or 0.0) / self.factor_rows[row][0]

        def add(kind: str, multiplicity: int, arrays: list[Any]) -> None:
            use = self.channels | k << 20 | max(1, multiplicity) << 40
            self._job(kind, edge.pre, edge.constant_delay or 0, 1, [at, part.padded, cell, use], arrays, mantissa)

        key = (self.plan.choices[edge.name].kind, edge.name, part.lo, part.hi)
        if key[0] == "bitmap":
            bits, again = self._build(key, [edge], lambda: tables.bitmap(edge, part.lo, part.hi))
            add("bitmap", 1, [bits])
            if len(again.targets):
                add("rows", again.multiplicity, [again.indptr, again.targets])
        else:
            found = self._build(key, [edge], lambda: tables.rows(edge, part.lo, part.hi))
            add("rows", found.multiplicity, [found.indptr, found.targets])
        self.channels += 1

    def _dense_job(self, part: Part, edge: Edge, cell: int) -> None:
        grid = _grid(self.graph, edge.post, edge.port)
        key = ("dense", edge.name, part.lo, part.hi)
        weights = self._build(key, [edge], lambda: tables.dense(edge, part.lo, part.hi, grid))
        self._job("dense" + _width(weights), edge.pre, edge.constant_delay or 0, 1, [0, part.n, cell, 0], [weights])

    def set_weights(self, edge: Edge) -> None:
        """Take over changed weights of a projection."""
        self.graph = replace(self.graph, edges=tuple(edge if e.name == edge.name else e for e in self.graph.edges))
        if edge.constant_weight is None:
            self.built = {key: table for key, table in self.built.items() if edge.name not in _names(key)}
        self._tiles()


def _names(key: tuple[Any, ...]) -> set[str]:
    return {entry[0] if isinstance(entry, tuple) else entry for entry in key[1:]}


def _width(weights: NDArray[Any]) -> str:
    return "32" if weights.dtype == np.int32 else "64"
