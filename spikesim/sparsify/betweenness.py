"""Betweenness centrality: on how many shortest paths between others a neuron lies.

``B(u) = sum over s != u != t of sigma_st(u) / sigma_st``, with directed paths along synapses, each of length 1.
Exact by Brandes' algorithm (2001, J. Math. Sociol. 25, 163), or estimated from a sample of sources (Brandes and Pich
2007, Int. J. Bifurcat. Chaos 17, 2303). Reversing all edges changes nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.errors import InvalidValueError
from spikesim.optional import require

Floats = NDArray[np.float64]
WORK = 3e9  # neurons times synapses up to which all sources are visited: seconds
SOURCES = 256
PARTS = 4  # of the sources, summed apart, so the result does not depend on the number of threads


class Betweenness(NamedTuple):
    """Betweenness of every neuron; the sum over ordered pairs, not normalised."""

    values: Floats
    """float64 ``[n]``."""
    errors: Floats
    """Standard errors of the values, 0 if they are exact."""
    sources: int
    """How many sources were visited."""


def betweenness(matrix: Any, *, sources: int | None = None, engine: str = "own", seed: int = 0) -> Betweenness:
    """Return the betweenness centrality of all neurons.

    Parameters
    ----------
    matrix
        Dense or sparse ``[targets, sources]``; every entry other than 0 is a synapse of length 1; autapses do not
        count.
    sources
        How many sources are visited, drawn without repetition. By default all where that takes seconds, else 256.
    engine
        ``"own"``, or ``"rustworkx"`` for that package's exact result.
    seed
        Of the sample.

    Raises
    ------
    InvalidValueError
        If the matrix is not square, or sources are out of range.

    Examples
    --------
    >>> betweenness(np.diag([1.0, 1.0, 1.0], -1)).values.tolist()  # a chain of four
    [0.0, 2.0, 2.0, 0.0]
    """
    full = sparse.csr_array(sparse.csr_array(matrix).T)  # rows by source
    n = full.shape[0]
    if full.shape[0] != full.shape[1]:
        raise InvalidValueError(f"betweenness needs a square matrix, found the shape {list(full.shape)}")
    full.setdiag(0.0)
    full.eliminate_zeros()
    full.sum_duplicates()
    count = (n if n * max(full.nnz, 1) <= WORK else SOURCES) if sources is None else sources
    if not 1 <= count <= n:
        raise InvalidValueError(f"sources must be from 1 to {n}, the number of neurons, found {count}")
    if engine == "rustworkx" or engine not in ("own", "rustworkx"):
        return Betweenness(_rustworkx(full, engine), np.zeros(n), n)
    chosen = np.arange(n) if count == n else np.sort(np.random.default_rng(seed).permutation(n)[:count])
    total, squares = _visit(full, chosen)
    if count == n:
        return Betweenness(total, np.zeros(n), n)
    variance = np.maximum(squares / count - (total / count) ** 2, 0.0) * count / max(count - 1, 1)
    errors = n * np.sqrt(variance / count * (1.0 - count / n))
    return Betweenness(total * (n / count), errors, count)


def _visit(graph: Any, chosen: NDArray[np.int64]) -> tuple[Floats, Floats]:
    from spikesim.sparsify.kernels import dependencies

    n = graph.shape[0]
    indptr, indices = graph.indptr.astype(np.int64), graph.indices.astype(np.int32)
    sums = [(np.zeros(n), np.zeros(n)) for _ in range(PARTS)]
    with ThreadPoolExecutor(2) as pool:
        parts = zip(np.array_split(chosen, PARTS), sums, strict=True)
        list(pool.map(lambda part: dependencies(indptr, indices, part[0], *part[1]), parts))
    return np.sum([s[0] for s in sums], axis=0), np.sum([s[1] for s in sums], axis=0)


def _rustworkx(graph: Any, engine: str) -> Floats:
    if engine != "rustworkx":
        raise InvalidValueError(f"engine must be 'own' or 'rustworkx', found {engine!r}")
    rustworkx = require("rustworkx", "betweenness(engine='rustworkx')")
    coo = graph.tocoo()
    other = rustworkx.PyDiGraph()
    other.add_nodes_from(range(graph.shape[0]))
    other.add_edges_from_no_data(list(zip(coo.row.tolist(), coo.col.tolist(), strict=True)))
    found = rustworkx.digraph_betweenness_centrality(other, normalized=False)
    return np.array([found[k] for k in range(graph.shape[0])])
