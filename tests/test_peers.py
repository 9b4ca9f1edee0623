"""Small networks spike for spike: rasters of NEST and Brian2 as stored, snnTorch and norse beside us."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from spikesim.engine import run
from spikesim.network import Network, Population, Projection
from spikesim.stimulus import Source

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


def together(networks: dict[str, Network]) -> Network:
    """Put networks side by side into one, so that one kernel is compiled for all."""

    def named(label: str, part: Any) -> Any:
        ends = {k: f"{label} {getattr(part, k)}" for k in ("name", "pre", "post") if hasattr(part, k)}
        return replace(part, **ends) if isinstance(part, Projection | Source) else _population(part, ends["name"])

    parts = {
        kind: [named(label, part) for label, net in networks.items() for part in getattr(net, kind)]
        for kind in ("populations", "projections", "stimuli")
    }
    return Network(**parts, dt=next(iter(networks.values())).dt)


def _population(p: Population, name: str) -> Population:
    return Population(name, p.shape, p.neuron)


def test_there_are_golden_rasters() -> None:
    assert len(GOLDEN) >= 8


@pytest.fixture(scope="module")
def simulated() -> Any:
    """Return the rasters of all golden networks, run side by side."""
    small = script("small_networks")
    cases = {path.stem: small.Case.load(path) for path in GOLDEN}
    recording = run(together({k: small.network(c) for k, c in cases.items()}), steps=small.STEPS, threads=1)
    return {k: recording[f"{k} cells"] for k in cases}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_networks_fire_as_in_nest_and_brian2(path: Path, simulated: Any) -> None:
    ours = np.stack([simulated[path.stem].step, simulated[path.stem].neuron], axis=1)
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


DIFFERENT = "snntorch Leaky, reset subtract, same step"
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


@pytest.fixture(scope="module")
def layers(require: Any) -> Any:
    """Return the rasters of all layered networks, run side by side."""
    require("torch")
    module = script("torch_networks")
    cases = module.cases()
    names = [*LAYERED, DIFFERENT]
    net = together({name: cases[name][2]() for name in names})
    recording = run(net, inputs={f"{name} in": module.spikes_in() for name in names}, threads=1)
    found: dict[str, list[Any]] = {name: [] for name in names}
    for population in net.populations:
        found[population.name.rpartition(" ")[0]].append(recording[population.name].dense())
    return found


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.filterwarnings("ignore")  # of the peers
def test_layers_fire_as_in_snntorch_and_norse(name: str, require: Any, layers: Any) -> None:
    require(name.split()[0])
    _, theirs, _, reason = script("torch_networks").cases()[name]
    assert not reason
    for a, b in zip(theirs(), layers[name], strict=True):
        assert a.sum() > 500 and np.array_equal(a, b)


@pytest.mark.filterwarnings("ignore")
def test_a_membrane_above_two_thresholds_is_where_snntorch_differs(require: Any, layers: Any) -> None:
    require("snntorch")
    _, theirs, _, reason = script("torch_networks").cases()[DIFFERENT]
    assert "second time" in reason
    a, b = theirs()[0], layers[DIFFERENT][0]
    assert 0 < (a != b).sum() < 0.2 * a.sum()


# ---------------------------------------------------------------- encoders


def test_delta_and_latency_are_snntorchs(require):
    theirs = require("snntorch.spikegen")
    import torch

    from spikesim import encode

    signal = np.cumsum(np.random.default_rng(0).normal(size=(30, 4, 5)), axis=0)
    on, off = np.moveaxis(encode.delta(np.moveaxis(signal, 0, 1), threshold=0.8, compare="previous"), 2, 0)
    expected = theirs.delta(torch.as_tensor(signal), threshold=0.8, padding=True, off_spike=True)
    assert np.array_equal(on.astype(float) - off, expected.numpy()) and on.any() and off.any()
    x = np.linspace(0.02, 1, 60).reshape(6, 10)
    expected = theirs.latency(torch.as_tensor(x), num_steps=23, normalize=True, linear=True)
    assert np.array_equal(encode.latency(x, 23), expected.numpy() > 0)
