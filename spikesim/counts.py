"""Integer counts of a run: the same whichever backend ran, and the only thing that energy is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.graph import Graph

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PopulationCounts:
    """Counts of one population; every array has one entry per sample.

    Parameters
    ----------
    neurons
        Number of neurons.
    spikes
        Spikes.
    active
        Neuron updates in which the summed synaptic input of a port was not 0, or the neuron fired.
    idle
        All other neuron updates; ``active + idle = neurons * steps``.
    """

    neurons: int
    spikes: Ints
    active: Ints
    idle: Ints


@dataclass(frozen=True, eq=False)
class ProjectionCounts:
    """Counts of one projection; every array has one entry per sample.

    Parameters
    ----------
    pre, post
        Names.
    synapses
        Synapses whose weight is not 0.
    events
        Synaptic events: spikes (or non-zero values) of each source element times its synapses, counted when emitted.
    graded
        Whether an event multiplies (MAC) or only adds (AC).
    recurrent
        Whether the projection lies on a cycle.
    """

    pre: str
    post: str
    synapses: int
    events: Ints
    graded: bool
    recurrent: bool


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of a run.

    Parameters
    ----------
    steps, samples
        Length of a sample in steps, number of samples.
    dt
        Time step in seconds.
    populations, projections
        By name.
    sources
        Spikes (or non-zero values) emitted by each source, per sample.
    source_sizes
        Number of elements of each source.
    """

    steps: int
    samples: int
    dt: float
    populations: Mapping[str, PopulationCounts]
    projections: Mapping[str, ProjectionCounts]
    sources: Mapping[str, Ints]
    source_sizes: Mapping[str, int]

    @property
    def spikes(self) -> int:
        """Spikes of all populations."""
        return int(sum(p.spikes.sum() for p in self.populations.values()))

    @property
    def synaptic_events(self) -> int:
        """Synaptic events of all projections."""
        return int(sum(p.events.sum() for p in self.projections.values()))


def count(graph: Graph, steps: int, emitted: Mapping[str, Ints], active: Mapping[str, Ints]) -> Counts:
    """Make the counts from what a backend reports.

    Parameters
    ----------
    graph
        The network that ran.
    steps
        Steps per sample.
    emitted
        Population or source name to int64 ``[samples, n]``: spikes (or non-zero values) per element.
    active
        Population name to int64 ``[samples]``: active updates.
    """
    cycles = graph.recurrent_edges
    populations = {
        n.name: PopulationCounts(n.n, emitted[n.name].sum(axis=1), active[n.name], n.n * steps - active[n.name])
        for n in graph.nodes
    }
    projections = {
        e.name: ProjectionCounts(
            e.pre, e.post, int(e.out_degree.sum()), emitted[e.pre] @ e.out_degree, e.graded, e.name in cycles
        )
        for e in graph.edges
    }
    samples = len(next(iter(emitted.values()))) if emitted else 0
    sources = {s.name: emitted[s.name].sum(axis=1) for s in graph.sources}
    return Counts(steps, samples, graph.dt, populations, projections, sources, {s.name: s.n for s in graph.sources})
