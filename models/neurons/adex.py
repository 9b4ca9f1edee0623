"""Adaptive exponential integrate-and-fire neuron (AdEx) with exponential synaptic conductances.

::

    C_m dv/dt = -g_l (v - e_l) + g_l delta_t exp((v - v_t) / delta_t) - w + g_exc (e_exc - v) + g_inh (e_inh - v)
                + i_e + dc                       v held while refractory
    tau_w dw/dt = a (v - e_l) - w
    tau_x dg_x/dt = -g_x                         an input of port x ("exc", "inh") is a jump of g_x in siemens
    s = 1 if v > v_peak else 0;  v = v_reset, w = w + b after a spike

Integrated by forward Euler (conductances exactly); the argument of the exponential is clipped at its value for
``v_peak``. Take ``dt = 0.1 ms`` or less. Port "dc" is a current that holds for one step. The defaults are the paper's.

Reference: Brette and Gerstner, "Adaptive Exponential Integrate-and-Fire Model as an Effective Description of Neuronal
Activity", J. Neurophysiol. 94:3637, 2005. NEST's ``aeif_cond_exp`` is the same model, integrated adaptively.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.equations.primitives import exp, minimum, spike, where
from spikesim.models.neurons._exact import steps
from spikesim.models.neurons._reset import COUNTER, T_REF, Arrival, check, count, held
from spikesim.models.neurons._synapse import arrive
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron

_PARAMS = {
    "c_m": Param(281e-12, "F", "membrane capacitance", low=0.0, open_low=True),
    "g_l": Param(30e-9, "S", "leak conductance", low=0.0, open_low=True),
    "e_l": Param(-70.6e-3, "V", "resting level"),
    "v_t": Param(-50.4e-3, "V", "where the spike begins to rise"),
    "delta_t": Param(2e-3, "V", "sharpness of the rise", low=0.0, open_low=True),
    "v_peak": Param(20e-3, "V", "peak of a spike"),
    "v_reset": Param(-70.6e-3, "V", "membrane after a spike"),
    "tau_w": Param(144e-3, "s", "decay time of the adaptation", low=0.0, open_low=True),
    "a": Param(4e-9, "S", "adaptation below threshold"),
    "b": Param(80.5e-12, "A", "adaptation per spike"),
    "i_e": Param(0.0, "A", "constant current"),
    "tau_exc": Param(0.2e-3, "s", "decay time of excitatory conductances", low=0.0, open_low=True),
    "tau_inh": Param(2e-3, "s", "decay time of inhibitory conductances", low=0.0, open_low=True),
    "e_exc": Param(0.0, "V", "reversal potential of excitation"),
    "e_inh": Param(-85e-3, "V", "reversal potential of inhibition"),
    "t_ref": T_REF,
}
_STATES = {
    "v": State(-70.6e-3, "V", "membrane potential"),
    "w": State(0.0, "A", "adaptation current"),
    "g_exc": State(0.0, "S", "excitatory conductance"),
    "g_inh": State(0.0, "S", "inhibitory conductance"),
    "r": COUNTER,
}


def _constants(p: Any, dt: Any) -> dict[str, Any]:
    return {
        "h": dt / p.c_m,
        "h_w": dt / p.tau_w,
        "rise": p.g_l * p.delta_t,
        "sharpness": 1.0 / p.delta_t,
        "steepest": (p.v_peak - p.v_t) / p.delta_t,
        "keep_exc": exp(-dt / p.tau_exc),
        "keep_inh": exp(-dt / p.tau_inh),
        "n_ref": steps(p.t_ref, dt),
    }


@cache
def _model(arrival: Arrival) -> NeuronModel:
    def step(v: Any, w: Any, g_exc: Any, g_inh: Any, r: Any, exc: Any, inh: Any, dc: Any, p: Any) -> Any:
        g_exc, next_exc = arrive(arrival, g_exc, exc, p.keep_exc)
        g_inh, next_inh = arrive(arrival, g_inh, inh, p.keep_inh)
        rise = p.rise * exp(minimum((v - p.v_t) * p.sharpness, p.steepest))
        synaptic = g_exc * (p.e_exc - v) + g_inh * (p.e_inh - v)
        u = held(r, v, v + p.h * (p.g_l * (p.e_l - v) + rise - w + synaptic + (p.i_e + dc)))
        w = w + p.h_w * (p.a * (v - p.e_l) - w)
        s = where(r > 0.0, 0.0, spike(u - p.v_peak))
        return s, where(s, p.v_reset, u), w + p.b * s, next_exc, next_inh, count(r, s, p.n_ref)

    return neuron(  # type: ignore[no-any-return]
        step,
        name="adex",
        doc="Adaptive exponential integrate-and-fire neuron, conductance synapses, forward Euler",
        state=_STATES,
        params=_PARAMS,
        constants=_constants,
        options={"reset": "to", "timing": "same", "threshold": ">", "arrival": arrival},
    )


def adex(*, arrival: Arrival = "end", **params: Any) -> Neuron:
    """Return an adaptive exponential neuron.

    Parameters
    ----------
    arrival
        As for :func:`~spikesim.models.neurons.lif_exp.lif_exp`.
    **params
        ``c_m`` (F), ``g_l``, ``a`` (S), ``e_l``, ``v_t``, ``delta_t``, ``v_peak``, ``v_reset``, ``e_exc``, ``e_inh``
        (V), ``tau_w``, ``tau_exc``, ``tau_inh``, ``t_ref`` (s), ``b``, ``i_e`` (A); ``init={...}`` of ``v``, ``w``,
        ``g_exc``, ``g_inh``.

    Examples
    --------
    Under a step of 1 nA the intervals grow (spike-frequency adaptation):

    >>> import numpy as np
    >>> from spikesim.equations.response import respond
    >>> spikes = np.flatnonzero(respond(adex(i_e=1e-9), np.zeros(4000), dt=1e-4)["spike"])
    >>> bool((np.diff(spikes)[:4] < np.diff(spikes)[1:5]).all())
    True
    """
    check("arrival", arrival, Arrival)
    return _model(arrival)(**params)
