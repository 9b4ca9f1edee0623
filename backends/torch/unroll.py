"""A network over many steps: layers all steps at once, cycles step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spikesim.backends.torch.cycle import Member, run_cycle
from spikesim.backends.torch.scan import Scan
from spikesim.backends.torch.wire import Sums, Wire
from spikesim.graph import Graph, Node


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
    spikes, traces = cell.scan(inputs, cell.init, cell.constants, shape, cell.wanted)
    states |= {f"{cell.node.name}/{name}": traces[name][1:] for name in cell.wanted}
    return {cell.node.name: spikes}


def _cycle(
    cells: Sequence[Cell], internal: Sequence[Wire], arriving: dict[str, Sums], states: Sums, size: tuple[int, int]
) -> Sums:
    """Compute the populations of a cycle together."""
    members = []
    for cell in cells:
        dtype = next(iter(cell.init.values())).dtype
        init = {s: x.expand(size[1], cell.node.n) for s, x in cell.init.items()}
        feeds = {p: x.to(dtype) for p, x in arriving[cell.node.name].items()}
        member = Member(
            cell.node.name, cell.node.n, cell.scan, feeds, cell.drives, init, cell.constants, tuple(cell.wanted)
        )
        members.append(member)
    spikes, traces = run_cycle(members, internal, *size)
    for cell in cells:
        states |= {f"{cell.node.name}/{s}": traces[cell.node.name][s][1:] for s in cell.wanted}
    return spikes


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
