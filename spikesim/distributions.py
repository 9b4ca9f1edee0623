"""Seeded distributions for weights, delays, parameters and initial values.

A distribution is a value: it is drawn when the network is lowered, from a stream named after its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.equations.elementary import exp, log
from spikesim.equations.inversion import inverse_normal, open_uniform
from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.rng import COMPILED_FROM, MAX_SUBSTEP, Stream, compiled

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

CHUNK = 1 << 16  # draws at a time where only their extremes are wanted: they stay in the cache
SAFE = 1e-9  # of probability: far more than the rounding errors of the normal distribution and its inverse
MIN_SHARE = 0.01  # of the draws must lie within the bounds; fewer would be drawn again hundreds of times


@dataclass(frozen=True)
class Distribution:
    """Base of all distributions."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            object.__setattr__(self, field.name, _finite(f"{type(self).__name__}: {field.name}", value))
        problem = self.problem()
        if problem:
            raise InvalidValueError(f"{self}: {problem}")

    def problem(self) -> str | None:
        """Say what is wrong with the numbers, or return None."""
        return None

    def sample(self, n: int, stream: Stream, fan_in: int | None = None, offset: int = 0) -> Values:
        """Return the draws ``offset ... offset + n - 1``, float64; each depends on the stream and its number alone.

        Parameters
        ----------
        n
            How many.
        stream
            Where the random numbers come from.
        fan_in
            Inputs per neuron, for the Kaiming distributions.
        offset
            Number of the first draw.
        """
        raise NotImplementedError

    def extremes(self, n: int, stream: Stream, fan_in: int | None = None) -> tuple[float, float]:
        """Return the smallest and the largest of the first ``n`` draws, at least one, without keeping them.

        Parameters
        ----------
        n, stream, fan_in
            See :meth:`sample`.
        """
        least, most = np.inf, -np.inf
        for first in range(0, n, CHUNK):
            values = self.sample(min(CHUNK, n - first), stream, fan_in, first)
            least, most = min(least, float(values.min())), max(most, float(values.max()))
        return least, most


def _finite(what: str, value: Any) -> float:
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and np.isfinite(value):
        return float(value)
    raise InvalidValueError(f"{what} must be a finite number, found {value!r}")


def redraw(
    index: Indices, stream: Stream, attempt: Callable[[Indices, int], tuple[Values, NDArray[np.bool_]]]
) -> Values:
    """Draw numbers, and again those that are refused.

    Parameters
    ----------
    index
        Which draws, ascending.
    stream
        See :meth:`Distribution.sample`.
    attempt
        Function of (indices, number of the attempt) that returns the numbers and which of them are accepted.
    """
    out, missing = np.empty(index.size), np.arange(index.size)
    for number in range(MAX_SUBSTEP):
        if not missing.size:
            return out
        values, accepted = attempt(index[missing], number)
        out[missing[accepted]] = values[accepted]
        missing = missing[~accepted]
    raise _refused(stream, missing.size, index.size)


def _refused(stream: Stream, count: int, n: int) -> InvalidValueError:
    return InvalidValueError(f"stream {stream.name!r}: {count} of {n} draws were refused every time")


def _numbers(n: int, offset: int) -> Indices:
    return np.arange(offset, offset + n)


def _normal_at(stream: Stream, index: Indices, step: int) -> Values:
    if index.size and index[-1] - index[0] == index.size - 1:  # ascending without gaps: the quick way to the same
        return stream.normal(index.size, step, int(index[0]))
    return inverse_normal(open_uniform(stream.wide_at(index, step)))


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform in [low, high)."""

    low: float
    high: float

    def problem(self) -> str | None:
        """Check the order of the bounds."""
        return None if self.low <= self.high else f"low must not exceed high, found {self.low} and {self.high}"

    def sample(self, n: int, stream: Stream, fan_in: int | None = None, offset: int = 0) -> Values:
        """Return ``n`` draws."""
        return self.low + (self.high - self.low) * stream.uniform(n, offset=offset)


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
        low, high = self._bounds()
        share = self._below(high, True) - self._below(low, False)
        if share >= MIN_SHARE:
            return None
        found = f"only {max(share, 0.0):.2g} of the draws lie in {low:g} .. {high:g}"
        return f"{found}; at least {MIN_SHARE} must; widen the bounds, or use Uniform"

    def _below(self, x: float, included: bool) -> float:
        """Probability of a draw below a bound."""
        if self.sd == 0 or math.isinf(x):
            return float(x >= self.mean if included else x > self.mean)
        return 0.5 * math.erfc((self.mean - x) / (self.sd * math.sqrt(2)))

    def sample(self, n: int, stream: Stream, fan_in: int | None = None, offset: int = 0) -> Values:
        """Return ``n`` draws."""
        if compiled(n):
            from spikesim.equations.normal_kernels import fill_normal

            return self._compiled(fill_normal, np.empty(n), stream, offset)
        return self._at(_numbers(n, offset), stream)

    def _compiled(self, fill: Any, out: Values, stream: Stream, *numbers: Any) -> Values:
        lost = fill(out, *numbers, self.mean, self.sd, *self._bounds(), stream.id, *stream.key, MAX_SUBSTEP)
        if lost:
            raise _refused(stream, lost, out.size)
        return out

    def _bounds(self) -> tuple[float, float]:
        return -np.inf if self.low is None else self.low, np.inf if self.high is None else self.high

    def _at(self, index: Indices, stream: Stream) -> Values:
        """Return the draws of ascending numbers."""
        low, high = self._bounds()

        def attempt(index: Indices, number: int) -> tuple[Values, NDArray[np.bool_]]:
            values = self.mean + self.sd * _normal_at(stream, index, number)
            return values, (values >= low) & (values <= high)

        return redraw(index, stream, attempt)

    def extremes(self, n: int, stream: Stream, fan_in: int | None = None) -> tuple[float, float]:
        """Return the smallest and the largest of the first ``n`` draws.

        A draw rises with its word, so among many draws that are accepted at once the words tell; the others, and those
        that a rounding error could refuse, are made.
        """
        low, high = self._bounds()
        least, most = self._below(low, False), self._below(high, True)
        if n < COMPILED_FROM or self.sd == 0 or most - least < 0.5:
            return super().extremes(n, stream, fan_in)
        from spikesim.equations.normal_kernels import extreme_words, fill_normal_at

        margins = (0.0 if self.low is None else SAFE, 0.0 if self.high is None else SAFE)
        words = np.array(
            [int((least + margins[0]) * 2.0**64), min(int((most - margins[1]) * 2.0**64), 2**64 - 1)], np.uint64
        )
        ends, refused, others = [], [], np.empty(CHUNK, np.int64)
        for first in range(0, n, CHUNK):
            count = min(CHUNK, n - first)
            smallest, largest, lost = extreme_words(first, count, *words, stream.id, *stream.key, others)
            ends += [smallest, largest] if smallest <= largest else []
            if lost:
                refused.append(self._compiled(fill_normal_at, np.empty(lost), stream, others[:lost]))
        accepted = self.mean + self.sd * inverse_normal(open_uniform(np.array([min(ends), max(ends)], np.uint64)))
        values = np.concatenate([accepted, *refused])
        return float(values.min()), float(values.max())


@dataclass(frozen=True)
class LogNormal(Distribution):
    """``exp`` of a normal variable with mean ``mu`` and standard deviation ``sigma``."""

    mu: float
    sigma: float

    def problem(self) -> str | None:
        """Check the spread."""
        return None if self.sigma >= 0 else f"sigma must be at least 0, found {self.sigma}"

    def sample(self, n: int, stream: Stream, fan_in: int | None = None, offset: int = 0) -> Values:
        """Return ``n`` draws."""
        values: Values = exp(self.mu + self.sigma * stream.normal(n, offset=offset))
        if not np.isfinite(values).all():
            raise InvalidValueError(f"{self}: some draws are beyond the largest float; lower mu or sigma")
        return values


@dataclass(frozen=True)
class Gamma(Distribution):
    """Gamma with shape ``k`` and scale ``theta`` (mean ``k theta``).

    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000).
    """

    k: float
    theta: float

    def problem(self) -> str | None:
        """Check that both are positive."""
        return (
            None if self.k > 0 and self.theta > 0 else f"k and theta must be above 0, found {self.k} and {self.theta}"
        )

    def sample(self, n: int, stream: Stream, fan_in: int | None = None, offset: int = 0) -> Values:
        """Return ``n`` draws."""
        small = self.k < 1  # drawn for k + 1, then multiplied by u ** (1 / k)
        d = self.k + small - 1 / 3
        c = 1 / math.sqrt(9 * d)

        def attempt(index: Indices, number: int) -> tuple[Values, NDArray[np.bool_]]:
            z = _normal_at(stream, index, 2 * number)
            u = open_uniform(stream.wide_at(index, 2 * number + 1))
            v = (1 + c * z) * (1 + c * z) * (1 + c * z)
            bound = 0.5 * z * z + d - d * v + d * log(np.where(v > 0, v, 1.0))
            return d * v, (v > 0) & (log(u) < bound)

        values = redraw(_numbers(n, offset), stream, attempt)
        if small:
            values = values * exp(log(open_uniform(stream.child("boost").wide(n, offset=offset))) / self.k)
        return np.asarray(self.theta * values)


def _fan(fan_in: int | None, who: Distribution) -> int:
    if fan_in is None:
        raise InvalidValueError(f"{who} needs the number of inputs per neuron; use it for weights only")
    return max(1, fan_in)


@dataclass(frozen=True)
class KaimingNormal(Distribution):
    """Normal with standard deviation ``gain / sqrt(inputs)`` (He et al. 2015)."""

    gain: float = 2.0**0.5

    def sample(self, n: int, stream: Stream, fan_in: int | None = None, offset: int = 0) -> Values:
        """Return ``n`` draws."""
        return np.asarray(self.gain / math.sqrt(_fan(fan_in, self)) * stream.normal(n, offset=offset))


@dataclass(frozen=True)
class KaimingUniform(Distribution):
    """Uniform in ``+- gain sqrt(3 / inputs)`` (He et al. 2015)."""

    gain: float = 2.0**0.5

    def sample(self, n: int, stream: Stream, fan_in: int | None = None, offset: int = 0) -> Values:
        """Return ``n`` draws."""
        bound = self.gain * math.sqrt(3.0 / _fan(fan_in, self))
        return np.asarray(bound * (2.0 * stream.uniform(n, offset=offset) - 1.0))


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
    numbers = dict(data)
    name = numbers.pop("distribution", None)
    if name not in DISTRIBUTIONS:
        raise FileFormatError(f"unknown distribution {name!r}; known: {', '.join(DISTRIBUTIONS)}")
    try:
        return DISTRIBUTIONS[str(name)](**numbers)
    except TypeError as error:
        raise FileFormatError(f"distribution {name}: {error}") from None
