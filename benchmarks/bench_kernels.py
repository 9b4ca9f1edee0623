"""Cost of the hot loops of the numba backend on one thread; one line each.

    python benchmarks/bench_kernels.py [word of the name ...]

A figure is the best of several repeats, in nanoseconds per unit. The calls are looped inside compiled code.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import njit

from spikesim.backends.numba.kernels.bitmap import add_bitmap
from spikesim.backends.numba.kernels.collect import collect
from spikesim.backends.numba.kernels.conv import add_conv, add_image, conv_weights, padded_channels
from spikesim.backends.numba.kernels.dense import add_dense
from spikesim.backends.numba.kernels.inputs import count_inputs, list_inputs
from spikesim.backends.numba.kernels.poisson import poisson_counts
from spikesim.backends.numba.kernels.rows import add_rows16, add_segments
from spikesim.equations.random_kernels import fill_poisson
from spikesim.rng import poisson_thresholds

RNG = np.random.default_rng(1)
BENCHES: dict[str, Callable[[], Any]] = {}
jit = njit(error_model="numpy", nogil=True)


def bench(name: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Enter a function that yields (case, unit, units of a call, function, arguments)."""

    def enter(function):
        BENCHES[name] = function
        return function

    return enter


def best(function, arguments, repeats=9, budget=0.02):
    """Seconds of one call: the best of some runs of about `budget` seconds."""
    function(*arguments)
    start = time.perf_counter()
    function(*arguments)
    inner = max(1, int(budget / (time.perf_counter() - start + 1e-9)))
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(inner):
            function(*arguments)
        found.append((time.perf_counter() - start) / inner)
    return min(found)


def sources(n_pre, n):
    return np.sort(RNG.choice(n_pre, n, replace=n > n_pre)).astype(np.int32)


@jit
def bitmaps(counts, bits, words, ids, n):
    for first in range(0, len(ids), n):
        counts[:] = 0
        add_bitmap(counts, bits, words, ids[first:], n)


@bench("bitmap")
def bitmap_cases():
    for n_pre, words, density in ((12_500, 98, 0.1), (1000, 98, 0.1), (8000, 25, 0.1), (12_500, 98, 0.02)):
        bits = np.packbits(RNG.random((n_pre, 64 * words), np.float32) < density, bitorder="little").view(np.uint64)
        for rows in (3, 37, 200):
            ids = np.concatenate([sources(n_pre, rows) for _ in range(40)])
            units = 40 * rows * 64 * words * density
            case = f"{rows} of {n_pre} x {64 * words} at {density:.0%}, {bits.nbytes / 2**20:.1f} MiB"
            yield case, "set bit", units, bitmaps, (np.zeros(64 * words, np.uint8), bits, words, ids, rows)


@jit
def poissons(function, out, thresholds, steps):
    for step in range(steps):
        function(out, thresholds, step, 123, 5, 6, 64)


@bench("poisson")
def poisson_cases():
    out = np.zeros(6400, np.uint8)
    for mean in (0.13, 0.23, 1.0, 2.0, 6.0):
        for name, function in (("fill_poisson", fill_poisson), ("poisson_counts", poisson_counts)):
            yield f"{name}, mean {mean:g}", "draw", 100 * 6400, poissons, (function, out, poisson_thresholds(mean), 100)


@jit
def sparse_rows(counts, indptr, targets, ids, n):
    for first in range(0, len(ids), n):
        counts[:] = 0
        add_rows16(counts, indptr, targets, ids[first:], n)


@bench("rows16")
def row_cases():
    for n_pre, n_post, fan_out, n in ((4000, 4000, 80, 5), (12_500, 6250, 625, 37), (12_500, 6250, 30, 37)):
        lengths = RNG.poisson(fan_out, n_pre)
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32)
        targets = RNG.integers(0, n_post, indptr[-1], dtype=np.uint16)
        ids = np.concatenate([sources(n_pre, n) for _ in range(50)])
        case = f"{n} of {n_pre} x {n_post}, {fan_out} each, {targets.nbytes / 2**20:.1f} MiB"
        yield case, "event", lengths[ids].sum(), sparse_rows, (np.zeros(n_post, np.uint8), indptr, targets, ids, n)


@jit
def segments(sums, first, delays, targets, weights, ids, starts):
    for t in range(len(starts) - 1 - delays):
        for k in range(delays):
            low, high = starts[t + k], starts[t + k + 1]
            add_segments(sums, len(sums), first, delays, k, k, targets, weights, ids[low:], high - low)


@bench("segments")
def segment_cases():
    nets = ((7700, 3850, 1950, 45, 3), (20_000, 20_000, 100, 10, 8), (2000, 4000, 400, 1, 20))
    for n_pre, n_post, fan_out, delays, rate in (*nets, (40_000, 20_000, 1900, 45, 13)):
        lengths = RNG.poisson(fan_out / delays, n_pre * delays)
        first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32)
        targets = RNG.integers(0, n_post, first[-1], dtype=np.uint16)
        weights = RNG.integers(-(2**30), 2**30, first[-1], dtype=np.int32)
        spikes = RNG.poisson(rate, 60 + delays)
        starts = np.concatenate([[0], np.cumsum(spikes)])
        ids = np.concatenate([sources(n_pre, s) for s in spikes])
        events = sum(
            lengths[ids[starts[t + k] : starts[t + k + 1]] * delays + k].sum() for t in range(60) for k in range(delays)
        )
        case = f"{n_pre} x {n_post}, {fan_out} each, {delays} delays, {6 * len(weights) / 2**20:.0f} MiB"
        yield case, "event", events, segments, (np.zeros(n_post), first, delays, targets, weights, ids, starts)


@jit
def matrices(sums, weights, stride, ids, n):
    for first in range(0, len(ids), n):
        add_dense(sums, weights, stride, ids[first:], n)


@bench("dense")
def dense_cases():
    for n_pre, n_post, n in ((784, 512, 100), (1000, 1024, 10), (512, 10, 20), (4000, 4096, 150)):
        for kind in (np.int32, np.float64):
            weights = RNG.integers(-(2**30), 2**30, n_pre * n_post).astype(kind)
            ids = np.concatenate([sources(n_pre, n) for _ in range(30)])
            case = f"{n} of {n_pre} x {n_post}, {np.dtype(kind)}, {weights.nbytes / 2**20:.1f} MiB"
            yield case, "weight", len(ids) * n_post, matrices, (np.zeros(n_post), weights, n_post, ids, n)


@bench("conv")
def conv_cases():
    images = (((2, 34, 34), 16, 5, 0.05), ((16, 16, 16), 32, 3, 0.1), ((64, 32, 32), 64, 3, 0.05))
    for pre, out, kernel, share in images:
        shape = np.array([*pre[1:], kernel, kernel, 1, kernel // 2, *pre[1:], padded_channels(out)])
        weights = conv_weights(RNG.integers(-(2**30), 2**30, (out, pre[0], kernel, kernel), dtype=np.int32), 1)
        image = np.zeros(pre[1] * pre[2] * padded_channels(out))
        ids = np.flatnonzero(RNG.random(np.prod(pre)) < share).astype(np.int32)
        arguments = (image, weights, shape, ids, np.zeros(0), len(ids))
        case = f"{pre} to {out}, kernel {kernel}, {share:.0%} active"
        yield case, "weight (edges counted)", len(ids) * kernel**2 * out, add_conv, arguments
        sums = np.zeros(out * pre[1] * pre[2])
        yield f"{case}: transposition", "neuron", len(sums), add_image, (sums, image, padded_channels(out))


@jit
def scans(function, flags, out, times):
    found = 0
    for _ in range(times):
        found += function(flags, len(flags), out, 0)[0]
    return found


@bench("collect")
def collect_cases():
    for share in (0.0, 0.003, 0.1):
        flags = (RNG.random(6250) < share).astype(np.uint8)
        arguments = (collect, flags, np.zeros(6250, np.int32), 100)
        yield f"collect, {share:.1%} of 6250 fired", "neuron", 100 * 6250, scans, arguments


@bench("inputs")
def input_cases():
    for n, share in ((700, 0.01), (784, 0.1), (2312, 0.01)):
        raster = (RNG.random((50, 32, n)) < share).astype(np.uint8)
        values = raster * RNG.standard_normal(raster.shape)
        starts = np.zeros((32, 51), np.int64)
        count_inputs(raster, starts)
        ids = np.zeros(starts[-1, -1], np.int32)
        for name, given, out in (("spikes", raster, np.zeros(0)), ("values", values, np.zeros(len(ids)))):
            case = f"of 50 x 32 x {n}, {share:.0%} {name}"
            yield f"count_inputs {case}", "entry", raster.size, count_inputs, (given, starts)
            yield f"list_inputs {case}", "entry", raster.size, list_inputs, (given, starts, ids, out)


def rows(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """Yield name, case, unit and nanoseconds per unit of each bench whose name has one of the words, or of all."""
    for name, cases in BENCHES.items():
        if not wanted or any(word in name for word in wanted):
            for case, unit, units, function, arguments in cases():
                yield {"name": name, "case": case, "unit": unit, "ns": best(function, arguments) / units * 1e9}


if __name__ == "__main__":
    for row in rows(sys.argv[1:]):
        print(f"{row['name']:12} {row['case']:52} {row['ns']:7.3f} ns per {row['unit']}", flush=True)
