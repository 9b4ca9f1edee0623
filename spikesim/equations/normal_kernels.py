"""Normal numbers for numba kernels: the draws of :class:`spikesim.distributions.Normal`, bit for bit, in streams.

A block of random words becomes uniform numbers, and these normal ones by the central polynomials of
:mod:`spikesim.equations.inversion`; the 15 % in the tails are gathered and done by themselves, so that both loops
vectorise. A draw outside the bounds is drawn again at the next step of the stream.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from spikesim.equations.elementary_numba import log
from spikesim.equations.inversion import _CENTRE, _FAR, _TAIL
from spikesim.equations.random_kernels import bits_at, fill_bits

BLOCK: Final = 512  # normal numbers at a time: words, numbers and gathered tails stay in the first-level cache

_jit = njit(cache=True, error_model="numpy", nogil=True)
_inline = njit(cache=True, error_model="numpy", forceinline=True)

(_C_ABOVE, _C_BELOW), (_T_ABOVE, _T_BELOW), (_F_ABOVE, _F_BELOW) = _CENTRE, _TAIL, _FAR


@_inline
def _polynomial(c, x):
    return ((((((c[0] * x + c[1]) * x + c[2]) * x + c[3]) * x + c[4]) * x + c[5]) * x + c[6]) * x + c[7]


@_inline
def _centre(q):
    r = 0.180625 - q * q
    return q * (_polynomial(_C_ABOVE, r) / _polynomial(_C_BELOW, r))


@_inline
def _tail(q, u):
    r = np.sqrt(-log(min(u, 1.0 - u)))
    if r <= 5.0:
        r -= 1.6
        z = _polynomial(_T_ABOVE, r) / _polynomial(_T_BELOW, r)
    else:
        r -= 5.0
        z = _polynomial(_F_ABOVE, r) / _polynomial(_F_BELOW, r)
    return -z if q < 0 else z


@_inline
def _open_uniform(high, low):
    word = np.int64(np.uint64(high) << np.uint64(20) | np.uint64(low) >> np.uint64(12))
    return (np.float64(word) + 0.5) * 2.0**-52


@_jit
def normal_at(index, mean, sd, low, high, stream, key0, key1, start, attempts):
    """Draw one number at the steps ``start``, ``start + 1``, ... until it lies within the bounds; NaN if it never does.

    Parameters
    ----------
    index
        Number of the draw.
    mean, sd, low, high, stream, key0, key1, attempts
        See :func:`fill_normal`.
    start
        First step: 0 for the draw itself.
    """
    for step in range(start, attempts):
        u = _open_uniform(
            bits_at(2 * index, step, stream, key0, key1), bits_at(2 * index + 1, step, stream, key0, key1)
        )
        q = u - 0.5
        value = mean + sd * (_centre(q) if abs(q) <= 0.425 else _tail(q, u))
        if low <= value <= high:
            return value
    return np.nan


@_jit
def fill_normal(out, offset, mean, sd, low, high, stream, key0, key1, attempts, start=0):
    """Fill ``out`` (float64[n]) with the draws ``offset`` ... ``offset + n - 1``; returns how many were refused.

    Parameters
    ----------
    out
        float64 array, overwritten.
    offset
        Number of the first draw.
    mean, sd, low, high
        As in :class:`spikesim.distributions.Normal`; infinite where there is no bound.
    stream, key0, key1
        ``Stream.id`` and ``Stream.key``.
    attempts
        How often one number is drawn at most; NaN is written where that does not suffice.
    start
        Step of the first draw.
    """
    words, tails, u, refused = np.empty(2 * BLOCK, np.uint32), np.empty(BLOCK, np.int32), np.empty(BLOCK), 0
    for first in range(0, out.size, BLOCK):
        n = min(BLOCK, out.size - first)
        part = out[first : first + n]
        fill_bits(words[: 2 * n], np.int64(start), stream, key0, key1, 2 * (offset + first))
        for i in range(n):
            u[i] = _open_uniform(words[2 * i], words[2 * i + 1])
        for i in range(n):
            part[i] = mean + sd * _centre(u[i] - 0.5)
        count = 0
        for i in range(n):
            tails[count] = i
            count += abs(u[i] - 0.5) > 0.425
        for k in range(count):
            v = u[tails[k]]
            part[tails[k]] = mean + sd * _tail(v - 0.5, v)
        outside = False
        for i in range(n):
            outside |= not (low <= part[i] <= high)
        if outside:
            again = np.int64(1)
            for i in range(n):
                if not low <= part[i] <= high:
                    part[i] = normal_at(offset + first + i, mean, sd, low, high, stream, key0, key1, again, attempts)
                    refused += not low <= part[i] <= high
    return refused


@_jit
def fill_normal_at(out, index, mean, sd, low, high, stream, key0, key1, attempts):
    """Fill ``out`` with the draws of any numbers ``index`` (int64); the other arguments are those of `fill_normal`."""
    refused = 0
    for i in range(out.size):
        out[i] = normal_at(index[i], mean, sd, low, high, stream, key0, key1, np.int64(0), attempts)
        refused += not low <= out[i] <= high
    return refused


@_jit
def extreme_words(first, n, low, high, stream, key0, key1, outside):
    """Find the smallest and the largest 64-bit word within ``low .. high`` among the draws ``first ... first + n - 1``.

    Parameters
    ----------
    first, n
        The draws.
    low, high
        uint64.
    stream, key0, key1
        ``Stream.id`` and ``Stream.key``.
    outside
        int64 ``[n]``: receives the numbers of the other draws.

    Returns
    -------
    tuple of uint64, uint64, int
        Smallest, largest (if the first exceeds the second there is none), number of the other draws.
    """
    words, wide = np.empty(2 * BLOCK, np.uint32), np.empty(BLOCK, np.uint64)
    least, most, others = np.uint64(2**64 - 1), np.uint64(0), 0
    for start in range(0, n, BLOCK):
        count = min(BLOCK, n - start)
        fill_bits(words[: 2 * count], np.int64(0), stream, key0, key1, 2 * (first + start))
        inside = 0
        for i in range(count):
            word = np.uint64(words[2 * i]) << np.uint64(32) | np.uint64(words[2 * i + 1])
            accepted = (word >= low) & (word <= high)
            least = min(least, word if accepted else least)
            most = max(most, word if accepted else most)
            inside += accepted
            wide[i] = word
        if inside < count:
            for i in range(count):
                outside[others] = first + start + i
                others += (wide[i] < low) | (wide[i] > high)
    return least, most, others
