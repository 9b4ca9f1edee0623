"""Recordings as NIRData, the second half of the NIR format: spikes as events, states as values on a grid of time.

Every population is a node. Its spikes are the observable ``"spikes"``, its traces have the names of their states. NIR
knows neither a unit nor a network, seed or version: the file's attribute ``spikesim`` holds those, and nothing in it is
needed to read a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.collect import sorted_spikes
from spikesim.convert.files import target
from spikesim.convert.metadata import KEY
from spikesim.counts import Counts, PopulationCounts
from spikesim.errors import FileFormatError, InvalidValueError, MissingFileError, UnsupportedError
from spikesim.files.envelope import write_atomically
from spikesim.optional import require
from spikesim.recording import Recording, Spikes, Trace
from spikesim.units import si

SPIKES = "spikes"
SLACK = 1e-6  # of a step: a time so little before a step belongs to it


# ------------------------------------------------------------------------------------------------------------ writing
def to_nirdata(recording: Recording) -> Any:
    """Return a recording as ``nir.NIRGraphData``.

    Parameters
    ----------
    recording
        What to convert.

    Returns
    -------
    nir.NIRGraphData
        A ``NIRNodeData`` per population: ``EventData`` for spikes, ``TimeGriddedData`` for a trace of all neurons (its
        ``dt`` is that of the trace), ``ValuedEventData`` for a trace of some neurons.

    Raises
    ------
    MissingPackageError
        If ``nir`` is not installed.

    Notes
    -----
    Times are the beginnings of steps, raised by a rounding error where ``floor(time / dt)``, which is what readers
    do, would give the step before: for ``dt = 3e-3`` that is one step in 13.
    """
    nir = require("nir", "writing NIRData")
    nodes = {}
    for name in dict.fromkeys((*recording.spikes, *recording.traces)):
        observables = {}
        if name in recording.spikes:
            observables[SPIKES] = _events(nir, recording[name])
        for state, trace in recording.traces.get(name, {}).items():
            label = f"{state} state" if state == SPIKES else state
            observables[label] = _values(nir, recording, name, trace)
        nodes[name] = nir.NIRNodeData(observables)
    return nir.NIRGraphData(nodes)


def write_nirdata(recording: Recording, path: str | Path) -> None:
    """Write a recording to a NIRData file.

    Raises
    ------
    FileAccessError
        If there is a file of another kind, which is left as it is.
    MissingPackageError
        If ``nir`` is not installed.
    """
    nir = require("nir", "writing NIRData")
    place = target(path, "NIRData", "nodes")
    data = to_nirdata(recording)
    units = {f"{n}/{s}": t.unit for n, traces in recording.traces.items() for s, t in traces.items() if t.unit}
    described = {"dt": recording.dt, "steps": recording.steps, "meta": dict(recording.meta), "units": units}

    def write(stream: Any) -> None:
        nir.write_data(stream, data)
        with h5py.File(stream, "r+") as file:
            file.attrs[KEY] = json.dumps(described, default=str)

    write_atomically(place, write)


def step_times(steps: NDArray[np.int64], dt: float) -> NDArray[np.float64]:
    """Return the beginnings of steps in seconds such that ``floor(time / dt)`` is the step again."""
    times = steps * dt
    while (early := np.floor(times / dt) < steps).any():
        times = np.where(early, np.nextafter(times, np.inf), times)
    return np.asarray(times, np.float64)


def _end(steps: int, dt: float) -> float:
    return float(step_times(np.array([steps]), dt)[0])


def _padded(sample: NDArray[Any], samples: int, values: NDArray[Any], filler: Any) -> NDArray[Any]:
    """Return ``[samples, most events]`` of values sorted by sample, filled up at the end of each row."""
    counts = np.bincount(sample, minlength=samples)
    rows = np.full((samples, int(counts.max(initial=0))), filler, values.dtype)
    place = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows[sample, place] = values
    return rows


def _events(nir: Any, spikes: Spikes) -> Any:
    idx = _padded(spikes.sample, spikes.samples, spikes.neuron.astype(np.int64), -1)
    time = _padded(spikes.sample, spikes.samples, step_times(spikes.step, spikes.dt), np.inf)
    return nir.EventData(idx, time, spikes.n, _end(spikes.steps, spikes.dt))


def _values(nir: Any, recording: Recording, population: str, trace: Trace) -> Any:
    n = recording[population].n if population in recording.spikes else len(trace.neurons)
    every = int(np.diff(trace.steps[:2])[0]) if len(trace.steps) > 1 else 1
    if np.array_equal(trace.neurons, np.arange(n)) and trace.steps[:1].sum() == 0:
        return nir.TimeGriddedData(trace.values, every * trace.dt)
    samples, k, _ = trace.values.shape
    shape = (samples, k * len(trace.neurons))
    idx = np.broadcast_to(np.tile(trace.neurons, k), shape)
    time = np.broadcast_to(np.repeat(step_times(trace.steps, trace.dt), len(trace.neurons)), shape)
    return nir.ValuedEventData(idx, time, n, _end(recording.steps, trace.dt), trace.values.reshape(shape))


# ------------------------------------------------------------------------------------------------------------ reading
def from_nirdata(source: Any, *, dt: float | None = None) -> Recording:
    """Return the recording in a NIRData file or object.

    Parameters
    ----------
    source
        Path of a file, or ``nir.NIRGraphData``; nodes of nested graphs are called ``outer.inner``.
    dt
        Time step in seconds. Needed where only events are given and spikesim did not write them: events hold none.

    Returns
    -------
    Recording
        Its counts are those of spikes: NIRData holds no synaptic events. An observable of events that is not called
        ``"spikes"`` becomes a population ``node.observable``; boolean grids are spikes.

    Raises
    ------
    InvalidValueError
        Without a time step.
    UnsupportedError
        If something has no counterpart; all is listed.
    FileFormatError, MissingFileError
        If the file is not NIRData, or not there.
    """
    data, described = _read(source)
    found = list(_observables(data, ""))
    steps_of = [obs.dt for _, _, obs in found if hasattr(obs, "data")]
    known = dt if dt is not None else described.get("dt", min(steps_of, default=None))
    if known is None:
        raise InvalidValueError("NIRData's events hold no time step; pass dt= in seconds")
    step = float(si(known, "s", "dt"))
    if not (np.isfinite(step) and step > 0):
        raise InvalidValueError(f"dt must be above 0 s, found {step!r}")
    length = max((_length(obs, step) for _, _, obs in found), default=0)
    return _recording(found, step, int(described.get("steps", length)), described)


def holds_nirdata(path: str | Path) -> bool:
    """Tell whether a file holds NIRData."""
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("__type__") == "NIRGraphData")
    except OSError:
        return False


def _read(source: Any) -> tuple[Any, dict[str, Any]]:
    if not isinstance(source, (str, Path)):
        if not hasattr(source, "nodes"):
            raise InvalidValueError(f"from_nirdata takes a path or nir.NIRGraphData, found {type(source).__name__}")
        return source, {}
    if not Path(source).is_file():
        raise MissingFileError(f"there is no file {str(source)!r}")
    nir = require("nir", "reading NIRData")
    if not holds_nirdata(source):
        raise FileFormatError(f"{str(source)!r} is not a NIRData file (a network in NIR is read by from_nir)")
    try:
        with h5py.File(source, "r") as file:
            described = json.loads(file.attrs.get(KEY, "{}"))
        return nir.read_data(str(source)), described if isinstance(described, dict) else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{str(source)!r} is not a NIRData file that nir can read: {error}") from None


def _observables(data: Any, prefix: str) -> Iterator[tuple[str, str, Any]]:
    for name, node in data.nodes.items():
        if hasattr(node, "nodes"):
            yield from _observables(node, f"{prefix}{name}.")
        else:
            yield from ((f"{prefix}{name}", label, obs) for label, obs in node.observables.items())


def _length(observable: Any, dt: float) -> int:
    return int(np.floor(observable.t_max / dt + SLACK))


def _recording(found: list[tuple[str, str, Any]], dt: float, steps: int, described: dict[str, Any]) -> Recording:
    spikes: dict[str, Spikes] = {}
    traces: dict[str, dict[str, Trace]] = {}
    problems = []
    for node, label, observable in found:
        unit = described.get("units", {}).get(f"{node}/{label}", "")
        try:
            if hasattr(observable, "value") or (hasattr(observable, "data") and observable.data.dtype != bool):
                state = label.removesuffix(" state") if label == f"{SPIKES} state" else label
                traces.setdefault(node, {})[state] = _trace(observable, dt, unit)
            else:
                spikes[node if label == SPIKES else f"{node}.{label}"] = _spikes(observable, dt, steps)
        except InvalidValueError as error:
            problems.append(f"{node!r}, {label!r}: {error}")
    samples = {s.samples for s in spikes.values()} | {len(t.values) for x in traces.values() for t in x.values()}
    if len(samples) > 1:
        problems.append(f"the observables have {sorted(samples)} samples; a Recording has one number for all")
    if problems:
        raise UnsupportedError(problems, "NIRData that is no recording:")
    return Recording(spikes, traces, _counts(spikes, steps, max(samples, default=0), dt), described.get("meta", {}))


def _spikes(observable: Any, dt: float, steps: int) -> Spikes:
    if hasattr(observable, "data"):
        if not np.isclose(observable.dt, dt):
            raise InvalidValueError(f"a raster with steps of {observable.dt:g} s, but the time step is {dt:g} s")
        sample, step, neuron = np.nonzero(observable.data)
    else:
        there = (observable.idx >= 0) & np.isfinite(observable.time)
        sample, neuron = np.nonzero(there)[0], observable.idx[there]
        step = np.floor(observable.time[there] / dt + SLACK)
    if step.size and not (0 <= step.min() and step.max() < steps and neuron.max() < observable.n_neurons):
        raise InvalidValueError(f"events outside of {steps} steps or {observable.n_neurons} neurons")
    parts: list[tuple[NDArray[Any], ...]] = [(sample.astype(np.int32), step.astype(np.int64), neuron.astype(np.int32))]
    events = sorted_spikes(parts, int(observable.n_neurons), steps, int(observable.n_samples), dt)
    if (np.diff(np.stack([events.sample, events.step, events.neuron])) == 0).all(axis=0).any():
        raise InvalidValueError(f"a neuron fires twice within a step of {dt:g} s; give a smaller dt")
    return events


def _trace(observable: Any, dt: float, unit: str) -> Trace:
    if hasattr(observable, "data"):
        every = round(observable.dt / dt)
        if every < 1 or not np.isclose(observable.dt, every * dt):
            raise InvalidValueError(f"values each {observable.dt:g} s, which is no multiple of the step of {dt:g} s")
        steps = np.arange(observable.n_time_steps, dtype=np.int64) * every
        return Trace(steps, observable.data.astype(np.float64), np.arange(observable.n_neurons), dt, unit)
    steps = np.unique(np.floor(observable.time / dt + SLACK).astype(np.int64))
    neurons = np.unique(observable.idx)
    grid = (np.tile(neurons, len(steps)), np.repeat(step_times(steps, dt), len(neurons)))
    complete = observable.idx.shape[1:] == grid[0].shape and (observable.idx == grid[0]).all()
    if not complete or not np.allclose(observable.time, grid[1], atol=SLACK * dt):
        raise InvalidValueError("values of events that form no trace (each of some neurons at each of some times)")
    values = observable.value.reshape(len(observable.idx), len(steps), len(neurons)).astype(np.float64)
    return Trace(steps, values, neurons.astype(np.int64), dt, unit)


def _counts(spikes: dict[str, Spikes], steps: int, samples: int, dt: float) -> Counts:
    populations = {}
    for name, s in spikes.items():
        fired = s.counts().sum(axis=1)
        populations[name] = PopulationCounts(s.n, fired, fired, s.n * steps - fired)
    return Counts(steps, samples, dt, populations, {}, {}, {})
