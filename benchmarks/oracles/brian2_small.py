"""One small network in Brian2: ``python brian2_small.py request.json answer.json`` (in Brian2's environment).

Brian2's step k moves the state from ``k dt`` to ``(k + 1) dt``, fires, delivers, resets; a spike bears the time
``k dt``, so steps are the same. What is delivered in step k meets the membrane in step k + 1:

- synaptic currents and conductances: a delay of d steps is the same in both for ``arrival="end"``; for ``"start"``
  Brian2's is one step shorter;
- inputs that hold for one step (Izhikevich): Brian2's delay is one step shorter;
- jumps of the membrane (delta): in spikesim and NEST they are added between the leak and the firing of a step. Brian2
  does the same if synapses come before thresholds in its schedule; its delay is then one step shorter, and a jump that
  meets a refractory neuron must be dropped by hand, since "unless refractory" holds back equations only.

Brian2 counts the step of the spike into the refractory time, which is therefore one step longer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import brian2 as b
import numpy as np

LEAK = "dv/dt = (e_l - v + {drive}) / (tau_m*second) : 1 (unless refractory)\n"
DECAY = "dg_exc/dt = -g_exc / (tau_exc*second) : 1\ndg_inh/dt = -g_inh / (tau_inh*second) : 1\n"
ALPHA = "".join(
    f"di_{x}/dt = d_{x}/second - i_{x} / (tau_{x}*second) : 1\ndd_{x}/dt = -d_{x} / (tau_{x}*second) : 1\n"
    for x in ("exc", "inh")
)
ADEX = (
    "dv/dt = (g_l*(e_l - v) + g_l*delta_t*exp(clip((v - v_t)/delta_t, -inf, (v_peak - v_t)/delta_t)) - w"
    " + g_exc*(e_exc - v) + g_inh*(e_inh - v) + i_e) / (c_m*second) : 1 (unless refractory)\n"
    "dw/dt = (a*(v - e_l) - w) / (tau_w*second) : 1\n"
)
IZHIKEVICH = """
v = v + h*0.5*(0.04*v*v + 5.0*v + 140.0 - u + drive)
v = v + h*0.5*(0.04*v*v + 5.0*v + 140.0 - u + drive)
u = u + h*a*(b*v - u)
drive = 0.0
"""

MODELS = {  # equations, method
    "lif": (LEAK.format(drive="0.0"), "exact"),
    "lif_exp": (LEAK.format(drive="g_exc + g_inh") + DECAY, "exact"),
    "lif_psc_exp": (
        LEAK.format(drive="(i_syn + i_e)*tau_m/c_m") + "di_syn/dt = -i_syn / (tau_syn*second) : 1",
        "exact",
    ),
    "lif_alpha": (LEAK.format(drive="(i_exc + i_inh + i_e)*tau_m/c_m") + ALPHA, "exact"),
    "lif_cond_exp": (LEAK.format(drive="g_exc*(e_exc - v) + g_inh*(e_inh - v)") + DECAY, "exponential_euler"),
    "izhikevich": ("v : 1\nu : 1\ndrive : 1\n", None),
    "adex": (ADEX + DECAY, "euler"),
}
ACTIONS = {  # what a spike does, per port
    "lif": ("v_post += w_syn*int(not_refractory_post)",) * 2,
    "lif_psc_exp": ("i_syn_post += w_syn",) * 2,
    "lif_alpha": ("d_exc_post += w_syn*jump_exc", "d_inh_post += w_syn*jump_inh"),
    "izhikevich": ("drive_post += w_syn",) * 2,
}
CONDUCTANCES = ("g_exc_post += w_syn", "g_inh_post += w_syn")
RESETS = {"izhikevich": "v = c\nu = u + d", "adex": "v = v_reset\nw = w + b"}


def constants(case: dict[str, Any]) -> dict[str, float]:
    """Return the names that the equations use."""
    p, dt = dict(case["params"]), case["dt"]
    if case["model"] == "izhikevich":
        return {**p, "h": dt * 1e3}
    if case["model"] == "lif_alpha":
        p |= {f"jump_{x}": float(np.e) / p[f"tau_{x}"] for x in ("exc", "inh")}
    if case["model"] == "adex":  # Euler steps of this time constant are the exact decay
        p |= {f"tau_{x}": dt / -float(np.expm1(-dt / p[f"tau_{x}"])) for x in ("exc", "inh")}
    return p


def group(case: dict[str, Any], names: dict[str, float], more_equations: str = "") -> b.NeuronGroup:
    """Return the neurons."""
    model = case["model"]
    equations, method = MODELS[model]
    equations += more_equations
    top = "v_peak" if "v_peak" in names else "v_th"
    sign = ">=" if model == "izhikevich" else case["options"].get("threshold", ">")
    refractory = (round(names.get("t_ref", 0.0) / case["dt"]) + 1) * case["dt"] * b.second
    more = {"method": method} if method else {}
    cells = b.NeuronGroup(
        case["cells"], equations, threshold=f"v {sign} {top}", reset=RESETS.get(model, "v = v_reset"),
        refractory=refractory if "unless refractory" in equations else False, namespace=names, **more,
    )  # fmt: skip
    if model == "izhikevich":
        cells.run_regularly(IZHIKEVICH, when="groups")
    for name, values in case["init"].items():
        setattr(cells, name, np.array(values))
    return cells


def simulate(case: dict[str, Any]) -> list[list[int]]:
    """Return the spikes, step and neuron, sorted."""
    b.prefs.codegen.target = case.get("target", "numpy")
    dt, model = case["dt"] * b.second, case["model"]
    b.defaultclock.dt = dt
    names = constants(case)
    cells = group(case, names)
    inputs = b.SpikeGeneratorGroup(case["inputs"], case["input_index"], np.array(case["input_step"]) * dt)
    early = model in ("lif", "izhikevich") or case["options"].get("arrival") == "start"
    delay = np.array(case["delay"]) - int(early)
    pre, post, port = np.array(case["pre"]), np.array(case["post"]), np.array(case["port"])
    synapses = []
    for source, low, high in ((inputs, 0, case["inputs"]), (cells, case["inputs"], case["inputs"] + case["cells"])):
        for kind, action in enumerate(ACTIONS.get(model, CONDUCTANCES)):
            chosen = (pre >= low) & (pre < high) & (port == kind)
            s = b.Synapses(source, cells, "w_syn : 1", on_pre=action, namespace=names)
            s.connect(i=pre[chosen] - low, j=post[chosen])
            s.w_syn = np.array(case["weight"])[chosen]
            s.delay = delay[chosen] * dt
            synapses.append(s)
    monitor = b.SpikeMonitor(cells)
    net = b.Network(cells, inputs, monitor, *synapses)
    if model == "lif":
        net.schedule = ["start", "groups", "synapses", "thresholds", "resets", "end"]
    net.run(case["steps"] * dt)
    spikes = np.stack([np.rint(np.asarray(monitor.t / dt)).astype(int), np.asarray(monitor.i)], axis=1)
    return spikes[np.lexsort((spikes[:, 1], spikes[:, 0]))].tolist()


if __name__ == "__main__":
    question = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps({"spikes": simulate(question)}))
