"""Statistics of spike trains: rates, intervals, variability, correlation.

Everything works on the events themselves, so memory grows with the number of spikes, not with neurons times steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError
from spikesim.recording import Spikes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Intervals(NamedTuple):
    """Times between successive spikes of the same neuron in the same sample.

    Parameters
    ----------
    seconds
        float64.
    neuron, sample
        Whose they are, as many.
    """

    seconds: Floats
    neuron: Ints
    sample: Ints


class Histogram(NamedTuple):
    """Values over time: ``values[k]`` holds between ``edges[k]`` and ``edges[k + 1]`` (seconds)."""

    edges: Floats
    values: Floats


def rates(spikes: Spikes) -> Floats:
    """Return the rate of every neuron in hertz, the mean over samples, ``[n]``."""
    seconds = spikes.steps * spikes.dt * spikes.samples
    counts = np.bincount(spikes.neuron, minlength=spikes.n)
    return np.asarray(counts / seconds if seconds else np.zeros(spikes.n), np.float64)


def mean_rate(spikes: Spikes) -> float:
    """Return the mean rate per neuron in hertz."""
    return spikes.rate()


def psth(spikes: Spikes, bin: float = 5e-3, neurons: Sequence[int] | None = None) -> Histogram:
    """Return the rate over time: the mean over neurons and samples, in bins.

    Parameters
    ----------
    spikes
        Events of one population.
    bin
        Width in seconds, rounded to whole steps; the last bin may be narrower.
    neurons
        Of these only.

    Returns
    -------
    Histogram
        Rates in hertz.
    """
    width = _bin_steps(spikes, bin)
    step = spikes.step
    if neurons is not None:
        step = step[np.isin(spikes.neuron, np.asarray(neurons))]
    edges = np.append(np.arange(0, spikes.steps, width), spikes.steps)
    counts = np.bincount(step // width, minlength=len(edges) - 1)
    size = spikes.n if neurons is None else len(np.unique(np.asarray(neurons)))
    seconds = np.diff(edges) * spikes.dt * max(1, size * spikes.samples)
    return Histogram(edges * spikes.dt, counts / seconds)


def _bin_steps(spikes: Spikes, bin: float) -> int:
    width = round(bin / spikes.dt)
    if not bin > 0 or width < 1:
        raise InvalidValueError(f"a bin must be at least one step of {spikes.dt:g} s wide, found {bin:g} s")
    return width


def intervals(spikes: Spikes) -> Intervals:
    """Return all inter-spike intervals, sorted by sample, neuron and time.

    Examples
    --------
    >>> import numpy as np
    >>> step, neuron = np.array([1, 2, 4, 9]), np.array([0, 1, 0, 0])
    >>> train = Spikes(np.zeros(4, np.int32), step, neuron, n=2, steps=10, samples=1, dt=0.5)
    >>> intervals(train).seconds.tolist()
    [1.5, 2.5]
    """
    train = spikes.sample.astype(np.int64) * spikes.n + spikes.neuron
    order = np.argsort(train, kind="stable")  # a train stays in the order of time
    train, step = train[order], spikes.step[order]
    same = train[1:] == train[:-1]
    sample, neuron = np.divmod(train[1:][same], max(1, spikes.n))
    return Intervals(np.diff(step)[same] * spikes.dt, neuron, sample)


def cv_per_neuron(spikes: Spikes, min_spikes: int = 3) -> Floats:
    """Return the coefficient of variation of the inter-spike intervals of every neuron, ``[n]``.

    Standard deviation over mean: 0 for a clock, 1 for a Poisson process. A neuron's intervals of all samples are taken
    together; it is NaN where there are fewer than ``min_spikes - 1`` intervals.
    """
    found = intervals(spikes)
    number = np.bincount(found.neuron, minlength=spikes.n)
    enough = number >= max(1, min_spikes - 1)
    mean = _ratio(np.bincount(found.neuron, found.seconds, spikes.n), number, enough)
    off = (found.seconds - mean[found.neuron]) ** 2
    variance = _ratio(np.bincount(found.neuron, off, spikes.n), number, enough)
    return _ratio(np.sqrt(variance), mean, enough)


def _ratio(above: NDArray[Any], below: NDArray[Any], where: NDArray[np.bool_]) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(len(where), np.nan), where=where & (below > 0)))


def cv_isi(spikes: Spikes, min_spikes: int = 3) -> float:
    """Return the mean of :func:`cv_per_neuron` over neurons with at least ``min_spikes`` spikes; NaN without any."""
    values = cv_per_neuron(spikes, min_spikes)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


class _Binned(NamedTuple):
    """Spike counts in windows, those that are not 0: ``number[k]`` of ``neuron[k]`` in ``window[k]``."""

    neuron: Ints
    window: Ints
    number: Ints
    windows: int


def _binned(spikes: Spikes, bin: float) -> _Binned:
    """Count spikes in whole windows; steps after the last whole one are left out."""
    width = _bin_steps(spikes, bin)
    per_sample = spikes.steps // width
    if per_sample * spikes.samples < 2:
        raise InvalidValueError(
            f"counts in at least 2 windows are needed, found {per_sample * spikes.samples} of {bin:g} s "
            f"in {spikes.steps * spikes.dt:g} s; choose a smaller bin"
        )
    inside = spikes.step < per_sample * width
    window = spikes.sample[inside].astype(np.int64) * per_sample + spikes.step[inside] // width
    windows = per_sample * spikes.samples
    keys, number = np.unique(spikes.neuron[inside] * np.int64(windows) + window, return_counts=True)
    return _Binned(keys // windows, keys % windows, number, windows)


def binned_counts(spikes: Spikes, bin: float, neurons: Sequence[int] | None = None) -> Ints:
    """Return spike counts in windows, int64 ``[windows of all samples, neurons]``.

    Parameters
    ----------
    spikes
        Events of one population.
    bin
        Width of a window in seconds, rounded to whole steps; an incomplete last window is left out.
    neurons
        Which; all by default.
    """
    found = _binned(spikes, bin)
    chosen = np.arange(spikes.n) if neurons is None else np.asarray(neurons, np.int64)
    if chosen.size and not (0 <= chosen.min() and chosen.max() < spikes.n):
        raise InvalidValueError(f"neurons must be 0 .. {spikes.n - 1}, found {chosen.min()} .. {chosen.max()}")
    column = np.full(spikes.n, -1)
    column[chosen] = np.arange(len(chosen))
    kept = column[found.neuron] >= 0
    counts = np.zeros((found.windows, len(chosen)), np.int64)
    counts[found.window[kept], column[found.neuron[kept]]] = found.number[kept]
    return counts


def fano(spikes: Spikes, window: float = 0.1) -> Floats:
    """Return the Fano factor of every neuron, ``[n]``: variance over mean of its spike counts in windows.

    1 for a Poisson process, 0 for a clock; NaN for a silent neuron. The variance is the unbiased one.
    """
    found = _binned(spikes, window)
    mean = np.bincount(found.neuron, found.number, spikes.n) / found.windows
    square = np.bincount(found.neuron, found.number.astype(np.float64) ** 2, spikes.n)
    variance = (square - found.windows * mean**2) / (found.windows - 1)
    return _ratio(variance, mean, mean > 0)


def correlation(spikes: Spikes, bin: float = 5e-3, neurons: Sequence[int] | None = None) -> Floats:
    """Return the Pearson correlations of binned spike counts, ``[neurons, neurons]``.

    Rows and columns of neurons whose count never changes are NaN.
    """
    counts = binned_counts(spikes, bin, neurons).astype(np.float64)
    counts -= counts.mean(axis=0)
    size = np.sqrt((counts**2).sum(axis=0))
    varies = size > 0
    counts[:, varies] /= size[varies]
    matrix = counts.T @ counts
    matrix[~varies] = matrix[:, ~varies] = np.nan
    np.fill_diagonal(matrix, np.where(varies, 1.0, np.nan))
    return np.asarray(np.clip(matrix, -1.0, 1.0))


def mean_correlation(spikes: Spikes, bin: float = 5e-3) -> float:
    """Return the mean correlation of binned spike counts over all pairs of neurons whose count varies; NaN without any.

    Notes
    -----
    The correlations of all pairs sum to the variance of the sum of the standardised counts, so the matrix, which would
    be too large for big populations, is not made.
    """
    found = _binned(spikes, bin)
    mean = np.bincount(found.neuron, found.number, spikes.n) / found.windows
    square = np.bincount(found.neuron, found.number.astype(np.float64) ** 2, spikes.n) / found.windows
    sd = np.sqrt(np.maximum(square - mean**2, 0.0))
    varies = sd > 0
    number = int(varies.sum())
    if number < 2:
        return float("nan")
    weight = np.divide(1.0, sd, out=np.zeros(spikes.n), where=varies)
    total = np.bincount(found.window, found.number * weight[found.neuron], found.windows)
    return float((total.var() - number) / (number * (number - 1)))
