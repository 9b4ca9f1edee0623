"""Stimuli as arrays: what sources emit and drives add in a stretch of steps, the same for every backend.

All draws are counter-based: a function of the seed, the stimulus' name, the step, the sample and the neuron.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.equations.elementary import exp
from spikesim.errors import UnsupportedError
from spikesim.graph import Graph
from spikesim.lowering import snap_input
from spikesim.rng import Stream, poisson_parts, poisson_thresholds, substep
from spikesim.stimulus import (
    Current,
    Drive,
    Input,
    OrnsteinUhlenbeck,
    Poisson,
    PoissonDrive,
    Rate,
    Source,
    SpikeTrains,
)


def padded(n: int) -> int:
    """Return the indices that one sample takes in a random stream: whole blocks of 64."""
    return -(-n // 64) * 64


def source_values(
    graph: Graph, source: Source, first: int, steps: int, samples: int, inputs: NDArray[Any] | None
) -> NDArray[Any]:
    """Return what a source emits, ``[steps, samples, n]``: uint8 spikes, or float64 values of a graded input."""
    if isinstance(source, Input):
        if inputs is None:
            raise UnsupportedError([f"input {source.name!r} has no data for steps {first} .. {first + steps - 1}"])
        return snap_input(inputs) if source.graded else np.asarray(inputs, np.uint8)
    if isinstance(source, SpikeTrains):
        return _spike_trains(source, graph.dt, first, steps, samples)
    if isinstance(source, Poisson):
        return _poisson_source(graph, source, first, steps, samples)
    raise UnsupportedError([f"source {source.name!r} of type {type(source).__name__} is not known"])


def _spike_trains(source: SpikeTrains, dt: float, first: int, steps: int, samples: int) -> NDArray[np.uint8]:
    # a time that is a whole multiple of dt up to rounding belongs to the step that begins there
    step = np.floor(source.times / dt + 1e-6).astype(np.int64) - first
    inside = (step >= 0) & (step < steps)
    out = np.zeros((steps, samples, source.n), np.uint8)
    out[step[inside], :, source.indices[inside]] = 1
    return out


def _rate_at(rate: Any, time: float) -> Any:
    if isinstance(rate, Rate):
        return rate.values[np.searchsorted(rate.times, time + 1e-12, side="right") - 1]
    return rate


def _poisson_source(graph: Graph, source: Poisson, first: int, steps: int, samples: int) -> NDArray[np.uint8]:
    stream, width = Stream(graph.seed, source.name), padded(source.n)
    out = np.zeros((steps, samples, source.n), np.uint8)
    for k in range(steps):
        step = first + k
        probability = 1.0 - exp(-np.asarray(_rate_at(source.rate, step * graph.dt)) * graph.dt)
        draws = stream.uniform(samples * width, step=step).reshape(samples, width)[:, : source.n]
        out[k] = draws < probability
    return out


def poisson_counts(stream: Stream, n: int, mean: NDArray[np.float64], step: int) -> NDArray[np.int64]:
    """Return Poisson counts for one mean, or for one mean per draw; equal means share their thresholds."""
    if mean.ndim == 0:
        return stream.poisson(n, float(mean), step).astype(np.int64)
    parts, _ = poisson_parts(float(mean.max(initial=0.0)))
    counts = np.zeros(n, np.int64)
    for part in range(parts):
        words = stream.bits(n, substep(step, part))
        for value in np.unique(mean):
            mine = mean == value
            counts[mine] += np.searchsorted(poisson_thresholds(float(value) / parts), words[mine], side="left")
    return counts


class DriveState:
    """A drive with what it must remember between steps (the noise of an Ornstein-Uhlenbeck process)."""

    def __init__(self, graph: Graph, drive: Drive, samples: int) -> None:
        self.graph, self.drive, self.samples = graph, drive, samples
        self.n = graph.node(drive.target).n
        self.stream = Stream(graph.seed, drive.name)
        self.noise: NDArray[np.float64] | None = None

    def values(self, first: int, steps: int) -> NDArray[np.float64]:
        """Return what the drive adds to its port, ``[steps, samples or 1, n]``; stretches must follow one another."""
        match self.drive:
            case PoissonDrive():
                rows = [self._poisson(self.drive, first + k) for k in range(steps)]
            case Current():
                rows = [self._current(self.drive, first + k) for k in range(steps)]
            case OrnsteinUhlenbeck():
                rows = [self._ou(self.drive, first + k) for k in range(steps)]
            case _:
                raise UnsupportedError(
                    [f"stimulus {self.drive.name!r} of type {type(self.drive).__name__} is not known"]
                )
        return np.stack(rows) if rows else np.zeros((0, self.samples, self.n))

    def _poisson(self, drive: PoissonDrive, step: int) -> NDArray[np.float64]:
        expected = np.asarray(_rate_at(drive.rate, step * self.graph.dt) * self.graph.dt, np.float64)
        width = padded(self.n)
        if expected.ndim:
            padding = np.zeros((self.samples, width))
            padding[:, : self.n] = expected
            expected = padding.reshape(-1)
        counts = poisson_counts(self.stream, self.samples * width, expected, step)
        return drive.weight * counts.reshape(self.samples, width)[:, : self.n].astype(np.float64)

    def _current(self, drive: Current, step: int) -> NDArray[np.float64]:
        which = np.searchsorted(drive.times, step * self.graph.dt + 1e-12, side="right") - 1
        value = drive.values[which] if which >= 0 else 0.0
        return np.broadcast_to(value, (1, self.n)).astype(np.float64)

    def _ou(self, drive: OrnsteinUhlenbeck, step: int) -> NDArray[np.float64]:
        width = padded(self.n)
        xi = self.stream.normal(self.samples * width, step=step).reshape(self.samples, width)[:, : self.n]
        if self.noise is None:
            self.noise = drive.mean + drive.sd * xi
        else:
            decay = float(exp(-self.graph.dt / drive.tau))
            self.noise = drive.mean + (self.noise - drive.mean) * decay + drive.sd * np.sqrt(1 - decay**2) * xi
        return self.noise.copy()
