"""Networks as modules of snnTorch and norse: the packages' own neurons give the network's spikes, and lead back."""

import numpy as np
import pytest

from spikesim import Input, Network, Population, Projection, sequential
from spikesim.connect import Dense, FixedProbability, OneToOne
from spikesim.convert import compare_spikes, from_nir, from_torch, to_nir, to_norse, to_snntorch
from spikesim.distributions import Normal, Uniform
from spikesim.errors import UnsupportedError
from spikesim.layers import conv2d, dense, pool
from spikesim.models.neurons import (
    cuba_lif,
    integrate_and_fire,
    izhikevich,
    leaky,
    li,
    lif,
    lif_euler,
    lif_soft,
    synaptic,
)

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")
norse = pytest.importorskip("norse.torch")
MS = 1e-3
WRITERS = {"snntorch": to_snntorch, "norse": to_norse}


def dyadic(*shape, scale=0.5, seed=0, mean=0.1):
    """Weights that a few bits hold."""
    return np.round(np.random.default_rng(seed).normal(mean, scale, shape) * 256) / 256


def layered(*neurons, n=16, scale=1.0):
    parts, before = [Input("in", 20)], 20
    for k, each in enumerate(neurons):
        parts += [dense(n, dyadic(n, before, seed=k) * scale), each]
        before = n
    return sequential(*parts)


EXACT = {
    "leaky": ([leaky(beta=0.9, bias=0.25), leaky(beta=Uniform(0.5, 0.9), v_th=1.5)], {"snntorch", "norse"}),
    "leaky to": ([leaky(reset="to"), leaky(reset="to", timing="same")], {"snntorch", "norse"}),
    "leaky none": ([leaky(reset="none", beta=0.5), leaky(beta=0.9)], {"snntorch", "norse"}),
    "leaky again": ([leaky(timing="again"), leaky(timing="again", v_th=0.5)], {"snntorch"}),
    "leaky pause": ([leaky(timing="pause", reset="to"), leaky(timing="same", q=1 / 0.9)], {"snntorch"}),
    "quantum": ([leaky(timing="same", q=0.75), leaky(timing="next", q=0.75)], {"norse"}),
    "reset level": ([leaky(reset="to", v_reset=-0.25), lif(e_l=-0.1, v_reset=-0.2, init={"v": -0.1})], {"norse"}),
    "lif": (
        [lif(tau_m=10 * MS), lif(tau_m=5 * MS, e_l=-0.25, v_reset=-0.25, init={"v": -0.25})],
        {"snntorch", "norse"},
    ),
    "if": ([integrate_and_fire(), leaky(beta=0.5)], {"snntorch", "norse"}),
    "soft": ([lif_soft("figure"), integrate_and_fire(reset="subtract", timing="next")], {"snntorch"}),
    "cuba": ([cuba_lif(), cuba_lif(du=0.5, dv=0.25)], {"snntorch", "norse"}),
    "synaptic": ([synaptic(), synaptic(reset="to", timing="pause", bias=0.0625)], {"snntorch"}),
    "synaptic hard": ([synaptic(reset="to", timing="same", bias=0.125)], {"snntorch", "norse"}),
    "euler": ([lif_euler(h=0.25, e_l=0.25, v_reset=0.25, bias=0.125, init={"v": 0.25})], {"snntorch", "norse"}),
    "euler soft": ([lif_euler(reset="subtract", h=Uniform(0.1, 0.3))], {"norse"}),
    "euler current": ([lif_euler(current="exp"), lif_euler(current="exp", bias=0.5)], {"snntorch", "norse"}),
}


@pytest.mark.parametrize("package", WRITERS)
@pytest.mark.parametrize("name", EXACT)
def test_exact_or_refused(name, package):
    neurons, fits = EXACT[name]
    network = layered(*neurons, scale=4.0 if "euler" in name else 1.0)
    if package not in fits:
        try:
            assert WRITERS[package](network)[1].status == "approximated"
        except UnsupportedError as refusal:
            assert "layer" in str(refusal)
        return
    module, report = WRITERS[package](network, dtype="float64" if name == "lif" else "float32", verify=True)
    assert report.status == "exact", str(report)
    assert report.verification.before > 100 and report.verification.differing == 0, str(report)
    x = (torch.rand(100, 2, 20, generator=torch.Generator().manual_seed(0)) < 0.3).to(next(module.parameters()).dtype)
    back, found = from_torch(module, x, per_step=True, verify=True)
    assert found.verification.differing == 0 and len(back.populations) == len(neurons)


@pytest.mark.parametrize("package", WRITERS)
def test_norses_and_snntorchs_own_networks_come_back_equal(package):
    cells = {
        "snntorch": [leaky(beta=0.75), synaptic(alpha=0.5, beta=0.75, bias=0.5)],
        "norse": [lif_euler(h=0.25), lif_euler(current="exp", h=0.125, h_s=0.25, bias=0.5)],
    }[package]
    network = layered(*cells)
    back, _ = from_torch(WRITERS[package](network)[0], torch.zeros(1, 20), graded=False)
    for ours, theirs in zip(network.populations, back.populations, strict=True):
        assert ours.model == theirs.model
        assert all(ours.neuron.value(name) == theirs.neuron.value(name) for name in ours.model.params)
    assert [p.rule for p in back.projections] == [p.rule for p in network.projections]


@pytest.mark.parametrize("package", WRITERS)
def test_images(package):
    network = sequential(
        Input("in", (1, 8, 8)), conv2d(4, 3, weights=dyadic(4, 1, 3, 3), padding=1), leaky(reset="to", bias=0.125),
        pool(2, kind="sum"), dense((2, 3, 3), dyadic(18, 64)), leaky(beta=np.linspace(0.5, 0.9, 18), reset="to"),
        pool(3), dense(5, dyadic(5, 2)), li(beta=0.9),
    )  # fmt: skip
    module, report = WRITERS[package](network, verify=True)
    assert isinstance(module, norse.SequentialState if package == "norse" else torch.nn.Sequential)
    assert report.verification.differing == 0 and report.verification.before > 100
    assert module(torch.zeros(2, 1, 8, 8))[0].shape == (2, 5)


@pytest.mark.parametrize("cell", [lif_euler(h=np.linspace(0.1, 0.4, 16)), synaptic(reset="to", timing="same")])
def test_what_was_read_goes_on_to_nir(cell, require):
    require("nir")
    graph, report = to_nir(layered(cell, scale=2.0))
    plain, _ = from_nir(graph, dt=MS, metadata=False, repair=False)
    found = compare_spikes(layered(cell, scale=2.0), plain, backend="torch")
    assert report.status == "exact" and found.before > 100 and found.differing == 0


def wired():
    """Two inputs, a loop, delays, random connections."""
    w = dyadic
    return Network(
        [Population("a", 12, leaky(reset="to", timing="same", bias=0.0625)), Population("b.1", 10, leaky(reset="to"))],
        [
            Projection("x", "a", Dense(w(12, 6))), Projection("y", "b.1", Dense(w(10, 4, seed=1)), delay=2 * MS),
            Projection("a", "b.1", Dense(w(10, 12, seed=2))),
            Projection("b.1", "a", Dense(w(12, 10, seed=3)), delay=MS),
            Projection("a", "a", FixedProbability(0.5), weight=-0.25, delay=3 * MS, name="loop"),
        ],
        [Input("x", 6), Input("y", 4)],
    )  # fmt: skip


@pytest.mark.parametrize("package", WRITERS)
def test_any_wiring(package):
    module, report = WRITERS[package](wired(), verify=True)
    assert report.status == "exact"
    assert report.verification.differing == 0 and report.verification.before > 200
    out, state = module({"x": torch.ones(3, 6), "y": torch.zeros(3, 4)})
    assert out["a"].shape == (3, 12) if isinstance(out, dict) else out.shape == (3, 10)
    assert len(state) == 2


def test_loops_become_snntorchs_recurrent_neurons():
    for cell, kind in ((leaky(), snn.RLeaky), (synaptic(), snn.RSynaptic)):
        network = layered(cell).add(Projection("layer1", "layer1", Dense(dyadic(16, 16, mean=-0.1)), delay=MS))
        module, report = to_snntorch(network, verify=True)
        assert type(module[-1]) is kind and report.verification.differing == 0
        one = layered(cell).add(Projection("layer1", "layer1", OneToOne(), weight=-0.5, delay=MS))
        module, report = to_snntorch(one, verify=True)
        assert not module[-1].all_to_all and report.verification.differing == 0


def test_a_hard_reset_with_a_loop_keeps_its_meaning():
    # RLeaky with "zero" and a delay would lose the input of the step after a spike
    loop = Projection("layer1", "layer1", Dense(dyadic(16, 16, mean=-0.1)), delay=MS)
    for cell in (leaky(reset="to"), leaky(reset="to", timing="same"), synaptic(reset="to", timing="same")):
        _, report = to_snntorch(layered(cell).add(loop), verify=True)
        assert report.verification.differing == 0


LOST = {
    "quantum": (leaky(q=0.5), to_snntorch, "another quantum"),
    "refractory": (lif(t_ref=3 * MS), to_norse, "refractory"),
    "threshold": (lif(threshold=">="), to_snntorch, "exactly at its threshold"),
    "initial": (leaky(init={"v": 0.5}), to_snntorch, "initial state"),
    "pause": (leaky(reset="to", timing="pause"), to_norse, "not lost"),
    "bias": (cuba_lif(bias=0.5), to_snntorch, "acts on the membrane"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_is_lost_is_refused_or_reported(name):
    cell, writer, sentence = LOST[name]
    with pytest.raises(UnsupportedError, match=sentence):
        writer(layered(cell))
    module, report = writer(layered(cell), on_lossy="write", verify=True)
    assert report.status == "impossible" and sentence in report.lost[0]
    assert report.verification.differing > 0 and isinstance(module, torch.nn.Module)


def test_what_differs_a_little_is_measured():
    _, report = to_snntorch(layered(leaky(timing="same")), verify=True)
    assert report.status == "approximated"
    assert 0 < report.verification.differing < report.verification.before


def test_what_has_no_counterpart_is_refused_in_one_go():
    network = layered(izhikevich(), leaky()).add(
        Projection(
            "layer1", "layer2", FixedProbability(0.5), weight=Normal(0, 1), delay=Uniform(MS, 9 * MS), name="late"
        )
    )
    with pytest.raises(UnsupportedError) as caught:
        to_norse(network, on_lossy="write")
    assert len(caught.value.problems) >= 2 and "izhikevich" in str(caught.value) and "late" in str(caught.value)
