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
from spikesim.backends.loihi.vector import add_rows, as_bits, ask, lowest_bit
from spikesim.equations.scoped import load, store

DECAY_BITS = 12
LOW_BITS = (1 << DECAY_BITS) - 1
INPUT_SHIFT = 6
MAX_STATE = 1 << 23
AHEAD = 2  # rows of synapses that are on their way from memory while one is added

# Without reference counts: those of the arrays of all tuples took a microsecond a step.
_jit = numba.njit(nogil=True, cache=True, error_model="numpy", _nrt=False)
# What is called once a column from one place: passing tuples of arrays costs more than some of them do.
_inline = numba.njit(nogil=True, cache=True, error_model="numpy", _nrt=False, forceinline=True)


@_inline
def _decayed(x, keep):
    """Return ``x * keep / 4096`` rounded towards zero, in 32 bits: the upper and the lower 12 bits apart."""
    low = np.int32((x & LOW_BITS) * keep) + ((x >> 31) & LOW_BITS)
    return np.int32(np.int32((x >> DECAY_BITS) * keep) + (np.int32(low) >> DECAY_BITS))


@_inline
def _current(u, a, keep):
    """Return the new current before it is wrapped."""
    return np.int32(_decayed(u, keep) + np.int32(a << INPUT_SHIFT))


@_inline
def _wrapped(u):
    """Take 2^24 off (or on) once where u has left (-2^23, 2^23]."""
    down = np.int32(2 * MAX_STATE) if u > MAX_STATE else np.int32(0)
    up = np.int32(2 * MAX_STATE) if u <= -MAX_STATE else np.int32(0)
    return np.int32(np.int32(u - down) + up)


@_inline
def _voltage(v, u, keep, bias):
    """Return the new voltage before it is clipped."""
    return np.int32(np.int32(_decayed(v, keep) + u) + bias)


@_inline
def _clipped(v):
    return np.int32(min(max(v, np.int32(1 - MAX_STATE)), np.int32(MAX_STATE - 1)))


@_inline
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


@_inline
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


@_inline
def _anything(values, first, n):
    """Tell whether a value differs from 0."""
    found = np.int32(0)
    for i in range(n):
        found = np.int32(found | load(values, first + i, 0, 1))
    return found != 0


@_inline
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


@_inline
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


@_inline
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


@_inline
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


@_inline
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


@_inline
def _append_inputs(stimulus, column, event, counters, out, n_out):
    """Append the sources that spike in a column to `out`; return the next event and the new length."""
    while event < stimulus.column.size and stimulus.column[event] == column:
        source = stimulus.source[event]
        counters.fired[source] += 1
        out[n_out] = source
        n_out += 1
        event += 1
    return event, n_out


@_inline
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
    return n_out


@_inline
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


@_inline
def _has_room(neurons, traces):
    """Tell whether the spikes of one more column can be recorded, however many they are."""
    for p in range(traces.record.size):
        n = neurons.populations[p, LAST] - neurons.populations[p, FIRST]
        if traces.record[p] and traces.begin[p] + traces.filled[p] + n > traces.begin[p + 1]:
            return False
    return True


@_inline
def _trace(traces, state, row):
    """Copy the recorded currents and voltages."""
    for j in range(traces.u_neuron.size):
        traces.u[row, j] = state.u[traces.u_neuron[j]]
    for j in range(traces.v_neuron.size):
        traces.v[row, j] = state.v[traces.v_neuron[j]]


@_jit
def advance(
    neurons,
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
    neurons, direct, runs, binned, bins, state, stimulus, counters, traces, scratch
        The tuples of `spikesim.backends.loihi.tables`. `direct` and `runs` are the synapses that can be added at once,
        `binned` those of projections whose sums lose bits to a negative exponent.
    stride
        u and v are traced in the columns that it divides.
    first_column
        The first column of the whole run.
    progress
        int64, shape (3,): steps done, input events consumed, rows of u and v written. Updated in place.
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
        progress[1], n_out = _append_inputs(stimulus, column, progress[1], counters, scratch.out, n_out)
        if direct.place.size:
            _deliver(direct, scratch.out, n_out, state.ring, base)
        if runs.place.size:
            _deliver_runs(runs, scratch.out, n_out, state.ring, base, scratch.rows, scratch.n_rows, scratch.busy)
        if bins.place.size:
            _deliver_binned(
                binned, bins, scratch.out, n_out, state.ring, base, scratch.sums, scratch.touched, scratch.seen
            )
        if column % stride == 0:
            _trace(traces, state, progress[2])
            progress[2] += 1
        progress[0] += 1
