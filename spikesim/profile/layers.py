"""Counts per layer and per projection, with their spread over the samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spikesim.counts import Counts
from spikesim.graph import Graph
from spikesim.profile.quantity import Record


class Stat(Record):
    """A count per sample: mean, standard deviation, and the 5th and 95th percentile over the samples."""

    mean: float
    sd: float
    p5: float
    p95: float

    @classmethod
    def of(cls, values: ArrayLike) -> Stat:
        """Describe one value per sample."""
        x = np.asarray(values, np.float64)
        if not x.size:
            return cls(mean=0.0, sd=0.0, p5=0.0, p95=0.0)
        p5, p95 = np.percentile(x, [5, 95])
        return cls(mean=float(x.mean()), sd=float(x.std(ddof=1)) if x.size > 1 else 0.0, p5=float(p5), p95=float(p95))


class LayerProfile(Record):
    """One population or source; counts are per sample.

    Parameters
    ----------
    name, kind, neurons
        ``kind`` is ``population`` or ``source``.
    synapses
        Synapses into it whose weight is not 0.
    spikes, rate_hz
        Spikes (or non-zero values), and spikes per neuron and second.
    events_forward, events_recurrent
        Synaptic events that arrive through projections off and on a cycle.
    accumulates, multiply_accumulates
        The same events as operations: of spikes (AC), of graded values (MAC).
    updates_active, updates_idle, updates_dense
        Neuron updates; ``updates_dense`` is neurons times steps.
    operations_dense
        What a clocked, dense implementation would do: stored synapses times steps.
    """

    name: str
    kind: str
    neurons: int
    synapses: int
    spikes: Stat
    rate_hz: float
    events_forward: Stat
    events_recurrent: Stat
    accumulates: Stat
    multiply_accumulates: Stat
    updates_active: Stat
    updates_idle: Stat
    updates_dense: int
    operations_dense: int


class ProjectionProfile(Record):
    """One projection; counts are per sample.

    Parameters
    ----------
    synapses, synapses_stored
        Without and with those whose weight is 0.
    operation
        ``AC`` or ``MAC``.
    """

    name: str
    pre: str
    post: str
    synapses: int
    synapses_stored: int
    events: Stat
    operation: str
    recurrent: bool
    operations_dense: int


def layer_profiles(counts: Counts, graph: Graph) -> Iterator[LayerProfile]:
    """Describe every source and population."""
    nothing = np.zeros(counts.samples, np.int64)
    seconds = counts.steps * counts.dt
    for name, n in counts.source_sizes.items():
        spikes = counts.sources[name]
        zero = Stat.of(nothing)
        yield LayerProfile(
            name=name,
            kind="source",
            neurons=n,
            synapses=0,
            spikes=Stat.of(spikes),
            rate_hz=_rate(spikes, n, seconds),
            events_forward=zero,
            events_recurrent=zero,
            accumulates=zero,
            multiply_accumulates=zero,
            updates_active=zero,
            updates_idle=zero,
            updates_dense=0,
            operations_dense=0,
        )
    for name, p in counts.populations.items():
        into = [q for q in counts.projections.values() if q.post == name]

        def events(field: str, value: bool, into: list[Any] = into) -> Stat:
            return Stat.of(sum((q.events for q in into if getattr(q, field) is value), nothing))

        yield LayerProfile(
            name=name,
            kind="population",
            neurons=p.neurons,
            synapses=sum(q.synapses for q in into),
            spikes=Stat.of(p.spikes),
            rate_hz=_rate(p.spikes, p.neurons, seconds),
            events_forward=events("recurrent", False),
            events_recurrent=events("recurrent", True),
            accumulates=events("graded", False),
            multiply_accumulates=events("graded", True),
            updates_active=Stat.of(p.active),
            updates_idle=Stat.of(p.idle),
            updates_dense=p.neurons * counts.steps,
            operations_dense=sum(e.synapses for e in graph.edges if e.post == name) * counts.steps,
        )


def _rate(spikes: ArrayLike, neurons: int, seconds: float) -> float:
    x = np.asarray(spikes, np.float64)
    return float(x.mean() / (neurons * seconds)) if x.size and neurons and seconds else 0.0


def projection_profiles(counts: Counts, graph: Graph) -> Iterator[ProjectionProfile]:
    """Describe every projection."""
    stored = {e.name: e.synapses for e in graph.edges}
    for name, p in counts.projections.items():
        yield ProjectionProfile(
            name=name,
            pre=p.pre,
            post=p.post,
            synapses=p.synapses,
            synapses_stored=stored[name],
            events=Stat.of(p.events),
            operation="MAC" if p.graded else "AC",
            recurrent=p.recurrent,
            operations_dense=stored[name] * counts.steps,
        )
