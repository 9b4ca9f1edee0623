"""Step 3 of Lyapunov noise pruning: a few edges that spread localised eigenvectors.

A mode that lives on a handful of neurons reacts to changes there alone. The inverse participation ratio of a vector of
length 1, ``IPR = sum |v_i|^4``, is about 1/n if it is spread and 1 if it sits on one neuron. The paper says that edges
are added within neighbourhoods so that degrees there differ most; what follows from that here is a reconstruction: for
a neuron ``v`` on which a localised mode lives, the new source is the neighbour of a neighbour whose degree differs
most from the mean of ``v``'s neighbours, and edges stay only if the mean IPR falls and the largest exponent does not
rise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import ArpackError, eigs

Floats = NDArray[np.float64]
DENSE = 600  # rows up to which all eigenvectors are looked at
MODES = 24  # leading ones beyond
BATCHES = 8

Weigh = Callable[[int, int], "float | None"]


class Modes(NamedTuple):
    """Localisation of the eigenvectors of a matrix."""

    ipr: Floats
    """Inverse participation ratio of each, float64 ``[k]``."""
    place: Floats
    """``|v_i|^2``, float64 ``[n, k]``."""
    rate: float
    """Largest real part of an eigenvalue."""


def modes(a: Any) -> Modes:
    """Return how localised the modes of a matrix are: all up to 600 rows, the 24 leading ones beyond.

    Parameters
    ----------
    a
        Sparse or dense ``[n, n]``.
    """
    n = a.shape[0]
    if n <= DENSE:
        values, vectors = np.linalg.eig(a.toarray() if sparse.issparse(a) else a)
    else:
        start = np.random.default_rng(0).standard_normal(n)
        try:
            values, vectors = eigs(sparse.csr_array(a), k=MODES, which="LR", v0=start, ncv=96, tol=1e-3, maxiter=400)
        except ArpackError as error:  # what has converged will do
            values, vectors = (
                getattr(error, "eigenvalues", np.zeros(0)),
                getattr(error, "eigenvectors", np.zeros((n, 0))),
            )
    place = np.abs(vectors) ** 2
    place = place / np.maximum(place.sum(axis=0), 1e-300)
    return Modes((place**2).sum(axis=0), place, float(values.real.max(initial=-np.inf)))


class Added(NamedTuple):
    """Edges that were accepted, and the mean inverse participation ratio."""

    edges: list[tuple[int, int]]
    """``(source, target)``."""
    ipr_before: float
    ipr_after: float


def delocalise(a: Any, budget: int, weigh: Weigh) -> Added:
    """Add edges that lower the mean inverse participation ratio and do not raise the largest exponent.

    Parameters
    ----------
    a
        Sparse ``[n, n]``, ``a[i, j]`` from ``j`` to ``i``.
    budget
        At most so many edges.
    weigh
        ``weigh(source, target)``: entry of a new edge, or None if there must be none.

    Returns
    -------
    Added
    """
    matrix = sparse.csr_array(a)
    now = modes(matrix)
    first, edges = float(now.ipr.mean()) if now.ipr.size else 1.0, list[tuple[int, int]]()
    size, tried = max(1, budget // BATCHES), set[tuple[int, int]]()
    for _ in range(2 * BATCHES):
        room = min(size, budget - len(edges))
        if room <= 0 or not now.ipr.size:
            break
        batch = _candidates(matrix, now, room, weigh, tried)
        if not batch:
            break
        tried.update((z, v) for z, v, _ in batch)
        z, v, w = (np.array(column) for column in zip(*batch, strict=True))
        larger = sparse.csr_array(matrix + sparse.coo_array((w, (v, z)), shape=matrix.shape))
        after = modes(larger)
        if after.ipr.size and after.ipr.mean() < now.ipr.mean() and after.rate <= now.rate:
            matrix, now = larger, after
            edges += [(int(x), int(y)) for x, y, _ in batch]
        else:
            size = max(1, size // 2)
    return Added(edges, first, float(now.ipr.mean()) if now.ipr.size else first)


def _candidates(
    matrix: Any, now: Modes, room: int, weigh: Weigh, tried: set[tuple[int, int]]
) -> list[tuple[int, int, float]]:
    """Return one new source each for the neurons on which the most localised modes live."""
    around = sparse.csr_array((matrix != 0) + (matrix != 0).T)
    around.setdiag(False)
    around.eliminate_zeros()
    degree = np.diff(around.indptr)
    weights = now.ipr * (now.ipr >= np.quantile(now.ipr, 0.75))
    order = np.argsort(-(now.place @ weights), kind="stable")
    found: list[tuple[int, int, float]] = []
    for v in order[: 4 * room]:
        near = around.indices[around.indptr[v] : around.indptr[v + 1]]
        if near.size == 0:
            continue
        second = np.unique(np.concatenate([around.indices[around.indptr[u] : around.indptr[u + 1]] for u in near]))
        far = np.setdiff1d(second, np.append(near, v), assume_unique=True)
        for z in far[np.argsort(-np.abs(degree[far] - degree[near].mean()), kind="stable")][:20]:
            weight = None if (int(z), int(v)) in tried else weigh(int(z), int(v))
            if weight is not None:
                found.append((int(z), int(v), weight))
                break
        if len(found) == room:
            break
    return found
