"""NEST's point neurons as spikesim's: parameters by NEST's names and units, ports, what a weight means.

What is exact here was measured: recurrent networks of 40 neurons fire spike for spike as in NEST (``tests/golden``).
NEST integrates conductances adaptively, spikesim by exponential Euler; those are read on request only.
Source of names, units and default values: NEST 3.10, ``GetDefaults``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.models.neurons import adex, lif, lif_alpha, lif_cond_exp, lif_exp, lif_psc_exp
from spikesim.neuron import Neuron

Vector = NDArray[np.float64]
MS, MV, PA, PF, NS = 1e-3, 1e-3, 1e-12, 1e-12, 1e-9

_LIF = {"C_m": 250.0, "tau_m": 10.0, "t_ref": 2.0, "E_L": -70.0, "V_th": -55.0, "V_reset": -70.0, "I_e": 0.0}
_SYNAPSES = {"tau_syn_ex": 2.0, "tau_syn_in": 2.0}
_REVERSAL = {"E_ex": 0.0, "E_in": -85.0, "tau_syn_ex": 0.2, "tau_syn_in": 2.0}
DEFAULTS: dict[str, dict[str, float]] = {
    "iaf_psc_delta": {**_LIF, "V_m": -70.0},
    "iaf_psc_exp": {**_LIF, **_SYNAPSES, "V_m": -70.0},
    "iaf_psc_alpha": {**_LIF, **_SYNAPSES, "V_m": -70.0},
    "iaf_cond_exp": {
        "C_m": 250.0, "g_L": 16.6667, "t_ref": 2.0, "E_L": -70.0, "V_th": -55.0, "V_reset": -60.0, "I_e": 0.0,
        **_REVERSAL, "V_m": -70.0,
    },
    "aeif_cond_exp": {
        "C_m": 281.0, "g_L": 30.0, "E_L": -70.6, "V_th": -50.4, "Delta_T": 2.0, "V_peak": 0.0, "V_reset": -60.0,
        "tau_w": 144.0, "a": 4.0, "b": 80.5, "I_e": 0.0, "t_ref": 0.0, **_REVERSAL, "V_m": -70.6, "w": 0.0,
    },
}  # fmt: skip
APPROXIMATE = ("iaf_cond_exp", "aeif_cond_exp")
IGNORED = {"V_min": -np.inf, "rho": 0.01, "delta": 0.0, "refractory_input": 0.0, "gsl_error_tol": 1e-6}
"""Parameters that change nothing while they have these values (``rho`` does not as long as ``delta`` is 0)."""


@dataclass(frozen=True)
class Cells:
    """Neurons of one model, and what NEST's weights and currents are for them.

    Parameters
    ----------
    neuron
        With values of its parameters.
    weight
        What one unit of NEST's weight is in the unit of the ports, one number per neuron.
    ports
        Ports of positive and negative weights.
    signed
        Whether a negative weight stays negative at its port.
    current
        Port that takes a current, and what one pA is there, per neuron; None if there is none.
    """

    neuron: Neuron
    weight: Vector
    ports: tuple[str, str]
    signed: bool = True
    current: tuple[str, Vector] | None = None


def _one(values: Vector) -> Any:
    return float(values[0]) if (values == values[0]).all() else values


def _common(p: Mapping[str, Vector], *names: str) -> dict[str, Any]:
    """Return parameters by spikesim's names in SI units."""
    known = {
        "c_m": ("C_m", PF), "tau_m": ("tau_m", MS), "t_ref": ("t_ref", MS), "e_l": ("E_L", MV), "v_th": ("V_th", MV),
        "v_reset": ("V_reset", MV), "i_e": ("I_e", PA), "tau_exc": ("tau_syn_ex", MS), "tau_inh": ("tau_syn_in", MS),
        "e_exc": ("E_ex", MV), "e_inh": ("E_in", MV), "g_l": ("g_L", NS), "delta_t": ("Delta_T", MV),
        "v_peak": ("V_peak", MV), "v_t": ("V_th", MV), "tau_w": ("tau_w", MS), "a": ("a", NS), "b": ("b", PA),
    }  # fmt: skip
    return {name: _one(p[known[name][0]] * known[name][1]) for name in names}


_MEMBRANE = ("tau_m", "t_ref", "e_l", "v_th", "v_reset")


def _delta(p: Mapping[str, Vector], dt: float) -> Cells:
    taken = p["tau_m"] * MS / (p["C_m"] * PF) * -np.expm1(-dt / (p["tau_m"] * MS))  # volts a step for one ampere
    values = _common(p, *_MEMBRANE)
    neuron = lif(threshold=">=", bias=_one(taken * p["I_e"] * PA), init={"v": _one(p["V_m"] * MV)}, **values)
    return Cells(neuron, np.full(len(taken), MV), ("i", "i"), current=("i", taken * PA))


def _psc_exp(p: Mapping[str, Vector], dt: float) -> Cells:
    start = {"v": _one(p["V_m"] * MV)}
    n = len(p["C_m"])
    if np.array_equal(p["tau_syn_ex"], p["tau_syn_in"]):
        values = _common(p, *_MEMBRANE, "c_m", "i_e")
        neuron = lif_psc_exp(threshold=">=", tau_syn=_one(p["tau_syn_ex"] * MS), init=start, **values)
        return Cells(neuron, np.full(n, PA), ("i", "i"), current=("dc", np.full(n, PA)))
    resistance = p["tau_m"] * MS / (p["C_m"] * PF)  # this neuron's currents are in volts, a steady one moves the rest
    values = {**_common(p, *_MEMBRANE, "tau_exc", "tau_inh"), "e_l": _one(p["E_L"] * MV + resistance * p["I_e"] * PA)}
    return Cells(lif_exp(threshold=">=", init=start, **values), resistance * PA, ("exc", "inh"))


def _psc_alpha(p: Mapping[str, Vector], dt: float) -> Cells:
    n = len(p["C_m"])
    values = _common(p, *_MEMBRANE, "c_m", "i_e", "tau_exc", "tau_inh")
    neuron = lif_alpha(threshold=">=", init={"v": _one(p["V_m"] * MV)}, **values)
    return Cells(neuron, np.full(n, PA), ("exc", "inh"), current=("dc", np.full(n, PA)))


def _cond_exp(p: Mapping[str, Vector], dt: float) -> Cells:
    leak = p["g_L"] * NS
    values = _common(p, "t_ref", "v_th", "v_reset", "e_exc", "e_inh", "tau_exc", "tau_inh")
    rest = p["E_L"] * MV + p["I_e"] * PA / leak
    neuron = lif_cond_exp(
        threshold=">=", tau_m=_one(p["C_m"] * PF / leak), e_l=_one(rest), init={"v": _one(p["V_m"] * MV)}, **values
    )
    return Cells(neuron, NS / leak, ("exc", "inh"), signed=False)


def _aeif(p: Mapping[str, Vector], dt: float) -> Cells:
    n = len(p["C_m"])
    names = ("c_m", "g_l", "e_l", "v_t", "delta_t", "v_peak", "v_reset", "tau_w", "a", "b", "i_e", "tau_exc", "tau_inh")
    values = _common(p, *names, "e_exc", "e_inh", "t_ref")
    neuron = adex(init={"v": _one(p["V_m"] * MV), "w": _one(p["w"] * PA)}, **values)
    return Cells(neuron, np.full(n, NS), ("exc", "inh"), signed=False, current=("dc", np.full(n, PA)))


_MADE: dict[str, Callable[[Mapping[str, Vector], float], Cells]] = {
    "iaf_psc_delta": _delta,
    "iaf_psc_exp": _psc_exp,
    "iaf_psc_alpha": _psc_alpha,
    "iaf_cond_exp": _cond_exp,
    "aeif_cond_exp": _aeif,
}


def cells(model: str, given: Mapping[str, Vector], n: int, dt: float) -> tuple[Cells | None, list[str]]:
    """Return the neurons of a NEST model, or the reasons why there are none.

    Parameters
    ----------
    model
        NEST's name.
    given
        Parameters in NEST's units, float64 ``[n]``; NaN where the default holds.
    n
        Number of neurons.
    dt
        Time step in seconds.
    """
    if model not in DEFAULTS:
        return None, [f"the neuron {model!r} has no counterpart; known are {', '.join(DEFAULTS)}"]
    problems = []
    for name, values in given.items():
        if name in DEFAULTS[model]:
            continue
        neutral = IGNORED.get(name)
        if neutral is None or (np.isfinite(values) & (values != neutral) & (name != "rho")).any():
            problems.append(f"the neuron {model!r}: its parameter {name!r} has no counterpart")
    filled = {}
    for name, default in DEFAULTS[model].items():
        values = given.get(name, np.full(n, np.nan))
        filled[name] = np.where(np.isnan(values), default, values)
    return (None, problems) if problems else (_MADE[model](filled, dt), [])
