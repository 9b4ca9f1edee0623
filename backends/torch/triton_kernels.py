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
