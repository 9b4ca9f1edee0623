"""Learned delays: a task that only they can solve, whole steps outside training, and what cannot be."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikesim.backends.torch import TorchBackend  # noqa: E402
from spikesim.connect import Dense  # noqa: E402
from spikesim.errors import InvalidValueError, UnknownNameError  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import leaky, lif_soft  # noqa: E402
from spikesim.network import Network, Population, Projection  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import evaluate, train  # noqa: E402
from spikesim.train.learned import with_learned  # noqa: E402

MS = 1e-3


def module_of(network, **settings):
    return TorchBackend().module(lower(network, folded=False, snap=False), dtype="float64", **settings)


LAGS = (3, -4)  # steps by which the second spike follows the first, for each class


def pairs(samples=64, steps=24, seed=0):
    """Two spikes per sample; the class is the lag between them."""
    r = np.random.default_rng(seed)
    y = np.arange(samples) % 2
    x = np.zeros((samples, steps, 2))
    first = r.integers(5, 9, samples)
    x[np.arange(samples), first, 0] = 1
    x[np.arange(samples), first + np.take(LAGS, y), 1] = 1
    return x, y


def coincidence(delay):
    """A detector for each class; which lag it detects is a matter of its delays."""
    return Network(
        [Population("out", 2, leaky(beta=0.2, v_th=1.5, timing="same"))],
        [Projection("x", "out", Dense(np.ones((2, 2))), delay=delay)],
        [Input("x", 2)],
    )


def test_a_task_that_only_delays_can_solve():
    start = coincidence(np.array([4, 5, 4, 5]) * MS)  # by source, then target
    settings = {"weights": [], "delays": {"x->out": 8 * MS}, "encode": "sequence", "validation_fraction": 0.0}
    chance = evaluate(start, *pairs(seed=1), encode="sequence", backend="torch")
    assert chance.accuracy == 0.5
    trained = train(start, pairs(), epochs=60, learning_rate=0.03, **settings)
    (projection,) = trained.network.projections
    steps = np.rint(projection.delay / MS).reshape(2, 2)  # [source, target]
    assert (steps[0] - steps[1]).tolist() == list(LAGS), steps
    assert np.array_equal(projection.rule.weights, np.ones((2, 2)))
    results = [evaluate(trained.network, *pairs(seed=1), encode="sequence", backend=b) for b in ("numba", "torch")]
    assert np.array_equal(results[0].scores, results[1].scores) and results[0].accuracy == 1.0


@pytest.mark.parametrize("per", ["synapse", "source"])
def test_outside_training_learned_delays_are_whole_steps(per):
    r = np.random.default_rng(0)
    delay = r.integers(0, 6, (4, 1)) + (r.integers(0, 3, (4, 3)) if per == "synapse" else np.zeros((4, 3)))
    network = Network(
        [Population("a", 3, lif_soft())],
        [Projection("x", "a", Dense(r.normal(size=(3, 4))), delay=delay.ravel() * MS)],
        [Input("x", 4, graded=True)],
    )
    module = module_of(network, delays={"x->a": 9 * MS}, delay_per=per).eval()
    x = torch.tensor(np.rint(r.uniform(size=(20, 2, 4)) * 2**16) / 2**16)  # the grid of graded inputs
    plain = TorchBackend().module(lower(network), dtype="float64")
    record = ["a/v"]
    assert torch.allclose(module(x, record=record)["a/v"], plain(x, record=record)["a/v"], atol=1e-8)
    assert np.allclose(with_learned(network, module, fold=False).projections[0].delay, delay.ravel() * MS)
    module.train()
    module.anneal_(0.0)
    wide = module(x, record=record)["a/v"]
    module.anneal_(1.0)
    assert float(module.maps[0].sigma) == 0.5
    narrow = module(x, record=record)["a/v"]
    narrow.sum().backward()
    assert module.maps[0].delay.grad.abs().sum() > 0 and not torch.equal(wide, narrow)
    with torch.no_grad():
        module.maps[0].delay += 5.0
    module.constrain_()
    assert module.learned_delays()["x->a"].tolist() == [9] * 12


def test_delays_that_cannot_be_learned():
    network = coincidence(np.array([4, 5, 4, 4]) * MS)
    for words, settings in {
        "more than 3, the longest": {"delays": {"x->out": 3 * MS}},
        "at least one step": {"delays": {"x->out": 0.0}},
        "use delay_per='synapse'": {"delays": {"x->out": 9 * MS}, "delay_per": "source"},
    }.items():
        with pytest.raises(InvalidValueError, match=words):
            module_of(network, **settings)
    with pytest.raises(UnknownNameError, match="x->out"):
        module_of(network, delays={"x->ou": 9 * MS})
