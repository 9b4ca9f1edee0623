"""NIR files of snnTorch and norse: their spikes, read by us, and ours, read by them."""

import numpy as np
import pytest

import spikesim
from spikesim import Input, sequential
from spikesim.convert import from_nir, write_nir
from spikesim.convert.verify import random_inputs
from spikesim.layers import dense
from spikesim.models.neurons import leaky

MS = 1e-3


@pytest.fixture(scope="module", autouse=True)
def nir(request):
    return request.getfixturevalue("require")("nir")


def layered(*neurons, n_in=20, seed=1, scale=0.4):
    """A dense network of 12 neurons per layer; weights are the same for the same seed."""
    rng = np.random.default_rng(seed)
    parts, n = [Input("in", n_in)], n_in
    for each in neurons:
        parts += [dense(12, rng.normal(0.05, scale, (12, n))), each]
        n = 12
    return sequential(*parts, seed=seed)


def snntorch_spikes(module, x):
    import torch
    from snntorch import utils

    utils.reset(module)
    with torch.no_grad():
        steps = [module(torch.tensor(row, dtype=torch.float32)) for row in x]
    return np.stack([np.asarray(s[0] if isinstance(s, tuple) else s) for s in steps]) > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("kind", ["leaky", "heterogeneous", "synaptic"])
def test_a_snntorch_file_gives_snntorch_s_spikes(require, tmp_path, nir, kind):
    torch, snn = require("torch"), require("snntorch")
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(0)

    def made(n):
        # from a neuron that forgets at once, whose tau is one step, to one that does not leak, whose tau is infinite
        beta = torch.linspace(0.0, 1.0, n) if kind == "heterogeneous" else torch.full((n,), 0.9)
        common = {"threshold": torch.ones(n), "reset_mechanism": "zero", "init_hidden": True, "reset_delay": False}
        return (
            snn.Synaptic(alpha=torch.full((n,), 0.8), beta=beta, **common)
            if kind == "synaptic"
            else snn.Leaky(beta=beta, **common)
        )

    module = torch.nn.Sequential(torch.nn.Linear(20, 30), made(30), torch.nn.Linear(30, 10), made(10))
    with torch.no_grad():
        module[0].weight.mul_(4.0)
        module[2].weight.mul_(4.0)
    graph = export_to_nir(module, torch.zeros(20))
    nir.write(str(tmp_path / "snn.nir"), graph)
    network, report = from_nir(tmp_path / "snn.nir", dt=MS)
    assert any("snnTorch" in w for w in report.warnings)
    assert network.dt == MS
    x = np.random.default_rng(0).random((400, 20)) < 0.3
    got = spikesim.run(network, inputs={"input": x.astype(np.uint8)})
    last = [p.name for p in network.populations][-1]
    expected = snntorch_spikes(module, x)
    assert expected.sum() > 100
    assert np.array_equal(got[last].dense()[:, 0], expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("all_to_all", [True, False])
def test_a_recurrent_snntorch_file_which_snntorch_cannot_read_back(require, all_to_all):
    torch, snn = require("torch"), require("snntorch")
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(0)
    weights = {"linear_features": 15} if all_to_all else {"all_to_all": False, "V": 0.5 * torch.randn(15)}
    common = {"threshold": torch.ones(15), "reset_mechanism": "zero", "init_hidden": True, "reset_delay": False}
    layer = snn.RLeaky(beta=torch.full((15,), 0.9), **weights, **common)
    module = torch.nn.Sequential(torch.nn.Linear(20, 15), layer)
    with torch.no_grad():
        module[0].weight.mul_(3.0)
    network, report = from_nir(export_to_nir(module, torch.zeros(20)), dt=1e-4)
    assert any("one step" in n for n in report.notes)
    x = np.random.default_rng(0).random((300, 20)) < 0.3
    got = spikesim.run(network, inputs={"input": x.astype(np.uint8)})
    expected = snntorch_spikes(module, x)
    assert expected.sum() > 100
    assert np.array_equal(got[network.populations[-1].name].dense()[:, 0], expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_snntorch_reads_our_file_with_identical_spikes(require, tmp_path, nir, capsys):
    require("torch"), require("snntorch"), require("nirtorch")
    from snntorch.import_nir import import_from_nir

    network = layered(
        leaky(reset="to", timing="same", beta=0.9), leaky(reset="to", timing="same", beta=0.75, bias=0.05)
    )
    write_nir(network, tmp_path / "x.nir", euler_dt=1e-4)
    module = import_from_nir(nir.read(tmp_path / "x.nir"))
    inputs = random_inputs(network, 400)
    got, state = [], None
    import torch

    with torch.no_grad():
        for row in inputs["in"][:, 0]:
            out, state = module(torch.tensor(row, dtype=torch.float32), state)
            got.append(np.asarray(out) > 0)
    expected = spikesim.run(network, inputs=inputs)["layer2"].dense()[:, 0]
    assert expected.sum() > 100
    assert np.array_equal(np.stack(got), expected)


# ---------------------------------------------------------------------------------------------------------- norse
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["box", "current"])
def test_a_norse_file_is_repaired(require, tmp_path, nir, kind):
    torch, norse = require("torch"), require("norse.torch")
    from norse.torch.utils.export_nir import to_nir as norse_to_nir

    torch.manual_seed(0)
    n = 30
    vector = lambda value: torch.full((n,), value)  # noqa: E731
    common = {"tau_mem_inv": vector(100.0), "v_th": vector(0.5), "v_leak": vector(0.0)}
    if kind == "box":
        cell = norse.LIFBoxCell(norse.LIFBoxParameters(**common))
    else:
        cell = norse.LIFCell(norse.LIFParameters(tau_syn_inv=vector(200.0), v_reset=vector(0.0), **common))
    linear = torch.nn.Linear(20, n, bias=False)
    with torch.no_grad():
        linear.weight.mul_(20.0 if kind == "box" else 6.0)
    graph = norse_to_nir(norse.SequentialState(linear, cell), torch.zeros(20))
    nir.write(str(tmp_path / "n.nir"), graph)
    network, report = from_nir(tmp_path / "n.nir", dt=MS)
    assert any("norse" in w for w in report.warnings)
    x = np.random.default_rng(0).random((300, 20)) < 0.3
    got = spikesim.run(network, inputs={"input": x.astype(np.uint8)})
    state, expected = None, []
    with torch.no_grad():
        for row in x:
            out, state = cell(linear(torch.tensor(row, dtype=torch.float32)), state)
            expected.append(out.numpy() > 0)
    assert np.sum(expected) > 100
    assert np.array_equal(next(iter(got.spikes.values())).dense()[:, 0], np.stack(expected))


def test_an_integrator_with_r_of_1_is_read_as_others_mean_it(nir):
    graph = nir.NIRGraph.from_list(nir.Linear(weight=np.eye(3)), nir.IF(r=np.ones(3), v_threshold=np.ones(3)))
    network, report = from_nir(graph, dt=MS)
    assert "r = 1" in report.warnings[0]
    assert network.projections[0].rule.weights[0, 0] == 1.0
    literal, report = from_nir(graph, dt=MS, repair=False)
    assert not report.warnings
    assert literal.projections[0].rule.weights[0, 0] == MS
