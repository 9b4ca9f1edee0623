"""Series, tasks, filtered spikes, read-outs, scores, memory capacity, closed loops."""

import json

import numpy as np
import pytest
from scipy import sparse
from scipy.integrate import solve_ivp
from scipy.signal import lfilter

from spikesim import Input, Network, Population, Projection, reservoir, run
from spikesim.connect import Dense, Sparse
from spikesim.data.series_generated import Series, lorenz, mackey_glass, roessler
from spikesim.data.series_user import series_of
from spikesim.errors import FileFormatError, InvalidValueError, MissingFileError, UnknownNameError
from spikesim.models.networks import chrsnn, hrsnn
from spikesim.models.neurons import lif_soft
from spikesim.profile import profile
from spikesim.recording import Spikes
from spikesim.reservoir import closed_loop

# ---------------------------------------------------------------- series


def test_lorenz_and_roessler_follow_their_equations():
    def f_lorenz(t, x):
        return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]

    def f_roessler(t, x):
        return [-x[1] - x[2], x[0] + 0.2 * x[1], 0.2 + x[2] * (x[0] - 5.7)]

    for series, field in ((lorenz(30, seed=2), f_lorenz), (roessler(30, seed=2), f_roessler)):
        t = np.arange(30) * series.interval
        exact = solve_ivp(field, (0, t[-1]), series.values[0], t_eval=t, rtol=1e-10, atol=1e-10).y.T
        assert np.abs(series.values - exact).max() < 2e-3 * series.values.std()


def test_mackey_glass_follows_its_equation():
    x = mackey_glass(600, interval=0.1, seed=1).values[:, 0]
    slope = (x[:-4] - 8 * x[1:-3] + 8 * x[3:-1] - x[4:]) / 1.2  # at 2 .. n - 3, fourth order
    t = np.arange(200, 590)
    behind = x[t - 170]
    np.testing.assert_allclose(slope[t - 2], 0.2 * behind / (1 + behind**10) - 0.1 * x[t], atol=1e-5)


def test_series_depend_on_their_seed_and_length_only():
    assert (lorenz(20, seed=1).values == lorenz(40, seed=1).values[:20]).all()
    assert np.abs(lorenz(20, seed=1).values - lorenz(20, seed=2).values).max() > 1
    assert lorenz().lyapunov_time == pytest.approx(1 / (0.906 * 0.02))
    with pytest.raises(InvalidValueError, match="multiples"):
        lorenz(10, interval=0.015)


def test_a_users_series(tmp_path):
    file = tmp_path / "wind.csv"
    file.write_text("speed;direction\n1;2\n3.5;-4e1\n")
    found = series_of(file, interval=0.5)
    assert found.name == "wind" and found.values.tolist() == [[1, 2], [3.5, -40]]
    assert series_of(np.arange(3)).values.shape == (3, 1)
    file.write_text("1,2\n3\n")
    with pytest.raises(FileFormatError, match="line 2"):
        series_of(file)
    with pytest.raises(MissingFileError):
        series_of(tmp_path / "none.csv")
    for wrong in ([1.0, np.nan], np.zeros((2, 2, 2)), []):
        with pytest.raises(InvalidValueError):
            series_of(wrong)


# ---------------------------------------------------------------- features and read-outs


def test_filtered_spikes_are_those_of_a_recursive_filter():
    r = np.random.default_rng(0)
    raster = r.random((47, 2, 3)) < 0.3
    step, sample, neuron = np.nonzero(raster)
    spikes = Spikes(sample, step, neuron, n=3, steps=47, samples=2, dt=1e-3)
    expected = lfilter([1.0], [1.0, -np.exp(-1 / 7)], raster.astype(float), axis=0)[4::5].transpose(1, 0, 2)
    np.testing.assert_allclose(reservoir.filtered(spikes, 5, 7e-3), expected, rtol=1e-12)
    assert (reservoir.filtered(spikes, 1, 0.0) == raster.transpose(1, 0, 2)).all()


def test_pooling_ends_where_a_sample_ends():
    x = np.arange(24.0).reshape(2, 4, 3)
    found = reservoir.pooled(x, np.array([2, 4]))
    assert found[0].tolist() == [*x[0, :2].mean(0), *x[0, 1]] and found[1].tolist() == [*x[1].mean(0), *x[1, 3]]


def test_ridge_is_that_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    r = np.random.default_rng(1)
    x = r.normal(size=(60, 8)) * np.geomspace(0.1, 10, 8) + 3
    y = x @ r.normal(size=(8, 2)) + r.normal(size=(60, 2))
    peer = linear_model.Ridge(alpha=2.5).fit(x, y)
    found = reservoir.ridge(x, y, [2.5])
    np.testing.assert_allclose(found.weights, peer.coef_.T, rtol=1e-8)
    np.testing.assert_allclose(found.bias, peer.intercept_, rtol=1e-8)


def test_logistic_regression_is_that_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    r = np.random.default_rng(2)
    labels = r.integers(0, 3, 90)
    x = r.normal(size=(90, 5)) + np.eye(5)[labels]
    z = (x - x.mean(0)) / x.std(0)
    peer = linear_model.LogisticRegression(C=1 / (0.02 * 90), tol=1e-8, max_iter=1000).fit(z, labels)
    scores = reservoir.logistic(x, labels, [0.02])(x)
    p = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(p / p.sum(1, keepdims=True), peer.predict_proba(z), atol=2e-3)


def test_penalties_are_chosen_on_the_end_of_the_samples():
    r = np.random.default_rng(3)
    x = r.normal(size=(40, 30))
    noisy = x[:, :1] + 3 * r.normal(size=(40, 1))
    assert reservoir.ridge(x, noisy).penalty > 1 and reservoir.ridge(x, x[:, :1]).penalty == 1e-4
    for wrong in (
        lambda: reservoir.ridge(x[:1], noisy[:1]),
        lambda: reservoir.ridge(x, noisy[:9]),
        lambda: reservoir.ridge(x, noisy, []),
    ):
        with pytest.raises(InvalidValueError):
            wrong()


# ---------------------------------------------------------------- scores


def test_costs_are_those_counted_by_hand():
    net, task = hrsnn(40, seed=1), reservoir.user_task(lorenz(150))
    found = reservoir.evaluate(net, task)
    u = np.repeat(task.standardised()[:, None], 5, axis=0)
    spikes = run(net, inputs={"series": u})["recurrent"].counts()[0]
    fan_out = np.diff(net["recurrent->recurrent"].rule.weights.tocsc().indptr)
    assert found.sops * 150 == spikes @ fan_out and found.spikes * 150 == spikes.sum()
    assert (found.neurons, found.synapses, found.input_synapses) == (40, 400, 120)
    assert found.input == "own" and found.input_sops == 5 * 120
    assert profile(found.recording, found.network, "cmos45").bills["cmos45"].total.nominal_j > 0
    assert json.loads(json.dumps(found.row()))["nrmse"] == found.metrics["nrmse"]


def test_what_can_be_predicted_is_and_noise_is_not():
    net = hrsnn(60, seed=3)
    wave = np.sin(np.arange(600) / 5)
    easy = reservoir.evaluate(net, reservoir.user_task(wave, horizon=5)).metrics["nrmse"]
    noise = reservoir.evaluate(net, reservoir.user_task(np.random.default_rng(1).normal(size=600))).metrics["nrmse"]
    assert easy < 0.7 and 0.9 < noise < 1.5


def test_any_network_can_be_evaluated_with_an_input_of_its_own_or_a_drawn_one():
    task = reservoir.user_task(np.sin(np.arange(200) / 5))
    own = Network(
        [Population("a", 8, lif_soft(lam=0.9))],
        [Projection("u", "a", Dense(np.ones((8, 1))))],
        [Input("u", 1, graded=True)],
    )
    assert reservoir.evaluate(own, task).input == "own"
    other = reservoir.evaluate(chrsnn(40, inputs=7), task)
    assert (other.input, other.input_synapses) == ("drawn", 40)
    assert 0 < other.readout_synapses <= 40  # a neuron that never fires needs no weight
    with pytest.raises(InvalidValueError, match="no population"):
        reservoir.with_input(Network(), 1)
    with pytest.raises(InvalidValueError, match="with_input"):
        reservoir.drive(hrsnn(40), np.zeros((1, 5, 2)), 5)


def test_rate_coding_gives_spikes_whose_mean_is_the_current():
    current, spikes = (reservoir.with_input(hrsnn(20), 2, coding=c)["series"] for c in ("current", "rate"))
    x = np.tile([[0.5, -1.0]], (1, 4000, 1))
    given = reservoir.attach.presented(x, spikes, 1, seed=3)
    assert given.dtype == bool and given.shape == (4000, 1, 4) and not current.n == spikes.n
    np.testing.assert_allclose(4 * given.mean(axis=(0, 1)), [0.5, 0.0, 0.0, 1.0], atol=0.12)
    net = reservoir.with_input(hrsnn(40), 3, coding="rate")
    task = reservoir.user_task(lorenz(150))
    assert reservoir.evaluate(net, task).input == "own"
    with pytest.raises(InvalidValueError, match="graded"):
        reservoir.predict_freely(net, task)
    with pytest.raises(UnknownNameError, match="current"):
        reservoir.with_input(net, 3, coding="spikes")


def test_classes_are_told_apart():
    found = reservoir.evaluate(hrsnn(60, inputs=8), reservoir.task("sequential-digits", samples=200), seed=0)
    assert found.metrics["accuracy"] > 0.6 and found.task == "sequential-digits"


def test_tasks_that_cannot_be():
    with pytest.raises(UnknownNameError, match="lorenz"):
        reservoir.task("lorentz")
    with pytest.raises(InvalidValueError, match="longer series"):
        reservoir.Prediction(Series("short", np.zeros(50)))


# ---------------------------------------------------------------- memory and closed loops


def test_the_memory_of_a_spiking_delay_line_is_its_length():
    cell, n = lif_soft(lam=0.0), 7
    chain = sparse.csr_array((np.ones(n - 1), (np.arange(1, n), np.arange(n - 1))), shape=(n, n))
    line = Network(
        [Population("line", n, cell)],
        [
            Projection("u", "line", Dense(np.eye(n)[:, :1])),
            Projection("line", "line", Sparse(chain), delay=1e-3),
        ],
        [Input("u", 1, graded=True)],
    )
    found = reservoir.network_capacity(line, values=600, delays=12, hold=1, tau=0.0, binary=True)
    # the first neuron holds the present value, which is no memory
    np.testing.assert_allclose(found.by_delay, [1.0] * (n - 1) + [0.0] * (12 - n + 1), atol=1e-9)
    assert found.total == pytest.approx(n - 1)


def test_no_memory_in_noise():
    r = np.random.default_rng(4)
    assert reservoir.memory_capacity(r.normal(size=(2000, 20)), r.normal(size=2000)).total < 0.1
    with pytest.raises(InvalidValueError, match="20 more"):
        reservoir.memory_capacity(np.zeros((30, 2)), np.zeros(30))


def test_valid_prediction_time():
    truth = np.tile([[1.0], [-1.0]], (3, 5, 1))
    off = np.zeros_like(truth)
    off[1, 4], off[2, 0] = 0.5, np.nan
    assert reservoir.valid_values(truth + off, truth).tolist() == [10, 4, 0]


def test_a_closed_loop_begins_where_the_series_ends():
    """Its first value is the read-out of the states that the true series leaves behind; later ones see it."""
    net, task = hrsnn(40, seed=2), reservoir.user_task(lorenz(300))
    free = reservoir.predict_freely(net, task, starts=3, values=12)
    series = task.standardised()
    x, _ = reservoir.drive(net, series[None], task.hold)
    readout = reservoir.ridge(x[0, task.discard : task.cut - 1], series[task.discard + 1 : task.cut])
    lead = series[task.cut - task.discard : task.cut]
    fed = np.concatenate([lead, free.predicted[0]])
    y, _ = reservoir.drive(net, fed[None], task.hold)
    np.testing.assert_allclose(readout(y[0, len(lead) - 1 : -1]), free.predicted[0], atol=1e-9)
    np.testing.assert_array_equal(free.truth[0], series[task.cut : task.cut + 12])
    assert free.predicted.shape == (3, 12, 3)
    with pytest.raises(InvalidValueError, match="values"):
        closed_loop.predict_freely(net, task, values=1000)


def test_time_constants_learn_through_the_recurrent_network():
    pytest.importorskip("torch")
    from spikesim import train

    series = reservoir.user_task(lorenz(400)).standardised()
    x, y = (np.stack([series[k + ahead : k + ahead + 40] for k in range(0, 320, 40)]) for ahead in (0, 5))
    net = reservoir.with_readout(hrsnn(24, seed=1), 3)
    before = net.population("recurrent").neuron.params["tau_m"]
    trained = train(
        net, (x, y), loss="mse", epochs=6, learning_rate=0.05, weights=["recurrent->readout"],
        params={"recurrent": ["tau_m"]}, encode="sequence", validation_fraction=0.0, batch_size=4,
    )  # fmt: skip
    after = trained.network.population("recurrent").neuron.params["tau_m"]
    assert trained.history[-1].loss < 0.9 * trained.history[0].loss
    assert np.abs(after / before - 1).max() > 0.02 and (after > 0).all()
