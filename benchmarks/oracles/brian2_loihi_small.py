"""One integer network in brian2-loihi: ``python brian2_loihi_small.py request.json answer.json`` (in its environment).

brian2-loihi computes with real numbers, by another formula (``v - sign(v) ceil(|v| decay / 4096)``), and was validated
on Loihi 1 (Michaelis et al., Front. Neuroinform. 16, 2022). Its spike generator acts a step earlier than a source in
Lava; its ``decay_I`` counts the one that the chip adds, ``du + 1``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import prefs
from brian2_loihi import (
    LoihiNetwork,
    LoihiNeuronGroup,
    LoihiSpikeGeneratorGroup,
    LoihiSpikeMonitor,
    LoihiStateMonitor,
    LoihiSynapses,
)

prefs.codegen.target = "numpy"
MODES = {"mixed": 1, "excitatory": 2, "inhibitory": 3}


def simulate(request: dict[str, Any]) -> dict[str, Any]:
    """Return spikes as rows (step, neuron), and v and I after each step if asked for, by population."""
    groups: dict[str, Any] = {}
    for source in request["inputs"]:
        spikes = np.asarray(source["spikes"], int).reshape(-1, 2)
        groups[source["name"]] = LoihiSpikeGeneratorGroup(source["n"], spikes[:, 1], spikes[:, 0])
    for p in request["populations"]:
        parameters = {"threshold_v_mant": p["vth"], "decay_v": p["dv"], "decay_I": p["du"] + 1}
        groups[p["name"]] = LoihiNeuronGroup(p["n"], refractory=p["refractory"], **parameters)
    network = LoihiNetwork(*groups.values())
    for line in request["projections"]:
        for synapses in _synapses(groups, line):
            network.add(synapses)
    names = [p["name"] for p in request["populations"]]
    spikes = {name: LoihiSpikeMonitor(groups[name]) for name in names}
    states = {
        (name, kind): LoihiStateMonitor(groups[name], kind)
        for name in names
        for kind in ("v", "I")
        if request["states"]
    }
    network.add(*spikes.values(), *states.values())
    if request.get("warm"):
        network.run(1)
    begin = time.perf_counter()
    network.run(request["steps"])
    seconds = time.perf_counter() - begin
    rows = {n: np.stack([np.asarray(m.t, int), np.asarray(m.i)], axis=1).tolist() for n, m in spikes.items()}
    found = {"spikes": rows, "seconds": seconds}
    for kind in ("v", "I"):
        found[kind] = {n: np.rint(getattr(m, kind)).astype(int).T.tolist() for (n, k), m in states.items() if k == kind}
    return found


def _synapses(groups: dict[str, Any], line: dict[str, Any]) -> list[Any]:
    """One object per delay, since a delay belongs to the whole of it."""
    weights, delays = np.asarray(line["weights"]), np.asarray(line["delays"])
    made = []
    for delay in np.unique(delays):
        post, pre = np.nonzero((weights != 0) & (delays == delay))
        if pre.size == 0:
            continue
        synapses = LoihiSynapses(
            groups[line["pre"]], groups[line["post"]], delay=int(delay), w_exp=line["weight_exp"],
            sign_mode=MODES[line["sign_mode"]], num_weight_bits=line["num_weight_bits"],
        )  # fmt: skip
        synapses.connect(i=pre, j=post)
        synapses.w = weights[post, pre].astype(int)
        made.append(synapses)
    return made


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps(simulate(asked)))
