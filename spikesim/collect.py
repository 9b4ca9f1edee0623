"""What takes the chunks of a run: in memory here, in a file in :mod:`spikesim.files.recording_writer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.counts import Counts, count
from spikesim.engine import Chunk
from spikesim.graph import Graph
from spikesim.recording import Recording, Spikes, Trace


class Probed(NamedTuple):
    """Which neurons of a population are recorded, and the unit of what is recorded of them."""

    neurons: NDArray[np.int64]
    unit: str


class Mark(NamedTuple):
    """How far a recording had come at a moment.

    Parameters
    ----------
    steps
        Steps.
    rows
        Rows of each table, where the recording is a file.
    emitted, active
        Counts, as a :class:`Chunk` has them.
    """

    steps: int
    rows: Mapping[str, int]
    emitted: Mapping[str, NDArray[np.int64]]
    active: Mapping[str, NDArray[np.int64]]


class Tally:
    """Counts what chunks report; base of everything that takes them.

    Parameters
    ----------
    graph
        The network that runs.
    samples
        Number of samples.
    """

    def __init__(self, graph: Graph, samples: int) -> None:
        self.graph, self.samples, self.steps = graph, samples, 0
        sizes = {n.name: n.n for n in graph.nodes} | {s.name: s.n for s in graph.sources}
        self._emitted = {name: np.zeros((samples, n), np.int64) for name, n in sizes.items()}
        self._active = {n.name: np.zeros(samples, np.int64) for n in graph.nodes}

    def add(self, chunk: Chunk) -> None:
        """Take what happened in some more steps."""
        self.steps += chunk.steps
        for name, emitted in chunk.emitted.items():
            self._emitted[name] += emitted
        for name, active in chunk.active.items():
            self._active[name] += active

    def mark(self) -> Mark:
        """Return a copy of what has been counted so far."""
        emitted = {name: values.copy() for name, values in self._emitted.items()}
        return Mark(self.steps, {}, emitted, {name: values.copy() for name, values in self._active.items()})

    def go_on_from(self, mark: Mark) -> None:
        """Begin with what had been counted at a mark."""
        self.steps = mark.steps
        for mine, marked in ((self._emitted, mark.emitted), (self._active, mark.active)):
            for name, values in mine.items():
                values += marked[name]

    def counts(self) -> Counts:
        """Return the counts so far."""
        return count(self.graph, self.steps, self._emitted, self._active)

    def probed(self) -> dict[tuple[str, str], Probed]:
        """Return what is recorded of each (population, state)."""
        found = {}
        for probe in self.graph.probes:
            node = self.graph.node(probe.target)
            neurons = np.arange(node.n) if probe.neurons is None else np.asarray(probe.neurons, np.int64)
            for state in probe.variables:
                found[probe.target, state] = Probed(neurons, node.model.states[state].unit)
        return found


class Collector(Tally):
    """Keeps chunks in memory and makes them a :class:`~spikesim.recording.Recording`."""

    def __init__(self, graph: Graph, samples: int) -> None:
        super().__init__(graph, samples)
        self._spikes: dict[str, list[Any]] = {n.name: [] for n in graph.nodes}
        self._traces: dict[tuple[str, str], list[Any]] = {key: [] for key in self.probed()}
        self._meta: dict[str, Any] = {}

    def add(self, chunk: Chunk) -> None:
        """Take what happened in some more steps."""
        super().add(chunk)
        for name, events in chunk.spikes.items():
            self._spikes[name].append(events)
        for key, trace in chunk.traces.items():
            self._traces[key].append(trace)

    def close(self, meta: Mapping[str, Any]) -> None:
        """End the run."""
        self._meta = dict(meta)

    def recording(self) -> Recording:
        """Return everything."""
        spikes = {
            n.name: sorted_spikes(self._spikes[n.name], n.n, self.steps, self.samples, self.graph.dt)
            for n in self.graph.nodes
        }
        traces: dict[str, dict[str, Trace]] = {}
        for (target, variable), probed in self.probed().items():
            traces.setdefault(target, {})[variable] = self._trace(self._traces[target, variable], probed)
        return Recording(spikes, traces, self.counts(), self._meta)

    def _trace(self, parts: list[Any], probed: Probed) -> Trace:
        steps, values = np.zeros(0, np.int64), np.zeros((self.samples, 0, len(probed.neurons)))
        if parts:
            steps = np.concatenate([np.asarray(s, np.int64) for s, _ in parts])
            values = np.concatenate([v for _, v in parts], axis=1)
        return Trace(steps, values, probed.neurons, self.graph.dt, probed.unit)


def sorted_spikes(parts: list[tuple[NDArray[Any], ...]], n: int, steps: int, samples: int, dt: float) -> Spikes:
    """Join events and sort them by sample, step, neuron."""
    if parts:
        sample, step, neuron = (np.concatenate([p[k] for p in parts]) for k in range(3))
    else:
        sample = step = neuron = np.zeros(0, np.int64)
    order = order_of(sample, step, neuron)
    return Spikes(
        sample[order].astype(np.int32),
        step[order].astype(np.int64),
        neuron[order].astype(np.int32),
        n,
        steps,
        samples,
        dt,
    )


def order_of(*keys: NDArray[Any]) -> NDArray[np.int64] | slice:
    """Return what sorts by the first key, then the second, ...; all of it where that is sorted already.

    >>> order_of(np.array([0, 0, 1]), np.array([5, 7, 2]))
    slice(None, None, None)
    >>> order_of(np.array([1, 0, 0]), np.array([2, 7, 5])).tolist()
    [2, 1, 0]
    """
    if _ascend(keys):
        return slice(None)
    # chunks follow one another in time and are sorted: bringing the samples together is all that is left to do
    order = np.argsort(keys[0], kind="stable")
    return order if _ascend([key[order] for key in keys]) else np.asarray(np.lexsort(keys[::-1]))


def _ascend(keys: Sequence[NDArray[Any]]) -> bool:
    """Tell whether rows of keys are sorted."""
    equal = np.ones(max(0, len(keys[0]) - 1), bool)  # whether an event and the next one agree in all keys so far
    for key in keys:
        before, after = key[:-1], key[1:]
        if (equal & (after < before)).any():
            return False
        equal &= after == before
    return True
