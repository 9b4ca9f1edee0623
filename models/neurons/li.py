"""Leaky integrator: a read-out that never fires. Its membrane is the result.

::

    v = alpha v + i + bias,    alpha = beta or exp(-dt / tau_m)

Reference: Bellec et al., "A solution to the learning dilemma for recurrent networks of spiking neurons",
Nat. Commun. 11:3625, 2020 (read-out neurons).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.equations.primitives import exp
from spikesim.neuron import Neuron, NeuronModel, Param, neuron


@cache
def _model(per_step: bool) -> NeuronModel:
    def step(v: Any, i: Any, p: Any) -> Any:
        return 0.0, (p.beta if per_step else p.alpha) * v + (i + p.bias)

    leak = {
        "beta": Param(0.9, "", "what a step leaves of the membrane; 1 adds up", low=0.0, high=1.0),
        "tau_m": Param(20e-3, "s", "membrane time constant", low=0.0, open_low=True),
    }
    chosen = "beta" if per_step else "tau_m"
    return neuron(  # type: ignore[no-any-return]
        step,
        name="li",
        doc="Leaky integrator: a read-out that never fires",
        params={chosen: leak[chosen], "bias": Param(0.0, "", "constant input per step")},
        constants=None if per_step else lambda p, dt: {"alpha": exp(-dt / p.tau_m)},
        options={"leak": chosen},
    )


def li(**params: Any) -> Neuron:
    """Return a leaky integrator.

    Parameters
    ----------
    **params
        Either ``beta`` (per step; 1 adds the input up) or ``tau_m`` (s, 20 ms by default); ``bias``;
        ``init={"v": ...}``.

    Examples
    --------
    >>> from spikesim.equations.response import respond
    >>> respond(li(beta=0.5), [1.0, 0.0, 1.0])["v"].tolist()
    [1.0, 0.5, 1.25]
    """
    return _model("beta" in params)(**params)
