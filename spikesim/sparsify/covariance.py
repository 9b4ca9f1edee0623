"""Stationary covariance of a linear system driven by white noise: ``dx/dt = A x + sigma xi``.

It solves the Lyapunov equation ``A C + C A^T + sigma^2 Id = 0``. For a symmetric ``A`` that is ``-sigma^2 A^-1 /
2``, for a normal one ``-sigma^2 (A + A^T)^-1``. A simulation gives single entries for systems too large for either.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigs

from spikesim.errors import InvalidValueError, UnknownNameError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
METHODS = ("lyapunov", "symmetric", "normal")
DENSE = 1500  # neurons up to which all eigenvalues are computed
STEP = 0.2  # of the simulation, in units of the fastest leak
REPLICAS = 32


class Sampled(NamedTuple):
    """Entries of a covariance from a simulation, with standard errors relative to the mean variance."""

    variance: Floats
    """``C_ii``, float64 ``[n]``."""
    pairs: Floats
    """``C_ij`` of the pairs asked for."""
    error: float
    """Standard error of a variance over the variance, averaged over the neurons."""


def covariance(a: Any, sigma: float = 1.0, method: str = "lyapunov") -> Floats:
    """Return the stationary covariance of ``dx/dt = A x + sigma xi``.

    Parameters
    ----------
    a
        float64 ``[n, n]``, dense or sparse, in 1/s; all eigenvalues left of 0.
    sigma
        Strength of the noise.
    method
        ``"lyapunov"`` for any matrix (Bartels and Stewart 1972), or the closed forms ``"symmetric"`` and ``"normal"``.

    Raises
    ------
    InvalidValueError
        If the system is unstable (it has no stationary covariance), or the closed form does not hold for it.

    Examples
    --------
    >>> covariance([[-1.0, 0.5], [0.5, -1.0]], method="symmetric").round(4).tolist()
    [[0.6667, 0.3333], [0.3333, 0.6667]]
    """
    if method not in METHODS:
        raise UnknownNameError("method of the covariance:", method, METHODS)
    full = _dense(a)
    rate = float(leading(full, 1).real[0])
    if rate >= 0.0:
        raise InvalidValueError(
            f"the linear system is unstable (largest real part {rate:.3g}), so it has no stationary covariance; "
            "subtract more than that from the diagonal, or scale the weights down"
        )
    if method == "lyapunov":
        found = linalg.solve_continuous_lyapunov(full, -(sigma**2) * np.eye(len(full)))
        return np.asarray((found + found.T) / 2)
    scale = np.abs(full).max()
    if method == "symmetric" and np.abs(full - full.T).max() > 1e-9 * scale:
        raise InvalidValueError("method 'symmetric' needs A = A^T, found a matrix that is not; take 'lyapunov'")
    if method == "normal" and np.abs(full @ full.T - full.T @ full).max() > 1e-9 * scale**2:
        raise InvalidValueError("method 'normal' needs A A^T = A^T A, found a matrix that is not; take 'lyapunov'")
    return np.asarray(-(sigma**2) * linalg.inv(full + full.T))


def _dense(a: Any) -> Floats:
    full = np.asarray(a.toarray() if sparse.issparse(a) else a, np.float64)
    if full.ndim != 2 or full.shape[0] != full.shape[1] or not np.isfinite(full).all():
        raise InvalidValueError(f"A must be a finite square matrix, found the shape {list(full.shape)}")
    return full


def simulated_covariance(
    a: Any, pre: Ints, post: Ints, *, sigma: float = 1.0, samples: int = 40, seed: int = 0
) -> Sampled:
    """Estimate entries of the stationary covariance from a simulation, with sparse products only.

    32 replicas are integrated by a scheme of second order for additive noise, ``x' = (1 + hA + h^2 A^2 / 2) x +
    (1 + hA / 2) dW``, whose stationary covariance differs from the exact one by the order of ``h^2`` (below 1 % here).

    Parameters
    ----------
    a
        Sparse or dense ``[n, n]``, stable.
    pre, post
        Pairs whose covariance is wanted, int64 ``[m]``.
    sigma
        Strength of the noise.
    samples
        Times at which the replicas are averaged, one mean leak apart.
    seed
        Of the noise.
    """
    matrix = sparse.csr_array(a)
    n, leak = matrix.shape[0], np.abs(matrix.diagonal())
    h = STEP / leak.max()
    slowest = max(-float(leading(matrix, 1).real[0]), 0.01 * leak.mean())
    rng = np.random.default_rng(seed)
    x = sigma / np.sqrt(2.0 * leak)[:, None] * rng.standard_normal((n, REPLICAS))
    apart = max(1, round(1.0 / (leak.mean() * h)))
    settle = round(3.0 / (slowest * h))
    variance, squares, pairs = np.zeros(n), np.zeros((n, REPLICAS)), np.zeros(len(pre))
    for k in range(settle + apart * samples):
        noise = sigma * np.sqrt(h) * rng.standard_normal(x.shape)
        slope = matrix @ x
        x = x + h * (slope + 0.5 * (matrix @ (h * slope + noise))) + noise
        if k >= settle and (k - settle) % apart == 0:
            squares += x * x
            variance += (x * x).mean(axis=1)
            for first in range(0, len(pre), 1 << 16):
                part = slice(first, first + (1 << 16))
                pairs[part] += np.einsum("ij,ij->i", x[pre[part]], x[post[part]]) / REPLICAS
    spread = (squares / samples).std(axis=1, ddof=1) / np.sqrt(REPLICAS)
    return Sampled(variance / samples, pairs / samples, float((spread / (variance / samples)).mean()))


def leading(a: Any, k: int) -> NDArray[np.complex128]:
    """Return the ``k`` eigenvalues of largest real part, largest first; all that there are if ``k`` is larger.

    Dense up to 1500 rows, by Arnoldi iteration beyond (ARPACK), which converges to what it can.
    """
    n = a.shape[0]
    if n <= DENSE:
        values = np.linalg.eigvals(a.toarray() if sparse.issparse(a) else np.asarray(a, np.float64))
    else:
        start = np.random.default_rng(0).standard_normal(n)
        try:
            values = eigs(
                sparse.csr_array(a), k=min(k, n - 2), which="LR", v0=start, ncv=min(n, max(4 * k, 60)), tol=1e-4,
                maxiter=600, return_eigenvectors=False,
            )  # fmt: skip
        except ArpackNoConvergence as error:
            if not len(error.eigenvalues):
                raise InvalidValueError("the leading eigenvalues of the linear system do not converge") from None
            values = error.eigenvalues
        except ArpackError as error:
            raise InvalidValueError(f"the leading eigenvalues cannot be found: {error}") from None
    order = np.argsort(-values.real, kind="stable")
    return np.asarray(values[order][:k], np.complex128)
