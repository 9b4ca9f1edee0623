"""SONATA's inputs, spikes of virtual nodes and current clamps, and its output files, spikes and membranes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.convert.files import target
from spikesim.convert.sonata_config import MS, Config
from spikesim.convert.sonata_neurons import Cells
from spikesim.convert.sonata_tables import Nodes
from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.files.envelope import write_atomically
from spikesim.recording import Recording
from spikesim.stimulus import Current

MAGIC, VERSION = 0x0A7A, (0, 1)  # that every SONATA file begins with
TIC = 1e-3  # ms
SLACK = 1e-6  # of a step: a time so little behind the end of a step is at its end
SORTING = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
Events = tuple[NDArray[np.float64], NDArray[np.int64]]


# ------------------------------------------------------------------------------------------------------------- inputs
def spike_trains(config: Config, entry: Mapping[str, Any], nodes: Nodes, dt: float) -> Events:
    """Return the spikes of a virtual population: times in seconds in the middle of a step, indices.

    A spike at time t ms is emitted at the end of the step that t lies in, as by NEST's ``spike_train_injector``, where
    t is rounded to NEST's shortest time of 1 us first.
    """
    file = entry.get("input_file")
    if not file:
        raise InvalidValueError("spikes need an input_file")
    path = config.file(str(file))
    ids, times = _csv_spikes(path, nodes.name) if path.suffix == ".csv" else _h5_spikes(path, nodes.name)
    known = np.isin(ids, nodes.ids)
    ids, times = ids[known], times[known]
    step = np.ceil(np.rint(times / TIC) * TIC * MS / dt - SLACK) - 1.0
    if (step < 0).any():
        raise InvalidValueError(f"{path.name!r}: spikes must be later than 0 ms, found {times.min():g} ms")
    return (step + 0.5) * dt, nodes.index(ids)


def _h5_spikes(path: Path, population: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    try:
        with h5py.File(path, "r") as file:
            group = file["spikes"]
            if any(isinstance(v, h5py.Group) for v in group.values()):
                if population not in group:
                    found = ", ".join(map(repr, group))
                    raise FileFormatError(f"{str(path)!r} holds no spikes of {population!r}, only of {found}")
                group = group[population]
            ids = group["node_ids" if "node_ids" in group else "gids"]
            return np.asarray(ids, np.int64), np.asarray(group["timestamps"], np.float64)
    except (OSError, KeyError) as error:
        raise FileFormatError(f"{str(path)!r} is not a SONATA file of spikes: {error}") from None


def _csv_spikes(path: Path, population: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter=" ", skipinitialspace=True))
    key = next((k for k in ("node_ids", "gids", "node_id", "gid") if rows and k in rows[0]), None)
    if rows and (key is None or "timestamps" not in rows[0]):
        raise FileFormatError(f"{str(path)!r} is not a SONATA file of spikes: it needs node_ids and timestamps")
    mine = [r for r in rows if r.get("population", population) == population]
    return np.array([int(r[str(key)]) for r in mine], np.int64), np.array([float(r["timestamps"]) for r in mine])


def stimulated(
    name: str, entry: Mapping[str, Any], label: str, n: int, cells: Cells | None, place: NDArray[np.int64], dt: float
) -> tuple[Current | None, str]:  # fmt: skip
    """Return the current that a clamp injects into some neurons of a population, or why there is none.

    It acts from one step after ``delay`` on, for ``duration``: NEST's generators are connected with a delay of a step.
    """
    if cells is None or cells.current is None:
        what = "virtual nodes" if cells is None else f"{cells.neuron.model.name!r}, which takes no current here"
        return None, f"input {name!r}: a current into {label!r}: {what}"
    try:
        numbers = [np.atleast_1d(np.asarray(entry[k], np.float64)) for k in ("amp", "delay", "duration")]
        amplitude, onset, duration = np.broadcast_arrays(*numbers)
    except KeyError as error:
        return None, f"input {name!r}: a current clamp needs amp, delay and duration; {error} is missing"
    except ValueError:
        return None, f"input {name!r}: amp, delay and duration must be numbers, or lists of one length"
    start = np.rint(onset * MS / dt) + 1
    stop = start + np.rint(duration * MS / dt)
    edges = np.unique(np.concatenate([start, stop]))
    total = np.array([amplitude[(start <= e) & (e < stop)].sum() for e in edges])
    port, unit = cells.current
    values = np.zeros((len(edges), n))
    values[:, place] = total[:, None] * unit[place]
    return Current(f"{name} {label}", label, port, times=edges * dt, values=values), ""


# ------------------------------------------------------------------------------------------------------------ outputs
def write_spikes(
    recording: Recording,
    path: str | Path,
    nodes: Mapping[str, tuple[str, NDArray[np.int64]]] | None = None,
    sample: int = 0,
) -> None:
    """Write the spikes of a recording to a SONATA file, sorted by time.

    Parameters
    ----------
    recording
        One or more samples.
    path
        Of the file; a file of spikes that is there is replaced.
    nodes
        Population to (population of the circuit, node ids), as :class:`~spikesim.convert.sonata.Circuit` holds them;
        names and numbers of the recording by default.
    sample
        Which sample.

    Notes
    -----
    Times are the ends of steps in milliseconds, as NEST gives them: a file that is read as input again gives the
    same steps.
    """
    if not 0 <= sample < recording.samples:
        raise InvalidValueError(f"sample must be 0 .. {recording.samples - 1}, found {sample}")
    parts: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = {}
    for name, spikes in recording.spikes.items():
        population, ids = (nodes or {}).get(name, (name, np.arange(spikes.n)))
        events = spikes.of(sample)
        times = np.round((events.step + 1) * (recording.dt / MS), 9)
        parts.setdefault(population, []).append((times, ids[events.neuron]))

    def write(stream: Any) -> None:
        with h5py.File(stream, "w") as file:
            _head(file)
            for population, found in parts.items():
                times, ids = (np.concatenate(c) for c in zip(*found, strict=True))
                order = np.lexsort((ids, times))
                group = file.create_group(f"spikes/{population}")
                group.attrs.create("sorting", 2, dtype=SORTING)
                group.create_dataset("timestamps", data=times[order]).attrs["units"] = "ms"
                group.create_dataset("node_ids", data=ids[order].astype(np.uint64))

    write_atomically(target(path, "SONATA", "spikes"), write)


def write_membranes(
    recording: Recording,
    path: str | Path,
    nodes: Mapping[str, tuple[str, NDArray[np.int64]]],
    populations: tuple[str, ...],
) -> None:
    """Write the membranes of some populations to a SONATA report, in millivolts, one frame per recorded step."""

    def write(stream: Any) -> None:
        with h5py.File(stream, "w") as file:
            _head(file)
            for name in populations:
                population, ids = nodes[name]
                trace = recording.traces[name]["v"]
                label = population if f"report/{population}" not in file else name
                data = file.create_dataset(
                    f"report/{label}/data", data=trace.values[0].astype(np.float32) / np.float32(MS)
                )
                data.attrs["units"] = "mV"
                mapping = file.create_group(f"report/{label}/mapping")
                n, every = len(trace.neurons), np.diff(trace.steps[:2]).sum() or 1
                mapping["node_ids"] = ids[trace.neurons].astype(np.uint64)
                mapping["index_pointers"] = np.arange(n + 1, dtype=np.uint64)
                mapping["element_ids"] = np.zeros(n, np.uint32)
                mapping["element_pos"] = np.zeros(n, np.float32)
                step = recording.dt / MS
                mapping["time"] = np.array([step, step + len(trace.steps) * every * step, every * step])
                mapping["time"].attrs["units"] = "ms"

    write_atomically(target(path, "SONATA", "report"), write)


def _head(file: Any) -> None:
    file.attrs["magic"] = np.uint32(MAGIC)
    file.attrs["version"] = np.array(VERSION, np.uint32)
