"""How a network is run: the representation of each projection, the tiles of targets, the steps between meetings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from spikesim.connect import Conv2d
from spikesim.devices import cores
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.graph import Edge, Graph, Node
from spikesim.synapse import SynapseModel
from spikesim.synapses import Constant, Snapped

KINDS = {
    "bitmap": "one weight and delay: one bit per possible pair, repeated pairs in rows",
    "rows": "one weight and delay: 16-bit targets by source, counted in bytes",
    "dense": "one weight per pair: full rows, added in registers",
    "conv": "a convolution: the patch of the kernel that each active input reaches",
    "segments": "16-bit targets and 32-bit weights, by source and delay",
    "plastic": "segments whose weights learn, caught up with the post spikes when they are used",
}
CHANNELS = 4  # byte counters a port can have; further projections with one weight are added as weights
CELLS = 65536  # accumulator cells of a tile: targets are 16-bit
EPOCH_LIMIT = 32  # steps; longer epochs would only push spike lists out of the cache
DENSE_BYTES = 2**21  # weights of a dense tile: in the second- or third-level cache, and few tiles
# Costs in ns on one thread, measured with benchmarks/bench_kernels.py; only their ratios matter.
NS_WORD, NS_EVENT, NS_SEGMENT_EVENT, NS_ROW, NS_DENSE, NS_NEURON = 0.35, 0.75, 1.5, 6.0, 0.1, 0.6
NS_PLASTIC_EVENT = 5.0  # with one post spike per arrival
THREAD_EPOCH_NS = 20_000  # work of an epoch below which a second thread costs more than it brings
Owned = Mapping[str, tuple[int, int]]  # population to the neurons lo .. hi - 1 of it


@dataclass(frozen=True)
class Choice:
    """How one projection is stored, and why.

    Parameters
    ----------
    edge, kind
        Name and representation.
    bytes_per_synapse
        Estimate from sizes and density.
    ns_per_spike
        Estimated cost of one spike of one source over all its synapses, on one thread.
    """

    edge: str
    kind: str
    bytes_per_synapse: float
    ns_per_spike: float


@dataclass(frozen=True)
class Part:
    """Neurons ``lo .. hi - 1`` of a population, owned by one tile."""

    node: Node
    lo: int
    hi: int

    @property
    def n(self) -> int:
        """Number of neurons."""
        return self.hi - self.lo

    @property
    def padded(self) -> int:
        """Number of neurons rounded up to whole blocks of 64."""
        return -(-self.n // 64) * 64


@dataclass(frozen=True)
class Plan:
    """See :func:`plan`.

    Parameters
    ----------
    choices
        Edge name to :class:`Choice`.
    epoch
        Steps between two meetings of the threads.
    phases
        Per phase the tiles, per tile its parts. Within an epoch a phase needs only the spikes of earlier phases.
    threads
        Threads that can work on one sample.
    levels
        Per phase the names of its populations.
    owned
        Population to ``(lo, hi)``: the neurons that this process runs; all, unless there are ranks.
    """

    choices: Mapping[str, Choice]
    epoch: int
    phases: tuple[tuple[tuple[Part, ...], ...], ...]
    threads: int
    levels: tuple[tuple[str, ...], ...]
    owned: Owned


def threads_for(given: int | None) -> int:
    """Return how many threads may run at once: not more than processors, for a team waits for its slowest thread."""
    return min(given or cores(), cores())


def plan(graph: Graph, threads: int, forced: Mapping[str, str] | None = None, owned: Owned | None = None) -> Plan:
    """Decide how a network is run.

    Parameters
    ----------
    graph
        The network.
    threads
        At most so many threads.
    forced
        Projection to representation, in place of the engine's choice.
    owned
        Population to ``(lo, hi)``: the neurons that this process runs, all if None.

    Raises
    ------
    UnknownNameError, InvalidValueError
        If a forced representation is not known or cannot hold the projection.
    """
    choices = choose(graph, forced or {}, whole=owned is None)
    owned = owned or {n.name: (0, n.n) for n in graph.nodes}
    epoch = epoch_length(graph)
    levels = _levels(graph, epoch)
    busy = epoch * NS_NEURON * max((sum(_size(owned, n) for n in level) for level in levels), default=0)
    useful = max(1, min(threads, int(2 * busy / THREAD_EPOCH_NS)))
    phases = tuple(tuple(_cut(graph, choices, level, owned, useful)) for level in levels)
    return Plan(choices, epoch, phases, useful, tuple(tuple(n.name for n in level) for level in levels), owned)


def _size(owned: Owned, node: Node) -> int:
    lo, hi = owned[node.name]
    return hi - lo


# ---------------------------------------------------------------------------------------------------- representations
def possible(edge: Edge) -> dict[str, Choice]:
    """Return the representations that can hold a projection, with what they cost."""
    n, degree = edge.n_post, edge.synapses / max(edge.n_pre, 1)
    if edge.learning is not None:
        return {"plastic": _plastic(edge, edge.learning.model, max(degree, 1e-9))}
    found = {"segments": (6.0 + 4.0 * (edge.max_delay - edge.min_delay + 1) / max(degree, 1e-9), NS_SEGMENT_EVENT)}
    if edge.constant_delay is not None and edge.constant_weight is not None and not edge.graded:
        found["rows"] = (2.0 + 4.0 / max(degree, 1e-9), NS_EVENT)
        found["bitmap"] = (n / 8 / max(degree, 1e-9), NS_WORD * n / 64 / max(degree, 1e-9))
    if edge.constant_delay is not None and edge.constant_weight is None and edge.synapses == edge.n_pre * n:
        found["dense"] = (4.0, NS_DENSE)
    rule = edge.pattern.rule
    snapped = isinstance(edge.weight, Snapped)
    if isinstance(rule, Conv2d) and snapped and edge.constant_delay is not None and n <= CELLS:
        found["conv"] = (4.0 * rule.weights.size / max(edge.synapses, 1), NS_DENSE)
    return {k: Choice(edge.name, k, size, NS_ROW + cost * degree) for k, (size, cost) in found.items()}


def _plastic(edge: Edge, model: SynapseModel, degree: float) -> Choice:
    rows = (12.0 + 8.0 * len(model.pre)) * (edge.max_delay - edge.min_delay + 1)
    synapse = 10.0 + ("on_post" in model.events) + (8.0 * len(model.states) + 4.0 if model.states else 0.0)
    return Choice(edge.name, "plastic", synapse + rows / degree, NS_ROW + NS_PLASTIC_EVENT * degree)


def choose(graph: Graph, forced: Mapping[str, str], whole: bool = True) -> dict[str, Choice]:
    """Choose a representation for each projection: the cheapest, unless it is forced.

    An image is added as a whole, so ``"conv"`` is for processes that run whole populations.
    """
    names = [e.name for e in graph.edges]
    for name, kind in forced.items():
        if name not in names:
            raise UnknownNameError("projection", name, names)
        if kind not in KINDS:
            raise UnknownNameError("representation", kind, list(KINDS))
    chosen, counted = {}, dict[tuple[str, str], int]()
    for edge in graph.edges:
        options = {k: c for k, c in possible(edge).items() if whole or k != "conv"}
        kind = forced.get(edge.name, "")
        if kind and kind not in options:
            raise InvalidValueError(
                f"projection {edge.name!r} cannot be held as {kind!r}; possible are {', '.join(sorted(options))}"
            )
        if not kind and counted.get((edge.post, edge.port), 0) >= CHANNELS:
            options = {k: c for k, c in options.items() if k not in ("rows", "bitmap")}
        best = options[kind] if kind else min(options.values(), key=lambda c: c.ns_per_spike)
        if best.kind in ("rows", "bitmap"):
            counted[edge.post, edge.port] = counted.get((edge.post, edge.port), 0) + 1
        chosen[edge.name] = best
    return chosen


# --------------------------------------------------------------------------------------------------- epochs and tiles
def epoch_length(graph: Graph) -> int:
    """Return how many steps the threads may do without meeting.

    The projections that are faster than an epoch must not make a cycle; then their populations can be run one after
    the other for the whole epoch.
    """
    edges = _links(graph)
    for delay in sorted({e.min_delay for e in edges if e.min_delay < EPOCH_LIMIT}):
        if replace(graph, edges=tuple(e for e in edges if e.min_delay <= delay)).recurrent_edges:
            return delay
    return EPOCH_LIMIT


def _links(graph: Graph) -> list[Edge]:
    """Return the projections with synapses; a population that rewards them acts on their targets one step later."""
    edges = [e for e in graph.edges if e.synapses]
    rewarded = [(e, e.learning.modulator) for e in edges if e.learning is not None and e.learning.modulator]
    return edges + [replace(e, pre=modulator, delay=Constant(1.0)) for e, modulator in rewarded]


def _levels(graph: Graph, epoch: int) -> list[list[Node]]:
    """Order the populations so that spikes that arrive within an epoch come from an earlier level."""
    names = {n.name for n in graph.nodes}
    fast = {(e.pre, e.post) for e in _links(graph) if e.pre in names and e.min_delay < epoch}
    level = dict.fromkeys(names, 0)
    for _ in graph.nodes:
        for pre, post in fast:
            level[post] = max(level[post], level[pre] + 1)
    return [[n for n in graph.nodes if level[n.name] == k] for k in range(max(level.values(), default=0) + 1)]


def _cut(
    graph: Graph, choices: Mapping[str, Choice], nodes: list[Node], owned: Owned, threads: int
) -> list[tuple[Part, ...]]:
    """Cut the populations of a level into tiles of about equal size that fit the cache and 16-bit targets."""
    tiles: list[list[Part]] = [[]]
    room = _tile_cells(nodes, owned, threads)
    left = room
    for node in nodes:
        if any(e.post == node.name and choices[e.name].kind == "conv" for e in graph.edges):
            tiles += [[Part(node, 0, node.n)], []]  # an image is added as a whole
            left = room
            continue
        width, cells, (lo, hi) = _widest(graph, choices, node), max(1, len(node.model.inputs)), owned[node.name]
        while lo < hi:
            if left < 64 * cells and tiles[-1]:
                tiles.append([])
                left = room
            n = min(hi - lo, width, max(64, left // cells // 64 * 64))
            tiles[-1].append(Part(node, lo, lo + n))
            lo += n
            left -= -(-n // 64) * 64 * cells
            if width < node.n:
                left = 0  # a dense slice has a tile to itself
    return [tuple(t) for t in tiles if t]


def _tile_cells(nodes: list[Node], owned: Owned, threads: int) -> int:
    total = sum(-(-_size(owned, n) // 64) * 64 * max(1, len(n.model.inputs)) for n in nodes)
    tiles = threads * max(1, -(-total // (threads * CELLS)))
    widest = max((max(1, len(n.model.inputs)) for n in nodes), default=1)
    return min(CELLS, -(-total // tiles // (64 * widest)) * 64 * widest)


def _widest(graph: Graph, choices: Mapping[str, Choice], node: Node) -> int:
    """Return how many neurons of a population a tile may have so that its dense weights stay in the cache."""
    dense = sum(e.n_pre for e in graph.edges if e.post == node.name and choices[e.name].kind == "dense")
    limit = CELLS // max(1, len(node.model.inputs)) // 64 * 64
    return min(limit, max(64, DENSE_BYTES // (4 * dense) // 64 * 64)) if dense else limit
