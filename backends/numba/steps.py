"""Parts of a step that not every network has: compiled apart, called by the loop through their addresses.

The columns of the tables are those of :mod:`spikesim.backends.numba.loop`.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from spikesim.backends.numba.kernels.poisson import poisson_counts
from spikesim.backends.numba.kernels.team import LENGTH
from spikesim.backends.numba.kernels.team import wait as meet
from spikesim.backends.numba.kernels.vector import (
    address_of,
    call,
    f32_at,
    f64_at,
    f64_in,
    i32_in,
    i64_at,
    i64_in,
    u8_at,
    u32_at,
    u32_in,
)
from spikesim.backends.numba.plastic.rows import AT_ARRIVE, AT_REWARD
from spikesim.backends.numba.tables import FIXED, NUMBERS, NUMBERS_SIZE, ROOM, ROOM_SIZE, SHARED_SIZE, STRETCH


def wait(team, size):
    """Wait for the other threads; 0 if one of them has left."""
    return 1 if meet(i64_at(team, LENGTH), size) else 0


def arrive(numbers, shared, room, b, t, number, sums):
    """Deliver over the rows (source and delay) of plastic synapses over which spikes arrive at step ``t``."""
    o, e, r = i64_at(numbers, NUMBERS_SIZE), i64_at(shared, SHARED_SIZE), i64_at(room, ROOM_SIZE)
    job, spans, pointers = i64_in(e, FIXED.jobs)[number], i64_in(e, FIXED.spans), i64_in(e, STRETCH.pointers)
    listed, lists, identities = i64_in(e, FIXED.listed), i32_in(e, FIXED.lists), i32_in(e, STRETCH.identities)[0]
    rows, n, delays, history = i64_in(r, ROOM.rows)[0], 0, job[5], o[NUMBERS.history]
    for k in range(delays):
        emitted = t - job[4] - k
        if emitted < 0:
            break
        if job[1] >= 0:
            line, at = job[1] * o[NUMBERS.samples] + b, emitted - o[NUMBERS.since]
            for i in range(pointers[line, at], pointers[line, at + 1]):
                rows[n] = identities[i] * delays + k
                n += 1
        else:
            line = b * history + emitted % history
            for span in range(job[2], job[3]):
                first = spans[span, 0]
                for i in range(listed[line, span]):
                    rows[n] = lists[line, first + i] * delays + k
                    n += 1
    if n > 0:
        own = i64_in(e, FIXED.plastic)[b * len(i64_in(e, FIXED.learned)) + job[6]]
        call(own[AT_ARRIVE], (address_of(own), r[ROOM.learning], t, address_of(rows), n, sums + 8 * job[8]))
    return 0


def pay(numbers, shared, room, b, t, number):
    """Reward the plastic synapses of a part with what their modulators emitted at step ``t``."""
    o, e, r = i64_at(numbers, NUMBERS_SIZE), i64_at(shared, SHARED_SIZE), i64_at(room, ROOM_SIZE)
    part, learned, pointers = i64_in(e, FIXED.parts)[number], i64_in(e, FIXED.learned), i64_in(e, STRETCH.pointers)
    listed, amounts = i64_in(e, FIXED.listed), f64_in(e, STRETCH.amounts)[0]
    for k in range(part[12], part[13]):
        modulator, value = learned[k, 0], 0.0
        if modulator >= 0:
            line, at = modulator * o[NUMBERS.samples] + b, t - o[NUMBERS.since]
            for i in range(pointers[line, at], pointers[line, at + 1]):
                value += amounts[i] if len(amounts) > 0 else 1.0
        elif modulator == -1:
            for span in range(learned[k, 1], learned[k, 2]):
                value += listed[b * o[NUMBERS.history] + t % o[NUMBERS.history], span]
        if value != 0.0:
            own = i64_in(e, FIXED.plastic)[b * len(learned) + k]
            call(own[AT_REWARD], (address_of(own), r[ROOM.learning], t, value))
    return 0


def draw(shared, room, b, t, number, ext):
    """Draw the Poisson drives of a part; returns the address of the drives of the step, these included."""
    e, r = i64_at(shared, SHARED_SIZE), i64_at(room, ROOM_SIZE)
    part, poisson, key = i64_in(e, FIXED.parts)[number], i64_in(e, FIXED.poisson), u32_in(e, FIXED.key)[0]
    thresholds, weights = e[FIXED.thresholds], f64_in(e, FIXED.poisson_weights)[0]
    large, own = i32_in(r, ROOM.large)[0], f64_in(r, ROOM.own_ext)[0]
    if len(large) > 0:  # drives are added up in a copy
        given = f64_at(ext, len(own))
        for k in range(len(own)):
            own[k] = given[k]
        ext = r[ROOM.own_ext]
    for p in range(part[8], part[9]):
        row = poisson[p]
        table, index, padded = u32_at(thresholds + 4 * row[2], row[3] - row[2]), b * row[6] + row[5], row[9]
        if row[0] == 1:
            poisson_counts(u8_at(r[ROOM.drawn] + row[7], padded), table, t, row[1], key[0], key[1], index)
        else:
            bytes_ = u8_at(r[ROOM.flags], padded)
            large[:padded] = 0
            for part_of_mean in range(row[4]):  # a large mean is the sum of equal parts, each of which fits a byte
                poisson_counts(bytes_, table, t | part_of_mean << 48, row[1], key[0], key[1], index)
                for j in range(padded):
                    large[j] += bytes_[j]
            for j in range(row[8]):
                own[row[7] + j] = large[j] * weights[p]
    return ext


def record(shared, b, t, number):
    """Copy the probed states of a part at the end of a step."""
    e = i64_at(shared, SHARED_SIZE)
    part, probes, chosen = i64_in(e, FIXED.parts)[number], i64_in(e, STRETCH.probes), i64_in(e, STRETCH.chosen)
    trace, group = f64_in(e, STRETCH.trace)[b], i64_in(e, FIXED.groups)[part[1]]
    n, item = group[4], group[5]
    for p in range(part[10], part[11]):
        every = probes[p, 1]
        if t % every == 0:
            at = probes[p, 4] + t // every * probes[p, 5]  # the base accounts for the rows before this stretch
            start = group[1] + item * (b * group[6] + probes[p, 0] * n)
            for k in range(probes[p, 2], probes[p, 3]):
                if item == 8:
                    trace[at + chosen[k, 1]] = f64_at(start, n)[chosen[k, 0]]
                else:
                    trace[at + chosen[k, 1]] = f32_at(start, n)[chosen[k, 0]]
    return 0
