"""Convolutions against Lava's own ``Conv`` process.

The Lava backend lays a convolution out as ``Sparse`` or ``Dense``: Lava's ``Conv`` ignores ``weight_exp``,
``num_weight_bits`` and the sign mode, and never clips a weight. On even weights in -256..254 both agree, which is
checked here; on others the emulator follows the chip.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikesim import Input, Network, Population, Probe, Projection, run
from spikesim.connect import Conv2d
from spikesim.fixedpoint import truncate_weights
from spikesim.models.neurons import loihi_lif

pytestmark = pytest.mark.lava

STEPS = 30
CASES: dict[str, dict[str, Any]] = {
    "plain": {"shape": (2, 7, 6), "kernel": (3, 2, 3, 3), "stride": 1, "padding": 0},
    "strided": {"shape": (1, 9, 8), "kernel": (4, 1, 4, 3), "stride": 2, "padding": 1},
    "padded": {"shape": (3, 5, 6), "kernel": (2, 3, 2, 3), "stride": 1, "padding": 2},
}
CELL = {"du": 1500, "dv": 300, "v_th": 260}


def weights_of(name: str, odd: bool = False) -> np.ndarray:
    rng = np.random.default_rng(len(name))
    kernel = CASES[name]["kernel"]
    even = 2 * rng.integers(-60, 80, kernel)
    even.flat[:2] = -256, 254
    return even + (odd * rng.integers(0, 2, kernel))


def spikes_of(name: str) -> np.ndarray:
    return np.random.default_rng(7).random((STEPS, *CASES[name]["shape"])) < 0.2


def emulated(name: str, weights: np.ndarray, backend: str = "loihi") -> Any:
    case = CASES[name]
    rule = Conv2d(weights.astype(float), stride=case["stride"], padding=case["padding"])
    shape = rule.output_shape(case["shape"])
    # a delay of 1 is Lava's: what the source emits in a column acts in the next one
    line = Projection("x", "cells", rule, delay=1e-3)
    probe = Probe("cells", ("u", "v"))
    net = Network([Population("cells", shape, loihi_lif(**CELL))], [line], [Input("x", case["shape"])], probes=[probe])
    return run(net, inputs={"x": spikes_of(name)[:, None]}, backend=backend)


@pytest.fixture(scope="module")
def from_lava(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("conv")
    asked = {}
    for name, case in CASES.items():
        odd = weights_of(name, odd=True)
        versions = {"odd": odd, "truncated": truncate_weights(odd)} if name == "plain" else {name: weights_of(name)}
        for label, weight in versions.items():
            asked |= {
                f"{label}/weight": weight,
                f"{label}/spikes": spikes_of(name),
                f"{label}/options": np.array([case["stride"], case["padding"]]),
                f"{label}/cell": np.array(list(CELL.values())),
            }
    np.savez(folder / "cases.npz", **asked)
    script = Path(__file__).with_name("lava_conv_child.py")
    command = [sys.executable, str(script), str(folder / "cases.npz"), str(folder / "found.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-4000:]
    with np.load(folder / "found.npz") as file:
        return {key: file[key] for key in file.files}


def same(recording: Any, theirs: dict[str, np.ndarray], label: str) -> bool:
    raster = np.zeros_like(theirs[f"{label}/s"])
    spikes = recording.spikes["cells"]
    raster[spikes.step, spikes.neuron] = 1
    states = (np.array_equal(recording.traces["cells"][k].values[0], theirs[f"{label}/{k}"]) for k in "uv")
    assert 0.02 < raster.mean() < 0.9
    return np.array_equal(raster, theirs[f"{label}/s"]) and all(states)


@pytest.mark.parametrize("name", ["strided", "padded"])
def test_convolutions_equal_lavas(name: str, from_lava: dict[str, np.ndarray]) -> None:
    assert same(emulated(name, weights_of(name)), from_lava, name)


def test_odd_weights_follow_the_chip(from_lava: dict[str, np.ndarray]) -> None:
    """Lava's Conv keeps the odd weights of a mixed kernel, which 8 bits cannot."""
    from spikesim.errors import UnsupportedError

    with pytest.raises(UnsupportedError, match="odd"):
        emulated("plain", weights_of("plain", odd=True))
    ours = emulated("plain", truncate_weights(weights_of("plain", odd=True)))
    assert same(ours, from_lava, "truncated") and not same(ours, from_lava, "odd")
