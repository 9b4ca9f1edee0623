"""Parts of a step that depend neither on neuron models nor on representations: compiled once for all kernels.

The columns of the tables are those of :mod:`spikesim.backends.numba.loop`.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from numba import njit

from spikesim.backends.numba.kernels.bitmap import add_bitmap
from spikesim.backends.numba.kernels.conv import add_conv, add_image
from spikesim.backends.numba.kernels.poisson import poisson_counts
from spikesim.backends.numba.kernels.rows import add_rows16
from spikesim.backends.numba.kernels.vector import address_of, call, i32_at, i64_at, u16_at, u32_at, u64_at
from spikesim.backends.numba.plastic.rows import AT_REWARD


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
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


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def count_bitmap(job, weight, ids, n, counts, sums, used, dirty):
    """Count the spikes of some sources over a bitmap."""
    done, words = 0, job[7] >> 6
    while done < n:
        take = min(room(job, weight, counts, sums, used, dirty), n - done)
        add_bitmap(counts[job[6] : job[6] + job[7]], u64_at(job[10], job[11]), words, ids[done : done + take], take)
        used[job[9] & 0xFFFFF] += take * (job[9] >> 40)
        done += take


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def count_rows(job, weight, ids, n, counts, sums, used, dirty):
    """Count the spikes of some sources over rows of targets."""
    done = 0
    while done < n:
        take = min(room(job, weight, counts, sums, used, dirty), n - done)
        indptr, targets = u32_at(job[10], job[11]), u16_at(job[12], job[13])
        add_rows16(counts[job[6] : job[6] + job[7]], indptr, targets, ids[done : done + take], take)
        used[job[9] & 0xFFFFF] += take * (job[9] >> 40)
        done += take


@njit(error_model="numpy", nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def convolve(job, sums, ids, values, n, image):
    """Add the patches of some inputs to the sums of a population that is an image."""
    shape, own = i64_at(job[12], job[13]), image[: job[6]]
    add_conv(own, i32_at(job[10], job[11]), shape, ids, values, n)
    add_image(sums, own, shape[8])


@njit(error_model="numpy", nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def arriving(b, t, job, spans, listed, lists, history, given, rows):
    """List the rows (source and delay) of plastic synapses over which spikes arrive at step ``t``."""
    pointers, identities, _, begin = given
    n, delays = 0, job[5]
    for k in range(delays):
        emitted = t - job[4] - k
        if emitted < 0:
            break
        if job[1] >= 0:
            row = emitted - begin
            for i in range(pointers[job[1], b, row], pointers[job[1], b, row + 1]):
                rows[n] = identities[i] * delays + k
                n += 1
        else:
            slot = emitted % history
            for span in range(job[2], job[3]):
                first = spans[span, 0]
                for i in range(listed[b, slot, span]):
                    rows[n] = lists[b, slot, first + i] * delays + k
                    n += 1
    return n


@njit(error_model="numpy", nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def pay(b, t, part, learned, plastic, room, listed, history, given):
    """Reward the plastic synapses of a part with what their modulators emitted at step ``t``."""
    pointers, _, amounts, begin = given
    for k in range(part[12], part[13]):
        modulator, value = learned[k, 0], 0.0
        if modulator >= 0:
            low, high = pointers[modulator, b, t - begin], pointers[modulator, b, t - begin + 1]
            for i in range(low, high):
                value += amounts[i] if len(amounts) > 0 else 1.0
        elif modulator == -1:
            for span in range(learned[k, 1], learned[k, 2]):
                value += listed[b, t % history, span]
        if value != 0.0:
            own = plastic[b, k]
            call(own[AT_REWARD], (address_of(own), address_of(room), t, value))


@njit(error_model="numpy", nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def gather(b, slot, low, high, spans, listed, lists, merged):
    """Put the spike lists of some parts one behind the other."""
    n = 0
    for span in range(low, high):
        first = spans[span, 0]
        for k in range(listed[b, slot, span]):
            merged[n] = lists[b, slot, first + k]
            n += 1


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
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


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
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
