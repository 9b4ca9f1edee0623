"""Time constants that differ from neuron to neuron, gathered in a few values: who shares one is chosen by least error.

Error is what rounding changes of the fraction that current and voltage keep in a step, squared, summed over neurons.
Along one axis the best gathering consists of intervals and is found exactly by dynamic programming (Fisher, "On
grouping for maximum homogeneity", J. Am. Stat. Assoc. 53:789, 1958); in the plane by k-means from intervals along the
main axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ITERATIONS = 100


def gather(points: Floats, k: int) -> Ints:
    """Say which of at most ``k`` groups each point belongs to.

    Parameters
    ----------
    points
        ``[n, d]``, on a grid that is fine beside their differences: equal points are counted, not repeated.
    k
        How many groups.

    Returns
    -------
    ndarray
        int64 ``[n]``, from 0.

    Examples
    --------
    >>> gather(np.array([[0.9], [0.5], [0.91], [0.52], [0.5]]), 2).tolist()
    [1, 0, 1, 0, 0]
    """
    unique, which, weights = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    which = which.reshape(-1)
    if len(unique) <= k:
        return np.asarray(which, np.int64)
    spread = np.ptp(unique, axis=0) > 0.0
    labels = _along_a_line(unique[:, spread][:, 0], weights, k) if spread.sum() == 1 else _plane(unique, weights, k)
    _, dense = np.unique(labels, return_inverse=True)
    return np.asarray(dense.reshape(-1)[which], np.int64)


def _along_a_line(x: Floats, weights: Ints, k: int) -> Ints:
    """Return the exact least-squares intervals of sorted or unsorted numbers."""
    order = np.argsort(x, kind="stable")
    x, w = x[order], weights[order].astype(np.float64)
    x = x - x.mean()  # sums of squares lose fewer bits near 0
    sums = [np.concatenate([[0.0], np.cumsum(w * x**power)]) for power in (0, 1, 2)]
    m = len(x)
    best = np.full(m + 1, np.inf)
    best[0] = 0.0
    begins = np.zeros((k, m + 1), np.int64)
    for group in range(k):
        last, best = best, np.full(m + 1, np.inf)
        for end in range(group + 1, m + 1):
            begin = np.arange(group, end)
            cost = last[begin] + _spread(sums, begin, end)
            chosen = int(np.argmin(cost))
            best[end], begins[group, end] = cost[chosen], begin[chosen]
    labels, end = np.zeros(m, np.int64), m
    for group in range(k - 1, -1, -1):
        begin = begins[group, end]
        labels[begin:end], end = group, begin
    found = np.empty(m, np.int64)
    found[order] = labels
    return found


def _spread(sums: list[Floats], begin: Any, end: int) -> Floats:
    """Return the squared deviations from the mean within ``[begin, end)``."""
    w, x, square = (s[end] - s[begin] for s in sums)
    return np.asarray(np.maximum(square - x**2 / w, 0.0))


def _plane(points: Floats, weights: Ints, k: int) -> Ints:
    """Return k-means groups: a local optimum that begins with the best intervals along the main axis."""
    w = weights[:, None].astype(np.float64)
    centred = points - (points * w).sum(0) / w.sum()
    axis = np.linalg.eigh((centred * w).T @ centred)[1][:, -1]
    labels = _along_a_line(centred @ axis, weights, k)
    for _ in range(ITERATIONS):
        centres = np.stack([(points[labels == g] * w[labels == g]).sum(0) / w[labels == g].sum() for g in set(labels)])
        moved = np.argmin(((points[:, None] - centres[None]) ** 2).sum(2), axis=1)
        if (moved == labels).all():
            break
        labels = moved
    return np.asarray(labels, np.int64)
