"""CLNP keeps old answers bit by bit; metaplastic synapses, real and integer, do what their equations say."""

import warnings
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikesim import Network, Population, Projection  # noqa: E402
from spikesim.connect import OneToOne  # noqa: E402
from spikesim.continual import (  # noqa: E402
    CapacityExhausted,
    Clnp,
    Counters,
    FineTune,
    Metaplastic,
    Permuted,
    Split,
    run,
    suggest_m,
)
from spikesim.continual.metaplastic import CountingSynapses, Synapses  # noqa: E402
from spikesim.continual.units import between, masked, matrix_of  # noqa: E402
from spikesim.data import Dataset, load  # noqa: E402
from spikesim.errors import InvalidValueError, UnsupportedError  # noqa: E402
from spikesim.layers import batch_norm, conv2d, dense, pool, recurrent, sequential  # noqa: E402
from spikesim.models.neurons import li, lif_soft  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402

DIGITS = load("digits")
SETTINGS = {"loss": "membrane_cross_entropy", "epochs": 2, "learning_rate": 0.1, "steps": 4}
IMAGE, NEURON = Input("image", (8, 8), graded=True), lif_soft(lam=0.5)
NETWORKS = {
    "dense": sequential(IMAGE, dense(14), NEURON, dense(12), NEURON, dense(2), li(beta=0.9)),
    "recurrent": sequential(IMAGE, dense(14), NEURON, recurrent(), dense(2), li(beta=0.9)),
    "convolutions": sequential(
        Input("image", (1, 8, 8), graded=True), conv2d(6, 3), NEURON, pool(2), conv2d(8, 2), NEURON,
        dense(2), li(beta=0.9),
    ),
}  # fmt: skip


def split(network=None, samples=200):
    """Return five tasks of two classes."""
    x, y = DIGITS.x_train[:samples], DIGITS.y_train[:samples]
    test = DIGITS.x_test[:60]
    if network == "convolutions":
        x, test = x[:, None], test[:, None]
    few = Dataset("few", x, y, test, DIGITS.y_test[:60], DIGITS.classes, "", "", DIGITS.full_scale)
    return Split(few, tasks=5, kind="task")


# -------------------------------------------------------------------------------------------------------------- CLNP
@pytest.mark.parametrize("name", NETWORKS)
def test_what_old_tasks_answer_stays_bit_by_bit(name):
    learner, tasks = Clnp(NETWORKS[name], rate_penalty=0.2, margin=0.05, samples=40, **SETTINGS), split(name)
    learner.begin(0)
    found, used = {}, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CapacityExhausted)
        for number in range(3):
            learner.learn(tasks.experience(number).task)
            used.append({k: mask.copy() for k, mask in learner.used.items()})
            found[number] = learner.run(learner.network_for(number), tasks.experience(number).x_test).scores
            for old, scores in found.items():
                again = learner.run(learner.network_for(old), tasks.experience(old).x_test).scores
                assert np.array_equal(scores, again), (number, old)
    assert any(report.new for report in learner.reports[1:]) and np.abs(found[0]).max() > 0
    for population, mask in used[-1].items():
        assert sum(report.new[population] for report in learner.reports) == mask.sum()
        free = [report.free[population] for report in learner.reports]
        assert free == [int((~masks[population]).sum()) for masks in used]
        for before, after in pairwise(used):
            assert (after[population] | ~before[population]).all()  # nothing used becomes free
    # whatever may still change does not matter to old tasks, and what is frozen does
    generator = np.random.default_rng(1)
    old = {p.name: matrix_of(p.rule) for p in learner.network_for(0).projections}
    hidden = {p.name: p for p in learner.network.projections if p.post in learner.used}
    for masks, same in ((learner.trainable(), True), ({n: ~m for n, m in learner.trainable().items()}, False)):
        noise = {n: old[n] + generator.normal(0, 0.2, old[n].shape) for n in hidden}
        changed = masked(learner.network_for(0), {n: masks[n] for n in hidden}, noise)
        scores = learner.run(changed, tasks.experience(0).x_test).scores
        assert np.array_equal(scores, found[0]) == same


def test_pruning_neurons_that_never_fire_costs_nothing():
    """With the threshold 0 alone, on the samples that were looked at; and the margin bounds what is given up."""
    tasks = split()
    exact = Clnp(NETWORKS["dense"], thresholds=(0.0,), margin=0.0, samples=40, **SETTINGS)
    loose = Clnp(NETWORKS["dense"], margin=0.3, samples=40, **SETTINGS)
    for learner in (exact, loose):
        learner.begin(0)
        learner.learn(tasks.experience(0).task)
    assert exact.reports[0].drop == 0 and exact.reports[0].theta == 0
    assert 0 <= loose.reports[0].drop <= 0.3
    assert sum(loose.reports[0].free.values()) > sum(exact.reports[0].free.values())


def test_the_same_task_again_needs_few_new_neurons():
    learner, task = Clnp(NETWORKS["dense"], margin=0.02, **{**SETTINGS, "epochs": 6}), split().experience(0).task
    learner.begin(0)
    for _ in range(2):
        learner.learn(task)
    first, second = learner.reports
    assert sum(second.new.values()) < 0.4 * sum(first.new.values()) and sum(second.reused.values()) > 0


def test_a_population_without_free_neurons_is_told():
    learner = Clnp(NETWORKS["dense"], thresholds=(0.0,), rate_penalty=0.0, **SETTINGS)
    learner.begin(0)
    learner.used["layer1"][:13] = True
    learner.used["layer1"][13] = True
    with pytest.warns(CapacityExhausted, match="'layer1' has no free neurons left"):
        learner.learn(split().experience(0).task)


def test_masks_of_weights_between_units():
    network = NETWORKS["convolutions"]
    first, second, last = network.projections
    channel = np.arange(6) < 2
    mask = between(second, channel, None)
    assert mask.shape == (8, 6, 2, 2) and mask[:, :2].all() and not mask[:, 2:].any()
    out = np.arange(8) == 3
    assert between(second, channel, out).sum() == 2 * 4 and between(first, None, channel).sum() == 2 * 9
    columns = between(last, out, None)  # a channel is a run of columns
    size = columns.shape[1] // 8
    assert columns[:, 3 * size : 4 * size].all() and columns.sum() == 2 * size


def test_mistakes_of_clnp_are_told():
    with pytest.raises(InvalidValueError, match=r"penalty must be left out(.|\n)*margin(.|\n)*l1(.|\n)*samples"):
        Clnp(NETWORKS["dense"], penalty=print, margin=-1, l1=-1, samples=0)
    wired = Network(
        [Population("a", 64, NEURON), Population("b", 2, li())],
        [Projection("image", "a", OneToOne(), weight=1.0), Projection("a", "b", weight=0.1)],
        [IMAGE],
    )
    with pytest.raises(UnsupportedError, match=r"'image->a' \(OneToOne\)(.|\n)*'a->b' \(AllToAll\)"):
        Clnp(wired)
    with pytest.raises(InvalidValueError, match="does not tell which task"):
        run(Permuted(DIGITS, tasks=2), Clnp(NETWORKS["dense"], **SETTINGS))


# ------------------------------------------------------------------------------------------------ metaplastic synapses
def stream(shape=(40, 30), steps=150, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(0.02, 1, shape).astype(np.float32) for _ in range(steps)]


def begin(shape=(40, 30), spread=0.05):
    return np.random.default_rng(3).uniform(-spread, spread, shape).astype(np.float32)


def test_metaplasticity_of_zero_is_plain_binarised_training_bit_by_bit():
    meta = Synapses(begin(), 0.0, 0.005)
    hidden, moment, square = begin(), np.zeros((40, 30), np.float32), np.zeros((40, 30), np.float32)
    for t, gradient in enumerate(stream(), 1):
        meta.learn(gradient)
        moment += np.float32(0.1) * (gradient - moment)
        square += np.float32(0.001) * (gradient * gradient - square)
        size = np.float32(0.005 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t))
        hidden -= size * moment / (np.sqrt(square) + np.float32(1e-8))
    assert np.array_equal(meta.hidden, hidden) and meta.flips > 0


def test_the_step_is_the_one_of_torchs_adam():
    """Without metaplasticity, on real weights; epsilon stands elsewhere by a hair."""
    meta, p = Synapses(begin(), 0.0, 0.005), torch.nn.Parameter(torch.tensor(begin()))
    adam = torch.optim.Adam([p], lr=0.005)
    for gradient in stream():
        meta.learn(gradient)
        p.grad = torch.as_tensor(gradient)
        adam.step()
    np.testing.assert_allclose(meta.hidden, p.detach().numpy(), rtol=0, atol=2e-5)


def test_the_factor_is_even_and_falls_from_one():
    h = np.linspace(0, 0.3, 50, dtype=np.float32)
    f = Synapses(begin(), 10.0, 0.005).factor(h)
    assert f[0] == 1 and (np.diff(f) < 0).all() and (f > 0).all()
    assert np.array_equal(f, Synapses(begin(), 10.0, 0.005).factor(-h))
    assert abs(f[1] - 1) < (10 * h[1]) ** 2 + 1e-6  # no slope at 0


def test_away_from_zero_nothing_is_slowed_down_and_fewer_synapses_turn_with_more_metaplasticity():
    up = [-np.sign(begin()) for _ in range(20)]
    found = []
    for m in (0.0, 5.0, 50.0):
        synapses = Synapses(begin(), m, 0.005)
        for gradient in up:
            synapses.learn(gradient)
        found.append(synapses.hidden)
        assert synapses.flips == 0
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])
    turned = []
    for m in (0.0, 10.0, 30.0, 100.0):
        synapses = Synapses(begin(), m, 0.005)
        for gradient in stream():
            synapses.learn(gradient)
        turned.append(synapses.flips)
    assert turned == sorted(turned, reverse=True) and turned[0] > 1.5 * turned[-1]


def test_the_time_to_turn_grows_exponentially():
    """Pushed towards 0 at unit rate, sinh(2 m w) / (4 m) + w / 2 falls at unit rate."""
    for m, start in ((2.0, 0.5), (5.0, 0.3), (5.0, 0.5)):
        synapses, rate = Synapses(np.full(1, start), m, 5e-4), 5e-4
        steps = 0
        while synapses.hidden[0] > 0 and steps < 10**6:
            synapses.hidden -= np.float32(rate) * synapses.factor(synapses.hidden)
            steps += 1
        expected = np.sinh(2 * m * start) / (4 * m) + start / 2
        assert steps * rate == pytest.approx(expected, rel=2e-2)


def test_hidden_weights_rank_what_turning_a_synapse_costs():
    """Quadratic task of the paper's figure 5: |h| grows where |theta*| > 1, and says what a flip costs."""
    from scipy.stats import spearmanr

    generator, n = np.random.default_rng(0), 200
    basis = np.linalg.qr(generator.normal(size=(n, n)))[0]
    curved = basis * generator.uniform(10.5, 29.5, n) @ basis.T
    target, h = generator.uniform(-4, 4, n), generator.normal(0, 0.01, n)
    for _ in range(1000):
        h -= 0.01 * curved @ (np.sign(h) - target)
    signs = np.sign(h)
    base = 0.5 * (signs - target) @ curved @ (signs - target)
    cost = []
    for k in range(n):
        other = signs.copy()
        other[k] *= -1
        cost.append(0.5 * (other - target) @ curved @ (other - target) - base)
    sure = np.abs(target) > 1
    assert spearmanr(np.abs(h)[sure], np.array(cost)[sure])[0] > 0.9


def test_m_is_scaled_to_the_weights():
    assert suggest_m(np.array([[0.2, -0.4], [0.1, 0.3]])) == pytest.approx(4.0)
    with pytest.raises(InvalidValueError, match="median"):
        suggest_m(np.zeros(3))


# ------------------------------------------------------------------------------------------------- integer counters
@pytest.mark.parametrize("bits", [2, 5, 8, 16])
def test_the_mean_of_an_integer_step_is_exact(bits):
    """Over all 65536 draws, to the last unit."""
    draws, table = np.arange(65536), Counters.table(0.2, bits)
    assert table[0] == 256 and (np.diff(table) <= 0).all() and len(table) == bits
    limit = 2 ** (bits - 1)
    for value in {0, -1, limit // 2, -limit // 2}:
        for step in (9000, -9000, 70000, -70000):
            counters = Counters(np.full(65536, value, np.int16), bits)
            counters.update(np.full(65536, step), draws, table)
            distance = value if value >= 0 else -1 - value
            entry = table[distance.bit_length()] if (value >= 0) == (step < 0) else 256
            moved = (abs(step) * entry >> 8) * (1 if step > 0 else -1)
            if -limit <= value + moved / 65536 - 2 and value + moved / 65536 + 2 < limit:
                assert (counters.value.astype(int) - value).sum() == moved
            assert counters.value.min() >= -limit and counters.value.max() < limit


def test_counters_saturate_and_their_sign_bit_is_the_weight():
    counters = Counters(np.array([-8, -1, 0, 7], np.int16), 4)
    assert counters.signs.tolist() == [-1, -1, 1, 1] and counters.distance.tolist() == [7, 0, 0, 7]
    assert counters.update(np.full(4, 3 << 16), np.zeros(4), np.full(4, 256)) == 3
    assert counters.value.tolist() == [-5, 2, 3, 7]
    assert Counters.near([-0.4, 0.0, 3.9, -99.0, 99.0], 4).value.tolist() == [-1, 0, 3, -8, 7]


def test_integer_synapses_follow_the_real_ones():
    real = Synapses(begin(), 10.0, 0.005)
    whole = CountingSynapses(begin(), 10.0, 0.005, bits=12, largest=0.5, seed=1)
    for gradient in stream():
        real.learn(gradient)
        whole.learn(gradient)
    assert np.corrcoef(real.hidden.ravel(), whole.hidden.ravel())[0, 1] > 0.98
    assert abs(real.hidden - whole.hidden).mean() < 0.01
    assert whole.memory == 40 * 30 * 12 // 8 and real.memory == 40 * 30 * 4
    assert np.array_equal(whole.counters.value * whole.quantum, whole.hidden.astype(np.float64))
    assert 0 < whole.writes < 150 * 1200


@pytest.mark.parametrize("bits", [None, 8])
def test_metaplastic_weights_have_one_size_and_their_norms_go_on(bits):
    network = sequential(IMAGE, dense(30), batch_norm(), NEURON, dense(2), li(beta=0.9))
    settings = {**SETTINGS, "learning_rate": 0.005, "count_writes": True}
    learner, tasks = Metaplastic(network, m=1.0, bits=bits, norms="task", **settings), split()
    learner.begin(0)
    norms = []
    for number in range(2):
        learner.learn(tasks.experience(number).task)
        norms.append(learner.network["image->layer1"].norm)
        for p in learner.network.projections:
            size = np.sqrt(np.square(matrix_of(network[p.name].rule)).mean())
            assert len(np.unique(np.abs(matrix_of(p.rule)))) == 1
            np.testing.assert_allclose(np.abs(matrix_of(p.rule)), size, rtol=1e-6)
            signs = learner.synapses[p.name].signs.T
            assert np.array_equal(np.sign(matrix_of(p.rule)), signs)
    assert norms[0] is not None and norms[0] != norms[1]
    assert learner.network_for(0)["image->layer1"].norm == norms[0]
    hidden = (64 * 30 + 60) * (1 if bits else 4)
    assert learner.memory == hidden + 2 * 4 * 4 * 30 and learner.writes > learner.flips > 0
    with pytest.raises(InvalidValueError, match="norms='task' needs to know"):
        learner.network_for(None)


def test_metaplasticity_forgets_less():
    settings = {**SETTINGS, "epochs": 5, "learning_rate": 0.005, "steps": 6}
    network = sequential(IMAGE, dense(60), NEURON, dense(10), li(beta=0.9))
    found = [run(Permuted(DIGITS, tasks=2, seed=1), Metaplastic(network, m=m, **settings)).metrics() for m in (0, 2)]
    assert found[1]["BWT"] > found[0]["BWT"] + 0.1 and found[1]["ACC"] > found[0]["ACC"]


def test_mistakes_of_metaplastic_learners_are_told():
    with pytest.raises(InvalidValueError) as found:
        Metaplastic(NETWORKS["dense"], m=-1, per="x", norms="y", spread=0, bits=1, largest=-1)
    assert len(str(found.value).split("\n")) == 6
    assert isinstance(Metaplastic(NETWORKS["dense"]), FineTune)
