"""A small SONATA circuit in NEST: ``python nest_sonata.py request.json answer.json`` (in NEST's environment).

The request is what ``sonata_circuit.plain()`` returns. Spikes of virtual nodes come from ``spike_train_injector``, as
in ``nest.SonataNetwork``; a clamp is a ``step_current_generator`` connected with a delay of one step, as in PointNet.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nest
import numpy as np


def simulate(request: dict[str, Any]) -> list[list[int]]:
    """Return the spikes, step and neuron, sorted; a spike of step k is NEST's at ``(k + 1) dt``."""
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    dt = nest.resolution = request["dt"]
    cells = [nest.Create(c["model"], params=c["params"]).tolist()[0] for c in request["cells"]]
    times, ids = np.array(request["times"]), np.array(request["ids"])
    trains = [{"spike_times": times[ids == k], "allow_offgrid_times": True} for k in range(request["inputs"])]
    inputs = np.array(nest.Create("spike_train_injector", len(trains), params=trains).tolist())
    for edges in request["edges"]:
        pre = (inputs if edges["inputs"] else np.array(cells))[edges["pre"]]
        syn = {"weight": np.array(edges["weight"]), "delay": np.array(edges["delay"])}
        nest.Connect(pre, np.array(cells)[edges["post"]], "one_to_one", syn)
    clamp = request["clamp"]
    steps = [clamp["delay"], clamp["delay"] + clamp["duration"]]
    source = nest.Create(
        "step_current_generator", params={"amplitude_times": steps, "amplitude_values": [clamp["amp"], 0.0]}
    )
    for k in clamp["cells"]:
        nest.Connect(source, nest.NodeCollection([cells[k]]), syn_spec={"delay": dt})
    recorder = nest.Create("spike_recorder")
    nest.Connect(nest.NodeCollection(sorted(cells)), recorder)
    nest.Simulate((request["steps"] + 1) * dt)
    place = {g: k for k, g in enumerate(cells)}
    found = [
        [round(t / dt) - 1, place[int(s)]]
        for t, s in zip(recorder.events["times"], recorder.events["senders"], strict=True)
    ]
    return sorted(e for e in found if e[0] < request["steps"])


if __name__ == "__main__":
    answer = {"spikes": simulate(json.loads(Path(sys.argv[1]).read_text())), "version": nest.__version__}
    Path(sys.argv[2]).write_text(json.dumps(answer))
