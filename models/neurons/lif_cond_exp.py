"""Leaky integrate-and-fire neuron with exponential synaptic conductances, in units of the leak (COBA).

::

    tau_m dv/dt = e_l - v + g_exc (e_exc - v) + g_inh (e_inh - v)     v held while refractory
    tau_exc dg_exc/dt = -g_exc                   an input of port "exc" is a jump of g_exc
    tau_inh dg_inh/dt = -g_inh                   an input of port "inh" is a jump of g_inh (weights at least 0)
    s = 1 if v > v_th else 0;  v = v_reset after a spike

Exponential Euler: conductances hold during a step, the membrane is then linear and integrated exactly,
``v' = v_inf + (v - v_inf) exp(-dt G / tau_m)`` with ``G = 1 + g_exc + g_inh``; then ``g' = g exp(-dt/tau)``. The
defaults are those of the benchmark, with ``e_l`` raised to -49 mV so that activity starts by itself.

Reference: Brette et al., "Simulation of networks of spiking neurons", J. Comput. Neurosci. 23:349, 2007, benchmark 1.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.equations.primitives import exp, where
from spikesim.models.neurons._exact import steps
from spikesim.models.neurons._reset import COUNTER, Arrival, Firing, Threshold, check, count, held
from spikesim.models.neurons._synapse import arrive
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron

_PARAMS = {
    "tau_m": Param(20e-3, "s", "membrane time constant", low=0.0, open_low=True),
    "tau_exc": Param(5e-3, "s", "decay time of excitatory conductances", low=0.0, open_low=True),
    "tau_inh": Param(10e-3, "s", "decay time of inhibitory conductances", low=0.0, open_low=True),
    "e_l": Param(-49e-3, "V", "resting level"),
    "e_exc": Param(0.0, "V", "reversal potential of excitation"),
    "e_inh": Param(-80e-3, "V", "reversal potential of inhibition"),
    "v_th": Param(-50e-3, "V", "threshold"),
    "v_reset": Param(-60e-3, "V", "membrane after a spike"),
    "t_ref": Param(5e-3, "s", "absolute refractory time, rounded to whole steps", low=0.0),
}
_STATES = {
    "v": State(-60e-3, "V", "membrane potential"),
    "g_exc": State(0.0, "", "excitatory conductance over leak conductance"),
    "g_inh": State(0.0, "", "inhibitory conductance over leak conductance"),
    "r": COUNTER,
}


def _constants(p: Any, dt: Any) -> dict[str, Any]:
    return {
        "h": dt / p.tau_m,
        "keep_exc": exp(-dt / p.tau_exc),
        "keep_inh": exp(-dt / p.tau_inh),
        "n_ref": steps(p.t_ref, dt),
    }


@cache
def _model(fire: Firing, arrival: Arrival) -> NeuronModel:
    def step(v: Any, g_exc: Any, g_inh: Any, r: Any, exc: Any, inh: Any, p: Any) -> Any:
        g_exc, next_exc = arrive(arrival, g_exc, exc, p.keep_exc)
        g_inh, next_inh = arrive(arrival, g_inh, inh, p.keep_inh)
        total = 1.0 + g_exc + g_inh
        v_inf = (p.e_l + g_exc * p.e_exc + g_inh * p.e_inh) / total
        u = held(r, v, v_inf + (v - v_inf) * exp(-p.h * total))
        s = where(r > 0.0, 0.0, fire.spike(u, p.v_th))
        return s, fire.after(s, u, p), next_exc, next_inh, count(r, s, p.n_ref)

    return neuron(  # type: ignore[no-any-return]
        step,
        name="lif_cond_exp",
        doc="Leaky integrate-and-fire neuron, exponential synaptic conductances (COBA), exponential Euler",
        state=_STATES,
        params=_PARAMS,
        constants=_constants,
        options={**fire.options(), "arrival": arrival},
    )


def lif_cond_exp(*, arrival: Arrival = "end", threshold: Threshold = ">", **params: Any) -> Neuron:
    """Return a conductance-based neuron.

    Parameters
    ----------
    arrival, threshold
        As for :func:`~spikesim.models.neurons.lif_exp.lif_exp`.
    **params
        ``tau_m``, ``tau_exc``, ``tau_inh``, ``t_ref`` (s), ``e_l``, ``e_exc``, ``e_inh``, ``v_th``, ``v_reset`` (V);
        ``init={"v": ..., "g_exc": ..., "g_inh": ...}``.

    Examples
    --------
    A steady excitatory conductance pulls the membrane towards ``(e_l + g e_exc) / (1 + g)``:

    >>> import numpy as np
    >>> from spikesim.equations.response import respond
    >>> n = lif_cond_exp(e_l=-0.07, v_th=0.0, tau_exc=1.0, init={"v": -0.07, "g_exc": 1.0})
    >>> round(float(respond(n, np.zeros(1000), dt=1e-4)["v"][-1]), 4)
    -0.0366
    """
    check("arrival", arrival, Arrival)
    return _model(Firing("to", threshold=threshold), arrival)(**params)
