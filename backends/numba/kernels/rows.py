"""Synapses as lists: row = source; a spike or a value adds its row to the accumulators of a tile of targets.

Targets are 16 bits, counted from the first of the tile, so a tile has at most 65536. What is summed is exact (integers
or multiples of the port's grid), so the order does not matter. The tables are larger than the caches; the kernels ask
for the rows of the next sources while they add one. Unrolling and integer accumulators were tried and gain nothing.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import numpy as np
from numba import njit

from spikesim.backends.numba.kernels.vector import prefetch


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_rows16(counts, indptr, targets, ids, n):
    """Count the arrivals from `n` sources.

    Parameters
    ----------
    counts
        uint8[m], one counter per target. No counter may pass 255.
    indptr
        uint32[sources + 1], where each row begins.
    targets
        uint16[synapses], all below m; a target may stand in a row more than once.
    ids
        int32, the first `n` entries are the sources.
    n
        Number of sources.
    """
    for i in range(n):
        if i + 2 < n:
            prefetch(targets, np.int64(indptr[ids[i + 2]]))
        for e in range(np.int64(indptr[ids[i]]), np.int64(indptr[ids[i] + 1])):
            counts[targets[e]] += 1


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_segments(sums, cells, first, delays, k, last, targets, weights, ids, n):
    """Add the synapses of some neighbouring delays of `n` sources, each delay to sums of its own.

    Parameters
    ----------
    sums
        float64[(last - k + 1) * cells], one per delay and target, in units of the weights.
    cells
        Sums of one delay.
    first
        uint32[sources * delays + 1]: the synapses of source s and delay number d are
        ``first[s * delays + d] ... first[s * delays + d + 1] - 1``.
    delays
        Number of delays of the table.
    k, last
        Numbers of the first and the last delay to add.
    targets
        uint16[synapses], all below `cells`.
    weights
        int32[synapses] in grid units, or float64[synapses].
    ids
        int32, the first `n` entries are the sources.
    n
        Number of sources.
    """
    for i in range(n):
        if i + 4 < n:
            prefetch(first, ids[i + 4] * np.int64(delays) + k)
        if i + 2 < n:
            start = np.int64(first[ids[i + 2] * np.int64(delays) + k])
            prefetch(targets, start)
            prefetch(weights, start)
            prefetch(weights, start + 16)
        s = ids[i] * np.int64(delays)
        for d in range(k, last + 1):  # one run of memory
            at = (d - k) * cells
            for e in range(np.int64(first[s + d]), np.int64(first[s + d + 1])):
                sums[at + targets[e]] += weights[e]


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_segments_values(sums, cells, first, delays, k, last, targets, weights, ids, values, n):
    """Add weight times value over the synapses of some neighbouring delays of `n` sources; see :func:`add_segments`.

    Parameters
    ----------
    sums, cells, first, delays, k, last, targets, weights, ids, n
        See :func:`add_segments`.
    values
        float64, the first `n` entries are the values of the sources in `ids`.
    """
    for i in range(n):
        if i + 4 < n:
            prefetch(first, ids[i + 4] * np.int64(delays) + k)
        if i + 2 < n:
            start = np.int64(first[ids[i + 2] * np.int64(delays) + k])
            prefetch(targets, start)
            prefetch(weights, start)
            prefetch(weights, start + 16)
        s, value = ids[i] * np.int64(delays), values[i]
        for d in range(k, last + 1):
            at = (d - k) * cells
            for e in range(np.int64(first[s + d]), np.int64(first[s + d + 1])):
                sums[at + targets[e]] += weights[e] * value
