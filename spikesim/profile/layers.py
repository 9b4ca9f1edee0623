"""Counts per layer and per projection, with their spread over the samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.counts import Counts, ProjectionCounts
from spikesim.graph import Edge, Graph
from spikesim.profile.quantity import Record

Ints = NDArray[np.int64]
Emitted = Mapping[str, Ints]
"""Population or source name to int64 ``[samples, n]``: spikes (or non-zero values) of every element."""


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


NONE = Stat(mean=0.0, sd=0.0, p5=0.0, p95=0.0)


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
    spiking
        Whether its neurons can fire; a read-out's cannot.
    weight_reads
        Weights fetched for the events: stored synapses of each element that emitted, those of weight 0 among them.
        None where it is not known which elements emitted.
    states
        State variables of a neuron.
    state_reads, state_writes
        Where only active neurons are updated: each update reads every state once and writes it once.
    state_reads_dense, state_writes_dense
        Where every neuron is updated in every step.
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
    spiking: bool = True
    weight_reads: Stat | None = NONE
    states: int = 0
    state_reads: Stat = NONE
    state_writes: Stat = NONE
    state_reads_dense: int = 0
    state_writes_dense: int = 0


class ProjectionProfile(Record):
    """One projection; counts are per sample.

    Parameters
    ----------
    synapses, synapses_stored
        Without and with those whose weight is 0.
    events
        Synaptic events, counted when they are emitted.
    operation
        ``AC`` or ``MAC``.
    events_pending
        Those of them that were still on their way, for their delay, when the run ended. None where it is not known
        when the source emitted.
    weight_reads
        As for a layer.
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
    events_pending: Stat | None = None
    weight_reads: Stat | None = None


def layer_profiles(counts: Counts, graph: Graph, reads: Mapping[str, Ints | None]) -> Iterator[LayerProfile]:
    """Describe every source and population; ``reads`` are those of :func:`weight_reads`, by projection."""
    seconds = counts.steps * counts.dt
    for name, n in counts.source_sizes.items():
        spikes = counts.sources[name]
        yield LayerProfile(
            name=name,
            kind="source",
            neurons=n,
            synapses=0,
            spikes=Stat.of(spikes),
            rate_hz=_rate(spikes, n, seconds),
            events_forward=NONE,
            events_recurrent=NONE,
            accumulates=NONE,
            multiply_accumulates=NONE,
            updates_active=NONE,
            updates_idle=NONE,
            updates_dense=0,
            operations_dense=0,
        )
    for name in counts.populations:
        yield _population(name, counts, graph, reads, seconds)


def _population(
    name: str, counts: Counts, graph: Graph, reads: Mapping[str, Ints | None], seconds: float
) -> LayerProfile:
    p, model = counts.populations[name], graph.node(name).model
    into = {key: q for key, q in counts.projections.items() if q.post == name}
    zero = np.zeros(counts.samples, np.int64)

    def events(field: str, value: bool) -> Stat:
        return Stat.of(sum((q.events for q in into.values() if getattr(q, field) is value), zero))

    fetched = [f for f in (reads.get(key) for key in into) if f is not None]
    accesses, dense = Stat.of(len(model.states) * p.active), len(model.states) * p.neurons * counts.steps
    return LayerProfile(
        name=name,
        kind="population",
        neurons=p.neurons,
        synapses=sum(q.synapses for q in into.values()),
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
        spiking=model.spiking,
        weight_reads=Stat.of(sum(fetched, zero)) if len(fetched) == len(into) else None,
        states=len(model.states),
        state_reads=accesses,
        state_writes=accesses,
        state_reads_dense=dense,
        state_writes_dense=dense,
    )


def _rate(spikes: ArrayLike, neurons: int, seconds: float) -> float:
    x = np.asarray(spikes, np.float64)
    return float(x.mean() / (neurons * seconds)) if x.size and neurons and seconds else 0.0


def projection_profiles(
    counts: Counts, graph: Graph, reads: Mapping[str, Ints | None], pending: Mapping[str, Ints | None]
) -> Iterator[ProjectionProfile]:
    """Describe every projection."""
    stored = {e.name: e.synapses for e in graph.edges}
    for name, p in counts.projections.items():
        late, fetched = pending.get(name), reads.get(name)
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
            events_pending=None if late is None else Stat.of(late),
            weight_reads=None if fetched is None else Stat.of(fetched),
        )


# ---------------------------------------------------------------------------------------- what needs more than counts
def weight_reads(counts: Counts, graph: Graph, emitted: Emitted) -> dict[str, Ints | None]:
    """Return the weights that the events of each projection fetch, int64 ``[samples]``.

    A memory holds what is stored: an element that emits reads its row, weights of 0 included. Without such weights
    the reads are the events. Where rows differ in length it must be known which elements emitted, or it is None.
    """
    return {e.name: _reads(e, counts.projections[e.name], counts, emitted) for e in graph.edges}


def _reads(edge: Edge, projection: ProjectionCounts, counts: Counts, emitted: Emitted) -> Ints | None:
    if projection.synapses == edge.synapses:
        return projection.events
    rows = np.asarray(edge.pattern.out_degree, np.int64)
    if edge.pre in emitted:
        return np.asarray(emitted[edge.pre] @ rows, np.int64)
    if rows.size and (rows == rows[0]).all():
        source = counts.populations.get(edge.pre)
        return (counts.sources[edge.pre] if source is None else source.spikes) * int(rows[0])
    return None


def pending_events(graph: Graph, late: Mapping[str, Sequence[Ints]], samples: int) -> dict[str, Ints | None]:
    """Return the events that a run ended before delivering, by projection, int64 ``[samples]``.

    Parameters
    ----------
    graph
        The network.
    late
        Population or source to what its elements emitted in the last steps, the last step first, each ``[samples, n]``.
    samples
        Number of samples.
    """
    return {e.name: _pending(e, late.get(e.pre), samples) for e in graph.edges}


def _pending(edge: Edge, late: Sequence[Ints] | None, samples: int) -> Ints | None:
    total = np.zeros(samples, np.int64)
    if edge.max_delay == 0:
        return total
    if late is None:
        return None
    for age, emitted in enumerate(
        late
    ):  # emitted `age` steps before the last one: arrives if the delay is at most that
        if age >= edge.max_delay:
            break
        if emitted.any():
            total = total + emitted @ _slower_than(edge, age)
    return total


def _slower_than(edge: Edge, age: int) -> Ints:
    """Return the synapses of each source element whose delay is longer than so many steps."""
    if edge.constant_delay is not None:
        return edge.out_degree
    slow = np.asarray(edge.delays) > age
    if edge.learning is None:
        slow &= np.asarray(edge.weights) != 0
    row = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    return np.bincount(row[slow], minlength=edge.n_pre).astype(np.int64)
