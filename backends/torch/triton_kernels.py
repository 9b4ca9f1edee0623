"""Simulation on a GPU: the kernels that do not depend on the neuron. None waits for the host, none is told the step.

``clock`` is int64 on the device: the step ``t`` and its number ``k`` in the present stretch. So a recorded graph of
launches (CUDA graphs) can be replayed for any step.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["group"])
def collect(clock, values, count, listed, group, width, BLOCK: tl.constexpr):
    """List the elements of a source that emit in this step.

    Parameters
    ----------
    clock
        See above.
    values
        uint8 ``[steps, width]``.
    count, listed
        int32: the number of entries so far, and pairs (index in samples times elements, group).
    group
        Number of the source.
    width
        Samples times elements.
    """
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < width
    row = values + tl.load(clock + 1) * width
    fired = tl.load(row + at, inside, 0) != 0
    place = tl.atomic_add(count + tl.zeros_like(at), tl.full([BLOCK], 1, tl.int32), fired)
    tl.store(listed + 2 * place, at, fired)
    tl.store(listed + 2 * place + 1, tl.full([BLOCK], group, tl.int32), fired)


@triton.jit
def deliver(
    clock,
    count,
    listed,
    groups,
    edges,
    scales,
    rows,
    target,
    weight,
    delay,
    ring,
    samples,
    BLOCK: tl.constexpr,
    PROGRAMS: tl.constexpr,
    EDGES: tl.constexpr,
):
    """Add the synapses of everything that is listed to the slots of the steps in which they act.

    Parameters
    ----------
    clock, count, listed
        See `collect`.
    groups
        int64 ``[groups, 3]``: first edge, edge after the last one, elements of the source.
    edges
        int64 ``[edges, 9]``: where its rows begin in ``rows``, its synapses in ``target``, in ``weight`` and in
        ``delay``; whether the last two have one entry per synapse (1) or one for all (0); where its ring begins;
        slots; target neurons.
    scales
        float64 ``[edges]``: what the weights are multiplied by.
    rows, target, weight, delay
        All edges one after the other: row pointers (int64), targets (int32), weights, delays in steps (int16).
    ring
        float64: all rings one after the other, each ``[slots, samples, neurons]``. Sums are exact, so the order of
        the additions does not matter.
    samples
        How many.
    """
    t, entries = tl.load(clock), tl.load(count)
    for entry in range(tl.program_id(0), entries, PROGRAMS):
        column = tl.load(listed + 2 * entry)
        group = groups + 3 * tl.load(listed + 2 * entry + 1)
        elements = tl.load(group + 2)
        sample, element = column // elements, column % elements
        for number in range(tl.load(group) + tl.program_id(1), tl.load(group + 1), EDGES):
            edge, scale = edges + 9 * number, tl.load(scales + number)
            row = rows + tl.load(edge) + element
            targets, weights, delays = tl.load(edge + 1), tl.load(edge + 2), tl.load(edge + 3)
            own_weights, own_delays = tl.load(edge + 4), tl.load(edge + 5)
            sums, slots, neurons = ring + tl.load(edge + 6), tl.load(edge + 7), tl.load(edge + 8)
            now, end = (t % slots).to(tl.int32), tl.load(row + 1)
            for first in range(tl.load(row), end, BLOCK):
                synapse = first + tl.arange(0, BLOCK)
                inside = synapse < end
                post = tl.load(target + targets + synapse, inside, 0)
                amount = tl.load(weight + weights + synapse * own_weights, inside, 0).to(tl.float64) * scale
                later = tl.load(delay + delays + synapse * own_delays, inside, 0)
                slot = now + later.to(tl.int32)
                slot = tl.where(slot < slots, slot, slot - slots.to(tl.int32))  # no delay is longer than the ring
                tl.atomic_add(sums + (slot * samples + sample) * neurons + post, amount, inside, sem="relaxed")


@triton.jit
def record(clock, state, chosen, out, base, every, n, neurons, BLOCK: tl.constexpr):
    """Write the chosen neurons of one state to row ``t // every - base`` of ``out`` ``[rows, samples, neurons]``.

    Launched over blocks of ``neurons`` and samples; does nothing where ``t`` is no multiple of ``every``.
    """
    t, sample = tl.load(clock), tl.program_id(1)
    which = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = (which < neurons) & ((t + 0 * which) % every == 0)  # the interpreter compares blocks only
    value = tl.load(state + sample.to(tl.int64) * n + tl.load(chosen + which, inside, 0), inside, 0.0)
    row = (t // every - tl.load(base)) * tl.num_programs(1) + sample
    tl.store(out + row * neurons + which, value, inside)


@triton.jit
def tick(clock, counts, PHASES: tl.constexpr):
    """Go on to the next step, with empty lists."""
    tl.store(clock, tl.load(clock) + 1)
    tl.store(clock + 1, tl.load(clock + 1) + 1)
    tl.store(counts + tl.arange(0, PHASES), tl.zeros([PHASES], tl.int32))


# ---------------------------------------------------------------------------------------------- random numbers
@triton.jit
def _mix(a, b, r: tl.constexpr):
    a = a + b
    return a, ((b << r) | (b >> (32 - r))) ^ a


@triton.jit
def _even_rounds(x0, x1, x2, x3):
    x0, x1 = _mix(x0, x1, 10)
    x2, x3 = _mix(x2, x3, 26)
    x0, x3 = _mix(x0, x3, 11)
    x2, x1 = _mix(x2, x1, 21)
    x0, x1 = _mix(x0, x1, 13)
    x2, x3 = _mix(x2, x3, 27)
    x0, x3 = _mix(x0, x3, 23)
    x2, x1 = _mix(x2, x1, 5)
    return x0, x1, x2, x3


@triton.jit
def _odd_rounds(x0, x1, x2, x3):
    x0, x1 = _mix(x0, x1, 6)
    x2, x3 = _mix(x2, x3, 20)
    x0, x3 = _mix(x0, x3, 17)
    x2, x1 = _mix(x2, x1, 11)
    x0, x1 = _mix(x0, x1, 25)
    x2, x3 = _mix(x2, x3, 10)
    x0, x3 = _mix(x0, x3, 18)
    x2, x1 = _mix(x2, x1, 20)
    return x0, x1, x2, x3


@triton.jit
def bits_at(index, step, stream, key0, key1):
    """One random word (uint32) for each index and step (int64), those of :meth:`spikesim.rng.Stream.bits_at`."""
    k0, k1 = key0.to(tl.uint32), key1.to(tl.uint32)
    parity = (k0 ^ k1) ^ 0x1BD11BDA
    x0 = ((index >> 6) * 16 + (index & 15)).to(tl.uint32) + k0
    zero = x0 & 0
    x1, x2, x3 = step.to(tl.uint32) + k1, zero + stream.to(tl.uint32), (step >> 32).to(tl.uint32)
    x0, x1, x2, x3 = _even_rounds(x0, x1, x2, x3)
    x0, x1, x2, x3 = _odd_rounds(x0 + k1, x1, x2, x3 + parity + 1)
    x0, x1, x2, x3 = _even_rounds(x0, x1, x2 + parity, x3 + k0 + 2)
    x0, x1, x2, x3 = _odd_rounds(x0, x1 + parity, x2 + k0, x3 + k1 + 3)
    x0, x1, x2, x3 = _even_rounds(x0 + parity, x1 + k0, x2 + k1, x3 + 4)
    x0, x1, x3 = x0 + k0, x1 + k1, x3 + 5
    word = (index >> 4) & 3
    return tl.where(word == 0, x0, tl.where(word == 1, x1, tl.where(word == 2, x2, x3)))


@triton.jit(do_not_specialize=["m", "parts", "first", "stream", "key0", "key1", "steps"])
def poisson(
    out,
    weight,
    tables,
    which,
    m,
    parts,
    first,
    stream,
    key0,
    key1,
    padded,
    steps,
    samples,
    n,
    ADD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Fill ``out`` (float64 ``[steps, samples, n]``) with weight times Poisson counts, or add them to it.

    The counterpart of :func:`spikesim.equations.drive_kernels.fill_poisson_rates`.

    Parameters
    ----------
    weight
        float64 ``[1]``: of one event.
    tables
        int64 ``[rates, m]``: thresholds; a count is the number of those that a word exceeds.
    which
        int64 ``[n]``: row of each neuron.
    parts
        A count is the sum of so many.
    first
        Step of ``out[0]``.
    stream, key0, key1
        ``Stream.id`` and ``Stream.key``.
    padded
        Indices that a sample takes.
    """
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    width = tl.cast(samples, tl.int64) * n
    inside = at < width * steps
    column, step = at % width, at // width + first
    sample, neuron = column // n, column % n
    table = tables + tl.load(which + neuron, inside, 0) * m
    total = tl.zeros([BLOCK], tl.int64)
    for part in range(parts):
        moment = step | (tl.cast(part, tl.int64) << 48)
        word = bits_at(sample * padded + neuron, moment, stream, key0, key1).to(tl.int64)
        for threshold in range(m):
            total += (word > tl.load(table + threshold, inside, 0)).to(tl.int64)
    value = total.to(tl.float64) * tl.load(weight)
    if ADD:
        value = tl.load(out + at, inside, 0.0) + value
    tl.store(out + at, value, inside)
