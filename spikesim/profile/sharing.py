"""Put the parts of populations on cores, several small ones on one core."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikesim.graph import Graph
from spikesim.profile.device import Device
from spikesim.profile.partition import (
    Blocks,
    Formats,
    Ints,
    Synapses,
    core_loads,
    elements,
    out_axons,
    says_what_a_core_holds,
)


def share_cores(
    graph: Graph, device: Device, parts: dict[str, int], synapses: dict[str, Synapses], formats: Formats
) -> dict[str, Ints]:
    """Put the parts on cores in order, each on the core of the one before it while that has room.

    Returns
    -------
    dict
        Population to the core of each of its parts.
    """
    first_source = dict(zip([name for name, _ in elements(graph)], _offsets(graph), strict=True))
    current = _Core(device, sum(n for _, n in elements(graph)))
    cores: dict[str, Ints] = {}
    core = -1
    out = out_axons(graph, parts, synapses) if device.limits.out_axons_per_core is not None else {}
    for node in graph.nodes:
        edges = [e for e in graph.edges if e.post == node.name]
        blocks = [synapses[e.name].blocks(parts[node.name]) for e in edges]
        loads = core_loads(device, node.n, parts[node.name], blocks, edges, formats)
        if out:
            loads["out_axons_per_core"] = out[node.name]
        keys = _keys_by_part(blocks, parts[node.name], first_source)
        cores[node.name] = np.zeros(parts[node.name], np.int64)
        for part in range(parts[node.name]):
            slot = {rule: int(load[part]) for rule, load in loads.items()}
            if core < 0 or not current.takes(slot, keys[part]):
                core += 1
                current.clear()
            current.add(slot, keys[part])
            cores[node.name][part] = core
    return cores


def _offsets(graph: Graph) -> list[int]:
    sizes = [n for _, n in elements(graph)]
    return [sum(sizes[:k]) for k in range(len(sizes))]


def _keys_by_part(blocks: Sequence[Blocks], parts: int, first_source: dict[str, int]) -> list[Ints]:
    """Return the distinct source elements that reach each part, numbered over the whole network."""
    if not blocks:
        return [np.zeros(0, np.int64)] * parts
    core = np.concatenate([b.core for b in blocks])
    source = np.concatenate([b.source + first_source[b.pre] for b in blocks])
    order = np.argsort(core, kind="stable")
    ends = np.cumsum(np.bincount(core, minlength=parts))[:-1]
    return [np.unique(k) for k in np.split(source[order], ends)]


class _Core:
    """The core that is being filled: what it holds of each limit, and which source elements reach it."""

    def __init__(self, device: Device, elements: int) -> None:
        self._limits = device.limits
        self._shared = says_what_a_core_holds(device)
        self._reached = np.zeros(elements, bool)
        self._used: dict[str, int] = {}

    def takes(self, slot: dict[str, int], keys: Ints) -> bool:
        """Tell whether a part still fits."""
        after = self._after(slot, keys)
        limits = {rule: self._limits.get(rule) for rule in after}
        return self._shared and all(limit is None or after[rule] <= limit.value for rule, limit in limits.items())

    def add(self, slot: dict[str, int], keys: Ints) -> None:
        """Put a part on the core."""
        self._used = self._after(slot, keys)
        self._reached[keys] = True

    def clear(self) -> None:
        """Begin the next core."""
        self._used = {}
        self._reached[:] = False

    def _after(self, slot: dict[str, int], keys: Ints) -> dict[str, int]:
        after = {rule: self._used.get(rule, 0) + load for rule, load in slot.items() if rule != "words_per_axon"}
        if "in_axons_per_core" in slot:
            after["in_axons_per_core"] = self._used.get("in_axons_per_core", 0) + int((~self._reached[keys]).sum())
        return after
