"""The simulation loop, in plain Python for numba.

The functions of this file are copied into the module printed for a set of models, behind their ``advance`` and the
``deliver`` of the representations in use, and compiled there once: the compiled kernel depends on models,
representations and dtype, never on sizes or seeds. Plasticity rules are compiled apart and called by address.

Columns of the tables (int64):

- phases: ``TILE_LOW TILE_HIGH``
- tiles: ``PART_LOW PART_HIGH JOB_LOW JOB_HIGH COUNTERS CELLS DRAWN CHANNELS``
- parts (neurons of one population in one tile): ``NODE FORM LOW N SPAN PORT_LOW PORT_HIGH ROW POISSON_LOW
  POISSON_HIGH PROBE_LOW PROBE_HIGH LEARNED_LOW LEARNED_HIGH``; ``LOW`` within the state arrays of the form, ``ROW`` of
  the scalars
- spans (parts in the order of neurons): ``FIRST NODE_FIRST``, the first neuron of the part and of its population
- jobs (what is delivered to a tile): ``KIND SOURCE SPAN_LOW SPAN_HIGH DELAY DELAYS``, four numbers of the kind, and
  address and length of up to three arrays; ``SOURCE`` is -1 for a population
- learned (plastic synapses of one projection onto one part): ``MODULATOR SPAN_LOW SPAN_HIGH``; ``MODULATOR`` is a
  source, -1 for a population, -2 for none. ``plastic[sample, k]`` are the addresses of their arrays and functions
- poisson: ``COUNTED STREAM FIRST LAST PARTS LOW WIDTH WHERE N PADDED``
- probes: ``STATE EVERY FIRST LAST BASE WIDTH``
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from numba import njit

from spikesim.backends.numba.deliveries import PLASTIC
from spikesim.backends.numba.kernels.collect import active as active_flags
from spikesim.backends.numba.kernels.collect import collect
from spikesim.backends.numba.kernels.exchange import call_back
from spikesim.backends.numba.kernels.team import wait
from spikesim.backends.numba.kernels.vector import address_of, call
from spikesim.backends.numba.plastic.rows import AT_ARRIVE, AT_FIRED
from spikesim.backends.numba.steps import arriving, draw, gather, pay, publish


def advance(m, b, row, lo, n, states, scalars, vectors, counts, sums, drawn, ext, ports, factors, flags, dirty):
    """Stand-in: the printed module has the real one (:func:`spikesim.equations.numba_source.print_models`)."""
    raise NotImplementedError


def deliver(job, k, last, at, cells, weight, ids, values, n, counts, sums, ahead, used, dirty, image):
    """Stand-in likewise (:func:`spikesim.backends.numba.deliveries.print_deliver`)."""
    raise NotImplementedError


# --- copied into the printed module from here on ---
@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def deliver_step(
    b, t, window, tile, jobs, weights, spans, listed, lists, history, given, counts, sums, ahead, used, dirty, image,
    merged, plastic, room, rows,
):  # fmt: skip
    """Deliver to a tile all spikes that arrive at step ``t``, over segments for ``window`` steps from there on."""
    pointers, identities, amounts, begin = given
    cells = tile[5]
    for j in range(tile[2], tile[3]):
        job = jobs[j]
        if job[0] == PLASTIC:
            n = arriving(b, t, job, spans, listed, lists, history, given, rows)
            if n > 0:
                own = plastic[b, job[6]]
                here = (address_of(own), address_of(room), t, address_of(rows), n, address_of(sums[job[8] :]))
                call(own[AT_ARRIVE], here)
            continue
        oldest, newest = t - job[4], t - job[4]
        if job[9] < 0:  # segments
            oldest, newest = oldest - job[5] + 1, newest + window - 1
        for emitted in range(max(oldest, 0), newest + 1 if job[9] >= 0 or window > 0 else 0):
            n, values = 0, amounts[:0]
            if job[1] >= 0:
                row = emitted - begin
                low, high = pointers[job[1], b, row], pointers[job[1], b, row + 1]
                n, ids, values = high - low, identities[low:high], amounts[low:high]
            else:
                slot, first = emitted % history, spans[job[2], 0]
                for span in range(job[2], job[3]):
                    n += listed[b, slot, span]
                ids = lists[b, slot, first : first + n]
                if n > 0 and job[3] > job[2] + 1:  # lists of several parts: one call for all is several times cheaper
                    gather(b, slot, job[2], job[3], spans, listed, lists, merged)
                    ids = merged[:n]
            if n > 0:
                k, last = max(0, t - job[4] - emitted), min(job[5] - 1, newest - emitted)
                at = (emitted + job[4] + k - t) * cells
                deliver(job, k, last, at, cells, weights[j], ids, values, n, counts, sums, ahead, used, dirty, image)


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def record_traces(b, t, part, probes, chosen, states, trace):
    """Copy the probed states of a part at the end of a step."""
    for p in range(part[10], part[11]):
        every = probes[p, 1]
        if t % every == 0:
            at = probes[p, 4] + t // every * probes[p, 5]  # the base accounts for the rows before this stretch
            values = states[part[1]][b, probes[p, 0]]
            for k in range(probes[p, 2], probes[p, 3]):
                trace[b, at + chosen[k, 1]] = values[chosen[k, 0]]


@njit(error_model="numpy", nogil=True, cache=True, _nrt=False)
def simulate(
    rank, size, team, meeting, low, high, first, begin, steps, scratch, epoch, window, history, phases, tiles, parts,
    spans, jobs, weights, ports, factors, states, scalars, vectors, listed, lists, given, ext_in, poisson,
    poisson_weights, thresholds, key, probes, chosen, trace, learned, plastic, event_step, event_id, events,
    emitted, active, done,
):  # fmt: skip
    """Run samples ``low .. high - 1`` from step ``first + begin`` on, as one of ``size`` threads that share the tiles.

    All threads of a team leave together: after ``steps``, or when the events of one more epoch might not fit.
    ``done[rank]`` is how far they came. ``meeting`` is 0, or the address of what is called after each phase of an epoch
    with the rows from and to, and the phase: it brings the spikes of other processes.
    """
    counts, drawn, flags, ahead, own_ext, image, used, dirty, rows, large, merged, room = scratch
    total, capacity = lists.shape[2], event_id.shape[1]
    row = begin
    while row < steps:
        end = min(row + epoch, steps)
        for phase in range(len(phases)):
            for number in range(phases[phase, 0] + rank, phases[phase, 1], size):
                tile = tiles[number]
                for b in range(low, high):
                    for step in range(row, end):
                        t = first + step
                        if step > 0 and len(learned) > 0:  # that of a stretch's last step is paid when it ends
                            for p in range(tile[0], tile[1]):
                                pay(b, t - 1, parts[p], learned, plastic, room, listed, history, given)
                        # sums of some steps ahead: the entries of a row that arrive in them are one run of memory
                        due = (step - row) % window
                        sums = ahead[due * tile[5] : (due + 1) * tile[5]]
                        deliver_step(
                            b, t, min(window, end - step) if due == 0 else 0, tile, jobs, weights, spans, listed, lists,
                            history, given, counts, sums, ahead, used, dirty, image, merged, plastic, room,
                            rows,
                        )  # fmt: skip
                        ext = ext_in[step if ext_in.shape[0] > 1 else 0, b if ext_in.shape[1] > 1 else 0]
                        for p in range(tile[0], tile[1]):
                            part = parts[p]
                            n, span = part[3], part[4]
                            if part[9] > part[8]:
                                if len(large) > 0:  # drives are added up in a copy
                                    for k in range(len(ext)):
                                        own_ext[k] = ext[k]
                                    ext = own_ext
                                draw(b, t, part, poisson, poisson_weights, thresholds, key, drawn, ext, large, flags)
                            advance(
                                part[1], b, part[7], part[2], n, states, scalars, vectors, counts, sums, drawn, ext,
                                ports[part[5] : part[6]], factors[part[5] : part[6]], flags, dirty[p - tile[0]] != 0,
                            )  # fmt: skip
                            slot = t % history
                            start = spans[span, 0]
                            mine = lists[b, slot, start : start + n]
                            spiking = collect(flags, n, mine)
                            offset = start - spans[span, 1]
                            if offset > 0:
                                for k in range(spiking):
                                    mine[k] += offset
                            listed[b, slot, span] = spiking
                            for k in range(part[12], part[13]):
                                own = plastic[b, k]
                                here = (address_of(own), address_of(room), t, address_of(mine), spiking, offset)
                                call(own[AT_FIRED], here)
                            active[b, p] += active_flags(flags, n)
                            if part[11] > part[10]:
                                record_traces(b, t, part, probes, chosen, states, trace)
                        if tile[7] > 0:
                            counts[: tile[4]] = 0
                            used[: tile[7]] = 0
                            dirty[: tile[1] - tile[0]] = 0
            if size > 1:
                wait(team, size)
            if meeting != 0:
                if rank == 0:
                    call_back(meeting, row, end, phase)
                if size > 1:
                    wait(team, size)
        # the threads agree: what this one reads was written before the last meeting, what it writes counts at the next
        stop = done[len(done) - 1] == end if size > 1 else False
        if capacity > 0 and (rank == 0 or size == 1):
            for b in range(low, high):
                for step in range(row, end):
                    publish(b, first + step, step, spans, listed, lists, history, event_step, event_id, events, emitted)
                if events[b] + total * epoch * (2 if size > 1 else 1) > capacity:
                    if size == 1:
                        stop = True
                    elif not stop:
                        done[len(done) - 1] = min(end + epoch, steps)
        row = end
        if stop:
            break
    done[rank] = row
