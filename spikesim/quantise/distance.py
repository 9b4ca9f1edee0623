"""How far two recordings of the same network are apart, population by population."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.recording import Recording, Spikes


@dataclass(frozen=True)
class Difference:
    """What differs between the spikes of one population in two recordings.

    Parameters
    ----------
    before, after
        Spikes in either.
    differing
        Spikes that only one of them has.
    share
        ``differing`` relative to all spikes of both; 0: the same, 1: none in common.
    van_rossum
        Mean over all spike trains of their van Rossum distance.
    first_step
        The first step in which they differ, of any sample; None if they do not.
    """

    before: int
    after: int
    differing: int
    share: float
    van_rossum: float
    first_step: int | None


def difference(before: Spikes, after: Spikes, tau: float = 10e-3) -> Difference:
    """Compare the spikes of one population in two recordings.

    Parameters
    ----------
    before, after
        The same numbers of neurons, samples and steps.
    tau
        Time constant of the van Rossum distance in seconds.

    Notes
    -----
    van Rossum, "A novel spike distance", Neural Computation 13:751, 2001: the trains are filtered with ``exp(-t/tau)``,
    ``D^2`` is the integral of the squared difference over ``tau``. One spike too many gives ``D^2 = 1/2``, a pair
    that is ``d`` apart ``1 - exp(-d/tau)``.
    """
    size = before.samples * before.n
    train = [s.sample.astype(np.int64) * s.n + s.neuron for s in (before, after)]
    key = np.concatenate([s.step * size + t for s, t in zip((before, after), train, strict=True)])
    sign = np.repeat([-1, 1], [len(before), len(after)])
    unique, which = np.unique(key, return_inverse=True)
    change = np.bincount(which.reshape(-1), weights=sign, minlength=len(unique)).astype(np.int64)
    steps, trains, change = unique[change != 0] // size, unique[change != 0] % size, change[change != 0]
    differing = int(np.abs(change).sum())
    return Difference(
        before=len(before),
        after=len(after),
        differing=differing,
        share=differing / max(len(before) + len(after), 1),
        van_rossum=_van_rossum(steps, trains, change, size, tau / before.dt),
        first_step=int(steps.min()) if len(steps) else None,
    )


def _van_rossum(
    steps: NDArray[np.int64], trains: NDArray[np.int64], change: NDArray[np.int64], size: int, tau: float
) -> float:
    """Return the mean distance from the spikes that only one has, sorted by step: ``tau`` in steps."""
    left, last, square = np.zeros(size), np.zeros(size, np.int64), np.zeros(size)
    for step in np.unique(steps):
        own = slice(*np.searchsorted(steps, [step, step + 1]))
        t, d = trains[own], change[own]
        left[t] *= np.exp((last[t] - step) / tau)
        square[t] += d * (0.5 * d + left[t])
        left[t] += d
        last[t] = step
    return float(np.sqrt(np.maximum(square, 0.0)).mean()) if size else 0.0


def differences(before: Recording, after: Recording, tau: float = 10e-3) -> dict[str, Difference]:
    """Compare all populations of two recordings of the same network."""
    return {name: difference(spikes, after.spikes[name], tau) for name, spikes in before.spikes.items()}
