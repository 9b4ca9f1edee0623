"""Place a network on a device's cores, fewest cores first, then least traffic, and say whether it fits.

Populations are cut into runs of neurons, runs are put on cores (``arrangement.py``), cores on the mesh (``order.py``).
All of it is heuristic: the number of cores is an upper bound, and a lower bound (``bound.py``) stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field

import numpy as np

from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.profile.activity import Activity, Reals
from spikesim.profile.arrangement import arranged
from spikesim.profile.checks import Check, budget, check
from spikesim.profile.deadline import deadlines
from spikesim.profile.device import Device
from spikesim.profile.fit import Fit, judge
from spikesim.profile.limits import kept, network_checks, unknown_until_quantised
from spikesim.profile.memory import Layout
from spikesim.profile.order import arrange, routers_in_order
from spikesim.profile.partition import (
    Ints,
    elements,
    first_elements,
    says_what_a_core_holds,
)
from spikesim.profile.routes import Packets, Routes, route, traffic
from spikesim.profile.sharing import Arrangement, core_limits

__all__ = ["Mapping", "Routes", "place"]

ASSUMED_WEIGHT_BITS = 8


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
    router
        Router of each core, counted row by row.
    limits
        By the name of a limit: what one core allows.
    layouts
        Projection to the layouts of its synapses, and on how many cores each is used.
    least_cores
        Cores that no placement stays below; 0 where cores are not counted.
    hops_before, hops
        Packets times hops in a step (if every element fires at its rate, or once) in the order of filling, and now.
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
    router: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    limits: MappingType[str, float] = field(default_factory=dict)
    layouts: MappingType[str, MappingType[Layout, int]] = field(default_factory=dict)
    least_cores: int = 0
    hops_before: float = 0.0
    hops: float = 0.0


def place(
    graph: Graph,
    device: Device,
    *,
    weight_bits: int | None = None,
    activity: Activity | None = None,
    seed: int = 0,
) -> Mapping:
    """Place a network on one chip of a device.

    Parameters
    ----------
    graph
        The lowered network.
    device
        The device.
    weight_bits
        Bits of a weight, if known; 8 are assumed otherwise, and the fit says so.
    activity
        How often elements fire (``Activity.of(recording)``): for traffic and for deadlines. Without it every element
        counts the same, and deadlines stay unchecked.
    seed
        Of the search for the order of cores. The same seed gives the same mapping.

    Returns
    -------
    Mapping
        Also if the network does not fit: ``mapping.fit`` says why, ``mapping.fit.require()`` raises.
    """
    if weight_bits is not None and not 1 <= weight_bits <= 64:
        raise InvalidValueError(f"weight_bits must be 1 to 64, found {weight_bits}")
    bits = ASSUMED_WEIGHT_BITS if weight_bits is None else weight_bits
    rates = np.ones(sum(n for _, n in elements(graph))) if activity is None else activity.over(graph)
    found = arranged(graph, device, bits, rates)
    arrangement, core_of, sent, loads, cores = found.arrangement, found.core_of, found.sent, found.loads, found.cores
    least, because = found.least_cores, found.least_because
    router, hops = _routers(graph, device, sent, core_of, cores, rates, seed)
    routes = {name: route(device, p, core_of, router) for name, p in sent.items()}
    known = says_what_a_core_holds(device)
    reached = {name: r.per_element() for name, r in routes.items()}
    late, unchecked = deadlines(graph, device, routes, core_of, cores, activity)
    checks = [
        *_core_checks(device, core_of, loads, arrangement),
        *_upper_memory(device, arrangement),
        *network_checks(graph, device, found.cut, reached),
        *(_cores_check(device, graph, arrangement, least, because) if known else []),
        *kept(
            check(device, "weight_bits", f"network {graph.name!r}", weight_bits) if weight_bits is not None else None
        ),
        *late,
    ]
    unchecked += unknown_until_quantised(graph, device)
    fit = judge(
        device,
        cores if known else None,
        checks,
        unchecked,
        _assumptions(device, weight_bits),
        _notes(graph, device, arrangement),
    )
    if known:
        chips = None if arrangement.uncut().any() else _chips(device, cores)
        extra = {"least_cores": least, "least_because": because, "chips": chips}
        fit = fit.model_copy(update=extra)
    return Mapping(
        device.name, graph.name, cores, core_of, routes, loads, device.grid is not None, len(np.unique(router)), fit,
        router, core_limits(device), arrangement.layouts(), least if known else 0, *hops,
    )  # fmt: skip


def _routers(
    graph: Graph,
    device: Device,
    sent: MappingType[str, Packets],
    core_of: MappingType[str, Ints],
    cores: int,
    rates: Reals,
    seed: int,
) -> tuple[Ints, tuple[float, float]]:
    """Return the router of each core, and packets times hops before and after the search."""
    in_order = routers_in_order(cores, device.grid)
    if device.grid is None or cores < 1:
        return in_order, (0.0, 0.0)
    first = first_elements(graph)
    by_name = {name: rates[first[name] : first[name] + n] for name, n in elements(graph)}
    between, entering = traffic(sent, core_of, cores, by_name)
    found = arrange(between, entering, device.grid, seed)

    def hops(router: Ints) -> float:
        routes = (route(device, p, core_of, router) for p in sent.values())
        return float(sum((by_name[r.name][r.element] * (r.hops_x + r.hops_y)).sum() for r in routes))

    return found, (hops(in_order), hops(found))


# ------------------------------------------------------------------------------------------------------------ checks
def _core_checks(
    device: Device, core_of: dict[str, Ints], loads: dict[str, Ints], arrangement: Arrangement
) -> list[Check]:
    checks = []
    cut = ~arrangement.uncut()
    for rule, all_loads in loads.items():
        load = np.where(cut, all_loads, 0)
        if not cut.any():
            continue
        worst = int(np.argmax(load))
        names = [repr(name) for name, cores in core_of.items() if (cores == worst).any()]
        subject = f"population{'s' if len(names) > 1 else ''} {', '.join(names)} -> core {worst}"
        checks += kept(check(device, rule, subject, int(load[worst])))
    return checks


def _upper_memory(device: Device, arrangement: Arrangement) -> list[Check]:
    """Count the synapse memory again by the second published formula; more than the memory by it alone is a warning."""
    second = device.synapse_memory_upper
    limit = device.limits.synapse_words_per_core
    asked = second is not None and limit is not None and not arrangement.uncut().any()
    words = arrangement.words_upper() if asked else np.zeros(0, np.int64)
    if second is None or not len(words) or limit is None or words.max() <= limit.value:
        return []
    worst = int(np.argmax(words))
    subject = f"core {worst} by this formula"
    what, consequence = "words of synapse memory", "the two published formulas disagree on whether this fits"
    used, rule = int(words[worst]), "synapse_words_per_core"
    return [budget(device, rule, subject, used, limit.value, limit.unit, what, second, consequence)]


def _chips(device: Device, cores: int) -> int | None:
    limit = device.limits.cores
    return None if limit is None else -(-cores // int(limit.value if limit.high is None else limit.high))


def _cores_check(device: Device, graph: Graph, arrangement: Arrangement, least: int, because: str) -> list[Check]:
    cores = len(arrangement.cores)
    found = check(device, "cores", f"network {graph.name!r}", cores)
    if found is None or not found.exceeded:
        return kept(found)
    what = because.removesuffix("_per_core").replace("_", " ")
    proof = f"no placement needs fewer than {least} (by {what})" if least > found.limit else (
        f"found by a heuristic, {least} is the least that could do (by {what})"
    )  # fmt: skip
    several = f"{_chips(device, cores)} chips would have enough; links between chips are not modelled"
    if arrangement.uncut().any():
        return [found.model_copy(update={"sentence": f"{found.sentence}; {proof}; cutting was given up there"})]
    return [found.model_copy(update={"sentence": f"{found.sentence}; {proof}; {several}"})]


# -------------------------------------------------------------------------------------------------------- statements
def _assumptions(device: Device, weight_bits: int | None) -> list[str]:
    assumptions = []
    if weight_bits is None and device.limits.weight_bits is not None:
        bits = device.limits.weight_bits.value
        assumptions.append(f"weights can be held in {bits:g} bits (not known until the network is quantised)")
    if device.packing is not None:
        p = device.packing
        assumptions.append(
            f"a neuron takes {p.neuron_bytes:g} bytes, a synapse {p.synapse_bytes:g}, an in-axon {p.in_axon_bytes:g}, "
            f"an out-axon {p.out_axon_bytes:g}: {p.source} ({p.evidence})"
        )
    return assumptions


def _notes(graph: Graph, device: Device, arrangement: Arrangement) -> list[str]:
    notes = ["places neurons and synapses only; whether the chip has the neuron model is for its back end to check"]
    soonest = device.limits.delay_min
    early = [e.name for e in graph.edges if soonest is not None and e.min_delay < soonest.value]
    if early:
        notes.append(f"delivered later than simulated, in the next step: {', '.join(early)}")
    if graph.drives:
        notes.append(f"made on the chip or sent to it, not placed: {', '.join(d.name for d in graph.drives)}")
    if arrangement.uncut().any():
        notes.append("far beyond the chip, so the rest was not cut: loads and routes are those of an uncut rest")
    layouts = [
        f"{edge} {' and '.join(f'{kind} on {n}' for kind, n in sorted(kinds.items()))}"
        for edge, kinds in arrangement.layouts().items()
    ]
    if layouts:
        notes.append(f"layout of synapses, by cores: {'; '.join(layouts)}")
    return notes
