"""One small network in NEST: ``python nest_small.py request.json answer.json`` (in NEST's environment).

NEST's step k ends at ``(k + 1) dt`` and a spike bears that time; a delay of d steps acts in step ``k + d``. So a spike
of spikesim's step k is NEST's spike at ``(k + 1) dt``, delays are the same, and steps are ``time / dt - 1``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nest
import numpy as np

MODELS = {
    "lif": "iaf_psc_delta",
    "lif_exp": "iaf_psc_exp",
    "lif_psc_exp": "iaf_psc_exp",
    "lif_alpha": "iaf_psc_alpha",
    "lif_cond_exp": "iaf_cond_exp",
    "izhikevich": "izhikevich",
    "adex": "aeif_cond_exp",
}
NAMES = {  # NEST's name and how many of its units make one SI unit
    "c_m": ("C_m", 1e12), "tau_m": ("tau_m", 1e3), "e_l": ("E_L", 1e3), "v_th": ("V_th", 1e3),
    "v_reset": ("V_reset", 1e3), "t_ref": ("t_ref", 1e3), "i_e": ("I_e", 1e12), "tau_exc": ("tau_syn_ex", 1e3),
    "tau_inh": ("tau_syn_in", 1e3), "e_exc": ("E_ex", 1e3), "e_inh": ("E_in", 1e3), "g_l": ("g_L", 1e9),
    "delta_t": ("Delta_T", 1e3), "v_peak": ("V_peak", 1e3), "tau_w": ("tau_w", 1e3), "a": ("a", 1e9), "b": ("b", 1e12),
}  # fmt: skip
C_M = 250.0  # pF, where the equations do not hold one


def parameters(case: dict[str, Any]) -> dict[str, Any]:
    """Return the neuron's parameters with NEST's names and units."""
    p, model = dict(case["params"]), case["model"]
    if model == "izhikevich":
        return {**{k: p[k] for k in "abcd"}, "V_th": p["v_peak"], "consistent_integration": False}
    p.pop("bias", None)
    out = {}
    if model == "lif_psc_exp":
        tau = p.pop("tau_syn") * 1e3
        out = {"tau_syn_ex": tau, "tau_syn_in": tau}
    if model == "lif_exp":
        out = {"C_m": C_M}
    if model == "lif_cond_exp":
        out = {"C_m": C_M, "g_L": C_M / (p.pop("tau_m") * 1e3)}
    if model == "adex":
        out = {"V_th": p.pop("v_t") * 1e3, "gsl_error_tol": 1e-9}
    return {**out, **{NAMES[k][0]: v * NAMES[k][1] for k, v in p.items()}}


def weight_unit(case: dict[str, Any]) -> float:
    """Return how many of NEST's units make one unit of the case's weights."""
    p = case["params"]
    return {
        "lif": 1e3,
        "lif_exp": 1e3 * C_M / (p.get("tau_m", 1.0) * 1e3),  # mV to pA
        "lif_psc_exp": 1e12,
        "lif_alpha": 1e12,
        "lif_cond_exp": C_M / (p.get("tau_m", 1.0) * 1e3),  # of the leak to nS
        "izhikevich": 1.0,
        "adex": 1e9,
    }[case["model"]]


def states(case: dict[str, Any]) -> dict[str, list[float]]:
    """Return the initial states."""
    v = np.array(case["init"]["v"])
    if case["model"] == "izhikevich":
        return {"V_m": v.tolist(), "U_m": case["init"]["u"]}
    return {"V_m": (v * 1e3).tolist()}


def simulate(case: dict[str, Any]) -> list[list[int]]:
    """Return the spikes, step and neuron, sorted."""
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    dt = case["dt"] * 1e3
    nest.resolution = dt
    inputs = nest.Create("spike_generator", case["inputs"])
    step, index = np.array(case["input_step"]), np.array(case["input_index"])
    for k in range(case["inputs"]):
        inputs[k].spike_times = np.round((step[index == k] + 1) * dt, 6)
    cells = nest.Create(MODELS[case["model"]], case["cells"], params=parameters(case))
    for name, values in states(case).items():
        cells.set({name: values})
    ids = np.array([*inputs.tolist(), *cells.tolist()])
    weight = np.array(case["weight"]) * weight_unit(case)
    if case["model"] in ("lif_cond_exp", "adex"):  # NEST tells conductances apart by their sign
        weight = np.where(np.array(case["port"]) == 1, -weight, weight)
    # arrival at the start of a step is arrival at the end of the step before
    delay = np.array(case["delay"]) - (1 if case["options"].get("arrival") == "start" else 0)
    nest.Connect(
        ids[case["pre"]],
        np.array(cells.tolist())[case["post"]],
        "one_to_one",
        {"weight": weight, "delay": np.round(delay * dt, 6)},
    )
    recorder = nest.Create("spike_recorder")
    nest.Connect(cells, recorder)
    nest.Simulate((case["steps"] + 1) * dt)
    events = recorder.events
    steps = np.rint(events["times"] / dt).astype(int) - 1
    spikes = np.stack([steps, events["senders"] - cells.tolist()[0]], axis=1)
    spikes = spikes[spikes[:, 0] < case["steps"]]
    return spikes[np.lexsort((spikes[:, 1], spikes[:, 0]))].tolist()


if __name__ == "__main__":
    question = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps({"spikes": simulate(question)}))
