"""One sample: from a stimulus to what the kernels leave behind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.loihi.beside import Companion
from spikesim.backends.loihi.kernels import advance
from spikesim.backends.loihi.layout import Layout
from spikesim.backends.loihi.tables import LANES, Counters, State, Stimulus, Traces, scratch
from spikesim.fixedpoint import IntSample, IntState

# Spikes are written into pieces of this many (or one per neuron, if that is more), so memory follows the activity.
_PIECE = 1 << 18


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to record of a run: names of populations, and the columns."""

    spikes: list[str]
    u: list[str]
    v: list[str]
    stride: int
    first_column: int
    steps: int

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        """The columns in which u and v are recorded."""
        columns = np.arange(self.first_column, self.first_column + self.steps, dtype=np.int64)
        traced: NDArray[np.int64] = columns[columns % self.stride == 0]
        return traced


@dataclass(frozen=True, eq=False)
class RawSample:
    """What the kernels left behind for one sample; `spikes` are rows (column, neuron) by name of the population."""

    spikes: dict[str, NDArray[np.int32]]
    u: NDArray[np.int32]
    v: NDArray[np.int32]
    state: State
    counters: Counters


def run_sample(
    layout: Layout, sample: IntSample, start: IntState, i: int, wanted: Wanted, companion: Companion | None = None
) -> RawSample:
    """Run sample number `i` of a batch from its part of the state `start`, with what runs beside it."""
    learning = companion if companion and companion.by_column else None
    ring = np.concatenate([start.arrivals[i].reshape(-1), np.zeros(LANES, np.int32)])
    state = State(start.u[i].copy(), start.v[i].copy(), start.wait[i].copy(), ring)
    counters = Counters(np.zeros(layout.n_sources, np.int64), np.zeros((len(layout.network.populations), 3), np.int64))
    stimulus = _stimulus(layout, companion.sample if companion else sample, wanted.steps)
    learning = companion if companion and companion.by_column else None
    traces = _traces(layout, wanted, everything=learning is not None)
    room = scratch(layout.neurons, layout.n_sources, layout.runs, layout.bins)
    progress = np.zeros(3, np.int64)
    pieces: dict[str, list[NDArray[np.int32]]] = {name: [] for name in wanted.spikes}
    while progress[0] < wanted.steps:
        column, stop = wanted.first_column + int(progress[0]), wanted.steps
        if learning:
            learning.before(stimulus.drive[progress[0]])
            stop = int(progress[0]) + 1
        traces.filled[:] = 0
        advance(
            layout.neurons,
            layout.direct,
            layout.runs,
            layout.binned,
            layout.bins,
            state,
            stimulus,
            counters,
            traces,
            room,
            wanted.stride,
            wanted.first_column,
            progress,
            stop,
        )
        found = _recorded(layout, traces)
        if learning:
            spiking = [rows[:, 1] + np.int32(layout.first[name]) for name, rows in found.items()]
            learning.after(column, np.concatenate([np.zeros(0, np.int32), *spiking]))
        for name, rows in pieces.items():
            rows.append(found[name])
    spikes = {name: np.concatenate([np.zeros((0, 2), np.int32), *own]) for name, own in pieces.items()}
    return RawSample(spikes, traces.u, traces.v, state, counters)


def _recorded(layout: Layout, traces: Traces) -> dict[str, NDArray[np.int32]]:
    """Return what the kernels have recorded: rows (column, neuron) by name of the population."""
    rows = traces.spikes.reshape(-1, 2)
    return {
        population.name: rows[traces.begin[p] : traces.begin[p] + traces.filled[p]].copy()
        for p, population in enumerate(layout.network.populations)
        if traces.record[p]
    }


def _stimulus(layout: Layout, sample: IntSample, steps: int) -> Stimulus:
    """Merge the inputs' spikes; those of one input are sorted already (`spikesim.fixedpoint.run.as_samples`)."""
    columns = [np.zeros(0, np.int32), *(np.asarray(e, np.int32)[:, 0] for e in sample.spikes.values())]
    sources = [np.zeros(0, np.int32)]
    sources += [np.asarray(e, np.int32)[:, 1] + np.int32(layout.first[name]) for name, e in sample.spikes.items()]
    column, source = np.concatenate(columns), np.concatenate(sources)
    if len(sample.spikes) > 1:
        order = np.argsort(column, kind="stable")
        column, source = column[order], source[order]
    drive = np.concatenate([np.zeros((steps, 0), np.int32), *sample.drive.values()], axis=1)
    return Stimulus(column, source, np.ascontiguousarray(drive), _members(layout, sample.drive))


def _traces(layout: Layout, wanted: Wanted, everything: bool) -> Traces:
    populations = layout.network.populations
    record = np.array([everything or p.name in wanted.spikes for p in populations], np.uint8)
    share = _PIECE // max(1, int(record.sum()))
    room = [max(share, p.n) if recorded else 0 for p, recorded in zip(populations, record, strict=True)]
    begin = np.concatenate([[0], np.cumsum(room, dtype=np.int64)]).astype(np.int64)
    u_neuron, v_neuron = _members(layout, wanted.u), _members(layout, wanted.v)
    rows = wanted.columns.size
    return Traces(
        record,
        begin,
        np.zeros(len(populations), np.int64),
        np.empty(2 * int(begin[-1]), np.int32),
        u_neuron,
        v_neuron,
        np.empty((rows, u_neuron.size), np.int32),
        np.empty((rows, v_neuron.size), np.int32),
    )


def _members(layout: Layout, names: Collection[str]) -> NDArray[np.int32]:
    """Return the neurons of some populations, in the order of the names."""
    spans = [layout.span(name) for name in names]
    return np.concatenate([np.zeros(0, np.int32), *(np.arange(s.start, s.stop, dtype=np.int32) for s in spans)])
