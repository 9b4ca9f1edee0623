"""What a run yields: spikes as sorted events, state traces, integer counts, and what made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.counts import Counts
from spikesim.errors import UnknownNameError


@dataclass(frozen=True, eq=False)
class Spikes:
    """Events of one population, sorted by (sample, step, neuron).

    Parameters
    ----------
    sample, step, neuron
        Integer arrays of equal length.
    n, steps, samples
        Number of neurons, steps and samples.
    dt
        Time step in seconds.
    """

    sample: NDArray[np.int32]
    step: NDArray[np.int64]
    neuron: NDArray[np.int32]
    n: int
    steps: int
    samples: int
    dt: float

    def __len__(self) -> int:
        return len(self.step)

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds since the start of the sample (beginning of the step)."""
        return np.asarray(self.step * self.dt)

    def of(self, sample: int) -> Spikes:
        """Return the events of one sample."""
        low, high = np.searchsorted(self.sample, [sample, sample + 1])
        part = slice(low, high)
        return Spikes(self.sample[part] * 0, self.step[part], self.neuron[part], self.n, self.steps, 1, self.dt)

    def counts(self) -> NDArray[np.int64]:
        """Return the spike counts, int64 ``[samples, n]``."""
        flat = self.sample.astype(np.int64) * self.n + self.neuron
        return np.bincount(flat, minlength=self.samples * self.n).reshape(self.samples, self.n)

    def dense(self) -> NDArray[np.bool_]:
        """Return the raster, bool ``[steps, samples, n]``."""
        raster = np.zeros((self.steps, self.samples, self.n), bool)
        raster[self.step, self.sample, self.neuron] = True
        return raster

    def rate(self) -> float:
        """Mean rate in hertz."""
        seconds = self.steps * self.dt * self.samples * self.n
        return len(self) / seconds if seconds else 0.0


@dataclass(frozen=True, eq=False)
class Trace:
    """One state variable over time.

    Parameters
    ----------
    steps
        The steps recorded, int64 ``[k]``.
    values
        float64 ``[samples, k, neurons]``, each at the end of its step.
    neurons
        Which neurons, int64.
    dt
        Time step in seconds.
    unit
        SI unit of the values, ``""`` for a pure number.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    neurons: NDArray[np.int64]
    dt: float
    unit: str = ""

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds since the start of the sample (beginning of the steps, as for spikes)."""
        return np.asarray(self.steps * self.dt)


@dataclass(frozen=True, eq=False)
class Recording:
    """The result of a run.

    Parameters
    ----------
    spikes
        By population.
    traces
        By population, then variable.
    counts
        Integer counts.
    meta
        Backend, seed, versions, configuration, timings.
    """

    spikes: Mapping[str, Spikes]
    traces: Mapping[str, Mapping[str, Trace]]
    counts: Counts
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, population: str) -> Spikes:
        """Return the spikes of a population."""
        if population not in self.spikes:
            raise UnknownNameError("population", population, list(self.spikes))
        return self.spikes[population]

    @property
    def steps(self) -> int:
        """Steps per sample."""
        return self.counts.steps

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.counts.samples

    @property
    def dt(self) -> float:
        """Time step in seconds."""
        return self.counts.dt

    def save(self, path: str | Path) -> None:
        """Write the recording to an HDF5 file."""
        from spikesim.files.recording_writer import save_recording

        save_recording(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read a recording, also one that a killed run left behind."""
        from spikesim.files.recording_writer import load_recording

        return load_recording(path)

    def to_xarray(self) -> Any:
        """Return an ``xarray.Dataset`` of spike counts and traces (needs ``spikesim[analysis]``)."""
        from spikesim.convert.recordings import to_xarray

        return to_xarray(self)

    def to_neo(self) -> Any:
        """Return a ``neo.Block`` with one segment per sample (needs ``spikesim[analysis]``)."""
        from spikesim.convert.recordings import to_neo

        return to_neo(self)

    def to_nirdata(self) -> Any:
        """Return ``nir.NIRGraphData``: spikes as events, traces as values over time (needs ``spikesim[interop]``)."""
        from spikesim.convert.nir_data import to_nirdata

        return to_nirdata(self)

    def __str__(self) -> str:
        lines = [f"Recording of {self.samples} sample(s) x {self.steps} steps of {self.dt:g} s"]
        seconds = self.steps * self.dt * self.samples
        for name, p in self.counts.populations.items():
            spikes = int(p.spikes.sum())
            lines.append(f"  {name}: {spikes} spikes, {spikes / (seconds * p.neurons or 1):.3g} Hz per neuron")
        return "\n".join(lines)


def same_spikes(a: Recording, b: Recording) -> bool:
    """Tell whether two recordings hold exactly the same spikes."""
    return differing_spikes(a, b) == 0


def differing_spikes(a: Recording, b: Recording) -> int:
    """Count the spikes that only one of two recordings has."""

    def events(recording: Recording) -> set[tuple[str, int, int, int]]:
        return {
            (name, *event)
            for name, s in recording.spikes.items()
            for event in zip(s.sample.tolist(), s.step.tolist(), s.neuron.tolist(), strict=True)
        }

    return len(events(a) ^ events(b))
