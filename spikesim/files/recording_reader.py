"""Recordings from files: what is large is read when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.counts import Counts, PopulationCounts, ProjectionCounts
from spikesim.errors import FileFormatError
from spikesim.files.hdf5_snapshot import Snapshot
from spikesim.recording import Recording, Spikes, Trace

KIND, VERSION = "spikesim recording", 1
KEEP_BYTES = 2**24  # smaller ones stay in memory once they have been read
T = TypeVar("T", bound=Spikes | Trace)


def load_recording(path: str | Path) -> Recording:
    """Read a recording, also one that a killed run left behind, or that a run is still writing.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Recording
        Spikes and traces are read from the file when they are asked for; the recording of a run that did not reach
        its end has ``meta["interrupted"] = True``.

    Raises
    ------
    MissingFileError, FileAccessError
        If the file cannot be read.
    FileFormatError
        If it is foreign, damaged, truncated or newer.
    """
    return _File(Snapshot(path, KIND, VERSION)).recording()


def recording_of(path: str | Path, values: Mapping[str, Any], attributes: Mapping[str, Any]) -> Recording:
    """Return the recording in a file that this process has just written, whose small values are known.

    Opening it with the HDF5 library takes milliseconds, as long as some whole runs.
    """
    return _File(Snapshot(path, KIND, VERSION), {**values, "attributes": attributes}).recording()


class _File:
    """An open recording file; ``known`` are its small values, read if not given."""

    def __init__(self, snapshot: Snapshot, known: Mapping[str, Any] | None = None) -> None:
        self._snapshot = snapshot
        self._known = self.read("meta", "structure", "counts") if known is None else known
        try:
            self.meta, self.structure = json.loads(self._known["meta"]), json.loads(self._known["structure"])
            attributes = self._known["attributes"]
            self.steps, self.samples = int(attributes["steps"]), int(attributes["samples"])
            self.dt = float(attributes["dt"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> FileFormatError:
        return FileFormatError(f"{str(self._snapshot.path)!r} is damaged: {error}; restore it from a copy")

    def read(self, *paths: str) -> dict[str, Any]:
        """Return the arrays (or texts) at some paths and below, those that are there."""
        found: dict[str, Any] = {}

        def take(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[item.name.lstrip("/")] = item[()]

        try:
            with h5py.File(self._snapshot, "r") as file:
                for path in (path for path in paths if path in file):
                    take(path, file[path])
                    if isinstance(file[path], h5py.Group):
                        file[path].visititems(take)
                return {**found, "attributes": dict(file.attrs)}
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise self._damaged(error) from None

    def recording(self) -> Recording:
        """Return the whole as a value."""
        try:
            sizes = {name: int(n) for name, n in self.structure["populations"].items()}
            probed = {name: dict(units) for name, units in self.structure["traces"].items()}
            counts = self._counts()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._damaged(error) from None
        spikes = Lazy(list(sizes), lambda name: self._spikes(name, sizes[name]))
        traces = {p: Lazy(list(units), partial(self._trace, p, units)) for p, units in probed.items()}
        return Recording(spikes, traces, counts, self.meta)

    def _counts(self) -> Counts:
        s, arrays, populations = self.structure, self._known, {}
        for name, n in s["populations"].items():
            active = arrays[f"counts/active/{name}"]
            populations[name] = PopulationCounts(n, arrays[f"counts/spikes/{name}"], active, n * self.steps - active)
        projections = {
            name: ProjectionCounts(
                p["pre"], p["post"], p["synapses"], arrays[f"counts/events/{name}"], p["graded"], p["recurrent"]
            )
            for name, p in s["projections"].items()
        }
        sources = {name: arrays[f"counts/emitted/{name}"] for name in s["sources"]}
        return Counts(self.steps, self.samples, self.dt, populations, projections, sources, dict(s["sources"]))

    def _spikes(self, name: str, n: int) -> Spikes:
        place = f"spikes/{name}"
        found = self.read(f"{place}/step", f"{place}/neuron", f"{place}/sample")
        step, neuron = found[f"{place}/step"], found[f"{place}/neuron"]
        if self.samples == 1:
            return Spikes(np.zeros(len(step), np.int32), step, neuron, n, self.steps, 1, self.dt)
        sample = found[f"{place}/sample"]
        order = np.argsort(sample, kind="stable")  # within a sample they are sorted already
        return Spikes(sample[order], step[order], neuron[order], n, self.steps, self.samples, self.dt)

    def _trace(self, population: str, units: Mapping[str, str], state: str) -> Trace:
        place = f"traces/{population}/{state}"
        found = self.read(f"{place}/step", f"{place}/values", f"{place}/neurons")
        neurons: NDArray[np.int64] = found[f"{place}/neurons"]
        values = found.get(f"{place}/values", np.zeros((0, self.samples, len(neurons))))
        steps = found.get(f"{place}/step", np.zeros(0, np.int64))
        return Trace(steps, np.ascontiguousarray(values.swapaxes(0, 1)), neurons, self.dt, str(units[state]))


class Lazy(Mapping[str, T], Generic[T]):
    """Values by name, made when asked for; large ones are not kept.

    Parameters
    ----------
    names
        In order.
    load
        Makes the value of a name.
    """

    def __init__(self, names: list[str], load: Callable[[str], T]) -> None:
        self._names, self._load = names, load
        self._kept: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._names:
            raise KeyError(name)
        if name in self._kept:
            return self._kept[name]
        value = self._load(name)
        if sum(v.nbytes for v in vars(value).values() if isinstance(v, np.ndarray)) <= KEEP_BYTES:
            self._kept[name] = value
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # copies and pickles hold the values themselves
