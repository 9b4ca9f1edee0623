"""Unsupervised learning before the read-out: let STDP act on a series, then keep the weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.connect import Sparse
from spikesim.engine import compile as compile_network
from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.network import Network, Projection
from spikesim.reservoir.attach import own_input
from spikesim.synapse import Plasticity


def settled(network: Network, x: NDArray[np.float64], hold: int = 5, backend: str = "numba") -> Network:
    """Run a network that learns on a series and return it with the weights it ended with, learning no more.

    Projections between the same populations with the same delay and port, such as groups of synapses with their own
    STDP, come back as one.

    Parameters
    ----------
    network
        With plastic projections (``hrsnn(stdp=4)``) and one graded input.
    x
        One series, ``[time, channels]``.
    hold
        Steps per value.
    backend
        One that learns.

    Raises
    ------
    InvalidValueError
        If nothing learns, or the input does not fit.

    Examples
    --------
    >>> from spikesim.models.networks import hrsnn
    >>> net = settled(hrsnn(40, stdp=2), np.random.default_rng(0).normal(size=(50, 3)))
    >>> [p.name for p in net.projections]
    ['recurrent->recurrent', 'series->recurrent']
    """
    values = np.asarray(x, np.float64)
    source = own_input(network, values.shape[1]) if values.ndim == 2 else None
    plastic = [
        p.name for p in network.projections if isinstance(p.plasticity, Plasticity) and p.plasticity.model.learns
    ]
    if source is None or not plastic:
        raise InvalidValueError(
            f"settled needs a network with a projection that learns, found {plastic or 'none'}, and one graded input "
            f"of the series' channels; found a series of shape {values.shape}"
        )
    program = compile_network(network, backend)
    program.reset(1)
    program.advance(hold * len(values), {source.name: np.repeat(values, hold, axis=0)[:, None]})
    return _frozen(network, program.graph, {name: program.get_weights(name) for name in plastic})


def _frozen(network: Network, graph: Graph, weights: dict[str, Any]) -> Network:
    """Join what runs between the same places, with the weights that were learned."""
    edges = {e.name: e for e in graph.edges}
    groups: dict[tuple[Any, ...], list[Projection]] = {}
    kept = []
    for p in network.projections:
        together = any(
            q.name in weights and (q.pre, q.post, q.port) == (p.pre, p.post, p.port) for q in network.projections
        )
        if together and np.ndim(p.delay) == 0:
            groups.setdefault((p.pre, p.post, p.port, float(p.delay)), []).append(p)
        else:
            kept.append(p)
    joined = [_joined(parts, edges, weights) for parts in groups.values()]
    return replace(network, projections=(*joined, *kept))


def _joined(parts: list[Projection], edges: dict[str, Any], weights: dict[str, Any]) -> Projection:
    total = sum(_matrix(edges[p.name], weights.get(p.name)) for p in parts)
    return replace(parts[0], rule=Sparse(sparse.csr_array(total)), weight=None, plasticity=None)


def _matrix(edge: Any, learned: NDArray[np.float64] | None) -> sparse.csr_array:
    values = np.broadcast_to(edge.weights if learned is None else learned, edge.indices.shape)
    return sparse.csr_array((values, edge.indices, edge.indptr), shape=(edge.n_pre, edge.n_post)).T
