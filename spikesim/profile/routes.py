"""Where spikes go: the packets of every element, and the routers that they cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.graph import Graph
from spikesim.profile.device import Device
from spikesim.profile.partition import Block, Ints, elements

MOST_COUNTED = 50_000_000  # pairs of element and core that are counted in one array; more are sorted


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
class Packets:
    """Packets of one population or source before the cores have their places; see :class:`Routes`."""

    name: str
    n: int
    is_source: bool
    element: Ints
    core: Ints
    synapses: Ints


def packets(graph: Graph, blocks: Sequence[Block], core_of: Mapping[str, Ints], cores: int) -> dict[str, Packets]:
    """Return the packets that one spike of each element makes."""
    found = {}
    for name, n in elements(graph):
        keys = []
        for block in blocks:
            for arrival in block.arrivals:
                if arrival.edge.pre == name:
                    home = core_of[block.node.name][block.order]
                    keys.append(arrival.source * np.int64(cores) + np.repeat(home, np.diff(arrival.start)))
        key, reached = _count_each(np.concatenate([np.zeros(0, np.int64), *keys]), n * cores)
        element, core = np.divmod(key, max(cores, 1))
        found[name] = Packets(name, n, name not in core_of, element, core, reached)
    return found


def _count_each(keys: Ints, most: int) -> tuple[Ints, Ints]:
    """Return the distinct values, sorted, and how often each occurs; all are below ``most``."""
    if most <= min(MOST_COUNTED, 16 * len(keys)):
        counts = np.bincount(keys, minlength=most)
        found = np.flatnonzero(counts)
        return found, counts[found]
    values, counts = np.unique(keys, return_counts=True)
    return values, counts.astype(np.int64)


def traffic(
    sent: Mapping[str, Packets], core_of: Mapping[str, Ints], cores: int, rates: Mapping[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return packets from core to core, float64 ``[cores, cores]``, and to each core from outside."""
    between, entering = np.zeros(cores * cores), np.zeros(cores)
    for name, p in sent.items():
        rate = rates[name][p.element]
        if p.is_source:
            entering += np.bincount(p.core, rate, minlength=cores)
        else:
            between += np.bincount(core_of[name][p.element] * cores + p.core, rate, minlength=cores * cores)
    return between.reshape(cores, cores), entering


def route(device: Device, sent: Packets, core_of: Mapping[str, Ints], router: Ints) -> Routes:
    """Count the routers that packets cross; input enters the mesh at its first router."""
    if device.grid is None:
        hops_x = hops_y = np.zeros_like(sent.core)
    else:
        start = np.zeros_like(sent.core) if sent.is_source else router[core_of[sent.name][sent.element]]
        (y0, x0), (y1, x1) = np.divmod(start, device.grid.columns), np.divmod(router[sent.core], device.grid.columns)
        hops_x, hops_y = np.abs(x1 - x0), np.abs(y1 - y0)
    return Routes(sent.name, sent.n, sent.is_source, sent.element, sent.core, sent.synapses, hops_x, hops_y)
