"""Values to spikes: rate, Poisson, latency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.encode._checks import positive, samples, step_count, within
from spikesim.equations.elementary import exp, log
from spikesim.errors import InvalidValueError
from spikesim.rng import Stream

_SCALE_HINT = "divide by the largest possible value (Dataset.scaled() does)"


def rate(x: ArrayLike, steps: int, *, seed: int, gain: float = 1.0, first_sample: int = 0) -> NDArray[np.bool_]:
    """Encode a value by how often its input spikes: a coin toss in each step.

    Parameters
    ----------
    x
        Intensities from 0 to 1, shape ``[samples, features...]``.
    steps
        Number of time steps.
    seed
        The same seed gives the same spikes, whatever the platform.
    gain
        Probability of a spike in a step at intensity 1, from 0 to 1.
    first_sample
        Number of ``x[0]`` in the whole set. A part that is encoded with it gets the spikes that it has in the whole.

    Returns
    -------
    spikes
        ``bool``, shape ``[steps, samples, features...]``.

    Raises
    ------
    InvalidValueError
        If an intensity or the gain is outside 0 to 1, not finite, or a shape or count does not fit.

    Examples
    --------
    >>> spikes = rate([[0.0, 0.5, 1.0]], steps=1000, seed=0)
    >>> spikes.shape
    (1000, 1, 3)
    >>> never, half, always = spikes.mean(axis=(0, 1))
    >>> never == 0, 0.4 < half < 0.6, always == 1
    (np.True_, np.True_, np.True_)
    """
    intensity = samples(x, "rate")
    within(intensity, 0.0, 1.0, "rate: intensities x", _SCALE_HINT)
    within(np.asarray(gain, np.float64), 0.0, 1.0, "rate: gain", "it is the probability of a spike in one step")
    return _tosses(intensity * gain, step_count(steps, "rate"), seed, "encode/rate", first_sample)


def varying_rate(x: ArrayLike, *, seed: int, gain: float = 1.0, first_sample: int = 0) -> NDArray[np.bool_]:
    """Encode intensities that change in time: a coin toss in each step, as :func:`rate` does for constant ones.

    Parameters
    ----------
    x
        Intensities from 0 to 1, shape ``[samples, time, features...]``; a step of ``x`` is a step of the result.
    seed, gain, first_sample
        See :func:`rate`; for an intensity that does not change, the spikes are the same.

    Returns
    -------
    spikes
        ``bool``, shape ``[time, samples, features...]``.

    Raises
    ------
    InvalidValueError
        See :func:`rate`.

    Examples
    --------
    >>> varying_rate([[[1.0], [0.0], [1.0]]], seed=0)[:, 0, 0]
    array([ True, False,  True])
    """
    intensity = np.moveaxis(samples(x, "varying_rate", least_axes=3), 1, 0)
    within(intensity, 0.0, 1.0, "varying_rate: intensities x", _SCALE_HINT)
    within(np.asarray(gain, np.float64), 0.0, 1.0, "varying_rate: gain", "it is the probability of a spike in one step")
    return _tosses(intensity[0] * gain, len(intensity), seed, "encode/rate", first_sample, over_time=intensity * gain)


def regular(x: ArrayLike, steps: int) -> NDArray[np.bool_]:
    """Encode a value by evenly spaced spikes, without chance: after ``t`` steps ``round(x t)`` of them.

    This is what an integrate-and-fire neuron with soft reset does with a constant current, so no value is lost but the
    rounding of the last spike.

    Parameters
    ----------
    x
        Intensities from 0 to 1, shape ``[samples, features...]``.
    steps
        Number of time steps.

    Returns
    -------
    spikes
        ``bool``, shape ``[steps, samples, features...]``.

    Raises
    ------
    InvalidValueError
        If an intensity is outside 0 to 1, not finite, or a shape or count does not fit.

    Examples
    --------
    >>> regular([[0.0, 0.25, 1.0]], steps=4)[:, 0].astype(int).tolist()
    [[0, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]]
    """
    intensity = samples(x, "regular")
    within(intensity, 0.0, 1.0, "regular: intensities x", _SCALE_HINT)
    ends = np.arange(step_count(steps, "regular") + 1).reshape(-1, *(1,) * intensity.ndim)
    return np.diff(np.floor(intensity * ends + 0.5), axis=0) > 0


def poisson(rates: ArrayLike, steps: int, *, dt: float, seed: int, first_sample: int = 0) -> NDArray[np.bool_]:
    """Encode a rate as a Poisson process, seen in steps.

    A step holds a spike if the process has at least one event in it, so the probability is ``1 - exp(-rate dt)``.

    Parameters
    ----------
    rates
        Rates in Hz, shape ``[samples, features...]``.
    steps
        Number of time steps.
    dt
        Length of a step in seconds.
    seed
        The same seed gives the same spikes, whatever the platform.
    first_sample
        See :func:`rate`.

    Returns
    -------
    spikes
        ``bool``, shape ``[steps, samples, features...]``.

    Raises
    ------
    InvalidValueError
        If a rate is negative or not finite, ``dt`` is not positive, or a shape or count does not fit.

    Examples
    --------
    >>> spikes = poisson([[100.0]], steps=10_000, dt=1e-3, seed=0)      # ten seconds at 100 Hz
    >>> 850 < spikes.sum() < 1050
    np.True_
    """
    hertz = samples(rates, "poisson")
    within(hertz, 0.0, np.inf, "poisson: rates", "a rate cannot be negative")
    probability = 1.0 - exp(-hertz.astype(np.float64) * positive(dt, "poisson: dt"))
    return _tosses(probability, step_count(steps, "poisson"), seed, "encode/poisson", first_sample)


def latency(x: ArrayLike, steps: int, *, tau: float | None = None, threshold: float | None = None) -> NDArray[np.bool_]:
    """Encode a value by when its input spikes, once: the stronger, the earlier.

    Parameters
    ----------
    x
        Intensities from 0 to 1, shape ``[samples, features...]``.
    steps
        Number of time steps.
    tau
        None: the step falls linearly from 0 (intensity 1) to the last step. Otherwise the time constant, in steps, of
        an RC membrane that is charged by ``x`` and crosses ``threshold`` at ``tau ln(x / (x - threshold))``; crossings
        after the last step are left out.
    threshold
        Inputs at or below it never spike; 0.01 by default.

    Returns
    -------
    spikes
        ``bool``, shape ``[steps, samples, features...]``, at most one spike per feature.

    Raises
    ------
    InvalidValueError
        If an intensity is outside 0 to 1 or not finite, ``tau`` is not positive, the threshold is not from 0 to below
        1 (above 0 with ``tau``), or a shape or count does not fit.

    Examples
    --------
    >>> latency([[1.0, 0.5, 0.0]], steps=5)[:, 0].astype(int)
    array([[1, 0, 0],
           [0, 0, 0],
           [0, 1, 0],
           [0, 0, 0],
           [0, 0, 0]])
    """
    intensity = samples(x, "latency").astype(np.float64)
    within(intensity, 0.0, 1.0, "latency: intensities x", _SCALE_HINT)
    level = 0.01 if threshold is None else threshold
    if not 0.0 <= level < 1.0 or (tau is not None and level == 0.0):
        raise InvalidValueError(
            f"latency: threshold is {level!r}; allowed is from 0 to below 1, and above 0 together with tau"
        )
    n = step_count(steps, "latency")
    fires = intensity > level
    if tau is None:
        when = np.rint((1.0 - intensity) * (n - 1))
    else:
        charged = np.where(fires, intensity, 1.0)  # what never fires must not divide by zero
        when = np.floor(positive(tau, "latency: tau") * log(charged / (charged - level)))
    steps_first = np.arange(n).reshape(-1, *[1] * intensity.ndim)
    spikes: NDArray[np.bool_] = fires & (steps_first == when)
    return spikes


def _tosses(
    probability: NDArray[Any],
    steps: int,
    seed: int,
    name: str,
    first_sample: int,
    over_time: NDArray[Any] | None = None,
) -> NDArray[np.bool_]:
    """Toss one coin per step, sample and feature; the draw depends on those numbers only."""
    if first_sample < 0 or int(first_sample) != first_sample:
        raise InvalidValueError(f"first_sample: found {first_sample!r}; allowed is a whole number from 0")
    stream = Stream(seed, name)
    n = probability.size
    offset = int(first_sample) * (n // len(probability)) if n else 0
    out = np.empty((steps, n), dtype=bool)
    for step in range(steps):
        chance = probability if over_time is None else over_time[step]
        np.less(stream.uniform(n, step=step, offset=offset), chance.reshape(-1), out=out[step])
    return out.reshape(steps, *probability.shape)
