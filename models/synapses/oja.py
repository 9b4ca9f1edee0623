"""Oja's rule on traces: Hebbian growth that keeps the length of the weight vector.

::

    x (tau) grows by 1 at every arrival, y (tau) at every post spike
    at a post spike     w += eta (x w_unit - y w)

The rate form is ``dw/dt = eta s tau (r w_unit - s w)`` with the rates ``r`` of the source and ``s`` of the target. If
``s = sum(w r) / w_unit``, weights settle at ``w = w_unit r / s``: the vector ``w / w_unit`` has length 1 and points
along the rates.

Reference: Oja, *Journal of Mathematical Biology* 15:267 (1982); Gerstner, Kistler, Naud and Paninski, *Neuronal
Dynamics*, Cambridge University Press 2014, section 19.3.
Peers: none ready-made; Brian2 by the same equations.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

_PARAMS = {
    "eta": Param(1e-3, "", "learning rate"),
    "tau": Param(20e-3, "s", "time constant of both traces", low=0.0),
    "w_unit": Param(1.0, "", "length of the weight vector"),
}


@cache
def _model() -> SynapseModel:
    def on_post(w: Any, pre: Any, post: Any, p: Any) -> Any:
        return w + p.eta * (pre.x * p.w_unit - post.y * w)

    return synapse(
        "oja", params=_PARAMS, pre={"x": "tau"}, post={"y": "tau"}, on_post=on_post, doc="Oja's rule on traces"
    )


def oja(**params: Any) -> Plasticity:
    """Return Oja's rule.

    Parameters
    ----------
    **params
        ``eta``, ``tau`` (s), ``w_unit``; ``w_min`` (0) and ``w_max`` (1), in the unit of the port.

    Examples
    --------
    >>> oja(w_unit=0.2, w_max=0.2).value("w_unit")
    0.2
    """
    return Plasticity(_model(), params)
