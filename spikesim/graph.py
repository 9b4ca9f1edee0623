"""Lowering: Network -> Graph, the flat description that every backend is given.

Times are steps, weights stand on a binary grid on which sums are exact, the order in which populations are updated
within a step is known, and synapses are drawn when a backend asks for them: all at once, or in parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Connection
from spikesim.connect.base import elements
from spikesim.learning import Learning
from spikesim.network import Probe
from spikesim.neuron import NeuronModel
from spikesim.norm import BatchNorm
from spikesim.stimulus import Drive, Source
from spikesim.synapses import PART, Numbers, Pattern

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
    """A projection as rows by source, drawn when they are asked for.

    Parameters
    ----------
    name, pre, post, port
        As in the network; ``pre`` is a population or a source.
    pattern
        Who is connected to whom.
    weight
        One number for each synapse, on the grid of the port unless snapping is off.
    delay
        Steps of each synapse.
    graded
        Whether the source emits values rather than spikes.
    rule
        The connection rule, with snapped weights where it has its own (``Dense``, ``Conv2d``, ...): layered backends
        use it in place of the rows.
    learning
        Its plasticity, or None.
    norm, dropout
        As in the network where it was lowered for training, else None and 0: a norm is folded, dropout left out.
    """

    name: str
    pre: str
    post: str
    port: str
    pattern: Pattern
    weight: Numbers
    delay: Numbers
    graded: bool
    rule: Connection
    learning: Learning | None = None
    norm: BatchNorm | None = None
    dropout: float = 0.0

    @property
    def n_pre(self) -> int:
        """Number of source elements."""
        return elements(self.pattern.pre)

    @property
    def n_post(self) -> int:
        """Number of target neurons."""
        return elements(self.pattern.post)

    # ------------------------------------------------------------------------------- known without drawing the synapses
    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return self.pattern.count

    @property
    def constant_weight(self) -> float | None:
        """The weight that all synapses have, or None."""
        return self.weight.constant

    @property
    def constant_delay(self) -> int | None:
        """The delay in steps that all synapses have, or None."""
        return None if self.delay.constant is None else int(self.delay.constant)

    @property
    def weight_limit(self) -> float:
        """What no weight exceeds in size."""
        return max(abs(w) for w in self.weight.extremes)

    @property
    def max_delay(self) -> int:
        """Largest delay in steps."""
        return int(self.delay.extremes[1])

    @property
    def min_delay(self) -> int:
        """Smallest delay in steps."""
        return int(self.delay.extremes[0])

    @cached_property
    def out_degree(self) -> NDArray[np.int64]:
        """Synapses with a weight other than 0 per source element; these are the ones that count, and all that learn."""
        rows, constant = self.pattern.out_degree, self.weight.constant
        if self.learning is not None and self.learning.model.learns:
            return rows
        if constant is not None:
            return rows * bool(constant)
        least, most = self.weight.extremes
        if least > 0 or most < 0:
            return rows
        ends, zeros = np.cumsum(rows), np.zeros(self.n_pre, np.int64)
        for first in range(0, self.synapses, PART):
            found = first + np.flatnonzero(self.weights_of(first, min(PART, self.synapses - first)) == 0)
            zeros += np.bincount(np.searchsorted(ends, found, side="right"), minlength=self.n_pre)
        return rows - zeros

    def remember(self, out_degree: NDArray[np.int64]) -> None:
        """Take :attr:`out_degree` from somebody who has drawn all weights."""
        self.__dict__["out_degree"] = out_degree

    # --------------------------------------------------------------------------------------------- drawn when asked for
    @property
    def indptr(self) -> NDArray[np.int64]:
        """``indices[indptr[i]:indptr[i+1]]`` are the targets of source element ``i``."""
        return self.pattern.rows.indptr

    @property
    def indices(self) -> NDArray[np.int32]:
        """Targets, sorted within each row."""
        return self.pattern.rows.indices

    @property
    def weights(self) -> float | NDArray[np.float64]:
        """One number for all synapses, or one each."""
        constant = self.weight.constant
        return self._weights if constant is None else constant

    @property
    def delays(self) -> int | NDArray[np.int32]:
        """Steps: one number for all synapses, or one each."""
        constant = self.constant_delay
        return self._delays if constant is None else constant

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        return self.weights_of(0, self.synapses)

    @cached_property
    def _delays(self) -> NDArray[np.int32]:
        return self.delays_of(0, self.synapses)

    def weights_of(self, first: int, n: int) -> NDArray[np.float64]:
        """Return the weights of the synapses ``first ... first + n - 1``."""
        return self.weight.part(first, n)

    def delays_of(self, first: int, n: int) -> NDArray[np.int32]:
        """Return the delays in steps of the synapses ``first ... first + n - 1``."""
        return self.delay.part(first, n).astype(np.int32)

    def forget(self) -> None:
        """Give the memory of rows, weights and delays back; they are drawn again, the same, when asked for."""
        self.pattern.forget()
        for name in ("_weights", "_delays"):
            self.__dict__.pop(name, None)


@dataclass(frozen=True)
class PortExactness:
    """Whether the sums of one port are exact.

    Parameters
    ----------
    grid
        Weights are whole multiples of this power of two; 0 if snapping is off.
    max_change
        What snapping changes no weight by more than, relative to the largest weight.
    bits
        Bits that suffice for the largest possible sum; exact up to 53.
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
