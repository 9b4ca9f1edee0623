"""Small networks spike for spike: rasters of NEST and Brian2 as stored, snnTorch and norse beside us."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.npz"))


def script(name: str) -> ModuleType:
    """Import a file of ``benchmarks/``, which is no package."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_golden_rasters() -> None:
    assert len(GOLDEN) >= 8


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_networks_fire_as_in_nest_and_brian2(path: Path) -> None:
    small = script("small_networks")
    case = small.Case.load(path)
    ours = small.simulate(case)
    with np.load(path) as file:
        made = json.loads(str(file["made"]))
        theirs = {k: file[k] for k in file.files if k.startswith("spikes_")}
    assert theirs and made["versions"].keys() == {k.removeprefix("spikes_") for k in theirs}
    for name, spikes in theirs.items():
        assert len(spikes) > 500, name
        assert np.array_equal(ours, spikes), f"{name} {made['versions']}"


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_golden_networks_are_those_of_the_script(path: Path) -> None:
    small = script("small_networks")
    assert small.Case.load(path).plain() == small.CASES[path.stem]().plain()


def test_weights_need_no_rounding() -> None:
    from spikesim.lowering import lower

    small = script("small_networks")
    for make in small.CASES.values():
        exactness = lower(small.network(make())).exactness.values()
        assert all(e.max_change == 0.0 and e.exact for e in exactness)


LAYERED = [
    "snntorch Leaky, reset subtract, next step",
    "snntorch Leaky, reset zero, next step",
    "snntorch Leaky, reset zero, same step",
    "snntorch Synaptic, reset zero, same step",
    "snntorch Leaky, reset subtract, same step (written as a user's neuron)",
    "snntorch RLeaky, recurrent",
    "norse LIFBox, reset_value",
    "norse LIFBox, reset_subtract",
    "norse LIF",
    "norse LIF, recurrent",
]


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.filterwarnings("ignore")  # of the peers
def test_layers_fire_as_in_snntorch_and_norse(name: str, require: Any) -> None:
    require("torch")
    require(name.split()[0])
    layers = script("torch_networks")
    _, theirs, ours, reason = layers.cases()[name]
    assert not reason
    for a, b in zip(theirs(), layers.simulate(ours()), strict=True):
        assert a.sum() > 500 and np.array_equal(a, b)


@pytest.mark.filterwarnings("ignore")
def test_a_membrane_above_two_thresholds_is_where_snntorch_differs(require: Any) -> None:
    require("torch")
    require("snntorch")
    layers = script("torch_networks")
    _, theirs, ours, reason = layers.cases()["snntorch Leaky, reset subtract, same step"]
    assert "second time" in reason
    a, b = theirs()[0], layers.simulate(ours())[0]
    assert 0 < (a != b).sum() < 0.2 * a.sum()
