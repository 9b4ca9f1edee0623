"""Take neurons and synapses out of a network for real: everything that has one value per neuron or synapse follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.connect import Sparse
from spikesim.errors import InvalidValueError
from spikesim.graph import Edge, Graph, Node
from spikesim.lowering import lower
from spikesim.network import Network, Population, Probe, Projection
from spikesim.stimulus import Current, Drive, PoissonDrive, Rate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Synapses:
    """The synapses that a projection is to have, numbered as before any neuron is taken out.

    Parameters
    ----------
    pre, post
        int64 ``[m]``.
    weight
        float64 ``[m]``.
    origin
        Number of the old synapse whose delay each takes, int64 ``[m]``.
    """

    pre: Ints
    post: Ints
    weight: Floats
    origin: Ints

    def only(self, kept: Mask) -> Synapses:
        """Return some of them."""
        return Synapses(self.pre[kept], self.post[kept], self.weight[kept], self.origin[kept])


def synapses_of(edge: Edge) -> Synapses:
    """Return the synapses of a lowered projection."""
    pre = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    weight = np.array(np.broadcast_to(np.asarray(edge.weights, np.float64), (edge.synapses,)))
    return Synapses(pre, edge.indices.astype(np.int64), weight, np.arange(edge.synapses))


def cut(network: Network, neurons: Mapping[str, Mask], synapses: Mapping[str, Synapses]) -> Network:
    """Return the network with some neurons and synapses only.

    Sliced together: populations, their parameters and initial states, all projections from and to them, delays,
    stimuli with a value per neuron, probes. Distributions of what is sliced become the values that they were drawn as.
    A population that loses neurons is no longer an image: its shape becomes ``(n,)``.

    Parameters
    ----------
    network
        The network; batch norms are folded.
    neurons
        Population to bool ``[n]``, True where a neuron stays; others stay whole.
    synapses
        Projection to its new synapses; others lose those of neurons that go. The order does not matter. Plastic weights
        are clipped to their bounds.

    Raises
    ------
    InvalidValueError
        If a population would be empty, or a mask has the wrong length.
    """
    network = network.folded()
    graph = lower(network, snap=False)
    masks = _checked(network, neurons)
    sizes = {n.name: n.n for n in graph.nodes} | {s.name: s.n for s in graph.sources}
    stays = {name: masks.get(name, np.ones(n, bool)) for name, n in sizes.items()}
    edges = {e.name: e for e in graph.edges}
    projections = []
    for projection in network.projections:
        if projection.name in synapses or projection.pre in masks or projection.post in masks:
            edge = edges[projection.name]
            wanted = synapses.get(projection.name) or synapses_of(edge)
            projections.append(_wired(projection, edge, wanted, stays, network.dt))
        else:
            projections.append(projection)
    probes = (_probe(p, masks.get(p.target)) for p in network.probes)
    return replace(
        network,
        populations=tuple(_sliced(p, graph, masks.get(p.name)) for p in network.populations),
        projections=tuple(projections),
        stimuli=tuple(_drive(s, masks.get(s.target)) if isinstance(s, Drive) else s for s in network.stimuli),
        probes=tuple(p for p in probes if p is not None),
    )


def _checked(network: Network, neurons: Mapping[str, Mask]) -> dict[str, Mask]:
    masks, problems = {}, []
    for name, mask in neurons.items():
        n, array = network.population(name).n, np.asarray(mask, bool)
        if array.shape != (n,):
            problems.append(f"population {name!r}: a mask of {n} values is needed, found the shape {list(array.shape)}")
        elif not array.any():
            problems.append(f"population {name!r} would lose all its neurons; keep at least one")
        elif not array.all():
            masks[name] = array
    if problems:
        raise InvalidValueError("\n".join(problems))
    return masks


def _sliced(population: Population, graph: Graph, mask: Mask | None) -> Population:
    if mask is None:
        return population
    node, neuron = graph.node(population.name), population.neuron
    params = {k: _values(node, "params", k, v)[mask] if _per_neuron(v) else v for k, v in neuron.params.items()}
    init = {k: _values(node, "init", k, v)[mask] if _per_neuron(v) else v for k, v in neuron.init.items()}
    return Population(population.name, int(mask.sum()), replace(neuron, params=params, init=init))


def _per_neuron(value: Any) -> bool:
    return hasattr(value, "sample") or np.size(value) > 1


def _values(node: Node, kind: str, name: str, value: Any) -> Floats:
    return np.broadcast_to(np.asarray(getattr(node, kind)[name], np.float64), (node.n,))


def _wired(projection: Projection, edge: Edge, wanted: Synapses, stays: Mapping[str, Mask], dt: float) -> Projection:
    before, after = stays[projection.pre], stays[projection.post]
    found = wanted.only(before[wanted.pre] & after[wanted.post])
    order = np.lexsort((found.post, found.pre))
    found = found.only(order)  # an order selects as well as a mask does
    pre, post = (np.cumsum(before) - 1)[found.pre], (np.cumsum(after) - 1)[found.post]
    weight = found.weight
    if edge.learning is not None and edge.learning.model.learns:
        weight = np.clip(weight, edge.learning.low, edge.learning.high)
    size = int(before.sum()), int(after.sum())
    indptr = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=size[0]))])
    # by source, then turned: synapses that share both ends stay apart, as a sum would lose their delays
    by_source = sparse.csr_array((weight, post, indptr), shape=size)
    delay: Any = projection.delay
    if edge.constant_delay is None:
        delay = np.asarray(edge.delays, np.float64)[found.origin] * dt
        delay = delay if delay.size else 0.0
    return replace(projection, rule=Sparse(sparse.csr_array(by_source.T)), weight=None, delay=delay)


def _drive(drive: Drive, mask: Mask | None) -> Drive:
    if mask is None:
        return drive
    if isinstance(drive, PoissonDrive):
        rate = drive.rate
        if isinstance(rate, Rate):
            rate = Rate(rate.times, rate.values[:, mask]) if rate.values.ndim == 2 else rate
        elif np.size(rate) > 1:
            rate = np.asarray(rate).reshape(-1)[mask]
        return replace(drive, rate=rate)
    if isinstance(drive, Current) and drive.values.ndim == 2 and drive.values.shape[1] == len(mask):
        return replace(drive, values=drive.values[:, mask])
    return drive


def _probe(probe: Probe, mask: Mask | None) -> Probe | None:
    """Return a probe with the new numbers of its neurons, or None if all of them are gone."""
    if mask is None or probe.neurons is None:
        return probe
    new = np.cumsum(mask) - 1
    kept = tuple(int(new[k]) for k in probe.neurons if mask[k])
    return replace(probe, neurons=kept) if kept else None
