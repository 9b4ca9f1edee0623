"""Fast weights: the update against arithmetic, the rules against finite differences, batches against single samples."""

from dataclasses import replace

import numpy as np
import pytest

import spikesim as sp
from spikesim.connect import Dense
from spikesim.data.episodes import Copying, CueReward, Episodes, OneShot, Regression
from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.lowering import lower
from spikesim.models.networks import digits_mlp, plastic_rnn
from spikesim.models.neurons import leaky
from spikesim.models.synapses import FastWeights, fast_weights

torch = pytest.importorskip("torch")

from spikesim.engine import backend  # noqa: E402
from spikesim.train import fast_weights as module_of  # noqa: E402
from spikesim.train import slow_network, train  # noqa: E402

NET = plastic_rnn(inputs=5, outputs=2, hidden=7, extra=1, scale=2.0, seed=3)
RULES = ("hebbian", "gradient", "three_factor")


def made(rule, rate=False, net=NET, seed=1, **settings):
    return module_of(net, FastWeights(rule, **settings), outputs=2, rate=rate, dtype="float64", seed=seed)


def episodes(steps=4, samples=3, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(0.0, 1.5, (steps, samples, 5)))


def fast_after(module, x):
    state = module.reset(x.shape[1])
    for row in x:
        _, state = module.step(row, state)
    return state.fast


# ---------------------------------------------------------------------------------------------- the update
def updated(fast, change, alpha=1.0, pace=0.5, **settings):
    from spikesim.backends.torch.fast_rule import updated

    fast, change = (torch.as_tensor(np.atleast_2d(v), dtype=torch.float64) for v in (fast, change))
    return updated(fast, change, torch.as_tensor(alpha), pace, FastWeights(**settings)).numpy()


def test_without_change_fast_weights_decay_geometrically():
    w, start = np.array([[1.0, -2.0, 0.5]]), np.array([[1.0, -2.0, 0.5]])
    for _ in range(9):
        w = updated(w, np.zeros((1, 3)))  # decay0 0.2 at half pace
    np.testing.assert_allclose(w, 0.9**9 * start, rtol=1e-14)


def test_constant_activity_leads_to_the_fixed_point_at_the_rate_of_the_decay():
    alpha, outer = np.array([0.5, -1.0, 2.0]), np.array([[0.3, 0.2, -0.1]])
    w = np.zeros((1, 3))
    for t in range(1, 30):
        w = updated(w, outer, alpha)
        np.testing.assert_allclose(w - alpha * outer, -(0.9**t) * alpha * outer, rtol=1e-12)


def test_no_step_is_longer_than_rate_times_clip():
    change = np.random.default_rng(0).normal(0, 3, (50, 20))
    steps = updated(np.zeros((50, 20)), change, decay0=0.0, clip=0.7, pace=0.8, eta0=0.3)
    length = np.linalg.norm(steps, axis=1)
    assert (length <= 0.3 * 0.8 * 0.7 * (1 + 1e-12)).all() and length.max() > 0.16
    np.testing.assert_allclose(steps / length[:, None], change / np.linalg.norm(change, axis=1)[:, None])


# ---------------------------------------------------------------------------------------------- the module
@pytest.mark.parametrize("rate", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_at_rate_0_the_plain_network_answers_bit_for_bit(rule, rate):
    x = episodes()
    plain = made("none", rate)(x)
    assert torch.equal(made(rule, rate, eta0=0.0)(x), plain)
    off = made(rule, rate)
    with torch.no_grad():
        off.alpha.zero_()
    assert torch.equal(off(x), plain) and not torch.equal(made(rule, rate)(x), plain)


def test_without_fast_weights_it_is_the_network_as_every_engine_runs_it():
    module = module_of(NET, FastWeights("none", micro_steps=1), outputs=2, dtype="float64")
    x = episodes(6, 4)
    plain = backend("torch").module(lower(NET), dtype="float64")
    known = plain({"in": x}, record=["out/v"])
    assert known["hidden"].sum() > 10
    snapped = torch.round(x * 2**16) / 2**16  # a graded input is put on the grid
    np.testing.assert_allclose(module(snapped).detach(), known["out/v"][..., :2].detach(), atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_a_sample_does_not_depend_on_its_batch(rule):
    x = episodes(4, 5)
    together = fast_after(made(rule), x)
    for k in range(5):
        torch.testing.assert_close(fast_after(made(rule), x[:, [k]])[0], together[k], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("rule", RULES)
def test_silence_gives_finite_values_and_gradients_and_fast_weights_only_decay(rule):
    quiet = NET.swap(*(sp.Population(p.name, p.shape, p.neuron(bias=0.0)) for p in NET.populations))
    module = made(rule, net=quiet)
    state = module.reset(2)
    state.fast = torch.full_like(state.fast, 0.25)
    state.fast[:, -(7 + 7 + 4) :] = 0.0  # fast biases would speak
    y, after = module.step(torch.zeros(2, 5, dtype=torch.float64), state)
    assert not y.any()
    torch.testing.assert_close(after.fast, 0.9 * state.fast, rtol=1e-14, atol=0)  # sigmoid(0) = 1/2
    out = module(torch.zeros(3, 2, 5, dtype=torch.float64))
    out.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("scheme", ["plus", "minus"])
def test_the_inner_gradient_is_the_finite_difference_and_minus_descends(scheme):
    module = made("gradient", rate=True, alpha=scheme, eta0=1e-3, decay0=0.0, clip=1e9, modulated=False)
    x = episodes(1, 2)[0]

    def own(fast):
        y, _, _ = module._answer(x, start, module.constants(), fast)
        return (module.v * y).square().mean(1).detach()

    start = module.reset(2)
    start.fast = torch.tensor(np.random.default_rng(1).normal(0, 0.1, start.fast.shape))
    _, after = module.step(x, start)
    change = (after.fast - start.fast).detach() / (0.5e-3 * (1 if scheme == "plus" else -1))
    for k in np.random.default_rng(2).choice(change.shape[1], 25, replace=False):
        bump = torch.zeros_like(start.fast)
        bump[:, k] = 1e-6
        slope = (own(start.fast + bump) - own(start.fast - bump)) / 2e-6
        torch.testing.assert_close(change[:, k], slope, rtol=1e-5, atol=1e-7)
    better = own(after.fast.detach()) - own(start.fast)
    assert (better < 0).all() if scheme == "minus" else (better > 0).all()


@pytest.mark.parametrize("rule", ["hebbian", "gradient"])
def test_the_outer_gradient_of_alpha_is_the_finite_difference(rule):
    module = made(rule, rate=True)
    x = episodes(3, 2)  # the answer of step 3 depends on two updates

    def loss():
        return module(x)[-1].square().sum()

    (slope,) = torch.autograd.grad(loss(), module.alpha)
    for k in torch.argsort(slope.abs(), descending=True)[[0, 1, 5, 20]]:
        values = []
        for bump in (1e-5, -1e-5):
            with torch.no_grad():
                module.alpha[k] += bump
                values.append(float(loss()))
                module.alpha[k] -= bump
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(float(slope[k]), rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("rate", [False, True])
def test_three_factors_are_the_gradient_with_one_micro_step(rate):
    x = episodes(4, 3)
    exact, online = (fast_after(made(r, rate, micro_steps=1), x) for r in ("gradient", "three_factor"))
    assert exact.abs().max() > 1e-3
    torch.testing.assert_close(online, exact, rtol=1e-10, atol=1e-12)
    if not rate:  # with more, the way back in time is missing
        exact, online = (fast_after(made(r, micro_steps=4), x) for r in ("gradient", "three_factor"))
        assert not torch.allclose(online, exact) and torch.cosine_similarity(online, exact).min() > 0.3


def test_evaluation_has_its_inner_gradient_and_keeps_no_graph():
    module, x = made("gradient"), episodes()
    with torch.no_grad():
        out = module(x)
    assert not out.requires_grad
    torch.testing.assert_close(out, module(x).detach())


def test_the_modulation_is_read_from_the_last_output():
    module = made("hebbian", decay0=1.0)
    with torch.no_grad():
        module.slow.learned["out/bias"][-1] = 1e3  # g = 2: everything is forgotten at once
    x, state = episodes(2, 2), module.reset(2)
    state.fast = torch.full_like(state.fast, 7.0)
    _, after = module.step(x[0], state)
    assert after.fast.abs().max() <= module.rule.eta0 * module.rule.clip + 1e-9


def test_training_goes_through_the_trainer_and_gives_slow_weights_back():
    task = CueReward(cues=2, width=2, shown=2, tested=3, noise=0.0)
    net = plastic_rnn(task.inputs, hidden=12, scale=1.7)
    module = module_of(net, FastWeights("hebbian", eta0=0.5, decay0=0.5), outputs=1, rate=True)
    alpha = module.alpha.detach().clone()
    how = {"loss": "mse", "encode": "sequence", "schedule": "constant", "learning_rate": 2e-2, "clip": 5.0}
    trained = train(module, Episodes(task, 32, 30), epochs=2, **how)
    assert trained.history[1].loss < 0.6 * trained.history[0].loss and not torch.equal(alpha, module.alpha)
    learned = slow_network(net, module)
    for before, after in zip(net.projections, learned.projections, strict=True):
        assert np.abs(before.rule.weights - after.rule.weights).max() > 1e-2


# ---------------------------------------------------------------------------------------------- event by event
ONLINE = {"alpha": "plus", "clip": float("inf"), "micro_steps": 1}


def plastic_pair(rule, stimuli=(), populations=()):
    return sp.Network(
        [sp.Population("b", 1, leaky(beta=0.0, v_th=0.5, timing="same")), *populations],
        [
            sp.Projection("a", "b", Dense([[0.25]]), delay=1e-3, plasticity=rule),
            sp.Projection("kick", "b", weight=1.0, delay=1e-3),
        ],
        [sp.Input("a", 1), sp.Input("kick", 1), *stimuli],
        probes=[sp.Probe("b", ("v",))],
    )


def membrane(net, engine, **inputs):
    steps = len(next(iter(inputs.values())))
    given = {k: np.reshape(np.asarray(v, float), (steps, 1, 1)) for k, v in inputs.items()}
    recording = sp.run(net, steps=steps, backend=engine, inputs=given)
    return np.asarray(recording.traces["b"]["v"].values).reshape(-1)


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_events_grow_the_fast_weight_by_the_products_of_traces_and_it_fades(engine):
    tau, tau_f, eta, steps = 5e-3, 20e-3, 0.04, 24
    a, kick = np.zeros(steps), np.zeros(steps)
    a[[1, 4, 15, 20]], kick[[3, 6]] = 1, 1
    net = plastic_pair(fast_weights(eta=eta, tau=tau, tau_f=tau_f))
    found = membrane(net, engine, a=a, kick=kick)
    x = y = f = 0.0  # the same by the sum over steps: spikes of `a` arrive one step later
    for t in range(steps):
        x, y, f = x * np.exp(-1e-3 / tau), y * np.exp(-1e-3 / tau), f * np.exp(-1e-3 / tau_f)
        arrives, fires = t > 0 and a[t - 1], t > 0 and kick[t - 1]
        if arrives:
            f, x = f + eta * y, x + 1.0
            if not fires:
                assert found[t] == pytest.approx(0.25 + f, abs=1e-8)
        if fires:
            f, y = f + eta * x, y + 1.0
    assert f > 0.02


def test_a_modulator_gates_the_growth():
    rule = FastWeights(decay0=0.02, **ONLINE).online("dopamine", tau=5e-3)
    steps = 12
    a, kick, gate = (np.zeros(steps) for _ in range(3))
    a[[1, 9]], kick[2] = 1, 1
    net = plastic_pair(rule, stimuli=[sp.Input("dopamine", 1, graded=True)])
    silent = membrane(net, "torch", a=a, kick=kick, dopamine=gate)
    gate[4] = 2.0
    given = membrane(net, "torch", a=a, kick=kick, dopamine=gate)
    assert silent[10] == 0.25
    # the pair of steps 2 and 3 leaves exp(-1/5), faded by one more step when the reward comes, with the rate 0.1
    assert given[10] - 0.25 == pytest.approx(0.1 * 2.0 * np.exp(-2 / 5), rel=1e-5)
    gate[6] = 0.5  # what has grown decays by 0.01 g; the pair itself has faded to exp(-4/5)
    again = membrane(net, "torch", a=a, kick=kick, dopamine=gate)
    kept = (given[10] - 0.25) * (1 - 0.01 * 0.5) + 0.1 * 0.5 * np.exp(-4 / 5)
    assert again[10] - 0.25 == pytest.approx(kept, rel=1e-5)


@pytest.mark.parametrize(("modulated", "engine"), [(False, "numba"), (True, "numba"), (True, "torch")])
def test_with_one_micro_step_the_engines_run_the_modules_own_network(modulated, engine):
    steps, x = 30, (np.random.default_rng(0).random((30, 2, 5)) < 0.4).astype(float)
    rule = FastWeights(eta0=0.3, decay0=0.4, modulated=modulated, **ONLINE)
    module = module_of(NET, rule, outputs=2, dtype="float64")
    state, known, pace = module.reset(2), [], []
    for row in torch.tensor(x):
        y, state = module.step(row, state)
        known.append([state.spikes[name].detach().numpy() for name in ("embed", "hidden")])
        pace.append(2 * torch.sigmoid(y[:, -1:]).detach().numpy())  # the network's own output
    online = rule.online("pace" if modulated else "", tau=0.0, w_max=16.0)
    learning = [replace(p, plasticity=online) for p in NET.projections if p.post != "out"]  # `out` never spikes
    net = NET.add(sp.Input("pace", 1, graded=True)).swap(sp.Input("in", 5), *learning)
    given = {"in": x, "pace": np.array(pace)}
    found = sp.run(net, steps=steps, inputs=given, backend=engine)
    plain = sp.run(NET.swap(sp.Input("in", 5)), steps=steps, inputs={"in": x}, backend="torch")
    for k, name in enumerate(("embed", "hidden")):
        assert not np.array_equal(plain[name].dense(), found[name].dense())
        np.testing.assert_array_equal(found[name].dense(), [row[k] for row in known])


def test_what_a_synapse_cannot_know_is_refused_by_name():
    with pytest.raises(UnsupportedError) as all_of_them:
        FastWeights("gradient").online()
    for word in ("error per target neuron", "alpha 'random'", "clip=inf"):
        assert word in str(all_of_them.value)
    with pytest.raises(InvalidValueError, match="name the modulator"):
        FastWeights(**ONLINE).online()
    with pytest.raises(InvalidValueError, match="pass modulated=True"):
        FastWeights(**ONLINE, modulated=False).online("dopamine")


# ---------------------------------------------------------------------------------------------- mistakes, episodes
def test_networks_that_cannot_have_fast_weights_are_refused_with_all_reasons():
    with pytest.raises(UnsupportedError, match="no recurrent projection"):
        module_of(digits_mlp((4,), readout="membrane", graded=True), outputs=2)
    slow = NET.swap(*(replace(p, delay=3e-3) for p in NET.projections if p.pre == p.post))
    with pytest.raises(
        UnsupportedError, match=r"outputs must be from 1 to 3[\s\S]*delay of 0 or 1 steps, found 3"
    ) as found:
        module_of(slow.with_(name="late"), outputs=9)
    assert "'late'" in str(found.value)
    with pytest.raises(InvalidValueError, match=r"trial steps, samples, 5\], found \[4, 3, 6\]"):
        made("none")(torch.zeros(4, 3, 6, dtype=torch.float64))
    with pytest.raises(UnknownNameError, match="hebian"):
        FastWeights("hebian")
    with pytest.raises(InvalidValueError, match=r"decay0.*found 2\.0\neta0|eta0.*\ndecay0.*found 2\.0"):
        FastWeights(eta0=-1.0, decay0=2.0)
    for hidden in (0, 2.5):
        with pytest.raises(InvalidValueError, match=f"hidden must be at least 1.*found {hidden}"):
            plastic_rnn(hidden=hidden)
    with pytest.raises(InvalidValueError, match=r"found \[0, 2, 5\]"):
        made("none")(torch.zeros(0, 2, 5))
    with pytest.raises(InvalidValueError, match="must be a tensor, found ndarray"):
        made("none")(np.zeros((3, 2, 5)))
    with pytest.raises(InvalidValueError, match="rule must be a FastWeights or the name of one, found 5"):
        module_of(NET, 5, outputs=1)
    with pytest.raises(UnsupportedError, match=r"gate must be .* found 0\.5[\s\S]*found 1\.5"):
        module_of(NET, outputs=1.5, gate=0.5)


def test_episodes_hold_what_they_promise():
    random = np.random.default_rng(0)
    x, y = CueReward(one_hot=False, cues=3, width=14, shown=10, tested=10, noise=0.0)(random, 40)
    for row, reward in zip(x, y, strict=True):  # the same cue has the same reward
        alike = (row[:, None, :14] == row[None, :, :14]).all(2)
        assert all(len(set(reward[same, 0])) == 1 for same in alike)
    assert (x[:, 10:, -2] == 0).all() and (x[:, :10, -2] == y[:, :10, 0]).all()
    x, y = CueReward()(random, 20)
    assert (np.sort(x[:, :4, :4].argmax(2), 1) == np.arange(4)).all()
    _, y = Regression("mlp")(random, 30)
    np.testing.assert_allclose([y.mean(1).max(), y.std(1).min()], [0.0, 1.0], atol=1e-12)
    x, y = Copying(3, 2)(random, 5)
    assert x.shape == (5, 8, 3) and (y[:, 5:, 0] == x[:, :3, 0]).all() and x[:, :, 2].sum() == 15
    images, labels = np.arange(12.0)[:, None] // 3, np.arange(12) // 3
    x, y = OneShot(images, labels, ways=3)(random, 30)
    for row, label in zip(x, y, strict=True):
        (same,) = np.flatnonzero(row[:3, 0] == row[3, 0])
        assert not row[3, 1:].any() and (label[:3] == row[:3, 1:]).all()
        np.testing.assert_array_equal(label[3], row[same, 1:])
    same = Episodes(Copying(3), 4, 2, seed=5)
    first, again = [b[0] for b in same], [b[0] for b in same]
    np.testing.assert_array_equal(first, again)
    same.set_epoch(2)
    assert not np.array_equal(first[0], next(iter(same))[0])
    with pytest.raises(InvalidValueError, match="2 to 4 ways"):
        OneShot(images, labels, ways=9)
    with pytest.raises(InvalidValueError, match="found 12 images and 3 labels"):
        OneShot(images, labels[:3])
    with pytest.raises(InvalidValueError, match=r"length must be a whole number of at least 1, found 2\.5"):
        Copying(2.5)
    with pytest.raises(InvalidValueError, match=r"noise must be at least 0, found -0\.1"):
        Regression(noise=-0.1)
