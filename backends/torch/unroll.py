"""A network over many steps: layers all steps at once, cycles step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spikesim.backends.torch.linear import LinearMap, SparseMap
from spikesim.backends.torch.scan import Scan
from spikesim.graph import Edge, Graph, Node

Sums = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Wire:
    """A projection with its map."""

    edge: Edge
    linear: LinearMap

    def delays(self) -> list[int]:
        """Return the delays that occur; the map has one part for each."""
        return [d for d, _ in self.linear.groups] if isinstance(self.linear, SparseMap) else [self.edge.max_delay]

    def apply(self, x: torch.Tensor, group: int) -> torch.Tensor:
        """Project ``[m, n_pre]`` over the synapses of one delay."""
        result: torch.Tensor = self.linear(x, group) if isinstance(self.linear, SparseMap) else self.linear(x)
        return result

    def all_steps(self, values: torch.Tensor) -> torch.Tensor:
        """Project ``[steps, samples, n_pre]`` with one product per delay, and shift by the delay."""
        steps, samples, _ = values.shape
        total = values.new_zeros(())
        for group, delay in enumerate(self.delays()):
            rest = max(steps - delay, 0)
            if values.stride(0) == 0:  # the same at every step: one product serves all
                sums = self.apply(values[0], group).expand(rest, samples, self.edge.n_post)
            else:
                sums = self.apply(values[:rest].reshape(-1, self.edge.n_pre), group)
                sums = sums.view(rest, samples, self.edge.n_post)
            shifted = sums if not delay else torch.cat([sums.new_zeros((steps - rest, *sums.shape[1:])), sums])
            total = total + shifted if group else shifted
        return total.expand(steps, samples, self.edge.n_post)


@dataclass(frozen=True, eq=False)
class Cell:
    """A population as it is needed in one pass.

    Parameters
    ----------
    node, scan
        The population and how to scan it.
    constants, init
        Step constants and initial states, in the type of the pass.
    drives
        Summed drives by port, ``[steps, samples or 1, n]``.
    wanted
        States to return.
    """

    node: Node
    scan: Scan
    constants: Sums
    init: Sums
    drives: Sums
    wanted: Sequence[str]

    def total(self, sums: Sums, drives: Sums) -> Sums:
        """Add the drives to what arrives over projections, in the order of a run."""
        dtype = next(iter(self.init.values())).dtype if self.init else torch.get_default_dtype()
        ports = [p for p in self.node.model.inputs if p in sums or p in drives]
        both = {p: sums[p] + drives[p] if p in sums and p in drives else sums.get(p, drives.get(p)) for p in ports}
        return {p: x.to(dtype) for p, x in both.items() if x is not None}


def add(sums: Sums, port: str, value: torch.Tensor) -> None:
    """Add to the sum of a port."""
    sums[port] = sums[port] + value if port in sums else value


def advance(cells: Sequence[Cell], wires: Sequence[Wire], emitted: Sums, states: Sums, size: tuple[int, int]) -> Sums:
    """Compute the populations of one component over all steps.

    Parameters
    ----------
    cells
        The populations.
    wires
        All projections of the network.
    emitted
        Spikes or values of sources and earlier populations, ``[steps, samples, n]``.
    states
        Takes the states that are wanted, by ``"population/state"``.
    size
        ``(steps, samples)``.

    Returns
    -------
    dict
        Spikes of each population, ``[steps, samples, n]``.
    """
    inside = {c.node.name for c in cells}
    arriving: dict[str, Sums] = {name: {} for name in inside}
    for wire in wires:
        if wire.edge.post in inside and wire.edge.pre not in inside:
            add(arriving[wire.edge.post], wire.edge.port, wire.all_steps(emitted[wire.edge.pre]))
    internal = [w for w in wires if w.edge.pre in inside and w.edge.post in inside]
    if internal:
        return _cycle(cells, internal, arriving, states, size)
    (cell,) = cells
    shape = (*size, cell.node.n)
    inputs = {p: x.expand(shape) for p, x in cell.total(arriving[cell.node.name], cell.drives).items()}
    spikes, traces = cell.scan(inputs, cell.init, cell.constants, shape)
    states |= {f"{cell.node.name}/{name}": traces[name][1:] for name in cell.wanted}
    return {cell.node.name: spikes}


def _cycle(
    cells: Sequence[Cell], internal: Sequence[Wire], arriving: dict[str, Sums], states: Sums, size: tuple[int, int]
) -> Sums:
    """Compute the populations of a cycle, step by step in the order of their levels."""
    steps, samples = size
    # unbind: x[t] of a tensor that needs gradients would cost a tensor of full size per step in the backward pass
    feeds = {name: {p: x.unbind(0) for p, x in sums.items()} for name, sums in arriving.items()}
    now = {c.node.name: {s: x.expand(samples, c.node.n) for s, x in c.init.items()} for c in cells}
    fired: dict[str, list[torch.Tensor]] = {c.node.name: [] for c in cells}
    traces: dict[str, list[torch.Tensor]] = {f"{c.node.name}/{s}": [] for c in cells for s in c.wanted}
    for wire in internal:  # a port that hears only the cycle is silent at first
        silence = next(iter(cells[0].init.values())).new_zeros((samples, wire.edge.n_post))
        feeds[wire.edge.post].setdefault(wire.edge.port, (silence,) * steps)
    for t in range(steps):
        for cell in cells:
            name = cell.node.name
            sums = {p: x[t] for p, x in feeds[name].items()}
            for wire in internal:
                if wire.edge.post == name:
                    for group, delay in enumerate(wire.delays()):
                        if t >= delay:
                            add(sums, wire.edge.port, wire.apply(fired[wire.edge.pre][t - delay], group))
            inputs = cell.total(sums, {p: x[t] for p, x in cell.drives.items()})
            spikes, now[name] = cell.scan.step(inputs, now[name], cell.constants, (samples, cell.node.n))
            fired[name].append(spikes)
            for state in cell.wanted:
                traces[f"{name}/{state}"].append(now[name][state])
    states |= {name: torch.stack(values) for name, values in traces.items()}
    return {name: torch.stack(values) for name, values in fired.items()}


def components(graph: Graph) -> list[list[Node]]:
    """Group the populations: each group is one cycle, or one population, and needs only earlier groups."""
    reach = {n.name: _reachable(n.name, graph) for n in graph.nodes}
    groups: list[list[Node]] = []
    remaining = list(graph.nodes)
    while remaining:
        for node in remaining:
            own = {node.name} | {m for m in reach[node.name] if node.name in reach[m]}
            if not any(own & reach[m.name] for m in remaining if m.name not in own):
                groups.append([n for n in graph.nodes if n.name in own])
                remaining = [n for n in remaining if n.name not in own]
                break
    return groups


def _reachable(start: str, graph: Graph) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        here = todo.pop()
        for edge in graph.edges:
            if edge.pre == here and edge.post not in seen:
                seen.add(edge.post)
                todo.append(edge.post)
    return seen
