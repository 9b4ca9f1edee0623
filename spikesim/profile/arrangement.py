"""The arrangement of a network on cores: the ways to fill cores are tried, and what neurons then send is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.graph import Graph
from spikesim.profile.bound import least_cores
from spikesim.profile.device import Device
from spikesim.profile.partition import Block, Ints, blocks, image_orders, says_what_a_core_holds
from spikesim.profile.routes import Packets, packets
from spikesim.profile.sharing import Arrangement, Filler, core_limits, enough

ROUNDS = 6  # cutting a population changes what its sources send, so look again
THOROUGH = 3_000_000  # synapses up to which all ways are compared, also where the least number of cores is reached


@dataclass(frozen=True, eq=False)
class Found:
    """Runs on cores, and what follows from them.

    Parameters
    ----------
    cut
        The populations.
    arrangement
        Their runs on cores.
    core_of
        Population to the core of each neuron.
    sent
        Population or source to its packets.
    loads
        By the name of a limit: what each core uses of it.
    least_cores, least_because
        Cores that no arrangement stays below, and the limit that says so.
    """

    cut: list[Block]
    arrangement: Arrangement
    core_of: dict[str, Ints]
    sent: dict[str, Packets]
    loads: dict[str, Ints]
    least_cores: int
    least_because: str

    @property
    def cores(self) -> int:
        """Number of cores."""
        return len(self.arrangement.cores)


def arranged(graph: Graph, device: Device, weight_bits: int, rates: NDArray[np.float64]) -> Found:
    """Try the ways to fill cores; return the one that breaks fewest limits on fewest cores with fewest packets."""
    found: list[Found] = []
    least, because = 0, ""
    images = image_orders(graph)
    for orders in ({}, images) if images else ({},):
        cut = blocks(graph, device, weight_bits, orders)
        if not found:
            least, because = least_cores(graph, device, cut, weight_bits)
        for by_population in (False, True):
            if found and not _worth_trying(device, graph, found[0]):
                break
            found.append(_filled(graph, device, cut, rates, by_population, (least, because)))

    def cost(one: Found) -> tuple[int, int, float]:
        return len(one.arrangement.broken), one.cores, one.arrangement.packets(rates)

    return min(found, key=cost)


def _worth_trying(device: Device, graph: Graph, first: Found) -> bool:
    if not says_what_a_core_holds(device) or first.cores <= 1 or first.cores >= enough(device):
        return False
    return first.cores > first.least_cores or graph.synapses <= THOROUGH


def _filled(
    graph: Graph,
    device: Device,
    cut: list[Block],
    rates: NDArray[np.float64],
    by_population: bool,
    least: tuple[int, str],
) -> Found:
    """Fill cores, again while what neurons send does not fit where they are."""
    out: dict[str, Ints] = {}
    limits = core_limits(device)
    for _ in range(ROUNDS):
        filler = Filler(device, out)
        arrangement = filler.by_population(cut, rates) if by_population else filler.in_order(cut)
        core_of = arrangement.core_of()
        sent = packets(graph, cut, core_of, len(arrangement.cores))
        loads = _loads(device, arrangement, sent, core_of)
        over = [r for r in ("out_axons_per_core", "memory_bytes_per_core") if r in loads and loads[r].max() > limits[r]]
        entries = {b.node.name: _per_element(sent[b.node.name]) for b in cut}
        settled = all(np.array_equal(entries[k], out.get(k, ())) for k in entries)
        if not over or settled or len(arrangement.cores) >= enough(device):
            break
        out = entries
    return Found(cut, arrangement, core_of, sent, loads, *least)


def _per_element(p: Packets) -> Ints:
    return np.bincount(p.element, minlength=p.n).astype(np.int64)


def _loads(
    device: Device, arrangement: Arrangement, sent: Mapping[str, Packets], core_of: Mapping[str, Ints]
) -> dict[str, Ints]:
    """Return what each core uses; axons and bytes as they come out in the end, for a core counts each axon once."""
    limits, cores = core_limits(device), len(arrangement.cores)
    loads = {rule: load for rule, load in arrangement.loads().items() if rule in limits}
    into = _count([p.core for p in sent.values()], cores)
    out = _count([core_of[name][p.element] for name, p in sent.items() if not p.is_source], cores)
    if device.packing is not None:
        p = device.packing
        synapses = sum((np.bincount(s.core, s.synapses, cores) for s in sent.values()), np.zeros(cores))
        neurons = _count(list(core_of.values()), cores)
        used = neurons * p.neuron_bytes + synapses * p.synapse_bytes + into * p.in_axon_bytes + out * p.out_axon_bytes
        loads["memory_bytes_per_core"] = np.ceil(used).astype(np.int64)
    loads |= {"in_axons_per_core": into, "out_axons_per_core": out}
    return {rule: load for rule, load in loads.items() if rule in limits and cores}


def _count(pieces: Sequence[Ints], cores: int) -> Ints:
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *pieces]), minlength=cores)
