"""A published network in NEST: ``python nest_networks.py request.json answer.json`` (in NEST's environment).

Connections, weights, delays and noise are drawn by NEST. Its shortest delay is one step, also for the Poisson input.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import nest
import nest_small
import numpy as np

RULES = {
    "probability": ("pairwise_bernoulli", "p"),
    "indegree": ("fixed_indegree", "indegree"),
    "total": ("fixed_total_number", "N"),
}


def draw(value: Any, unit: float, least: float | None = None) -> Any:
    """Return a number or NEST's distribution, in NEST's unit."""
    if not isinstance(value, dict):
        return value * unit
    if value["kind"] == "uniform":
        return nest.random.uniform(value["low"] * unit, value["high"] * unit)
    normal = nest.random.normal(value["mean"] * unit, value["sd"] * unit)
    low, high = value.get("low"), value.get("high")
    if low is None and high is None:
        return normal
    far = (abs(value["mean"]) + 20 * value["sd"]) * unit
    return nest.math.redraw(normal, -far if low is None else low * unit, far if high is None else high * unit)


def plasticity(c: dict[str, Any], groups: dict[str, Any], unit: float) -> dict[str, Any]:
    """Return NEST's additive pair-based STDP for a projection that has it; one time constant belongs to the target."""
    if not c.get("stdp"):
        return {}
    p = c["stdp"]
    groups[c["post"]].tau_minus = p["tau_minus"] * 1e3
    rule = {"lambda": p["a_plus"], "alpha": p["a_minus"] / p["a_plus"], "mu_plus": 0.0, "mu_minus": 0.0}
    return {"synapse_model": "stdp_synapse", "Wmax": p["w_max"] * unit, "tau_plus": p["tau_plus"] * 1e3, **rule}


def build(net: dict[str, Any]) -> dict[str, Any]:
    """Make neurons, synapses, noise and recorders; return the recorders."""
    groups, models = {}, {}
    for p in net["populations"]:
        groups[p["name"]] = nest.Create(nest_small.MODELS[p["model"]], p["cells"], params=nest_small.parameters(p))
        start = p["init"].get("v", p["params"].get("e_l"))
        if p["model"] == "izhikevich":  # in millivolts
            groups[p["name"]].set({"V_m": draw(start, 1.0), "U_m": draw(p["init"]["u"], 1.0)})
        else:
            groups[p["name"]].V_m = draw(start, 1e3)
        models[p["name"]] = p
    for c in net["projections"]:
        rule, key = RULES[c["rule"]]
        unit = nest_small.weight_unit(models[c["post"]])
        if models[c["post"]]["model"] == "lif_cond_exp" and c["port"] == 1:
            unit = -unit
        synapse = {"weight": draw(c["weight"], unit), "delay": draw(c["delay"], 1e3), **plasticity(c, groups, unit)}
        nest.Connect(groups[c["pre"]], groups[c["post"]], {"rule": rule, key: c["number"]}, synapse)
    for d in net["drives"]:
        noise = nest.Create("poisson_generator", params={"rate": d["rate"]})
        weight = d["weight"] * nest_small.weight_unit(models[d["target"]])
        nest.Connect(noise, groups[d["target"]], syn_spec={"weight": weight, "delay": nest.resolution})
    recorders = {}
    for name, group in groups.items():
        recorders[name] = nest.Create("spike_recorder")
        nest.Connect(group, recorders[name])
    return {"recorders": recorders, "groups": groups}


def simulate(request: dict[str, Any]) -> dict[str, Any]:
    """Build and run the network; write the spikes to the file of the request."""
    net = request["network"]
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.local_num_threads = request["threads"]
    nest.resolution = net["dt"] * 1e3
    nest.rng_seed = request["seed"]
    begin = time.perf_counter()
    made = build(net)
    nest.Prepare()
    built = time.perf_counter()
    nest.Run(request["duration"] * 1e3)
    done = time.perf_counter()
    nest.Cleanup()
    arrays = {}
    for k, p in enumerate(net["populations"]):
        events = made["recorders"][p["name"]].events
        first = made["groups"][p["name"]].tolist()[0]
        arrays[f"step{k}"] = np.rint(events["times"] / (net["dt"] * 1e3)).astype(np.int64) - 1
        arrays[f"neuron{k}"] = np.asarray(events["senders"]) - first
    np.savez(request["events"], **arrays)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    synapses = int(nest.num_connections)
    return {"build_s": built - begin, "compile_s": 0.0, "sim_s": done - built, "peak_mb": peak, "synapses": synapses}


if __name__ == "__main__":
    question = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps(simulate(question)))
