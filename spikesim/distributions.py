"""Seeded distributions for weights, delays, parameters and initial values.

A distribution is a value: it is drawn when the network is lowered, from a stream named after its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.equations.inversion import open_uniform
from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.rng import Stream

MAX_REDRAWS = 200


@dataclass(frozen=True)
class Distribution:
    """Base of all distributions."""

    def __post_init__(self) -> None:
        bad = {k: v for k, v in asdict(self).items() if v is not None and not np.isfinite(v)}
        if bad:
            raise InvalidValueError(f"{self}: numbers must be finite, found {bad}")
        problem = self.problem()
        if problem:
            raise InvalidValueError(f"{self}: {problem}")

    def problem(self) -> str | None:
        """Say what is wrong with the numbers, or return None."""
        return None

    def draw(self, n: int, stream: Stream, fan_in: int | None, attempt: int) -> NDArray[np.float64]:
        """Return ``n`` raw draws; another ``attempt`` gives others."""
        raise NotImplementedError

    def sample(self, n: int, stream: Stream, fan_in: int | None = None) -> NDArray[np.float64]:
        """Return ``n`` draws, float64; those outside ``low .. high`` are drawn again.

        Parameters
        ----------
        n
            How many.
        stream
            Where the random numbers come from.
        fan_in
            Inputs per neuron, for the Kaiming distributions.
        """
        low, high = getattr(self, "low", None), getattr(self, "high", None)
        values = self.draw(n, stream, fan_in, 0)
        if isinstance(self, (Uniform, KaimingUniform)) or (low is None and high is None):
            return values
        low, high = -np.inf if low is None else low, np.inf if high is None else high
        for attempt in range(1, MAX_REDRAWS):
            outside = (values < low) | (values > high)
            if not outside.any():
                return values
            values[outside] = self.draw(n, stream, fan_in, attempt)[outside]
        raise InvalidValueError(
            f"{self}: after {MAX_REDRAWS} attempts some draws still lie outside {low:g} .. {high:g}"
        )


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform in [low, high)."""

    low: float
    high: float

    def problem(self) -> str | None:
        """Check the order of the bounds."""
        return None if self.low <= self.high else f"low must not exceed high, found {self.low} and {self.high}"

    def draw(self, n: int, stream: Stream, fan_in: int | None, attempt: int) -> NDArray[np.float64]:
        """Return ``n`` draws."""
        return self.low + (self.high - self.low) * stream.uniform(n, step=attempt)


@dataclass(frozen=True)
class Normal(Distribution):
    """Normal; draws outside ``low .. high`` are drawn again.

    >>> Normal(1.0, 0.1, low=0.0).sample(3, Stream(0, "w")).shape
    (3,)
    """

    mean: float
    sd: float
    low: float | None = None
    high: float | None = None

    def problem(self) -> str | None:
        """Check the spread and that the bounds can be met."""
        if self.sd < 0:
            return f"sd must be at least 0, found {self.sd}"
        low, high = -np.inf if self.low is None else self.low, np.inf if self.high is None else self.high
        far = self.mean + 5 * self.sd < low or self.mean - 5 * self.sd > high or low > high
        return f"the bounds {low:g} .. {high:g} lie five standard deviations or more from the mean" if far else None

    def draw(self, n: int, stream: Stream, fan_in: int | None, attempt: int) -> NDArray[np.float64]:
        """Return ``n`` draws."""
        return self.mean + self.sd * stream.normal(n, step=attempt)


@dataclass(frozen=True)
class LogNormal(Distribution):
    """``exp`` of a normal variable with mean ``mu`` and standard deviation ``sigma``."""

    mu: float
    sigma: float

    def problem(self) -> str | None:
        """Check the spread."""
        return None if self.sigma >= 0 else f"sigma must be at least 0, found {self.sigma}"

    def draw(self, n: int, stream: Stream, fan_in: int | None, attempt: int) -> NDArray[np.float64]:
        """Return ``n`` draws."""
        return np.asarray(np.exp(self.mu + self.sigma * stream.normal(n, step=attempt)))


@dataclass(frozen=True)
class Gamma(Distribution):
    """Gamma with shape ``k`` and scale ``theta`` (mean ``k theta``), by inversion."""

    k: float
    theta: float

    def problem(self) -> str | None:
        """Check that both are positive."""
        return (
            None if self.k > 0 and self.theta > 0 else f"k and theta must be above 0, found {self.k} and {self.theta}"
        )

    def draw(self, n: int, stream: Stream, fan_in: int | None, attempt: int) -> NDArray[np.float64]:
        """Return ``n`` draws."""
        from scipy.special import gammaincinv

        u = open_uniform(stream.wide(n, step=attempt))
        return np.asarray(self.theta * gammaincinv(self.k, u))


def _fan(fan_in: int | None, who: Distribution) -> int:
    if fan_in is None:
        raise InvalidValueError(f"{who} needs the number of inputs per neuron; use it for weights only")
    return max(1, fan_in)


@dataclass(frozen=True)
class KaimingNormal(Distribution):
    """Normal with standard deviation ``gain / sqrt(inputs)`` (He et al. 2015)."""

    gain: float = 2.0**0.5

    def draw(self, n: int, stream: Stream, fan_in: int | None, attempt: int) -> NDArray[np.float64]:
        """Return ``n`` draws."""
        return np.asarray(self.gain / np.sqrt(_fan(fan_in, self)) * stream.normal(n, step=attempt))


@dataclass(frozen=True)
class KaimingUniform(Distribution):
    """Uniform in ``+- gain sqrt(3 / inputs)`` (He et al. 2015)."""

    gain: float = 2.0**0.5

    def draw(self, n: int, stream: Stream, fan_in: int | None, attempt: int) -> NDArray[np.float64]:
        """Return ``n`` draws."""
        bound = self.gain * np.sqrt(3.0 / _fan(fan_in, self))
        return np.asarray(bound * (2.0 * stream.uniform(n, step=attempt) - 1.0))


DISTRIBUTIONS: dict[str, type[Distribution]] = {
    c.__name__: c for c in (Uniform, Normal, LogNormal, Gamma, KaimingNormal, KaimingUniform)
}


def to_dict(distribution: Distribution) -> dict[str, Any]:
    """Return a distribution as names and numbers."""
    return {"distribution": type(distribution).__name__, **asdict(distribution)}


def from_dict(data: Mapping[str, Any]) -> Distribution:
    """Read what :func:`to_dict` wrote.

    >>> from_dict(to_dict(Normal(0.0, 1.0))) == Normal(0.0, 1.0)
    True
    """
    fields = dict(data)
    name = fields.pop("distribution", None)
    if name not in DISTRIBUTIONS:
        raise FileFormatError(f"unknown distribution {name!r}; known: {', '.join(DISTRIBUTIONS)}")
    try:
        return DISTRIBUTIONS[str(name)](**fields)
    except TypeError as error:
        raise FileFormatError(f"distribution {name}: {error}") from None
