"""Populations in parts: a device that has one time constant per population gets one population for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikesim.connect import Dense, Sparse
from spikesim.counts import Counts, PopulationCounts, ProjectionCounts
from spikesim.graph import Edge
from spikesim.lowering import lower
from spikesim.network import Network, Population, Probe, Projection
from spikesim.neuron import Neuron
from spikesim.recording import Recording, Spikes, Trace

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Parts:
    """What became of populations and projections that were split.

    Parameters
    ----------
    populations
        Name to names and members (numbers in the whole population, int64) of its parts.
    projections
        Name to the names of its parts.
    """

    populations: Mapping[str, Mapping[str, Ints]] = field(default_factory=dict)
    projections: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def merge(self, recording: Recording) -> Recording:
        """Return a recording of the split network under the names of the whole one."""
        spikes = _regrouped(recording.spikes, self.populations, self._spikes)
        traces = _regrouped(recording.traces, self.populations, self._traces)
        return Recording(spikes, traces, self._counts(recording.counts), recording.meta)

    def _spikes(self, name: str, parts: Mapping[str, Spikes]) -> Spikes:
        members = self.populations[name]
        sample, step = (np.concatenate([getattr(s, n) for s in parts.values()]) for n in ("sample", "step"))
        neuron = np.concatenate([members[part][s.neuron] for part, s in parts.items()]).astype(np.int32)
        order = np.lexsort((neuron, step, sample))
        n = sum(len(m) for m in members.values())
        first = next(iter(parts.values()))
        return replace(first, sample=sample[order], step=step[order], neuron=neuron[order], n=n)

    def _traces(self, name: str, parts: Mapping[str, Mapping[str, Trace]]) -> dict[str, Trace]:
        found = {}
        for variable in next(iter(parts.values())):
            own = {part: traces[variable] for part, traces in parts.items() if variable in traces}
            neurons = np.concatenate([self.populations[name][part][t.neurons] for part, t in own.items()])
            order = np.argsort(neurons, kind="stable")
            values = np.concatenate([t.values for t in own.values()], axis=2)[:, :, order]
            found[variable] = replace(next(iter(own.values())), values=values, neurons=neurons[order])
        return found

    def _counts(self, counts: Counts) -> Counts:
        populations = _regrouped(counts.populations, self.populations, lambda _, p: _sum_populations(list(p.values())))
        owner = {part: name for name, parts in self.populations.items() for part in parts}
        wholes = {name: dict.fromkeys(parts) for name, parts in self.projections.items()}
        projections = _regrouped(counts.projections, wholes, lambda _, p: _sum_projections(list(p.values()), owner))
        return replace(counts, populations=populations, projections=projections)


def _regrouped(found: Mapping[str, Any], wholes: Mapping[str, Any], join: Any) -> dict[str, Any]:
    """Join the values of the parts of each whole, which takes the place of its first part."""
    owner = {part: name for name, parts in wholes.items() for part in parts}
    result: dict[str, Any] = {}
    for key in found:
        name = owner.get(key, key)
        if name not in result:
            own = {part: found[part] for part in wholes[name] if part in found} if name in wholes else {}
            result[name] = join(name, own) if own else found[key]
    return result


def _sum_populations(parts: list[PopulationCounts]) -> PopulationCounts:
    def total(what: str) -> Any:
        return sum(getattr(p, what) for p in parts)

    return PopulationCounts(total("neurons"), total("spikes"), total("active"), total("idle"))


def _sum_projections(parts: list[ProjectionCounts], owner: Mapping[str, str]) -> ProjectionCounts:
    first = parts[0]
    synapses, events = sum(p.synapses for p in parts), sum(p.events for p in parts)
    pre, post = (owner.get(name, name) for name in (first.pre, first.post))
    recurrent = any(p.recurrent for p in parts)
    return ProjectionCounts(pre, post, synapses, np.asarray(events), first.graded, recurrent)


def split(network: Network, labels: Mapping[str, Ints]) -> tuple[Network, Parts]:
    """Split populations of an integer network; it has the same spikes.

    Parameters
    ----------
    network
        The network; weights belong to its rules.
    labels
        For each population to split: the part of every neuron, int64 ``[n]``, from 0.

    Returns
    -------
    network : Network
        Parts of ``hidden`` are named ``hidden_0``, ``hidden_1``, ...
    parts : Parts
    """
    taken = {p.name for p in (*network.populations, *network.projections, *network.stimuli)}
    members: dict[str, dict[str, Ints]] = {}
    for name, label in labels.items():
        joint = "_"
        while any(f"{name}{joint}{k}" in taken for k in range(label.max() + 1)):
            joint += "_"
        members[name] = {f"{name}{joint}{k}": np.flatnonzero(label == k) for k in range(label.max() + 1)}
    populations = [part for p in network.populations for part in _populations(p, members.get(p.name))]
    edges = {e.name: e for e in lower(network, snap=False).edges}
    projections: list[Projection] = []
    names: dict[str, list[str]] = {}
    for p in network.projections:
        if p.pre not in members and p.post not in members:
            projections.append(p)
            continue
        new = _projections(p, edges[p.name], members, network.dt)
        projections += new
        names[p.name] = [part.name for part in new]
    probes = [part for probe in network.probes for part in _probes(probe, members.get(probe.target))]
    whole = replace(network, populations=populations, projections=projections, probes=probes)
    return whole, Parts(members, names)


def _populations(population: Population, members: Mapping[str, Ints] | None) -> list[Population]:
    if members is None:
        return [population]
    return [Population(name, len(own), _part_of(population.neuron, own)) for name, own in members.items()]


def _part_of(neuron: Neuron, own: Ints) -> Neuron:
    def part(value: Any) -> Any:
        array = np.asarray(value)
        if array.size == 1:
            return value
        found = array.reshape(-1)[own]
        return found[0].item() if (found == found[0]).all() else found

    params = {name: part(value) for name, value in neuron.params.items()}
    return Neuron(neuron.model, params, {name: part(value) for name, value in neuron.init.items()})


def _probes(probe: Probe, members: Mapping[str, Ints] | None) -> list[Probe]:
    if members is None:
        return [probe]
    found = []
    for name, own in members.items():
        chosen = None if probe.neurons is None else tuple(np.flatnonzero(np.isin(own, probe.neurons)).tolist())
        if chosen is None or chosen:
            found.append(replace(probe, target=name, neurons=chosen))
    return found


def _projections(
    projection: Projection, edge: Edge, members: Mapping[str, Mapping[str, Ints]], dt: float
) -> list[Projection]:
    """Return the blocks of a projection, without those that have no synapse."""
    pres = members.get(edge.pre, {edge.pre: np.arange(edge.n_pre)})
    posts = members.get(edge.post, {edge.post: np.arange(edge.n_post)})
    plain = projection.name == f"{edge.pre}->{edge.post}"
    found = []
    for i, (pre, sources) in enumerate(pres.items()):
        for j, (post, targets) in enumerate(posts.items()):
            name = f"{pre}->{post}" if plain else f"{projection.name}_{i}_{j}"
            if isinstance(edge.rule, Dense) and np.ndim(edge.delays) == 0:
                rule: Any = Dense(edge.rule.weights[np.ix_(targets, sources)])
                found.append(replace(projection, pre=pre, post=post, rule=rule, name=name))
            elif (block := _block(edge, sources, targets)) is not None:
                rule, delays = block
                found.append(replace(projection, pre=pre, post=post, rule=rule, delay=delays * dt, name=name))
    return found


def _block(edge: Edge, sources: Ints, targets: Ints) -> tuple[Sparse, Any] | None:
    """Return the synapses from some sources to some targets, and their delays in steps."""
    source = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    row, column = np.full(edge.n_pre, -1), np.full(edge.n_post, -1)
    row[sources], column[targets] = np.arange(len(sources)), np.arange(len(targets))
    own = (row[source] >= 0) & (column[edge.indices] >= 0)
    if not own.any():
        return None
    counts = np.bincount(row[source[own]], minlength=len(sources))
    indptr = np.concatenate([[0], np.cumsum(counts)])
    weights = np.broadcast_to(np.asarray(edge.weights, np.float64), (edge.synapses,))[own]
    by_source = csr_array((weights, column[edge.indices[own]], indptr), shape=(len(sources), len(targets)))
    # members are in rising order, so the synapses that are left keep theirs: by source, then target
    delays = edge.delays if np.ndim(edge.delays) == 0 else np.asarray(edge.delays)[own]
    return Sparse(by_source.T), delays
