"""Plasticity rules, one per file: equations, reference, parameters, and the events that every backend compiles.

Each is a function that returns a :class:`~spikesim.synapse.Plasticity` for ``Projection(..., plasticity=...)``; write
your own with :func:`spikesim.synapse.synapse`.
"""

from collections.abc import Callable

from spikesim.models.synapses.fast_weights import FastWeights, fast_weights
from spikesim.models.synapses.hebbian import hebbian
from spikesim.models.synapses.oja import oja
from spikesim.models.synapses.r_stdp import r_stdp
from spikesim.models.synapses.scaling import scaling
from spikesim.models.synapses.stdp_pair import stdp_pair
from spikesim.models.synapses.stdp_triplet import stdp_triplet
from spikesim.models.synapses.subspace import subspace
from spikesim.models.synapses.tsodyks_markram import tsodyks_markram
from spikesim.models.synapses.vogels import vogels
from spikesim.synapse import Plasticity

SYNAPSES: dict[str, Callable[..., Plasticity]] = {
    "fast_weights": fast_weights,
    "hebbian": hebbian,
    "oja": oja,
    "r_stdp": r_stdp,
    "scaling": scaling,
    "stdp_pair": stdp_pair,
    "stdp_triplet": stdp_triplet,
    "subspace": subspace,
    "tsodyks_markram": tsodyks_markram,
    "vogels": vogels,
}

__all__ = [
    "SYNAPSES",
    "FastWeights",
    "fast_weights",
    "hebbian",
    "oja",
    "r_stdp",
    "scaling",
    "stdp_pair",
    "stdp_triplet",
    "subspace",
    "tsodyks_markram",
    "vogels",
]
