"""The generator of :mod:`spikesim.rng` for numba: the same words, in blocks of 64 indices that vectorise."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
# ruff: noqa: D103

import numpy as np
from numba import njit

from spikesim.rng import PARITY

_PARITY = np.uint32(PARITY)


@njit(inline="always")
def _round(x, y, turn):
    x = np.uint32(x + y)
    y = np.uint32(np.uint32(np.uint32(y << np.uint32(turn)) | np.uint32(y >> np.uint32(32 - turn))) ^ x)
    return x, y


@njit(inline="always")
def _four_rounds(a, b, c, d, t0, t1, t2, t3, t4, t5, t6, t7):
    a, b = _round(a, b, t0)
    c, d = _round(c, d, t1)
    a, d = _round(a, d, t2)
    c, b = _round(c, b, t3)
    a, b = _round(a, b, t4)
    c, d = _round(c, d, t5)
    a, d = _round(a, d, t6)
    c, b = _round(c, b, t7)
    return a, b, c, d


@njit(inline="always")
def _inject(a, b, c, d, ka, kb, kc, kd, n):
    return np.uint32(a + ka), np.uint32(b + kb), np.uint32(c + kc), np.uint32(np.uint32(d + kd) + np.uint32(n))


@njit(error_model="numpy", nogil=True, cache=True)
def fill_block(out, at, block, step_low, step_high, stream, k0, k1):
    """Write the words of the 64 indices of one block to ``out[at : at + 64]``."""
    z = np.uint32(0)
    k4 = np.uint32(np.uint32(k0 ^ k1) ^ _PARITY)
    for lane in range(16):
        a = np.uint32(np.uint32(block * 16 + lane) + k0)
        b = np.uint32(step_low + k1)
        c, d = stream, step_high
        a, b, c, d = _four_rounds(a, b, c, d, 10, 26, 11, 21, 13, 27, 23, 5)
        a, b, c, d = _inject(a, b, c, d, k1, z, z, k4, 1)
        a, b, c, d = _four_rounds(a, b, c, d, 6, 20, 17, 11, 25, 10, 18, 20)
        a, b, c, d = _inject(a, b, c, d, z, z, k4, k0, 2)
        a, b, c, d = _four_rounds(a, b, c, d, 10, 26, 11, 21, 13, 27, 23, 5)
        a, b, c, d = _inject(a, b, c, d, z, k4, k0, k1, 3)
        a, b, c, d = _four_rounds(a, b, c, d, 6, 20, 17, 11, 25, 10, 18, 20)
        a, b, c, d = _inject(a, b, c, d, k4, k0, k1, z, 4)
        a, b, c, d = _four_rounds(a, b, c, d, 10, 26, 11, 21, 13, 27, 23, 5)
        a, b, c, d = _inject(a, b, c, d, k0, k1, z, z, 5)
        out[at + lane] = a
        out[at + 16 + lane] = b
        out[at + 32 + lane] = c
        out[at + 48 + lane] = d


@njit(error_model="numpy", nogil=True, cache=True)
def fill_bits(out, step, stream, k0, k1, offset):
    """Fill ``out`` (uint32, a multiple of 64) with the words of the indices from ``offset`` (likewise) on."""
    low, high = np.uint32(step & np.uint64(0xFFFFFFFF)), np.uint32(step >> np.uint64(32))
    for g in range(len(out) // 64):
        fill_block(out, g * 64, offset // 64 + g, low, high, stream, k0, k1)


@njit(error_model="numpy", nogil=True, cache=True)
def fill_poisson(out, thresholds, step, stream, k0, k1, offset):
    """Fill ``out`` (int32, a multiple of 64) with Poisson counts of the indices from ``offset`` (likewise) on."""
    at_step, at_stream = np.uint64(step), np.uint32(stream)
    low, high = np.uint32(at_step & np.uint64(0xFFFFFFFF)), np.uint32(at_step >> np.uint64(32))
    words = np.empty(64, np.uint32)
    for g in range(len(out) // 64):
        fill_block(words, 0, offset // 64 + g, low, high, at_stream, k0, k1)
        counts = out[g * 64 : g * 64 + 64]
        for j in range(64):
            counts[j] = 0
        for k in range(len(thresholds)):
            limit = thresholds[k]
            for j in range(64):
                counts[j] += np.int32(1) if words[j] >= limit else np.int32(0)
