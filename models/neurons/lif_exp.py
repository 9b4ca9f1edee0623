"""Leaky integrate-and-fire neuron with exponential synaptic currents, in units of the membrane (CUBA).

::

    tau_m dv/dt = e_l - v + g_exc + g_inh        v held while refractory
    tau_exc dg_exc/dt = -g_exc                   an input of port "exc" is a jump of g_exc
    tau_inh dg_inh/dt = -g_inh                   an input of port "inh" is a jump of g_inh (give it a negative weight)
    s = 1 if v > v_th else 0;  v = v_reset after a spike

Integrated exactly: ``v' = e_l + P (v - e_l) + a_exc g_exc + a_inh g_inh`` with ``P = exp(-dt/tau_m)`` and
``a = tau/(tau - tau_m) (exp(-dt/tau) - P)``, then ``g' = g exp(-dt/tau)``. The defaults are those of the benchmark.

Reference: Vogels and Abbott, J. Neurosci. 25:10786, 2005; Brette et al., "Simulation of networks of spiking neurons",
J. Comput. Neurosci. 23:349, 2007, benchmark 2; Rotter and Diesmann, Biol. Cybern. 81:381, 1999 (exact integration).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.equations.primitives import exp, where
from spikesim.models.neurons._exact import jump_to_membrane, steps
from spikesim.models.neurons._reset import COUNTER, Arrival, Firing, Threshold, check, count, held
from spikesim.models.neurons._synapse import arrive
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron

_PARAMS = {
    "tau_m": Param(20e-3, "s", "membrane time constant", low=0.0, open_low=True),
    "tau_exc": Param(5e-3, "s", "decay time of excitatory currents", low=0.0, open_low=True),
    "tau_inh": Param(10e-3, "s", "decay time of inhibitory currents", low=0.0, open_low=True),
    "e_l": Param(-49e-3, "V", "resting level"),
    "v_th": Param(-50e-3, "V", "threshold"),
    "v_reset": Param(-60e-3, "V", "membrane after a spike"),
    "t_ref": Param(5e-3, "s", "absolute refractory time, rounded to whole steps", low=0.0),
}
_STATES = {
    "v": State(-60e-3, "V", "membrane potential"),
    "g_exc": State(0.0, "V", "excitatory current times membrane resistance"),
    "g_inh": State(0.0, "V", "inhibitory current times membrane resistance"),
    "r": COUNTER,
}


def _constants(p: Any, dt: Any) -> dict[str, Any]:
    return {
        "alpha": exp(-dt / p.tau_m),
        "keep_exc": exp(-dt / p.tau_exc),
        "keep_inh": exp(-dt / p.tau_inh),
        "a_exc": jump_to_membrane(dt, p.tau_m, p.tau_exc),
        "a_inh": jump_to_membrane(dt, p.tau_m, p.tau_inh),
        "n_ref": steps(p.t_ref, dt),
    }


@cache
def _model(fire: Firing, arrival: Arrival) -> NeuronModel:
    def step(v: Any, g_exc: Any, g_inh: Any, r: Any, exc: Any, inh: Any, p: Any) -> Any:
        g_exc, next_exc = arrive(arrival, g_exc, exc, p.keep_exc)
        g_inh, next_inh = arrive(arrival, g_inh, inh, p.keep_inh)
        u = p.e_l + p.alpha * (v - p.e_l) + p.a_exc * g_exc + p.a_inh * g_inh
        u = held(r, v, u)
        s = where(r > 0.0, 0.0, fire.spike(u, p.v_th))
        return s, fire.after(s, u, p), next_exc, next_inh, count(r, s, p.n_ref)

    return neuron(  # type: ignore[no-any-return]
        step,
        name="lif_exp",
        doc="Leaky integrate-and-fire neuron, exponential synaptic currents (CUBA), exact integration",
        state=_STATES,
        params=_PARAMS,
        constants=_constants,
        options={**fire.options(), "arrival": arrival},
    )


def lif_exp(*, arrival: Arrival = "end", threshold: Threshold = ">", **params: Any) -> Neuron:
    """Return a current-based neuron with exponential synapses.

    Parameters
    ----------
    arrival
        ``"end"``: a spike that arrives in a step changes the current at its end, as in NEST and Brian2 for the same
        delay. ``"start"``: the membrane feels it in the same step; with a delay of one step this is what Brian2 does
        without delay.
    threshold
        ``">"`` fires above ``v_th``, ``">="`` also at it (NEST).
    **params
        ``tau_m``, ``tau_exc``, ``tau_inh``, ``t_ref`` (s), ``e_l``, ``v_th``, ``v_reset`` (V);
        ``init={"v": ..., "g_exc": ..., "g_inh": ...}``.

    Examples
    --------
    Above threshold at rest, the neuron fires by itself, every ``t_ref + tau_m ln(11)`` = 53 ms:

    >>> import numpy as np
    >>> from spikesim.equations.response import respond
    >>> np.flatnonzero(respond(lif_exp(), np.zeros(2000), dt=1e-4)["spike"]).tolist()
    [479, 1009, 1539]
    """
    check("arrival", arrival, Arrival)
    return _model(Firing("to", threshold=threshold), arrival)(**params)
