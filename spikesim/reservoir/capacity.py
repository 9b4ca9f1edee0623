"""Memory capacity: how much of its past input a linear read-out finds in a network's state.

::

    MC = sum over d >= 1 of r^2( u[t - d], best linear read-out of x[t] )

``u`` is scalar and independent from time to time. A linear network of N states has at most N.

Reference: Jaeger, "Short term memory in echo state networks", GMD Report 152, 2001.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError
from spikesim.network import Network
from spikesim.reservoir.attach import fitted
from spikesim.reservoir.features import TAU, drive
from spikesim.reservoir.readout import RIDGE, ridge
from spikesim.rng import Stream

Floats = NDArray[np.float64]

CHANCE = 9.0  # squared correlation of independent numbers, three standard deviations of r, times their number


@dataclass(frozen=True, eq=False)
class Capacity:
    """Memory capacity.

    Parameters
    ----------
    total
        Sum over all delays.
    by_delay
        Squared correlation for delays 1, 2, ...; float64 ``[delays]``.
    spikes
        Per value of the series; NaN where there was no network.
    """

    total: float
    by_delay: Floats
    spikes: float = float("nan")


def memory_capacity(x: Floats, u: Floats, delays: int = 50, *, discard: int = 100, train: float = 0.5) -> Capacity:
    """Return the memory capacity of given states.

    Parameters
    ----------
    x
        States, float64 ``[time, features]``; ``x[t]`` has seen ``u[t]``.
    u
        Input, float64 ``[time]``.
    delays
        Largest delay.
    discard, train
        First values left out, and the part of the rest that the read-outs learn from. Correlations are those of the
        other part; what chance could give (r below three standard deviations, 3 over the root of their number) counts
        as 0, or a sum over many delays would grow by itself.

    Raises
    ------
    InvalidValueError
        If lengths differ or too little is left.

    Examples
    --------
    >>> u = np.random.default_rng(0).uniform(size=1000)
    >>> line = np.stack([np.roll(u, d) for d in (1, 2, 3)], axis=1)
    >>> round(memory_capacity(line, u, delays=10).total, 6)
    3.0
    """
    first = max(discard, delays)
    cut = first + round(train * (len(u) - first))
    if x.ndim != 2 or len(x) != len(u) or min(cut - first, len(u) - cut) < 20 or delays < 1:
        raise InvalidValueError(
            f"memory_capacity needs states [time, features] and as many inputs, 20 more than are discarded to learn "
            f"from and to test on; found shapes {x.shape} and {np.shape(u)}, discard={discard}, delays={delays}"
        )
    past = np.stack([u[first - d : len(u) - d] for d in range(1, delays + 1)], axis=1)
    learned, tested = past[: cut - first], past[cut - first :]
    # the penalty is chosen per delay: far ones need far more than near ones
    found = np.concatenate([ridge(x[first:cut], y[:, None], RIDGE)(x[cut:]) for y in learned.T], axis=1)
    r2 = _squared_correlation(found, tested)
    by_delay = np.where(r2 < CHANCE / len(tested), 0.0, r2)
    return Capacity(float(by_delay.sum()), by_delay)


def _squared_correlation(a: Floats, b: Floats) -> Floats:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    room = (a**2).sum(axis=0) * (b**2).sum(axis=0)
    return np.where(room > 0, (a * b).sum(axis=0) ** 2 / np.where(room > 0, room, 1.0), 0.0)


def network_capacity(
    network: Network,
    seed: int = 0,
    *,
    values: int = 2000,
    delays: int = 50,
    hold: int = 5,
    tau: float = TAU,
    binary: bool = False,
    backend: str | None = None,
) -> Capacity:
    """Drive a network with independent numbers and return its memory capacity.

    Parameters
    ----------
    network
        As for :func:`spikesim.reservoir.evaluate`; the series has one channel.
    seed
        Of the series.
    values, delays
        Length of the series, largest delay.
    hold, tau
        Steps per value, filter (s).
    binary
        Numbers 0 and 1 instead of uniform ones of mean 0 and deviation 1.
    backend
        See :func:`spikesim.run`.

    Examples
    --------
    >>> from spikesim.models.networks import hrsnn
    >>> bool(0.5 < network_capacity(hrsnn(60), values=600).total < 20)
    True
    """
    u = np.sqrt(12.0) * (Stream(seed, "capacity").uniform(values) - 0.5)
    u = (u > 0).astype(np.float64) if binary else u
    x, recording = drive(fitted(network, 1, seed), u[None, :, None], hold, tau, seed, backend)
    found = memory_capacity(x[0], u, delays)
    return Capacity(found.total, found.by_delay, recording.counts.spikes / values)
