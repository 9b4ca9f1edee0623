"""The emulator against rasters and states that brian2-loihi found (``benchmarks/oracles/make_loihi_goldens.py``)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikesim.backends.loihi.emulator import emulate
from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection

GOLDEN = Path(__file__).parent / "golden" / "loihi"
NAMES = ["feed_forward", "recurrent_delays", "refractory", "exponents"]


def read(name: str) -> tuple[IntNetwork, dict[str, Any], int]:
    """Return the network, the arrays of the file, and the number of steps."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    described = json.loads(str(arrays["network"]))
    lines = []
    for k, line in enumerate(described["projections"]):
        weights, delays = line.pop("weights"), line.pop("delays")
        lines.append(
            IntProjection.from_dense(f"l{k}", line.pop("pre"), line.pop("post"), weights, delay=delays, **line)
        )
    populations = [IntPopulation(**p) for p in described["populations"]]
    return IntNetwork(populations, lines, [IntInput(**i) for i in described["inputs"]]), arrays, described["steps"]


@pytest.mark.parametrize("name", NAMES)
def test_spikes_and_states_are_those_of_brian2_loihi(name: str) -> None:
    network, golden, steps = read(name)
    shift = json.loads(str(golden["made"]))["shift"]
    run = emulate(network, steps + shift, {"in": golden["spikes_in"]}, record_u=True, record_v=True)
    for p in network.populations:
        ours = run.spikes[p.name] - [shift, 0]
        assert 0.01 < len(ours) / (steps * p.n) < 0.9, "a silent or a saturated population proves little"
        assert np.array_equal(ours, golden[f"spikes_{p.name}"])
        assert np.array_equal(run.u[p.name][shift:], golden[f"u_{p.name}"])
        assert np.array_equal(run.v[p.name][shift:], golden[f"v_{p.name}"])


def test_the_comparison_can_fail() -> None:
    """One step more of refractory period, or one unit more of a decay, and the voltages differ."""
    network, golden, steps = read("refractory")
    for change in ({"refractory": 8}, {"du": 1501}, {"dv": 101}):
        cells = [replace(p, **change) if p.name == "b" else p for p in network.populations]
        changed = IntNetwork(cells, network.projections, network.inputs)
        run = emulate(changed, steps + 1, {"in": golden["spikes_in"]}, record_v=["b"])
        assert not np.array_equal(run.v["b"][1:], golden["v_b"])
