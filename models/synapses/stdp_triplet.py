"""Triplet STDP.

::

    r1 (tau_plus), r2 (tau_x)    grow by 1 at every presynaptic arrival
    o1 (tau_minus), o2 (tau_y)   grow by 1 at every postsynaptic spike
    at an arrival       w -= w_max o1 (a2_minus + a3_minus r2)
    at a post spike     w += w_max r1 (a2_plus  + a3_plus  o2)

All traces are those just before the spike. The defaults are the all-to-all fit to visual cortex (table 4 of the paper);
with them potentiation at low rates is absent and pairs at 40 Hz potentiate whatever their order.

Reference: Pfister and Gerstner, *Journal of Neuroscience* 26:9673 (2006), equations 3 and 4.
Peers: NEST ``stdp_triplet_synapse`` (its ``Aplus`` ... are absolute changes: multiply by ``w_max``; dendritic delay).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

_PARAMS = {
    "a2_plus": Param(5e-10, "", "potentiation by pairs"),
    "a3_plus": Param(6.2e-3, "", "potentiation by triplets"),
    "a2_minus": Param(7e-3, "", "depression by pairs"),
    "a3_minus": Param(2.3e-4, "", "depression by triplets"),
    "tau_plus": Param(16.8e-3, "s", "time constant of r1", low=0.0),
    "tau_x": Param(101e-3, "s", "time constant of r2", low=0.0),
    "tau_minus": Param(33.7e-3, "s", "time constant of o1", low=0.0),
    "tau_y": Param(125e-3, "s", "time constant of o2", low=0.0),
}


@cache
def _model() -> SynapseModel:
    def on_pre(w: Any, pre: Any, post: Any, p: Any) -> Any:
        return w - p.w_max * post.o1 * (p.a2_minus + p.a3_minus * pre.r2)

    def on_post(w: Any, pre: Any, post: Any, p: Any) -> Any:
        return w + p.w_max * pre.r1 * (p.a2_plus + p.a3_plus * post.o2)

    return synapse(
        "stdp_triplet",
        params=_PARAMS,
        pre={"r1": "tau_plus", "r2": "tau_x"},
        post={"o1": "tau_minus", "o2": "tau_y"},
        on_pre=on_pre,
        on_post=on_post,
        doc="Triplet STDP",
    )


def stdp_triplet(**params: Any) -> Plasticity:
    """Return triplet STDP.

    Parameters
    ----------
    **params
        ``a2_plus``, ``a3_plus``, ``a2_minus``, ``a3_minus`` (parts of ``w_max``), ``tau_plus``, ``tau_x``,
        ``tau_minus``, ``tau_y`` (s); ``w_min`` (0) and ``w_max`` (1), in the unit of the port.

    Examples
    --------
    >>> stdp_triplet(w_max=0.5).value("tau_x")
    0.101
    """
    return Plasticity(_model(), params)
