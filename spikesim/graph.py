"""Lowering: Network -> Graph, the flat description that every backend is given.

Everything random has been drawn, times are steps, weights stand on a binary grid on which sums are exact, and the
order in which populations are updated within a step is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Connection
from spikesim.learning import Learning
from spikesim.network import Probe
from spikesim.neuron import NeuronModel
from spikesim.stimulus import Drive, Source

GRID_BITS = 30  # weights of one port are multiples of 2^-30 of the largest, rounded up to a power of two
MANTISSA_BITS = 53  # of float64


@dataclass(frozen=True, eq=False)
class Node:
    """A population.

    Parameters
    ----------
    name, n, shape, model
        As in the network.
    constants
        Everything that the step reads from ``p``: a float, or float64 ``[n]``.
    params
        Parameter values before they became step constants, likewise.
    init
        Initial states, float64 ``[n]``.
    level
        Populations of a lower level are updated first within a step.
    """

    name: str
    n: int
    shape: tuple[int, ...]
    model: NeuronModel
    constants: Mapping[str, Any]
    params: Mapping[str, Any]
    init: Mapping[str, NDArray[np.float64]]
    level: int


@dataclass(frozen=True, eq=False)
class Edge:
    """A projection as rows by source.

    Parameters
    ----------
    name, pre, post, port
        As in the network; ``pre`` is a population or a source.
    indptr, indices
        ``indices[indptr[i]:indptr[i+1]]`` (int32) are the targets of source element ``i``, sorted.
    weights
        float64: one number for all synapses, or one each. On the grid of the port unless snapping is off.
    delays
        Steps: one number for all synapses, or int32 one each.
    graded
        Whether the source emits values rather than spikes.
    rule
        The connection rule, with snapped weights where it has its own (``Dense``, ``Conv2d``, ...): layered backends
        use it in place of the rows.
    learning
        Its plasticity, or None.
    """

    name: str
    pre: str
    post: str
    port: str
    n_pre: int
    n_post: int
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: float | NDArray[np.float64]
    delays: int | NDArray[np.int32]
    graded: bool
    rule: Connection
    learning: Learning | None = None

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return len(self.indices)

    @property
    def max_delay(self) -> int:
        """Largest delay in steps."""
        return int(np.max(self.delays)) if np.size(self.delays) else 0

    @property
    def min_delay(self) -> int:
        """Smallest delay in steps."""
        return int(np.min(self.delays)) if np.size(self.delays) else 0

    @cached_property
    def out_degree(self) -> NDArray[np.int64]:
        """Synapses with a weight other than 0 per source element; these are the ones that count, and all that learn."""
        rows = np.diff(self.indptr)
        if self.learning is not None and self.learning.model.learns:
            return rows
        if np.ndim(self.weights) == 0:
            return rows * bool(self.weights)
        nonzero = np.concatenate([[0], np.cumsum(np.asarray(self.weights) != 0)])
        return np.asarray(nonzero[self.indptr[1:]] - nonzero[self.indptr[:-1]], np.int64)


@dataclass(frozen=True)
class PortExactness:
    """Whether the sums of one port are exact.

    Parameters
    ----------
    grid
        Weights are whole multiples of this power of two; 0 if snapping is off.
    max_change
        Largest change of a weight by snapping, relative to the largest weight.
    bits
        Bits that the largest possible sum needs; exact up to 53.
    """

    grid: float
    max_change: float
    bits: int

    @property
    def exact(self) -> bool:
        """Whether every order of addition gives the same float64."""
        return self.grid > 0 and self.bits <= MANTISSA_BITS


@dataclass(frozen=True, eq=False)
class Graph:
    """What a backend is given.

    Parameters
    ----------
    nodes
        Populations in the order of their update within a step.
    sources
        Stimuli that project.
    edges
        Projections.
    drives
        Stimuli that act on a port directly.
    probes
        What to record besides spikes.
    exactness
        ``(population, port)`` to :class:`PortExactness`.
    """

    name: str
    dt: float
    seed: int
    nodes: tuple[Node, ...]
    sources: tuple[Source, ...]
    edges: tuple[Edge, ...]
    drives: tuple[Drive, ...]
    probes: tuple[Probe, ...]
    exactness: Mapping[tuple[str, str], PortExactness] = field(default_factory=dict)

    def node(self, name: str) -> Node:
        """Return a population by name."""
        return next(n for n in self.nodes if n.name == name)

    def source(self, name: str) -> Source | None:
        """Return a source by name, or None."""
        return next((s for s in self.sources if s.name == name), None)

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return sum(n.n for n in self.nodes)

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return sum(e.synapses for e in self.edges)

    @property
    def max_delay(self) -> int:
        """Largest delay in steps."""
        return max((e.max_delay for e in self.edges), default=0)

    @property
    def recurrent_edges(self) -> frozenset[str]:
        """Names of the edges that lie on a cycle of populations."""
        return _on_cycles(self.edges)


def _reachable(start: str, edges: tuple[Edge, ...]) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        here = todo.pop()
        for edge in edges:
            if edge.pre == here and edge.post not in seen:
                seen.add(edge.post)
                todo.append(edge.post)
    return seen


def _on_cycles(edges: tuple[Edge, ...]) -> frozenset[str]:
    return frozenset(e.name for e in edges if e.pre == e.post or e.pre in _reachable(e.post, edges))
