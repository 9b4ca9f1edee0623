"""Synaptic scaling: all weights of a neuron grow while it fires too little, and shrink while it fires too much.

::

    z (tau, slow) grows by 1 at every post spike; z / tau estimates the rate of the target
    at an arrival       w += eta w (1 - z / (rate tau))

A weight changes by a factor, so the relations among the weights of a neuron are kept where their sources fire alike.

Reference: van Rossum, Bi and Turrigiano, *Journal of Neuroscience* 20:8812 (2000), without the integral term;
Turrigiano, *Cell* 135:422 (2008).
Peers: none ready-made; Brian2 by the same equations.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

_PARAMS = {
    "eta": Param(1e-4, "", "relative change per arrival"),
    "tau": Param(10.0, "s", "time over which the rate is estimated", low=0.0, open_low=True),
    "rate": Param(5.0, "Hz", "rate of the target that is kept", low=0.0, open_low=True),
}


@cache
def _model() -> SynapseModel:
    def on_pre(w: Any, pre: Any, post: Any, p: Any) -> Any:
        return w + p.eta * w * (1.0 - post.z / (p.rate * p.tau))

    return synapse(
        "scaling", params=_PARAMS, post={"z": "tau"}, on_pre=on_pre, doc="Synaptic scaling towards a rate of the target"
    )


def scaling(**params: Any) -> Plasticity:
    """Return synaptic scaling.

    Parameters
    ----------
    **params
        ``eta``, ``tau`` (s), ``rate`` (Hz); ``w_min`` (0) and ``w_max`` (1), in the unit of the port.

    Examples
    --------
    >>> scaling(rate=3.0).value("rate")
    3.0
    """
    return Plasticity(_model(), params)
