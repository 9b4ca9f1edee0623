"""Pair-based spike-timing-dependent plasticity.

::

    x decays with tau_plus, grows at every presynaptic arrival
    y decays with tau_minus, grows at every postsynaptic spike
    at an arrival       w -= a_minus d_minus(w) y
    at a post spike     w += a_plus  d_plus(w)  x

    dependence "additive"         d_plus = d_minus = w_max
               "multiplicative"   d_plus = w_max - w,  d_minus = w - w_min
    pairing    "all"              x += 1, y += 1: every pair counts
               "nearest"          x = 1,  y = 1:  only the last spike of the other side counts

A single pair ``t_post - t_pre = D`` changes an additive weight by ``a_plus w_max exp(-D / tau_plus)`` for ``D >= 0``
and by ``-a_minus w_max exp(D / tau_minus)`` for ``D < 0``; ``t_pre`` is the arrival.

Reference: Song, Miller and Abbott, *Nature Neuroscience* 3:919 (2000); Morrison, Diesmann and Gerstner, *Biological
Cybernetics* 98:459 (2008), for the variants.
Peers: NEST ``stdp_synapse`` with ``mu_plus = mu_minus = 0`` (additive; ``lambda = a_plus``, ``alpha =
a_minus / a_plus``) or 1 (multiplicative with ``w_min = 0``), whose delay lies in the dendrite; Brian2's tutorial STDP.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from spikesim.models.synapses._common import choice, trace_spikes
from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

Dependence = Literal["additive", "multiplicative"]
Pairing = Literal["all", "nearest"]

_PARAMS = {
    "a_plus": Param(0.01, "", "potentiation, as a part of the range"),
    "a_minus": Param(0.0105, "", "depression, as a part of the range"),
    "tau_plus": Param(20e-3, "s", "time constant of potentiation", low=0.0),
    "tau_minus": Param(20e-3, "s", "time constant of depression", low=0.0),
}


@cache
def _model(dependence: Dependence, pairing: Pairing) -> SynapseModel:
    soft = dependence == "multiplicative"

    def on_pre(w: Any, pre: Any, post: Any, p: Any) -> Any:
        return w - p.a_minus * (w - p.w_min if soft else p.w_max) * post.y

    def on_post(w: Any, pre: Any, post: Any, p: Any) -> Any:
        return w + p.a_plus * (p.w_max - w if soft else p.w_max) * pre.x

    return synapse(
        "stdp_pair",
        params=_PARAMS,
        pre={"x": "tau_plus"},
        post={"y": "tau_minus"},
        on_pre=on_pre,
        on_post=on_post,
        **trace_spikes(pairing == "nearest"),
        options={"dependence": dependence, "pairing": pairing},
        doc="Pair-based STDP",
    )


def stdp_pair(*, dependence: Dependence = "additive", pairing: Pairing = "all", **params: Any) -> Plasticity:
    """Return pair-based STDP.

    Parameters
    ----------
    dependence
        ``"additive"`` or ``"multiplicative"``: how a change depends on the weight.
    pairing
        ``"all"`` or ``"nearest"``: which spikes make pairs.
    **params
        ``a_plus``, ``a_minus``, ``tau_plus``, ``tau_minus`` (s); ``w_min`` (0) and ``w_max`` (1), in the unit of the
        port.

    Examples
    --------
    >>> stdp_pair(w_max=0.5).model
    <synapse model stdp_pair, dependence=additive, pairing=all>
    """
    choice("dependence on the weight", dependence, Dependence)
    choice("pairing", pairing, Pairing)
    return Plasticity(_model(dependence, pairing), params)
