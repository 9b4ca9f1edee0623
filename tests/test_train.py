"""Training: improves, repeats to the same bits, comes back as a plain network; bad input gets clear words."""

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import spikesim  # noqa: E402
from spikesim import data  # noqa: E402
from spikesim.errors import InvalidValueError, UnknownNameError  # noqa: E402
from spikesim.layers import dense, sequential  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import leaky, li, lif, lif_soft  # noqa: E402
from spikesim.network import Network, Population  # noqa: E402
from spikesim.recording import differing_spikes  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import Augment, evaluate, loss, train  # noqa: E402
from spikesim.train.losses import rate_penalty  # noqa: E402
from spikesim.train.readout import READOUTS, predict  # noqa: E402

TAU = 5e-3


def blobs(samples=240, classes=4, features=10, seed=0):
    """Classes around random centres, easy to tell apart."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(42).uniform(0, 1, (classes, features))
    y = np.arange(samples) % classes
    return np.clip(centres[y] + generator.normal(0, 0.15, (samples, features)), 0, 1), y


def network(last=None, hidden=None, seed=0):
    return sequential(
        Input("x", 10, graded=True), dense(48), hidden or lif_soft(), dense(4), last or lif_soft(), seed=seed
    )


def weights(net: Network):
    return [p.rule.weights for p in net.projections]


@pytest.mark.parametrize(
    ("settings", "cells"),
    [
        ({}, {}),
        ({"loss": "count_mse"}, {}),
        ({"loss": "membrane_cross_entropy"}, {"last": li()}),
        ({"loss": "membrane_cross_entropy", "readout": "membrane_max"}, {"last": li()}),
        (
            {"loss": "membrane_cross_entropy", "readout": "membrane_last", "loss_settings": {"scale": 2.0}},
            {"last": li()},
        ),
        ({"surrogate": "mpr", "optimiser": "sgd", "learning_rate": 0.05, "clip": 1.0}, {}),
        ({"params": {"layer1": ["tau_m", "v_th"]}, "detach_reset": True}, {"hidden": lif(tau_m=TAU, v_th=0.5)}),
        ({"rate_penalty": 0.1, "augment": Augment(noise=0.05), "keep": "best"}, {}),
    ],
    ids=["plain", "mse", "mean", "max", "last", "mpr-sgd", "params", "extras"],
)
def test_training_learns(settings, cells):
    settings = {"learning_rate": 1e-2, **settings}
    trained = train(network(**cells), blobs(), epochs=6, batch_size=32, validation_fraction=0.2, seed=1, **settings)
    assert trained.history[-1].loss < trained.history[0].loss
    assert trained.history[-1].validation_accuracy > 0.9
    reader = settings.get("readout") or loss(settings.get("loss", "rate_cross_entropy")).readout
    result = evaluate(trained.network, *blobs(seed=9), backend="torch", readout=reader)
    assert result.accuracy > 0.9
    assert result.confusion().sum() == 240 and np.trace(result.confusion()) == round(result.accuracy * 240)
    assert "6 epochs" in str(trained)


def test_the_same_seed_gives_the_same_bits():
    runs = [
        train(network(), blobs(), epochs=3, seed=s, augment=Augment(noise=0.1), learning_rate=1e-2) for s in (5, 5, 6)
    ]
    for a, b, c in zip(*(weights(r.network) for r in runs), strict=True):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)
    assert [(e.loss, e.validation_loss) for e in runs[0].history] == [
        (e.loss, e.validation_loss) for e in runs[1].history
    ]


def test_the_result_is_a_plain_network_on_the_grid():
    start = network(hidden=lif(tau_m=TAU, v_th=0.5))
    trained = train(start, blobs(), epochs=2, params={"layer1": ["tau_m"]}, learning_rate=1e-2)
    graph = lower(trained.network)
    for edge in graph.edges:
        assert graph.exactness[edge.post, edge.port].max_change == 0
        assert graph.exactness[edge.post, edge.port].exact
    assert trained.network.population("layer1").neuron.value("tau_m") != TAU
    assert trained.network.population("layer2") == start.population("layer2")
    assert isinstance(trained.network, Network) and trained.config["params"] == {"layer1": ["tau_m"]}


def test_torch_and_numba_answer_alike():
    trained = train(network(last=leaky(beta=0.8)), blobs(), epochs=3, learning_rate=1e-2)
    results = [evaluate(trained.network, *blobs(seed=3), backend=b) for b in ("numba", "torch")]
    assert differing_spikes(results[0].recording, results[1].recording) == 0
    assert np.array_equal(results[0].scores, results[1].scores)


def test_held_out_samples_are_never_trained_on_and_test_samples_never_seen():
    x, y = blobs()
    full = data.Dataset("blobs", x, y, np.full((3, 10), np.nan), np.zeros(3, int), tuple("abcd"), "", "")
    trained = train(network(), full, epochs=1, validation_fraction=0.25)
    again = train(network(), (x, y), epochs=1, validation_fraction=0.25)
    assert all(np.array_equal(a, b) for a, b in zip(weights(trained.network), weights(again.network), strict=True))
    _, held = data.split(y, seed=0, test_fraction=0.25)
    poisoned = x.copy()
    poisoned[held] = 0.0
    third = train(network(), (poisoned, y), epochs=1, validation_fraction=0.25)
    assert all(np.array_equal(a, b) for a, b in zip(weights(trained.network), weights(third.network), strict=True))


def test_keep_best_returns_the_epoch_with_the_best_validation():
    seen = []
    trained = train(
        network(), blobs(), epochs=8, learning_rate=0.3, keep="best", schedule="constant", seed=2, dtype="float64",
        progress=lambda epoch, total: seen.append((epoch.number, total)),
    )  # fmt: skip
    assert seen == [(k, 8) for k in range(1, 9)]
    x, y = blobs()
    _, held = data.split(y, seed=2, test_fraction=0.1)
    result = evaluate(trained.network, x[held], y[held], backend="torch")
    assert result.accuracy == max(e.validation_accuracy for e in trained.history)


def test_an_encoder_and_sequences():
    x, y = blobs()

    def encode(samples, steps):
        phase = (np.arange(1, steps + 1) / steps)[:, None, None]
        return (samples[None] >= 1.0 - phase).astype(float)

    spiking = sequential(Input("x", 10), dense(48), lif_soft(), dense(4), lif_soft())
    trained = train(spiking, (x, y), epochs=6, learning_rate=1e-2, encode=encode, steps=5)
    assert evaluate(trained.network, x, y, backend="torch", encode=encode, steps=5).accuracy > 0.85
    over_time = np.moveaxis(encode(x, 5), 0, 1)
    same = train(spiking, (over_time, y), epochs=6, learning_rate=1e-2, encode="sequence")
    assert all(np.array_equal(a, b) for a, b in zip(weights(trained.network), weights(same.network), strict=True))


def test_spike_encoders_by_name():
    spiking = sequential(Input("x", 10), dense(48), lif_soft(), dense(4), lif_soft())
    settings = {"epochs": 6, "learning_rate": 1e-2, "augment": Augment(noise=0.05, limits=(0.0, 1.0))}
    for name in ("regular", "latency"):
        trained = train(spiking, blobs(), encode=name, **settings)
        assert evaluate(trained.network, *blobs(seed=2), backend="torch", encode=name).accuracy > 0.85


def test_augment_shifts_and_adds_noise():
    image = torch.zeros(200, 1, 5, 5)
    image[:, 0, 2, 2] = 1.0
    moved = Augment(shift=1)(image, torch.Generator().manual_seed(0))
    where = {(int(r), int(c)) for _, _, r, c in moved.nonzero()}
    assert where == {(r, c) for r in (1, 2, 3) for c in (1, 2, 3)} and moved.sum() == 200
    noisy = Augment(noise=0.5)(image, torch.Generator().manual_seed(0))
    assert 0.45 < float((noisy - image).std()) < 0.55


def test_scores_and_losses():
    scores, labels = torch.tensor([[4.0, 0.0], [0.0, 4.0]]), torch.tensor([0, 0])
    assert float(loss("count_mse", correct=1.0, wrong=0.0)(scores, labels, 4)) == pytest.approx(0.5)
    expected = torch.nn.functional.cross_entropy(scores / 2, labels)
    assert float(loss("rate_cross_entropy", scale=0.5)(scores, labels, 4)) == pytest.approx(float(expected))
    assert float(rate_penalty([torch.full((5, 2, 3), 0.5)], target=0.2)) == pytest.approx(0.09)
    assert predict(np.array([[2.0, 2.0, 1.0]])).tolist() == [0]
    assert set(READOUTS) == {"rate", "latency", "membrane_mean", "membrane_max", "membrane_last"}


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"loss": "rate_cross_entrop"}, "did you mean 'rate_cross_entropy'"),
        ({"readout": "membrane_min"}, "membrane_max"),
        ({"optimiser": "adm"}, "'adam'"),
        ({"schedule": "cos"}, "cosine"),
        ({"surrogate": "arctn"}, "arctan"),
        ({"encode": "constan"}, "constant"),
        ({"keep": "all"}, "best"),
    ],
)
def test_unknown_names_are_answered_with_known_ones(settings, word):
    with pytest.raises(UnknownNameError, match=word):
        train(network(), blobs(), **settings)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"epochs": 0, "learning_rate": -1.0}, r"(?s)epochs must be at least 1.*learning_rate must be above 0"),
        ({"epochs": 2.5, "batch_size": "8"}, r"(?s)epochs must be a whole.*batch_size must be a whole number"),
        ({"clip": 0.0, "patience": 0, "augment": 3}, r"(?s)patience must be.*clip must be above 0.*augment must be"),
        ({"validation_fraction": 1.0}, "validation_fraction must be from 0 to below 1"),
        ({"keep": "best", "validation_fraction": 0.0}, "keep='best' needs validation samples"),
        ({"readout": "membrane_mean"}, "does not fit read-out 'membrane_mean'; use 'rate'"),
        ({"weights": []}, "nothing to learn"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit(settings, word):
    with pytest.raises(InvalidValueError, match=word):
        train(network(), blobs(), **settings)


def test_samples_that_do_not_fit():
    x, y = blobs()
    with pytest.raises(InvalidValueError, match="takes 10"):
        train(network(), (x[:, :9], y))
    with pytest.raises(InvalidValueError, match=r"(?s)found NaN.*one label is needed per sample.*found float64"):
        train(network(), (np.full((3, 10), np.nan), np.zeros(2)))
    with pytest.raises(InvalidValueError, match="labels go up to 7"):
        train(network(), (x, y + 4))
    with pytest.raises(InvalidValueError, match="a pair"):
        train(network(), 3)
    with pytest.raises(InvalidValueError, match="takes spikes"):
        train(sequential(Input("x", 10), dense(4), lif_soft()), (x, y))
    with pytest.raises(InvalidValueError, match="never fires"):
        train(network(last=li()), (x, y))
    with pytest.raises(InvalidValueError, match="0 inputs"):
        train(Network([Population("a", 4, lif_soft())]), (x, y))
    with pytest.raises(InvalidValueError, match="diverged"):
        settings = {"loss": "membrane_cross_entropy", "optimiser": "sgd", "learning_rate": 1e38}
        train(network(last=li()), (x, y), epochs=2, **settings)


def test_digits_reach_their_accuracy():
    """The demo's network, shortened; measured 98.7 % at 80 epochs as the mean of three seeds."""
    digits = data.load("digits").scaled()
    start = sequential(Input("image", (8, 8), graded=True), dense(256), lif_soft(), dense(10), lif_soft(), seed=0)
    settings = {"optimiser": "adamw", "weight_decay": 0.1, "augment": Augment(noise=0.15), "validation_fraction": 0.0}
    trained = train(start, digits, epochs=15, seed=0, **settings)
    result = evaluate(trained.network, digits.x_test, digits.y_test, backend="torch")
    assert result.accuracy > 0.96


def test_the_room_is_its_main_function():
    """In a fresh interpreter, after ``import spikesim`` alone."""
    code = "import spikesim, inspect; print(list(inspect.signature(spikesim.train).parameters)[:2], spikesim.convert)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("['network', 'data'] <module 'spikesim.convert'")
    with pytest.raises(InvalidValueError, match="Network or"):
        spikesim.train("digits", data.load("digits"))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        spikesim.trian  # noqa: B018
