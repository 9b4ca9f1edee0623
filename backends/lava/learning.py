"""Connections that learn, as Lava processes. Imports Lava; used by `build` only.

============================  ==================================================================
rule without a modulator      ``LearningDense``; the target's spikes return as its ``s_in_bap``
rule with a modulator         the same, and a `ThirdFactor` sends y1, y2, y3; the modulator reaches
                              it by a ``Dense``, or a ``DelayDense`` where it is early
============================  ==================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.learning.learning_rule import Loihi2FLearningRule, Loihi3FLearningRule
from lava.proc.dense.process import DelayDense, Dense, LearningDense
from lava.utils.weightutils import SignMode
from numpy.typing import NDArray

from spikesim.backends.lava._third_factor.third_factor import ThirdFactor
from spikesim.backends.lava.job import resolved_sign_mode
from spikesim.fixedpoint import IntNetwork, IntProjection
from spikesim.fixedpoint.learning import DRAWS, OWN_DECAY, IntLearning
from spikesim.fixedpoint.run import MESSAGE_BITS


def learning_connection(p: IntProjection, learning: IntLearning, n_pre: int, n_post: int) -> Any:
    """Make the connection of a projection that learns."""
    rule = learning.rule
    values: dict[str, Any] = {**rule.texts, "t_epoch": rule.t_epoch, "rng_seed": learning.seed % 2**31}
    kept = ("x1", "x2") if rule.third_factor else ("x1", "x2", "y1", "y2", "y3")
    values |= {f"{t}_{part}": getattr(rule, f"{t}_{part}") for t in kept for part in ("impulse", "tau")}
    matrix = np.zeros((n_post, n_pre), np.int64)
    matrix[p.indices, p.sources] = p.weights
    return LearningDense(
        weights=matrix,
        learning_rule=(Loihi3FLearningRule if rule.third_factor else Loihi2FLearningRule)(**values),
        weight_exp=p.weight_exp,
        num_weight_bits=p.num_weight_bits,
        sign_mode=SignMode[resolved_sign_mode(p).upper()],
    )


def connect_learning(
    network: IntNetwork, populations: dict[str, Any], projections: dict[str, Any], steps: int, sample: int
) -> list[tuple[str, Any]]:
    """Let the targets' spikes, traces and modulators reach the connections that learn.

    Returns
    -------
    list
        Pairs (input, port): ports that still want the spikes of an input.
    """
    wanted = []
    for p in network.projections:
        if p.learning is None:
            continue
        connection, target = projections[p.name], populations[p.post]
        target.s_out.connect(connection.s_in_bap)
        if not p.learning.rule.third_factor:
            continue
        factor = _third_factor(p, p.learning, network.size(p.post), steps, sample)
        target.s_out.connect(factor.s_in)
        for name in ("y1", "y2", "y3"):
            getattr(factor, name).connect(getattr(connection, f"s_in_{name}"))
        modulator = p.learning.rule.modulator
        way = _modulator_way(p.learning, network.size(modulator), network.size(p.post))
        way.a_out.connect(factor.a_in)
        if modulator in populations:
            populations[modulator].s_out.connect(way.s_in)
        else:
            wanted.append((modulator, way.s_in))
    return wanted


def _third_factor(p: IntProjection, learning: IntLearning, n: int, steps: int, sample: int) -> Any:
    keep, whole, part = (array[2:] for array in learning.rule.trace_arrays())
    draws = learning.draws(p.name, sample, 0, steps)[:, OWN_DECAY:DRAWS]
    return ThirdFactor(n=n, keep=keep, whole=whole, part=part, epoch=learning.rule.t_epoch, draws=draws)


def _modulator_way(learning: IntLearning, n: int, n_post: int) -> Any:
    options: dict[str, Any] = {"num_message_bits": MESSAGE_BITS, "sign_mode": SignMode.MIXED}
    weight = learning.rule.modulator_weight
    if weight % 2:  # a mixed matrix keeps even weights only
        options["sign_mode"] = SignMode.EXCITATORY if weight > 0 else SignMode.INHIBITORY
    weights = np.full((n_post, n), weight, np.int64)
    if learning.modulator_delay == 0:
        return Dense(weights=weights, **options)
    return DelayDense(weights=weights, delays=np.full((n_post, n), learning.modulator_delay, np.int64), **options)


def read_learned(connection: Any, p: IntProjection) -> NDArray[np.int32]:
    """Return w, d and t of the synapses of a projection: int32, shape (3, n_synapses)."""
    matrices = (connection.weights.get(), connection.tag_2.get(), connection.tag_1.get())
    return np.stack([np.asarray(m)[p.indices, p.sources] for m in matrices]).astype(np.int32)
