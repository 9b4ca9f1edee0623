"""Hebbian learning on traces: what fires together is wired together, whatever the order.

::

    x (tau) grows by 1 at every arrival, y (tau) at every post spike
    at an arrival       w += eta w_max y - decay (w - w_min)
    at a post spike     w += eta w_max x

For independent Poisson trains of rates ``r`` and ``s`` the mean drift is ``2 eta w_max tau r s - decay (w - w_min) r``.

Reference: Gerstner, Kistler, Naud and Paninski, *Neuronal Dynamics*, Cambridge University Press 2014, section 19.2.
Peers: Brian2 by the same equations; NEST ``stdp_synapse`` with a negative ``alpha``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

_PARAMS = {
    "eta": Param(1e-3, "", "growth per coincidence, as a part of w_max"),
    "decay": Param(0.0, "", "part of the weight that an arrival takes away", low=0.0, high=1.0),
    "tau": Param(20e-3, "s", "time within which spikes coincide", low=0.0),
}


@cache
def _model() -> SynapseModel:
    def on_pre(w: Any, pre: Any, post: Any, p: Any) -> Any:
        return w + (p.eta * p.w_max * post.y - p.decay * (w - p.w_min))

    def on_post(w: Any, pre: Any, post: Any, p: Any) -> Any:
        return w + p.eta * p.w_max * pre.x

    return synapse(
        "hebbian",
        params=_PARAMS,
        pre={"x": "tau"},
        post={"y": "tau"},
        on_pre=on_pre,
        on_post=on_post,
        doc="Hebbian learning on traces",
    )


def hebbian(**params: Any) -> Plasticity:
    """Return Hebbian learning with an optional decay.

    Parameters
    ----------
    **params
        ``eta``, ``decay``, ``tau`` (s); ``w_min`` (0) and ``w_max`` (1), in the unit of the port.

    Examples
    --------
    >>> hebbian(eta=0.01).value("eta")
    0.01
    """
    return Plasticity(_model(), params)
