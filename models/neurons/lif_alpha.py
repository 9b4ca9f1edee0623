"""Leaky integrate-and-fire neuron with alpha-shaped synaptic currents in amperes.

A unit spike on port "exc" causes the current ``(e t / tau_exc) exp(-t / tau_exc)``, which peaks at 1 after ``tau_exc``;
port "inh" likewise with ``tau_inh`` (give it a negative weight).

::

    C_m dv/dt = -C_m (v - e_l) / tau_m + i_exc + i_inh + i_e + dc     v held while refractory
    di_x/dt = d_x - i_x / tau_x
    dd_x/dt = -d_x / tau_x                       an input w of port x is a jump of d_x by w e / tau_x
    s = 1 if v > v_th else 0;  v = v_reset after a spike

Integrated exactly. NEST's ``iaf_psc_alpha`` with ``threshold=">="`` is the same neuron.

Reference: Rotter and Diesmann, Biol. Cybern. 81:381, 1999 (exact integration); Rall, J. Neurophysiol. 30:1138, 1967.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from spikesim.equations.primitives import exp, where
from spikesim.models.neurons._exact import growth, jump_to_membrane, ramp, steps
from spikesim.models.neurons._reset import COUNTER, Arrival, Firing, Threshold, check, count, held
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron

_PARAMS = {
    "c_m": Param(250e-12, "F", "membrane capacitance", low=0.0, open_low=True),
    "tau_m": Param(10e-3, "s", "membrane time constant", low=0.0, open_low=True),
    "tau_exc": Param(2e-3, "s", "rise time of excitatory currents", low=0.0, open_low=True),
    "tau_inh": Param(2e-3, "s", "rise time of inhibitory currents", low=0.0, open_low=True),
    "e_l": Param(-70e-3, "V", "resting level"),
    "v_th": Param(-55e-3, "V", "threshold"),
    "v_reset": Param(-70e-3, "V", "membrane after a spike"),
    "i_e": Param(0.0, "A", "constant current"),
    "t_ref": Param(2e-3, "s", "absolute refractory time, rounded to whole steps", low=0.0),
}
_STATES = {
    "v": State(-70e-3, "V", "membrane potential"),
    "i_exc": State(0.0, "A", "excitatory current"),
    "d_exc": State(0.0, "A/s", "what drives the excitatory current"),
    "i_inh": State(0.0, "A", "inhibitory current"),
    "d_inh": State(0.0, "A/s", "what drives the inhibitory current"),
    "r": COUNTER,
}


def _constants(p: Any, dt: Any) -> dict[str, Any]:
    out = {"alpha": exp(-dt / p.tau_m), "a_dc": growth(-dt / p.tau_m) * dt / p.c_m, "n_ref": steps(p.t_ref, dt)}
    for x, tau in (("exc", p.tau_exc), ("inh", p.tau_inh)):
        out[f"keep_{x}"] = exp(-dt / tau)
        out[f"jump_{x}"] = math.e / tau
        out[f"a_{x}"] = jump_to_membrane(dt, p.tau_m, tau) * p.tau_m / p.c_m
        out[f"b_{x}"] = dt * dt / p.c_m * exp(-dt / p.tau_m) * ramp(dt / p.tau_m - dt / tau)
    return out


def _alpha(arrival: Arrival, d: Any, i: Any, x: Any, keep: Any, dt: Any) -> tuple[Any, Any, Any]:
    """Return what drives the current during the step, and the next (drive, current)."""
    if arrival == "end":
        return d, d * keep + x, keep * (i + dt * d)
    d = d + x
    return d, d * keep, keep * (i + dt * d)


@cache
def _model(fire: Firing, arrival: Arrival) -> NeuronModel:
    def step(
        v: Any, i_exc: Any, d_exc: Any, i_inh: Any, d_inh: Any, r: Any, exc: Any, inh: Any, dc: Any, p: Any
    ) -> Any:
        d_e, next_d_exc, next_i_exc = _alpha(arrival, d_exc, i_exc, p.jump_exc * exc, p.keep_exc, p.dt)
        d_i, next_d_inh, next_i_inh = _alpha(arrival, d_inh, i_inh, p.jump_inh * inh, p.keep_inh, p.dt)
        synaptic = p.a_exc * i_exc + p.b_exc * d_e + (p.a_inh * i_inh + p.b_inh * d_i)
        u = held(r, v, p.e_l + p.alpha * (v - p.e_l) + synaptic + p.a_dc * (p.i_e + dc))
        s = where(r > 0.0, 0.0, fire.spike(u, p.v_th))
        return s, fire.after(s, u, p), next_i_exc, next_d_exc, next_i_inh, next_d_inh, count(r, s, p.n_ref)

    return neuron(  # type: ignore[no-any-return]
        step,
        name="lif_alpha",
        doc="Leaky integrate-and-fire neuron, alpha-shaped synaptic currents in amperes, exact integration",
        state=_STATES,
        params=_PARAMS,
        constants=_constants,
        options={**fire.options(), "arrival": arrival},
    )


def lif_alpha(*, arrival: Arrival = "end", threshold: Threshold = ">", **params: Any) -> Neuron:
    """Return a neuron with alpha-shaped synaptic currents.

    Parameters
    ----------
    arrival, threshold
        As for :func:`~spikesim.models.neurons.lif_exp.lif_exp`.
    **params
        ``c_m`` (F), ``tau_m``, ``tau_exc``, ``tau_inh``, ``t_ref`` (s), ``e_l``, ``v_th``, ``v_reset`` (V), ``i_e``
        (A); ``init={...}`` of ``v``, ``i_exc``, ``d_exc``, ``i_inh``, ``d_inh``.

    Examples
    --------
    The current peaks at the weight, ``tau_exc`` after the spike arrived:

    >>> import numpy as np
    >>> from spikesim.equations.response import respond
    >>> current = respond(lif_alpha(), {"exc": [1e-9] + [0.0] * 50}, dt=1e-4)["i_exc"]
    >>> int(current.argmax()), round(float(current.max() * 1e9), 6)
    (20, 1.0)
    """
    check("arrival", arrival, Arrival)
    return _model(Firing("to", threshold=threshold), arrival)(**params)
