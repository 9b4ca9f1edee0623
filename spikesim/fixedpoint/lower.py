"""Graph of fixed-point neurons -> integer network, and how far each population lags behind on the chip.

On the chip every connection costs a step, whereas a projection with delay 0 delivers within its step. So a population
may run some columns late: with lag ``L`` it does in column ``t + L`` what it does in step ``t`` of the graph. Aligning
the rasters again is the library's business, not the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import DeviceLimitError, NetworkError, UnsupportedError
from spikesim.fixedpoint.learning import IntLearning
from spikesim.fixedpoint.limits import find_violations
from spikesim.fixedpoint.network import IntInput, IntNetwork, IntPopulation, IntProjection, ResetKind
from spikesim.fixedpoint.start import MAX_STATE, start_states
from spikesim.fixedpoint.weights import SignMode, optimize_weight_bits, sign_mode_of, truncate_weights
from spikesim.graph import Edge, Graph, Node
from spikesim.lowering import is_graded_input

MODEL = "loihi_lif"


@dataclass(frozen=True, eq=False)
class Lowered:
    """An integer network and the lag of each population and source, in steps."""

    network: IntNetwork
    lags: Mapping[str, int]

    @property
    def longest(self) -> int:
        """The largest lag."""
        return max(self.lags.values(), default=0)


def problems(graph: Graph) -> list[str]:
    """Return everything that keeps a graph from running in fixed point, one sentence each."""
    fixed = {n.name for n in graph.nodes if n.model.name == MODEL}
    found = [
        f"population {n.name!r}: neuron {n.model.name!r} is not in fixed point; bring the network there with "
        "spikesim.quantise"
        for n in graph.nodes
        if n.name not in fixed
    ]
    found += [
        f"stimulus {d.name!r} ({type(d).__name__}) acts on a port directly, which the chip cannot; use a "
        "source that emits spikes"
        for d in graph.drives
    ]
    found += [
        f"projection {e.name!r} is plastic ({e.learning.model.name}), and the chip learns by sums of products; bring "
        "the rule there with spikesim.fixedpoint.rules.chip_rule, or leave `plasticity` out"
        for e in graph.edges
        if e.learning is not None and e.learning.chip is None
    ]
    found += [
        f"population {n.name!r} begins within its refractory period (init of 'r'), which the chip cannot"
        for n in graph.nodes
        if np.any(n.init.get("r", 0))
    ]
    found += [
        f"probe on {p.target!r}: the chip's states are 'u' and 'v', found {name!r}; leave it out"
        for p in graph.probes
        for name in (p.variables if p.target in fixed else ())
        if name not in ("u", "v")
    ]
    if found:
        return found
    found += [p for e in graph.edges for p in _weight_problems(e)]
    try:
        lags = find_lags(graph)
    except UnsupportedError as error:
        return [*found, *error.problems]
    found += _start_problems(graph, lags)
    try:
        return found or find_violations(_network(graph, lags))
    except NetworkError as error:  # synapses that learn have demands of their own
        return error.problems


def lower_to_integers(graph: Graph) -> Lowered:
    """Return the integer network of a graph that :func:`problems` finds nothing wrong with."""
    found = problems(graph)
    if found:
        raise UnsupportedError(found, f"network {graph.name!r} cannot run in fixed point:")
    lags = find_lags(graph)
    return Lowered(_network(graph, lags), lags)


def find_lags(graph: Graph) -> dict[str, int]:
    """Return the smallest lags with which every connection takes at least one step on the chip.

    A projection from ``a`` to ``b`` with delay ``d`` takes ``d + lag(b) - lag(a)`` steps there. A modulator reaches the
    targets of a projection that learns as by a projection of its ``modulator_delay``.

    Raises
    ------
    UnsupportedError
        If a loop of projections has less delay than it has projections.
    """
    lags = dict.fromkeys([*(s.name for s in graph.sources), *(n.name for n in graph.nodes)], 0)
    ways = [(e.name, e.pre, e.post, 1 - e.min_delay) for e in graph.edges]
    ways += [
        (f"modulator of {e.name}", e.learning.modulator, e.post, 1 - e.learning.chip.modulator_delay)
        for e in graph.edges
        if e.learning and e.learning.chip and e.learning.modulator
    ]
    for _ in range(len(lags) + 1):
        late = [(name, post, lags[pre] + steps) for name, pre, post, steps in ways if lags[post] < lags[pre] + steps]
        if not late:
            return lags
        for _name, post, lag in late:
            lags[post] = max(lags[post], lag)
    loop = ", ".join(repr(name) for name, _, _ in late)
    raise UnsupportedError(
        [
            f"a loop through {loop} has less delay than it has projections, but on the chip each takes a step; "
            f"give each of them a delay of at least {graph.dt:g} s{' (modulator_delay=1)' * ('modulator' in loop)}"
        ]
    )


def _weight_problems(edge: Edge) -> list[str]:
    weights = np.asarray(edge.weights)
    if (weights != np.rint(weights)).any():
        return [
            f"projection {edge.name!r}: weights must be whole numbers; bring the network to fixed point with "
            "spikesim.quantise"
        ]
    if edge.learning is not None:
        mode = _learning_mode(edge)
        if (weights != truncate_weights(weights.astype(np.int32), sign_mode=mode)).any():
            return [
                f"projection {edge.name!r} learns, and its first weights do not fit 8 bits of sign mode {mode!r}; use "
                "even weights of -256..254 (mixed), or 0..255 or -255..0 (one sign)"
            ]
        return []
    try:
        _stored(weights.astype(np.int32))
    except DeviceLimitError as error:
        return [f"projection {edge.name!r}: {p}" for p in error.problems]
    return []


def _learning_mode(edge: Edge) -> SignMode:
    chip = edge.learning.chip if edge.learning else None
    if chip is None or chip.sign_mode == "auto":
        return sign_mode_of(np.asarray(edge.weights))
    return cast(SignMode, chip.sign_mode)


def _stored(weights: NDArray[np.int32]) -> tuple[NDArray[np.int32], dict[str, Any]]:
    """Return weights as the chip stores them, without losing a bit: odd ones move up, large ones down."""
    exponent = 0
    while not -256 <= weights.min(initial=0) <= weights.max(initial=0) <= 255 and not (weights % 2).any():
        weights, exponent = weights // 2, exponent + 1
    if not (weights % 2).any() and -256 <= weights.min(initial=0) <= weights.max(initial=0) <= 254:
        return weights, {"sign_mode": "mixed", "weight_exp": exponent}
    mode = sign_mode_of(weights)
    moved, bits, up = optimize_weight_bits(weights, mode)
    return moved, {"sign_mode": mode, "num_weight_bits": bits, "weight_exp": exponent + up}


def _start_problems(graph: Graph, lags: Mapping[str, int]) -> list[str]:
    return [
        f"population {n.name!r} begins {lags[n.name]} columns early on the chip, and its bias or initial state would "
        f"lead to a spike or out of range before step 0; give the projections that lead to it a delay of at least "
        f"{graph.dt:g} s"
        for n in graph.nodes
        if _start(n, lags[n.name]) is None
    ]


def _start(node: Node, lag: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return u and v with which a population begins, so that it has its initial states at step 0."""
    p = _population(node)
    keeps = {"keep_u": 4095 - np.asarray(p.du), "keep_v": 4096 - np.asarray(p.dv)}
    threshold = p.threshold
    if node.model.options["reset"] == "none" and not node.model.spiking:
        threshold = MAX_STATE
    return start_states(lag, p.u0, p.v0, **keeps, bias=p.bias, threshold=threshold)


def _network(graph: Graph, lags: Mapping[str, int]) -> IntNetwork:
    return IntNetwork(
        [_started(n, lags[n.name]) for n in graph.nodes],
        [_projection(e, lags, graph.seed) for e in graph.edges],
        [IntInput(s.name, s.n, is_graded_input(s)) for s in graph.sources],
    )


RESETS: dict[str, ResetKind] = {"to": "hard", "subtract": "soft", "none": "none"}


def _population(node: Node) -> IntPopulation:
    p = node.params

    def whole(values: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.rint(values).astype(np.int64)

    reset = RESETS[node.model.options["reset"]]
    population = IntPopulation(
        node.name, node.n, du=p["du"], dv=p["dv"], vth=p["v_th"], bias_mant=p["bias_mant"], bias_exp=p["bias_exp"],
        reset=reset, u0=whole(node.init["u"]), v0=whole(node.init["v"]), refractory=p.get("refractory", 1),
    )  # fmt: skip
    return replace(population, quantum=np.multiply(p["q"], 64.0)) if reset == "soft" else population


def _started(node: Node, lag: int) -> IntPopulation:
    population, start = _population(node), _start(node, lag)
    return population if not lag or start is None else replace(population, u0=start[0], v0=start[1])


def _projection(edge: Edge, lags: Mapping[str, int], seed: int) -> IntProjection:
    extra = lags[edge.post] - lags[edge.pre] - 1  # Lava's delay 0 takes one step
    delays = edge.delays + extra if np.ndim(edge.delays) == 0 else np.asarray(edge.delays) + extra
    weights = np.broadcast_to(np.asarray(edge.weights), (edge.synapses,)).astype(np.int32)
    if edge.learning is not None and edge.learning.chip is not None:
        rule, late = edge.learning.chip, 0
        if rule.modulator:
            late = lags[edge.post] - lags[rule.modulator] - 1 + rule.modulator_delay
        options: dict[str, Any] = {"sign_mode": _learning_mode(edge), "learning": IntLearning(rule, late, seed)}
    else:
        weights, options = _stored(weights)
    return IntProjection(edge.name, edge.pre, edge.post, edge.indptr, edge.indices, weights, delays, **options)
