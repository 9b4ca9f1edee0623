"""A network in Brian2: ``python brian2_networks.py request.json answer.json`` (in Brian2's environment).

Connections, weights, delays and noise are drawn here or by Brian2. Delays are converted as ``brian2_small.py`` says.
The Poisson input is Brian2's ``PoissonInput`` (binomial, 1000 inputs per neuron). ``target`` chooses the code:
"cython", or "cpp_standalone", a compiled program.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import brian2 as b
import brian2_small
import numpy as np

INPUTS = 1000  # of a PoissonInput
JUMPS = ("lif", "tired")  # models whose membrane jumps: what arrives is added between leak and threshold
EARLY = (*JUMPS, "izhikevich")  # models for which Brian2's delay is one step shorter
brian2_small.MODELS["tired"] = ("dv/dt = -v / (tau*second) : 1\ndw/dt = -w / (tau_w*second) : 1\n", "exact")
brian2_small.ACTIONS["tired"] = ("drive_post += w_syn",) * 2
brian2_small.RESETS["tired"] = "v = 0\nw = w + b"
NOISE = {"lif": "drive", "tired": "drive", "izhikevich": "drive", "lif_psc_exp": "i_syn", "lif_alpha": "d_exc"}
ARRIVE = {
    "lif": "v += drive*int(not_refractory)\ndrive = 0",  # what arrives while refractory is lost
    "tired": "v += drive - w*grown\ndrive = 0",
}
STDP = """
{w} : 1
dx/dt = -x / (tau_plus*second) : 1 (event-driven)
dy/dt = -y / (tau_minus*second) : 1 (event-driven)
"""


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


class Side:
    """Populations side by side in one group: those of one model that differ in ``i_e`` at most.

    Parameters
    ----------
    populations
        Their descriptions.
    dt
        Seconds per step.
    rng
        Draws initial states.
    """

    def __init__(self, populations: list[dict[str, Any]], dt: float, rng: np.random.Generator) -> None:
        self.populations, first = populations, populations[0]
        self.model, self.options = first["model"], first["options"]
        low = np.cumsum([0, *(p["cells"] for p in populations)])
        self.first = {p["name"]: int(k) for p, k in zip(populations, low, strict=False)}
        starts = [{**({"v": p["params"]["e_l"]} if "e_l" in p["params"] else {}), **p["init"]} for p in populations]
        init = {
            k: np.concatenate([draw(s[k], p["cells"], rng) for s, p in zip(starts, populations, strict=True)])
            for k in starts[0]
        }
        more = "drive : 1\n" if self.model in JUMPS else ""
        if "i_e" in first["params"]:
            init["i_e"] = np.repeat([p["params"]["i_e"] for p in populations], [p["cells"] for p in populations])
            more = "\ni_e : 1 (constant)\n"
        case = {**first, "dt": dt, "init": init, "cells": int(low[-1])}
        self.names = {k: v for k, v in brian2_small.constants(case).items() if k != "i_e"}
        if self.model == "tired":  # w as it was before this step's decay
            self.names["grown"] = float(np.exp(dt / self.names["tau_w"]))
        self.group = brian2_small.group(case, self.names, more)
        if self.model in ARRIVE:
            self.group.run_regularly(ARRIVE[self.model], when="synapses", order=10)


def sides(net: dict[str, Any], rng: np.random.Generator) -> dict[str, Side]:
    """Return the groups, by population."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for p in net["populations"]:
        params = {k: v for k, v in p["params"].items() if k != "i_e"}
        kinds.setdefault(json.dumps([p["model"], p["options"], params], sort_keys=True), []).append(p)
    made = [Side(members, net["dt"], rng) for members in kinds.values()]
    return {name: side for side in made for name in side.first}


def synapses(net: dict[str, Any], groups: dict[str, Side], rng: Any) -> list[b.Synapses]:
    """Return the projections; those of equal groups, port and constant weight and delay in one object."""
    sizes = {q["name"]: q["cells"] for q in net["populations"]}
    kinds: dict[str, list[dict[str, Any]]] = {}
    for c in net["projections"]:
        values = [c[k] if not isinstance(c[k], dict) else None for k in ("weight", "delay")]
        ends = [id(groups[c["pre"]]), id(groups[c["post"]]), c.get("stdp")]
        kinds.setdefault(json.dumps([*ends, c["port"], *values]), []).append(c)
    return [_synapses(members, net["dt"], groups, sizes, rng) for members in kinds.values()]


def _synapses(members: list[dict[str, Any]], dt: float, groups: dict[str, Side], sizes: Any, rng: Any) -> b.Synapses:
    c = members[0]
    pre, post = groups[c["pre"]], groups[c["post"]]
    action = "drive_post += w_syn"
    if post.model not in JUMPS:
        action = brian2_small.ACTIONS.get(post.model, brian2_small.CONDUCTANCES)[c["port"]]
    early = int(post.model in EARLY or post.options.get("arrival") == "start")
    stdp, varied = c.get("stdp"), isinstance(c["weight"], dict) or c.get("stdp")
    names = {**post.names, **({} if varied else {"w_syn": c["weight"]})}
    steps = None if isinstance(c["delay"], dict) else round(c["delay"] / dt) - early
    options: dict[str, Any] = {"delay": steps * dt * b.second} if steps else {}
    model = "w_syn : 1" if varied else ""
    if stdp:
        names |= stdp
        model = STDP.format(w="w_syn")
        action += "\nx += 1\nw_syn = clip(w_syn - a_minus*w_max*y, 0, w_max)"
        options["on_post"] = "y += 1\nw_syn = clip(w_syn + a_plus*w_max*x, 0, w_max)"
        if steps:
            options["delay"] = {"pre": steps * dt * b.second}
    s = b.Synapses(pre.group, post.group, model, on_pre=action, namespace=names, **options)
    drawn = [pairs(m, sizes[m["pre"]], sizes[m["post"]], rng) for m in members]
    s.connect(
        i=np.concatenate([i + pre.first[m["pre"]] for m, (i, _) in zip(members, drawn, strict=True)]),
        j=np.concatenate([j + post.first[m["post"]] for m, (_, j) in zip(members, drawn, strict=True)]),
    )
    if varied:
        s.w_syn = np.concatenate([draw(m["weight"], len(i), rng) for m, (i, _) in zip(members, drawn, strict=True)])
    if steps is None:
        seconds = np.concatenate([draw(m["delay"], len(i), rng) for m, (i, _) in zip(members, drawn, strict=True)])
        s.delay = (np.maximum(np.rint(seconds / dt), 1) - early) * dt * b.second
    return s


def build(net: dict[str, Any], rng: np.random.Generator) -> tuple[b.Network, dict[str, Any], list[b.Synapses]]:
    """Return the network, the monitor of each population's group, and the synapses."""
    groups = sides(net, rng)
    edges = synapses(net, groups, rng)
    noise = []
    sizes = {p["name"]: p["cells"] for p in net["populations"]}
    for d in net["drives"]:
        side = groups[d["target"]]
        low = side.first[d["target"]]
        weight = d["weight"] * side.names.get("jump_exc", 1.0)
        rate = d["rate"] / INPUTS * b.Hz
        part = side.group[low : low + sizes[d["target"]]]
        noise.append(b.PoissonInput(part, NOISE[side.model], INPUTS, rate, weight))
    distinct = list({id(s): s for s in groups.values()}.values())
    monitors = {id(s): b.SpikeMonitor(s.group) for s in distinct}
    network = b.Network(*(s.group for s in distinct), *edges, *noise, *monitors.values())
    if any(s.model in JUMPS for s in distinct):
        network.schedule = ["start", "groups", "synapses", "thresholds", "resets", "end"]
    return network, {name: (monitors[id(s)], s.first[name]) for name, s in groups.items()}, edges


def simulate(request: dict[str, Any]) -> dict[str, Any]:
    """Build, compile and run; write the spikes to the file of the request."""
    net, standalone = request["network"], request["target"] == "cpp_standalone"
    dt, work = net["dt"] * b.second, tempfile.mkdtemp()
    if standalone:
        b.set_device("cpp_standalone", build_on_run=False, directory=work)
        # Brian2's own choice is a compiler for every file at once, which takes the machine away from everybody else
        b.prefs.devices.cpp_standalone.extra_make_args_unix = [f"-j{os.cpu_count() or 1}"]
        if request["threads"] > 1:
            b.prefs.devices.cpp_standalone.openmp_threads = request["threads"]
    else:
        b.prefs.codegen.target = request["target"]
    b.defaultclock.dt = dt
    b.seed(request["seed"])
    begin = time.perf_counter()
    network, monitors, edges = build(net, np.random.default_rng(request["seed"]))
    if not standalone:
        network.run(dt)  # generates and compiles the code
    built = time.perf_counter()
    steps = round(request["duration"] / net["dt"])
    network.run((steps if standalone else steps - 1) * dt)
    compiled = built
    if standalone:
        b.device.build(directory=work, compile=True, run=False, debug=False)
        compiled, compiler = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        b.device.run(with_output=False)
    done = time.perf_counter()
    arrays = {}
    for k, p in enumerate(net["populations"]):
        monitor, low = monitors[p["name"]]
        step, neuron = np.rint(np.asarray(monitor.t / dt)).astype(np.int64), np.asarray(monitor.i)
        inside = (neuron >= low) & (neuron < low + p["cells"])
        arrays[f"step{k}"], arrays[f"neuron{k}"] = step[inside], neuron[inside] - low
    np.savez(request["events"], **arrays)
    shutil.rmtree(work, ignore_errors=True)  # program and tables of a large network take gigabytes
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if standalone else resource.RUSAGE_SELF).ru_maxrss
    return {
        "build_s": built - begin,
        "compile_s": compiled - built,
        "sim_s": float(b.device._last_run_time) if standalone else done - compiled,
        "program_s": done - compiled,  # with the reading of tables and the writing of results
        # where the compiler took more than the program, the program's own peak is not known
        "peak_mb": None if standalone and peak == compiler else peak / 1024,
        "synapses": int(sum(len(e) for e in edges)),
    }


if __name__ == "__main__":
    question = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps(simulate(question)))
