"""Split populations into cores: how much of a core each split would use, and the smallest split that fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.graph import Edge, Graph
from spikesim.profile.device import Device
from spikesim.profile.memory import Layout, code_width, delay_width, words_per_axon
from spikesim.profile.schema import SynapseMemory

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Blocks:
    """Synapses of one edge, grouped by (source element, core of the target); arrays are parallel.

    Parameters
    ----------
    source
        Source element.
    core
        Part of the target population, counted from 0.
    synapses
        Synapses of the group whose weight is not 0.
    span
        Neurons from the first to the last target.
    """

    edge: str
    pre: str
    source: Ints
    core: Ints
    synapses: Ints
    span: Ints


@dataclass(frozen=True, eq=False)
class Synapses:
    """Source element and target of every synapse of an edge whose weight is not 0, sorted by source."""

    edge: Edge
    source: Ints
    target: Ints

    @classmethod
    def of(cls, edge: Edge) -> Synapses:
        """Unfold the rows of an edge."""
        source = np.repeat(np.arange(edge.n_pre, dtype=np.int64), np.diff(edge.indptr))
        target = edge.indices.astype(np.int64)
        if np.ndim(edge.weights) == 0:
            keep = slice(None) if edge.weights else slice(0)
            return cls(edge, source[keep], target[keep])
        mask = np.asarray(edge.weights) != 0
        return cls(edge, source[mask], target[mask])

    def blocks(self, parts: int) -> Blocks:
        """Group by source element and core, if the target population is split into so many parts."""
        core = self.target * parts // max(self.edge.n_post, 1)
        key = self.source * parts + core
        source, target, core = self.source, self.target, core
        if (np.diff(key) < 0).any():  # targets that are not sorted within a row
            order = np.argsort(key, kind="stable")
            key, source, target, core = key[order], source[order], target[order], core[order]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        synapses = np.diff(starts, append=len(key))
        span = np.zeros(0, np.int64)
        if len(starts):
            span = np.maximum.reduceat(target, starts) - np.minimum.reduceat(target, starts) + 1
        return Blocks(self.edge.name, self.edge.pre, source[starts], core[starts], synapses, span)


@dataclass(frozen=True)
class Formats:
    """Field widths that the synapse memory depends on."""

    weight_bits: int = 8


def part_of(n: int, parts: int) -> Ints:
    """Return the part (core within the population) of each neuron."""
    return np.arange(n, dtype=np.int64) * parts // max(n, 1)


def core_loads(
    device: Device, n: int, parts: int, blocks: Sequence[Blocks], edges: Sequence[Edge], formats: Formats
) -> dict[str, Ints]:
    """Return what each core of a population uses, by the name of the limit; only what the device limits."""
    limits = device.limits
    neurons = np.bincount(part_of(n, parts), minlength=parts)
    loads: dict[str, Ints] = {"neurons_per_core": neurons}
    axons = _in_axons(blocks, parts)
    loads["in_axons_per_core"] = axons
    synapses = sum_by_core(((b.core, b.synapses) for b in blocks), parts)
    if device.synapse_memory is not None:
        words, longest = _words(device.synapse_memory, int(neurons.max(initial=0)), parts, blocks, edges, formats)
        loads["synapse_words_per_core"], loads["words_per_axon"] = words, longest
    if device.packing is not None:
        p = device.packing
        used = neurons * p.neuron_bytes + synapses * p.synapse_bytes + axons * p.in_axon_bytes
        loads["memory_bytes_per_core"] = np.ceil(used).astype(np.int64)
    return {name: load for name, load in loads.items() if getattr(limits, name) is not None}


def sum_by_core(parts_and_values: Iterable[tuple[Ints, Ints]], parts: int) -> Ints:
    """Add up values by core."""
    total = np.zeros(parts, np.int64)
    for core, values in parts_and_values:
        total += np.bincount(core, values, minlength=parts).astype(np.int64)
    return total


def _in_axons(blocks: Sequence[Blocks], parts: int) -> Ints:
    """Count distinct source elements per core; two edges from one population share their axons."""
    total = np.zeros(parts, np.int64)
    for pre in {b.pre for b in blocks}:
        keys = [b.source * parts + b.core for b in blocks if b.pre == pre]
        distinct = keys[0] if len(keys) == 1 else np.unique(np.concatenate(keys))
        total += np.bincount(distinct % parts, minlength=parts)
    return total


def _words(
    memory: SynapseMemory, neurons: int, parts: int, blocks: Sequence[Blocks], edges: Sequence[Edge], formats: Formats
) -> tuple[Ints, Ints]:
    """Return words per core and the longest axon per core; each edge takes the layout that needs less."""
    total, longest = np.zeros(parts, np.int64), np.zeros(parts, np.int64)
    weight = code_width(formats.weight_bits, memory.weight_bit_codes)
    index = code_width((neurons - 1).bit_length(), memory.index_bit_codes)
    for block, edge in zip(blocks, edges, strict=True):
        delay = delay_width(edge.max_delay)
        layouts: list[tuple[Layout, Ints]] = [("dense", block.span), ("sparse", block.synapses)]
        if edge.min_delay != edge.max_delay:
            layouts = layouts[1:]  # a gap in a dense row would need a delay of its own
        words = min(
            (
                words_per_axon(n, memory, layout=kind, weight_bits=weight, delay_bits=delay, index_bits=index)
                for kind, n in layouts
            ),
            key=lambda w: int(w.sum()),
        )
        total += np.bincount(block.core, words, minlength=parts).astype(np.int64)
        np.maximum.at(longest, block.core, words)
    return total, longest


def smallest_split(device: Device, n: int, synapses: Sequence[Synapses], formats: Formats, at_least: int = 1) -> int:
    """Return the smallest number of equal parts at which every load that splitting can lower is within its limit."""
    edges = [s.edge for s in synapses]

    def excess(parts: int) -> set[str]:
        loads = core_loads(device, n, parts, [s.blocks(parts) for s in synapses], edges, formats)
        return {name for name, load in loads.items() if load.max(initial=0) > getattr(device.limits, name).value}

    low = max(1, at_least)
    if device.limits.neurons_per_core is not None:
        low = max(low, -(-n // int(device.limits.neurons_per_core.value)))
    low = min(low, n)
    if not excess(low):
        return low
    hopeless = excess(n)  # one neuron per core and still too much: refused later, no reason to split for it

    def fits(parts: int) -> bool:
        return not excess(parts) - hopeless

    high = low
    while not fits(high):
        low, high = high, min(n, high * 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def split(graph: Graph, device: Device, synapses: dict[str, Synapses], formats: Formats) -> dict[str, int]:
    """Return the number of parts of each population, axons in both directions included."""
    inputs = {n.name: [synapses[e.name] for e in graph.edges if e.post == n.name] for n in graph.nodes}
    parts = {n.name: smallest_split(device, n.n, inputs[n.name], formats) for n in graph.nodes}
    limit = device.limits.out_axons_per_core
    if limit is None:
        return parts
    for _ in range(8):  # splitting a population raises what its sources send, so look again
        out = out_axons(graph, parts, synapses)
        grown = dict(parts)
        for node in graph.nodes:
            worst = int(out[node.name].max(initial=0))
            if worst > limit.value and parts[node.name] < node.n:
                grown[node.name] = min(node.n, max(parts[node.name] + 1, int(parts[node.name] * worst / limit.value)))
        if grown == parts:
            break
        parts = grown
    return parts


def out_axons(graph: Graph, parts: dict[str, int], synapses: dict[str, Synapses]) -> dict[str, Ints]:
    """Return the out-axon entries of each part of each population: one per source neuron and destination."""
    found: dict[str, Ints] = {}
    for node in graph.nodes:
        entries = np.zeros(node.n, np.int64)
        for post in {e.post for e in graph.edges if e.pre == node.name}:
            groups = [synapses[e.name].blocks(parts[post]) for e in graph.edges if (e.pre, e.post) == (node.name, post)]
            keys = np.unique(np.concatenate([g.source * parts[post] + g.core for g in groups]))
            entries += np.bincount(keys // parts[post], minlength=node.n)
        part = part_of(node.n, parts[node.name])
        found[node.name] = np.bincount(part, entries, minlength=parts[node.name]).astype(np.int64)
    return found


def says_what_a_core_holds(device: Device) -> bool:
    """Tell whether a device states enough to fill cores; otherwise each population is one part by itself."""
    rules = ("neurons_per_core", "synapse_words_per_core", "memory_bytes_per_core")
    return any(device.limits.get(rule) is not None for rule in rules)


def elements(graph: Graph) -> list[tuple[str, int]]:
    """Return name and size of every source and population."""
    return [*((s.name, s.n) for s in graph.sources), *((p.name, p.n) for p in graph.nodes)]
