"""Stimuli: what drives a network. Sources emit spikes or values and project like populations; drives act on a port."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikesim.errors import InvalidValueError
from spikesim.units import si
from spikesim.value import Value


def _shape(name: str, shape: int | tuple[int, ...]) -> tuple[int, ...]:
    dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if not dims or any(int(d) != d or d < 1 for d in dims):
        raise InvalidValueError(
            f"{name!r}: size must be a whole number of at least 1 (or a tuple of such), found {shape!r}"
        )
    return tuple(int(d) for d in dims)


@dataclass(frozen=True, eq=False)
class Rate(Value):
    """A rate that changes at given times: ``values[k]`` holds from ``times[k]`` on.

    Parameters
    ----------
    times
        Seconds, rising, the first one 0.
    values
        Hertz; shape ``[len(times)]`` or ``[len(times), n]``.
    """

    times: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        times = np.atleast_1d(np.asarray(si(self.times, "s", "rate times"), np.float64))
        values = np.asarray(si(self.values, "Hz", "rate values"), np.float64)
        if times[0] != 0 or (np.diff(times) <= 0).any() or len(values) != len(times):
            raise InvalidValueError(
                f"rate: times must begin with 0 and rise, with one value each; found {len(times)} times from "
                f"{times[0]:g} s and {len(values)} values"
            )
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)


def _rate(name: str, rate: Any) -> Any:
    if isinstance(rate, Rate):
        numbers = rate.values
    else:
        rate = np.asarray(si(rate, "Hz", f"rate of {name!r}"), np.float64)[()]
        numbers = np.atleast_1d(rate)
    if not np.isfinite(numbers).all() or (numbers < 0).any():
        raise InvalidValueError(f"{name!r}: a rate must be finite and at least 0 Hz, found {np.min(numbers):g}")
    return rate


@dataclass(frozen=True, eq=False)
class Source(Value):
    """Base of the stimuli that project like a population.

    Parameters
    ----------
    name
        Unique in the network.
    shape
        Number of elements, or their arrangement ``(channels, height, width)``.
    """

    name: str
    shape: Any  # given as a number or a tuple, kept as a tuple

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _shape(self.name, self.shape))

    @property
    def n(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Input(Source):
    """A placeholder for data given at run time: ``run(..., inputs={name: array})``.

    Parameters
    ----------
    graded
        False: the array holds spikes (0 or 1). True: it holds real values (direct current coding), and a projection
        adds value times weight.

    Notes
    -----
    The array has shape ``[steps, samples, *shape]``, or ``[steps, *shape]`` for one sample.
    """

    graded: bool = False


@dataclass(frozen=True, eq=False)
class SpikeTrains(Source):
    """Recorded spikes.

    Parameters
    ----------
    times
        Seconds; the spike falls into the step that contains it.
    indices
        Which element fires, one per time.
    """

    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    indices: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        super().__post_init__()
        times = np.asarray(si(self.times, "s", f"spike times of {self.name!r}"), np.float64)
        indices = np.asarray(self.indices, np.int64)
        if times.shape != indices.shape or times.ndim != 1:
            raise InvalidValueError(
                f"{self.name!r}: times and indices must be two lists of equal length, found shapes "
                f"{times.shape} and {indices.shape}"
            )
        if times.size and (not np.isfinite(times).all() or times.min() < 0):
            raise InvalidValueError(
                f"{self.name!r}: spike times must be finite and at least 0 s, found {times.min():g}"
            )
        if indices.size and (indices.min() < 0 or indices.max() >= self.n):
            raise InvalidValueError(
                f"{self.name!r}: indices must be 0 .. {self.n - 1}, found {indices.min()} .. {indices.max()}"
            )
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "indices", indices)


@dataclass(frozen=True, eq=False)
class Poisson(Source):
    """Independent Poisson sources, at most one spike in a step: it fires with probability ``1 - exp(-rate dt)``.

    Parameters
    ----------
    rate
        Hertz: a number, one per element, or a :class:`Rate` that varies in time.
    """

    rate: Any = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rate", _rate(self.name, self.rate))


@dataclass(frozen=True, eq=False)
class Drive(Value):
    """Base of the stimuli that act on a port of a population directly.

    Parameters
    ----------
    name
        Unique in the network.
    target
        The population.
    port
        Its input port; the model's first one by default.
    """

    name: str
    target: str
    port: str | None = None


@dataclass(frozen=True, eq=False)
class PoissonDrive(Drive):
    """An independent Poisson process for every neuron: adds ``weight`` times the number of events of the step.

    Parameters
    ----------
    rate
        Hertz: a number, one per neuron, or a :class:`Rate`.
    weight
        Added per event, in the unit of the port.
    """

    rate: Any = 0.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", _rate(self.name, self.rate))
        if not np.isfinite(self.weight):
            raise InvalidValueError(f"{self.name!r}: weight must be finite, found {self.weight!r}")


@dataclass(frozen=True, eq=False)
class Current(Drive):
    """A current that changes at given times: ``values[k]`` holds from ``times[k]`` on, 0 before the first.

    Parameters
    ----------
    times
        Seconds, rising.
    values
        In the unit of the port; shape ``[len(times)]`` or ``[len(times), n]``.
    """

    times: np.ndarray = field(default_factory=lambda: np.zeros(1))
    values: np.ndarray = field(default_factory=lambda: np.zeros(1))

    def __post_init__(self) -> None:
        times = np.atleast_1d(np.asarray(si(self.times, "s", f"times of {self.name!r}"), np.float64))
        values = np.atleast_1d(np.asarray(self.values, np.float64))
        if len(values) != len(times) or (np.diff(times) <= 0).any() or (times < 0).any():
            raise InvalidValueError(
                f"{self.name!r}: times must rise from 0 s on, with one value each; found {len(times)} times "
                f"and {len(values)} values"
            )
        if not np.isfinite(values).all():
            raise InvalidValueError(f"{self.name!r}: values must be finite, found NaN or infinity")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)


@dataclass(frozen=True, eq=False)
class OrnsteinUhlenbeck(Drive):
    """Coloured noise, independent per neuron, integrated exactly: ``x' = mean + (x - mean) e^(-dt/tau) + sd' xi``.

    Parameters
    ----------
    mean, sd
        Mean and standard deviation in the unit of the port; the process starts at its stationary distribution.
    tau
        Correlation time in seconds.
    """

    mean: float = 0.0
    sd: float = 1.0
    tau: float = 5e-3

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", si(self.tau, "s", f"tau of {self.name!r}"))
        if not (np.isfinite([self.mean, self.sd, self.tau]).all() and self.sd >= 0 and self.tau > 0):
            raise InvalidValueError(
                f"{self.name!r}: needs a finite mean, sd of at least 0 and tau above 0 s, found mean "
                f"{self.mean}, sd {self.sd}, tau {self.tau}"
            )


Stimulus = Source | Drive
