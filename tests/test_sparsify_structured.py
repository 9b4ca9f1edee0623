"""Neurons that are taken out for real, and cures of dormant ones."""

import numpy as np
import pytest

from spikesim import Input, Network, Population, Probe, Projection, run, sequential
from spikesim.connect import Conv2d, Dense
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.layers import dense
from spikesim.models.neurons import li, lif, lif_soft
from spikesim.sparsify import keep_most_active, remove_silent, remove_unread, unread

RANDOM = np.random.default_rng(1)


def recurrent():
    """Return 30 + 20 neurons, some of which never fire; per-neuron parameters, delays of their own, a probe."""
    bias = np.where(RANDOM.random(30) < 0.4, -9.0, 0.1)
    loop = RANDOM.normal(0, 0.2, (30, 30))
    return Network(
        [
            Population("a", 30, lif(bias=bias, tau_m=RANDOM.uniform(5e-3, 20e-3, 30))),
            Population("b", 20, lif(bias=np.where(np.arange(20) % 3, 0.0, -5.0))),
            Population("out", 3, li(beta=0.9)),
        ],
        [
            Projection("in", "a", Dense(RANDOM.uniform(0, 0.5, (30, 5)))),
            Projection("a", "a", Dense(loop), delay=RANDOM.integers(1, 4, 900) * 1e-3),
            Projection("a", "b", Dense(RANDOM.uniform(0, 0.4, (20, 30)))),
            Projection("b", "out", Dense(RANDOM.normal(size=(3, 20)))),
        ],
        [Input("in", 5, graded=True)],
        [Probe("a", ("v",), neurons=(2, 5, 11, 17)), Probe("out", ("v",))],
    )


def test_without_silent_neurons_all_others_do_exactly_the_same():
    net, inputs = recurrent(), {"in": RANDOM.uniform(0, 0.6, (40, 3, 5))}
    before = run(net, inputs=inputs)
    smaller = remove_silent(net, before)
    silent = before["a"].counts().sum(0) == 0
    assert 0 < silent.sum() < 30 and (smaller.kept["a"] == ~silent).all() and smaller.network["a"].n == (~silent).sum()
    assert smaller.neurons == (53, sum(p.n for p in smaller.network.populations)) and "neurons left" in str(smaller)
    after = run(smaller.network, inputs=inputs)
    for name in ("a", "b"):
        np.testing.assert_array_equal(after[name].dense(), before[name].dense()[..., smaller.kept[name]])
    (now, was) = (r.traces["out"]["v"].values for r in (after, before))
    np.testing.assert_array_equal(now, was)
    probed = [k for k in (2, 5, 11, 17) if smaller.kept["a"][k]]
    assert np.shape(after.traces["a"]["v"].values)[-1] == len(probed) < 4
    assert after.counts.synaptic_events < before.counts.synaptic_events  # their synapses to the silent ones are gone


def test_a_silent_population_keeps_one_neuron_and_readouts_stay():
    net = Network(
        [Population("a", 4, lif(bias=-1.0)), Population("out", 3, lif())], [Projection("a", "out", weight=1.0)]
    )
    smaller = remove_silent(net, run(net, steps=5))
    assert smaller.kept["a"].tolist() == [True, False, False, False] and smaller.kept["out"].all()


def test_neurons_that_nothing_reads():
    chain = np.zeros((4, 4))
    chain[1, 0] = chain[2, 1] = 1.0  # 0 -> 1 -> 2; 3 is alone
    net = Network(
        [Population("a", 4, lif(bias=2.0)), Population("b", 2, lif())],
        [Projection("a", "a", Dense(chain), delay=1e-3), Projection("a", "b", Dense([[0, 0, 1.0, 0], [0, 0, 0, 0]]))],
    )
    assert unread(net)["a"].tolist() == [False, False, False, True] and not unread(net)["b"].any()
    assert unread(net, ["a"])["b"].all()
    smaller = remove_unread(net)
    a, b = run(net, steps=20), run(smaller.network, steps=20)
    np.testing.assert_array_equal(a["b"].dense(), b["b"].dense())
    assert smaller.network["a"].n == 3
    with pytest.raises(UnknownNameError, match="population"):
        unread(net, ["c"])


def test_the_most_active_stay_and_images_are_cut_too():
    image = Network(
        [Population("c", (2, 3, 3), lif(bias=np.linspace(-2.0, 3.0, 18))), Population("out", 2, lif())],
        [Projection("in", "c", Conv2d(RANDOM.normal(size=(2, 1, 2, 2)))), Projection("c", "out", weight=0.2)],
        [Input("in", (1, 4, 4), graded=True)],
    )
    recording = run(image, inputs={"in": RANDOM.uniform(0, 1, (10, 1, 4, 4))})
    kept = keep_most_active(image, recording, 0.5)
    spikes = recording["c"].counts().sum(0)
    assert kept.kept["c"].sum() == 9 and spikes[kept.kept["c"]].min() >= spikes[~kept.kept["c"]].max()
    assert run(kept.network, inputs={"in": np.zeros((3, 1, 4, 4))}).steps == 3
    with pytest.raises(InvalidValueError, match="keep must be"):
        keep_most_active(image, recording, 0.0)


# ------------------------------------------------------------------------------------------------------------ cures
torch = pytest.importorskip("torch")

from spikesim.sparsify import Gradual, Homeostasis, Perturb, Redo, Watch  # noqa: E402
from spikesim.sparsify.cures import perturb  # noqa: E402
from spikesim.train import train  # noqa: E402

X = RANDOM.uniform(0, 1, (96, 8))
Y = (X[:, 0] > 0.5).astype(int)
SETTINGS = {"batch_size": 16, "steps": 4, "epochs": 4, "validation_fraction": 0.0, "learning_rate": 1e-3}


def half_dead():
    """Return a network of which the first 8 of 16 hidden neurons can never fire."""
    bias = np.where(np.arange(16) < 8, -60.0, 6.0)
    return sequential(Input("x", 8, graded=True), dense(16), lif_soft(bias=bias), dense(2), lif_soft(), seed=1)


def weights(net):
    return [p.rule.weights if isinstance(p.rule, Dense) else p.rule.weights.toarray() for p in net.projections]


def test_watching_finds_the_dormant_share_and_changes_no_bit():
    watched = train(half_dead(), (X, Y), cure=Watch(every=6), **SETTINGS)
    assert watched.network == train(half_dead(), (X, Y), **SETTINGS).network
    shares = watched.upkeep["cure"]["dormant"]
    assert len(shares) == 4 and all(0.5 <= s < 1.0 for s in shares)
    assert watched.upkeep["cure"]["per_layer"]["layer1"] == shares


def test_perturbing_mixes_with_fresh_weights():
    generator = np.random.default_rng(0)
    start = torch.tensor(RANDOM.normal(0.3, 2.0, 200_000))
    old = torch.tensor(RANDOM.normal(0.0, 1.0, 200_000))
    for a in (1.0, 0.4, 0.0):
        new = old.clone()
        perturb([new], [start], a, generator)
        assert float(new.var()) == pytest.approx(a**2 * float(old.var()) + (1 - a) ** 2 * float(start.var()), rel=0.02)
        assert float(new.mean()) == pytest.approx((1 - a) * 0.3, abs=0.03)
    perturb([same := old.clone()], [start], 1.0, generator)
    assert torch.equal(same, old)
    perturb([fresh := old.clone()], [start], 0.0, generator)
    assert bool(torch.isin(fresh, start).all())


def test_redo_touches_dormant_neurons_only():
    still = {**SETTINGS, "learning_rate": 1e-30, "epochs": 1}
    start = half_dead()
    (w_in, w_out), (new_in, new_out) = (
        weights(start),
        weights(train(start, (X, Y), cure=Redo(every=3), **still).network),
    )
    np.testing.assert_allclose(new_in[8:], w_in[8:], atol=1e-8)
    np.testing.assert_allclose(new_out[:, 8:], w_out[:, 8:], atol=1e-8)
    assert (new_out[:, :8] == 0).all() and (new_in[:8] != w_in[:8]).mean() > 0.9
    assert np.isin(np.round(new_in[:8], 6), np.round(w_in, 6)).all()  # drawn from the initial ones


def test_homeostasis_raises_the_bias_of_dormant_neurons_until_they_fire():
    bias = np.where(np.arange(16) < 8, -2.0, 0.2)
    net = sequential(Input("x", 8, graded=True), dense(16), lif_soft(bias=bias), dense(2), lif_soft(), seed=1)
    settings = {**SETTINGS, "learning_rate": 1e-30, "params": {"layer1": {"bias": "neuron"}}, "epochs": 6}
    cured = train(net, (X, Y), cure=Homeostasis(every=3, step=0.5), **settings)
    shares = cured.upkeep["cure"]["dormant"]
    assert shares[0] >= 0.5 and shares[-1] < 0.2
    with pytest.raises(InvalidValueError, match=r"params={'hidden'"):
        train(net, (X, Y), cure=Homeostasis(), **SETTINGS)


def test_cures_and_masks_go_together_and_end_with_the_same_bits(tmp_path):
    def learn(**more):
        return train(half_dead(), (X, Y), cure=Perturb(every=4), sparsity=Gradual(0.7), **SETTINGS, **more)

    def stop(epoch, epochs):
        if epoch.number == 2:
            raise RuntimeError("killed")

    whole = learn()
    assert sum(int((w != 0).sum()) for w in weights(whole.network)) == round(0.3 * 160)
    path = tmp_path / "run.ckpt.h5"
    with pytest.raises(RuntimeError, match="killed"):
        learn(checkpoint=path, progress=stop)
    resumed = learn(checkpoint=path, resume=True)
    assert resumed.network == whole.network and resumed.upkeep == whole.upkeep


def test_cures_of_what_has_no_populations():
    with pytest.raises(InvalidValueError, match="cure needs a Network with spiking populations"):
        train(torch.nn.Linear(8, 2), (X, Y), loss="membrane_cross_entropy", cure=Watch(), **SETTINGS)
    with pytest.raises(InvalidValueError, match=r"(?s)every must be.*tau must be"):
        Redo(every=0, tau=-1.0)
