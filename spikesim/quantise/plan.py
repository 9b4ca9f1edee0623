"""What was chosen to bring a network to integers, and the networks that follow from it.

Rounding comes in four kinds. All of them give the integer network; none gives the float network in the chip's form; one
alone shows what it does (:mod:`spikesim.quantise.measured`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikesim.connect import Connection, Conv2d, Dense, Sparse
from spikesim.graph import Edge, Graph, Node
from spikesim.models.neurons import cuba_lif, loihi_lif
from spikesim.network import Network, Population, Probe, Projection
from spikesim.neuron import Neuron
from spikesim.quantise.forms import Floats, Forms, one_if_same
from spikesim.quantise.levels import Levels

DECAY_ONE = 4096
STATE_SCALE = 64  # the chip shifts its input left by 6
RESETS: dict[str, Literal["to", "subtract", "none"]] = {"hard": "to", "soft": "subtract", "none": "none"}
KINDS = {
    "weights": "weights, to the values that a projection can hold",
    "decays": "time constants, to 4096ths (and to bins)",
    "thresholds": "thresholds, biases, quanta of soft resets and initial states, to whole numbers",
    "state": "current and voltage, to whole numbers in every step",
}


@dataclass(frozen=True, eq=False)
class PopulationPlan:
    """How a population becomes integers.

    Parameters
    ----------
    node
        The population.
    forms
        Its parameters in real numbers.
    scale
        Integer weight units per float unit of the membrane.
    du, dv
        Decays, int64 ``[n]``.
    quantum
        What a soft reset subtracts in float units, float64 ``[n]``: that of the neuron's bin.
    """

    node: Node
    forms: Forms
    scale: float
    du: NDArray[np.int64]
    dv: NDArray[np.int64]
    quantum: Floats

    @property
    def threshold(self) -> NDArray[np.int64]:
        """Mantissas."""
        return np.asarray(np.maximum(1, np.rint(self.forms.threshold * self.scale)), np.int64)

    @property
    def whole_quantum(self) -> NDArray[np.int64]:
        """What a soft reset subtracts, in units of the voltage."""
        return np.rint(self.quantum * self.scale * STATE_SCALE).astype(np.int64)

    @property
    def bias(self) -> Floats:
        """In units of the voltage, not rounded."""
        return self.forms.bias * self.scale * STATE_SCALE

    def initial(self) -> dict[str, Floats]:
        """Return initial states in units of the voltage, not rounded."""
        f = self.forms
        found = {"v": (self.node.init[f.voltage] - f.rest) * self.scale * STATE_SCALE}
        if f.current is not None:
            found["u"] = self.node.init[f.current] * f.coupling * self.scale * STATE_SCALE
        return found

    def neuron(self, rounded: Collection[str]) -> Neuron:
        """Return the neuron with some kinds of rounding: ``loihi_lif`` where states are whole numbers.

        It also is where there is a refractory time, which ``cuba_lif`` does not have.
        """
        exact = "thresholds" in rounded
        start = {n: np.rint(v) if exact else v for n, v in self.initial().items()}
        keeps = (1.0 - (self.du + 1) / DECAY_ONE, 1.0 - self.dv / DECAY_ONE)
        if "decays" not in rounded:
            keeps = (self.forms.current_keep, self.forms.voltage_keep)
        numbers = {
            "v_th": self.threshold if exact else self.forms.threshold * self.scale,
            "q": (self.whole_quantum if exact else self.quantum * self.scale * STATE_SCALE) / STATE_SCALE,
        }
        if self.forms.reset != "soft":
            del numbers["q"]
        if "state" in rounded or self.forms.refractory > 1:
            return self._integer(numbers, keeps, start, exact)
        bias = self._whole_bias() if exact else self.bias
        start = {n: v / STATE_SCALE for n, v in start.items()}
        values = {"du": 1.0 - keeps[0], "dv": 1.0 - keeps[1], "bias": bias / STATE_SCALE, **numbers}
        return cuba_lif(reset=RESETS[self.forms.reset], init=_not_zero(start), **_shared(values))

    def _whole_bias(self) -> Floats:
        mantissa, exponent = bias_parts(self.bias)
        return np.asarray(mantissa, np.float64) * 2.0**exponent

    def _integer(self, numbers: dict[str, Any], keeps: Any, start: Mapping[str, Floats], exact: bool) -> Neuron:
        mantissa, exponent = bias_parts(self.bias)
        if not exact:
            mantissa = np.clip(self.bias / 2**exponent, -4096, 4095)
        du = np.clip(DECAY_ONE * (1.0 - keeps[0]) - 1.0, 0, DECAY_ONE - 1)
        values = {"du": du, "dv": DECAY_ONE * (1.0 - keeps[1]), "bias_mant": mantissa, **numbers}
        shared = {n: _whole(v) for n, v in _shared(values).items()}
        if self.forms.refractory > 1:
            shared["refractory"] = self.forms.refractory
        return loihi_lif(reset=RESETS[self.forms.reset], bias_exp=exponent, init=_not_zero(start), **shared)


def _shared(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one_if_same(value) for name, value in values.items()}


def _whole(value: Any) -> Any:
    """Return a whole number as int, so that it looks like one."""
    return int(value) if np.ndim(value) == 0 and float(value).is_integer() else value


def _not_zero(states: Mapping[str, Floats]) -> dict[str, Floats]:
    """Leave out the states that are 0 anyway."""
    return {name: values for name, values in states.items() if values.any()}


@dataclass(frozen=True, eq=False)
class ProjectionPlan:
    """How the weights of a projection become integers.

    Parameters
    ----------
    edge
        The projection.
    weights
        Float weights: of ``Dense`` and ``Conv2d`` as the rule holds them, else one per synapse.
    factor
        Integer units per unit of weight: one number, or one per target ``[n_post]``.
    levels
        The values that they may take.
    """

    edge: Edge
    weights: Floats
    factor: float | Floats
    levels: Levels

    def spread(self) -> float | Floats:
        """Return the factor in the layout of the weights."""
        if np.ndim(self.factor) == 0:
            return self.factor
        return (
            np.asarray(self.factor)[:, None] if self.weights.ndim == 2 else np.asarray(self.factor)[self.edge.indices]
        )

    def scaled(self) -> Floats:
        """Return the weights in integer units, not rounded."""
        return np.asarray(self.weights * self.spread(), np.float64)

    def connection(self, rounded: bool) -> Connection:
        """Return the rule: layers stay what they are, so that exporters see them; all else is a sparse matrix."""
        scaled = self.scaled()
        values = self.levels.round(scaled).astype(np.float64) if rounded else scaled
        if self.weights.ndim > 1:
            return self.edge.rule.map_weights(lambda _: values)
        by_source = csr_array((values, self.edge.indices, self.edge.indptr), shape=(self.edge.n_pre, self.edge.n_post))
        return Sparse(by_source.T)


def float_weights(edge: Edge, gain: Floats) -> Floats:
    """Return the float weights of a projection in the layout that :class:`ProjectionPlan` has for them."""
    if isinstance(edge.rule, Dense) or (isinstance(edge.rule, Conv2d) and np.ndim(one_if_same(gain)) == 0):
        return edge.rule.weights
    return np.broadcast_to(np.asarray(edge.weights, np.float64), (edge.synapses,))


@dataclass(frozen=True, eq=False)
class Plan:
    """All choices.

    Parameters
    ----------
    graph
        The float network.
    order
        Names of the populations in the order of the network.
    populations, projections
        By name.
    """

    graph: Graph
    order: tuple[str, ...]
    populations: Mapping[str, PopulationPlan]
    projections: Mapping[str, ProjectionPlan]

    def network(self, rounded: Collection[str] = tuple(KINDS)) -> Network:
        """Return the network with some kinds of rounding; all of them make it the integer network."""
        graph = self.graph
        populations = [Population(n, graph.node(n).shape, self.populations[n].neuron(rounded)) for n in self.order]
        projections = [
            Projection(e.pre, e.post, self.projections[e.name].connection("weights" in rounded),
                       delay=e.delays * graph.dt, name=e.name)
            for e in graph.edges
        ]  # fmt: skip
        name = f"{graph.name} (fixed point)" if len(rounded) == len(KINDS) else graph.name
        return Network(populations, projections, graph.sources, _probes(graph), graph.dt, graph.seed, name)

    def with_weights(self, weights: Mapping[str, Floats]) -> Plan:
        """Return the plan with other float weights of some projections."""
        new = {name: replace(self.projections[name], weights=values) for name, values in weights.items()}
        return replace(self, projections={**self.projections, **new})


def _probes(graph: Graph) -> tuple[Probe, ...]:
    """Probes on the voltage stay; others name states that no longer exist."""
    return tuple(p for p in graph.probes if set(p.variables) <= {"u", "v"})


def bias_parts(values: Any) -> tuple[Any, int]:
    """Split biases into mantissas (13 bit, signed) and the exponent that they share (0..7).

    >>> bias_parts(100.0), bias_parts(10000.0)
    ((100, 0), (2500, 2))
    >>> bias_parts(np.array([3.0, -10000.0]))[0].tolist()
    [1, -2500]
    """
    for exponent in range(8):
        mantissas = np.rint(np.asarray(values) / 2**exponent)
        if mantissas.min() >= -4096 and mantissas.max() <= 4095:
            break
    mantissas = np.clip(mantissas, -4096, 4095).astype(np.int64)
    return (mantissas if mantissas.ndim else int(mantissas)), exponent
