"""Which spatial frequencies the filters of a convolution pass, and which in time the neurons behind them.

::

    P[o, i, u, v] = |DFT2(w[o, i] padded with zeros to n x n)|^2,     rho(u, v) = distance to frequency 0, in bins
    low_share(o) = sum of P over rho <= r0 and i  /  sum of P over everything

The object of study follows Jia, Bao and Ma, "Exploring Frequency Domain Interpretation of Convolutional Neural
Networks", arXiv 1911.12044, of which the abstract was at hand; definitions and defaults are this library's. The authors
themselves have put the paper's main conclusion in doubt (docs/methods/filter-frequency.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network
from spikesim.neuron import Neuron, NeuronModel

Array = NDArray[np.float64]
SIZE = 32
LOW_PARTS = ("dct", "dc", "binomial")


def first_filters(network: Network) -> tuple[str, Array]:
    """Return name and weights ``[filters, channels, height, width]`` of the first convolution of a network.

    Raises
    ------
    NetworkError
        If the network has none.
    """
    from spikesim.sparsify.filters import filters, kernel

    name = next(iter(filters(network)))
    return name, kernel(network[name])  # type: ignore[arg-type]


def filter_spectrum(weights: ArrayLike, n: int = SIZE) -> Array:
    """Return the power spectrum of filters, ``[filters, channels, n, n]``.

    Parameters
    ----------
    weights
        ``[filters, channels, height, width]``, at least 2 x 2.
    n
        Size to which they are padded with zeros: the side of the image, say.
    """
    w = _kernels(weights)
    if n < max(w.shape[2:]):
        raise InvalidValueError(f"filters of {w.shape[2]} x {w.shape[3]} do not fit into n = {n}; raise n")
    return np.asarray(np.abs(np.fft.fft2(w, (n, n))) ** 2)


@cache
def radius(n: int) -> Array:
    """Return the distance of each bin of an ``n x n`` DFT to frequency 0, in bins, ``[n, n]``."""
    each = np.minimum(np.arange(n), n - np.arange(n))
    return np.asarray(np.hypot(each[:, None], each[None, :]))


def low_share(weights: ArrayLike, n: int = SIZE, r0: float | None = None) -> Array:
    """Return each filter's share of energy at frequencies up to ``r0`` bins (default ``n / 4``), ``[filters]``.

    A filter of zeros has the share 0. The scale is not 0 to 1 in practice: padded to 32 x 32, a 3 x 3 average has
    0.81 and a single pixel 0.19.
    """
    if r0 is not None and not r0 >= 0:
        raise InvalidValueError(f"radius of low frequencies: r0 is {r0!r}; allowed is a number of bins from 0")
    power = filter_spectrum(weights, n).sum(1)
    whole = power.sum((1, 2))
    low = (power * (radius(n) <= (n / 4 if r0 is None else r0))).sum((1, 2))
    return np.asarray(low / np.where(whole > 0, whole, 1.0))


def centroid(weights: ArrayLike, n: int = SIZE) -> Array:
    """Return the mean frequency of each filter, weighted by power, in bins, ``[filters]``."""
    power = filter_spectrum(weights, n).sum(1)
    whole = power.sum((1, 2))
    return np.asarray((power * radius(n)).sum((1, 2)) / np.where(whole > 0, whole, 1.0))


@dataclass(frozen=True)
class Proportion:
    """How many filters are low-pass.

    Parameters
    ----------
    low
        Share of the filters whose low share exceeds 1/2.
    share
        Mean low share.
    weighted_low, weighted_share
        The same with each filter weighted by its firing rate; None where no rates were given, NaN if none fires.
    shares
        Of each filter.
    """

    low: float
    share: float
    weighted_low: float | None
    weighted_share: float | None
    shares: Array


def frequency_proportion(
    weights: ArrayLike | Network, n: int = SIZE, r0: float | None = None, rates: ArrayLike | None = None
) -> Proportion:
    """Return which share of the filters is low-pass, and the mean share of low frequencies.

    Parameters
    ----------
    weights
        ``[filters, channels, height, width]``, or a network, whose first convolution is looked at.
    n, r0
        See :func:`low_share`.
    rates
        Mean firing rate behind each filter: a filter that never fires does not matter.

    Examples
    --------
    >>> box, delta = np.ones((3, 3)), np.pad([[1.0]], 1)
    >>> found = frequency_proportion(np.stack([box, delta])[:, None], n=8, rates=[3.0, 1.0])
    >>> found.low, round(found.share, 3), found.weighted_low
    (0.5, 0.503, 0.75)
    """
    w = first_filters(weights)[1] if isinstance(weights, Network) else weights
    shares = low_share(w, n, r0)
    low = shares > 0.5
    if rates is None:
        return Proportion(float(low.mean()), float(shares.mean()), None, None, shares)
    weight = np.asarray(rates, np.float64)
    if weight.shape != shares.shape or not (weight >= 0).all():
        raise InvalidValueError(f"rates: {len(shares)} numbers from 0 are needed, found {list(weight.shape)}")
    whole = weight.sum() or np.nan
    weighted = float((weight * low).sum() / whole), float((weight * shares).sum() / whole)
    return Proportion(float(low.mean()), float(shares.mean()), *weighted, shares)


def filter_rates(counts: ArrayLike, filters: int, steps: int) -> Array:
    """Return the mean firing rate behind each filter, in spikes per step, ``[filters]``.

    Parameters
    ----------
    counts
        Spikes of each neuron, ``[samples, neurons]``: ``recording["layer1"].counts()``.
    filters
        Number of filters; the population is ``(filters, height, width)``.
    steps
        Steps of the run.
    """
    spikes = np.asarray(counts, np.float64)
    if spikes.shape[-1] % filters:
        raise InvalidValueError(f"{spikes.shape[-1]} neurons do not belong to {filters} filters in equal parts")
    return np.asarray(spikes.reshape(-1, filters, spikes.shape[-1] // filters).mean((0, 2)) / steps)


def polarity_filters(weights: ArrayLike) -> dict[str, Array]:
    """Return the filters of event input one by one: OFF, ON and their difference, ``[filters, 1, height, width]``.

    Parameters
    ----------
    weights
        ``[filters, 2, height, width]``; channel 0 is OFF, as in :class:`spikesim.events.Events`.
    """
    w = _kernels(weights)
    if w.shape[1] != 2:
        raise InvalidValueError(f"filters of events have 2 channels, OFF and ON, found {w.shape[1]}")
    return {"off": w[:, :1], "on": w[:, 1:], "difference": w[:, 1:] - w[:, :1]}


# ---------------------------------------------------------------------------------------------------------- parts
@cache
def dct_basis(n: int) -> Array:
    """Return the orthonormal DCT-II, ``[n, n]``: row ``i`` is the basis vector of frequency ``i``."""
    i, x = np.arange(n)[:, None], np.arange(n)[None, :]
    basis = np.sqrt(2.0 / n) * np.cos(np.pi * (2 * x + 1) * i / (2 * n))
    basis[0] /= np.sqrt(2.0)
    return np.asarray(basis)


def dct2(weights: ArrayLike) -> Array:
    """Return the DCT-II coefficients of filters, ``[filters, channels, height, width]``."""
    w = _kernels(weights)
    return np.asarray(np.einsum("iy,ocyx,jx->ocij", dct_basis(w.shape[2]), w, dct_basis(w.shape[3])))


def low_projection(height: int, width: int, kind: str = "dct") -> Array:
    """Return the linear map that takes a kernel to its low-pass part, ``[height, width, height, width]``.

    Parameters
    ----------
    height, width
        Of the kernel.
    kind
        ``"dct"``: DCT coefficients with ``i + j <= 1``; ``"dc"``: the mean; ``"binomial"``: the binomial shape of that
        size times the kernel's sum. By :func:`low_share` (r0 = n / 4) the low part of a square filter always exceeds
        1/2 with the last two, and with ``"dct"`` from 4 x 4 on (a first-order coefficient of 3 x 3 has 0.40 at n = 8).
        A high part is always below 1/2 for 2 x 2 and 3 x 3; larger filters have room for slow waves without a mean.
    """
    if kind not in LOW_PARTS:
        raise UnknownNameError("low part", kind, LOW_PARTS)
    if min(height, width) < 2:
        raise InvalidValueError(_small(height, width))
    if kind == "binomial":
        shape = np.outer(_binomial(height), _binomial(width))
        return np.asarray(np.multiply.outer(shape, np.ones((height, width))))
    a, b = dct_basis(height), dct_basis(width)
    most = 1 if kind == "dct" else 0
    kept = (np.arange(height)[:, None] + np.arange(width)[None, :] <= most).astype(np.float64)
    return np.asarray(np.einsum("iy,jx,ij,ip,jq->yxpq", a, b, kept, a, b))


def _binomial(n: int) -> Array:
    return np.array([comb(n - 1, k) for k in range(n)]) / 2.0 ** (n - 1)


def split_filters(weights: ArrayLike, kind: str = "dct") -> tuple[Array, Array]:
    """Return low and high part of filters; they sum to the filters. With ``"binomial"`` the high part is mean-free."""
    w = _kernels(weights)
    low: Array = np.einsum("yxpq,ocpq->ocyx", low_projection(w.shape[2], w.shape[3], kind), w)
    return low, w - low


def control(weights: ArrayLike, q: float, kind: str = "dct") -> Array:
    """Return filters of which the first ``round(q * filters)`` are low-pass and the rest high-pass.

    Parameters
    ----------
    weights
        ``[filters, channels, height, width]``.
    q
        Proportion, 0 to 1.
    kind
        What low means, see :func:`low_projection`.
    """
    low, high = split_filters(weights, kind)
    first = low_count(q, len(low))
    return np.concatenate([low[:first], high[first:]])


def low_count(q: float, filters: int) -> int:
    """Return how many filters are low-pass at a proportion, or say that it is none."""
    if not 0.0 <= q <= 1.0:
        raise InvalidValueError(f"proportion of low-pass filters: found {q!r}; allowed is 0 to 1")
    return round(q * filters)


# ----------------------------------------------------------------------------------------------------------- time
def temporal_response(beta: float, frequencies: ArrayLike) -> Array:
    """Return ``|H(f)|^2`` of a leaky membrane ``v <- beta v + input``: a low-pass in time.

    Parameters
    ----------
    beta
        What a step leaves of the membrane, 0 to below 1.
    frequencies
        In cycles per step, 0 to 1/2.
    """
    if not 0.0 <= beta < 1.0:
        raise InvalidValueError(f"beta is {beta!r}; allowed is 0 to below 1, at which the response at 0 is infinite")
    return np.asarray(1.0 / (1.0 - 2.0 * beta * np.cos(2.0 * np.pi * np.asarray(frequencies)) + beta**2))


def measured_response(
    neuron: Neuron | NeuronModel, frequencies: ArrayLike, *, steps: int = 2048, size: float = 1e-6, dt: float = 1e-3
) -> Array:
    """Return ``|H(f)|^2`` of any neuron's first state below threshold, from its response to a small impulse.

    Parameters
    ----------
    neuron
        With numbers as parameters.
    frequencies
        In cycles per step.
    steps
        How long the response is followed.
    size
        Of the impulse; small against the threshold.
    dt
        Time step in seconds.
    """
    from spikesim.equations.response import respond

    pulse = np.zeros(steps)
    pulse[0] = size
    cell = neuron if isinstance(neuron, Neuron) else Neuron(neuron)
    state = next(iter(cell.model.states), None)
    if state is None:
        raise InvalidValueError(f"neuron {cell.model.name!r} has no state, hence no response in time")
    with_pulse, without = (respond(cell, x, dt)[state] for x in (pulse, np.zeros(steps)))
    response = (with_pulse - without) / size
    phases = np.exp(-2j * np.pi * np.multiply.outer(np.asarray(frequencies, np.float64), np.arange(steps)))
    return np.asarray(np.abs(phases @ response) ** 2)


def effective_spectrum(weights: ArrayLike, temporal: ArrayLike, n: int = SIZE) -> Array:
    """Return the power in space and time of filters with a membrane behind, ``[filters, frequencies, n, n]``.

    Parameters
    ----------
    weights
        ``[filters, channels, height, width]``; power is summed over channels.
    temporal
        ``|H(f)|^2``, ``[frequencies]``: :func:`temporal_response` or :func:`measured_response`.
    n
        See :func:`filter_spectrum`.
    """
    power = filter_spectrum(weights, n).sum(1)
    return np.asarray(np.multiply.outer(power, np.asarray(temporal, np.float64)).transpose(0, 3, 1, 2))


def _kernels(weights: Any) -> Array:
    w = np.asarray(weights, np.float64)
    if w.ndim != 4 or not np.isfinite(w).all():
        found = list(w.shape)
        raise InvalidValueError(f"filters need finite weights [filters, channels, height, width], found {found}")
    if min(w.shape[2:]) < 2:
        raise InvalidValueError(_small(*w.shape[2:]))
    return w


def _small(height: int, width: int) -> str:
    return f"filters of {height} x {width} have no spatial frequency but 0; allowed are filters from 2 x 2"


__all__ = [
    "Proportion", "centroid", "control", "dct2", "dct_basis", "effective_spectrum", "filter_rates", "filter_spectrum",
    "first_filters", "frequency_proportion", "low_projection", "low_share", "measured_response", "polarity_filters",
    "radius", "split_filters", "temporal_response",
]  # fmt: skip
