"""Leaky integrate-and-fire neuron with an exponential synaptic current in amperes.

::

    C_m dv/dt = -C_m (v - e_l) / tau_m + i_syn + i_e + dc      v held while refractory
    tau_syn di_syn/dt = -i_syn                   an input of port "i" is a jump of i_syn, of either sign
    s = 1 if v > v_th else 0;  v = v_reset after a spike

``i_e`` is a constant current, port "dc" a current that holds for one step. Integrated exactly (propagators of the
linear system). The defaults are those of the cortical microcircuit; NEST's ``iaf_psc_exp`` with
``tau_syn_ex = tau_syn_in`` and ``threshold=">="`` is the same neuron.

Reference: Potjans and Diesmann, Cereb. Cortex 24:785, 2014; Rotter and Diesmann, Biol. Cybern. 81:381, 1999.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.equations.primitives import exp, where
from spikesim.models.neurons._exact import growth, jump_to_membrane, steps
from spikesim.models.neurons._reset import COUNTER, Arrival, Firing, Threshold, check, count, held
from spikesim.models.neurons._synapse import arrive
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron

_PARAMS = {
    "c_m": Param(250e-12, "F", "membrane capacitance", low=0.0, open_low=True),
    "tau_m": Param(10e-3, "s", "membrane time constant", low=0.0, open_low=True),
    "tau_syn": Param(0.5e-3, "s", "decay time of the synaptic current", low=0.0, open_low=True),
    "e_l": Param(-65e-3, "V", "resting level"),
    "v_th": Param(-50e-3, "V", "threshold"),
    "v_reset": Param(-65e-3, "V", "membrane after a spike"),
    "i_e": Param(0.0, "A", "constant current"),
    "t_ref": Param(2e-3, "s", "absolute refractory time, rounded to whole steps", low=0.0),
}
_STATES = {
    "v": State(-65e-3, "V", "membrane potential"),
    "i_syn": State(0.0, "A", "synaptic current"),
    "r": COUNTER,
}


def _constants(p: Any, dt: Any) -> dict[str, Any]:
    per_current = p.tau_m / p.c_m  # membrane resistance
    return {
        "alpha": exp(-dt / p.tau_m),
        "keep": exp(-dt / p.tau_syn),
        "a_syn": jump_to_membrane(dt, p.tau_m, p.tau_syn) * per_current,
        "a_dc": growth(-dt / p.tau_m) * dt / p.c_m,
        "n_ref": steps(p.t_ref, dt),
    }


@cache
def _model(fire: Firing, arrival: Arrival) -> NeuronModel:
    def step(v: Any, i_syn: Any, r: Any, i: Any, dc: Any, p: Any) -> Any:
        i_syn, next_i = arrive(arrival, i_syn, i, p.keep)
        u = held(r, v, p.e_l + p.alpha * (v - p.e_l) + p.a_syn * i_syn + p.a_dc * (p.i_e + dc))
        s = where(r > 0.0, 0.0, fire.spike(u, p.v_th))
        return s, fire.after(s, u, p), next_i, count(r, s, p.n_ref)

    return neuron(  # type: ignore[no-any-return]
        step,
        name="lif_psc_exp",
        doc="Leaky integrate-and-fire neuron, exponential synaptic current in amperes, exact integration",
        state=_STATES,
        params=_PARAMS,
        constants=_constants,
        options={**fire.options(), "arrival": arrival},
    )


def lif_psc_exp(*, arrival: Arrival = "end", threshold: Threshold = ">", **params: Any) -> Neuron:
    """Return a neuron with an exponential synaptic current.

    Parameters
    ----------
    arrival, threshold
        As for :func:`~spikesim.models.neurons.lif_exp.lif_exp`.
    **params
        ``c_m`` (F), ``tau_m``, ``tau_syn``, ``t_ref`` (s), ``e_l``, ``v_th``, ``v_reset`` (V), ``i_e`` (A);
        ``init={"v": ..., "i_syn": ...}``.

    Examples
    --------
    A constant current of 500 pA (20 mV at rest) is suprathreshold; the interval is
    ``t_ref + tau_m ln(20 / 5)`` = 15.9 ms:

    >>> import numpy as np
    >>> from spikesim.equations.response import respond
    >>> np.flatnonzero(respond(lif_psc_exp(i_e=500e-12), np.zeros(500), dt=1e-4)["spike"]).tolist()
    [138, 297, 456]
    """
    check("arrival", arrival, Arrival)
    return _model(Firing("to", threshold=threshold), arrival)(**params)
