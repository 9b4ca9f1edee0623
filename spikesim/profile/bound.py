"""The least number of cores that any placement needs: what the whole network uses of one limit, over that limit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spikesim.graph import Graph
from spikesim.profile.device import Device
from spikesim.profile.memory import code_width, delay_width, words_per_axon
from spikesim.profile.partition import Block, first_elements
from spikesim.profile.sharing import core_limits


def least_cores(graph: Graph, device: Device, blocks: Sequence[Block], weight_bits: int) -> tuple[int, str]:
    """Return a number of cores that no placement stays below, and the limit that it follows from.

    Notes
    -----
    Each limit by itself: neurons are on one core each, a source that reaches anything takes an axon at both ends, and a
    row of synapses takes at least the words of one unbroken row without gaps and without indices. Limits act together,
    and axons are copied wherever a population is cut, so the true least number may be higher.
    """
    limits = core_limits(device)
    reached = np.zeros(sum(n.n for n in graph.nodes) + sum(s.n for s in graph.sources), bool)
    words = synapses = 0
    for block in blocks:
        for arrival in block.arrivals:
            rows = np.bincount(arrival.source, minlength=arrival.edge.n_pre)
            reached[arrival.first : arrival.first + len(rows)] |= rows > 0
            synapses += len(arrival.source)
            if device.synapse_memory is not None:
                memory = device.synapse_memory
                width = code_width(weight_bits, memory.weight_bit_codes)
                delay = delay_width(arrival.edge.min_delay)
                least = words_per_axon(rows, memory, layout="sparse", weight_bits=width, delay_bits=delay, index_bits=0)
                words += int(least.sum())
    first = first_elements(graph)
    on_chip = sum(int(reached[first[n.name] : first[n.name] + n.n].sum()) for n in graph.nodes)
    used = {
        "neurons_per_core": float(graph.neurons),
        "in_axons_per_core": float(reached.sum()),
        "out_axons_per_core": float(on_chip),
        "synapse_words_per_core": float(words),
    }
    if device.packing is not None:
        p = device.packing
        used["memory_bytes_per_core"] = (
            graph.neurons * p.neuron_bytes + synapses * p.synapse_bytes
            + float(reached.sum()) * p.in_axon_bytes + on_chip * p.out_axon_bytes
        )  # fmt: skip
    found = {rule: math.ceil(value / limits[rule]) for rule, value in used.items() if limits.get(rule)}
    rule = max(found, key=lambda r: found[r], default="")
    return max(found.get(rule, 1), min(graph.neurons, 1)), rule
