"""Stimuli as arrays: what sources emit and drives add in a stretch of steps, the same for every backend.

All draws are counter-based: a function of the seed, the stimulus' name, the step, the sample and the neuron.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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


class DriveState:
    """A drive with what it must remember between steps (the noise of an Ornstein-Uhlenbeck process).

    Parameters
    ----------
    graph, drive, samples
        The network, one of its drives, and the number of samples.
    owned
        ``(lo, hi)``: the neurons of the target that are wanted; all by default.
    """

    def __init__(self, graph: Graph, drive: Drive, samples: int, owned: tuple[int, int] | None = None) -> None:
        self.graph, self.drive, self.samples = graph, drive, samples
        self.n = graph.node(drive.target).n
        self.lo, self.hi = owned or (0, self.n)
        self.stream = Stream(graph.seed, drive.name)
        self.noise: NDArray[np.float64] | None = None

    def values(self, first: int, steps: int) -> NDArray[np.float64]:
        """Return what the drive adds to its port, ``[steps, samples or 1, hi - lo]``; stretches follow one another."""
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
        return np.stack(rows) if rows else np.zeros((0, self.samples, self.hi - self.lo))

    def _draw(self, draw: Callable[..., NDArray[Any]], step: int) -> NDArray[Any]:
        """Draw one number per sample and neuron, ``[samples, hi - lo]``, each a function of its own index only."""
        if self.samples == 1:  # no draws for neurons that are run elsewhere
            return draw(self.hi - self.lo, step=step, offset=self.lo)[None]
        width = padded(self.n)
        return draw(self.samples * width, step=step).reshape(self.samples, width)[:, self.lo : self.hi]

    def _poisson(self, drive: PoissonDrive, step: int) -> NDArray[np.float64]:
        mean = np.asarray(_rate_at(drive.rate, step * self.graph.dt) * self.graph.dt, np.float64)
        if mean.ndim == 0:
            counts = self._draw(partial(self.stream.poisson, mean=float(mean)), step)
        else:
            counts = self._poisson_each(mean, step)
        return drive.weight * counts.astype(np.float64)

    def _poisson_each(self, mean: NDArray[np.float64], step: int) -> NDArray[np.int64]:
        """Return Poisson counts of one mean per neuron; equal means share their thresholds."""
        parts, _ = poisson_parts(float(mean.max(initial=0.0)))  # of all neurons, also of those that are run elsewhere
        mine = mean[self.lo : self.hi]
        counts = np.zeros((self.samples, len(mine)), np.int64)
        for part in range(parts):
            words = self._draw(self.stream.bits, substep(step, part))
            for value in np.unique(mine):
                equal = mine == value
                thresholds = poisson_thresholds(float(value) / parts)
                counts[:, equal] += np.searchsorted(thresholds, words[:, equal], side="left")
        return counts

    def _current(self, drive: Current, step: int) -> NDArray[np.float64]:
        which = np.searchsorted(drive.times, step * self.graph.dt + 1e-12, side="right") - 1
        value = drive.values[which] if which >= 0 else 0.0
        return np.broadcast_to(value, (1, self.n))[:, self.lo : self.hi].astype(np.float64)

    def _ou(self, drive: OrnsteinUhlenbeck, step: int) -> NDArray[np.float64]:
        xi = self._draw(self.stream.normal, step)
        if self.noise is None:
            self.noise = drive.mean + drive.sd * xi
        else:
            decay = float(exp(-self.graph.dt / drive.tau))
            self.noise = drive.mean + (self.noise - drive.mean) * decay + drive.sd * np.sqrt(1 - decay**2) * xi
        return self.noise.copy()
