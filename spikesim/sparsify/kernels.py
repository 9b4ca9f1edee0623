# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
"""Compiled: shortest paths of betweenness centrality, and sums over the neighbours of both ends of an edge."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def dependencies(indptr, indices, sources, total, squares):
    """Add each source's dependencies (Brandes 2001) and their squares to `total[n]` and `squares[n]`."""
    n = len(indptr) - 1
    distance = np.full(n, -1, np.int32)
    paths, share, order = np.zeros(n), np.zeros(n), np.zeros(n, np.int64)
    for k in range(len(sources)):
        source = sources[k]
        order[0], distance[source], paths[source] = source, 0, 1.0
        found, at = 1, 0
        while at < found:
            v = order[at]
            at += 1
            for e in range(indptr[v], indptr[v + 1]):
                w = indices[e]
                if distance[w] < 0:
                    distance[w] = distance[v] + 1
                    order[found] = w
                    found += 1
                if distance[w] == distance[v] + 1:
                    paths[w] += paths[v]
        for at in range(found - 1, -1, -1):
            v = order[at]
            for e in range(indptr[v], indptr[v + 1]):
                w = indices[e]
                if distance[w] == distance[v] + 1:
                    share[v] += paths[v] / paths[w] * (1.0 + share[w])
            if v != source:
                total[v] += share[v]
                squares[v] += share[v] * share[v]
        for at in range(found):
            v = order[at]
            distance[v], paths[v], share[v] = -1, 0.0, 0.0


@njit(cache=True, nogil=True)
def union_sums(indptr, indices, values, left, right, sums, sizes):
    """Sum `values[n]` over the neighbours of both ends of each edge, each once; rows are sorted, without repetition."""
    for e in range(len(left)):
        a, a_end = indptr[left[e]], indptr[left[e] + 1]
        b, b_end = indptr[right[e]], indptr[right[e] + 1]
        total, size = 0.0, 0
        while a < a_end or b < b_end:
            x = indices[a] if a < a_end else 2147483647
            y = indices[b] if b < b_end else 2147483647
            total += values[min(x, y)]
            size += 1
            if x <= y:
                a += 1
            if y <= x:
                b += 1
        sums[e], sizes[e] = total, size
