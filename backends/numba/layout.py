"""Graph -> the flat tables that the compiled loop reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.graph import Edge, Graph, Node
from spikesim.lowering import is_graded_input
from spikesim.neuron import NeuronModel

SPIKES, VALUES, NEURONS = 0, 1, 2  # kinds of units


@dataclass(eq=False)
class Block:
    """All populations of one model, side by side, so that one kernel serves them."""

    model: NeuronModel
    nodes: list[Node]
    start: dict[str, int]  # first neuron of each population within the block

    @property
    def n(self) -> int:
        """Number of neurons."""
        return sum(node.n for node in self.nodes)

    def constant(self, name: str) -> Any:
        """Return one number if all populations share it, else one value per neuron."""
        values = [node.constants[name] for node in self.nodes]
        if all(np.ndim(v) == 0 and v == values[0] for v in values):
            return float(values[0])
        return np.concatenate([np.broadcast_to(v, node.n) for v, node in zip(values, self.nodes, strict=True)])

    def initial(self) -> NDArray[np.float64]:
        """Return the initial states, ``[states, n]``."""
        names = self.model.states
        return np.array([np.concatenate([node.init[s] for node in self.nodes]) for s in names]).reshape(
            len(names), self.n
        )


def blocks(graph: Graph) -> list[Block]:
    """Group the populations by model."""
    found: dict[NeuronModel, Block] = {}
    for node in graph.nodes:
        block = found.setdefault(node.model, Block(node.model, [], {}))
        block.start[node.name] = block.n
        block.nodes.append(node)
    return list(found.values())


@dataclass(eq=False)
class Layout:
    """Tables of :mod:`spikesim.backends.numba.loop`.

    Parameters
    ----------
    unit_names
        Names in the order of ``units``.
    spike_sources, value_sources
        Sources in the order in which their elements stand in the input arrays.
    drive_base
        ``(population, port)`` to the first entry in the drive buffer.
    edge_rows
        Edge name to its row in ``edges``.
    weight_slices
        Edge name to its part of ``weights``, for edges with one weight per synapse.
    """

    unit_names: list[str]
    units: NDArray[np.int64]
    ports: NDArray[np.int64]
    edges: NDArray[np.int64]
    edge_weights: NDArray[np.float64]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float64]
    delays: NDArray[np.int32]
    ring_size: int
    drive_size: int
    spike_sources: list[str]
    value_sources: list[str]
    spike_width: int
    value_width: int
    neurons: int
    drive_base: dict[tuple[str, str], int]
    edge_rows: dict[str, int]
    weight_slices: dict[str, slice]


def layout(graph: Graph, groups: list[Block]) -> Layout:
    """Lay a graph out flat."""
    by_pre: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        by_pre.setdefault(edge.pre, []).append(edge)
    ordered = [e for name in _unit_order(graph) for e in by_pre.get(name, [])]
    ports, port_rows, ring_size = _ports(graph)
    drive_base, drive_size = _drives(graph)
    table, edge_weights, (indptr, indices, weights, delays), weight_slices = _edges(ordered, ports, port_rows)
    units, names, spikes, values, widths = _units(graph, groups, by_pre, port_rows, drive_base)
    return Layout(
        unit_names=names,
        units=units,
        ports=ports,
        edges=table,
        edge_weights=edge_weights,
        indptr=indptr,
        indices=indices,
        weights=weights,
        delays=delays,
        ring_size=ring_size,
        drive_size=drive_size,
        spike_sources=spikes,
        value_sources=values,
        spike_width=widths[0],
        value_width=widths[1],
        neurons=graph.neurons,
        drive_base=drive_base,
        edge_rows={e.name: k for k, e in enumerate(ordered)},
        weight_slices=weight_slices,
    )


def _unit_order(graph: Graph) -> list[str]:
    return [s.name for s in graph.sources] + [n.name for n in graph.nodes]


def _ports(graph: Graph) -> tuple[NDArray[np.int64], dict[tuple[str, str], int], int]:
    """Give each port a ring of as many slots as its longest delay needs."""
    rows: list[list[int]] = []
    where: dict[tuple[str, str], int] = {}
    size = 0
    for node in graph.nodes:
        for port in node.model.inputs:
            longest = max((e.max_delay for e in graph.edges if (e.post, e.port) == (node.name, port)), default=0)
            where[node.name, port] = len(rows)
            rows.append([size, longest + 1])
            size += (longest + 1) * node.n
    return np.array(rows, np.int64).reshape(-1, 2), where, size


def _drives(graph: Graph) -> tuple[dict[tuple[str, str], int], int]:
    base, size = {}, 0
    for node in graph.nodes:
        if any(d.target == node.name for d in graph.drives):
            for port in node.model.inputs:
                base[node.name, port] = size
                size += node.n
    return base, size


def _edges(
    ordered: list[Edge], ports: NDArray[np.int64], port_rows: dict[tuple[str, str], int]
) -> tuple[NDArray[np.int64], NDArray[np.float64], tuple[Any, ...], dict[str, slice]]:
    table, scalars, indptr, indices, weights, delays = [], [], [], [], [], []
    slices: dict[str, slice] = {}
    row = synapse = weight = 0
    for e in ordered:
        base, slots = ports[port_rows[e.post, e.port]]
        own_weights, own_delays = np.ndim(e.weights) > 0, np.ndim(e.delays) > 0
        table.append(
            [row, synapse, base, slots, e.n_post, -1 if own_delays else int(e.delays), weight if own_weights else -1]
        )
        scalars.append(0.0 if own_weights else float(np.asarray(e.weights)))
        indptr.append(e.indptr)
        indices.append(e.indices)
        delays.append(np.asarray(e.delays, np.int32) if own_delays else np.zeros(0, np.int32))
        if own_weights:
            weights.append(np.asarray(e.weights, np.float64))
            slices[e.name] = slice(weight, weight + e.synapses)
            weight += e.synapses
        row += e.n_pre + 1
        synapse += e.synapses
    if any(len(d) for d in delays):  # delays are read at the position of the synapse
        delays = [d if len(d) else np.zeros(e.synapses, np.int32) for d, e in zip(delays, ordered, strict=True)]
    arrays = (_join(indptr, np.int64), _join(indices, np.int32), _join(weights, np.float64), _join(delays, np.int32))
    return np.array(table, np.int64).reshape(-1, 7), np.array(scalars), arrays, slices


def _join(parts: list[Any], dtype: Any) -> NDArray[Any]:
    parts = [p for p in parts if len(p)]
    if len(parts) == 1:
        return np.require(parts[0], dtype, ["C", "W"])  # a read-only array would compile a second kernel
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _units(
    graph: Graph,
    groups: list[Block],
    by_pre: dict[str, list[Edge]],
    port_rows: dict[tuple[str, str], int],
    drive_base: dict[tuple[str, str], int],
) -> tuple[NDArray[np.int64], list[str], list[str], list[str], tuple[int, int]]:
    rows: list[list[int]] = []
    names: list[str] = []
    spikes: list[str] = []
    values: list[str] = []
    edge = neuron = 0
    widths = [0, 0]
    for source in graph.sources:
        kind = VALUES if is_graded_input(source) else SPIKES
        (values if kind == VALUES else spikes).append(source.name)
        count = len(by_pre.get(source.name, []))
        rows.append([kind, -1, 0, source.n, widths[kind], edge, edge + count, -1, 0, 0])
        widths[kind] += source.n
        edge += count
        names.append(source.name)
    for node in graph.nodes:
        number = next(k for k, g in enumerate(groups) if node.name in g.start)
        low = groups[number].start[node.name]
        inputs = node.model.inputs
        count = len(by_pre.get(node.name, []))
        drive = drive_base.get((node.name, inputs[0]), -1) if inputs else -1
        first_port = port_rows[node.name, inputs[0]] if inputs else 0
        rows.append([NEURONS, number, low, low + node.n, neuron, edge, edge + count, drive, len(inputs), first_port])
        neuron += node.n
        edge += count
        names.append(node.name)
    return np.array(rows, np.int64).reshape(-1, 10), names, spikes, values, (widths[0], widths[1])
