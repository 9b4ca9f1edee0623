"""What an engine did, step by step: states before each step, the summed inputs of each port, and the spikes.

The engine runs the network with probes on every state. Inputs are added up again from spikes and drives: sums are
exact, so they are the engine's own (``Graph.exactness``), in whatever order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.drive import DriveState, source_values
from spikesim.engine import compile
from spikesim.equations.derivative import Surrogate, vector_jacobian
from spikesim.equations.targets import NUMPY
from spikesim.errors import UnsupportedError
from spikesim.graph import Edge, Graph, Node
from spikesim.inputs import input_arrays, total_steps
from spikesim.lowering import lower
from spikesim.network import Network, Probe
from spikesim.program import Options

Floats = NDArray[np.float64]
STRETCH = 1 << 20  # values of one state that are held at a time
DENSE = 0.2  # density above which a dense product is faster than a sparse one


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some consecutive steps of a run.

    Parameters
    ----------
    first, steps
        The steps ``first .. first + steps - 1``.
    states
        Population, then state, to its values before each step, ``[steps, n]``.
    inputs
        Population, then port, to what the step reads, ``[steps, n]``.
    spikes
        Population or source to what it emitted, ``[steps, n]``.
    """

    first: int
    steps: int
    states: Mapping[str, Mapping[str, Floats]]
    inputs: Mapping[str, Mapping[str, Floats]]
    spikes: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Wiring:
    """A projection as matrices: ``[(delay in steps, weights [n_post, n_pre]), ...]``, sparse unless they are dense."""

    edge: Edge
    parts: Sequence[tuple[int, Any]]


def wirings(graph: Graph) -> list[Wiring]:
    """Return the matrices of all projections; one matrix per delay."""
    return [Wiring(edge, _parts(edge)) for edge in graph.edges]


def _parts(edge: Edge) -> list[tuple[int, Any]]:
    pre = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    weights = np.broadcast_to(np.asarray(edge.weights, np.float64), (edge.synapses,))
    delays = np.broadcast_to(np.asarray(edge.delays), (edge.synapses,))
    parts: list[tuple[int, Any]] = []
    for delay in np.unique(delays):
        own = delays == delay
        matrix = sparse.csr_array((weights[own], (edge.indices[own], pre[own])), shape=(edge.n_post, edge.n_pre))
        full = matrix.nnz > DENSE * edge.n_post * edge.n_pre
        parts.append((int(delay), matrix.toarray() if full else matrix))
    return parts


class Replay:
    """A run of a network on the engine ``numba``, read back stretch by stretch; one sample.

    Parameters
    ----------
    network
        The network; its own probes are left out.
    inputs
        Data of its inputs, as for :func:`spikesim.run`, with one sample.
    steps
        Number of steps; the length of the inputs by default.
    threads
        See :class:`spikesim.program.Options`; the result does not depend on it.

    Raises
    ------
    UnsupportedError
        If the network has plastic synapses: their weights would be states too.
    """

    def __init__(
        self, network: Network, inputs: Mapping[str, Any] | None = None, *, steps: int | None = None, threads: int = 0
    ) -> None:
        plastic = [p.name for p in network.projections if p.plasticity is not None]
        if plastic:
            raise UnsupportedError(
                [f"the plastic projections {plastic} change while the network runs; analyse it with plasticity=None"]
            )
        probes = tuple(Probe(p.name, tuple(p.model.states)) for p in network.populations if p.model.states)
        self.graph = lower(replace(network, probes=probes))
        self.data, samples, length = input_arrays(self.graph, inputs or {})
        if samples != 1:
            raise UnsupportedError([f"one sample is analysed at a time, found inputs of {samples} samples"])
        self.steps = total_steps(self.graph, None, steps, length)
        self.program = compile(self.graph, "numba", Options(threads=threads))
        self.wirings = wirings(self.graph)

    def __iter__(self) -> Iterator[Stretch]:
        """Run from the first step on."""
        self.program.reset(1)
        drives = [DriveState(self.graph, d, 1) for d in self.graph.drives]
        before = {n.name: {s: self.program.get_state(n.name, s) for s in n.model.states} for n in self.graph.nodes}
        sizes = {n.name: n.n for n in self.graph.nodes} | {s.name: s.n for s in self.graph.sources}
        past = {name: np.zeros((self.graph.max_delay, n)) for name, n in sizes.items()}
        size = max(1, min(256, STRETCH // max(self.graph.neurons, 1)))
        for first in range(0, self.steps, size):
            steps = min(size, self.steps - first)
            data = {name: array[first : first + steps] for name, array in self.data.items()}
            chunk = self.program.advance(steps, data)
            emitted = {s.name: self._source(s, first, steps, data.get(s.name)) for s in self.graph.sources}
            emitted |= {n.name: _raster(chunk.spikes[n.name], first, steps, n.n) for n in self.graph.nodes}
            past = {name: np.concatenate([past[name], values]) for name, values in emitted.items()}
            states: dict[str, dict[str, Floats]] = {}
            for node in self.graph.nodes:
                traces = {s: np.asarray(chunk.traces[node.name, s][1][0], np.float64) for s in node.model.states}
                states[node.name] = {s: np.concatenate([before[node.name][s], v[:-1]]) for s, v in traces.items()}
                before[node.name] = {s: v[-1:] for s, v in traces.items()}
            yield Stretch(first, steps, states, self._inputs(past, drives, first, steps), emitted)
            past = {name: values[len(values) - self.graph.max_delay :] for name, values in past.items()}

    def _source(self, source: Any, first: int, steps: int, data: Any) -> Floats:
        values: Floats = source_values(self.graph, source, first, steps, 1, data)[:, 0].astype(np.float64)
        return values

    def _inputs(
        self, past: Mapping[str, Floats], drives: Sequence[DriveState], first: int, steps: int
    ) -> dict[str, dict[str, Floats]]:
        """Add up what reaches each port: exact sums of arrivals, then the drives in the order of the network."""
        inputs = {n.name: {p: np.zeros((steps, n.n)) for p in n.model.inputs} for n in self.graph.nodes}
        extra: dict[tuple[str, str], Any] = {}
        for wiring in self.wirings:
            edge, values = wiring.edge, past[wiring.edge.pre]
            for delay, matrix in wiring.parts:
                begin = self.graph.max_delay - delay
                inputs[edge.post][edge.port] += (matrix @ values[begin : begin + steps].T).T
        for state in drives:
            key = state.drive.target, str(state.drive.port)
            extra[key] = extra.get(key, 0.0) + state.values(first, steps)[:, 0]
        for (name, port), values in extra.items():
            inputs[name][port] += values
        return inputs


def _raster(events: tuple[Any, Any, Any], first: int, steps: int, n: int) -> Floats:
    raster = np.zeros((steps, n))
    raster[events[1] - first, events[2]] = 1.0
    return raster


class LocalJacobian:
    """The derivative of one neuron's step, derived from its equations and evaluated for all neurons and steps at once.

    Parameters
    ----------
    node
        The population.
    surrogate
        ``d spike(x) / dx`` (:func:`spikesim.equations.surrogates.surrogate`).
    detach_reset
        Leave out the way through the reset (:func:`spikesim.equations.derivative.vector_jacobian`).

    Attributes
    ----------
    states
        States that can change a little: whole numbers, such as a refractory counter, cannot.
    """

    def __init__(self, node: Node, surrogate: Surrogate, detach_reset: bool = False) -> None:
        self.node, model = node, node.model
        self.states = [name for name, state in model.states.items() if not state.integer]
        self.causes = [*(("state", s) for s in self.states), *(("input", p) for p in model.inputs)]
        self.results = ["spike", *self.states]
        self.rows = vector_jacobian(model.dynamics, self.causes, surrogate, detach_reset=detach_reset)

    def at(self, stretch: Stretch) -> dict[tuple[str, str], Floats]:
        """Return ``(result, state or port)`` to derivatives ``[steps, n]``; those that are always 0 are left out."""
        name, found = self.node.name, {}
        leaves = {"state": stretch.states[name], "input": stretch.inputs[name], "param": self.node.constants}
        for result in self.results:
            cotangent = {other: np.float64(other == result) for other in ("spike", *self.node.model.states)}
            with np.errstate(all="ignore"):
                row = self.rows.evaluate({**leaves, "cotangent": cotangent}, NUMPY)
            for kind, cause in self.causes:
                values = np.broadcast_to(row[f"d_{kind}_{cause}"], (stretch.steps, self.node.n))
                if values.any():
                    found[result, cause] = np.asarray(values, np.float64)
        return found
