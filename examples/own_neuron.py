"""A neuron of one's own, written in a few lines of a script, on every engine that can hold it.

Its equations match the chip's (one state, linear, soft reset with its own threshold and quantum), so it can be
quantised and runs in the emulator and in Lava too.

    python examples/own_neuron.py
"""

from __future__ import annotations

import numpy as np

from spikesim import Input, Network, Population, Projection, neuron, run, spike
from spikesim.connect import Dense
from spikesim.engine import backend
from spikesim.quantise import quantise
from spikesim.recording import differing_spikes


@neuron(leak=0.8, v_th=0.9, q=0.65)
def mine(v, i, p):  # type: ignore[no-untyped-def]
    """Leaky membrane; a spike subtracts a quantum that is not the threshold."""
    u = p.leak * v + i
    s = spike(u - p.v_th)
    return s, u - p.q * s


def network(seed: int = 0) -> Network:
    """Two layers with random weights."""
    rng = np.random.default_rng(seed)
    return Network(
        [Population("hidden", 50, mine), Population("out", 10, mine)],
        [
            Projection("x", "hidden", Dense(rng.normal(0.1, 0.3, (50, 30)))),
            Projection("hidden", "out", Dense(rng.normal(0.05, 0.3, (10, 50)))),
        ],
        [Input("x", 30)],
    )


def main() -> None:
    """Run in float on numba and torch, then in fixed point everywhere."""
    floating = network()
    data = {"x": np.random.default_rng(1).random((100, 2, 30)) < 0.2}
    fixed = quantise(floating)
    print(fixed)
    for label, net, names in (
        ("float", floating, ("numba", "torch")),
        ("fixed point", fixed.network, ("numba", "torch", "loihi", "lava")),
    ):
        reference = run(net, inputs=data)
        for name in names:
            state = backend(name).availability()
            if not state.ok:
                print(f"{label:>11} on {name:<5}: not here ({state.reason}; {state.remedy})")
                continue
            recording = run(net, inputs=data, backend=name)
            differing = differing_spikes(reference, recording)
            print(f"{label:>11} on {name:<5}: {recording.counts.spikes} spikes, {differing} differ from numba")


if __name__ == "__main__":
    main()
