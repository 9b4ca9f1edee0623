"""Gradual magnitude pruning: a cubic schedule, and the largest weights stay.

Reference: Zhu and Gupta, "To prune, or not to prune", 2017, arXiv 1710.01878. The last event comes at ``k = n``, so the
final sparsity is reached exactly; code that ends at ``n - 1`` misses it by ``(S_f - S_i) / n^3``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def cubic_sparsity(k: int, n: int, start: float, end: float) -> float:
    """Return the sparsity after event ``k`` of ``n``: ``end + (start - end) (1 - k / n)^3``.

    >>> [round(cubic_sparsity(k, 4, 0.0, 0.8), 6) for k in (0, 2, 4, 9)]
    [0.0, 0.7, 0.8, 0.8]
    """
    left = max(1.0 - k / n, 0.0)
    return end + (start - end) * left**3


def surviving(total: int, sparsity: float) -> int:
    """Return how many of so many weights are left: ``round((1 - sparsity) total)``.

    >>> surviving(1000, 0.9)
    100
    """
    return round((1.0 - sparsity) * total)


def keep_largest(
    weights: Mapping[str, Floats],
    masks: Mapping[str, Mask],
    sparsity: float,
    generator: np.random.Generator,
    scope: str = "global",
) -> dict[str, Mask]:
    """Return masks that keep the largest weights, exactly as many as the sparsity says.

    Ties are broken at random. What a mask leaves out already never comes back, also if that leaves fewer.

    Parameters
    ----------
    weights, masks
        By name, any shape, and bool of that shape.
    sparsity
        Share of all entries that are to be 0.
    generator
        Breaks ties.
    scope
        ``"global"`` compares weights of all matrices; ``"uniform"`` prunes each matrix to the same sparsity.

    Examples
    --------
    >>> weights = {"a": np.array([[0.1, -3.0], [2.0, 0.0]])}
    >>> masks = {"a": np.array([[True, True], [False, True]])}
    >>> keep_largest(weights, masks, 0.5, np.random.default_rng(0))["a"].tolist()
    [[True, True], [False, False]]
    """
    if scope == "uniform":
        return {
            name: keep_largest({name: w}, {name: masks[name]}, sparsity, generator)[name] for name, w in weights.items()
        }
    if scope != "global":
        raise InvalidValueError(f"scope must be 'global' or 'uniform', found {scope!r}")
    flat = np.concatenate([np.abs(w).ravel() for w in weights.values()])
    there = np.concatenate([masks[name].ravel() for name in weights])
    kept = np.zeros(len(flat), bool)
    kept[largest(np.where(there, flat, -np.inf), surviving(len(flat), sparsity), generator)] = True
    kept &= there
    ends = np.cumsum([w.size for w in weights.values()])[:-1]
    parts = zip(weights, np.split(kept, ends), strict=True)
    return {name: part.reshape(weights[name].shape) for name, part in parts}


def largest(score: Floats, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the places of the ``count`` largest scores, ``[n]``; equal ones are drawn at random."""
    if count <= 0:
        return np.zeros(0, np.int64)
    order = np.lexsort((generator.random(len(score)), -score))
    return np.asarray(order[:count], np.int64)
