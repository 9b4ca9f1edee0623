import numpy as np
from numba import njit


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_rows16(counts, indptr, targets, ids, n):
    for i in range(n):
        for k in range(indptr[ids[i]], indptr[ids[i] + 1]):
            counts[targets[k]] += np.uint8(1)


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_segments(sums, first, delays, k, targets, weights, ids, n):
    for i in range(n):
        at = ids[i] * delays + k
        for q in range(first[at], first[at + 1]):
            sums[targets[q]] += weights[q]


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_segment_values(sums, first, delays, k, targets, weights, ids, values, n):
    for i in range(n):
        at = ids[i] * delays + k
        v = values[i]
        for q in range(first[at], first[at + 1]):
            sums[targets[q]] += weights[q] * v
