"""Place a network on a device's cores: a plain greedy partition, the packets it causes, and whether it fits.

Each population is split into equal runs of neurons, as few as its walls allow; the runs fill cores in the order of the
populations, several small ones on one core. The number of cores is an upper bound: no better arrangement is searched.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.profile.device import Device
from spikesim.profile.fit import Check, Fit, check, judge
from spikesim.profile.partition import (
    Formats,
    Ints,
    Synapses,
    core_loads,
    elements,
    part_of,
    says_what_a_core_holds,
    split,
)
from spikesim.profile.sharing import share_cores

ASSUMED_WEIGHT_BITS = 8


@dataclass(frozen=True, eq=False)
class Routes:
    """Where the spikes of one population or source go: one row per (element, destination core).

    Parameters
    ----------
    name, n
        The population or source, and its number of elements.
    is_source
        Whether its spikes come from outside the chip.
    element, core
        Source element and destination core of each packet.
    synapses
        Synapses that the packet reaches there.
    hops_x, hops_y
        Routers that it crosses on the way, east-west and north-south; 0 where the device states no mesh.
    """

    name: str
    n: int
    is_source: bool
    element: Ints
    core: Ints
    synapses: Ints
    hops_x: Ints
    hops_y: Ints

    def per_element(self, what: str = "packets") -> Ints:
        """Return packets, ``hops_x`` or ``hops_y`` of one spike, for each element."""
        weights = None if what == "packets" else getattr(self, what)
        return np.bincount(self.element, weights, minlength=self.n).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Mapping:
    """A network on the cores of a device.

    Parameters
    ----------
    device, network
        Names.
    cores
        Number of cores.
    core_of
        Population to the core of each neuron.
    routes
        By population or source.
    loads
        By the name of a limit: what each core uses of it.
    has_mesh
        Whether hops are known.
    routers
        Routers (tiles) in use.
    fit
        Whether it fits.
    """

    device: str
    network: str
    cores: int
    core_of: MappingType[str, Ints]
    routes: MappingType[str, Routes]
    loads: MappingType[str, Ints]
    has_mesh: bool
    routers: int
    fit: Fit


def place(graph: Graph, device: Device, *, weight_bits: int | None = None) -> Mapping:
    """Place a network on one chip of a device.

    Parameters
    ----------
    graph
        The lowered network.
    device
        The device.
    weight_bits
        Bits of a weight, if known; 8 are assumed otherwise, and the fit says so.

    Returns
    -------
    Mapping
        Also if the network does not fit: ``mapping.fit`` says why, ``mapping.fit.require()`` raises.
    """
    if weight_bits is not None and not 1 <= weight_bits <= 64:
        raise InvalidValueError(f"weight_bits must be 1 to 64, found {weight_bits}")
    formats = Formats(ASSUMED_WEIGHT_BITS if weight_bits is None else weight_bits)
    synapses = {e.name: Synapses.of(e) for e in graph.edges}
    parts = split(graph, device, synapses, formats)
    core_of_part = share_cores(graph, device, parts, synapses, formats)
    core_of = {n.name: core_of_part[n.name][part_of(n.n, parts[n.name])] for n in graph.nodes}
    cores = 1 + max((int(c.max()) for c in core_of_part.values()), default=-1)
    routes = _routes(graph, device, core_of, synapses, cores)
    loads = _loads(graph, device, parts, core_of_part, routes, synapses, formats, cores)
    known = says_what_a_core_holds(device)
    whole = f"network {graph.name!r}"
    checks = [*_core_checks(device, core_of, loads), *_network_checks(graph, device, routes, synapses)]
    checks += _kept(check(device, "cores", whole, cores) if known else None)
    checks += _kept(check(device, "weight_bits", whole, weight_bits) if weight_bits is not None else None)
    fit = judge(device, cores if known else None, checks, _assumptions(device, weight_bits), _notes(graph, device))
    per_router = device.grid.cores_per_router if device.grid else 1
    routers = -(-cores // per_router)
    return Mapping(device.name, graph.name, cores, core_of, routes, loads, device.grid is not None, routers, fit)


def _kept(found: Check | None) -> list[Check]:
    return [] if found is None else [found]


# ------------------------------------------------------------------------------------------------------------ routes
def _routes(
    graph: Graph, device: Device, core_of: dict[str, Ints], synapses: dict[str, Synapses], cores: int
) -> dict[str, Routes]:
    routes = {}
    for name, n in elements(graph):
        is_source = name not in core_of
        keys = [
            synapses[e.name].source * cores + core_of[e.post][synapses[e.name].target]
            for e in graph.edges
            if e.pre == name
        ]
        key, reached = _count_each(np.concatenate([np.zeros(0, np.int64), *keys]))
        element, core = np.divmod(key, max(cores, 1))
        # inputs enter the mesh at its first router
        start = np.zeros_like(core) if is_source else core_of[name][element]
        hops_x, hops_y = _hops(device, start, core)
        routes[name] = Routes(name, n, is_source, element, core, reached, hops_x, hops_y)
    return routes


def _count_each(keys: Ints) -> tuple[Ints, Ints]:
    """Return the distinct values, sorted, and how often each occurs."""
    if (np.diff(keys) < 0).any():
        keys = np.sort(keys)
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[starts], np.diff(starts, append=len(keys))


def _hops(device: Device, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    if device.grid is None:
        return np.zeros_like(start), np.zeros_like(start)
    columns, each = device.grid.columns, device.grid.cores_per_router
    (y0, x0), (y1, x1) = np.divmod(start // each, columns), np.divmod(end // each, columns)
    return np.abs(x1 - x0), np.abs(y1 - y0)


# ------------------------------------------------------------------------------------------------------------- loads
def _loads(
    graph: Graph,
    device: Device,
    parts: dict[str, int],
    core_of_part: dict[str, Ints],
    routes: dict[str, Routes],
    synapses: dict[str, Synapses],
    formats: Formats,
    cores: int,
) -> dict[str, Ints]:
    """Add up what the parts on each core use; axons are counted once per core, whichever part they serve."""
    loads: dict[str, Ints] = {}
    for node in graph.nodes:
        edges = [e for e in graph.edges if e.post == node.name]
        blocks = [synapses[e.name].blocks(parts[node.name]) for e in edges]
        for rule, load in core_loads(device, node.n, parts[node.name], blocks, edges, formats).items():
            total = loads.setdefault(rule, np.zeros(cores, np.int64))
            (np.maximum if rule == "words_per_axon" else np.add).at(total, core_of_part[node.name], load)
    if device.limits.in_axons_per_core is not None:
        loads["in_axons_per_core"] = _bincount([r.core for r in routes.values()], cores)
    if device.limits.out_axons_per_core is not None:
        home = [core_of_part[n][part_of(r.n, parts[n])][r.element] for n, r in routes.items() if not r.is_source]
        loads["out_axons_per_core"] = _bincount(home, cores)
    return loads


def _bincount(pieces: list[Ints], cores: int) -> Ints:
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *pieces]), minlength=cores)


def _core_checks(device: Device, core_of: dict[str, Ints], loads: dict[str, Ints]) -> list[Check]:
    checks = []
    for rule, load in loads.items():
        if not len(load):
            continue
        worst = int(np.argmax(load))
        names = [repr(name) for name, cores in core_of.items() if (cores == worst).any()]
        subject = f"population{'s' if len(names) > 1 else ''} {', '.join(names)} -> core {worst}"
        checks += _kept(check(device, rule, subject, int(load[worst])))
    return checks


def _network_checks(
    graph: Graph, device: Device, routes: dict[str, Routes], synapses: dict[str, Synapses]
) -> list[Check]:
    outputs = {n.name for n in graph.nodes} - {e.pre for e in graph.edges if e.post != e.pre}
    whole = f"network {graph.name!r}"
    totals = {
        "neurons": graph.neurons,
        "synapses": sum(len(s.target) for s in synapses.values()),
        "inputs": sum(s.n for s in graph.sources),
        "outputs": sum(n.n for n in graph.nodes if n.name in outputs),
        "hidden_neurons": sum(n.n for n in graph.nodes if n.name not in outputs),
        "layers": len(graph.nodes),
    }
    checks = [c for rule, used in totals.items() for c in _kept(check(device, rule, whole, used))]
    for node in graph.nodes:
        subject = f"population {node.name!r}"
        checks += _kept(check(device, "fan_in", subject, _fan_in(node.name, node.n, graph, synapses)))
        reached = int(routes[node.name].per_element().max(initial=0))
        checks += _kept(check(device, "target_cores_per_neuron", subject, reached))
    for edge in graph.edges:
        checks += _kept(check(device, "delay_max", f"projection {edge.name!r}", edge.max_delay))
    return checks


def _fan_in(name: str, n: int, graph: Graph, synapses: dict[str, Synapses]) -> int:
    total: NDArray[np.int64] = np.zeros(n, np.int64)
    for edge in graph.edges:
        if edge.post == name:
            total += np.bincount(synapses[edge.name].target, minlength=n)
    return int(total.max(initial=0))


# -------------------------------------------------------------------------------------------------------- statements
def _assumptions(device: Device, weight_bits: int | None) -> list[str]:
    assumptions = []
    if weight_bits is None and device.limits.weight_bits is not None:
        bits = device.limits.weight_bits.value
        assumptions.append(f"weights can be held in {bits:g} bits (not known until the network is quantised)")
    if device.packing is not None:
        p = device.packing
        assumptions.append(
            f"a neuron takes {p.neuron_bytes:g} bytes, a synapse {p.synapse_bytes:g}, an in-axon {p.in_axon_bytes:g}: "
            f"{p.source} ({p.evidence})"
        )
    return assumptions


def _notes(graph: Graph, device: Device) -> list[str]:
    notes = ["places neurons and synapses only; whether the chip has the neuron model is for its back end to check"]
    soonest = device.limits.delay_min
    early = [e.name for e in graph.edges if soonest is not None and e.min_delay < soonest.value]
    if early:
        notes.append(f"delivered later than simulated, in the next step: {', '.join(early)}")
    if graph.drives:
        notes.append(f"made on the chip or sent to it, not placed: {', '.join(d.name for d in graph.drives)}")
    return notes
