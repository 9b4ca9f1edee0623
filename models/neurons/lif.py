"""Leaky integrate-and-fire neuron with delta synapses: an input is a jump of the membrane.

::

    tau_m dv/dt = e_l - v                between inputs, integrated exactly
    u = e_l + alpha (v - e_l) + i + bias,    alpha = exp(-dt / tau_m)
    s = 1 if u > v_th else 0
    v = u - q s | v_reset | u            reset "subtract", "to", "none"

The defaults are normalised (rest 0, threshold 1); give volts for a biological neuron.

Reference: Gerstner, Kistler, Naud and Paninski, *Neuronal Dynamics*, Cambridge University Press 2014, section 1.3.
Peers: NEST ``iaf_psc_delta`` (``threshold=">="``); norse ``LIFBoxCell``; NIR ``LIF``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.equations.primitives import exp, where
from spikesim.models.neurons._exact import steps
from spikesim.models.neurons._reset import (
    COUNTER,
    T_REF,
    Firing,
    Reset,
    Threshold,
    Timing,
    count,
    firing,
    held,
)
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron

_PARAMS = {
    "tau_m": Param(20e-3, "s", "membrane time constant", low=0.0, open_low=True),
    "e_l": Param(0.0, "V", "resting level"),
    "v_th": Param(1.0, "V", "threshold"),
    "bias": Param(0.0, "V", "constant input per step"),
}


@cache
def _model(fire: Firing, refractory: bool) -> NeuronModel:
    def leak(v: Any, p: Any) -> Any:
        return p.e_l + p.alpha * (v - p.e_l)

    def step(v: Any, i: Any, p: Any) -> Any:
        return fire.step(lambda v: leak(v, p), v, i + p.bias, p)

    def step_refractory(v: Any, r: Any, i: Any, p: Any) -> Any:
        u = held(r, v, leak(v, p) + (i + p.bias))
        s = where(r > 0.0, 0.0, fire.spike(u, p.v_th))
        return s, fire.after(s, u, p), count(r, s, p.n_ref)

    def constants(p: Any, dt: Any) -> dict[str, Any]:
        alpha = {"alpha": exp(-dt / p.tau_m)}
        return {**alpha, "n_ref": steps(p.t_ref, dt)} if refractory else alpha

    states = {"v": State(0.0, "V", "membrane potential")}
    return neuron(  # type: ignore[no-any-return]
        step_refractory if refractory else step,
        name="lif",
        doc="Leaky integrate-and-fire neuron, delta synapses, exact integration",
        state={**states, "r": COUNTER} if refractory else states,
        params={**_PARAMS, **fire.params(), **({"t_ref": T_REF} if refractory else {})},
        constants=constants,
        options={**fire.options(), "refractory": "yes" if refractory else "no"},
    )


def lif(*, reset: Reset = "to", timing: Timing = "same", threshold: Threshold = ">", **params: Any) -> Neuron:
    """Return a leaky integrate-and-fire neuron.

    Parameters
    ----------
    reset
        What a spike does: ``"to"`` sets ``v`` to ``v_reset``, ``"subtract"`` takes ``q`` away, ``"none"``.
    timing
        ``"same"`` resets in the step of the spike, ``"next"`` within the next update (snnTorch).
    threshold
        ``">"`` fires above ``v_th``, ``">="`` also at it (NEST).
    **params
        ``tau_m`` (s), ``e_l``, ``v_th``, ``bias`` (V, or any one unit), ``v_reset`` with reset "to",
        ``q`` with "subtract" (the threshold if left out), ``t_ref`` (s; no refractory time if left out);
        ``init={"v": ...}``. Numbers, arrays with one value per neuron, or distributions.

    Notes
    -----
    While refractory, ``v`` is held and input is lost. ``t_ref`` counts the steps after that of the spike; Brian2
    counts that step too, so its ``refractory`` is one step longer for the same spikes.

    Examples
    --------
    >>> from spikesim.equations.response import respond
    >>> respond(lif(tau_m=10e-3), [0.6, 0.6, 0.6, 0.6])["spike"].tolist()
    [0.0, 1.0, 0.0, 1.0]
    >>> respond(lif(tau_m=10e-3, t_ref=1e-3), [0.6, 0.6, 0.6, 0.6])["spike"].tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    return _model(firing(reset, timing, threshold, params), "t_ref" in params)(**params)
