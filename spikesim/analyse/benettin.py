"""The loop that all spectra share: carry columns along, orthonormalise them, keep the logarithms of their growth.

Benettin, Galgani, Giorgilli and Strelcyn (1980), Meccanica 15, 9 and 21; with QR: Eckmann and Ruelle (1985), Rev. Mod.
Phys. 57, 617; Geist, Parlitz and Lauterborn (1990), Prog. Theor. Phys. 83, 875.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError

Floats = NDArray[np.float64]
SPREAD = float(np.log(1e8))  # columns drift apart by this factor, and fluctuate by its powers, between two QRs
GROWTH = 100.0  # exponent of e by which a column may grow or shrink meanwhile; a float64 overflows at 709
LONGEST = 1000  # steps between two QRs


def first_columns(dimension: int, k: int, seed: int) -> Floats:
    """Return ``k`` random orthonormal columns; random ones miss no direction, as unit vectors could."""
    if not 1 <= k <= dimension:
        raise InvalidValueError(f"exponents must be from 1 to {dimension}, the dimension of the system, found {k}")
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dimension, k)))[0]


def orthonormalise(q: Floats) -> tuple[Floats, Floats]:
    """Return orthonormal columns and ``log |R_ii|``, which is minus infinity where a column depends on earlier ones.

    Raises
    ------
    InvalidValueError
        If the columns are no longer finite.
    """
    lengths = np.sqrt(np.einsum("ij,ij->j", q, q))
    if not np.isfinite(lengths).all():
        raise InvalidValueError(
            "the tangent vectors are no longer finite: the trajectory diverges, or `every` is too long; check the "
            "initial state and the step, or pass a smaller `every`"
        )
    basis, r = np.linalg.qr(q)
    left = np.abs(np.diagonal(r))
    known = left > rounding(len(q)) * lengths
    return basis, np.log(left, out=np.full(len(left), -np.inf), where=known)


def rounding(dimension: int) -> float:
    """Return what rounding leaves of a column that the others already explain, relative to its length."""
    return max(1e-14, 4.0 * float(np.finfo(np.float64).eps) * dimension)


def unresolved(logs: Floats, before: Floats) -> bool:
    """Tell whether a column that is finite elsewhere vanished in rounding somewhere: the interval was too long.

    Parameters
    ----------
    logs, before
        Logarithms of growth of the run and of its pilot, ``[blocks, k]``.
    """
    vanished = np.isinf(logs).any(axis=0)
    return bool((vanished & np.isfinite(np.concatenate([before, logs])).any(axis=0)).any())


def window_interval(logs: Floats, limit: int = LONGEST) -> int:
    """Return how many steps may pass, from growth per step of a pilot, ``[steps, k]``, by its worst windows.

    Contraction may come in bursts (Rössler's flow), so a mean would not do.
    """
    sums = np.cumsum(logs[:, np.isfinite(logs).all(axis=0)], axis=0)
    best = 1
    for steps in sorted({int(1.25**k) for k in range(32)}):
        if sums.shape[1] == 0 or steps > min(limit, len(sums) // 2):
            break
        windows = sums[steps:] - sums[:-steps]
        if np.ptp(windows, axis=1).max() > SPREAD or np.abs(windows).max() > GROWTH:
            break
        best = steps
    return best


def chosen_interval(logs: Floats, limit: int = LONGEST) -> int:
    """Return how many steps may pass between two factorisations, from mean rates of growth per step, ``[k]``."""
    rates = logs[np.isfinite(logs)]
    if rates.size == 0:
        return 1
    spread, fastest = float(np.ptp(rates)), float(np.abs(rates).max())
    steps = min(SPREAD / max(spread, 1e-12), GROWTH / max(fastest, 1e-12), float(limit))
    return max(1, int(steps))
