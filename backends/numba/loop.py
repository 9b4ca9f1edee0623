"""The simulation loop, in plain Python for numba.

The functions of this file are copied into the module printed for a set of models, behind their ``advance``, and
compiled there once; the compiled kernel depends on models and dtype only, never on sizes or seeds.

Columns of the tables (int64):

- units, in the order of their update, sources first:
  ``KIND MODEL LOW HIGH OFFSET EDGE_LOW EDGE_HIGH EXT PORTS PORT_ROW``
- ports: ``BASE SLOTS`` of the ring that collects a port's input
- edges: ``ROWS FIRST RING SLOTS N DELAY WEIGHT`` (``DELAY`` or ``WEIGHT`` of -1: one value per synapse)
- poisson drives: ``UNIT PORT STREAM FIRST LAST PARTS``
- probes: ``MODEL STATE EVERY FIRST LAST BUFFER``
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import numpy as np
from numba import njit

from spikesim.equations.random_kernels import add_poisson


def advance(m, b, lo, hi, states, scalars, vectors, ring, slots, ext, base, has_ext, flags, offset):
    """Stand-in: the printed module has the real one (:func:`spikesim.equations.numba_source.print_loop`)."""
    raise NotImplementedError


# --- copied into the printed module from here on ---
@njit(error_model="numpy", nogil=True)
def deliver(edge, weight, source, value, t, ring, indptr, indices, weights, delays):
    """Add the synapses of one spike (or value) of one projection to the ring of their port."""
    row = edge[0] + source
    low, high, first = indptr[row], indptr[row + 1], edge[1]
    base, slots, n, delay = edge[2], edge[3], edge[4], edge[5]
    if delay >= 0:
        at = base + (t + delay) % slots * n
        if edge[6] < 0:
            w = weight * value
            for k in range(low, high):
                ring[at + indices[first + k]] += w
        elif high - low == n:  # a full row: targets are 0 .. n - 1 and the loop vectorises
            target, own = ring[at : at + n], weights[edge[6] + low : edge[6] + high]
            for k in range(n):
                target[k] += own[k] * value
        else:
            for k in range(low, high):
                ring[at + indices[first + k]] += weights[edge[6] + k] * value
    else:
        for k in range(low, high):
            w = weight if edge[6] < 0 else weights[edge[6] + k]
            ring[base + (t + delays[first + k]) % slots * n + indices[first + k]] += w * value


@njit(error_model="numpy", nogil=True)
def emit(unit, source, value, t, ring, edges, edge_weights, indptr, indices, weights, delays):
    """Deliver one spike (or value) over all projections of its unit."""
    for e in range(unit[5], unit[6]):
        deliver(edges[e], edge_weights[e], source, value, t, ring, indptr, indices, weights, delays)


@njit(error_model="numpy", nogil=True)
def drive_poisson(u, unit, b, width, t, ext, poisson, thresholds, poisson_weights, key, counts):
    """Add the Poisson drives of one unit to its drive buffer."""
    n = unit[3] - unit[2]
    for p in range(len(poisson)):
        if poisson[p, 0] == u:
            first, last = poisson[p, 3], poisson[p, 4]
            at = unit[7] + poisson[p, 1] * n
            counts[:width] = 0
            for part in range(poisson[p, 5]):  # a large mean is the sum of equal parts
                step = t | part << 48
                add_poisson(counts[:width], thresholds[first:last], step, poisson[p, 2], key[0], key[1], b * width)
            for j in range(n):
                ext[at + j] = counts[j] * poisson_weights[p]


@njit(error_model="numpy", nogil=True)
def record_traces(b, t, probes, chosen, states, trace):
    """Copy the probed states of one sample at the end of a step."""
    for p in range(len(probes)):
        every = probes[p, 2]
        if t % every == 0:
            number = probes[p, 4] - probes[p, 3]
            # probes[p, 5] already accounts for the rows before this stretch
            at = probes[p, 5] + t // every * number
            values = states[probes[p, 0]][b, probes[p, 1]]
            for k in range(number):
                trace[b, at + k] = values[chosen[probes[p, 3] + k]]


@njit(error_model="numpy", nogil=True, cache=True)
def simulate(
    low, high, first, steps, done, units, ports, edges, edge_weights, indptr, indices, weights, delays,
    states, scalars, vectors, rings, spikes_in, values_in, ext_in, poisson, thresholds, poisson_weights, key,
    probes, chosen, trace, event_step, event_id, events, emitted, active,
):  # fmt: skip
    """Run the samples ``low .. high - 1`` on from step ``first + done[b]``, until the end or a full event buffer."""
    total, capacity, drive_size = emitted.shape[1], event_id.shape[1], ext_in.shape[2]
    flags = np.zeros(total, np.bool_)
    slots = np.zeros(16, np.int64)
    ext = np.zeros(drive_size)
    counts = np.zeros(total + 64, np.int32)
    for b in range(low, high):
        ring = rings[b]
        while done[b] < steps and events[b] + total <= capacity:
            row = done[b]
            t = first + row
            if drive_size > 0:
                ext[:] = ext_in[row if ext_in.shape[0] > 1 else 0, b if ext_in.shape[1] > 1 else 0]
            for u in range(len(units)):
                unit = units[u]
                if unit[0] == 0:  # spikes of a source
                    for j in range(unit[3]):
                        if spikes_in[row, b, unit[4] + j]:
                            emit(unit, j, 1.0, t, ring, edges, edge_weights, indptr, indices, weights, delays)
                elif unit[0] == 1:  # values of a source
                    for j in range(unit[3]):
                        if values_in[row, b, unit[4] + j] != 0.0:
                            emit(
                                unit, j, values_in[row, b, unit[4] + j], t, ring, edges, edge_weights, indptr, indices,
                                weights, delays,
                            )  # fmt: skip
                else:
                    n = unit[3] - unit[2]
                    for p in range(unit[8]):
                        slots[p] = ports[unit[9] + p, 0] + t % ports[unit[9] + p, 1] * n
                    if unit[7] >= 0 and len(poisson) > 0:
                        drive_poisson(
                            u, unit, b, (n + 63) // 64 * 64, t, ext, poisson, thresholds, poisson_weights, key, counts
                        )
                    active[b, u] += advance(
                        unit[1], b, unit[2], unit[3], states, scalars, vectors, ring, slots, ext, unit[7],
                        unit[7] >= 0, flags, unit[4] - unit[2],
                    )  # fmt: skip
                    for j in range(n):
                        if flags[unit[4] + j]:
                            emitted[b, unit[4] + j] += 1
                            event_step[b, events[b]] = t
                            event_id[b, events[b]] = unit[4] + j
                            events[b] += 1
                            emit(unit, j, 1.0, t, ring, edges, edge_weights, indptr, indices, weights, delays)
            if len(probes) > 0:
                record_traces(b, t, probes, chosen, states, trace)
            done[b] += 1
