"""Graph and plan -> the tables that the compiled loop reads (columns: :mod:`spikesim.backends.numba.loop`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba import build
from spikesim.backends.numba.deliveries import NUMBER
from spikesim.backends.numba.kernels import conv
from spikesim.backends.numba.plan import CHANNELS, Part, Plan
from spikesim.connect import Conv2d
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


@dataclass(eq=False)
class FastDrives:
    """The Poisson drives that the kernel draws: one constant rate, alone on their port.

    ``counts`` are those whose counts fit a byte: their mean needs no parts.
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
        if number == 1:
            found.counts.add(drive.name)
    found.table = np.concatenate([*pieces, np.zeros(1, np.uint32)])
    return found


def port_forms(graph: Graph, plan: Plan, dtype: str, fast: FastDrives) -> dict[tuple[str, str], PortForm]:
    """Return in which form input arrives at each port."""
    forms = {}
    for node in graph.nodes:
        for port in node.model.inputs:
            edges = [e for e in graph.edges if (e.post, e.port) == (node.name, port)]
            counted = [e for e in edges if plan.choices[e.name].kind in COUNTED]
            drives = [d for d in graph.drives if (d.target, d.port) == (node.name, port)]
            drive = "" if not drives else "counts" if drives[0].name in fast.counts else "values"
            limits = [(abs(e.constant_weight or 0.0), MOST_COUNT) for e in counted]
            if drive == "counts":
                first, last, _ = fast.thresholds[drives[0].name]
                limits.append((abs(getattr(drives[0], "weight", 0.0)), last - first))
            sums = len(counted) < len(edges)
            small = dtype == "float32" and counted and not sums and drive != "values"
            split = bool(small) and _splits(limits, _grid(graph, node.name, port))
            forms[node.name, port] = PortForm(len(counted), sums, drive, split)
    return forms


def _splits(limits: list[tuple[float, int]], grid: float) -> bool:
    """Tell whether counters times the halves of their weights add up exactly in float32: 24 bits for either half.

    ``limits`` are sizes of weights, which must be whole multiples of the grid, and the largest counts.
    """
    if grid < 2.0**-100 or any(w / grid != np.rint(w / grid) for w, _ in limits):
        return False
    high = sum(np.rint(w / grid / 2**15) * most for w, most in limits)
    return bool(high <= 2**24 and sum(2**14 * most for _, most in limits) <= 2**24)


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
        """Lay out the tiles: where the counters, sums and drawn numbers of each are, and what is delivered to it."""
        self.part_rows: list[list[int]] = []
        self.port_rows: list[list[int]] = []
        self.factor_rows: list[list[float]] = []
        self.poisson_rows: list[list[int]] = []
        self.poisson_weights: list[float] = []
        self.job_rows: list[list[int]] = []
        self.job_weights: list[float] = []
        self.ext_base, self.ext_size = self._ext()
        tiles = [tile for phase in self.plan.phases for tile in phase]
        rows = [self._place(tile) for tile in tiles]
        self._build(tiles)
        for number, (tile, row) in enumerate(zip(tiles, rows, strict=True)):
            row[2] = len(self.job_rows)
            row[7] = self._deliver(number, tile, row[0])
            row[3] = len(self.job_rows)
        ends = np.cumsum([0, *(len(phase) for phase in self.plan.phases)])
        self.phases = np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64)
        self.tiles = np.array(rows, np.int64).reshape(-1, 8)
        self.part_table = np.array(self.part_rows, np.int64).reshape(-1, 12)
        self.ports = np.array(self.port_rows, np.int64).reshape(-1, 4)
        self.factors = np.array(self.factor_rows, np.float64).reshape(-1, 6)
        self.poisson = np.array(self.poisson_rows, np.int64).reshape(-1, 10)
        self.poisson_factors = np.array(self.poisson_weights, np.float64)
        self.jobs = np.array(self.job_rows, np.int64).reshape(-1, 16)
        self.weights = np.array(self.job_weights, np.float64)
        widest = max((part.padded for part in self.parts), default=0)
        large = widest if any(not row[0] for row in self.poisson_rows) else 0
        counters, cells, drawn, channels = self.tiles[:, 4:].max(axis=0, initial=0)
        most_parts = max((len(tile) for tile in tiles), default=0)
        image = max((row[6] for row in self.job_rows if row[0] in (NUMBER["conv"], NUMBER["conv_values"])), default=0)
        self.sizes = np.array([counters, cells, drawn, widest, channels, most_parts, large, image], np.int64)

    def _ext(self) -> tuple[dict[tuple[str, str], int], int]:
        base, size = {}, 0
        for node in self.graph.nodes:
            for port in node.model.inputs:
                if self.port_forms[node.name, port].drive == "values":
                    base[node.name, port] = size
                    size += node.n
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
        group = self.groups[number]
        for port in node.model.inputs:
            self._place_port(part, port)
        self.part_rows.append(
            [
                self.graph.nodes.index(node), number, group.start[node.name] + part.lo, part.n,
                self.span_of[len(self.part_rows)], first_port, len(self.port_rows), group.nodes.index(node),
                first_poisson, len(self.poisson_rows), 0, 0,
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
            [_grid(self.graph, name, port) or 1.0, factor, *weights, *[0.0] * (CHANNELS - len(weights))]
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

    def _deliver(self, number: int, tile: tuple[Part, ...], first_part: int) -> int:
        """Append what is delivered to a tile; return how many channels of counters it has."""
        channels = 0
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
                elif kind == "conv":
                    weights, shape = table
                    image = int(shape[6] * shape[7] * shape[8])
                    self._job("conv", edge.pre, delay, 1, [image, part.n, cell, 0], [weights, shape])
        for pre in [*self.source_names, *self.spans_of]:
            if (pre, number) in self.merged:
                found = self.built[self.merged[pre, number]]
                arrays = [found.first, found.cells, found.weights]
                self._job("segments" + _width(found.weights), pre, found.min_delay, found.delays, [0, 0, 0, 0], arrays)
        return channels

    def _count(self, part: Part, edge: Edge, row: int, channel: int, table: Any) -> None:
        """Append the deliveries of a projection that is counted."""
        place = [e.name for e in self._counted(edge.post, edge.port)].index(edge.name)
        cell, counters, *_ = self.port_rows[row]
        mantissa = (edge.constant_weight or 0.0) / self.factor_rows[row][0]

        def add(kind: str, multiplicity: int, arrays: list[Any]) -> None:
            numbers = [counters + place * part.padded, part.padded, cell, channel | max(1, multiplicity) << 40]
            self._job(kind, edge.pre, edge.constant_delay or 0, 1, numbers, arrays, mantissa)

        rows = table.rest if isinstance(table, build.Bitmap) else table
        if isinstance(table, build.Bitmap):
            add("bitmap", 1, [table.bits])
        if len(rows.targets):
            add("rows", rows.multiplicity, [rows.indptr, rows.targets])

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

    def set_weights(self, edge: Edge) -> bool:
        """Take over changed weights of a projection; return whether another representation is used from now on."""
        self.graph = replace(self.graph, edges=tuple(edge if e.name == edge.name else e for e in self.graph.edges))
        shared = self.plan.choices[edge.name].kind == "conv"  # weights of its own for each synapse end that
        if shared:
            choice = replace(self.plan.choices[edge.name], kind="segments")
            self.plan = replace(self.plan, choices={**self.plan.choices, edge.name: choice})
        if edge.constant_weight is None:
            self.built = {key: table for key, table in self.built.items() if edge.name not in _names(key)}
        self._tiles()
        return shared


def _names(key: tuple[Any, ...]) -> set[str]:
    """Return the projections that a table holds."""
    return {k[0] for k in key[1:]} if key[0] == "segments" else {key[1]}


def _convolution(edge: Edge) -> tuple[Any, Any]:
    """Return weights and sizes of a convolution onto a whole population, as the kernel wants them."""
    rule, grid = edge.pattern.rule, getattr(edge.weight, "grid", 0.0)
    assert isinstance(rule, Conv2d)
    channels, height, width = rule.output_shape(edge.pattern.pre)
    outputs = [height, width, conv.padded_channels(channels)]
    sizes = [*edge.pattern.pre[1:], *rule.weights.shape[2:], rule.stride, rule.padding, *outputs]
    whole = np.rint(rule.weights / grid).astype(np.int32)
    return conv.conv_weights(whole, rule.stride), np.array(sizes, np.int64)


def _width(weights: NDArray[Any]) -> str:
    return "32" if weights.dtype == np.int32 else "64"
