"""One sample: from a stimulus to what the kernels leave behind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.loihi.beside import Companion
from spikesim.backends.loihi.kernels import Counters, State, Stimulus, Traces, advance
from spikesim.backends.loihi.layout import Layout
from spikesim.fixedpoint import IntSample, IntState

# Spikes are written into pieces of this many (or one per neuron, if that is more), so memory follows the activity.
_PIECE = 1 << 16


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to record of a run: names of populations, and the columns."""

    spikes: list[str]
    u: list[str]
    v: list[str]
    stride: int
    first_column: int
    steps: int

    @property
    def columns(self) -> NDArray[np.int64]:
        """The columns in which u and v are recorded."""
        columns = np.arange(self.first_column, self.first_column + self.steps, dtype=np.int64)
        traced: NDArray[np.int64] = columns[columns % self.stride == 0]
        return traced


@dataclass(frozen=True, eq=False)
class RawSample:
    """What the kernels left behind for one sample."""

    spikes: NDArray[np.int32]
    u: NDArray[np.int32]
    v: NDArray[np.int32]
    state: State
    counters: Counters


def run_sample(
    layout: Layout, sample: IntSample, start: IntState, i: int, wanted: Wanted, companion: Companion | None = None
) -> RawSample:
    """Run sample number `i` of a batch from its part of the state `start`, with what runs beside it."""
    state = State(start.u[i].copy(), start.v[i].copy(), start.arrivals[i].reshape(-1).copy())
    counters = Counters(np.zeros(layout.n_sources, np.int64), np.zeros((len(layout.network.populations), 3), np.int64))
    stimulus = _stimulus(layout, companion.sample if companion else sample, wanted.steps)
    traces = _traces(layout, wanted)
    progress = np.zeros(3, np.int64)
    pieces = [np.zeros((0, 2), np.int32)]
    learning = companion if companion and companion.by_column else None
    while progress[0] < wanted.steps:
        column, stop = wanted.first_column + int(progress[0]), wanted.steps
        if learning:
            traces.record[:] = 1
            learning.before(stimulus.drive[progress[0]])
            stop = int(progress[0]) + 1
        written = advance(
            layout.neurons,
            layout.direct,
            layout.runs,
            layout.binned,
            layout.bins,
            state,
            stimulus,
            counters,
            traces,
            wanted.stride,
            wanted.first_column,
            progress,
            stop,
        )
        if learning:
            learning.after(column, traces.spike_neuron[:written])
        pieces.append(np.stack([traces.spike_column[:written], traces.spike_neuron[:written]], axis=1))
    return RawSample(np.concatenate(pieces), traces.u, traces.v, state, counters)


def _stimulus(layout: Layout, sample: IntSample, steps: int) -> Stimulus:
    events = [np.zeros((0, 2), np.int32)]
    events += [
        np.asarray(e, np.int32) + np.array([0, layout.first[name]], np.int32) for name, e in sample.spikes.items()
    ]
    merged = np.concatenate(events)
    merged = merged[np.argsort(merged[:, 0], kind="stable")]
    drive = np.concatenate([np.zeros((steps, 0), np.int32), *sample.drive.values()], axis=1)
    return Stimulus(
        np.ascontiguousarray(merged[:, 0]),
        np.ascontiguousarray(merged[:, 1]),
        np.ascontiguousarray(drive),
        _members(layout, sample.drive),
    )


def _traces(layout: Layout, wanted: Wanted) -> Traces:
    record = np.zeros(layout.n_neurons, np.uint8)
    record[_members(layout, wanted.spikes)] = 1
    u_neuron, v_neuron = _members(layout, wanted.u), _members(layout, wanted.v)
    rows = wanted.columns.size
    room = max(_PIECE, layout.n_neurons)
    return Traces(
        record,
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        u_neuron,
        v_neuron,
        np.empty((rows, u_neuron.size), np.int32),
        np.empty((rows, v_neuron.size), np.int32),
    )


def _members(layout: Layout, names: Collection[str]) -> NDArray[np.int32]:
    """Return the neurons of some populations, in the order of the names."""
    spans = [layout.span(name) for name in names]
    return np.concatenate([np.zeros(0, np.int32), *(np.arange(s.start, s.stop, dtype=np.int32) for s in spans)])
