"""Stimuli as arrays: what sources emit and drives add in a stretch of steps, the same for every backend.

All draws are counter-based: a function of the seed, the stimulus' name, the step, the sample and the neuron.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.equations.elementary import exp
from spikesim.errors import UnsupportedError
from spikesim.graph import Graph
from spikesim.lowering import snap_input
from spikesim.rng import Stream, poisson_parts, poisson_thresholds
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
    for begin, end, probability in poisson_probabilities(source, graph.dt, first, steps):
        for k in range(begin, end):
            draws = stream.uniform(samples * width, step=first + k).reshape(samples, width)[:, : source.n]
            out[k] = draws < probability
    return out


def poisson_probabilities(source: Poisson, dt: float, first: int, steps: int) -> Iterator[tuple[int, int, Any]]:
    """Yield the ranges of steps (counted from ``first``) within which a rate does not change: begin, end, probability.

    The probability of a spike is a number, or one per element.
    """
    for begin, end in _constant(source.rate, dt, first, steps):
        yield begin, end, 1.0 - exp(-np.asarray(_rate_at(source.rate, (first + begin) * dt)) * dt)


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
        """Return what the drive adds to its port, ``[steps, samples or 1, hi - lo]``; stretches follow one another.

        ``[1, ...]`` if that is the same in all steps.
        """
        match self.drive:
            case PoissonDrive():
                return self._poisson(self.drive, first, steps)
            case Current():
                return self._current(self.drive, first, steps)
            case OrnsteinUhlenbeck():
                return self._ou(self.drive, first, steps)
        raise UnsupportedError([f"stimulus {self.drive.name!r} of type {type(self.drive).__name__} is not known"])

    def _place(self) -> tuple[int, int, int, int, int]:
        """Return what tells the kernels which draws belong to the wanted neurons."""
        return self.stream.id, *self.stream.key, padded(self.n), self.lo

    def _poisson(self, drive: PoissonDrive, first: int, steps: int) -> NDArray[np.float64]:
        from spikesim.equations.drive_kernels import fill_poisson_rates

        out = np.empty((steps, self.samples, self.hi - self.lo))
        for begin, end, *tables in self.poisson_tables(drive, first, steps):
            fill_poisson_rates(out[begin:end], drive.weight, *tables, first + begin, *self._place())
        return out

    def poisson_tables(
        self, drive: PoissonDrive, first: int, steps: int
    ) -> Iterator[tuple[int, int, NDArray[np.uint32], NDArray[np.int64], int]]:
        """Yield, for each range of steps within which the rate does not change, what its draws are made with.

        Yields
        ------
        begin, end
            The range, counted from ``first``.
        tables, which, parts
            See :func:`spikesim.equations.drive_kernels.fill_poisson_rates`.
        """
        for begin, end in _constant(drive.rate, self.graph.dt, first, steps):
            mean = np.asarray(_rate_at(drive.rate, (first + begin) * self.graph.dt) * self.graph.dt, np.float64)
            yield begin, end, *self._tables(mean)

    def _tables(self, mean: NDArray[np.float64]) -> tuple[NDArray[np.uint32], NDArray[np.int64], int]:
        """Return thresholds for each distinct mean, which of them a neuron has, and the number of parts of a draw."""
        parts, _ = poisson_parts(float(mean.max(initial=0.0)))  # of all neurons, also of those that are run elsewhere
        distinct, which = np.unique(np.broadcast_to(mean, self.n)[self.lo : self.hi], return_inverse=True)
        rows = [poisson_thresholds(float(value) / parts) for value in distinct]
        tables = np.full((len(rows), max((len(r) for r in rows), default=0) + 1), 2**32 - 1, np.uint32)
        for table, row in zip(tables, rows, strict=True):
            table[: len(row)] = row
        return tables, which.astype(np.int64), parts

    def _current(self, drive: Current, first: int, steps: int) -> NDArray[np.float64]:
        pieces = _which(drive.times, self.graph.dt, first, steps)
        same = steps > 0 and pieces[0] == pieces[-1]
        out = np.zeros((1 if same else steps, 1, self.hi - self.lo))
        for k in np.unique(pieces[:1] if same else pieces):
            if k >= 0:
                out[(pieces[: len(out)] == k)] = np.broadcast_to(drive.values[k], self.n)[self.lo : self.hi]
        return out

    def _ou(self, drive: OrnsteinUhlenbeck, first: int, steps: int) -> NDArray[np.float64]:
        from spikesim.equations.drive_kernels import fill_ornstein_uhlenbeck

        out, begun = np.empty((steps, self.samples, self.hi - self.lo)), self.noise is not None
        if self.noise is None:
            self.noise = np.zeros(out.shape[1:])
        if steps:
            decay, kick = self.decay(drive)
            fill_ornstein_uhlenbeck(out, self.noise, begun, drive.mean, drive.sd, decay, kick, first, *self._place())
        return out

    def decay(self, drive: OrnsteinUhlenbeck) -> tuple[float, float]:
        """Return by what noise decays in a step, and the size of the kick that keeps its variance."""
        decay = float(exp(-self.graph.dt / drive.tau))
        return decay, float(np.sqrt(1 - decay**2))


def _which(times: NDArray[np.float64], dt: float, first: int, steps: int) -> NDArray[np.int64]:
    """Return the last of the times that has come, for each step; -1 before the first."""
    now = np.arange(first, first + steps) * dt + 1e-12
    return (np.searchsorted(times, now, side="right") - 1).astype(np.int64)


def _constant(rate: Any, dt: float, first: int, steps: int) -> list[tuple[int, int]]:
    """Return the ranges of steps within which a rate does not change."""
    if not isinstance(rate, Rate):
        return [(0, steps)] if steps else []
    ends = [0, *(np.flatnonzero(np.diff(_which(rate.times, dt, first, steps))) + 1).tolist(), steps]
    return [(a, b) for a, b in pairwise(ends) if b > a]
