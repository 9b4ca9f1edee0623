"""Compiled helpers for building tables of synapses."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from spikesim.connect.kernels import BLOCK, fill_below

SHORT: Final = 24  # rows up to this length are sorted by insertion

_jit = njit(cache=True, error_model="numpy", nogil=True)


@_jit
def multiplicity(indptr, targets):
    """Return the length of the longest run of equal targets within a row."""
    most = 0
    for row in range(indptr.size - 1):
        run = 0
        for k in range(indptr[row], indptr[row + 1]):
            run = run + 1 if k > indptr[row] and targets[k] == targets[k - 1] else 1
            most = max(most, run)
    return most


@_jit
def _insertion_sort(row):
    for i in range(1, row.size):
        here, j = row[i], i
        while j > 0 and row[j - 1] > here:
            row[j] = row[j - 1]
            j -= 1
        row[j] = here


@_jit
def _scatter_byte(row, out, shift, counts):
    """Sort by one byte, keeping the order of equals."""
    counts[:] = 0
    for i in range(row.size):
        counts[(row[i] >> shift) & 0xFF] += 1
    total = 0
    for b in range(256):
        total, counts[b] = total + counts[b], total
    for i in range(row.size):
        byte = (row[i] >> shift) & 0xFF
        out[counts[byte]] = row[i]
        counts[byte] += 1


@_jit
def sort_rows(offsets, first, last, targets):
    """Sort the rows ``first ... last - 1`` of uint16 ``targets`` in place: byte by byte."""
    longest = 0
    for row in range(first, last):
        longest = max(longest, offsets[row + 1] - offsets[row])
    spare, counts = np.empty(longest, np.uint16), np.empty(256, np.int32)
    for k in range(first, last):
        row = targets[offsets[k] : offsets[k + 1]]
        if row.size <= SHORT:
            _insertion_sort(row)
        else:
            _scatter_byte(row, spare[: row.size], np.int64(0), counts)
            _scatter_byte(spare[: row.size], row, np.int64(8), counts)


@_jit
def indegree_bits(bits, width, column, low, high, start, k, room, skip, stream, key0, key1, sources, targets):
    """Draw the synapses of ``FixedIndegree(k)`` into the targets ``low ... high - 1`` of a bitmap.

    Parameters
    ----------
    bits, width
        uint64 ``[sources * width]``, overwritten where these targets stand.
    column
        uint64 ``[words, sources]``: room for the bits of these targets, which stays in the second-level cache.
    low, high
        At most ``64 * words`` targets, ``low`` a multiple of 64.
    start
        First target of the tile.
    k, room, skip, stream, key0, key1
        See :func:`spikesim.connect.kernels.walk_indegree`.
    sources, targets
        int32, uint16: room for ``k * (high - low)`` repeated pairs.

    Returns
    -------
    int
        Number of repeated pairs.
    """
    drawn, words, repeats = np.empty(BLOCK, np.int32), np.empty(2 * BLOCK, np.uint32), 0
    column[:] = 0
    for target in range(low, high):
        bit, row = np.uint64(1) << np.uint64(target & 63), column[(target - low) >> 6]
        for first in range(0, k, BLOCK):
            n = min(BLOCK, k - first)
            fill_below(drawn[:n], words, room, np.int64(0), stream, key0, key1, target * k + first)
            for i in range(n):
                source = drawn[i]
                source += skip and source >= target
                before = row[source]
                row[source] = before | bit
                if before & bit:
                    sources[repeats] = source
                    targets[repeats] = target - start
                    repeats += 1
    first, count = (low - start) >> 6, (high - low + 63) >> 6
    for source in range(column.shape[1]):
        for w in range(count):
            bits[source * width + first + w] = column[w, source]
    return repeats


@_jit
def rows_to_bits(bits, width, offsets, targets, repeats, first, last):
    """Draw the rows ``first ... last - 1`` into a bitmap; repeated pairs, which stand side by side, are counted.

    Parameters
    ----------
    bits, width
        uint64 ``[sources * width]``, zeros.
    offsets, targets
        The rows: ``targets[offsets[i] : offsets[i + 1]]``, ascending.
    repeats
        int64 ``[sources]``: receives the number of repeated pairs; they move to the front of their row.
    """
    for source in range(first, last):
        low, count = offsets[source], 0
        for k in range(low, offsets[source + 1]):
            target = targets[k]
            word, bit = source * width + (target >> 6), np.uint64(1) << np.uint64(target & 63)
            if bits[word] & bit:
                targets[low + count] = target
                count += 1
            bits[word] |= bit
        repeats[source] = count


@_jit
def degrees_of_bits(bits, width, counts):
    """Add the number of bits of each source to ``counts`` (int64)."""
    for source in range(counts.size):
        for k in range(source * width, (source + 1) * width):
            x = bits[k]
            x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
            x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
            x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            counts[source] += np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@_jit
def rows_of_pairs(indptr, sources, targets, out):
    """Write the targets of pairs by source; ``indptr`` (uint32) holds where each row begins, and then where it ends."""
    for k in range(sources.size):
        out[indptr[sources[k]]] = targets[k]
        indptr[sources[k]] += np.uint32(1)


@_jit
def count_delays(counts, delays, base, starts, ends, numbers):
    """Count the synapses of some sources into one tile by delay.

    Parameters
    ----------
    counts
        int64 ``[sources, delays]``, added to.
    delays, base
        int32: delay of each synapse, and the one that counts as 0.
    starts, ends
        int64 ``[sources]``: where the rows begin and end in the table of targets.
    numbers
        int64 ``[sources]``: position in ``delays`` of the first synapse of each row.
    """
    for source in range(starts.size):
        row, at = counts[source], numbers[source]
        for k in range(ends[source] - starts[source]):
            row[delays[at + k] - base] += 1


@_jit
def on_grid(weights, grid):
    """Return weights (float64) as int32 multiples of ``grid``."""
    out = np.empty(weights.size, np.int32)
    for i in range(weights.size):
        out[i] = np.int32(np.rint(weights[i] / grid))
    return out


@_jit
def place(out, out_weights, at, delays, base, weights, targets, cell, starts, ends, numbers, zeros):
    """Write the synapses of some sources into one tile, by delay, then target.

    Parameters
    ----------
    out, out_weights
        uint16 cells; weights, as ``weights``.
    at
        int64 ``[sources, delays]``: where to write next.
    weights
        Weight of each synapse, as ``delays``.
    targets, cell
        uint16 targets, and what is added to them.
    zeros
        int64 ``[sources]``: raised by one for each weight of 0.
    delays, base, starts, ends, numbers
        See :func:`count_delays`.
    """
    for source in range(starts.size):
        row, number, start, none = at[source], numbers[source], starts[source], 0
        for k in range(ends[source] - start):
            weight, delay = weights[number + k], delays[number + k] - base
            position = row[delay]
            row[delay] = position + 1
            out[position] = targets[start + k] + cell
            out_weights[position] = weight
            none += weight == 0
        zeros[source] += none


@_jit
def add_rows(out, weights, targets, starts, ends, numbers, zeros):
    """Add the weights of some sources' synapses to ``out`` (float64 ``[sources, targets]``); see :func:`place`."""
    for source in range(starts.size):
        row, number, start = out[source], numbers[source], starts[source]
        for k in range(ends[source] - start):
            row[targets[start + k]] += weights[number + k]
            zeros[source] += weights[number + k] == 0
