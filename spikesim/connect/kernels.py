"""Compiled helpers for drawing connections.

A *walk* visits a part of a rule's synapses in the order in which they are drawn, without keeping them. For a synapse
from source ``s`` to target ``t`` of tile ``k`` (:mod:`spikesim.connect.walks`) it raises ``at[k, s]`` by one and, if
``fill`` is set, writes ``t - low[k]`` to ``out`` where ``at[k, s]`` stood: the same walk counts, then fills.

All walks end with the arguments

- ``tile_of``: int32, tile of the target ``t`` at ``t >> 6``, or -1
- ``low``: int64 ``[tiles]``, first target of each tile
- ``at``: int64 ``[tiles, sources]``
- ``out``: uint16
- ``fill``: bool

Steps are written ``np.int64(0)``: called with a literal, a kernel would be compiled for that one number.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from spikesim.equations.elementary_numba import log
from spikesim.equations.random_kernels import fill_bits

BLOCK: Final = 1024  # draws at a time: they stay in the first-level cache

_jit = njit(cache=True, error_model="numpy", nogil=True)


@_jit
def counting_sort(sources, k, indptr):
    """Return the targets by source; ``sources[i]`` belongs to target ``i // k``, so each row comes out sorted."""
    out = np.empty(len(sources), np.int32)
    at = indptr[:-1].copy()
    for i in range(len(sources)):
        source = sources[i]
        out[at[source]] = i // k
        at[source] += 1
    return out


@_jit
def fill_below(out, words, high, step, stream, key0, key1, offset):
    """Fill ``out`` (int32[n]) with the draws ``offset ...`` of ``Stream.integers(n, high, step)``.

    ``words`` is room for twice as many uint32.
    """
    n, bound = out.size, np.uint64(high)
    fill_bits(words[: 2 * n], step, stream, key0, key1, 2 * offset)
    for i in range(n):
        upper, lower = np.uint64(words[2 * i]), np.uint64(words[2 * i + 1])
        out[i] = (upper * bound + (lower * bound >> np.uint64(32))) >> np.uint64(32)


@_jit
def walk_indegree(first, last, k, room, skip, stream, key0, key1, tile_of, low, at, out, fill):
    """Visit the draws ``first ... last - 1`` of ``FixedIndegree(k)``: draw ``i`` is a source of target ``i // k``.

    ``room`` sources are drawn from; with ``skip`` they are numbered without the target itself.
    """
    sources, words = np.empty(BLOCK, np.int32), np.empty(2 * BLOCK, np.uint32)
    target = first // k
    left = k - (first - target * k)
    for start in range(first, last, BLOCK):
        n = min(BLOCK, last - start)
        fill_below(sources[:n], words, room, np.int64(0), stream, key0, key1, start)
        i = 0
        while i < n:
            end = min(i + left, n)
            tile = tile_of[target >> 6]
            if tile >= 0:
                row, here = at[tile], target - low[tile]
                for j in range(i, end):
                    source = sources[j]
                    source += skip and source >= target
                    if fill:
                        out[row[source]] = here
                    row[source] += 1
            left -= end - i
            i = end
            if left == 0:
                target += 1
                left = k


@_jit
def walk_total(first, last, n_pre, n_post, stream, key0, key1, tile_of, low, at, out, fill):
    """Visit the draws ``first ... last - 1`` of ``FixedTotalNumber``."""
    sources, targets, words = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.int32), np.empty(2 * BLOCK, np.uint32)
    for start in range(first, last, BLOCK):
        n = min(BLOCK, last - start)
        fill_below(sources[:n], words, n_pre, np.int64(0), stream, key0, key1, start)
        fill_below(targets[:n], words, n_post, np.int64(1), stream, key0, key1, start)
        for i in range(n):
            tile = tile_of[targets[i] >> 6]
            if tile >= 0:
                place = at[tile, sources[i]]
                if fill:
                    out[place] = targets[i] - low[tile]
                at[tile, sources[i]] = place + 1


@_jit
def count_below(counts, n, step, stream, key0, key1):
    """Count in ``counts`` (int64[high]) how often each number occurs among ``Stream.integers(n, high, step)``."""
    numbers, words = np.empty(BLOCK, np.int32), np.empty(2 * BLOCK, np.uint32)
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        fill_below(numbers[:m], words, counts.size, step, stream, key0, key1, start)
        for i in range(m):
            counts[numbers[i]] += 1


@_jit
def _fill_gaps(gaps, words, scale, total, step, stream, key0, key1, offset):
    """Fill ``gaps`` (int64[n]) with the distances between chosen pairs; see ``spikesim.connect.partners.chosen``."""
    n = gaps.size
    fill_bits(words[:n], step, stream, key0, key1, offset)
    for i in range(n):
        gaps[i] = np.int64(min(np.floor(log((words[i] + 1.0) * 2.0**-32) / scale), np.float64(total))) + 1


@_jit
def sum_gaps(first, last, scale, total, step, stream, key0, key1):
    """Return the sum of the distances ``first ... last - 1``."""
    gaps, words, length = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.uint32), np.int64(0)
    for start in range(first, last, BLOCK):
        n = min(BLOCK, last - start)
        _fill_gaps(gaps[:n], words, scale, total, step, stream, key0, key1, start)
        for i in range(n):
            length += gaps[i]
    return length


@_jit
def walk_chosen(
    first, last, before, n_pre, n_post, scale, skip, step, stream, key0, key1, tile_of, low, at, out, fill
):  # fmt: skip
    """Visit the pairs of ``FixedProbability`` that the distances ``first ... last - 1`` lead to.

    ``before`` is the pair before the first; with ``skip`` nobody connects to itself.
    """
    gaps, words, total = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.uint32), n_pre * n_post
    source = np.int64(before // n_post)  # floor: -1 comes before the first pair
    target = np.int64(before - source * n_post)
    for start in range(first, last, BLOCK):
        n = min(BLOCK, last - start)
        _fill_gaps(gaps[:n], words, scale, total, step, stream, key0, key1, start)
        for i in range(n):
            target += gaps[i]
            if target >= n_post:
                rows = target // n_post
                source += rows
                target -= rows * n_post
                if source >= n_pre:
                    return
            tile = tile_of[target >> 6]
            if tile >= 0 and not (skip and source == target):
                place = at[tile, source]
                if fill:
                    out[place] = target - low[tile]
                at[tile, source] = place + 1


@_jit
def walk_rows(first, last, indptr, indices, tile_of, low, at, out, fill):
    """Visit the synapses of the sources ``first ... last - 1`` of rows that are drawn already."""
    for source in range(first, last):
        for k in range(indptr[source], indptr[source + 1]):
            tile = tile_of[indices[k] >> 6]
            if tile >= 0:
                place = at[tile, source]
                if fill:
                    out[place] = indices[k] - low[tile]
                at[tile, source] = place + 1


@_jit
def walk_all(first, last, n_post, skip, tile_of, low, at, out, fill):
    """Visit the synapses of the sources ``first ... last - 1`` of ``AllToAll``."""
    for source in range(first, last):
        for target in range(n_post):
            tile = tile_of[target >> 6]
            if tile >= 0 and not (skip and source == target):
                place = at[tile, source]
                if fill:
                    out[place] = target - low[tile]
                at[tile, source] = place + 1
