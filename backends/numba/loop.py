"""The simulation loop, in plain Python for numba.

It is compiled once for all networks: models, representations and plasticity rules are compiled apart and called by
address (:mod:`spikesim.backends.numba.compiled`), and all arrays are found through tables of addresses
(:mod:`spikesim.backends.numba.tables`).

Columns of the tables (int64):

- phases: ``TILE_LOW TILE_HIGH``
- tiles: ``PART_LOW PART_HIGH JOB_LOW JOB_HIGH COUNTERS CELLS DRAWN CHANNELS``
- parts (neurons of one population in one tile): ``NODE FORM LOW N SPAN PORT_LOW PORT_HIGH ROW POISSON_LOW
  POISSON_HIGH PROBE_LOW PROBE_HIGH LEARNED_LOW LEARNED_HIGH``; ``LOW`` within the state arrays of the form, ``ROW`` of
  the scalars
- spans (parts in the order of neurons): ``FIRST NODE_FIRST``, the first neuron of the part and of its population
- groups (populations of one form): ``ADVANCE STATES SCALARS VECTORS N ITEM VALUES``, addresses, then the number of
  neurons, bytes of a number, and numbers of a sample in ``STATES``
- ports: ``SUMS COUNTERS DRIVE DISTANCE``, where each of them begins, and the distance of two counters
- jobs (what is delivered to a tile): ``FUNCTION SOURCE SPAN_LOW SPAN_HIGH DELAY DELAYS``, four numbers of the kind,
  address and length of up to three arrays, and the weight as the bits of a float64; ``FUNCTION`` is an address of
  :mod:`spikesim.backends.numba.deliveries`, 0 for plastic synapses, ``SOURCE`` is -1 for a population
- learned (plastic synapses of one projection onto one part): ``MODULATOR SPAN_LOW SPAN_HIGH``; ``MODULATOR`` is a
  source, -1 for a population, -2 for none. ``plastic[sample * learned + k]`` are the addresses of their arrays and
  functions
- poisson: ``COUNTED STREAM FIRST LAST PARTS LOW WIDTH WHERE N PADDED``
- probes: ``STATE EVERY FIRST LAST BASE WIDTH``
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from numba import njit

from spikesim.backends.numba.kernels.collect import collect
from spikesim.backends.numba.kernels.exchange import call_back
from spikesim.backends.numba.kernels.vector import (
    address_of,
    call,
    i32_in,
    i64_at,
    i64_in,
    u8_at,
)
from spikesim.backends.numba.plastic.rows import AT_FIRED
from spikesim.backends.numba.tables import FIXED, NUMBERS, NUMBERS_SIZE, ROOM, ROOM_SIZE, SHARED_SIZE, STRETCH


@njit(error_model="numpy", nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def deliver(numbers, shared, room, b, t, slot, tile, sums, ahead):
    """Deliver to a tile all spikes that arrive at step ``t``; over segments, for ``ahead`` steps from there on."""
    o, e, r = i64_at(numbers, NUMBERS_SIZE), i64_at(shared, SHARED_SIZE), i64_at(room, ROOM_SIZE)
    jobs, spans, pointers = i64_in(e, FIXED.jobs), i64_in(e, FIXED.spans), i64_in(e, STRETCH.pointers)
    listed, lists = i64_in(e, FIXED.listed), i32_in(e, FIXED.lists)
    history, merged, cells = o[NUMBERS.history], i32_in(r, ROOM.merged)[0], tile[5]
    for j in range(tile[2], tile[3]):
        job = jobs[j]
        if job[0] == 0:
            call(o[NUMBERS.arrive], (numbers, shared, room, b, t, j, sums))
            continue
        newest = t - job[4]
        oldest = newest
        if job[9] < 0:  # segments
            oldest, newest = oldest - job[5] + 1, newest + ahead - 1
            if ahead == 0:
                continue
        for emitted in range(max(oldest, 0), newest + 1):
            n, ids, values = 0, r[ROOM.merged], 0
            if job[1] >= 0:
                line, at = job[1] * o[NUMBERS.samples] + b, emitted - o[NUMBERS.since]
                first = pointers[line, at]
                n = pointers[line, at + 1] - first
                ids, values = e[STRETCH.identities] + 4 * first, e[STRETCH.amounts] + 8 * first
            else:
                then = slot + emitted - t  # less than a history away
                then += history if then < 0 else (-history if then >= history else 0)
                line = b * history + then
                if job[3] == job[2] + 1:
                    n, ids = listed[line, job[2]], address_of(lists[line, spans[job[2], 0] :])
                else:  # lists of several parts: one call for all is several times cheaper
                    for span in range(job[2], job[3]):
                        first = spans[span, 0]
                        for k in range(listed[line, span]):
                            merged[n] = lists[line, first + k]
                            n += 1
            if n > 0:
                k, last = max(0, t - job[4] - emitted), min(job[5] - 1, newest - emitted)
                at = (emitted + job[4] + k - t) * cells
                call(job[0], (room, address_of(job), sums, ids, values, n, k, last, at))


@njit(error_model="numpy", nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def run_tile(numbers, shared, room, b, number, row, end):
    """Take a tile of a sample through some steps."""
    o, e, r = i64_at(numbers, NUMBERS_SIZE), i64_at(shared, SHARED_SIZE), i64_at(room, ROOM_SIZE)
    tile, parts, spans = i64_in(e, FIXED.tiles)[number], i64_in(e, FIXED.parts), i64_in(e, FIXED.spans)
    groups, learned = i64_in(e, FIXED.groups), len(i64_in(e, FIXED.learned))
    listed, lists, active = i64_in(e, FIXED.listed), i32_in(e, FIXED.lists), i64_in(e, STRETCH.active)[b]
    plastic, flags = i64_in(e, FIXED.plastic), u8_at(r[ROOM.flags], r[ROOM.flags + 2])
    counts, dirty = u8_at(r[ROOM.counts], tile[4]), i64_at(r[ROOM.dirty], tile[1] - tile[0])
    used = i64_at(r[ROOM.used], tile[7])
    history, window = o[NUMBERS.history], o[NUMBERS.window]
    slot, due = (o[NUMBERS.first] + row) % history, 0
    for step in range(row, end):
        t = o[NUMBERS.first] + step
        if step > 0 and learned > 0:  # that of a stretch's last step is paid when it ends
            for p in range(tile[0], tile[1]):
                call(o[NUMBERS.pay], (numbers, shared, room, b, t - 1, p))
        # sums of some steps ahead: the entries of a row that arrive in them are one run of memory
        sums = r[ROOM.ahead] + 8 * due * tile[5]
        deliver(numbers, shared, room, b, t, slot, tile, sums, min(window, end - step) if due == 0 else 0)
        line = b * history + slot
        drives = e[STRETCH.ext] + 8 * e[STRETCH.ext + 2] * (step * o[NUMBERS.each_step] + b * o[NUMBERS.each_sample])
        for p in range(tile[0], tile[1]):
            part = parts[p]
            n, start, group = part[3], spans[part[4], 0], groups[part[1]]
            if part[9] > part[8]:
                drives = call(o[NUMBERS.draw], (shared, room, b, t, p, drives))
            ports, factors = e[FIXED.ports] + 32 * part[5], e[FIXED.factors] + 48 * part[5]
            here = (address_of(group), b, part[7], part[2], n, r[ROOM.counts], sums, r[ROOM.drawn], drives)
            call(group[0], (*here, ports, factors, r[ROOM.flags], dirty[p - tile[0]]))
            offset = start - spans[part[4], 1]
            mine = lists[line, start : start + n]
            spiking, had = collect(flags, n, mine, offset)
            listed[line, part[4]] = spiking
            active[p] += had
            for k in range(part[12], part[13]):
                own = plastic[b * learned + k]
                here_fired = (address_of(own), r[ROOM.learning], t, address_of(mine), spiking, offset)
                call(own[AT_FIRED], here_fired)
            if part[11] > part[10]:
                call(o[NUMBERS.record], (shared, b, t, p))
        if tile[7] > 0:
            counts[:] = 0
            used[:] = 0
            dirty[:] = 0
        slot = slot + 1 if slot + 1 < history else 0
        due = due + 1 if due + 1 < window else 0


@njit(error_model="numpy", nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def publish(numbers, shared, b, row, end):
    """Append the spikes of some steps to the events of a sample, in the order of steps and neurons."""
    o, e = i64_at(numbers, NUMBERS_SIZE), i64_at(shared, SHARED_SIZE)
    spans, listed, lists = i64_in(e, FIXED.spans), i64_in(e, FIXED.listed), i32_in(e, FIXED.lists)
    event_step, event_id = i32_in(e, STRETCH.event_step)[b], i32_in(e, STRETCH.event_id)[b]
    events, emitted, history = i64_in(e, STRETCH.events)[0], i64_in(e, STRETCH.emitted)[b], o[NUMBERS.history]
    count, slot = events[b], (o[NUMBERS.first] + row) % history
    for step in range(row, end):
        for span in range(len(spans)):
            first, node = spans[span, 0], spans[span, 1]
            for k in range(listed[b * history + slot, span]):
                neuron = node + lists[b * history + slot, first + k]
                event_step[count] = step
                event_id[count] = neuron
                emitted[neuron] += 1
                count += 1
        slot = slot + 1 if slot + 1 < history else 0
    events[b] = count
    return count


def simulate(numbers, shared, room):
    """Run some samples from a row on, as one of the threads that share the tiles; see :class:`Numbers`.

    All threads of a team leave together: after ``steps``, when the events of one more epoch might not fit, or at once
    (then 1 is returned) if one of them has failed.
    """
    o, e = i64_at(numbers, NUMBERS_SIZE), i64_at(shared, SHARED_SIZE)
    rank, size, low, high, steps = o[NUMBERS.rank], o[NUMBERS.size], o[NUMBERS.low], o[NUMBERS.high], o[NUMBERS.steps]
    phases, neurons = i64_in(e, FIXED.phases), e[FIXED.lists + 2]
    capacity, epoch, meeting = e[STRETCH.event_id + 2], o[NUMBERS.epoch], o[NUMBERS.meeting]
    done, row = i64_at(o[NUMBERS.done], size + 1), o[NUMBERS.begin]
    while row < steps:
        end = min(row + epoch, steps)
        for phase in range(len(phases)):
            for number in range(phases[phase, 0] + rank, phases[phase, 1], size):
                for b in range(low, high):
                    run_tile(numbers, shared, room, b, number, row, end)
            if size > 1 and call(o[NUMBERS.wait], (o[NUMBERS.team], size)) == 0:
                return 1
            if meeting != 0:
                if rank == 0:
                    call_back(meeting, row, end, phase)
                if size > 1 and call(o[NUMBERS.wait], (o[NUMBERS.team], size)) == 0:
                    return 1
        # the threads agree: what this one reads was written before the last meeting, what it writes counts at the next
        stop = done[size] == end if size > 1 else False
        if capacity > 0 and (rank == 0 or size == 1):
            for b in range(low, high):
                count = publish(numbers, shared, b, row, end)
                if count + neurons * epoch * (2 if size > 1 else 1) > capacity:
                    if size == 1:
                        stop = True
                    elif not stop:
                        done[size] = min(end + epoch, steps)
        row = end
        if stop:
            break
    done[rank] = row
    return 0
