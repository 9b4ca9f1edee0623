"""What is done with the spikes of one source over one table of synapses: one function per representation.

All take the addresses of a thread's memory and of the row of the job, then of the sums, of ``n`` sources and of their
values (of spikes there are none). Over segments the spikes of a step are delivered for some steps at once: delays
number ``k`` to ``last`` into the sums from ``at`` on. A network compiles those that it needs
(:mod:`spikesim.backends.numba.compiled`). Plastic synapses are not among them: they take the spikes of all delays of a
step at once, through the functions of their rule.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from numba import njit

from spikesim.backends.numba.kernels.bitmap import add_bitmap
from spikesim.backends.numba.kernels.conv import add_conv, add_image
from spikesim.backends.numba.kernels.dense import add_dense, add_dense_values
from spikesim.backends.numba.kernels.rows import add_rows16, add_segments, add_segments_values
from spikesim.backends.numba.kernels.vector import f64_at, i32_at, i64_at, u8_at, u16_at, u32_at, u64_at
from spikesim.backends.numba.tables import JOB_SIZE, ROOM, ROOM_SIZE

KINDS = (
    "bitmap", "rows", "segments32", "segments64", "segments32_values", "segments64_values", "dense32", "dense64",
    "dense32_values", "dense64_values", "conv", "conv_values",
)  # fmt: skip
PLASTIC = len(KINDS)
NUMBER = {**{name: k for k, name in enumerate(KINDS)}, "plastic": PLASTIC}


@njit(error_model="numpy", nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def vacant(job, counts, room, sums):
    """How many rows may still be counted before a byte could overflow; moves the counters to the sums if none."""
    j, r = i64_at(job, JOB_SIZE), i64_at(room, ROOM_SIZE)
    used, most = i64_at(r[ROOM.used] + 8 * (j[9] & 0xFFFFF), 1), j[9] >> 40
    free = (255 - used[0]) // most
    if free == 0:
        own, weight = f64_at(sums + 8 * j[8], j[7]), f64_at(job, JOB_SIZE)[16]
        for k in range(j[7]):
            own[k] += weight * counts[k]
            counts[k] = 0
        i64_at(r[ROOM.dirty] + 8 * (j[9] >> 20 & 0xFFFFF), 1)[0] = 1
        used[0] = 0
        free = 255 // most
    return free


@njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def note(job, room, rows):
    """Note how often the counters of a job were added to."""
    j, r = i64_at(job, JOB_SIZE), i64_at(room, ROOM_SIZE)
    i64_at(r[ROOM.used] + 8 * (j[9] & 0xFFFFF), 1)[0] += rows * (j[9] >> 40)


def bitmap(room, job, sums, ids, values, n, k, last, at):
    """Count spikes over bits, and over rows where a pair has more than one synapse."""
    j, done = i64_at(job, JOB_SIZE), 0
    counts = u8_at(i64_at(room, ROOM_SIZE)[ROOM.counts] + j[6], j[7])
    while done < n:
        take = min(vacant(job, counts, room, sums), n - done)
        add_bitmap(counts, u64_at(j[10], j[11]), j[7] >> 6, i32_at(ids + 4 * done, take), take)
        if j[15] > 0:
            add_rows16(counts, u32_at(j[12], j[13]), u16_at(j[14], j[15]), i32_at(ids + 4 * done, take), take)
        note(job, room, take)
        done += take
    return 0


def rows(room, job, sums, ids, values, n, k, last, at):
    """Count spikes over rows of targets."""
    j, done = i64_at(job, JOB_SIZE), 0
    counts = u8_at(i64_at(room, ROOM_SIZE)[ROOM.counts] + j[6], j[7])
    while done < n:
        take = min(vacant(job, counts, room, sums), n - done)
        add_rows16(counts, u32_at(j[10], j[11]), u16_at(j[12], j[13]), i32_at(ids + 4 * done, take), take)
        note(job, room, take)
        done += take
    return 0


def segments32(room, job, sums, ids, values, n, k, last, at):
    """Add weights of int32, in units of the grid."""
    j = i64_at(job, JOB_SIZE)
    own, first, targets = f64_at(sums + 8 * at, (last - k + 1) * j[6]), u32_at(j[10], j[11]), u16_at(j[12], j[13])
    add_segments(own, j[6], first, j[5], k, last, targets, i32_at(j[14], j[15]), i32_at(ids, n), n)
    return 0


def segments32_values(room, job, sums, ids, values, n, k, last, at):
    """Add the values times weights of int32, in units of the grid."""
    j, factors = i64_at(job, JOB_SIZE), f64_at(values, n)
    own, first, targets = f64_at(sums + 8 * at, (last - k + 1) * j[6]), u32_at(j[10], j[11]), u16_at(j[12], j[13])
    add_segments_values(own, j[6], first, j[5], k, last, targets, i32_at(j[14], j[15]), i32_at(ids, n), factors, n)
    return 0


def segments64(room, job, sums, ids, values, n, k, last, at):
    """Add weights of float64."""
    j = i64_at(job, JOB_SIZE)
    own, first, targets = f64_at(sums + 8 * at, (last - k + 1) * j[6]), u32_at(j[10], j[11]), u16_at(j[12], j[13])
    add_segments(own, j[6], first, j[5], k, last, targets, f64_at(j[14], j[15]), i32_at(ids, n), n)
    return 0


def segments64_values(room, job, sums, ids, values, n, k, last, at):
    """Add the values times weights of float64."""
    j, factors = i64_at(job, JOB_SIZE), f64_at(values, n)
    own, first, targets = f64_at(sums + 8 * at, (last - k + 1) * j[6]), u32_at(j[10], j[11]), u16_at(j[12], j[13])
    add_segments_values(own, j[6], first, j[5], k, last, targets, f64_at(j[14], j[15]), i32_at(ids, n), factors, n)
    return 0


def dense32(room, job, sums, ids, values, n, k, last, at):
    """Add rows of a matrix of int32, in units of the grid."""
    j = i64_at(job, JOB_SIZE)
    add_dense(f64_at(sums + 8 * j[8], j[7]), i32_at(j[10], j[11]), j[7], i32_at(ids, n), n)
    return 0


def dense32_values(room, job, sums, ids, values, n, k, last, at):
    """Add the values times rows of a matrix of int32, in units of the grid."""
    j = i64_at(job, JOB_SIZE)
    add_dense_values(f64_at(sums + 8 * j[8], j[7]), i32_at(j[10], j[11]), j[7], i32_at(ids, n), f64_at(values, n), n)
    return 0


def dense64(room, job, sums, ids, values, n, k, last, at):
    """Add rows of a matrix of float64."""
    j = i64_at(job, JOB_SIZE)
    add_dense(f64_at(sums + 8 * j[8], j[7]), f64_at(j[10], j[11]), j[7], i32_at(ids, n), n)
    return 0


def dense64_values(room, job, sums, ids, values, n, k, last, at):
    """Add the values times rows of a matrix of float64."""
    j = i64_at(job, JOB_SIZE)
    add_dense_values(f64_at(sums + 8 * j[8], j[7]), f64_at(j[10], j[11]), j[7], i32_at(ids, n), f64_at(values, n), n)
    return 0


@njit(error_model="numpy", nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _convolve(room, job, sums, ids, values, n, valued):
    j = i64_at(job, JOB_SIZE)
    shape, image = i64_at(j[12], j[13]), f64_at(i64_at(room, ROOM_SIZE)[ROOM.image], j[6])
    add_conv(image, i32_at(j[10], j[11]), shape, i32_at(ids, n), f64_at(values, n if valued else 0), n)
    add_image(f64_at(sums + 8 * j[8], j[7]), image, shape[8])


def conv(room, job, sums, ids, values, n, k, last, at):
    """Add patches of a convolution to a population that is an image."""
    _convolve(room, job, sums, ids, values, n, False)
    return 0


def conv_values(room, job, sums, ids, values, n, k, last, at):
    """Add values times patches of a convolution."""
    _convolve(room, job, sums, ids, values, n, True)
    return 0
