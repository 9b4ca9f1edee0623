"""From an integer network to Lava processes. Imports Lava, so call `import_lava` first and stay in one process.

==================  ==============================================================
population          ``LIF``; ``LIFReset`` with an interval; `SoftLIF` (simulation only) for a soft reset or none
projection          ``Dense``; ``DelayDense`` with delays; ``Sparse`` if large and thin; ``LearningDense``
==================  ==============================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from spikesim.backends.lava._procs.soft_lif import SoftLIF
from spikesim.backends.lava.job import one_per_pair, resolved_sign_mode, summed_weights
from spikesim.backends.lava.learning import connect_learning, learning_connection
from spikesim.fixedpoint import IntNetwork, IntPopulation, IntProjection
from spikesim.fixedpoint.run import MESSAGE_BITS

# Below this many entries a matrix costs nothing, above this density a sparse one costs more.
_LARGE, _THIN = 1 << 16, 0.1


@dataclass(frozen=True)
class Processes:
    """The Lava processes of a network, by the names of its parts.

    Projections that come from an input have an open port ``s_in``; `listeners` are further ports that want the spikes
    of an input, by its name.
    """

    populations: dict[str, Any]
    projections: dict[str, Any]
    listeners: list[tuple[str, Any]] = field(default_factory=list)


def build_processes(network: IntNetwork, *, steps: int = 0, sample: int = 0) -> Processes:
    """Make and connect the processes of a network that `find_unsupported` has nothing against.

    A network with a modulator needs to know how many steps it will run, and the number of the sample.
    """
    populations = {p.name: _neurons(p) for p in network.populations}
    projections = {}
    for p in network.projections:
        sizes = network.size(p.pre), network.size(p.post)
        if p.learning is None:
            connection = _connection(p, *sizes, MESSAGE_BITS if network.graded(p.pre) else 0)
        else:
            connection = learning_connection(p, p.learning, *sizes)
        if p.pre in populations:
            populations[p.pre].s_out.connect(connection.s_in)
        connection.a_out.connect(populations[p.post].a_in)
        projections[p.name] = connection
    return Processes(populations, projections, connect_learning(network, populations, projections, steps, sample))


def _one(value: Any) -> int:
    """Take the value that all neurons share."""
    return int(np.ravel(value)[0])


def _neurons(p: IntPopulation) -> Any:
    parameters: dict[str, Any] = {
        "shape": (p.n,),
        "u": np.broadcast_to(p.u0, p.n).astype(np.int32),
        "v": np.broadcast_to(p.v0, p.n).astype(np.int32),
        "du": _one(p.du),
        "dv": _one(p.dv),
        "vth": _one(p.vth),
        "bias_mant": np.broadcast_to(p.bias_mant, p.n).astype(np.int32),
        "bias_exp": np.broadcast_to(p.bias_exp, p.n).astype(np.int32),
    }
    if p.reset == "hard" and p.reset_interval:
        return LIFReset(reset_interval=p.reset_interval, reset_offset=p.reset_offset, **parameters)
    if p.reset == "hard":
        return LIF(**parameters)
    return SoftLIF(quantum=0 if p.reset == "none" else _one(p.soft_quantum), **parameters)


def _connection(p: IntProjection, n_pre: int, n_post: int, message_bits: int) -> Any:
    _, first, place = one_per_pair(p)
    target, source = p.indices[first], p.sources[first]
    # Lava truncates the weights itself; only sums of several synapses are handed over truncated.
    weights = p.weights[first] if first.size == p.n_synapses else summed_weights(p, place)
    options = {
        "weight_exp": p.weight_exp,
        "num_weight_bits": p.num_weight_bits,
        "num_message_bits": message_bits,
        "sign_mode": SignMode[resolved_sign_mode(p).upper()],
    }
    if p.max_delay == 0 and n_pre * n_post >= _LARGE and first.size < _THIN * n_pre * n_post:
        return Sparse(weights=csr_matrix((weights, (target, source)), shape=(n_post, n_pre)), **options)
    matrix = np.zeros((n_post, n_pre), np.int64)
    matrix[target, source] = weights
    if p.max_delay == 0:
        return Dense(weights=matrix, **options)
    delays = np.zeros((n_post, n_pre), np.int64)
    delays[target, source] = np.broadcast_to(p.delay, p.n_synapses)[first]
    return DelayDense(weights=matrix, delays=delays, **options)
