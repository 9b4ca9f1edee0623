"""The emulator's inner loops: integers only, one sample at a time, without the interpreter lock.

The equations are those of lava-nc 0.10.0 (``PyLifModelBitAcc``, ``PyDenseModelBitAcc``, ``PyDelayDenseModelBitAcc``;
tag ``fixed_pt``), which follow Loihi (Davies et al. 2018). Lava computes in 32 bit, and so does this: sums are taken
modulo 2^32 where Lava's are. That matters only beyond the 24 bit of the registers.

Neurons are advanced without a branch, so that the compiler takes 8 or 16 at a time, in blocks; spikes leave the loop as
bytes, which are looked for eight at a time. A block in which all states are 0 stays as it is until something arrives.
Every operation is cast to 32 bit, because numba computes in 64 and only half as many of those fit into a register.
"""

# The types of a kernel are found by numba when it is called.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, assignment"

from __future__ import annotations

import numba
import numpy as np

from spikesim.backends.loihi.delivery import deliver_all, inline
from spikesim.backends.loihi.tables import (
    BLOCK,
    FIRST,
    HARD,
    INTERVAL,
    KIND,
    LANES,
    LAST,
    OFFSET,
    RESET,
    SHARED,
)  # fmt: skip
from spikesim.backends.loihi.vector import as_bits, lowest_bit
from spikesim.equations.scoped import load, store

DECAY_BITS = 12
LOW_BITS = (1 << DECAY_BITS) - 1
INPUT_SHIFT = 6
MAX_STATE = 1 << 23

# Without reference counts: those of the arrays of all tuples took a microsecond a step.
_jit = numba.njit(nogil=True, cache=True, error_model="numpy", _nrt=False)


@inline
def _decayed(x, keep):
    """Return ``x * keep / 4096`` rounded towards zero, in 32 bits: the upper and the lower 12 bits apart."""
    low = np.int32((x & LOW_BITS) * keep) + ((x >> 31) & LOW_BITS)
    return np.int32(np.int32((x >> DECAY_BITS) * keep) + (np.int32(low) >> DECAY_BITS))


@inline
def _current(u, a, keep):
    """Return the new current before it is wrapped."""
    return np.int32(_decayed(u, keep) + np.int32(a << INPUT_SHIFT))


@inline
def _wrapped(u):
    """Take 2^24 off (or on) once where u has left (-2^23, 2^23]."""
    down = np.int32(2 * MAX_STATE) if u > MAX_STATE else np.int32(0)
    up = np.int32(2 * MAX_STATE) if u <= -MAX_STATE else np.int32(0)
    return np.int32(np.int32(u - down) + up)


@inline
def _voltage(v, u, keep, bias):
    """Return the new voltage before it is clipped."""
    return np.int32(np.int32(_decayed(v, keep) + u) + bias)


@inline
def _clipped(v):
    return np.int32(min(max(v, np.int32(1 - MAX_STATE)), np.int32(MAX_STATE - 1)))


@inline
def _shared_block(first, n, slot, keep_u, keep_v, bias, threshold, mask, quantum, state, fired, updates):
    """Advance neurons with the same parameters by one column; mark who spikes; return whether anyone does or lives."""
    active = wraps = clips = spikes = alive = np.int32(0)
    for i in range(n):
        a = load(state.ring, slot + first + i, 0, 4)
        store(state.ring, slot + first + i, np.int32(0), 0, 4)
        raw = _current(load(state.u, first + i, 1, 4), a, keep_u)
        u = _wrapped(raw)
        wraps = np.int32(wraps + (u != raw))
        store(state.u, first + i, u, 1, 4)
        raw = _voltage(load(state.v, first + i, 2, 4), u, keep_v, bias)
        v = _clipped(raw)
        clips = np.int32(clips + (v != raw))
        spike = v > threshold
        v = np.int32((v & mask) - quantum) if spike else v
        store(state.v, first + i, v, 2, 4)
        store(fired, i, np.uint8(spike), 3, 4)
        spikes = np.int32(spikes + spike)
        active = np.int32(active + ((a != 0) | spike))
        alive = np.int32(alive | u | v)
    updates[0] += active
    updates[1] += wraps
    updates[2] += clips
    return spikes, alive


@inline
def _own_block(first, n, slot, neurons, mask, state, fired, updates):
    """Do the same where neurons have parameters of their own; one that is refractory has its voltage held at 0."""
    active = wraps = clips = spikes = alive = np.int32(0)
    for i in range(n):
        a = load(state.ring, slot + first + i, 0, 6)
        store(state.ring, slot + first + i, np.int32(0), 0, 6)
        raw = _current(load(state.u, first + i, 1, 6), a, load(neurons.keep_u, first + i, 4, 6))
        u = _wrapped(raw)
        wraps = np.int32(wraps + (u != raw))
        store(state.u, first + i, u, 1, 6)
        bias = load(neurons.bias, first + i, 4, 6)
        wait = load(state.wait, first + i, 5, 6)
        raw = _voltage(load(state.v, first + i, 2, 6), u, load(neurons.keep_v, first + i, 4, 6), bias)
        v = _clipped(raw)
        clips = np.int32(clips + ((v != raw) & (wait == 0)))
        v = v if wait == 0 else np.int32(0)
        spike = v > load(neurons.threshold, first + i, 4, 6)
        v = np.int32((v & mask) - load(neurons.quantum, first + i, 4, 6)) if spike else v
        store(state.v, first + i, v, 2, 6)
        wait = load(neurons.hold, first + i, 4, 6) if spike else np.int32(max(wait - 1, 0))
        store(state.wait, first + i, wait, 5, 6)
        store(fired, i, np.uint8(spike), 3, 6)
        spikes = np.int32(spikes + spike)
        active = np.int32(active + ((a != 0) | spike))
        alive = np.int32(alive | u | v | bias | wait)
    updates[0] += active
    updates[1] += wraps
    updates[2] += clips
    return spikes, alive


@inline
def _anything(values, first, n):
    """Tell whether a value differs from 0."""
    found = np.int32(0)
    for i in range(n):
        found = np.int32(found | load(values, first + i, 0, 1))
    return found != 0


@inline
def _append(scratch, n, first, n_out):
    """Append the neurons that are marked to `out` and return its new length."""
    for k in range(0, n, 64):
        word = as_bits(scratch.fired, k)
        if n - k < 64:  # marks of a longer block stand behind
            word &= (np.uint64(1) << np.uint64(n - k)) - np.uint64(1)
        while word != 0:
            scratch.out[n_out] = first + k + lowest_bit(word)
            word &= word - np.uint64(1)
            n_out += 1
    return n_out


@inline
def _update(neurons, p, state, slot, scratch, block, updates, n_out):
    """Advance population `p` by one column, block by block; append who spikes and return the new length of `out`."""
    populations, fired, resting = neurons.populations, scratch.fired, scratch.resting
    last, kind, hard = populations[p, LAST], populations[p, KIND], populations[p, RESET] == HARD
    mask = np.int32(0) if hard else np.int32(-1)
    start = populations[p, FIRST]
    keep_u, keep_v = neurons.keep_u[start], neurons.keep_v[start]
    bias, threshold, quantum = neurons.bias[start], neurons.threshold[start], neurons.quantum[start]
    for first in range(start, last, BLOCK):
        n = min(BLOCK, last - first)
        if not resting[block] or _anything(state.ring, slot + first, n):
            if kind == SHARED:
                spikes, alive = _shared_block(
                    first, n, slot, keep_u, keep_v, bias, threshold, mask, quantum, state, fired, updates
                )
                alive |= bias
            else:
                spikes, alive = _own_block(first, n, slot, neurons, mask, state, fired, updates)
            resting[block] = alive == 0
            if spikes:
                n_out = _append(scratch, n, first, n_out)
        block += 1
    return n_out, block


@inline
def _append_inputs(stimulus, column, n_populations, counters, scratch, n_out):
    """Append the sources of every input that spike in a column to `out`; return the new length."""
    for g in range(stimulus.next.size):
        first, event, end = stimulus.first[g], stimulus.next[g], stimulus.end[g]
        while event < end and load(stimulus.column, event, 0, 4) == column:
            source = first + load(stimulus.source, event, 1, 4)
            store(counters.fired, source, load(counters.fired, source, 2, 4) + 1, 2, 4)
            store(scratch.out, n_out, np.int32(source), 3, 4)
            n_out += 1
            event += 1
        stimulus.next[g] = event
        scratch.bounds[n_populations + g + 1] = n_out
    return n_out


@inline
def _update_all(neurons, state, column, slot, scratch, counters, traces):
    """Advance every population by one column, record its spikes, and return the number of spikes in `out`."""
    out = scratch.out
    n_out = block = 0
    for p in range(neurons.populations.shape[0]):
        first, last = neurons.populations[p, FIRST], neurons.populations[p, LAST]
        interval, offset = neurons.populations[p, INTERVAL], neurons.populations[p, OFFSET]
        # Lava's LIFReset counts time steps from 1.
        if interval > 0 and (column + 1) % interval == offset % interval:
            for i in range(first, last):
                state.u[i] = 0
                state.v[i] = 0
        before = n_out
        n_out, block = _update(neurons, p, state, slot, scratch, block, counters.updates[p], n_out)
        for j in range(before, n_out):
            i = np.int64(load(out, j, 0, 1))
            store(counters.fired, i, load(counters.fired, i, 0, 1) + 1, 0, 1)
        if traces.record[p]:
            at = 2 * (traces.begin[p] + traces.filled[p])
            for j in range(before, n_out):
                store(traces.spikes, at, np.int32(column), 0, 2)
                store(traces.spikes, at + 1, np.int32(load(out, j, 1, 2) - first), 0, 2)
                at += 2
            traces.filled[p] += n_out - before
        scratch.bounds[p + 1] = n_out
    return n_out


@inline
def _find_resting(neurons, state, resting):
    """Mark the blocks in which all states and biases are 0."""
    block = 0
    for p in range(neurons.populations.shape[0]):
        last = neurons.populations[p, LAST]
        for first in range(neurons.populations[p, FIRST], last, BLOCK):
            n = min(BLOCK, last - first)
            alive = _anything(state.u, first, n) or _anything(state.v, first, n) or _anything(neurons.bias, first, n)
            alive = alive or _anything(state.wait, first, n)
            resting[block] = not alive
            block += 1


@inline
def _has_room(neurons, traces):
    """Tell whether the spikes of one more column can be recorded, however many they are."""
    for p in range(traces.record.size):
        n = neurons.populations[p, LAST] - neurons.populations[p, FIRST]
        if traces.record[p] and traces.begin[p] + traces.filled[p] + n > traces.begin[p + 1]:
            return False
    return True


@inline
def _trace(traces, state, row):
    """Copy the recorded currents and voltages."""
    for j in range(traces.u_neuron.size):
        traces.u[row, j] = state.u[traces.u_neuron[j]]
    for j in range(traces.v_neuron.size):
        traces.v[row, j] = state.v[traces.v_neuron[j]]


@_jit
def advance(
    neurons,
    dense,
    direct,
    runs,
    binned,
    bins,
    state,
    stimulus,
    counters,
    traces,
    scratch,
    stride,
    first_column,
    progress,
    steps,
):
    """Run one sample up to column ``first_column + steps``.

    Stops early when the room for spikes could run out, so that the caller can empty it and call again.

    Parameters
    ----------
    neurons, dense, direct, runs, binned, bins, state, stimulus, counters, traces, scratch
        The tuples of `spikesim.backends.loihi.tables`. `dense`, `direct` and `runs` are the synapses that can be added
        at once, `binned` those of projections whose sums lose bits to a negative exponent.
    stride
        u and v are traced in the columns that it divides.
    first_column
        The first column of the whole run.
    progress
        int64, shape (2,): steps done, rows of u and v written. Updated in place.
    steps
        Length of the whole run.
    """
    n = neurons.keep_u.size
    slots = (state.ring.size - LANES) // n
    _find_resting(neurons, state, scratch.resting)
    while progress[0] < steps and _has_room(neurons, traces):
        column = first_column + progress[0]
        slot = (column % slots) * n
        # Without delays this is the same slot: every sum of this column is read before the first one of the next.
        base = ((column + 1) % slots) * n
        for j in range(stimulus.drive_target.size):
            state.ring[slot + stimulus.drive_target[j]] += stimulus.drive[progress[0], j]
        n_out = _update_all(neurons, state, column, slot, scratch, counters, traces)
        n_out = _append_inputs(stimulus, column, neurons.populations.shape[0], counters, scratch, n_out)
        deliver_all(dense, direct, runs, binned, bins, scratch, n_out, state.ring, base)
        if column % stride == 0:
            _trace(traces, state, progress[1])
            progress[1] += 1
        progress[0] += 1
