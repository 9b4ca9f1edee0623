"""Recordings in files: streamed while a run goes on, or written afterwards; the layout is the same.

::

    (attributes)                        format, version, dt, steps, samples
    meta                                JSON: backend, seed, versions, configuration, timings, "interrupted"
    structure                           JSON: populations, projections and sources with their sizes; units of traces
    spikes/<population>/step, neuron    integers, sorted by (step, sample, neuron)
    spikes/<population>/sample          as long; where there is more than one sample
    traces/<population>/<state>/step    the steps recorded
    traces/<population>/<state>/values  [steps recorded, samples, neurons]
    traces/<population>/<state>/neurons which neurons
    counts/spikes/<population>          int64 [samples]; likewise counts/active/<population>,
                                        counts/events/<projection>, counts/emitted/<source>

Spikes, traces and counts become visible together: a file that a killed run left behind is the exact recording of a
shorter run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.collect import Mark, Probed, Tally, order_of
from spikesim.counts import Counts
from spikesim.engine import Chunk
from spikesim.files.hdf5_snapshot import Snapshot
from spikesim.files.hdf5_stream import Stream
from spikesim.files.recording_reader import KIND, VERSION, load_recording, recording_of
from spikesim.graph import Graph
from spikesim.recording import Recording

COMMIT_SECONDS = 0.5  # with chunks of a third of a second, a killed run lacks less than its last second


class Writer(Tally):
    """Streams a run to a file.

    Parameters
    ----------
    path
        Where. A recording that is there is replaced now, in one step; anything else is not overwritten.
    graph
        The network that runs.
    samples
        Number of samples.
    meta
        What made the recording.
    start
        Go on from this moment of the recording that is there: what follows it in the file is discarded.

    Raises
    ------
    FileAccessError
        If the file cannot be written.
    """

    def __init__(
        self, path: str | Path, graph: Graph, samples: int, meta: Mapping[str, Any], start: Mark | None = None
    ) -> None:
        super().__init__(graph, samples)
        self._file = _Layout(path, [n.name for n in graph.nodes], self.probed(), samples)
        self._meta = {**meta, "interrupted": True}
        if start is not None and start.steps:
            self.go_on_from(start)
            self._file.take_over(path, start.rows)
        self._intact = True
        self._commit()

    def add(self, chunk: Chunk) -> None:
        """Take what happened in some more steps; about every half second it becomes visible in the file."""
        self._intact = False
        super().add(chunk)
        for name, (sample, step, neuron) in chunk.spikes.items():
            self._file.add_spikes(name, sample, step, neuron)
        for key, (steps, values) in chunk.traces.items():
            self._file.add_trace(key, steps, values)
        self._intact = True
        if time.monotonic() - self._committed >= COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        self._file.describe(self.counts(), self._meta)
        self._file.stream.commit()
        self._committed = time.monotonic()

    def mark(self) -> Mark:
        """Commit, and return how far the recording has come; from there another run can go on."""
        self._commit()
        self._file.stream.sync()
        return super().mark()._replace(rows={path: table.rows for path, table in self._file.stream.tables.items()})

    def close(self, meta: Mapping[str, Any]) -> None:
        """End the run: write what is left, with the final counts and ``meta``."""
        if not self._intact:  # something broke within `add`: the file stays as it was before that chunk
            self.abandon()
            return
        self._file.describe(self.counts(), meta)
        self._file.stream.close()

    def abandon(self) -> None:
        """End the run; the file stays as the last commit left it."""
        self._file.stream.abandon()

    def recording(self) -> Recording:
        """Return what is in the file; large parts are read when asked for."""
        stream = self._file.stream
        return recording_of(stream.target, stream.values, stream.attributes)


class _Layout:
    """The parts of a recording as tables and values of a stream."""

    def __init__(
        self, path: str | Path, populations: Iterable[str], probed: Mapping[tuple[str, str], Probed], samples: int
    ) -> None:
        self.stream = Stream(path, KIND, VERSION)
        columns = {"step": np.int64, "neuron": np.int32} | ({"sample": np.int32} if samples > 1 else {})
        self._spikes = {
            name: {c: self.stream.table(f"spikes/{name}/{c}", dtype) for c, dtype in columns.items()}
            for name in populations
        }
        self._steps = {key: self.stream.table(f"traces/{'/'.join(key)}/step", np.int64) for key in probed}
        self._units: dict[str, dict[str, str]] = {}
        for (population, state), (neurons, unit) in probed.items():
            self._units.setdefault(population, {})[state] = unit
            self.stream.values[f"traces/{population}/{state}/neurons"] = neurons

    def take_over(self, path: str | Path, rows: Mapping[str, int]) -> None:
        """Begin with the first rows of the recording that is there; it stays as it is until the first commit."""
        try:
            with Snapshot(path, KIND, VERSION) as snapshot, h5py.File(snapshot, "r") as old:
                self.stream.take_over(old, rows)
        except BaseException:
            self.stream.abandon()
            raise

    def add_spikes(self, name: str, sample: NDArray[Any], step: NDArray[Any], neuron: NDArray[Any]) -> None:
        """Append events in the order of the file; those of one call follow those of the calls before."""
        order = order_of(step, sample, neuron)
        events = {"step": step, "neuron": neuron, "sample": sample}
        for column, table in self._spikes[name].items():
            table.append(events[column][order])

    def add_trace(self, key: tuple[str, str], steps: NDArray[Any], values: NDArray[Any]) -> None:
        """Append ``values[samples, k, neurons]``."""
        path = f"traces/{'/'.join(key)}/values"
        rows = np.asarray(values).swapaxes(0, 1)
        if path not in self.stream.tables and rows[:1].size:  # only now the precision is known
            self.stream.table(path, rows.dtype, rows.shape[1:])
        self._steps[key].append(steps)
        if path in self.stream.tables:
            self.stream.tables[path].append(rows)

    def describe(self, counts: Counts, meta: Mapping[str, Any]) -> None:
        """Set everything that is small."""
        values = self.stream.values
        self.stream.attributes |= {"dt": float(counts.dt), "steps": int(counts.steps), "samples": int(counts.samples)}
        values["meta"] = json.dumps(dict(meta), default=_plain)
        values["structure"] = json.dumps({**_sizes(counts), "traces": self._units})
        values |= {f"counts/spikes/{k}": p.spikes for k, p in counts.populations.items()}
        values |= {f"counts/active/{k}": p.active for k, p in counts.populations.items()}
        values |= {f"counts/events/{k}": p.events for k, p in counts.projections.items()}
        values |= {f"counts/emitted/{k}": emitted for k, emitted in counts.sources.items()}


def _sizes(counts: Counts) -> dict[str, Any]:
    projections = {
        name: {"pre": p.pre, "post": p.post, "synapses": p.synapses, "graded": p.graded, "recurrent": p.recurrent}
        for name, p in counts.projections.items()
    }
    populations = {name: p.neurons for name, p in counts.populations.items()}
    return {"populations": populations, "projections": projections, "sources": dict(counts.source_sizes)}


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into what it knows."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)


def save_recording(recording: Recording, path: str | Path) -> None:
    """Write a recording; the file appears when it is whole.

    Parameters
    ----------
    recording
        What to write.
    path
        Where. Another recording there is replaced; anything else is not overwritten.

    Raises
    ------
    FileAccessError
        If the file cannot be written.
    """
    probed = {(p, v): Probed(t.neurons, t.unit) for p, traces in recording.traces.items() for v, t in traces.items()}
    layout = _Layout(path, recording.spikes, probed, recording.samples)
    try:
        for name, spikes in recording.spikes.items():
            layout.add_spikes(name, spikes.sample, spikes.step, spikes.neuron)
        for population, variable in probed:
            trace = recording.traces[population][variable]
            layout.add_trace((population, variable), trace.steps, trace.values)
        layout.describe(recording.counts, recording.meta)
    except BaseException:
        layout.stream.abandon()
        raise
    layout.stream.close()


__all__ = ["Writer", "load_recording", "save_recording"]
