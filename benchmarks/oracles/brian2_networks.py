"""A published network in Brian2: ``python brian2_networks.py request.json answer.json`` (in Brian2's environment).

Connections, weights, delays and noise are drawn here or by Brian2. Delays are converted as ``brian2_small.py`` says.
The Poisson input is Brian2's ``PoissonInput`` (binomial, 1000 inputs per neuron). ``target`` chooses the code:
"cython", or "cpp_standalone", a compiled program.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import brian2 as b
import brian2_small
import numpy as np

INPUTS = 1000  # of a PoissonInput


def draw(value: Any, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``n`` values; those out of bounds are drawn again."""
    if not isinstance(value, dict):
        return np.full(n, value)
    if value["kind"] == "uniform":
        return rng.uniform(value["low"], value["high"], n)
    low, high = (value.get(k) for k in ("low", "high"))
    low, high = (-np.inf if low is None else low), (np.inf if high is None else high)
    out = rng.normal(value["mean"], value["sd"], n)
    while (bad := (out < low) | (out > high)).any():
        out[bad] = rng.normal(value["mean"], value["sd"], int(bad.sum()))
    return out


def pairs(c: dict[str, Any], n_pre: int, n_post: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return source and target of every synapse."""
    if c["rule"] == "indegree":
        return rng.integers(0, n_pre, n_post * c["number"]), np.repeat(np.arange(n_post), c["number"])
    if c["rule"] == "total":
        return rng.integers(0, n_pre, c["number"]), rng.integers(0, n_post, c["number"])
    chosen = np.flatnonzero(rng.random(n_pre * n_post) < c["number"])
    return chosen // n_post, chosen % n_post


def neurons(net: dict[str, Any], rng: np.random.Generator) -> b.NeuronGroup:
    """Return all populations side by side, as one group; they differ in ``i_e`` at most."""
    populations, dt = net["populations"], net["dt"]
    first = populations[0]
    starts = [{"v": p["params"]["e_l"], **p["init"]} for p in populations]
    init = {
        k: np.concatenate([draw(s[k], p["cells"], rng) for s, p in zip(starts, populations, strict=True)])
        for k in starts[0]
    }
    more = ""
    if "i_e" in first["params"]:
        init["i_e"] = np.repeat([p["params"]["i_e"] for p in populations], [p["cells"] for p in populations])
        more = "\ni_e : 1 (constant)\n"
    delta = first["model"] == "lif"
    case = {**first, "dt": dt, "init": init, "cells": sum(p["cells"] for p in populations)}
    names = {k: v for k, v in brian2_small.constants(case).items() if k != "i_e"}
    group = brian2_small.group(case, names, "drive : 1\n" if delta else more)
    if delta:  # what arrives while refractory is lost, also Poisson input
        group.run_regularly("v += drive*int(not_refractory)\ndrive = 0", when="synapses", order=10)
    return group


def synapses(net: dict[str, Any], group: b.NeuronGroup, first: dict[str, int], rng: Any) -> list[b.Synapses]:
    """Return the projections, those of equal port and equal constant weight and delay in one object."""
    p = net["populations"][0]
    sizes = {q["name"]: q["cells"] for q in net["populations"]}
    kinds: dict[str, list[dict[str, Any]]] = {}
    for c in net["projections"]:
        values = [c[k] if not isinstance(c[k], dict) else None for k in ("weight", "delay")]
        kinds.setdefault(json.dumps([c["port"], *values]), []).append(c)
    early = int(p["model"] == "lif" or p["options"].get("arrival") == "start")
    out = []
    for members in kinds.values():
        c = members[0]
        actions = brian2_small.ACTIONS.get(p["model"], brian2_small.CONDUCTANCES)
        action = "drive_post += w_syn" if p["model"] == "lif" else actions[c["port"]]
        varied = isinstance(c["weight"], dict)
        names = {} if varied else {"w_syn": c["weight"]}
        steps = None if isinstance(c["delay"], dict) else round(c["delay"] / net["dt"]) - early
        delay = {} if not steps else {"delay": steps * net["dt"] * b.second}
        s = b.Synapses(group, group, "w_syn : 1" if varied else "", on_pre=action, namespace=names, **delay)
        drawn = [pairs(m, sizes[m["pre"]], sizes[m["post"]], rng) for m in members]
        s.connect(
            i=np.concatenate([i + first[m["pre"]] for m, (i, _) in zip(members, drawn, strict=True)]),
            j=np.concatenate([j + first[m["post"]] for m, (_, j) in zip(members, drawn, strict=True)]),
        )
        if varied:
            s.w_syn = np.concatenate([draw(m["weight"], len(i), rng) for m, (i, _) in zip(members, drawn, strict=True)])
        if steps is None:
            seconds = np.concatenate([draw(m["delay"], len(i), rng) for m, (i, _) in zip(members, drawn, strict=True)])
            s.delay = (np.maximum(np.rint(seconds / net["dt"]), 1) - early) * net["dt"] * b.second
        out.append(s)
    return out


def build(net: dict[str, Any], rng: np.random.Generator) -> tuple[b.Network, b.SpikeMonitor, list[b.Synapses]]:
    """Return the network, its monitor and its synapses."""
    group = neurons(net, rng)
    first = offsets(net)
    edges = synapses(net, group, first, rng)
    delta = net["populations"][0]["model"] == "lif"
    noise = []
    sizes = {p["name"]: p["cells"] for p in net["populations"]}
    for d in net["drives"]:
        part = group[first[d["target"]] : first[d["target"]] + sizes[d["target"]]]
        rate = d["rate"] / INPUTS * b.Hz
        noise.append(b.PoissonInput(part, "drive" if delta else "i_syn", INPUTS, rate, d["weight"]))
    monitor = b.SpikeMonitor(group)
    network = b.Network(group, *edges, *noise, monitor)
    if delta:
        network.schedule = ["start", "groups", "synapses", "thresholds", "resets", "end"]
    return network, monitor, edges


def offsets(net: dict[str, Any]) -> dict[str, int]:
    """Return the first neuron of each population."""
    low = np.cumsum([0, *(p["cells"] for p in net["populations"])])
    return {p["name"]: int(k) for p, k in zip(net["populations"], low, strict=False)}


def simulate(request: dict[str, Any]) -> dict[str, Any]:
    """Build, compile and run; write the spikes to the file of the request."""
    net, standalone = request["network"], request["target"] == "cpp_standalone"
    dt, work = net["dt"] * b.second, tempfile.mkdtemp()
    if standalone:
        b.set_device("cpp_standalone", build_on_run=False, directory=work)
        if request["threads"] > 1:
            b.prefs.devices.cpp_standalone.openmp_threads = request["threads"]
    else:
        b.prefs.codegen.target = request["target"]
    b.defaultclock.dt = dt
    b.seed(request["seed"])
    begin = time.perf_counter()
    network, monitor, edges = build(net, np.random.default_rng(request["seed"]))
    if not standalone:
        network.run(dt)  # generates and compiles the code
    built = time.perf_counter()
    steps = round(request["duration"] / net["dt"])
    network.run((steps if standalone else steps - 1) * dt)
    compiled = built
    if standalone:
        b.device.build(directory=work, compile=True, run=False, debug=False)
        compiled = time.perf_counter()
        b.device.run(with_output=False)
    done = time.perf_counter()
    arrays = {}
    step, neuron = np.rint(np.asarray(monitor.t / dt)).astype(np.int64), np.asarray(monitor.i)
    for k, (p, low) in enumerate(zip(net["populations"], offsets(net).values(), strict=True)):
        own = (neuron >= low) & (neuron < low + p["cells"])
        arrays[f"step{k}"], arrays[f"neuron{k}"] = step[own], neuron[own] - low
    np.savez(request["events"], **arrays)
    return {
        "build_s": built - begin,
        "compile_s": compiled - built,
        "sim_s": float(b.device._last_run_time) if standalone else done - compiled,
        "peak_mb": None if standalone else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "synapses": int(sum(len(e) for e in edges)),
    }


if __name__ == "__main__":
    question = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps(simulate(question)))
