"""Pruning networks: what is left runs, everything is sliced together, reports say what happened."""

import json

import numpy as np
import pytest
from scipy import sparse
from typer.testing import CliRunner

from spikesim import Current, Input, Network, PoissonDrive, Population, Probe, Projection, run
from spikesim.connect import Dense, FixedProbability, Sparse
from spikesim.distributions import Gamma, Normal, Uniform
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.neurons import leaky, li, lif
from spikesim.recording import same_spikes
from spikesim.sparsify import Synapses, cut, prune
from spikesim.sparsify.delocalise import delocalise, modes
from spikesim.sparsify.linear import linearise, with_noise
from spikesim.sparsify.lnp import lyapunov_weights, neuron_exponents
from spikesim.sparsify.surgery import synapses_of
from spikesim.sparsify.timescales import gamma_like, tune

MS = 1e-3


def recurrent(n=40, seed=0, scale=0.12, share=0.5):
    """Heterogeneous soft-reset neurons, a fifth of them inhibitory, an input and a read-out."""
    rng = np.random.default_rng(seed)
    w = (rng.random((n, n)) < share) * np.abs(rng.normal(scale, scale / 2, (n, n)))
    w[:, : n // 5] *= -4.0
    np.fill_diagonal(w, 0.0)
    tau = np.clip(rng.gamma(3.0, 7e-3, n), 3e-3, 0.1)
    return Network(
        [Population("r", n, lif(reset="subtract", tau_m=tau)), Population("out", 3, lif(reset="none"))],
        [
            Projection("in", "r", Dense(rng.uniform(-0.2, 0.2, (n, 2)))),
            Projection("r", "r", Sparse(sparse.csr_array(w)), delay=MS),
            Projection("r", "out", Dense(rng.normal(0.0, 0.1, (3, n)))),
        ],
        [Input("in", 2, graded=True)],
    )


# ------------------------------------------------------------------------------------------------------------- surgery
def everything():
    """Return a network in which everything may have one value per neuron or synapse."""
    rng = np.random.default_rng(0)
    return Network(
        [
            Population(
                "a", (2, 3), lif(tau_m=Uniform(5e-3, 3e-2), bias=np.arange(6) / 50, init={"v": Uniform(0.0, 0.9)})
            ),
            Population("b", 4, lif()),
        ],
        [
            Projection("a", "b", FixedProbability(0.7), weight=Normal(0.4, 0.1), delay=Uniform(1 * MS, 5 * MS)),
            Projection("b", "a", Dense(rng.normal(0.0, 0.3, (6, 4))), delay=MS),
            Projection("a", "a", FixedProbability(0.5), weight=0.2, delay=2 * MS),
        ],
        [
            PoissonDrive("p", "b", rate=np.arange(4.0)),
            Current("c", "a", times=np.zeros(1), values=rng.random((1, 6)) / 4),
        ],
        [Probe("a", ("v",), neurons=(1, 4, 5)), Probe("b", ("v",))],
    )


def test_neurons_that_do_nothing_can_go_without_a_trace():
    """Neurons without a way out change no spike of the others when they are cut out."""
    net = everything()
    silenced = {name: synapses_of_network(net, name) for name in ("a->b", "a->a")}
    silenced = {name: s.only(~np.isin(s.pre, [1, 4])) for name, s in silenced.items()}
    whole = cut(net.with_(stimuli=net.stimuli[1:]), {}, silenced)
    less = cut(whole, {"a": ~np.isin(np.arange(6), [1, 4])}, {})
    assert less.population("a").shape == (4,) and less.probes[0].neurons == (3,)
    before, after = run(whole, steps=200), run(less, steps=200)
    assert len(after["b"]) > 5
    np.testing.assert_array_equal(after["b"].dense(), before["b"].dense())
    np.testing.assert_array_equal(after["a"].dense(), before["a"].dense()[:, :, [0, 2, 3, 5]])
    np.testing.assert_array_equal(after.traces["a"]["v"].values[..., 0], before.traces["a"]["v"].values[..., 2])


def synapses_of_network(net, name):
    from spikesim.lowering import lower

    return synapses_of(next(e for e in lower(net, snap=False).edges if e.name == name))


def test_nothing_cut_is_nothing_changed():
    net = everything()
    same = cut(net, {}, {p.name: synapses_of_network(net, p.name) for p in net.projections})
    assert same_spikes(run(same, steps=150), run(net, steps=150)) and len(run(net, steps=150)["a"])


def test_drives_are_sliced_and_files_hold_the_result(tmp_path):
    less = cut(everything(), {"b": np.array([0, 1, 0, 1], bool)}, {})
    assert less["p"].rate.tolist() == [1.0, 3.0] and less["a->b"].rule.weights.shape == (2, 6)
    less.save(tmp_path / "less.h5")
    assert Network.load(tmp_path / "less.h5") == less
    with pytest.raises(InvalidValueError, match="would lose all"):
        cut(everything(), {"b": np.zeros(4, bool)}, {})


# --------------------------------------------------------------------------------------------------------------- steps
def test_the_linear_system_of_leaky_neurons():
    """Soft reset: a = alpha (1 - q g), b = 1; columns carry the gain of the source."""
    net = recurrent()
    model = linearise(net, ["r->r"])
    tau = net.population("r").neuron.params["tau_m"]
    np.testing.assert_allclose(model.decay, np.exp(-MS / tau) * (1.0 - model.gain), rtol=1e-9)
    w = net["r->r"].rule.weights.toarray()
    off = model.matrix().toarray() - np.diag((model.decay - 1.0) / MS)
    np.testing.assert_allclose(off, w * model.gain / MS, rtol=1e-9, atol=1e-9)
    assert 0.01 < model.rates.mean() < 0.2 and (model.gain > 0).all()


def test_the_linear_system_of_neurons_with_a_delayed_reset():
    """snnTorch's neuron: the reset is a second spike of the membrane before; gains are those of a plain fit to it."""
    rng = np.random.default_rng(0)
    w = rng.normal(0.0, 0.15, (20, 20))
    net = Network([Population("a", 20, leaky(beta=0.9))], [Projection("a", "a", Dense(w), delay=MS)], dt=MS)
    model = linearise(net, ["a->a"])
    v_and_s = run(with_noise(net, model.noise).with_(probes=(Probe("a", ("v",)),)), steps=400)
    v, s = v_and_s.traces["a"]["v"].values.squeeze(), v_and_s["a"].dense().squeeze()
    fit = [np.polyfit(v[:, k], s[:, k], 1)[0] for k in range(20)]
    np.testing.assert_allclose(model.gain, np.maximum(fit, 0.05 * np.mean(fit)), rtol=1e-6)
    a = 0.9 - model.gain
    np.testing.assert_allclose(model.decay, np.abs(a), rtol=1e-9)
    off = model.matrix().toarray() - np.diag((model.decay - 1.0) / MS)
    np.testing.assert_allclose(off, ((1 - np.abs(a)) / (1 - a))[:, None] * w * model.gain / MS, rtol=1e-6, atol=1e-6)


def test_lyapunov_weights_are_harmonic_means_over_both_neighbourhoods():
    net = recurrent(12, share=0.3)
    model = linearise(net, ["r->r"])
    exponents = -np.random.default_rng(0).uniform(10.0, 100.0, 12)
    found = lyapunov_weights(model, exponents)
    linked = (net["r->r"].rule.weights != 0).toarray()
    around = linked | linked.T
    for k in range(len(model.pre)):
        both = np.flatnonzero(around[model.pre[k]] | around[model.post[k]])
        size = np.abs(exponents[both]) + 1e-3 * np.abs(exponents).mean()
        assert found[k] == pytest.approx(len(both) / (1.0 / size).sum(), rel=1e-12)


def test_exponents_of_neurons_add_up():
    net = recurrent()
    model = linearise(net, ["r->r"])
    linear = neuron_exponents(net, model, "linear")
    assert linear.sum() == pytest.approx(np.trace(model.matrix().toarray()), rel=1e-9)
    alone = model.matrix(0.0 * model.weight)
    np.testing.assert_allclose(
        neuron_exponents(net, linearise(net, ["r->r"]).rewired({"r->r": empty()}), "linear"), alone.diagonal()
    )


def empty():
    nobody = np.zeros(0, np.int64)
    return Synapses(nobody, nobody, np.zeros(0), nobody)


def test_added_edges_spread_modes():
    rng = np.random.default_rng(3)
    n = 80
    w = (rng.random((n, n)) < 0.05) * rng.normal(0.0, 0.25, (n, n))
    w[:5, :5] += 0.3
    a = sparse.csr_array(w - np.eye(n))
    found = delocalise(a, 30, lambda source, target: 0.1)
    assert 0 < len(found.edges) <= 30 and found.ipr_after < found.ipr_before
    z, v = np.array(found.edges).T
    assert not w[v, z].any() and len(set(found.edges)) == len(found.edges)
    larger = a + sparse.coo_array((np.full(len(z), 0.1), (v, z)), shape=a.shape)
    assert modes(larger).rate <= modes(a).rate + 1e-9
    assert modes(larger).ipr.mean() == pytest.approx(found.ipr_after)
    assert modes(np.diag([-1.0, -2.0])).ipr.tolist() == [1.0, 1.0]


def test_the_search_finds_a_minimum(require):
    require("sklearn")
    tau = gamma_like(np.arange(200.0) + 1, 3.0, 20e-3)
    assert tau.mean() == pytest.approx(20e-3, rel=0.02) and (np.diff(tau) >= 0).all()
    best = tune(lambda k, m: (np.log(k / 8.0)) ** 2 + (100 * (m - 26e-3)) ** 2, tau, evaluations=20)
    assert best.shape == pytest.approx(8.0, rel=0.3) and best.mean == pytest.approx(26e-3, rel=0.1)
    assert best.value < 0.1 * best.start
    same = tune(lambda k, m: (100 * (m - 26e-3)) ** 2, np.full(50, 20e-3), evaluations=8)
    assert same.shape == pytest.approx(30.0) and same.mean == pytest.approx(26e-3, rel=0.1)


# --------------------------------------------------------------------------------------------------------------- prune
def test_lnp_removes_for_real_and_sees_no_data(require, tmp_path):
    require("sklearn")
    net = recurrent()
    found = prune(net, "lnp", seed=1, rounds=2)
    small, report = found.network, found.report
    assert small.population("r").n == 20 and small.population("out").n == 3 and found.kept["r"].sum() == 20
    assert (
        report.synapses[1] <= 0.15 * report.synapses[0] and len(small["r->r"].rule.weights.data) == report.synapses[1]
    )
    assert report.neurons == (43, 23) and len(report.rounds) == 2 and report.rate[1] < 0.0
    assert report.events[1] < report.events[0] and report.tuned.value <= report.tuned.start
    assert all(r.ipr is None or r.ipr[1] <= r.ipr[0] for r in report.rounds)
    x = np.random.default_rng(0).random((100, 2))
    assert run(small, inputs={"in": x}).steps == 100
    assert prune(net, "lnp", seed=1, rounds=2).network == small
    bills = report.energy("loihi1")
    assert 0.0 < bills[1].total.nominal_j < bills[0].total.nominal_j
    figure = report.plot()[0].figure
    assert figure is not None and "synaptic operations" in str(report)
    assert json.loads(json.dumps(report.to_dict()))["synapses"] == list(report.synapses)


@pytest.mark.parametrize("method", ["noise", "weight", "random", "magnitude", "activity", "sparse_init"])
def test_baselines_keep_exactly_the_share(method):
    net = recurrent()
    inputs = {"in": np.random.default_rng(0).random((60, 2))} if method == "activity" else None
    found = prune(net, method, keep=0.2, keep_neurons=0.75, inputs=inputs, seed=3)
    wanted = round(0.2 * found.report.synapses[0])
    assert found.network.population("r").n == 30
    assert found.report.synapses[1] <= wanted
    if method != "sparse_init":  # pairs drawn twice count once
        assert found.report.synapses[1] == wanted
    old, new = net["r->r"].rule.weights.toarray(), found.network["r->r"].rule.weights.toarray()
    kept = found.kept["r"]
    if method in ("magnitude", "activity"):
        there = new != 0
        np.testing.assert_allclose(new[there], old[np.ix_(kept, kept)][there] * found.report.rounds[0].scale)
    if method == "magnitude":
        assert np.abs(new[new != 0]).min() >= np.sort(np.abs(old[np.ix_(kept, kept)]).ravel())[-wanted] * 0.999
    signs = np.sign(new).sum(axis=0) * np.where(np.flatnonzero(kept) < 8, -1, 1)
    assert (signs >= 0).all()  # Dale: inhibitory neurons stay inhibitory


def test_the_largest_exponent_is_held():
    """Weights that 1 / p blew up are scaled down until the linear system is as stable as the margin asks."""
    net = recurrent(seed=1)
    report = prune(net, "lnp", steps=(1,), keep_neurons=1.0, rounds=2, seed=1).report
    margin = -0.05 * np.mean(-report.matrices[0].diagonal())
    assert any(r.scale < 1.0 for r in report.rounds)
    assert report.rate[1] < 0.0 and report.rate[1] <= max(report.rate[0], margin) + 0.05 * abs(margin)


def test_unusual_networks_get_clear_answers():
    rng = np.random.default_rng(0)
    forward = Network(
        [Population("hidden", 20, leaky(beta=0.9)), Population("out", 4, leaky(beta=0.9))],
        [
            Projection("in", "hidden", Dense(rng.normal(0.0, 0.5, (20, 6)))),
            Projection("hidden", "out", Dense(rng.normal(0.0, 0.5, (4, 20)))),
        ],
        [Input("in", 6)],
    )
    found = prune(forward, "noise", keep=0.3, keep_neurons=0.5)
    assert any("cycle" in note for note in found.report.notes)
    assert found.network.population("hidden").n == 10 and found.network.population("out").n == 4
    assert run(found.network, inputs={"in": rng.random((30, 6)) < 0.3}).steps == 30
    blocks = sparse.block_diag([np.full((5, 5), 0.05), np.full((5, 5), 0.05), np.zeros((2, 2))]).tocsr()
    apart = Network([Population("a", 12, lif(reset="subtract"))], [Projection("a", "a", Sparse(blocks), delay=MS)])
    assert any("2 connected parts and 2 neurons" in note for note in prune(apart, "noise", keep=0.5).report.notes)
    explosive = Dense(np.full((12, 12), 0.2))
    strong = Network([Population("a", 12, lif(reset="subtract"))], [Projection("a", "a", explosive, delay=MS)])
    assert any("12 neurons fire in more than every" in note for note in prune(strong, "noise", keep=0.5).report.notes)
    with pytest.raises(InvalidValueError, match="no synapses"):
        prune(Network([Population("a", 3, lif())]))
    with pytest.raises(InvalidValueError, match="does not fire"):
        prune(Network([Population("a", 3, li())], [Projection("a", "a", weight=0.1, delay=MS)]), "noise")


def test_what_is_wrong_is_said_at_once():
    with pytest.raises(InvalidValueError, match=r"keep must.*\n.*keep_neurons.*\n.*rounds.*\n.*steps"):
        prune(recurrent(), keep=0.0, keep_neurons=2.0, rounds=0, steps=(5,))
    with pytest.raises(UnknownNameError, match="noise"):
        prune(recurrent(), "nois")
    with pytest.raises(UnknownNameError, match="r->r"):
        prune(recurrent(), projections=["r-r"])
    with pytest.raises(InvalidValueError, match=r"granet.*samples with labels.*reservoir"):
        prune(recurrent(), "granet")
    with pytest.raises(InvalidValueError, match=r"noise does not.*leave them out"):
        prune(recurrent(), "noise", data=(np.zeros((2, 2)), np.zeros(2, int)))
    with pytest.raises(InvalidValueError, match="keep_neurons must be 1"):
        prune(recurrent(), "granet", keep_neurons=0.5, data=())


def test_granet_trains_the_given_network_while_it_is_pruned(require):
    """Exactly the share is left, of the chosen projection only, and learned; weights start from those given."""
    require("torch")
    from spikesim.train import evaluate

    rng = np.random.default_rng(0)
    net = Network(
        [Population("hidden", 24, leaky(beta=0.9)), Population("out", 2, leaky(beta=0.9))],
        [
            Projection("in", "hidden", Dense(rng.normal(0.0, 0.5, (24, 6)))),
            Projection("hidden", "out", Dense(rng.normal(0.0, 0.5, (2, 24)))),
        ],
        [Input("in", 6, graded=True)],
    )
    y = rng.integers(0, 2, 128)
    x = rng.random((128, 6)) * np.where(y[:, None] == np.arange(6) // 3, 1.0, 0.2)
    options = {"epochs": 4, "batch_size": 8, "learning_rate": 1e-2, "validation_fraction": 0.0}
    found = prune(net, "granet", keep=0.25, projections=["in->hidden"], data=(x, y), training=options)
    report = found.report
    assert report.synapses == (144, 36) and report.method == "granet" and report.neurons == (26, 26)
    assert found.network["in->hidden"].rule.weights.nnz == 36
    assert np.count_nonzero(found.network["hidden->out"].rule.weights) == 48
    assert evaluate(found.network, x, y).accuracy > 0.9 and "trained for 4 epochs" in str(report)
    still = prune(net, "granet", keep=0.25, data=(x, y), training={**options, "learning_rate": 1e-12}).network
    old, new = net["in->hidden"].rule.weights, still["in->hidden"].rule.weights.toarray()
    assert ((np.abs(new - old) < 1e-6) | (np.abs(new) < 1e-6)).all() and (np.abs(new) > 0.1).any()


def test_plastic_delayed_populations_of_a_published_kind():
    """Two populations, drawn weights and delays, plastic synapses, own noise: all survive pruning."""
    from spikesim.models.synapses import stdp_pair

    cell, rule = lif(reset="subtract", tau_m=Gamma(3.0, 7e-3)), stdp_pair(w_max=0.3)
    delay = Uniform(1 * MS, 8 * MS)
    net = Network(
        [Population("e", 30, cell), Population("i", 8, cell)],
        [
            Projection("e", "e", FixedProbability(0.5), Uniform(0.0, 0.2), delay, plasticity=rule),
            Projection("e", "i", FixedProbability(0.5), weight=0.2, delay=MS),
            Projection("i", "e", FixedProbability(0.5), weight=-0.4, delay=MS),
        ],
        [PoissonDrive("p", "e", rate=800.0, weight=0.2)],
    )
    found = prune(net, "noise", keep=0.4, keep_neurons=0.8)
    assert found.report.neurons == (38, 30) and "plastic" in " ".join(found.report.notes)
    assert found.network["e->e"].rule.weights.data.max() <= 0.3
    assert np.unique(found.network["e->e"].delay).size > 3 and found.network["e->e"].plasticity == rule


def test_a_network_from_snntorch_is_pruned_run_and_exported(require, tmp_path):
    torch, snn = require("torch"), require("snntorch")
    from spikesim.convert import from_torch, write_nir

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(8, 24), snn.Leaky(beta=0.8, init_hidden=True), torch.nn.Linear(24, 5),
        snn.Leaky(beta=0.8, init_hidden=True, output=True),
    )  # fmt: skip
    net = from_torch(model, torch.rand(1, 8))[0]
    found = prune(net, "noise", keep=0.25, keep_neurons=0.5)
    assert sum(p.n for p in found.network.populations) == 12 + 5
    name = next(s.name for s in found.network.stimuli)
    assert run(found.network, inputs={name: np.ones((20, 8))}).steps == 20
    write_nir(found.network, tmp_path / "small.nir")
    assert (tmp_path / "small.nir").stat().st_size > 0


def test_the_command(tmp_path):
    from spikesim.cli import app, register

    if not app.registered_commands:
        register()
    recurrent().save(tmp_path / "net.h5")
    out = tmp_path / "small.h5"
    call = ["prune", str(tmp_path / "net.h5"), "--method", "noise", "--keep", "0.2", "--keep-neurons", "0.5"]
    done = CliRunner().invoke(app, [*call, "--out", str(out), "--picture", str(tmp_path / "p.png")])
    assert done.exit_code == 0, done.output
    assert "neurons: 43 -> 23" in done.output and (tmp_path / "p.png").exists()
    assert Network.load(out).population("r").n == 20
    np.savez(tmp_path / "x.npz", **{"in": np.random.default_rng(0).random((60, 2))})
    call[3] = "activity"
    done = CliRunner().invoke(app, [*call, "--data", str(tmp_path / "x.npz"), "--out", str(out)])
    assert done.exit_code == 0 and Network.load(out).population("r").n == 20
    call[3] = "random"
    done = CliRunner().invoke(app, [*call, "--data", "digits"])
    assert done.exit_code != 0 and "random sees the network and noise" in str(done.exception)
