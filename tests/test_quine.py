"""The quine: trivial and exact fixed points, power iteration, gradients of frozen targets, and a little training."""

import json
import math
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import spikesim as sp
from spikesim.errors import DivergedError, InvalidValueError, UnknownNameError
from spikesim.lowering import lower
from spikesim.models.networks import quine
from spikesim.models.networks.quine import coordinates, rho, self_reading, weights_of, with_weights

torch = pytest.importorskip("torch")

from spikesim.train.quine import Quine, Selfhood, quine_of  # noqa: E402


def test_sizes_are_the_published_ones():
    assert weights_of(quine(100)).size == 20_100
    assert weights_of(quine(100, classes=10)).size == 21_100
    net = quine(6, classes=3, seed=2)
    theta = np.arange(weights_of(net).size) / 7
    np.testing.assert_array_equal(weights_of(with_weights(net, theta)), theta)
    assert not coordinates(net)[:, 3:].any() and coordinates(net)[:, :3].all()
    assert abs(weights_of(quine(40)).max() - 1 / math.sqrt(40)) < 1e-3
    assert weights_of(quine(40, start="he")).std() == pytest.approx(math.sqrt(2 / 40), rel=0.05)


@pytest.mark.parametrize("selu", [True, False])
def test_zero_is_a_fixed_point_and_a_silent_read_out_knows_nothing(selu):
    made = quine_of(5, selu=selu)
    start = made.theta()
    made.become(np.zeros_like(start))
    assert made.loss() == 0 and not made.predict_all().any() and math.isnan(made.rho())
    start[-5:] = 0.0
    made.become(start)
    assert made.rho() == 1.0 and made.loss() == pytest.approx(float(np.square(start).sum()), rel=1e-6)


def test_answers_are_those_of_every_engine():
    made = quine_of(6)
    net = sp.Network(
        made.network.populations,
        made.network.projections,
        made.network.stimuli,
        probes=[sp.Probe("out", ("v",))],
        seed=0,
    )
    x = np.broadcast_to(made.questions, (8, *made.questions.shape))
    found = sp.run(lower(net), steps=8, inputs={"coordinate": x}, backend="torch")
    v = np.asarray(found.traces["out"]["v"].values)  # [samples, steps, 1]
    np.testing.assert_allclose(v.mean(1)[:, 0], made.predict_all(), atol=1e-4)
    levels = made.predict_all()
    assert np.unique(levels.round(6)).size > 5 and found["layer2"].rate() > 0


def test_regeneration_of_a_read_out_is_power_iteration_and_has_an_exact_quine():
    made = quine_of(12, seed=1)
    rates = made.network.with_(probes=())
    x = np.broadcast_to(made.questions[-12:], (8, 12, 12))  # the coordinates of the read-out's own weights
    spikes = sp.run(rates, steps=8, inputs={"coordinate": x}, backend="torch")["layer2"].dense()
    phi = spikes.mean(0) if spikes.shape[0] == 8 else spikes.mean(1)
    gain, w = self_reading(phi)
    np.testing.assert_allclose(gain * phi @ w, w, atol=1e-12)
    assert rho(gain * phi @ w, w) < 1e-20 and np.linalg.norm(w) == pytest.approx(1.0)
    for factor, end in ((0.9, 0.0), (1.0, None), (1.1, np.inf)):
        now = np.full(12, 0.3)
        for _ in range(400):
            now = factor * gain * phi @ now
        if end is None:
            assert abs(now @ w) / np.linalg.norm(now) == pytest.approx(1.0, abs=1e-9) and np.linalg.norm(now) > 1e-3
        else:
            assert np.linalg.norm(now) < 1e-12 if end == 0 else np.linalg.norm(now) > 1e9
    # the whole network with that read-out: what it says of these weights is what they are
    theta = made.theta()
    theta[-12:] = w
    made.become(theta)
    np.testing.assert_allclose(gain * made.predict_all()[-12:], w, atol=1e-6)
    with pytest.raises(InvalidValueError, match="real and above 0"):
        self_reading([[0.0, -1.0], [1.0, 0.0]])


def test_0_attracts_regeneration_more_than_linearly():
    made = quine_of(10, selu=True)
    theta = made.theta()
    sizes = []
    for scale in (1e-2, 1e-3):
        made.become(scale * theta)
        sizes.append(np.abs(made.predict_all()).max())
    assert sizes[0] / sizes[1] == pytest.approx(1e3, rel=0.05)
    made.become(theta)
    history = made.train("regen", 4)
    assert history[-1].norm2 < 1e-6 * history[0].norm2
    assert history[-1].rho == pytest.approx(1.0, abs=0.01) or math.isnan(history[-1].rho)


def test_the_gradient_holds_the_targets_fixed():
    made = quine_of(2, selu=True)
    goal, x = torch.tensor(made.theta()).float(), torch.tensor(made.questions).float()[None]

    def loss():
        return (made.module(x)[0, :, 0] - goal).square().sum()

    loss().backward()
    found = np.concatenate([w.grad.T.reshape(-1).double().numpy() for w in made.module.matrices()])
    theta = made.theta()
    for k in range(theta.size):
        values = []
        for bump in (1e-3, -1e-3):
            made.become(theta + bump * (np.arange(theta.size) == k))
            values.append(float(loss().detach()))
        assert (values[0] - values[1]) / 2e-3 == pytest.approx(found[k], rel=1e-2, abs=1e-4)


def test_published_scores_follow_from_the_loss():
    for loss, margin, quotient in ((90.16, 0.067, None), (32.10, 0.040, 6.44), (0.86, 0.0065, 10.06)):
        found = Selfhood(0, loss, 1.0, loss)
        assert found.margin(20_100) == pytest.approx(margin, abs=5e-4)
        assert quotient is None or found.quotient(20_100) == pytest.approx(quotient, abs=5e-3)


@pytest.mark.parametrize("method", ["grad", "hill", "regen+hill"])
def test_training_is_reproducible_and_reports_norm_and_rho(method):
    first, again = (quine_of(6, seed=3).train(method, 3, learning_rate=5e-3, sigma=0.02) for _ in range(2))
    assert repr(first) == repr(again) and [h.epoch for h in first] == [0, 1, 2, 3]
    assert all(h.rho == pytest.approx(h.loss / h.norm2) for h in first if h.norm2)
    if not method.startswith("regen"):
        assert first[-1].loss < first[0].loss


def test_an_auxiliary_quine_learns_classes_beside_itself():
    images = np.repeat(np.eye(2), 8, 1)[np.arange(20) % 2]
    made = Quine(quine(8, classes=2), images=images, labels=np.arange(20) % 2)
    history = made.train("grad", 4, learning_rate=1e-2)
    assert made.accuracy(images, np.arange(20) % 2) == 1.0 and history[-1].accuracy > 0.95
    assert made.result().populations[-1].n == 3 and weights_of(made.result()).size == 8 * 8 * 2 + 3 * 8


def test_mistakes_are_named():
    with pytest.raises(InvalidValueError, match="hidden of at least 1"):
        quine(0)
    with pytest.raises(InvalidValueError, match="must be even, found 7"):
        quine(7, classes=10)
    with pytest.raises(UnknownNameError, match="start of a quine"):
        quine(4, start="xavier")
    with pytest.raises(InvalidValueError, match="with 2 classes needs images"):
        Quine(quine(4, classes=2))
    with pytest.raises(InvalidValueError, match="has 36 weights, found \\[3\\]"):
        with_weights(quine(4), [1.0, 2.0, 3.0])
    with pytest.raises(UnknownNameError, match="method of a quine"):
        quine_of(4).train("evolve")


@pytest.mark.parametrize(("hidden", "steps", "seed"), [(5, 4, 3), (9, 6, 7), (30, 3, 2)])
def test_other_sizes_have_an_exact_quine_too(hidden, steps, seed):
    net = quine(hidden, seed=seed)
    asked = np.broadcast_to(coordinates(net)[-hidden:], (steps, hidden, hidden))
    phi = sp.run(net, steps=steps, inputs={"coordinate": asked}, backend="torch")["layer2"].dense().mean(0)
    gain, w = self_reading(phi)
    assert phi.any() and rho(gain * phi @ w, w) < 1e-20 and np.linalg.norm(w) == pytest.approx(1.0)


def test_regeneration_that_grows_is_named_and_keeps_its_history():
    made = quine_of(6, seed=5)
    with pytest.raises(DivergedError, match="diverged in generation"):
        made.train("regen+grad", 40)
    assert made.history[-1].norm2 > 1e6 and made.history[-1].epoch == len(made.history) - 1


def command(*words):
    from spikesim.cli import app, register

    register()
    return CliRunner().invoke(app, ["run", "quine", *words])


def test_the_command_shows_the_table(tmp_path):
    picture = tmp_path / "quine.png"
    ways = "ways=grad,regen+grad,auxiliary"
    done = command("--set", "hidden=4", "--set", "epochs=1", "--set", ways, "--json", "--plot", str(picture))
    assert done.exit_code == 0 and picture.stat().st_size > 5000, done.output
    rows = json.loads(done.output)["rows"]
    assert {(r["net"], r["method"]) for r in rows} >= {("spiking", "grad"), ("selu", "regen+grad")}
    assert all({"loss", "norm2", "rho"} <= {*r} for r in rows)
    assert all((r["accuracy"] is not None) == (r["method"] == "auxiliary") for r in rows)


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["--set", "width=4"], UnknownNameError, "hidden"),
        (["--set", "epochs=0", "--set", "hidden=-1"], InvalidValueError, "hidden must be at least 1.*\\n.*epochs must"),
        (["--set", "ways=grad,evolve"], UnknownNameError, "way of a quine: 'evolve'"),
        (["--set", "hidden=2.5"], InvalidValueError, "hidden of 'quine' must be a whole number, found 2.5"),
        (["--backend", "loihi", "--out", "x.h5"], InvalidValueError, "--backend is for simulations.*\\n--out is"),
    ],
)
def test_mistakes_at_the_command_are_named(words, kind, said):
    error = command(*words).exception
    assert isinstance(error, kind) and re.search(said, str(error)), error
