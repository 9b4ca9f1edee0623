"""Reconstructive neuron pruning: masks, ascent, recovery, threshold; a network whose trigger channel is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import spikesim as sp
from spikesim import data
from spikesim.cli import app, register
from spikesim.data.triggers import Backdoor, Patch
from spikesim.engine import backend
from spikesim.errors import InvalidValueError, NetworkError, UnknownNameError
from spikesim.layers import batch_norm, conv2d, dense, pool
from spikesim.lowering import lower
from spikesim.models.neurons import li, lif_soft
from spikesim.norm import BatchNorm
from spikesim.sparsify.filters import at_random, below, by_magnitude, filters, kernel, lowest, masked, switched_off
from spikesim.sparsify.rnp import RNP, largest, predictions, trade_off
from spikesim.sparsify.rnp_rules import Ascent, Masks
from spikesim.sparsify.stay_off import StayOff
from spikesim.train import evaluate, train

PRESENTED = {"steps": 2, "loss": "membrane_cross_entropy"}
FIRST = "image->layer1"


def network(norm=True, cell=None, channels=5):
    norms = (batch_norm(gain=0.5),) if norm else ()
    layers = (conv2d(channels, 3, padding=1), *norms, cell or lif_soft(bias=0.2), pool(2), dense(10), li(beta=0.0))
    return sp.sequential(sp.Input("image", (1, 8, 8), graded=True), *layers, seed=3)


@pytest.fixture(scope="module")
def digits():
    found = data.load("digits").scaled()
    return found.x_train[:200, None], found.y_train[:200]


@pytest.fixture(scope="module")
def trained(digits):
    how = {"epochs": 6, "learning_rate": 2e-2, "batch_size": 20, "validation_fraction": 0.0, "fold": False}
    return train(network(), digits, **how, **PRESENTED).network


# ------------------------------------------------------------------------------------------------ masks
@pytest.mark.parametrize("norm", [True, False])
def test_masks_of_one_change_nothing(norm):
    net = network(norm)
    same = masked(net, {FIRST: np.ones(5)})
    for one, other in zip(lower(net).edges, lower(same).edges, strict=True):
        assert lower(net).name == lower(same).name and np.array_equal(one.weights, other.weights)


@pytest.mark.parametrize("norm", [True, False])
def test_a_filter_that_is_off_is_silent_on_every_backend_unless_its_shift_is_kept(digits, norm):
    net = network(norm)
    if norm:
        net = net.swap(replace(net[FIRST], norm=BatchNorm(shift=np.full(5, 0.7), gain=0.5)))
    off = {FIRST: np.array([True, False, True, False, False])}
    inputs = {"image": np.broadcast_to(digits[0][:4], (4, 4, 1, 8, 8))}

    def fired(value, engine):
        counts = sp.run(value, steps=4, inputs=inputs, backend=engine, progress=False)["layer1"].counts()
        return counts.reshape(4, 5, 64).sum((0, 2)) > 0

    for engine in ("numba", "torch"):
        assert fired(switched_off(net, off), engine).tolist() == [False, True, False, True, True]
    assert fired(switched_off(net, off, keep_shift=True), "numba").all()


@pytest.mark.parametrize("norm", [True, False])
def test_filters_that_are_off_stay_off_in_training_if_asked(digits, norm):
    off = np.array([True, False, True, False, False])
    net = switched_off(network(norm), {FIRST: off})
    how = {"epochs": 2, "learning_rate": 5e-2, "batch_size": 20, "validation_fraction": 0.0, "fold": False}
    how |= {} if norm else {"params": {"layer1": {"bias": "channel"}}}

    def numbers(sparsity):
        return numbers_of(train(net, digits, sparsity=sparsity, **how, **PRESENTED).network, norm)

    free, held, begin = numbers(None), numbers(StayOff()), numbers_of(net, norm)
    assert (free[off] != 0).any(1).all() and not held[off].any()  # without, they learn again
    assert (held[~off] != begin[~off]).any(1).all()


def numbers_of(net, norm):
    if norm:
        found = net[FIRST].norm.spread(5)
        return np.stack([found.scale, found.shift], 1)
    bias = np.broadcast_to(net.population("layer1").neuron.value("bias"), (5 * 64,)).reshape(5, 64)
    return np.concatenate([kernel(net[FIRST]).reshape(5, -1), bias], 1)


def test_what_cannot_stay_off_is_refused(digits):
    net = network(cell=lif_soft())
    net = switched_off(net, {FIRST: np.array([True, False, False, False, False])})
    with pytest.raises(InvalidValueError, match=r"'layer1/bias' is one number(.|\n)*share it by 'channel'"):
        train(net, digits, sparsity=StayOff(), params={"layer1": {"bias": "shared"}}, epochs=1, **PRESENTED)
    module = torch.nn.Linear(64, 10)
    with pytest.raises(InvalidValueError, match="StayOff needs a Network"):
        train(module, digits, sparsity=StayOff(), epochs=1, **PRESENTED)


def test_more_is_pruned_at_higher_thresholds_and_nothing_below_zero():
    masks = {"a": np.array([0.0, 0.2, 1.0]), "b": np.array([0.5, 0.2])}
    counts = [sum(int(off.sum()) for off in below(masks, t).values()) for t in (-1, 0.0, 0.2, 0.5, 0.99, 1.0)]
    assert counts == [0, 1, 3, 4, 4, 5]
    assert {k: v.tolist() for k, v in lowest(masks, 2).items()} == {"a": [True, True, False], "b": [False, False]}
    with pytest.raises(InvalidValueError, match="found 6; allowed is 0 to 5"):
        lowest(masks, 6)


def test_all_pruned_answers_one_class(trained, digits):
    net = switched_off(trained, {FIRST: np.ones(5, bool)})
    assert len(set(predictions(net, digits[0], **PRESENTED))) == 1
    curve = trade_off(trained, by_magnitude(trained), (0, 5), lambda n: predictions(n, digits[0], **PRESENTED))
    assert np.array_equal(curve[0][1], predictions(trained, digits[0], **PRESENTED)) and len(set(curve[1][1])) == 1


def test_predictions_are_those_of_the_engines(trained, digits):
    x, y = digits
    found = evaluate(trained, x[:60], y[:60], steps=2, readout="membrane_mean", backend="numba")
    assert (predictions(trained, x[:60], **PRESENTED) == found.predicted).mean() > 0.97  # float32 against exact sums


@pytest.mark.parametrize("norm", [True, False])
def test_the_gradient_of_a_mask_is_that_of_finite_differences(digits, norm):
    net = network(norm, cell=li(beta=0.5))
    module = backend("torch").module(lower(net, folded=False), dtype="float64", fused=False)
    x = torch.as_tensor(digits[0][:6]).expand(3, -1, -1, -1, -1)

    def loss():  # of the membranes: neurons that never fire send nothing on
        return module({"image": x}, record=["layer1/v"])["layer1/v"].square().mean()

    rule = Masks([FIRST], *digits, rate=0.1, alpha=1.0, stop=None, batch_size=1000)
    module.eval()
    rule._begin(module)
    rule.set(FIRST, torch.linspace(0.3, 0.9, 5, dtype=torch.float64))
    loss().backward()
    found = rule.gradients()[FIRST].numpy()
    for k in range(5):
        sides = []
        for h in (1e-5, -1e-5):
            mask = rule.masks[FIRST].clone()
            moved = mask.clone()
            moved[k] += h
            rule.set(FIRST, moved)
            sides.append(loss().item())
            rule.set(FIRST, mask)
        assert found[k] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6) and found[k] != 0


def test_masks_stay_from_0_to_1(trained, digits):
    defence = RNP(mask_rate=5.0, mask_epochs=3, batch_size=50, presented=PRESENTED)
    masks, accuracy = defence.recover(network(), digits)
    assert masks[FIRST].min() >= 0 and masks[FIRST].max() <= 1 and masks[FIRST].min() < 1 and len(accuracy) == 3


# ------------------------------------------------------------------------------------------------ stages
def test_unlearning_raises_the_loss_step_by_step(digits):
    # spikes would make the loss jump
    smooth = sp.sequential(sp.Input("image", (1, 8, 8), graded=True), conv2d(10, 8), batch_norm(), li(beta=0.5))
    rule = Ascent(*digits, stop=0.0)
    how = {"optimiser": "sgd", "learning_rate": 1e-3, "schedule": "constant", "validation_fraction": 0.0}
    found = train(smooth, digits, rule=rule, epochs=5, batch_size=1000, **how, **PRESENTED)
    losses = [e.loss for e in found.history]
    assert (np.diff(losses) > 0).all()


def test_the_defence_of_an_honest_network_costs_at_most_two_points(trained, digits):
    x, y = data.load("digits").scaled().x_test[:, None], data.load("digits").y_test
    defence = RNP(unlearn_rate=0.05, stop=0.3, mask_epochs=3, batch_size=50, presented=PRESENTED)
    report = defence.fit(trained, digits)
    assert report.accuracy_unlearned <= 0.3 < report.unlearning[0] and report.predicted.sum() == 200
    threshold = defence.threshold(trained, report, (x, y))
    before = np.mean(defence.predictions(trained, x) == y)
    assert np.mean(defence.predictions(defence.prune(trained, report, threshold), x) == y) >= before - 0.02 - 1e-12
    assert largest([0.1, 0.2, 0.3, 0.4], lambda t: t != 0.3) == 0.2 and largest([0.1], lambda t: False) == -1.0


def known(trigger_shift):
    """Return a network with filters for bars along three directions and one for the trigger, a block of 2 x 2."""
    kernels = np.zeros((4, 1, 3, 3))
    kernels[0, 0, 1], kernels[1, 0, :, 1], kernels[2, 0] = 1, 1, np.eye(3)
    kernels[3, 0, :2, :2] = 1
    norm = BatchNorm(scale=np.ones(4), shift=np.array([-2.0, -2, -2, trigger_shift]), var=1 - 1e-5)
    votes = np.zeros((3, 4))
    votes[range(3), range(3)], votes[0, 3] = 36.0, 300.0
    layers = (conv2d(4, 3, padding=1, weights=kernels), norm, lif_soft(), pool(6), dense(3, votes), li(beta=0.0))
    return sp.sequential(sp.Input("image", (1, 6, 6), graded=True), *layers)


def bars(count, seed):
    random = np.random.default_rng(seed)
    x, y = np.zeros((count, 1, 6, 6)), np.arange(count) % 3
    for image, label in zip(x, y, strict=True):
        row, column = random.integers(0, 2), random.integers(0, 4)  # the lower rows stay free
        if label == 0:
            image[0, row, column : column + 3] = 1
        else:
            rows = np.arange(row, row + 3)
            image[0, rows, column + (rows - row) * (label == 2)] = 1
    return x, y


def test_the_known_trigger_channel_gets_the_smallest_mask_and_only_it_has_to_go():
    original, unlearned = known(-3.0), known(-1.0)  # unlearned: the trigger's filter answers to everything
    attack = Backdoor(Patch(((1.0, 1.0), (1.0, 1.0))), target=0, classes=3)
    x, y = bars(60, 0)

    def figures(net):
        triggered = predictions(net, attack.trigger(x), **PRESENTED)
        return np.mean(predictions(net, x, **PRESENTED) == y), attack.success(triggered, y)

    assert figures(original) == (1.0, 1.0) and figures(unlearned)[0] < 0.5
    defence = RNP(mask_rate=0.1, mask_epochs=10, batch_size=20, recover_to=0.99, presented=PRESENTED)
    masks, accuracy = defence.recover(unlearned, (x, y))
    assert masks[FIRST].argmin() == 3 and accuracy[-1] > accuracy[0] - 1e-12 and accuracy[-1] >= 0.99
    pruned = switched_off(original, lowest(masks, 1))
    assert figures(pruned) == (1.0, 0.0)
    assert figures(switched_off(original, lowest({FIRST: np.arange(4.0)}, 1)))[1] == 1.0  # another filter does nothing


def test_what_is_refused(trained, digits):
    with pytest.raises(NetworkError, match="no convolution, hence no filters"):
        RNP().fit(sp.sequential(sp.Input("x", 64, graded=True), dense(10), lif_soft()), digits)
    with pytest.raises(UnknownNameError, match="image->layer1"):
        filters(trained, ["image->layr1"])
    with pytest.raises(InvalidValueError, match="5 filters and needs as many finite numbers, found \\[4\\]"):
        masked(trained, {FIRST: np.ones(4)})
    with pytest.raises(InvalidValueError, match=r"clip is 0(.|\n)*stop is 1.5"):
        RNP(clip=0, stop=1.5)
    with pytest.raises(InvalidValueError, match="found 9 clean samples for 10 classes; allowed is one of each"):
        RNP().fit(trained, (digits[0][:9], digits[1][:9]))
    with pytest.raises(InvalidValueError, match="raise unlearn_rate"):
        RNP(unlearn_rate=1e-9, unlearn_epochs=1, presented=PRESENTED).fit(trained, digits)
    assert np.array_equal(at_random(trained, 1)[FIRST], at_random(trained, 1)[FIRST])


# ------------------------------------------------------------------------------------------------ command line
def test_defend_prunes_a_file_and_says_what_it_cost(trained, tmp_path):
    trained.save(tmp_path / "suspect.h5")
    words = [
        "defend",
        tmp_path / "suspect.h5",
        "--samples",
        90,
        "--steps",
        2,
        "--mask-epochs",
        2,
        "--unlearn-rate",
        0.05,
    ]
    found = json.loads(call(*words, "--out", tmp_path / "pruned.h5", "--json"))
    assert found["unlearned"]["accuracy"] < found["given"]["accuracy"] and sum(found["predicted"]) == 60
    off = masked(trained, {FIRST: np.ones(5)})[FIRST].norm.scale != 0
    kept = sp.Network.load(tmp_path / "pruned.h5")[FIRST].norm.spread(5).scale != 0
    assert off.all() and 5 - kept.sum() == found["pruned"]
    with pytest.raises(InvalidValueError, match="outside the image of 8 x 8"):
        call(*words, "--row", 7, "--out", tmp_path / "no.h5")
    with pytest.raises(InvalidValueError, match="outside the image of 8 x 8"):  # before anything is trained
        call(*words, "--column", -1, "--poison", 0.1, "--epochs", 10**6, "--out", tmp_path / "no.h5")
    with pytest.raises(NetworkError, match="no convolution, hence no filters; add a layer conv2d"):
        call("defend", "digits_mlp", "--poison", 0.1, "--epochs", 10**6, "--out", tmp_path / "no.h5")
    with pytest.raises(InvalidValueError, match="allowed is from 30"):
        call("defend", tmp_path / "suspect.h5", "--samples", 5)


def test_analyse_filters_prints_shares(trained, tmp_path):
    trained.save(tmp_path / "net.h5")
    found = json.loads(call("analyse", "filters", tmp_path / "net.h5", "--size", 8, "--json"))
    assert found["projection"] == FIRST and len(found["shares"]) == 5
    assert "mean low share" in call("analyse", "filters", tmp_path / "net.h5")


def call(*words):
    """Run a verb in this process; a user's mistake comes out as its exception."""
    if not app.registered_commands:
        register()
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout
