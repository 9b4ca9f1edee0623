"""Runs of a population's neurons, and what each would use of a core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.graph import Edge, Graph, Node
from spikesim.profile.device import Device
from spikesim.profile.memory import Layout, cheapest_layout

Ints = NDArray[np.int64]

CORE_RULES = (
    "neurons_per_core",
    "in_axons_per_core",
    "out_axons_per_core",
    "synapse_words_per_core",
    "words_per_axon",
    "memory_bytes_per_core",
    "configurations_per_core",
    "thresholds_per_core",
)
"""Limits of one core that a smaller run of neurons may keep."""

NOT_CONFIGURED = ("bias", "bias_mant", "bias_exp", "v_th", "th", "q")
"""Parameters that belong to a neuron, or to its threshold, and not to a shared set of decays."""


@dataclass(frozen=True, eq=False)
class Arrivals:
    """The synapses of one edge whose weight is not 0 (or that learn), sorted by target.

    Parameters
    ----------
    edge
        The edge.
    first
        Number of its source's first element, counted over the whole network.
    source
        Source element of each synapse.
    start
        ``source[start[i]:start[i + 1]]`` reach the target's i-th neuron, in the order of the runs.
    """

    edge: Edge
    first: int
    source: NDArray[np.int32]
    start: Ints

    @classmethod
    def of(cls, edge: Edge, first: int, rank: Ints | None) -> Arrivals:
        """Unfold an edge; ``rank`` is each target's place in the order of the runs."""
        target, pointer = edge.indices, edge.indptr
        if not (edge.learning is not None and edge.learning.model.learns):
            weights = edge.weights
            if np.ndim(weights) == 0:
                keep = slice(None) if weights else slice(0)
                target, pointer = target[keep], pointer if weights else np.zeros_like(pointer)
            else:
                mask = np.asarray(weights) != 0
                pointer = np.concatenate([[0], np.cumsum(mask)])[pointer]
                target = target[mask]
        placed = target if rank is None else rank[target]
        rows = sparse.csr_array((np.ones(len(placed), np.int8), placed, pointer), shape=(edge.n_pre, edge.n_post))
        columns = rows.tocsc()
        return cls(edge, first, columns.indices.astype(np.int32), columns.indptr.astype(np.int64))

    def group(self, begin: int, end: int, spans: bool) -> tuple[Ints, Ints, Ints]:
        """Return, for the neurons ``begin ... end - 1``: sources, their synapses, first to last target of each."""
        source = self.source[self.start[begin] : self.start[end]]
        target = np.repeat(np.arange(begin, end), np.diff(self.start[begin : end + 1])) if spans else source
        if 2 * len(source) > self.edge.n_pre:  # no need to sort: count in an array of all sources
            synapses = np.bincount(source, minlength=self.edge.n_pre)
            found = np.flatnonzero(synapses)
            if not spans:
                return found, synapses[found], synapses[found]
            last, least = np.zeros_like(synapses), np.zeros_like(synapses)
            last[source], least[source[::-1]] = target, target[::-1]  # sorted by target: what is written last stays
            return found, synapses[found], last[found] - least[found] + 1
        order = np.argsort(source, kind="stable")
        ordered, reached = source[order], target[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        synapses = np.diff(starts, append=len(ordered))
        span = reached[starts + synapses - 1] - reached[starts] + 1 if spans else synapses
        return ordered[starts].astype(np.int64), synapses, span


@dataclass(frozen=True, eq=False)
class Run:
    """What neurons that stand together in one population use of a core.

    Parameters
    ----------
    loads
        By the name of the limit; what is counted once per core, whoever needs it, is not among them.
    axons
        Source elements that reach the run, counted over the whole network.
    configurations, thresholds
        Sets of decays and thresholds, numbered over the whole network.
    layouts
        Edge to the layout of its synapses.
    """

    loads: Mapping[str, int]
    axons: Ints
    configurations: frozenset[int] = frozenset()
    thresholds: frozenset[int] = frozenset()
    layouts: Mapping[str, Layout] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Block:
    """A population that is to be cut into runs.

    Parameters
    ----------
    node
        The population.
    order
        Its neurons in the order of the runs.
    arrivals
        Its synapses.
    configurations, thresholds
        Number of each neuron's set of decays and of its threshold, in the order of the runs; None if not known.
    """

    node: Node
    order: Ints
    arrivals: tuple[Arrivals, ...]
    device: Device
    weight_bits: int
    configurations: Ints | None
    thresholds: Ints | None

    def run(self, begin: int, end: int, out: Ints | None = None) -> Run:
        """Return what the neurons ``begin ... end - 1`` use; ``out`` are the out-axon entries of each neuron."""
        memory, neurons = self.device.synapse_memory, end - begin
        loads = {"neurons_per_core": neurons}
        axons, layouts = [], {}
        words, longest, synapses = 0, 0, 0
        for arrival in self.arrivals:
            edge = arrival.edge
            source, count, span = arrival.group(begin, end, spans=memory is not None)
            axons.append(source + arrival.first)
            synapses += int(count.sum())
            if memory is not None and len(source):
                delays = (edge.min_delay, edge.max_delay)
                each, layouts[edge.name] = cheapest_layout(
                    count, span, memory, neurons=neurons, weight_bits=self.weight_bits, delays=delays
                )
                words, longest = words + int(each.sum()), max(longest, int(each.max()))
        keys = np.concatenate([np.zeros(0, np.int64), *axons])
        if len({a.first for a in self.arrivals}) < len(self.arrivals):  # two edges of one source share its axons
            keys = np.unique(keys)
        sent = 0 if out is None else int(out[self.order[begin:end]].sum())
        loads |= {"out_axons_per_core": sent, "synapse_words_per_core": words, "words_per_axon": longest}
        if self.device.packing is not None:
            p = self.device.packing
            used = neurons * p.neuron_bytes + synapses * p.synapse_bytes
            loads["memory_bytes_per_core"] = int(np.ceil(used + len(keys) * p.in_axon_bytes + sent * p.out_axon_bytes))
        return Run(
            {rule: load for rule, load in loads.items() if self.device.limit(rule) is not None},
            keys,
            _among(self.configurations, begin, end),
            _among(self.thresholds, begin, end),
            layouts,
        )

    def words_by(self, begin: int, end: int) -> int:
        """Return the words of a run by the device's second formula, where it has one."""
        memory = self.device.synapse_memory_upper
        total = 0
        for arrival in self.arrivals if memory is not None else ():
            _, count, span = arrival.group(begin, end, spans=True)
            if memory is not None and len(count):
                delays = (arrival.edge.min_delay, arrival.edge.max_delay)
                each, _ = cheapest_layout(
                    count, span, memory, neurons=end - begin, weight_bits=self.weight_bits, delays=delays
                )
                total += int(each.sum())
        return total


def _among(numbers: Ints | None, begin: int, end: int) -> frozenset[int]:
    return frozenset() if numbers is None else frozenset(np.unique(numbers[begin:end]).tolist())


class Numbering:
    """Gives equal things equal numbers."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[object, ...], int] = {}

    def of(self, rows: Sequence[tuple[object, ...]]) -> Ints:
        """Return the number of each row."""
        return np.array([self._numbers.setdefault(row, len(self._numbers)) for row in rows], np.int64)


def _numbered(node: Node, names: Sequence[str], numbering: Numbering) -> Ints:
    """Give each set of values that neurons have for some parameters a number."""
    values = [np.broadcast_to(np.asarray(node.params[name], np.float64), (node.n,)) for name in names]
    if not any(np.ndim(node.params[name]) for name in names):
        row = (node.model.name, *names, *(float(v[0]) if node.n else 0.0 for v in values))
        return np.full(node.n, numbering.of([row])[0])
    table, number = np.unique(np.stack(values, axis=1), axis=0, return_inverse=True)
    numbers = numbering.of([(node.model.name, *names, *row) for row in table.tolist()])
    return numbers[number.reshape(-1)]


def quantised(graph: Graph) -> bool:
    """Whether all populations have the chip's whole numbers for decays and thresholds."""
    return all(node.model.name == "loihi_lif" for node in graph.nodes)


def blocks(graph: Graph, device: Device, weight_bits: int, orders: Mapping[str, Ints]) -> list[Block]:
    """Return the populations, ready to be cut; ``orders`` holds neurons that shall not stand in their own order."""
    first = first_elements(graph)
    decays, levels = Numbering(), Numbering()
    counted = quantised(graph)
    found = []
    for node in graph.nodes:
        order = orders.get(node.name)
        rank = None if order is None else np.argsort(order)
        # in the order of their sources, so that the axons of a run are sorted
        edges = sorted((e for e in graph.edges if e.post == node.name), key=lambda e: first[e.pre])
        arrivals = tuple(Arrivals.of(e, first[e.pre], rank) for e in edges)
        places = np.arange(node.n) if order is None else order
        sets = thresholds = None
        if counted and device.limit("configurations_per_core") is not None:
            names = [name for name in node.params if name not in NOT_CONFIGURED]
            sets = _numbered(node, names, decays)[places]
        if counted and device.limit("thresholds_per_core") is not None:
            thresholds = _numbered(node, [n for n in ("v_th",) if n in node.params], levels)[places]
        found.append(Block(node, places, arrivals, device, weight_bits, sets, thresholds))
    return found


def elements(graph: Graph) -> list[tuple[str, int]]:
    """Return name and size of every source and population."""
    return [*((s.name, s.n) for s in graph.sources), *((p.name, p.n) for p in graph.nodes)]


def first_elements(graph: Graph) -> dict[str, int]:
    """Return the number of each source's and population's first element, counted over the whole network."""
    sizes = elements(graph)
    starts = np.cumsum([0, *(n for _, n in sizes)])
    return {name: int(start) for (name, _), start in zip(sizes, starts, strict=False)}


def says_what_a_core_holds(device: Device) -> bool:
    """Tell whether a device states enough to fill cores; otherwise each population is one part by itself."""
    rules = ("neurons_per_core", "synapse_words_per_core", "memory_bytes_per_core")
    return any(device.limits.get(rule) is not None for rule in rules)


def image_orders(graph: Graph) -> dict[str, Ints]:
    """Return, for populations in the shape of images, the neurons place by place instead of channel by channel.

    Neurons of one place and its surroundings see the same inputs: a core then receives fewer axons.
    """
    return {
        node.name: np.arange(node.n).reshape(node.shape).transpose(1, 2, 0).reshape(-1)
        for node in graph.nodes
        if len(node.shape) == 3 and node.shape[0] > 1
    }
