"""Training in the chip's arithmetic: the forward pass is the emulator, and accuracy comes back."""

import numpy as np
import pytest

from spikesim import Input, Network, Population, Projection, data, ms, run, sequential
from spikesim.connect import Dense, FixedProbability
from spikesim.distributions import Normal, Uniform
from spikesim.errors import InvalidValueError
from spikesim.layers import conv2d, dense
from spikesim.models.networks import digits_mlp
from spikesim.models.neurons import cuba_lif, lif_soft
from spikesim.quantise import quantise
from spikesim.quantise.tuning import chip_module
from spikesim.train import train

torch = pytest.importorskip("torch")


SAMPLE = np.random.default_rng(3).random((60, 3, 25)) < 0.25


def recurrent() -> Network:
    """A cycle of a matrix and one of synapses with delays of their own, and time constants that differ."""
    rng = np.random.default_rng(1)
    cell = cuba_lif(reset="subtract", du=0.3, dv=np.array([0.05, 0.1, 0.2])[rng.integers(0, 3, 30)])
    return Network(
        [Population("a", 30, cell), Population("b", 12, cuba_lif(reset="subtract", du=0.3, dv=0.1))],
        [
            Projection("x", "a", Dense(rng.normal(0.1, 0.3, (30, 25)))),
            Projection("a", "a", FixedProbability(0.5), Normal(0.0, 0.1), delay=Uniform(1 * ms, 5 * ms)),
            Projection("a", "b", Dense(rng.normal(0.05, 0.2, (12, 30)))),
            Projection("b", "a", Dense(rng.normal(0.0, 0.1, (30, 12))), delay=2 * ms),
        ],
        [Input("x", 25)],
    )


def spikes_of(module, inputs):  # type: ignore[no-untyped-def]
    with torch.no_grad():
        return {n: s.numpy() > 0 for n, s in module.inner(torch.as_tensor(inputs, dtype=torch.float64)).items()}


def conv_net():  # type: ignore[no-untyped-def]
    return sequential(Input("x", (1, 5, 5)), conv2d(3, 3), lif_soft(), dense(4), lif_soft(), seed=2)


@pytest.mark.parametrize("make", [recurrent, conv_net])
def test_the_forward_pass_is_the_emulator_before_and_after_training(make) -> None:  # type: ignore[no-untyped-def]
    result = quantise(make(), weight_bits=5, calibration=SAMPLE, bins=2)
    last = result.plan.order[-1]
    n = result.plan.populations[last].node.n
    labels = np.arange(60) % n
    x = np.random.default_rng(0).random((60, 20, 25)) < 0.2
    tuned = result.fine_tune((x, labels), epochs=1, encode="sequence", steps=20, learning_rate=0.02)
    assert all(p != result.network[p.name] for p in tuned.network.projections if "x->" in p.name)
    assert "fine-tuned for 1 epochs" in tuned.notes[-1]
    for now in (result, tuned):
        found = spikes_of(chip_module(now), SAMPLE)
        emulated = now.merge(run(now.network, inputs={"x": SAMPLE}, backend="loihi"))
        for name, spikes in emulated.spikes.items():
            assert len(spikes) > 30 and (found[name] == spikes.dense()).all(), name


def test_gradients_pass_the_rounding_with_the_factor() -> None:
    """Also on a cycle, whose weight gradients take a way of their own."""
    result = quantise(recurrent(), weight_bits=6, calibration=SAMPLE)
    module = chip_module(result)
    module(torch.as_tensor(SAMPLE, dtype=torch.float64)).sum().backward()
    from spikesim.engine import backend
    from spikesim.lowering import lower

    plain = backend("torch").module(lower(result.plan.network()), dtype="float64")  # type: ignore[attr-defined, union-attr]
    plain(torch.as_tensor(SAMPLE, dtype=torch.float64))["b"].sum().backward()
    for part, other in zip(module.inner.maps, plain.maps, strict=True):
        name = "weight" if hasattr(other, "weight") else "values"
        factor, levels = part.rounding.factor, part.rounding.levels
        wanted, scaled = getattr(other, name).grad * factor, part.master.detach() * factor
        inside = (scaled <= levels.high) & (scaled >= levels.low)
        assert torch.equal(getattr(part, name), getattr(other, name))
        assert torch.allclose(part.master.grad[inside], wanted[inside], rtol=1e-9) and wanted.abs().max() > 0


def test_accuracy_is_won_back() -> None:
    digits = data.load("digits").scaled().flat()
    x, y, x_test, y_test = digits.x_train[:500], digits.y_train[:500], digits.x_test, digits.y_test
    coding = {"encode": "regular", "steps": 8}
    trained = train(digits_mlp(hidden=(24,)), (x, y), epochs=8, learning_rate=1e-2, validation_fraction=0.0, **coding)
    from spikesim.train.samples import present, the_input

    inputs = present(x_test, "regular", 8, the_input(trained.network))
    coarse = quantise(trained.network, weight_bits=3)
    before = coarse.measure(inputs, y_test, causes=False)
    tuned = coarse.fine_tune((x, y), epochs=4, learning_rate=3e-3, validation_fraction=0.0, **coding)
    after = tuned.measure(inputs, y_test, causes=False)
    assert before.accuracy_float is not None and before.accuracy_fixed is not None and after.accuracy_fixed is not None
    lost = before.accuracy_float - before.accuracy_fixed
    assert lost > 0.03, "the case must be hard"
    assert after.accuracy_fixed > before.accuracy_fixed + lost / 2
    assert all(p.bits == 3 for p in tuned.projections.values())
    measured = tuned.measure(inputs)
    causes = {c.rounding: c.share for c in measured.causes}
    assert measured.blamed == "weights" and causes["thresholds"] < causes["weights"]


def test_options_that_cannot_be() -> None:
    result = quantise(conv_net())
    with pytest.raises(InvalidValueError, match="float64"):
        result.fine_tune(([], []), dtype="float32")
    with pytest.raises(InvalidValueError, match="encode='regular'"):
        result.fine_tune((np.full((40, 25), 0.3), np.arange(40) % 4), epochs=1, steps=2)
