"""Synapses in the forms that the kernels read. A table holds the synapses onto a range of targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.graph import Edge


class Rows(NamedTuple):
    """Targets by source; ``multiplicity`` is the largest number of synapses between one pair."""

    indptr: NDArray[np.uint32]
    targets: NDArray[np.uint16]
    multiplicity: int


class Segments(NamedTuple):
    """Targets and weights by source and delay: ``first[s * delays + k]`` is where delay ``low + k`` of ``s`` begins."""

    first: NDArray[np.uint32]
    targets: NDArray[np.uint16]
    weights: NDArray[Any]
    low: int
    delays: int


def _within(edge: Edge, lo: int, hi: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    inside = (edge.indices >= lo) & (edge.indices < hi)
    source = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))[inside]
    return source, edge.indices[inside] - lo, inside


def _indptr(source: NDArray[Any], n: int) -> NDArray[np.uint32]:
    indptr = np.zeros(n + 1, np.uint32)
    np.cumsum(np.bincount(source, minlength=n), out=indptr[1:])
    return indptr


def rows(edge: Edge, lo: int, hi: int) -> Rows:
    """Return the targets in ``lo .. hi - 1`` by source."""
    source, target, _ = _within(edge, lo, hi)
    pairs = source * (hi - lo) + target
    most = int(np.unique(pairs, return_counts=True)[1].max(initial=0))
    return Rows(_indptr(source, edge.n_pre), target.astype(np.uint16), most)


def bitmap(edge: Edge, lo: int, hi: int) -> tuple[NDArray[np.uint64], Rows]:
    """Return one bit per pair, ``bits[source * words + target // 64]``, and the repeated pairs as rows."""
    source, target, _ = _within(edge, lo, hi)
    words = -(-(hi - lo) // 64)
    bits = np.zeros(edge.n_pre * words, np.uint64)
    pairs = source * (hi - lo) + target
    first = np.concatenate([[True], pairs[1:] != pairs[:-1]])[: len(pairs)]
    at = source * words + target // 64
    np.bitwise_or.at(bits, at[first], np.uint64(1) << (target[first] % 64).astype(np.uint64))
    again = ~first
    most = int(np.unique(pairs[again], return_counts=True)[1].max(initial=0))
    return bits, Rows(_indptr(source[again], edge.n_pre), target[again].astype(np.uint16), most)


def segments(edges: Sequence[tuple[Edge, int, int, int, float]]) -> Segments:
    """Merge projections of one source: ``(edge, lo, hi, cell of target lo, unit of the weights or 0)``."""
    sources, cells, weights, delays = [], [], [], []
    exact = True
    for edge, lo, hi, base, grid in edges:
        source, target, inside = _within(edge, lo, hi)
        sources.append(source)
        cells.append(target + base)
        value = np.broadcast_to(edge.weights, (edge.synapses,))[inside]
        exact &= grid > 0
        weights.append(value / grid if grid > 0 else value)
        delays.append(np.broadcast_to(edge.delays, (edge.synapses,))[inside])
    source, cell, weight, delay = (np.concatenate(x) for x in (sources, cells, weights, delays))
    low, high = int(delay.min(initial=10**9)), int(delay.max(initial=-1))
    if high < 0:
        low, high = 0, 0
    count = high - low + 1
    order = np.lexsort((cell, delay, source))
    first = _indptr((source * count + delay - low)[order], edges[0][0].n_pre * count)
    kind = np.int32 if exact else np.float64
    return Segments(first, cell[order].astype(np.uint16), weight[order].astype(kind), low, count)


def dense(edge: Edge, lo: int, hi: int, grid: float) -> NDArray[Any]:
    """Return the weights ``[source * (hi - lo) + target]``, in units of ``grid`` if it is not 0."""
    part = np.asarray(edge.weights).reshape(edge.n_pre, edge.n_post)[:, lo:hi]
    return np.ascontiguousarray((part / grid).astype(np.int32) if grid > 0 else part).reshape(-1)
