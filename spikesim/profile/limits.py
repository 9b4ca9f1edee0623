"""Limits of a whole network on a device: sizes, fan-in, delays, weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spikesim.graph import Graph
from spikesim.profile.checks import Check, check
from spikesim.profile.device import Device
from spikesim.profile.layer_cores import layer_checks
from spikesim.profile.partition import Block, Ints, quantised


def kept(found: Check | None) -> list[Check]:
    """Return a list of the check, or an empty one."""
    return [] if found is None else [found]


def outputs(graph: Graph) -> set[str]:
    """Return the populations that reach no other."""
    return {n.name for n in graph.nodes} - {e.pre for e in graph.edges if e.post != e.pre}


def network_checks(graph: Graph, device: Device, blocks: Sequence[Block], reached: Mapping[str, Ints]) -> list[Check]:
    """Compare what does not depend on where neurons are placed, and the target cores of each neuron.

    Parameters
    ----------
    graph, device
        The network and the device.
    blocks
        Its populations.
    reached
        Population to the number of cores that each neuron reaches.
    """
    last = outputs(graph)
    totals = {
        "neurons": graph.neurons,
        "synapses": sum(len(a.source) for b in blocks for a in b.arrivals),
        "inputs": sum(s.n for s in graph.sources),
        "outputs": sum(n.n for n in graph.nodes if n.name in last),
        "hidden_neurons": sum(n.n for n in graph.nodes if n.name not in last),
        "layers": len(graph.nodes),
    }
    whole = f"network {graph.name!r}"
    checks = [c for rule, used in totals.items() for c in kept(check(device, rule, whole, used))]
    for block in blocks:
        name, n = block.node.name, block.node.n
        subject = f"population {name!r}"
        fan_in = sum((np.diff(a.start) for a in block.arrivals), np.zeros(n, np.int64))
        checks += kept(check(device, "fan_in", subject, int(fan_in.max(initial=0))))
        checks += kept(check(device, "target_cores_per_neuron", subject, int(reached[name].max(initial=0))))
        if device.limits.weight_values_per_neuron is not None:
            checks += kept(check(device, "weight_values_per_neuron", subject, weight_values(graph, name, n)))
    for edge in graph.edges:
        checks += kept(check(device, "delay_max", f"projection {edge.name!r}", edge.max_delay))
    return [*checks, *layer_checks(graph, device)]


def weight_values(graph: Graph, name: str, n: int) -> int:
    """Return the most different weights other than 0 into one neuron."""
    edges = [e for e in graph.edges if e.post == name]
    constants = [e.constant_weight for e in edges]
    if all(c is not None for c in constants):
        # one value from each edge; edges of equal weight count once
        return len({c for c in constants if c})
    targets = [e.indices.astype(np.int64) for e in edges]
    weights = [np.broadcast_to(np.asarray(e.weights, np.float64), len(t)) for e, t in zip(edges, targets, strict=True)]
    target, weight = np.concatenate(targets), np.concatenate(weights)
    target, weight = target[weight != 0], weight[weight != 0]
    values, which = np.unique(weight, return_inverse=True)
    pairs = np.unique(target * max(len(values), 1) + which)
    return int(np.bincount(pairs // max(len(values), 1), minlength=n).max(initial=0))


def unknown_until_quantised(graph: Graph, device: Device) -> list[str]:
    """Say which limits concern whole numbers that a network gets only when it is quantised."""
    if quantised(graph) or not graph.nodes:
        return []
    rules = {"configurations_per_core": "sets of decays", "thresholds_per_core": "thresholds"}
    varied = any(np.ndim(value) for node in graph.nodes for value in node.params.values())
    return [
        f"{what} per core: known once the network is quantised"
        for rule, what in rules.items()
        if varied and device.limit(rule) is not None
    ]
