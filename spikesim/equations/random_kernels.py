"""Threefry4x32-20 for numba kernels: the draws of :mod:`spikesim.rng`, bit for bit.

A draw is a function of (key, stream, step, index). One evaluation gives four words; the layout

``word = (index >> 4) & 3, lane = index & 15, counter = (index >> 6) * 16 + lane``

makes 64 consecutive indices come from 16 consecutive counters, so that stores are contiguous and loops vectorise, while
every value depends on its own index only. Blocks that start at a multiple of 64 are the fastest.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

u32 = np.uint32
PARITY: Final = u32(0x1BD11BDA)
CHUNK: Final = 1024  # words generated before they are used: stays in the first-level cache
TWO_TO_MINUS_32: Final = 2.0**-32

_jit = njit(cache=True, error_model="numpy", nogil=True)
_inline = njit(cache=True, error_model="numpy", forceinline=True)  # too large for the compiler to inline unasked


@_inline  # type: ignore[untyped-decorator]
def _mix(a: Any, b: Any, r: Any) -> Any:
    """Add, rotate, exclusive or. Numba widens 32-bit arithmetic; the casts bring it back.

    ``r`` is an uint32 and no literal, or this would be compiled once for each.
    """
    a = u32(a + b)
    return a, u32(u32(u32(b << r) | u32(b >> u32(u32(32) - r))) ^ a)


@_inline  # type: ignore[untyped-decorator]
def _even_rounds(x0: Any, x1: Any, x2: Any, x3: Any) -> Any:
    x0, x1 = _mix(x0, x1, u32(10))
    x2, x3 = _mix(x2, x3, u32(26))
    x0, x3 = _mix(x0, x3, u32(11))
    x2, x1 = _mix(x2, x1, u32(21))
    x0, x1 = _mix(x0, x1, u32(13))
    x2, x3 = _mix(x2, x3, u32(27))
    x0, x3 = _mix(x0, x3, u32(23))
    x2, x1 = _mix(x2, x1, u32(5))
    return x0, x1, x2, x3


@_inline  # type: ignore[untyped-decorator]
def _odd_rounds(x0: Any, x1: Any, x2: Any, x3: Any) -> Any:
    x0, x1 = _mix(x0, x1, u32(6))
    x2, x3 = _mix(x2, x3, u32(20))
    x0, x3 = _mix(x0, x3, u32(17))
    x2, x1 = _mix(x2, x1, u32(11))
    x0, x1 = _mix(x0, x1, u32(25))
    x2, x3 = _mix(x2, x3, u32(10))
    x0, x3 = _mix(x0, x3, u32(18))
    x2, x1 = _mix(x2, x1, u32(20))
    return x0, x1, x2, x3


@_inline  # type: ignore[untyped-decorator]
def threefry(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Four words for one counter (all arguments uint32). Key words 2 and 3 are zero, hence the missing additions."""
    parity = u32(PARITY ^ k0 ^ k1)
    x0, x1, x2, x3 = _even_rounds(u32(c0 + k0), u32(c1 + k1), u32(c2), u32(c3))
    x0, x1, x2, x3 = _odd_rounds(u32(x0 + k1), x1, x2, u32(x3 + parity + u32(1)))
    x0, x1, x2, x3 = _even_rounds(x0, x1, u32(x2 + parity), u32(x3 + k0 + u32(2)))
    x0, x1, x2, x3 = _odd_rounds(x0, u32(x1 + parity), u32(x2 + k0), u32(x3 + k1 + u32(3)))
    x0, x1, x2, x3 = _even_rounds(u32(x0 + parity), u32(x1 + k0), u32(x2 + k1), u32(x3 + u32(4)))
    return u32(x0 + k0), u32(x1 + k1), x2, u32(x3 + u32(5))


@_jit  # type: ignore[untyped-decorator]
def _fill_blocks(out: Any, block: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> None:
    """Fill ``out``, a multiple of 64 words, with the indices from ``64 * block`` on."""
    for b in range(out.size >> 6):
        part = out[64 * b : 64 * b + 64]  # a view from 0: no index can be negative, loops vectorise
        counter = u32((block + b) * 16)
        for lane in range(16):
            x0, x1, x2, x3 = threefry(u32(counter + u32(lane)), c1, c2, c3, k0, k1)
            part[lane] = x0
            part[16 + lane] = x1
            part[32 + lane] = x2
            part[48 + lane] = x3


@_jit  # type: ignore[untyped-decorator]
def fill_bits(out: Any, step: Any, stream: Any, key0: Any, key1: Any, offset: Any) -> None:
    """Fill `out` (uint32[n]) with the words of the indices ``offset`` ... ``offset + n - 1``.

    Parameters
    ----------
    out
        uint32 array, overwritten.
    step
        Integer from 0 to 2**63 - 1.
    stream
        Number of the stream (``Stream.id``).
    key0, key1
        Low and high half of the seed (``Stream.key``).
    offset
        First index, from 0 to 2**34 - 1 - n.
    """
    c1, c2, c3 = u32(step & 0xFFFFFFFF), u32(stream), u32(step >> 32)
    k0, k1 = u32(key0), u32(key1)
    n, done, block = out.size, 0, offset >> 6
    head = offset & 63
    edge = np.empty(64, np.uint32)
    if head:
        _fill_blocks(edge, block, c1, c2, c3, k0, k1)
        done = min(64 - head, n)
        for i in range(done):  # a slice assigned to a slice costs seconds to compile: what it says if sizes differ
            out[i] = edge[head + i]
        block += 1
    whole = (n - done) >> 6
    _fill_blocks(out[done : done + 64 * whole], block, c1, c2, c3, k0, k1)
    done += 64 * whole
    if done < n:
        _fill_blocks(edge, block + whole, c1, c2, c3, k0, k1)
        for i in range(n - done):
            out[done + i] = edge[i]


@_jit  # type: ignore[untyped-decorator]
def fill_uniform(out: Any, step: Any, stream: Any, key0: Any, key1: Any, offset: Any) -> None:
    """Fill `out` (float64[n]) with ``word * 2**-32`` in [0, 1); the other arguments are those of `fill_bits`."""
    words = np.empty(min(CHUNK, out.size), np.uint32)
    for first in range(0, out.size, CHUNK):
        count = min(CHUNK, out.size - first)
        fill_bits(words[:count], step, stream, key0, key1, offset + first)
        part = out[first : first + count]
        for i in range(count):
            part[i] = words[i] * TWO_TO_MINUS_32


@_jit  # type: ignore[untyped-decorator]
def fill_poisson(out: Any, thresholds: Any, step: Any, stream: Any, key0: Any, key1: Any, offset: Any) -> None:
    """Fill `out` (any integer type, [n]) with Poisson counts: the number of thresholds that a word exceeds.

    Parameters
    ----------
    out
        Integer array, overwritten. int32 is safe for any mean; uint8 is the fastest.
    thresholds
        uint32[m] with m a multiple of four, from :func:`spikesim.rng.poisson_thresholds`. For means above
        ``spikesim.rng.POISSON_MAX_MEAN`` call `add_poisson` again for every part.
    step, stream, key0, key1, offset
        See `fill_bits`.
    """
    out[:] = 0
    add_poisson(out, thresholds, step, stream, key0, key1, offset)


@_jit  # type: ignore[untyped-decorator]
def add_poisson(out: Any, thresholds: Any, step: Any, stream: Any, key0: Any, key1: Any, offset: Any) -> None:
    """Add Poisson counts to `out`; see `fill_poisson`."""
    words = np.empty(min(CHUNK, out.size), np.uint32)
    for first in range(0, out.size, CHUNK):
        count = min(CHUNK, out.size - first)
        part, counts = words[:count], out[first : first + count]
        fill_bits(part, step, stream, key0, key1, offset + first)
        for k in range(0, thresholds.size, 4):  # four at a time: a quarter of the passes over the counts
            t0, t1, t2, t3 = thresholds[k], thresholds[k + 1], thresholds[k + 2], thresholds[k + 3]
            for i in range(count):
                w = part[i]
                counts[i] += (w > t0) + (w > t1) + (w > t2) + (w > t3)


@_jit  # type: ignore[untyped-decorator]
def bits_at(index: Any, step: Any, stream: Any, key0: Any, key1: Any) -> Any:
    """One word (uint32) for one index: four times the work of `fill_bits` for each word, but for any index."""
    counter = u32((index >> 6) * 16 + (index & 15))
    words = threefry(counter, u32(step & 0xFFFFFFFF), u32(stream), u32(step >> 32), u32(key0), u32(key1))
    return words[(index >> 4) & 3]
