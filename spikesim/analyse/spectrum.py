"""A Lyapunov spectrum as a value: exponents with standard errors, how they converged, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
BATCHES = 20  # means of so many stretches give the standard errors
SHOWN = 200  # points of a convergence curve


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Lyapunov exponents, largest first.

    Parameters
    ----------
    exponents
        float64 ``[k]``, in ``unit``; minus infinity for a direction that the dynamics forgets at once.
    errors
        Standard errors from the means of 20 stretches of the trajectory, float64 ``[k]``; NaN beside infinite ones.
    times
        Time since the transient, float64 ``[m]`` (in steps for a map, else in seconds or the unit of the flow's time).
    history
        Running means up to these times, float64 ``[m, k]``, sorted as ``exponents``.
    unit
        ``"per step"`` or ``"1/s"``.
    dimension
        Number of exponents that there are; ``k`` of them are known.
    every
        Steps between two orthonormalisations.
    per_neuron
        Exponents attributed to single neurons, float64 ``[neurons]`` (:func:`spikesim.analyse.network_spectrum`), or
        None.
    """

    exponents: Floats
    errors: Floats
    times: Floats
    history: Floats
    unit: str
    dimension: int
    every: int
    per_neuron: Floats | None = None

    def kaplan_yorke(self) -> float:
        """Return the Kaplan-Yorke dimension ``j + (l_1 + ... + l_j) / |l_(j+1)|``.

        ``j`` is the largest number of leading exponents whose sum is not negative (Kaplan and Yorke 1979).

        Raises
        ------
        InvalidValueError
            If not enough exponents are known: the sum of all that are is still not negative.
        """
        sums = np.cumsum(self.exponents)
        negative = np.flatnonzero(sums < 0.0)
        if negative.size == 0:
            if len(self.exponents) < self.dimension:
                raise InvalidValueError(
                    f"the {len(self.exponents)} known exponents of {self.dimension} have the sum {sums[-1]:g}, which "
                    "must be negative for a Kaplan-Yorke dimension; compute more exponents"
                )
            return float(self.dimension)
        j = int(negative[0])
        return j + (float(sums[j - 1]) / abs(float(self.exponents[j])) if j else 0.0)

    def entropy_rate(self) -> float:
        """Return the sum of the positive exponents, a bound of the entropy rate, in nats per unit of time.

        Ruelle's inequality; an equality for systems with a smooth measure along unstable directions (Pesin).
        """
        return float(self.exponents[self.exponents > 0.0].sum())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw how the exponents converged, with their standard errors (:func:`spikesim.plot.convergence`)."""
        from spikesim.plot.lyapunov import convergence

        return convergence(self, ax=ax)

    def __str__(self) -> str:
        shown = [f"{e:.5g} ± {s:.1g}" for e, s in zip(self.exponents[:5], self.errors[:5], strict=True)]
        rest = f", ... {self.exponents[-1]:.5g}" if len(self.exponents) > 5 else ""
        return f"{len(self.exponents)} of {self.dimension} Lyapunov exponents ({self.unit}): {', '.join(shown)}{rest}"


def summarise(
    logs: Floats, interval: float, unit: str, dimension: int, every: int, per_neuron: Floats | None = None
) -> Spectrum:
    """Turn the logarithms of growth into a spectrum.

    Parameters
    ----------
    logs
        ``log |R_ii|`` of each factorisation, float64 ``[blocks, k]``.
    interval
        Time between two factorisations.
    unit, dimension, every, per_neuron
        See :class:`Spectrum`.
    """
    blocks = len(logs)
    means = logs.mean(axis=0) / interval
    order = np.argsort(-means, kind="stable")
    ends = np.unique(np.linspace(1, blocks, min(SHOWN, blocks)).astype(int))
    history = np.cumsum(logs, axis=0)[ends - 1] / (ends[:, None] * interval)
    return Spectrum(
        means[order], batch_errors(logs[:, order] / interval), ends * interval, history[:, order], unit, dimension,
        every, per_neuron,
    )  # fmt: skip


def batch_errors(values: Floats) -> Floats:
    """Return standard errors of the mean over axis 0, from the means of 20 (or all) stretches of about equal length.

    Neighbouring values are correlated; means of long stretches hardly are. No value is left out: the first ones, in
    which columns may still be turning, are in the mean too.
    """
    batches = min(BATCHES, len(values))
    if batches < 2:
        return np.full(values.shape[1:], np.nan)
    edges = np.linspace(0, len(values), batches + 1).astype(int)
    lengths = np.diff(edges).reshape(-1, *(1,) * (values.ndim - 1))
    means = np.add.reduceat(values, edges[:-1], axis=0) / lengths
    finite = np.isfinite(means).all(axis=0)
    errors = np.where(finite, means, 0.0).std(axis=0, ddof=1) / np.sqrt(batches)
    return np.where(finite, errors, np.nan)
