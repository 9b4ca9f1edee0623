"""Distributions of weights, delays, parameters and initial values.

A distribution is a value: it says what to draw, and a :class:`spikesim.rng.Stream` says which numbers. Draw ``i`` is a
function of the stream and of ``i``, also where numbers are redrawn, and has the same bits on every platform.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikesim.checks import integer, real
from spikesim.equations.elementary import exp, log
from spikesim.equations.inversion import inverse_normal, open_uniform
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.rng import MAX_SUBSTEP, Stream, substep

Values = NDArray[np.float64]


class Distribution(ABC):
    """What can be drawn. The set of distributions is closed, so that a file never names code."""

    @abstractmethod
    def sample(self, n: int, stream: Stream, fan_in: int | None = None) -> Values:
        """Draw numbers.

        Parameters
        ----------
        n
            How many.
        stream
            Source of randomness.
        fan_in
            Inputs of one neuron, for distributions that scale with it.

        Returns
        -------
        float64[n]
        """

    def _check(self, **fields: float | None) -> None:
        """Store checked fields as plain floats, so that ``repr`` gives back the same object."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that :func:`from_dict` turns into the same object.

        Examples
        --------
        >>> Uniform(0, 1).to_dict()
        {'kind': 'Uniform', 'low': 0.0, 'high': 1.0}
        """
        return {"kind": type(self).__name__, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)}}  # type: ignore[arg-type]


def redraw(n: int, stream: Stream, attempt: Callable[[NDArray[np.int64], int], tuple[Values, Any]]) -> Values:
    """Draw n numbers, again and again where they are refused.

    Parameters
    ----------
    n, stream
        See :meth:`Distribution.sample`.
    attempt
        Function of (indices, number of the attempt) giving the numbers and a mask of those that are accepted.

    Returns
    -------
    float64[n]
    """
    out = np.empty(n)
    missing = np.arange(n)
    for number in range(MAX_SUBSTEP // 2):
        if not missing.size:
            return out
        values, accepted = attempt(missing, number)
        out[missing[accepted]] = values[accepted]
        missing = missing[~accepted]
    raise InvalidValueError(f"stream {stream.name!r}: {missing.size} of {n} numbers were refused at every attempt")


def _normal_at(stream: Stream, index: NDArray[np.int64], step: int) -> Values:
    if index.size and index[-1] == index.size - 1:  # ascending, hence 0 ... n - 1: the quick way to the same numbers
        return stream.normal(index.size, step)
    return inverse_normal(open_uniform(stream.wide_at(index, step)))


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform in [low, high), with steps of (high - low) * 2**-32.

    Examples
    --------
    >>> bool((abs(Uniform(-1, 1).sample(100, Stream(1, "weights"))) <= 1).all())
    True
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the bounds."""
        low = real("Uniform low", self.low)
        self._check(low=low, high=real("Uniform high", self.high, low))

    def sample(self, n: int, stream: Stream, fan_in: int | None = None) -> Values:
        """Draw numbers; see :meth:`Distribution.sample`."""
        return self.low + (self.high - self.low) * stream.uniform(n)


@dataclass(frozen=True)
class Normal(Distribution):
    """Normal distribution; numbers outside [low, high] are drawn again.

    Parameters
    ----------
    mean, sd
        Mean and standard deviation, before redrawing.
    low, high
        Bounds, or None. At least one number in a hundred must fall between them.

    Examples
    --------
    >>> bool((Normal(1.5, 0.75, low=0.05).sample(1000, Stream(1, "delays")) >= 0.05).all())
    True
    """

    mean: float
    sd: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        low = None if self.low is None else real("Normal low", self.low)
        high = None if self.high is None else real("Normal high", self.high, low)
        self._check(mean=real("Normal mean", self.mean), sd=real("Normal sd", self.sd, 0), low=low, high=high)
        if self._accepted() < 0.01:
            raise InvalidValueError(
                f"{self!r} would accept {self._accepted():.2g} of its numbers; allowed is 0.01 or more; move the "
                "bounds to the mean, or use Uniform"
            )

    def _accepted(self) -> float:
        """Probability that a number lies within the bounds."""

        def below(x: float | None, default: float) -> float:
            if x is None:
                return default
            if self.sd == 0:
                return float(x >= self.mean) if default else float(x > self.mean)
            return 0.5 * math.erfc((self.mean - x) / (self.sd * math.sqrt(2)))

        return below(self.high, 1.0) - below(self.low, 0.0)

    def sample(self, n: int, stream: Stream, fan_in: int | None = None) -> Values:
        """Draw numbers; see :meth:`Distribution.sample`."""
        if self.low is None and self.high is None:
            return self.mean + self.sd * stream.normal(n)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high

        def attempt(index: NDArray[np.int64], number: int) -> tuple[Values, Any]:
            values = self.mean + self.sd * _normal_at(stream, index, substep(0, number))
            return values, (values >= low) & (values <= high)

        return redraw(n, stream, attempt)


@dataclass(frozen=True)
class LogNormal(Distribution):
    """Numbers whose logarithm is normal with mean `mu` and standard deviation `sigma`.

    Examples
    --------
    >>> bool((LogNormal(0, 1).sample(100, Stream(1, "weights")) > 0).all())
    True
    """

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        """Check the parameters."""
        self._check(mu=real("LogNormal mu", self.mu), sigma=real("LogNormal sigma", self.sigma, 0))

    def sample(self, n: int, stream: Stream, fan_in: int | None = None) -> Values:
        """Draw numbers; see :meth:`Distribution.sample`."""
        values: Values = exp(self.mu + self.sigma * stream.normal(n))
        return values


@dataclass(frozen=True)
class Gamma(Distribution):
    """Gamma distribution with mean ``shape * scale``.

    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000).

    Examples
    --------
    >>> bool((Gamma(2, 1e-3).sample(100, Stream(1, "tau")) > 0).all())
    True
    """

    shape: float
    scale: float

    def __post_init__(self) -> None:
        """Check the parameters."""
        shape = real("Gamma shape", self.shape, 0, above=True)
        self._check(shape=shape, scale=real("Gamma scale", self.scale, 0, above=True))

    def sample(self, n: int, stream: Stream, fan_in: int | None = None) -> Values:
        """Draw numbers; see :meth:`Distribution.sample`."""
        small = self.shape < 1  # drawn for shape + 1, then multiplied by u**(1/shape)
        d = self.shape + small - 1 / 3
        c = 1 / math.sqrt(9 * d)

        def attempt(index: NDArray[np.int64], number: int) -> tuple[Values, Any]:
            z = _normal_at(stream, index, substep(0, 2 * number))
            u = open_uniform(stream.wide_at(index, substep(0, 2 * number + 1)))
            v = (1 + c * z) * (1 + c * z) * (1 + c * z)
            logarithm = log(np.where(v > 0, v, 1.0))
            return d * v, (v > 0) & (log(u) < 0.5 * z * z + d - d * v + d * logarithm)

        values = redraw(n, stream, attempt)
        if small:
            values = values * exp(log(open_uniform(stream.child("boost").wide(n))) / self.shape)
        return self.scale * values


def _fan_in(name: str, fan_in: int | None) -> int:
    if fan_in is None:
        raise InvalidValueError(f"{name} scales with the inputs of a neuron; it can only be used for weights")
    return integer(f"{name}: number of inputs", fan_in, 1)


@dataclass(frozen=True)
class KaimingNormal(Distribution):
    """Normal with mean 0 and standard deviation gain / sqrt(fan_in); the gain is sqrt(2) unless given.

    Source: He et al., "Delving deep into rectifiers", ICCV 2015.

    Examples
    --------
    >>> KaimingNormal(1.0).sample(3, Stream(1, "weights"), fan_in=100).shape
    (3,)
    """

    gain: float = math.sqrt(2)

    def __post_init__(self) -> None:
        """Check the gain."""
        self._check(gain=real("KaimingNormal gain", self.gain, 0))

    def sample(self, n: int, stream: Stream, fan_in: int | None = None) -> Values:
        """Draw numbers; see :meth:`Distribution.sample`."""
        return self.gain / math.sqrt(_fan_in("KaimingNormal", fan_in)) * stream.normal(n)


@dataclass(frozen=True)
class KaimingUniform(Distribution):
    """Uniform with mean 0 and standard deviation gain / sqrt(fan_in).

    The gain is sqrt(1/3) unless given, so that the numbers reach 1 / sqrt(fan_in), which is what ``torch.nn.Linear``
    starts with.

    Examples
    --------
    >>> bool((abs(KaimingUniform().sample(50, Stream(1, "weights"), fan_in=100)) <= 0.1).all())
    True
    """

    gain: float = math.sqrt(1 / 3)

    def __post_init__(self) -> None:
        """Check the gain."""
        self._check(gain=real("KaimingUniform gain", self.gain, 0))

    def sample(self, n: int, stream: Stream, fan_in: int | None = None) -> Values:
        """Draw numbers; see :meth:`Distribution.sample`."""
        bound = self.gain * math.sqrt(3.0) / math.sqrt(_fan_in("KaimingUniform", fan_in))
        return bound * (2.0 * stream.uniform(n) - 1.0)


KINDS: Final[dict[str, type[Distribution]]] = {
    kind.__name__: kind for kind in (Uniform, Normal, LogNormal, Gamma, KaimingNormal, KaimingUniform)
}


def from_dict(data: Mapping[str, Any]) -> Distribution:
    """Make a distribution from the plain data of :meth:`Distribution.to_dict`.

    Parameters
    ----------
    data
        ``kind`` and the fields.

    Raises
    ------
    UnknownNameError
        The kind is not one of the closed set.
    InvalidValueError
        The fields do not fit.

    Examples
    --------
    >>> from_dict({"kind": "Uniform", "low": 0, "high": 1})
    Uniform(low=0.0, high=1.0)
    """
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in KINDS:
        raise UnknownNameError("distribution", str(kind), list(KINDS))
    try:
        return KINDS[kind](**fields)
    except TypeError:
        raise InvalidValueError(
            f"distribution {kind!r} was given the fields {sorted(fields)}, which do not fit"
        ) from None


def draw(
    value: Distribution | float | NDArray[Any], n: int, stream: Stream, what: str, fan_in: int | None = None
) -> Values:
    """Numbers for n consumers, from a number (all the same), an array of n, or a distribution.

    Parameters
    ----------
    value
        What the user gave.
    n, stream, fan_in
        See :meth:`Distribution.sample`.
    what
        Name of the value in error messages.

    Returns
    -------
    float64[n]

    Raises
    ------
    InvalidValueError
        An array of another length, or a value that is not finite.

    Examples
    --------
    >>> draw(0.5, 2, Stream(1, "v"), "initial v").tolist()
    [0.5, 0.5]
    """
    if isinstance(value, Distribution):
        return value.sample(n, stream, fan_in)
    if np.ndim(value) == 0:
        return np.full(n, real(what, value))
    array = np.array(value, dtype=np.float64)
    if array.shape != (n,):
        raise InvalidValueError(f"{what} has shape {array.shape}; allowed are a number, {n} numbers, or a distribution")
    if not np.isfinite(array).all():
        raise InvalidValueError(f"{what} has values that are NaN or infinite; only finite numbers are allowed")
    return array
