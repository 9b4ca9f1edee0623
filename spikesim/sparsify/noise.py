"""Noise-prune: keep a synapse of a linear network with a probability that noise alone reveals.

With ``dx/dt = A x + sigma xi``, ``A = W - D``, and the stationary covariance ``C``,

::

    p_ij = K |w_ij| (C_ii + C_jj - 2 sgn(w_ij) C_ij),        a_ij' = a_ij / p_ij with probability p_ij, else 0

so the pruned matrix is right on average. For symmetric, diagonally dominant ``A`` this samples by effective resistance
(Spielman and Srivastava 2011, SIAM J. Comput. 40, 1913), and the spectrum is preserved.

Source: Moore and Chaudhuri, "Using noise to probe recurrent neural network structure and prune synapses", NeurIPS 2020,
arXiv 2011.07334.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.rng import Stream
from spikesim.sparsify.covariance import covariance

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
RULES = ("noise", "weight", "uniform")


@dataclass(frozen=True, eq=False)
class NoisePruned:
    """A pruned matrix.

    Parameters
    ----------
    matrix
        float64 ``[n, n]``, sparse.
    probability
        Of each off-diagonal entry of the original, sparse ``[n, n]``.
    kept, entries
        Off-diagonal entries after and before.
    """

    matrix: sparse.csr_array
    probability: sparse.csr_array
    kept: int
    entries: int


def noise_terms(weights: Floats, own: Floats, other: Floats, shared: Floats, factor: Floats | None = None) -> Floats:
    """Return ``|w_ij| (C_ii + C_jj - 2 sgn(w_ij) C_ij)``, the probability of an entry up to the factor ``K``.

    Parameters
    ----------
    weights
        ``w_ij``, float64 ``[m]``.
    own, other, shared
        ``C_ii``, ``C_jj`` and ``C_ij`` of the same entries.
    factor
        Takes the place of ``|w_ij|``.
    """
    size = np.abs(weights) if factor is None else factor
    return np.asarray(size * np.maximum(own + other - 2.0 * np.sign(weights) * shared, 0.0) * (weights != 0.0))


def scaled_to(terms: Floats, target: float, floor: float = 0.0) -> Floats:
    """Return ``clip(K terms, floor, 1)`` with the ``K`` for which they add up to a target, found by bisection.

    Normalising before clipping would lose entries. Terms of 0 stay 0 unless the others do not suffice.

    Parameters
    ----------
    terms
        At least 0, float64 ``[m]``.
    target
        Wanted sum, at most ``m``.
    floor
        Smallest probability: it bounds ``1 / p``. Lowered where the target would not allow it.

    Examples
    --------
    >>> scaled_to(np.array([1.0, 1.0, 8.0]), 2.0).round(6).tolist()
    [0.5, 0.5, 1.0]
    """
    m = len(terms)
    if not 0.0 <= target <= m:
        raise InvalidValueError(f"between 0 and {m} entries can be kept, found {target:g}")
    if target == m or m == 0:
        return np.ones(m)
    floor = min(floor, 0.5 * target / m)
    positive = terms > 0.0
    possible = float(positive.sum() + floor * (~positive).sum())
    if target >= possible:  # all that has a meaning is kept, and some of the rest
        rest = (target - positive.sum()) / max(int((~positive).sum()), 1)
        return np.where(positive, 1.0, rest)
    low, high = -800.0, 800.0  # of log K, relative to the mean term
    unit = terms / terms[positive].mean()
    for _ in range(200):
        middle = 0.5 * (low + high)
        with np.errstate(over="ignore"):
            total = np.clip(np.exp(middle) * unit, floor, 1.0).sum()
        low, high = (middle, high) if total < target else (low, middle)
    return np.asarray(np.clip(np.exp(0.5 * (low + high)) * unit, floor, 1.0))


def draw(probability: Floats, uniform: Floats, count: int | None = None) -> Mask:
    """Return which entries are kept.

    Parameters
    ----------
    probability
        float64 ``[m]``.
    uniform
        One uniform number each: permanent random numbers, so similar probabilities keep similar entries.
    count
        None draws independently. A number keeps exactly so many (Pareto sampling, Rosén 1997, J. Stat. Plan. Inference
        62, 159: ranks ``u (1 - p) / (p (1 - u))``); probabilities then hold up to the order of ``1 / m``.
    """
    if count is None:
        return np.asarray(uniform < probability)
    with np.errstate(divide="ignore", invalid="ignore"):
        rank = uniform * (1.0 - probability) / (probability * (1.0 - uniform))
    rank = np.where(probability >= 1.0, -1.0, np.where(probability <= 0.0, np.inf, rank))
    kept = np.zeros(len(rank), bool)
    kept[np.argsort(rank, kind="stable")[:count]] = True
    return kept


def noise_prune(
    a: Any,
    keep: float,
    *,
    rule: str = "noise",
    sigma: float = 1.0,
    c: Floats | None = None,
    diagonal: str | None = None,
    floor: float = 0.0,
    exact: bool = False,
    rescale: bool = True,
    seed: int = 0,
) -> NoisePruned:
    """Prune the off-diagonal entries of a linear network.

    Parameters
    ----------
    a
        ``A = W - D``, dense or sparse ``[n, n]``, ``a[i, j]`` from ``j`` to ``i``. A symmetric one stays symmetric.
    keep
        Share of the off-diagonal entries, above 0 and at most 1.
    rule
        ``"noise"``, or as controls ``"weight"`` (probability proportional to ``|w|``) and ``"uniform"``.
    sigma
        Strength of the noise; it cancels out.
    c
        The covariance, if it is known; by default from ``A`` (closed form if symmetric, else the Lyapunov equation).
    diagonal
        ``"original"`` keeps it; ``"row_sum"`` compensates each row, ``a_ii + sum |a_ij| - sum |a_ij'|``. By default
        ``"row_sum"`` if symmetric, else ``"original"``.
    floor
        Smallest probability.
    exact
        Keep exactly the share, in place of independent draws.
    rescale
        Divide what is kept by its probability.
    seed
        Of the draws.

    Raises
    ------
    InvalidValueError, UnknownNameError
        If a value cannot be used, or ``A`` is unstable.

    Examples
    --------
    >>> chain = np.diag([-2.1] * 6) + np.diag([1.0] * 5, 1) + np.diag([1.0] * 5, -1)
    >>> noise_prune(chain, 0.6, exact=True).kept
    6
    """
    if rule not in RULES:
        raise UnknownNameError("rule of noise_prune:", rule, RULES)
    if not 0.0 < keep <= 1.0:
        raise InvalidValueError(f"keep must be above 0 and at most 1, found {keep}")
    full = sparse.coo_array(a, dtype=np.float64)
    off = (full.row != full.col) & (full.data != 0.0)
    i, j, w = full.row[off], full.col[off], full.data[off]
    matrix = sparse.csr_array(full)
    symmetric = abs(matrix - matrix.T).max() <= 1e-12 * abs(matrix).max()
    diagonal = diagonal or ("row_sum" if symmetric else "original")
    if diagonal not in ("original", "row_sum"):
        raise UnknownNameError("diagonal of noise_prune:", diagonal, ("original", "row_sum"))
    entries = len(w)
    if symmetric:  # one draw for both directions
        i, j, w = i[i < j], j[i < j], w[i < j]
    terms = np.abs(w) if rule == "weight" else np.ones(len(w))
    if rule == "noise":
        c = covariance(matrix, sigma, "symmetric" if symmetric else "lyapunov") if c is None else c
        terms = noise_terms(w, c[i, i], c[j, j], c[i, j])
    p = scaled_to(terms, keep * len(w), floor)
    kept = draw(p, Stream(seed, "noise_prune").uniform(len(w)), round(keep * len(w)) if exact else None)
    values = np.where(kept, w / np.where(p > 0.0, p, 1.0) if rescale else w, 0.0)[kept]
    pruned = _assemble(i[kept], j[kept], values, matrix.shape, symmetric)
    before = matrix.diagonal()
    if diagonal == "row_sum":
        before = before + (abs(matrix).sum(axis=1) - abs(before)) - abs(pruned).sum(axis=1)
    total = sparse.csr_array(pruned + sparse.diags_array(before, dtype=np.float64))
    count = 2 * int(kept.sum()) if symmetric else int(kept.sum())
    return NoisePruned(total, _assemble(i, j, p, matrix.shape, symmetric), count, entries)


def _assemble(i: Any, j: Any, values: Floats, shape: tuple[int, ...], symmetric: bool) -> sparse.csr_array:
    half = sparse.coo_array((values, (i, j)), shape=shape)
    return sparse.csr_array(half + half.T) if symmetric else sparse.csr_array(half)


@dataclass(frozen=True)
class EigenErrors:
    """How a pruned matrix differs from its original in its modes.

    Parameters
    ----------
    median, largest
        Of ``|lambda' / lambda - 1|`` over all modes, matched in the order of their real parts.
    slow
        Its mean over the slowest modes.
    cosine
        Mean cosine between the original eigenvectors ``v`` and ``A' v``; NaN for matrices that are not symmetric.
    """

    median: float
    largest: float
    slow: float
    cosine: float


def eigen_errors(a: Any, pruned: Any, slow: int = 3) -> EigenErrors:
    """Compare the modes of a matrix and its pruned version.

    Parameters
    ----------
    a, pruned
        ``[n, n]``, dense or sparse.
    slow
        How many of the slowest modes count as slow.

    Examples
    --------
    >>> eigen_errors(np.diag([-1.0, -2.0]), np.diag([-1.1, -2.0]), slow=1).slow.__round__(3)
    0.1
    """
    x, y = (np.asarray(m.toarray() if sparse.issparse(m) else m, np.float64) for m in (a, pruned))
    cosine = float("nan")
    if np.allclose(x, x.T) and np.allclose(y, y.T):
        before, vectors = np.linalg.eigh(x)
        after = np.linalg.eigvalsh(y)
        image = y @ vectors
        lengths = np.maximum(np.linalg.norm(image, axis=0), 1e-300)
        cosine = float(np.abs(np.einsum("ij,ij->j", vectors, image) / lengths).mean())
        before, after = before[::-1], after[::-1]
    else:
        before, after = (v[np.lexsort((v.imag, -v.real))] for v in (np.linalg.eigvals(x), np.linalg.eigvals(y)))
    errors = np.abs(after / before - 1.0)
    return EigenErrors(float(np.median(errors)), float(errors.max()), float(errors[:slow].mean()), cosine)
