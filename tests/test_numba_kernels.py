"""The kernels of the numba backend against plain numpy."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import sys
import threading

import numpy as np
import pytest
from numba import njit

from spikesim.backends.numba.kernels import vector
from spikesim.rng import Stream

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
