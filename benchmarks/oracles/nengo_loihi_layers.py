"""Dense layers in nengo-loihi's emulator: ``python nengo_loihi_layers.py request.json answer.json`` (its environment).

The network is made of blocks, brought to integers by nengo-loihi itself, and then given the integers of the request.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from nengo_loihi.block import Axon, LoihiBlock, Synapse
from nengo_loihi.builder import Model
from nengo_loihi.builder.discretize import discretize_model
from nengo_loihi.emulator import EmulatorInterface
from nengo_loihi.inputs import SpikeInput
from nengo_loihi.probe import LoihiProbe


def simulate(request: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of the steps and the spikes of each layer."""
    steps, spikes = request["steps"], np.asarray(request["spikes"], int).reshape(-1, 2)
    model = Model()
    source = SpikeInput(request["n_in"])
    for t in range(steps):
        source.add_spikes(t + 1, spikes[spikes[:, 0] == t, 1])
    model.add_input(source)
    before: Any = source
    made = []
    for layer in request["layers"]:
        weights = np.asarray(layer["weights"]).T
        block = LoihiBlock(weights.shape[1])
        block.compartment.configure_relu()
        block.compartment.configure_filter(0.1)
        synapse = Synapse(weights.shape[0])
        synapse.set_weights(weights.astype(float))
        block.add_synapse(synapse)
        axon = Axon(weights.shape[0])
        axon.target = synapse
        if before is not source:
            axon.set_compartment_axon_map(np.arange(weights.shape[0]))
        before.add_axon(axon)
        model.add_block(block)
        probe = LoihiProbe(target=block, key="spiked")
        model.add_probe(probe)
        made.append((block, synapse, weights, layer, probe))
        before = block
    discretize_model(model)
    for block, synapse, weights, layer, _ in made:
        block.compartment.decay_u[:], block.compartment.decay_v[:] = layer["du"], layer["dv"]
        block.compartment.vth[:], block.compartment.bias[:] = layer["vth"] << 6, 0
        block.compartment.vmin, block.compartment.vmax = 1 - 2**23, 2**23 - 1
        block.compartment.refract_delay[:] = 1
        for row, own in zip(synapse.weights, weights, strict=True):
            row[...] = (own << 6).reshape(row.shape)
    EmulatorInterface.strict = False
    with EmulatorInterface(model, seed=0) as emulator:
        begin = time.perf_counter()
        emulator.run_steps(steps)
        seconds = time.perf_counter() - begin
        return {
            "seconds": seconds,
            "spikes": [int((np.asarray(emulator.collect_probe_output(m[4])) > 0).sum()) for m in made],
        }


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps(simulate(asked)))
