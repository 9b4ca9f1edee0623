"""Adaptive leaky integrate-and-fire neuron: every spike raises the threshold for a while.

::

    u = alpha v + i + bias,          alpha = exp(-dt / tau_m)
    s = 1 if u > v_th + beta a else 0
    a' = rho a + s,                  rho = exp(-dt / tau_a)
    v' = u - v_th s

``variant="2018"`` adds ``(1 - rho) s`` to ``a`` and subtracts the raised threshold ``v_th + beta a`` (weights there
carry the factor ``(1 - alpha) R_m``). ``timing="next"``, the default and the papers', stores the membrane before the
reset, which takes place within the next update: ``u = alpha v + i - v_th z``, z the spike of the step before.

Reference: Bellec et al., "Long short-term memory and learning-to-learn in networks of spiking neurons", NeurIPS 2018;
Bellec et al., "A solution to the learning dilemma for recurrent networks of spiking neurons", Nat. Commun. 11:3625,
2020.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from spikesim.equations.primitives import exp, spike
from spikesim.models.neurons._reset import check
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron

Timing = Literal["same", "next"]
Variant = Literal["2020", "2018"]


@cache
def _model(variant: Variant, timing: Timing) -> NeuronModel:
    def fire(v: Any, a: Any, p: Any) -> tuple[Any, Any, Any]:
        """Return the spike, what it takes from the membrane, and the next adaptation."""
        threshold = p.v_th + p.beta * a
        s = spike(v - threshold)
        if variant == "2020":
            return s, p.v_th * s, p.rho * a + s
        return s, threshold * s, p.rho * a + (1.0 - p.rho) * s

    def step_same(v: Any, a: Any, i: Any, p: Any) -> Any:
        u = p.alpha * v + (i + p.bias)
        s, lost, a = fire(u, a, p)
        return s, u - lost, a

    def step_next(v: Any, a: Any, i: Any, p: Any) -> Any:
        _, lost, a = fire(v, a, p)
        u = p.alpha * v + (i + p.bias) - lost
        return fire(u, a, p)[0], u, a

    return neuron(  # type: ignore[no-any-return]
        step_same if timing == "same" else step_next,
        name="alif",
        doc="Adaptive leaky integrate-and-fire neuron: every spike raises the threshold",
        state={"v": State(0.0, "V", "membrane potential"), "a": State(0.0, "", "adaptation")},
        params={
            "tau_m": Param(20e-3, "s", "membrane time constant", low=0.0, open_low=True),
            "tau_a": Param(200e-3, "s", "decay time of the adaptation", low=0.0, open_low=True),
            "v_th": Param(1.0, "V", "threshold without adaptation"),
            "beta": Param(0.2, "V", "how much a unit of adaptation raises the threshold"),
            "bias": Param(0.0, "V", "constant input per step"),
        },
        constants=lambda p, dt: {"alpha": exp(-dt / p.tau_m), "rho": exp(-dt / p.tau_a)},
        options={"reset": "subtract", "timing": timing, "threshold": ">", "variant": variant},
    )


def alif(*, variant: Variant = "2020", timing: Timing = "next", **params: Any) -> Neuron:
    """Return an adaptive neuron.

    Parameters
    ----------
    variant
        ``"2020"`` or ``"2018"``: the two papers differ in the size of the adaptation's jump and of the reset.
    timing
        ``"next"`` resets within the next update (the papers), ``"same"`` in the step of the spike.
    **params
        ``tau_m``, ``tau_a`` (s), ``v_th``, ``beta``, ``bias`` (V, or any one unit); ``init={"v": ..., "a": ...}``.

    Examples
    --------
    Under a steady input the intervals grow:

    >>> import numpy as np
    >>> from spikesim.equations.response import respond
    >>> spikes = respond(alif(beta=0.5), np.full(120, 0.15))["spike"]
    >>> np.diff(np.flatnonzero(spikes)).tolist()[:4]
    [14, 16, 21, 26]
    """
    check("variant of alif:", variant, Variant)
    check("reset timing", timing, Timing)
    return _model(variant, timing)(**params)
