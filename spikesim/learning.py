"""Lowering of plasticity: decay tables, bounds, and what does not fit; a :class:`Learning` is all a backend needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikesim.equations import elementary
from spikesim.errors import InvalidValueError
from spikesim.fixedpoint.learning import LoihiRule
from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

if TYPE_CHECKING:
    from spikesim.graph import Edge, Graph

BLOCK = 1024  # entries of the lower table
FORGOTTEN = 40.0  # time constants after which a trace is 0; e^-40 is below 2^-57
MOST_ROWS = 2**19  # of the upper table: a time constant of 1.3e7 steps


@dataclass(frozen=True, eq=False)
class Learning:
    """The plasticity of an edge.

    Parameters
    ----------
    model
        The equations.
    params
        Everything that events read from ``p``, float64.
    decay
        ``pre_<trace>``, ``post_<trace>`` or state to its tables ``(hi, lo)``: after ``n`` steps there remains the
        factor ``hi[min(n // 1024, len(hi) - 1)] * lo[n % 1024]``.
    low, high
        Weights are clipped to these.
    limit
        Largest magnitude of what a synapse sends.
    modulator
        Source or population whose output is the reward, or ``""``.
    chip
        A rule of Loihi's learning engine, which only engines for fixed point run; `model` then stands in for it and
        leaves the weights alone.
    """

    model: SynapseModel
    params: Mapping[str, float]
    decay: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    low: float
    high: float
    limit: float
    modulator: str
    chip: LoihiRule | None = None


def decay_tables(tau: float, dt: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the tables of an exponential decay.

    Parameters
    ----------
    tau
        Time constant in seconds; 0 forgets after one step.
    dt
        Time step in seconds.

    Returns
    -------
    hi, lo
        See :class:`Learning`; the last entry of ``hi`` is 0.

    Examples
    --------
    >>> hi, lo = decay_tables(20e-3, 1e-3)
    >>> hi.tolist(), bool(lo[20] == np.exp(-1.0))
    ([1.0, 0.0], True)
    """
    if tau == 0:
        return np.array([1.0, 0.0]), np.concatenate([[1.0], np.zeros(BLOCK - 1)])
    rows = int(np.ceil(FORGOTTEN * tau / dt / BLOCK))
    if rows > MOST_ROWS:
        raise InvalidValueError(
            f"a time constant of {tau:g} s is longer than {MOST_ROWS * BLOCK / FORGOTTEN:.2g} steps of {dt:g} s; "
            "choose a shorter one or a longer dt"
        )
    lo = elementary.exp(np.arange(BLOCK) * dt / -tau)
    hi = np.append(elementary.exp(np.arange(rows) * (BLOCK * dt) / -tau), 0.0)
    return np.asarray(hi, np.float64), np.asarray(lo, np.float64)


def decay(tables: tuple[NDArray[np.float64], NDArray[np.float64]], n: Any) -> Any:
    """Return what remains after ``n`` steps."""
    hi, lo = tables
    n = np.asarray(n, np.int64)
    return hi[np.minimum(n // BLOCK, len(hi) - 1)] * lo[n % BLOCK]


@cache
def _stand_in() -> SynapseModel:
    bounds = {"w_min": Param(-256.0, "", "smallest weight"), "w_max": Param(255.0, "", "largest weight")}
    return synapse("loihi_rule", params=bounds, on_pre=lambda w, pre, post, p: w)


def lower_plasticity(
    plasticity: Plasticity | LoihiRule, dt: float, extremes: tuple[float, float], graded: bool
) -> Learning:
    """Lower the plasticity of a projection.

    Parameters
    ----------
    plasticity
        What the user said.
    dt
        Time step in seconds.
    extremes
        Smallest and largest weight at the start.
    graded
        Whether the source emits values.

    Raises
    ------
    InvalidValueError
        If weights lie outside the bounds, or the source does not spike.
    """
    chip = plasticity if isinstance(plasticity, LoihiRule) else None
    if isinstance(plasticity, LoihiRule):
        plasticity = Plasticity(_stand_in())
    model = plasticity.model
    if graded:
        raise InvalidValueError("a plastic synapse needs spikes, found a source of values; use a source that spikes")
    smallest, largest = low, high = extremes
    if model.learns:
        low, high = plasticity.value("w_min"), plasticity.value("w_max")
        if smallest < low or largest > high:
            raise InvalidValueError(
                f"plastic weights must start within w_min {low:g} and w_max {high:g}, found "
                f"{smallest:g} .. {largest:g}; change the bounds or the weights"
            )
    params = {name: plasticity.value(name) for name in model.params}
    tables = {name: decay_tables(params[tau], dt) for name, tau in model.decaying.items()}
    limit = max(abs(low), abs(high))
    modulator = chip.modulator if chip else plasticity.modulator
    return Learning(model, {**params, "dt": dt}, tables, low, high, limit, modulator, chip)


def learning_of(edge: Edge) -> Learning:
    """Return the plasticity of an edge that has one."""
    if edge.learning is None:
        raise InvalidValueError(f"projection {edge.name!r} is not plastic; give it plasticity=")
    return edge.learning


def check_weights(edge: Edge, weights: Any) -> None:
    """Raise if weights that are to replace those of a plastic edge lie outside its bounds."""
    learning = edge.learning
    outside = learning is not None and bool(np.any((weights < learning.low) | (weights > learning.high)))
    if learning is not None and outside:
        raise InvalidValueError(
            f"projection {edge.name!r} is plastic: weights must lie within {learning.low:g} .. {learning.high:g}, "
            f"found {np.min(weights):g} .. {np.max(weights):g}"
        )


def largest_weight(edge: Edge) -> float:
    """Return the largest magnitude that a weight of an edge has or may come to have."""
    return edge.weight_limit if edge.learning is None else max(edge.weight_limit, edge.learning.limit)


def plastic_problems(graph: Graph, who: str) -> list[str]:
    """Return why an engine or format without plasticity cannot take a graph, one sentence per projection.

    Parameters
    ----------
    graph
        A lowered network.
    who
        What cannot learn, for the sentence: ``"backend 'lava'"``.
    """
    return [
        f"projection {e.name!r} is plastic ({e.learning.model.name}), which {who} cannot do; leave `plasticity` out"
        for e in graph.edges
        if e.learning is not None
    ]


def grid_problems(graph: Graph) -> list[str]:
    """Return what keeps an engine in floats from learning: a rule of the chip, or weights that stand on no grid."""
    return [
        f"projection {e.name!r} learns by a rule of Loihi's learning engine, which the backends 'loihi' and 'lava' "
        "run; choose one of them, or a rule of spikesim.models.synapses"
        for e in graph.edges
        if e.learning is not None and e.learning.chip is not None
    ] + [
        f"projection {e.name!r} is plastic and needs the exact grid; lower the network with snap=True"
        for e in graph.edges
        if e.learning is not None and not getattr(graph.exactness.get((e.post, e.port)), "grid", 0.0)
    ]


def modulator_problems(modulators: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Return a sentence for every modulator (by projection) that is neither a source nor a population."""
    names = list(known)
    return [
        f"projection {projection!r}: its modulator {name!r} is not among the sources and populations "
        f"{', '.join(sorted(names)) or '(none)'}"
        for projection, name in modulators.items()
        if name not in names
    ]


__all__ = [
    "Learning",
    "check_weights",
    "decay",
    "decay_tables",
    "grid_problems",
    "largest_weight",
    "learning_of",
    "lower_plasticity",
    "modulator_problems",
    "plastic_problems",
]
