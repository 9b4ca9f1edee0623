"""The simulation loop, in plain Python for numba.

The functions of this file are copied into the module printed for a set of models, behind their ``advance`` and the
``deliver`` of the representations in use, and compiled there once: the compiled kernel depends on models,
representations and dtype, never on sizes or seeds.

Columns of the tables (int64):

- phases: ``TILE_LOW TILE_HIGH``
- tiles: ``PART_LOW PART_HIGH JOB_LOW JOB_HIGH COUNTERS CELLS DRAWN CHANNELS``
- parts (neurons of one population in one tile): ``NODE FORM LOW N SPAN PORT_LOW PORT_HIGH ROW POISSON_LOW
  POISSON_HIGH PROBE_LOW PROBE_HIGH``; ``LOW`` within the state arrays of the form, ``ROW`` of the scalars
- spans (parts in the order of neurons): ``FIRST NODE_FIRST``, the first neuron of the part and of its population
- jobs (what is delivered to a tile): ``KIND SOURCE SPAN_LOW SPAN_HIGH DELAY DELAYS``, four numbers of the kind, and
  address and length of up to three arrays; ``SOURCE`` is -1 for a population
- poisson: ``COUNTED STREAM FIRST LAST PARTS LOW WIDTH WHERE N PADDED``
- probes: ``STATE EVERY FIRST LAST BASE WIDTH``
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from numba import njit

from spikesim.backends.numba.kernels.bitmap import add_bitmap
from spikesim.backends.numba.kernels.collect import active as active_flags
from spikesim.backends.numba.kernels.collect import collect
from spikesim.backends.numba.kernels.conv import add_conv, add_image
from spikesim.backends.numba.kernels.poisson import poisson_counts
from spikesim.backends.numba.kernels.rows import add_rows16
from spikesim.backends.numba.kernels.team import wait
from spikesim.backends.numba.kernels.vector import i32_at, i64_at, u16_at, u32_at, u64_at


def advance(m, b, row, lo, n, states, scalars, vectors, counts, sums, drawn, ext, ports, factors, flags, dirty):
    """Stand-in: the printed module has the real one (:func:`spikesim.equations.numba_source.print_models`)."""
    raise NotImplementedError


def deliver(job, k, weight, ids, values, n, counts, sums, used, dirty, image):
    """Stand-in likewise (:func:`spikesim.backends.numba.deliveries.print_deliver`)."""
    raise NotImplementedError


# --- copied into the printed module from here on ---
@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True)
def room(job, weight, counts, sums, used, dirty):
    """How many rows may still be counted before a byte could overflow; moves the counters to the sums if none."""
    channel, most = job[9] & 0xFFFFF, job[9] >> 40
    free = (255 - used[channel]) // most
    if free == 0:
        at, cell = job[6], job[8]
        for j in range(job[7]):
            sums[cell + j] += weight * counts[at + j]
            counts[at + j] = 0
        dirty[job[9] >> 20 & 0xFFFFF] = 1
        used[channel] = 0
        free = 255 // most
    return free


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True)
def count_bitmap(job, weight, ids, n, counts, sums, used, dirty):
    """Count the spikes of some sources over a bitmap."""
    done, words = 0, job[7] >> 6
    while done < n:
        take = min(room(job, weight, counts, sums, used, dirty), n - done)
        add_bitmap(counts[job[6] : job[6] + job[7]], u64_at(job[10], job[11]), words, ids[done : done + take], take)
        used[job[9] & 0xFFFFF] += take * (job[9] >> 40)
        done += take


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True)
def count_rows(job, weight, ids, n, counts, sums, used, dirty):
    """Count the spikes of some sources over rows of targets."""
    done = 0
    while done < n:
        take = min(room(job, weight, counts, sums, used, dirty), n - done)
        indptr, targets = u32_at(job[10], job[11]), u16_at(job[12], job[13])
        add_rows16(counts[job[6] : job[6] + job[7]], indptr, targets, ids[done : done + take], take)
        used[job[9] & 0xFFFFF] += take * (job[9] >> 40)
        done += take


@njit(error_model="numpy", nogil=True, _nrt=False)
def convolve(job, sums, ids, values, n, image):
    """Add the patches of some inputs to the sums of a population that is an image."""
    shape, own = i64_at(job[12], job[13]), image[: job[6]]
    add_conv(own, i32_at(job[10], job[11]), shape, ids, values, n)
    add_image(sums, own, shape[8])


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True)
def deliver_step(
    b, t, tile, jobs, weights, spans, listed, lists, history, given, counts, sums, used, dirty, image, merged
):
    """Deliver to a tile all spikes that arrive at step ``t``."""
    pointers, identities, amounts, begin = given
    for j in range(tile[2], tile[3]):
        job = jobs[j]
        for k in range(job[5]):
            emitted = t - job[4] - k
            if emitted < 0:
                break
            if job[1] >= 0:
                row = emitted - begin
                low, high = pointers[job[1], b, row], pointers[job[1], b, row + 1]
                if high > low:
                    deliver(
                        job, k, weights[j], identities[low:high], amounts[low:high], high - low, counts, sums, used,
                        dirty, image,
                    )  # fmt: skip
            else:
                slot, n = emitted % history, 0
                for span in range(job[2], job[3]):
                    n += listed[b, slot, span]
                if n > 0:
                    ids = lists[b, slot, spans[job[2], 0] : spans[job[2], 0] + n]
                    if job[3] > job[2] + 1:  # lists of several parts: one call for all is several times cheaper
                        gather(b, slot, job[2], job[3], spans, listed, lists, merged)
                        ids = merged[:n]
                    deliver(job, k, weights[j], ids, amounts[:0], n, counts, sums, used, dirty, image)


@njit(error_model="numpy", nogil=True, _nrt=False)
def gather(b, slot, low, high, spans, listed, lists, merged):
    """Put the spike lists of some parts one behind the other."""
    n = 0
    for span in range(low, high):
        first = spans[span, 0]
        for k in range(listed[b, slot, span]):
            merged[n] = lists[b, slot, first + k]
            n += 1


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True)
def draw(b, t, part, poisson, poisson_weights, thresholds, key, drawn, ext, large, bytes_):
    """Draw the Poisson drives of a part."""
    for p in range(part[8], part[9]):
        row = poisson[p]
        table, index, padded = thresholds[row[2] : row[3]], b * row[6] + row[5], row[9]
        if row[0] == 1:
            poisson_counts(drawn[row[7] : row[7] + padded], table, t, row[1], key[0], key[1], index)
        else:
            large[:padded] = 0
            for part_of_mean in range(row[4]):  # a large mean is the sum of equal parts, each of which fits a byte
                poisson_counts(bytes_[:padded], table, t | part_of_mean << 48, row[1], key[0], key[1], index)
                for j in range(padded):
                    large[j] += bytes_[j]
            for j in range(row[8]):
                ext[row[7] + j] = large[j] * poisson_weights[p]


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True)
def record_traces(b, t, part, probes, chosen, states, trace):
    """Copy the probed states of a part at the end of a step."""
    for p in range(part[10], part[11]):
        every = probes[p, 1]
        if t % every == 0:
            at = probes[p, 4] + t // every * probes[p, 5]  # the base accounts for the rows before this stretch
            values = states[part[1]][b, probes[p, 0]]
            for k in range(probes[p, 2], probes[p, 3]):
                trace[b, at + chosen[k, 1]] = values[chosen[k, 0]]


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True)
def publish(b, t, step, spans, listed, lists, history, event_step, event_id, events, emitted):
    """Append the spikes of a step to the events of a sample, in the order of neurons."""
    slot, count = t % history, events[b]
    for span in range(len(spans)):
        first, node = spans[span, 0], spans[span, 1]
        for k in range(listed[b, slot, span]):
            neuron = node + lists[b, slot, first + k]
            event_step[b, count] = step
            event_id[b, count] = neuron
            emitted[b, neuron] += 1
            count += 1
    events[b] = count


@njit(error_model="numpy", nogil=True, cache=True, _nrt=False)
def simulate(
    rank, size, team, low, high, first, begin, steps, scratch, epoch, history, phases, tiles, parts, spans, jobs,
    weights, ports, factors, states, scalars, vectors, listed, lists, given, ext_in, poisson, poisson_weights,
    thresholds, key, probes, chosen, trace, event_step, event_id, events, emitted, active, done,
):  # fmt: skip
    """Run samples ``low .. high - 1`` from step ``first + begin`` on, as one of ``size`` threads that share the tiles.

    All threads of a team leave together: after ``steps``, or when the events of one more epoch might not fit.
    ``done[rank]`` is how far they came.
    """
    counts, sums, drawn, flags, used, dirty, own_ext, large, image, merged = scratch
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
                        deliver_step(
                            b,
                            t,
                            tile,
                            jobs,
                            weights,
                            spans,
                            listed,
                            lists,
                            history,
                            given,
                            counts,
                            sums,
                            used,
                            dirty,
                            image,
                            merged,
                        )
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
                            fired = collect(flags, n, mine)
                            offset = start - spans[span, 1]
                            if offset > 0:
                                for k in range(fired):
                                    mine[k] += offset
                            listed[b, slot, span] = fired
                            active[b, p] += active_flags(flags, n)
                            if part[11] > part[10]:
                                record_traces(b, t, part, probes, chosen, states, trace)
                        if tile[7] > 0:
                            counts[: tile[4]] = 0
                            used[: tile[7]] = 0
                            dirty[: tile[1] - tile[0]] = 0
            if size > 1:
                wait(team, size)
        # the threads agree: what this one reads was written before the last meeting, what it writes counts at the next
        stop = done[len(done) - 1] == end if size > 1 else False
        if rank == 0 or size == 1:
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
