"""The kernels of the numba backend against plain numpy."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import subprocess
import sys
import threading

import numpy as np
import pytest
from numba import njit

from spikesim.backends.numba.kernels import bitmap, collect, conv, dense, inputs, poisson, rows, team, vector
from spikesim.connect import Conv2d
from spikesim.rng import Stream, poisson_thresholds

RNG = np.random.default_rng(1)
jit = njit(error_model="numpy", nogil=True)


# ----------------------------------------------------------------------------------------------------------- vector


@jit
def bit_counts(words, low, ones):
    for k in range(len(words)):
        vector.prefetch(words, k + 1000)  # past the end: must not be a fault
        low[k] = vector.trailing_zeros(words[k])
        ones[k] = vector.count_ones(words[k])


def test_bits_of_words_are_counted():
    words = RNG.integers(1, 2**64, 200, dtype=np.uint64) & RNG.integers(1, 2**64, 200, dtype=np.uint64)
    words[:3] = 2**63, 1, 2**64 - 1
    low, ones = np.zeros(200, np.int64), np.zeros(200, np.int64)
    bit_counts(words, low, ones)
    texts = [f"{int(w):064b}" for w in words]
    assert ones.tolist() == [t.count("1") for t in texts]
    assert low.tolist() == [t[::-1].index("1") for t in texts]


@jit
def sums_at(u8, u16, i32, u32, i64, u64, f32, f64, n):
    return (
        vector.u8_at(u8, n).sum(), vector.u16_at(u16, n).sum(), vector.i32_at(i32, n).sum(),
        vector.u32_at(u32, n).sum(), vector.i64_at(i64, n).sum(), vector.u64_at(u64, n).sum(),
        vector.f32_at(f32, n).sum(), vector.f64_at(f64, n).sum(),
    )  # fmt: skip


def test_arrays_over_raw_memory():
    kinds = [np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64]
    arrays = [np.arange(10, 30).astype(kind) for kind in kinds]
    for array in arrays:
        array[-1] = np.iinfo(array.dtype).max // 2 + 1 if array.dtype.kind in "ui" else 0.5  # the sign would show
    found = sums_at(*(a.ctypes.data for a in arrays), 20)
    assert [float(s) for s in found] == [float(a.sum(dtype=a.dtype if a.itemsize > 4 else None)) for a in arrays]


@jit
def add_many(counters, start, n):
    while vector.atomic_load(counters, 8) == 0:
        vector.relax()
    for _ in range(n):
        vector.atomic_add(counters, 0, start)


@jit
def go(counters):
    vector.atomic_store(counters, 8, 1)


def test_atomic_additions_of_two_threads_do_not_get_lost():
    counters = np.zeros(16, np.int64)
    add_many(np.ones(16, np.int64), 1, 1)
    threads = [threading.Thread(target=add_many, args=(counters, k, 100_000)) for k in (1, 1000)]
    for thread in threads:
        thread.start()
    go(counters)
    for thread in threads:
        thread.join()
    assert counters[0] == 1001 * 100_000


# ------------------------------------------------------------------------------------------------------------- team


@jit
def in_step(state, size, me, seen, n):
    """Write the round, wait, and count the rounds in which another thread is not in the same one."""
    wrong = 0
    for k in range(n):
        seen[16 * me] = k
        team.wait(state, size)
        for other in range(size):
            wrong += vector.atomic_load(seen, 16 * other) != k
        team.wait(state, size)
    vector.atomic_add(seen, 16 * size, wrong)


@jit
def rounds_until_left(state, size, rounds):
    while team.wait(state, size):
        rounds[0] += 1


needs_threads = pytest.mark.skipif(not team.available(), reason="no POSIX threads here")


def start(function, *arguments):
    threads = [threading.Thread(target=function, args=a, daemon=True) for a in arguments]
    for thread in threads:
        thread.start()
    return threads


def all_done(threads):
    for thread in threads:
        thread.join(60)
    return not any(thread.is_alive() for thread in threads)


@needs_threads
@pytest.mark.parametrize(("size", "rounds"), [(2, 5000), (3, 200)])
def test_a_barrier_keeps_threads_in_step_beside_a_busy_process(size, rounds):
    seen = np.zeros(16 * size + 1, np.int64)
    in_step(team.new_team(), 1, 0, np.zeros(17, np.int64), 1)
    with subprocess.Popen([sys.executable, "-c", "import sys\nwhile sys.stdin: pass"]) as busy:
        state = team.new_team()
        done = all_done(start(in_step, *((state, size, me, seen, rounds) for me in range(size))))
        busy.kill()
    assert done
    assert seen[16 * size] == 0


@needs_threads
def test_nobody_sleeps_on_when_one_has_left():
    rounds_until_left(_left(), 2, np.zeros(1, np.int64))
    state, rounds = team.new_team(), np.zeros(1, np.int64)
    waiting = start(rounds_until_left, (state, 3, rounds), (state, 3, rounds))
    waiting[0].join(0.05)  # long past the spinning
    assert all(thread.is_alive() for thread in waiting)
    assert state[team.SLEEPERS] == 2
    team.leave(state)
    assert all_done(waiting)
    assert rounds[0] == 0
    rounds_until_left(state, 2, rounds)  # who comes later does not wait either


def _left():
    state = team.new_team()
    team.leave(state)
    return state


CACHED = """
import numpy as np, threading
from numba import njit
from spikesim.connect import Conv2d
from spikesim.backends.numba.kernels import team
@njit(cache=True, error_model="numpy", nogil=True)
def meet(state, n):
    for _ in range(n):
        team.wait(state, 2)
def main():
    state = team.new_team()
    meet(state, 0)
    threads = [threading.Thread(target=meet, args=(state, 50)) for _ in range(2)]
    for t in threads: t.start()
    for t in threads: t.join()
    print(sum(meet.stats.cache_hits.values()))
"""


@needs_threads
def test_compiled_barriers_work_from_the_disk_cache_of_another_process(tmp_path):
    """No address of this process may be baked into the code."""
    (tmp_path / "meeting.py").write_text(CACHED)
    hits = [
        subprocess.run(
            [sys.executable, "-c", "import meeting; meeting.main()"],
            cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
        ).stdout.strip()
        for _ in range(2)
    ]  # fmt: skip
    assert hits == ["0", "1"]


# ----------------------------------------------------------------------------------------------------------- bitmap


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 37, 255])
def test_rows_of_a_bitmap_are_added(n):
    words = 3
    bits = RNG.random((50, 64 * words)) < 0.3
    ids = RNG.integers(0, 50, n + 5).astype(np.int32)
    counts = np.zeros(64 * words, np.uint8)
    bitmap.add_bitmap(counts, np.packbits(bits, bitorder="little").view(np.uint64), words, ids, n)
    assert counts.tolist() == bits[ids[:n]].sum(axis=0).tolist()


def test_rows_of_a_bitmap_add_to_what_is_there():
    counts = np.arange(64, dtype=np.uint8)
    bitmap.add_bitmap(counts, np.array([0, 1 << 63 | 1], np.uint64), 1, np.array([1], np.int32), 1)
    assert counts.tolist() == [1, *range(1, 63), 64]


# ---------------------------------------------------------------------------------------------------------- poisson


@pytest.mark.parametrize("mean", [0.0, 0.02, 0.2, 1.0, 2.0, 6.0])
def test_poisson_counts_are_those_of_the_stream(mean):
    stream = Stream(2**63 + 5, "drive")
    for blocks, offset, step in ((1, 0, 0), (2, 64, 7), (151, 6400, 2**40 + 2**31)):
        out = np.full(64 * blocks, 99, np.uint8)
        poisson.poisson_counts(out, poisson_thresholds(mean), step, stream.id, *stream.key, offset)
        assert out.tolist() == stream.poisson(64 * blocks, mean, step, offset).tolist()


# ------------------------------------------------------------------------------------------------------------- rows


def random_rows(sources, delays, size):
    """Segments of random length, some empty; the highest target stands in a row more than once."""
    lengths = RNG.integers(0, 40, sources * delays)
    lengths[::5] = 0
    first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32)
    targets = RNG.integers(0, size, first[-1]).astype(np.uint16)
    targets[::11] = size - 1
    return first, targets


def added(first, targets, weights, ids, values, delays=1, k=0, size=65536):
    """Add one synapse after the other."""
    sums = np.zeros(size)
    for source, value in zip(ids.tolist(), values.tolist(), strict=True):
        row = slice(first[source * delays + k], first[source * delays + k + 1])
        np.add.at(sums, targets[row], weights[row] * value)
    return sums


@pytest.mark.parametrize("n", [0, 1, 2, 30])
def test_rows_are_counted(n):
    indptr, targets = random_rows(40, 1, 65536)
    ids, counts = RNG.permutation(40).astype(np.int32), np.zeros(65536, np.uint8)
    rows.add_rows16(counts, indptr, targets, ids, n)
    assert (counts == added(indptr, targets, np.ones(len(targets)), ids[:n], np.ones(n))).all()


@pytest.mark.parametrize("kind", [np.int32, np.float64])
@pytest.mark.parametrize(
    ("delays", "k", "last", "n"),
    [(1, 0, 0, 20), (3, 0, 0, 7), (3, 2, 2, 40), (3, 1, 1, 0), (5, 1, 3, 40), (5, 0, 4, 9)],
)
def test_segments_of_neighbouring_delays_are_added(kind, delays, k, last, n):
    first, targets = random_rows(40, delays, 1000)
    weights = RNG.integers(-(2**30), 2**30, len(targets)).astype(kind)
    ids, values = RNG.permutation(40).astype(np.int32), RNG.integers(-9, 9, 40) / 4
    sums, graded = np.zeros((last - k + 1, 1000)), np.zeros((last - k + 1, 1000))
    rows.add_segments(sums.reshape(-1), 1000, first, delays, k, last, targets, weights, ids, n)
    rows.add_segments_values(graded.reshape(-1), 1000, first, delays, k, last, targets, weights, ids, values, n)
    for d in range(k, last + 1):
        assert (sums[d - k] == added(first, targets, weights, ids[:n], np.ones(n), delays, d, 1000)).all()
        assert (graded[d - k] == added(first, targets, weights, ids[:n], values[:n], delays, d, 1000)).all()


# ------------------------------------------------------------------------------------------------------------ dense


@pytest.mark.parametrize("kind", [np.int32, np.float64])
@pytest.mark.parametrize(("size", "n"), [(200, 0), (10, 1), (64, 3), (203, 20)])
def test_rows_of_a_matrix_are_added(kind, size, n):
    stride = size + 3
    weights = RNG.integers(-(2**30), 2**30, (30, stride)).astype(kind)
    ids, values = RNG.permutation(30).astype(np.int32), RNG.integers(-9, 9, 30) / 4
    sums, graded = np.arange(size) / 2, np.arange(size) / 2
    dense.add_dense(sums, weights.reshape(-1), stride, ids, n)
    dense.add_dense_values(graded, weights.reshape(-1), stride, ids, values, n)
    chosen = weights[ids[:n], :size].astype(float)
    assert (sums == np.arange(size) / 2 + chosen.sum(axis=0)).all()
    assert (graded == np.arange(size) / 2 + values[:n] @ chosen).all()


def test_weights_without_a_grid_are_added_in_the_order_of_the_sources():
    weights, ids = RNG.random((30, 75)), np.arange(30, dtype=np.int32)
    sums, parts = np.zeros(75), np.zeros(75)
    dense.add_dense(sums, weights.reshape(-1), 75, ids, 30)
    dense.add_dense(parts[:9], weights.reshape(-1), 75, ids, 30)
    dense.add_dense(parts[9:], weights.reshape(-1)[9:], 75, ids, 30)
    assert (sums == np.cumsum(weights, axis=0)[-1]).all()
    assert (parts == sums).all()


# ------------------------------------------------------------------------------------------------------------- conv


@pytest.mark.parametrize("kind", [np.int32, np.float64])
@pytest.mark.parametrize(
    ("pre", "channels", "kernel", "stride", "padding"),
    [
        ((3, 9, 10), 8, (3, 3), 1, 1),
        ((16, 6, 16), 16, (5, 3), 1, 2),
        ((3, 9, 10), 20, (3, 4), 2, 1),
        ((2, 9, 10), 5, (5, 5), 3, 0),
        ((1, 7, 7), 3, (4, 4), 2, 3),  # padding wider than what reaches the image
        ((2, 8, 6), 9, (2, 2), 3, 0),  # some inputs reach nothing
    ],
)
def test_a_convolution_from_event_to_event_is_the_matrix_product(kind, pre, channels, kernel, stride, padding):
    weights = RNG.integers(-(2**30), 2**30, (channels, pre[0], *kernel)).astype(kind)
    rule = Conv2d(weights.astype(float), stride, padding)
    _, height, width = post = rule.output_shape(pre)
    matrix, padded = rule.matrix(pre, post), conv.padded_channels(channels)
    shape = np.array([*pre[1:], *kernel, stride, padding, height, width, padded])
    active = RNG.random(matrix.shape[1]) < 0.4
    ids, values = np.flatnonzero(active).astype(np.int32), RNG.integers(-9, 9, active.sum()) / 4
    image, sums = np.zeros(height * width * padded), np.ones(matrix.shape[0])
    for given, factors in ((np.zeros(0), np.ones(len(ids))), (values, values)):
        inputs = np.zeros(matrix.shape[1])
        inputs[ids] = factors
        conv.add_conv(image, conv.conv_weights(weights, stride), shape, ids, given, len(ids))
        conv.add_image(sums, image, padded)
        assert (sums == 1 + matrix @ inputs).all()
        assert not image.any()
        sums[:] = 1


# ------------------------------------------------------------------------------------------------ collect and inputs


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000])
@pytest.mark.parametrize("density", [0.0, 0.05, 1.0])
def test_flags_become_lists(n, density):
    flags = RNG.integers(0, 4, 1024).astype(np.uint8) * (RNG.random(1024) < density)
    flags[n:] = 1  # what follows does not count
    out = np.full(n, -1, np.int32)
    found, active = collect.collect(flags, n, out, 7)
    assert (out[:found] - 7).tolist() == np.flatnonzero(flags[:n] & 1).tolist()
    assert (out[found:] == -1).all()
    assert active == np.count_nonzero(flags[:n])


def lists(raster, keep_values):
    starts = np.full((raster.shape[1], raster.shape[0] + 1), -1)
    inputs.count_inputs(raster, starts)
    ids = np.full(starts[-1, -1], -1, np.int32)
    values = np.zeros(len(ids) if keep_values else 0)
    inputs.list_inputs(raster, starts, ids, values)
    return starts, ids, values


@pytest.mark.parametrize("shape", [(5, 3, 1), (4, 2, 64), (7, 3, 150), (1, 1, 7), (3, 2, 0)])
def test_rasters_become_lists(shape):
    spikes = (RNG.random(shape) < 0.3).astype(np.uint8) * RNG.integers(1, 256, shape).astype(np.uint8)
    starts, ids, _ = lists(spikes, False)
    for b, t in np.ndindex(shape[1], shape[0]):
        assert ids[starts[b, t] : starts[b, t + 1]].tolist() == np.flatnonzero(spikes[t, b]).tolist()
    assert starts[0, 0] == 0
    assert (starts[1:, 0] == starts[:-1, -1]).all()


def test_values_become_lists():
    given = RNG.standard_normal((6, 3, 130)) * (RNG.random((6, 3, 130)) < 0.4)
    given[0, 0, :3] = -0.0, np.nan, np.inf  # minus zero is no input
    starts, ids, values = lists(given, True)
    again = np.zeros_like(given)
    for b, t in np.ndindex(3, 6):
        here = slice(starts[b, t], starts[b, t + 1])
        again[t, b, ids[here]] = values[here]
    np.testing.assert_array_equal(again, given)
    assert len(ids) == np.count_nonzero(given)
