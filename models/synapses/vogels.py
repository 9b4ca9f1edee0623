"""Inhibitory plasticity that balances excitation: homeostasis of the target's rate.

::

    x (tau) grows by 1 at every arrival, y (tau) at every post spike
    at an arrival       w += eta (y - 2 rate tau)
    at a post spike     w += eta x

The mean drift is 0 where the target fires at ``rate``: above it inhibition grows, below it shrinks.

Where a port takes inhibition as negative weights, give a negative ``eta``, ``w_min`` below 0 and ``w_max=0``.

Reference: Vogels, Sprekeler, Zenke, Clopath and Gerstner, *Science* 334:1569 (2011), supporting material.
Peers: NEST ``vogels_sprekeler_synapse`` (its ``alpha`` is ``2 rate tau``; dendritic delay); Brian2's example of it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

_PARAMS = {
    "eta": Param(1e-3, "", "learning rate, in the unit of the weight"),
    "tau": Param(20e-3, "s", "time constant of both traces", low=0.0),
    "rate": Param(5.0, "Hz", "rate of the target that is kept", low=0.0),
}


@cache
def _model() -> SynapseModel:
    def on_pre(w: Any, pre: Any, post: Any, p: Any) -> Any:
        return w + p.eta * (post.y - 2.0 * p.rate * p.tau)

    def on_post(w: Any, pre: Any, post: Any, p: Any) -> Any:
        return w + p.eta * pre.x

    return synapse(
        "vogels",
        params=_PARAMS,
        pre={"x": "tau"},
        post={"y": "tau"},
        on_pre=on_pre,
        on_post=on_post,
        doc="Inhibitory plasticity that keeps the rate of its target",
    )


def vogels(**params: Any) -> Plasticity:
    """Return the inhibitory rule of Vogels et al.

    Parameters
    ----------
    **params
        ``eta``, ``tau`` (s), ``rate`` (Hz); ``w_min`` (0) and ``w_max`` (1), in the unit of the port.

    Examples
    --------
    >>> vogels(rate=3.0).value("rate")
    3.0
    """
    return Plasticity(_model(), params)
