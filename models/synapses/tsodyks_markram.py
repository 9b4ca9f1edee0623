"""Short-term plasticity of Tsodyks and Markram: facilitation and depression of what a synapse sends.

::

    f (tau_fac)  decays to 0; u = f + u0 (1 - f) is the part of the resources that a spike uses
    d (tau_rec)  decays to 0; 1 - d are the resources at hand
    at an arrival       sends w u (1 - d);   f = u;   d = d + u (1 - d)

Weights stay as they are. Spikes at an interval ``T`` settle at ``u = u0 / (1 - (1 - u0) exp(-T / tau_fac))`` and
resources ``R = (1 - exp(-T / tau_rec)) / (1 - (1 - u) exp(-T / tau_rec))``. ``tau_fac=0``, the default, is
depression alone.

Reference: Tsodyks and Markram, *PNAS* 94:719 (1997); Tsodyks, Pawelzik and Markram, *Neural Computation* 10:821 (1998).
Peers: NEST ``tsodyks2_synapse`` (``U = u0``); Brian2's example of short-term plasticity.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

_PARAMS = {
    "u0": Param(0.5, "", "part of the resources that a spike after a long rest uses", low=0.0, high=1.0),
    "tau_rec": Param(0.8, "s", "time constant of recovery", low=0.0),
    "tau_fac": Param(0.0, "s", "time constant of facilitation; 0 for none", low=0.0),
}


def _used(pre: Any, p: Any) -> Any:
    return pre.f + p.u0 * (1.0 - pre.f)


@cache
def _model() -> SynapseModel:
    def send(w: Any, pre: Any, p: Any) -> Any:
        return w * (_used(pre, p) * (1.0 - pre.d))

    def pre_spike(pre: Any, p: Any) -> dict[str, Any]:
        u = _used(pre, p)
        return {"f": u, "d": pre.d + u * (1.0 - pre.d)}

    return synapse(
        "tsodyks_markram",
        params=_PARAMS,
        pre={"f": "tau_fac", "d": "tau_rec"},
        send=send,
        pre_spike=pre_spike,
        doc="Short-term facilitation and depression",
    )


def tsodyks_markram(**params: Any) -> Plasticity:
    """Return short-term plasticity.

    Parameters
    ----------
    **params
        ``u0``, ``tau_rec``, ``tau_fac`` (s).

    Examples
    --------
    >>> tsodyks_markram(tau_fac=1.0).value("tau_fac")
    1.0
    """
    return Plasticity(_model(), params)
