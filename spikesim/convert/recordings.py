"""Recordings as xarray and neo objects, for the tools that read those."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from spikesim.optional import require
from spikesim.recording import Recording, Spikes, Trace


def to_xarray(recording: Recording) -> Any:
    """Return a recording as an ``xarray.Dataset``.

    Parameters
    ----------
    recording
        What to convert.

    Returns
    -------
    xarray.Dataset
        Per population ``p``: ``p_count`` (spikes per sample and neuron) and ``p_time`` (one entry per spike, in
        seconds, with its neuron and sample as coordinates); per trace ``p_v``: ``[sample, time, neuron]``. The
        attributes hold ``dt``, ``steps``, and ``meta`` as JSON.

    Raises
    ------
    MissingPackageError
        If xarray is not installed.
    """
    xarray = require("xarray", "to_xarray")
    data: dict[str, Any] = {}
    coordinates: dict[str, Any] = {"sample": np.arange(recording.samples)}
    for name, spikes in recording.spikes.items():
        data[f"{name}_count"] = (("sample", f"{name}_neuron"), spikes.counts())
        data[f"{name}_time"] = ((f"{name}_spike",), spikes.times, {"units": "s"})
        coordinates[f"{name}_neuron"] = np.arange(spikes.n)
        coordinates[f"{name}_spike_neuron"] = ((f"{name}_spike",), spikes.neuron)
        coordinates[f"{name}_spike_sample"] = ((f"{name}_spike",), spikes.sample)
    for population, traces in recording.traces.items():
        for state, trace in traces.items():
            key = f"{population}_{state}"
            time, neuron = f"{key}_time", f"{key}_neuron"
            data[key] = (("sample", time, neuron), trace.values, {"units": trace.unit or "1"})
            coordinates[time] = ((time,), trace.times, {"units": "s"})
            coordinates[neuron] = trace.neurons
    attributes = {"dt": recording.dt, "steps": recording.steps, "meta": json.dumps(dict(recording.meta), default=str)}
    return xarray.Dataset(data, coordinates, attributes)


def to_neo(recording: Recording) -> Any:
    """Return a recording as a ``neo.Block`` with one segment per sample.

    Parameters
    ----------
    recording
        What to convert.

    Returns
    -------
    neo.Block
        Every segment holds a ``SpikeTrain`` per neuron (annotated with ``population`` and ``neuron``) and an
        ``AnalogSignal`` per trace (one channel per neuron).

    Raises
    ------
    MissingPackageError
        If neo is not installed.
    """
    neo = require("neo", "to_neo")
    block = neo.Block(name=str(recording.meta.get("network", "recording")), **_annotations(recording))
    for sample in range(recording.samples):
        segment = neo.Segment(name=f"sample {sample}", index=sample)
        for name, spikes in recording.spikes.items():
            segment.spiketrains.extend(_spike_trains(neo, name, spikes.of(sample)))
        for population, traces in recording.traces.items():
            for state, trace in traces.items():
                segment.analogsignals.append(_signal(neo, population, state, trace, sample))
        block.segments.append(segment)
    return block


def _annotations(recording: Recording) -> dict[str, Any]:
    plain = {k: v for k, v in recording.meta.items() if isinstance(v, (str, int, float, bool))}
    return {"dt": recording.dt, **{k: v for k, v in plain.items() if k not in ("name", "description", "dt")}}


def _spike_trains(neo: Any, population: str, spikes: Spikes) -> list[Any]:
    order = np.argsort(spikes.neuron, kind="stable")
    times = spikes.times[order]
    bounds = np.searchsorted(spikes.neuron[order], np.arange(spikes.n + 1))
    stop = spikes.steps * spikes.dt
    return [
        neo.SpikeTrain(
            times[bounds[k] : bounds[k + 1]],
            t_stop=stop,
            units="s",
            name=f"{population} {k}",
            population=population,
            neuron=k,
        )
        for k in range(spikes.n)
    ]


def _signal(neo: Any, population: str, state: str, trace: Trace, sample: int) -> Any:
    quantities = require("quantities", "to_neo")
    step = int(np.diff(trace.steps[:2])[0]) if len(trace.steps) > 1 else 1
    start = float(trace.times[0]) if len(trace.steps) else 0.0
    units = trace.unit if hasattr(quantities, trace.unit or "-") else "dimensionless"
    return neo.AnalogSignal(
        trace.values[sample],
        units=units,
        sampling_period=step * trace.dt * quantities.s,
        t_start=start * quantities.s,
        name=f"{population} {state}",
        population=population,
        state=state,
        array_annotations={"neuron": trace.neurons},
    )
