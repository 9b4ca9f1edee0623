"""NeuroBench's metrics: ours against its own, as stored and, where it is installed, as it counts now."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from spikesim import Probe, run
from spikesim.convert import from_torch
from spikesim.profile import Profile, profile, profile_module

torch = pytest.importorskip("torch")
pytest.importorskip("snntorch")

ROOT = Path(__file__).resolve().parents[1]
STORED = json.loads((ROOT / "tests" / "golden" / "neurobench.json").read_text("utf-8"))["results"]


def script(name: str) -> ModuleType:
    """Import a file of ``benchmarks/oracles``, which is no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / "oracles" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(name="cases", scope="module")
def _cases() -> dict[str, Any]:
    return script("neurobench_models").cases()  # type: ignore[no-any-return]


def same(ours: Profile, theirs: dict[str, Any], also: tuple[str, ...] = ()) -> None:
    found = ours.neurobench()
    assert found["SynapticOperations"] == pytest.approx(theirs["SynapticOperations"], rel=1e-12)
    assert found["ActivationSparsity"] == pytest.approx(theirs["ActivationSparsity"], rel=1e-12)
    assert found["ConnectionSparsity"] == theirs["ConnectionSparsity"]
    for name in also:
        assert found[name] == theirs[name], name


@pytest.mark.parametrize("name", STORED)
def test_a_module_profiled_as_it_is(cases: dict[str, Any], name: str) -> None:
    module, data = cases[name]
    ours = profile_module(module, data.transpose(0, 1), [], per_step=True)
    same(ours, STORED[name], ("Footprint", "ParameterCount", "MembraneUpdates"))
    assert not [n for n in ours.neurobench_metrics.notes if "left out" in n]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", STORED)
def test_the_network_read_from_it_and_run_here(cases: dict[str, Any], name: str) -> None:
    """Our own simulation of the converted network, with its membranes recorded."""
    module, data = cases[name]
    sample = data.transpose(0, 1)
    network, _ = from_torch(module, sample, per_step=True)
    network = network.with_(probes=[Probe(p.name, ("v",)) for p in network.populations])
    inputs = {"input": sample.numpy().astype(np.float64)}
    recording = run(network, inputs=inputs, backend="torch", dtype="float32")
    ours = profile(recording, network, [], inputs=inputs)
    same(ours, STORED[name])
    assert ours.neurobench()["MembraneUpdates"] is not None
    if name != "bipolar":  # without the data an input of real values is one of values: MAC
        alone = profile(recording, network, []).neurobench()
        assert alone["SynapticOperations"] == pytest.approx(STORED[name]["SynapticOperations"], rel=1e-12)


def test_what_neurobench_counts_now(cases: dict[str, Any]) -> None:
    pytest.importorskip("neurobench", reason="needs the package neurobench; its stored numbers are compared above")
    golden = script("neurobench_golden")
    for name, (module, data) in cases.items():
        found = golden.measure(module, data)
        assert found.pop("SynapticOperations") == pytest.approx(STORED[name]["SynapticOperations"]), name
        assert found == pytest.approx({k: v for k, v in STORED[name].items() if k != "SynapticOperations"}), name
