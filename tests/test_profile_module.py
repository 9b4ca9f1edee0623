"""Models of snnTorch and norse, and NIR files, profiled without rewriting them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from spikesim.cli import app, register
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.profile import profile_module

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")
nn = torch.nn
register()


class Tutorial(nn.Module):  # type: ignore[misc,name-defined]
    """As snnTorch's tutorials write it: explicit states, a loop over time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.lif1 = nn.Linear(12, 16), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(16, 4), snn.Leaky(beta=0.8)

    def forward(self, x: Any) -> Any:
        mem1, mem2, out = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(4.0 * x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(4.0 * spk1), mem2)
            out.append(spk2)
        return torch.stack(out)


def sample(steps: int = 30, samples: int = 3) -> Any:
    return (torch.rand(steps, samples, 12, generator=torch.Generator().manual_seed(1)) < 0.4).float()


def test_the_spikes_counted_are_the_modules_own() -> None:
    module, x = Tutorial(), sample()
    with torch.no_grad():
        out = module(x)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    found = profile_module(module, x, "loihi1")
    layers = {layer.name: layer for layer in found.layers}
    assert layers["lif2"].spikes.mean == pytest.approx(float(out.sum()) / 3) and out.sum() > 0
    assert layers["input"].spikes.mean == float((x > 0).sum()) / 3
    assert {p.name: p.operation for p in found.projections} == {"input->lif1": "AC", "lif1->lif2": "AC"}
    assert found.projections[0].events.mean == pytest.approx(16 * float(x.sum()) / 3)
    assert found.origin.backend == "the torch module Tutorial" and found.origin.arithmetic == "float32"
    assert found.bills["loihi1"].total is not None and found.traffic["loihi1"][0].exact
    assert found.neurobench()["ParameterCount"] == 12 * 16 + 16 + 16 * 4 + 4
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items() if k in before)


def test_real_values_are_multiplied() -> None:
    found = profile_module(Tutorial(), sample() * 0.7, [])
    assert [p.operation for p in found.projections] == ["MAC", "AC"]
    assert found.neurobench()["SynapticOperations"]["Effective_MACs"] == found.projections[0].events.mean


def test_norse() -> None:
    norse = pytest.importorskip("norse.torch")
    torch.manual_seed(0)
    module = norse.SequentialState(nn.Linear(12, 16), norse.LIFBoxCell(), nn.Linear(16, 4), norse.LIFBoxCell())
    with torch.no_grad():
        for layer in (module[0], module[2]):
            layer.weight.mul_(60)
    found = profile_module(module, sample(), [], per_step=True)
    assert found.layers[-1].spikes.mean > 0 and found.dt_s == 1e-3
    assert found.neurobench()["MembraneUpdates"] is None


def test_a_module_of_one_step_needs_to_be_told() -> None:
    module = nn.Sequential(nn.Linear(12, 4), snn.Leaky(beta=0.9, init_hidden=True))
    with pytest.raises(InvalidValueError, match=r"Sequential does one step in a call; pass per_step=True"):
        profile_module(module, sample()[0], [])
    assert profile_module(module, sample(), [], per_step=True).steps == 30


def test_what_cannot_be_read_is_named() -> None:
    module = nn.Sequential(nn.Linear(12, 4), nn.LSTM(4, 4))
    with pytest.raises(UnsupportedError, match="no neuron in it"):
        profile_module(module, sample(), [])
    with pytest.raises(InvalidValueError, match=r"takes a torch\.nn\.Module, found str"):
        profile_module("module", sample(), [])


def test_a_nir_file_and_data(tmp_path: Path) -> None:
    """A file of other tools on arrays or on NIRData: the command line profiles it as it is."""
    nir = pytest.importorskip("nir")
    rng = np.random.default_rng(0)
    lif = nir.LIF(tau=np.full(5, 0.01), r=np.full(5, 10.0), v_leak=np.zeros(5), v_threshold=np.ones(5))
    graph = nir.NIRGraph.from_list(nir.Affine(weight=rng.normal(0.5, 0.5, (5, 7)), bias=np.zeros(5)), lif)
    nir.write(str(tmp_path / "model.nir"), graph)
    np.save(tmp_path / "x.npy", (rng.random((40, 2, 7)) < 0.3).astype(np.uint8))
    words = ["profile", str(tmp_path / "model.nir"), "--dt", "1ms", "--device", "loihi1", "--backend", "torch"]
    result = CliRunner().invoke(app, [*words, "--data-file", str(tmp_path / "x.npy"), "--json"])
    assert result.exit_code == 0, result.output
    simulated = json.loads(result.stdout)
    assert simulated["layers"][1]["spikes"]["mean"] > 0

    x = np.load(tmp_path / "x.npy")
    grid = {"input": nir.NIRNodeData({"spikes": nir.TimeGriddedData(x.swapaxes(0, 1).astype(bool), 1e-3)})}
    nir.write_data(str(tmp_path / "x.nirdata"), nir.NIRGraphData(grid))
    result = CliRunner().invoke(app, [*words, "--data-file", str(tmp_path / "x.nirdata"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == simulated
