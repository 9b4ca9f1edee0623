"""The emulator's inner loops that add the weights of sources that spike to the sums under way."""

# The types of a kernel are found by numba when it is called.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import numba
import numpy as np

from spikesim.backends.loihi.tables import GROUP, LANES, LENGTH, ORIGIN, PLACE
from spikesim.backends.loihi.vector import add_regular_rows, add_rows, ask
from spikesim.equations.scoped import load, store

AHEAD = 2  # rows of synapses that are on their way from memory while one is added

# What is called once a column from one place: passing tuples of arrays costs more than some of them do.
inline = numba.njit(nogil=True, cache=True, error_model="numpy", _nrt=False, forceinline=True)


@inline
def _deliver_dense(dense, sources, bounds, ring, base):
    """Add, for every dense projection, the rows of the sources that spike: they stand together in `sources`."""
    size = ring.size - LANES
    for d in range(dense.table.shape[0]):
        group, length, origin = dense.table[d, GROUP], dense.table[d, LENGTH], dense.table[d, ORIGIN]
        first = bounds[group]
        n = bounds[group + 1] - first
        if n == 0:
            continue
        place = base + dense.table[d, PLACE]
        place -= size if place >= size else 0
        k = 0
        while k + 8 * LANES <= length:
            add_regular_rows(ring, place + k, dense.weight, origin + k, length, sources, first, n, 8)
            k += 8 * LANES
        while k < length:
            add_regular_rows(ring, place + k, dense.weight, origin + k, length, sources, first, n, 1)
            k += LANES


@inline
def _deliver(direct, sources, n_sources, ring, base):
    """Add the weights of some sources to the sums under way."""
    size = ring.size - LANES
    for j in range(n_sources):
        if j + AHEAD < n_sources:
            later = np.int64(load(sources, j + AHEAD, 1, 2))
            for k in range(load(direct.indptr, later, 1, 2), load(direct.indptr, later + 1, 1, 2), 16):
                ask(direct.place, k)
                ask(direct.weight, k)
        source = np.int64(load(sources, j, 1, 2))
        for k in range(load(direct.indptr, source, 1, 2), load(direct.indptr, source + 1, 1, 2)):
            place = base + load(direct.place, k, 1, 2)
            place -= size if place >= size else 0
            store(ring, place, np.int32(load(ring, place, 0, 2) + load(direct.weight, k, 1, 2)), 0, 2)


@inline
def _deliver_runs(runs, sources, n_sources, ring, base, rows, n_rows, busy):
    """Do the same for runs: list the rows of each block, then add up the rows of a block and add them at once."""
    n_busy = 0
    for j in range(n_sources):
        source = np.int64(load(sources, j, 0, 1))
        for r in range(load(runs.indptr, source, 0, 1), load(runs.indptr, source + 1, 0, 1)):
            b = np.int64(load(runs.block, r, 0, 1))
            n = np.int64(load(n_rows, b, 0, 1))
            store(rows, load(runs.room, b, 0, 1) + n, load(runs.begin, r, 0, 1), 0, 1)
            store(n_rows, b, np.int32(n + 1), 0, 1)
            if n == 0:
                busy[n_busy] = b
                n_busy += 1
    size = ring.size - LANES
    for j in range(n_busy):
        b = busy[j]
        place = base + runs.place[b]
        place -= size if place >= size else 0
        length, first, n = np.int64(runs.length[b]), runs.room[b], np.int64(n_rows[b])
        k = 0
        while k + 4 * LANES <= length:
            add_rows(ring, place + k, runs.weight, k, rows, first, n, 4)
            k += 4 * LANES
        while k < length:
            add_rows(ring, place + k, runs.weight, k, rows, first, n, 1)
            k += LANES
        n_rows[b] = 0


@inline
def _deliver_binned(binned, bins, sources, n_sources, ring, base, sums, touched, seen):
    """Do the same where sums are shifted right, rounding down, before they are added to those under way."""
    n_touched = 0
    for j in range(n_sources):
        for k in range(binned.indptr[sources[j]], binned.indptr[sources[j] + 1]):
            b = binned.place[k]
            sums[b] += binned.weight[k]
            if not seen[b]:
                seen[b] = 1
                touched[n_touched] = b
                n_touched += 1
    size = ring.size - LANES
    for j in range(n_touched):
        b = touched[j]
        place = base + bins.place[b]
        ring[place - size if place >= size else place] += sums[b] >> bins.shift[b]
        sums[b] = 0
        seen[b] = 0


@inline
def deliver_all(dense, direct, runs, binned, bins, scratch, n_out, ring, base):
    """Add what the sources that spike, `n_out` of them in `scratch.out`, bring to the column at `base`."""
    out = scratch.out
    _deliver_dense(dense, out, scratch.bounds, ring, base)
    if direct.place.size:
        _deliver(direct, out, n_out, ring, base)
    if runs.place.size:
        _deliver_runs(runs, out, n_out, ring, base, scratch.rows, scratch.n_rows, scratch.busy)
    if bins.place.size:
        _deliver_binned(binned, bins, out, n_out, ring, base, scratch.sums, scratch.touched, scratch.seen)
