"""The emulator's inner loops: integers only, one sample at a time, without the interpreter lock.

The equations are those of lava-nc 0.10.0 (``PyLifModelBitAcc``, ``PyDenseModelBitAcc``, ``PyDelayDenseModelBitAcc``;
tag ``fixed_pt``), which follow Loihi (Davies et al. 2018). Lava computes in 32 bit, and so does this: sums are taken
modulo 2^32 where Lava's are. That matters only beyond the 24 bit of the registers.
"""

# The types of a kernel are found by numba when it is called.
# mypy: disable-error-code="no-untyped-def,assignment"

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

DECAY_BITS = 12
INPUT_SHIFT = 6
MAX_STATE = 1 << 23

HARD, SOFT, NONE = 0, 1, 2

I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


class Neurons(NamedTuple):
    """Parameters, one value a neuron; and one row (first, last, reset kind, interval, offset) a population."""

    keep_u: I64
    keep_v: I64
    threshold: I32
    quantum: I32
    bias: I32
    populations: I64


class Synapses(NamedTuple):
    """Synapses by source: what to add, and where, counted from the first neuron of the next column's slot."""

    indptr: I64
    place: I32
    weight: I16


class Runs(NamedTuple):
    """Synapses by source whose places follow each other, as all-to-all connections have them: a run a row."""

    indptr: I64
    place: I32
    begin: I64
    length: I32
    weight: I16


class Bins(NamedTuple):
    """Sums that have to be complete before they are shifted right: one bin a projection, delay and target."""

    place: I32
    shift: U8


class State(NamedTuple):
    """State of one sample: current, voltage, and the ring of arriving sums, flat (slots * neurons)."""

    u: I32
    v: I32
    ring: I32


class Stimulus(NamedTuple):
    """Input spikes sorted by column, sources numbered after the neurons; and direct currents, (steps, targets)."""

    column: I32
    source: I32
    drive: I32
    drive_target: I32


class Counters(NamedTuple):
    """Spikes of each source; one row (active, wraps, clips) a population."""

    fired: I64
    updates: I64


class Traces(NamedTuple):
    """What to copy out: spikes of the marked neurons, and u and v of the listed neurons in every `stride`-th column."""

    record: U8
    spike_column: I32
    spike_neuron: I32
    u_neuron: I32
    v_neuron: I32
    u: I32
    v: I32


@numba.njit(nogil=True, cache=True, inline="always")
def _decayed(x, keep):
    """Multiply by keep / 4096 and round towards zero."""
    product = np.int64(x) * keep
    return product >> DECAY_BITS if product >= 0 else -((-product) >> DECAY_BITS)


@numba.njit(nogil=True, cache=True)
def _update(neurons, first, last, reset, state, slot, updates, out, n_out):
    """Advance one population by one column; append the neurons that spike to `out` and return its new length."""
    active = wraps = clips = 0
    for i in range(first, last):
        a = state.ring[slot + i]
        state.ring[slot + i] = 0
        u = np.int64(np.int32(_decayed(state.u[i], neurons.keep_u[i]) + (np.int64(a) << INPUT_SHIFT)))
        if u > MAX_STATE:
            u -= 2 * MAX_STATE
            wraps += 1
        elif u <= -MAX_STATE:
            u += 2 * MAX_STATE
            wraps += 1
        state.u[i] = u
        v = np.int64(np.int32(_decayed(state.v[i], neurons.keep_v[i]) + u + neurons.bias[i]))
        if v > MAX_STATE - 1:
            v = MAX_STATE - 1
            clips += 1
        elif v < 1 - MAX_STATE:
            v = 1 - MAX_STATE
            clips += 1
        spike = v > neurons.threshold[i]
        if spike:
            out[n_out] = i
            n_out += 1
            if reset == HARD:
                v = 0
            elif reset == SOFT:
                v -= neurons.quantum[i]
        state.v[i] = v
        active += a != 0 or spike
    updates[0] += active
    updates[1] += wraps
    updates[2] += clips
    return n_out


@numba.njit(nogil=True, cache=True)
def _deliver(synapses, source, ring, base):
    """Add the weights of one source to the sums under way."""
    size = ring.size
    for k in range(synapses.indptr[source], synapses.indptr[source + 1]):
        place = base + synapses.place[k]
        if place >= size:
            place -= size
        ring[place] += synapses.weight[k]


@numba.njit(nogil=True, cache=True)
def _deliver_runs(runs, source, ring, base):
    """Do the same for weights that are added to neighbours; slices let the compiler use vector instructions."""
    for r in range(runs.indptr[source], runs.indptr[source + 1]):
        place = base + runs.place[r]
        if place >= ring.size:
            place -= ring.size
        sums = ring[place : place + runs.length[r]]
        weights = runs.weight[runs.begin[r] : runs.begin[r] + runs.length[r]]
        for k in range(weights.size):
            sums[k] += weights[k]


@numba.njit(nogil=True, cache=True)
def _collect(synapses, source, sums, touched, n_touched, seen):
    """Add the weights of one source to the bins; return the number of bins touched so far in this column."""
    for k in range(synapses.indptr[source], synapses.indptr[source + 1]):
        b = synapses.place[k]
        sums[b] += synapses.weight[k]
        if not seen[b]:
            seen[b] = 1
            touched[n_touched] = b
            n_touched += 1
    return n_touched


@numba.njit(nogil=True, cache=True)
def _flush(bins, sums, touched, n_touched, seen, ring, base):
    """Shift the complete sums right, rounding down, and add them to the sums under way."""
    for j in range(n_touched):
        b = touched[j]
        place = base + bins.place[b]
        if place >= ring.size:
            place -= ring.size
        ring[place] += sums[b] >> bins.shift[b]
        sums[b] = 0
        seen[b] = 0


@numba.njit(nogil=True, cache=True)
def _update_all(neurons, state, column, slot, counters, out):
    """Advance every population by one column; return the number of spikes in `out`."""
    n_out = 0
    for p in range(neurons.populations.shape[0]):
        first, last, reset, interval, offset = neurons.populations[p]
        # Lava's LIFReset counts time steps from 1.
        if interval > 0 and (column + 1) % interval == offset % interval:
            state.u[first:last] = 0
            state.v[first:last] = 0
        n_out = _update(neurons, first, last, reset, state, slot, counters.updates[p], out, n_out)
    return n_out


@numba.njit(nogil=True, cache=True)
def _trace(traces, state, row):
    """Copy the recorded currents and voltages."""
    for j in range(traces.u_neuron.size):
        traces.u[row, j] = state.u[traces.u_neuron[j]]
    for j in range(traces.v_neuron.size):
        traces.v[row, j] = state.v[traces.v_neuron[j]]


@numba.njit(nogil=True, cache=True)
def advance(
    neurons, direct, runs, binned, bins, state, stimulus, counters, traces, stride, first_column, progress, steps
):
    """Run one sample up to column ``first_column + steps``.

    Stops early when the room for spikes could run out, so that the caller can empty it and call again.

    Parameters
    ----------
    neurons, direct, runs, binned, bins, state, stimulus, counters, traces
        The tuples of this module. `direct` and `runs` are the synapses that can be added at once, `binned` those of
        projections with a negative exponent.
    stride
        u and v are traced in the columns that it divides.
    first_column
        The first column of the whole run.
    progress
        int64, shape (3,): steps done, input events consumed, rows of u and v written. Updated in place.
    steps
        Length of the whole run.

    Returns
    -------
    int
        Spikes written by this call.
    """
    n = neurons.keep_u.size
    slots = state.ring.size // n
    spiking = np.empty(n, np.int32)
    sums = np.zeros(bins.place.size, np.int64)
    touched = np.empty(bins.place.size, np.int32)
    seen = np.zeros(bins.place.size, np.uint8)
    n_spikes = 0
    while progress[0] < steps and traces.spike_column.size - n_spikes >= n:
        column = first_column + progress[0]
        slot = (column % slots) * n
        # Without delays this is the same slot: every sum of this column is read before the first one of the next.
        base = ((column + 1) % slots) * n
        for j in range(stimulus.drive_target.size):
            state.ring[slot + stimulus.drive_target[j]] += stimulus.drive[progress[0], j]
        n_out = _update_all(neurons, state, column, slot, counters, spiking)

        n_touched = 0
        for j in range(n_out):
            source = spiking[j]
            counters.fired[source] += 1
            _deliver(direct, source, state.ring, base)
            _deliver_runs(runs, source, state.ring, base)
            n_touched = _collect(binned, source, sums, touched, n_touched, seen)
            if traces.record[source]:
                traces.spike_column[n_spikes] = column
                traces.spike_neuron[n_spikes] = source
                n_spikes += 1
        event = progress[1]
        while event < stimulus.column.size and stimulus.column[event] == column:
            source = stimulus.source[event]
            counters.fired[source] += 1
            _deliver(direct, source, state.ring, base)
            _deliver_runs(runs, source, state.ring, base)
            n_touched = _collect(binned, source, sums, touched, n_touched, seen)
            event += 1
        progress[1] = event
        _flush(bins, sums, touched, n_touched, seen, state.ring, base)

        if column % stride == 0:
            _trace(traces, state, progress[2])
            progress[2] += 1
        progress[0] += 1
    return n_spikes
