"""DSR against its definition, written a second time: rates as clamps, in plain torch and by finite differences."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from spikesim.backends.torch.module import SpikingModule  # noqa: E402
from spikesim.backends.torch.rules import make_rule  # noqa: E402
from spikesim.backends.torch.rules.representation import represent  # noqa: E402
from spikesim.equations.response import respond  # noqa: E402
from spikesim.layers import conv2d, dense, pool, sequential  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import integrate_and_fire, leaky, li, lif, lif_soft  # noqa: E402
from spikesim.network import Network, Population  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import loss  # noqa: E402
from spikesim.train.feeds import Batch  # noqa: E402
from spikesim.train.learner import NetworkLearner  # noqa: E402
from spikesim.train.readout import read_out  # noqa: E402
from spikesim.train.rules import Learning  # noqa: E402
from spikesim.train.task import Task  # noqa: E402

STEPS, SAMPLES, CLASSES = 7, 3, 4


def gradients(net, x, y, readout="rate", steps=STEPS, params=None, **learning):
    """Return loss and gradients of the projections (and parameters) that one batch of a rule leaves, float64."""
    module = SpikingModule(lower(net), dtype="float64", params=params)
    reader = read_out(net, readout)
    rule = make_rule(module, Learning(**learning), reader)
    entry = next(s for s in net.stimuli if isinstance(s, Input))
    how = "membrane_cross_entropy" if reader.state else "rate_cross_entropy"
    encode = "constant" if x.ndim == 1 + len(entry.shape) else "sequence"
    task = Task(NetworkLearner(net, module, entry, reader), entry, reader, loss(how), [], encode, steps)
    value, right = rule(task, Batch(x, y, None), lambda: None)
    assert 0 <= right <= len(y)
    found = {
        n.name: m.weight.grad for n, m in zip(module.graph.edges, module.maps, strict=True) if hasattr(m, "weight")
    }
    found |= {k: p.grad for k, p in module.learned.items()}
    return float(value), found, module


def batch(shape, steps=None, seed=0):
    generator = np.random.default_rng(seed)
    size = (SAMPLES, *shape) if steps is None else (SAMPLES, steps, *shape)
    return torch.tensor(generator.uniform(0, 1, size)), torch.tensor(generator.integers(0, CLASSES, SAMPLES))


def softmax_error(scores, labels):
    """Gradient of the mean cross-entropy."""
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return (p - np.eye(CLASSES)[labels]) / len(labels)


def test_the_rate_of_a_neuron_without_leak_is_a_clamp():
    steps = 50
    inputs = np.linspace(-0.5, 1.5, 41)
    for neuron in (lif_soft(), integrate_and_fire(reset="subtract", v_th=0.5, q=1.0)):
        rates = np.array([respond(neuron, np.full(steps, i))["spike"].mean() for i in inputs])
        assert np.abs(rates - np.clip(inputs, 0, 1)).max() <= 1 / steps


@pytest.mark.parametrize(
    "neuron",
    [
        lif_soft(lam=0.9, th=0.3, q=0.7, bias=0.05),
        leaky(beta=0.8, v_th=0.4, q=0.6, bias=0.02, timing="same"),
        leaky(beta=0.8, v_th=0.4, q=0.6, bias=0.02, timing="next"),
        lif(tau_m=5e-3, reset="subtract", v_th=0.5),
    ],
    ids=["soft", "same", "next", "lif"],
)
def test_the_weighted_rate_is_the_weighted_input_but_for_the_membrane(neuron):
    """Exactly: W (x - q r) is what is left in the membrane."""
    node = lower(Network([Population("a", 1, neuron)])).nodes[0]
    form = represent(node.model, {k: torch.tensor(np.asarray(v)) for k, v in node.constants.items()})
    current = np.random.default_rng(0).uniform(-0.2, 0.8, 40)
    response = respond(neuron, current)
    left = form.keep ** np.arange(39, -1, -1.0)
    (gain,) = form.gain.values()
    x, r = left @ (float(gain) * current + float(form.bias)), left @ response["spike"]
    rest = response["v"][-1]
    if node.model.options["timing"] == "next":  # the last spike is taken off in the step to come
        rest = rest - float(form.quantum) * response["spike"][-1]
    assert r > 2
    assert x - float(form.quantum) * r == pytest.approx(rest, abs=1e-12)


def representation(outputs, x, weights, forms, pools):
    """Return DSR's loss as a function of weights and parameters: clamps, moved to what was measured."""
    frozen = {}

    def value(weights, forms):
        rate = None
        for k, (w, form) in enumerate(zip(weights, forms, strict=True)):
            share = form["keep"] ** torch.arange(STEPS - 1, -1, -1.0, dtype=torch.float64)
            if k == len(weights) - 1:  # membrane_mean of the read-out
                share = share.flip(0).cumsum(0).flip(0) / STEPS
            measured = torch.tensordot(share / share.sum(), outputs[k], 1)
            measured = measured.reshape(measured.shape if rate is None else rate.shape)
            if rate is not None:
                frozen.setdefault(k, rate.detach())
                measured = measured + rate - frozen[k]
            if w.ndim == 4:
                arrived = functional.conv2d(functional.avg_pool2d(measured, pools), w).flatten(1)
            else:
                arrived = measured.flatten(1) @ w.t()
            total = arrived + form["bias"]
            if form["q"] is None:
                scores = total * share.sum()
                frozen.setdefault("scores", scores.detach())
                return scores - frozen["scores"]
            rate = (total / form["q"]).clamp(0, 1)
            if w.ndim == 4:
                side = int((rate.shape[1] // w.shape[0]) ** 0.5)
                rate = rate.reshape(len(rate), w.shape[0], side, side)
        return None

    return value


def test_dsr_is_the_gradient_of_the_representation():
    """Against autograd through clamps written in plain torch, and against finite differences of the same."""
    net = sequential(
        Input("x", (1, 8, 8), graded=True), pool(2), conv2d(3, 3), lif_soft(lam=0.9, q=0.8, bias=0.05),
        dense(8), lif_soft(q=0.9), dense(CLASSES), li(beta=0.8), seed=4,
    )  # fmt: skip
    x, y = batch((1, 8, 8), STEPS)
    learned = {"layer1": ["q", "bias"], "layer2": ["q"]}
    _, found, module = gradients(net, x, y, readout="membrane_mean", rule="dsr", params=learned)
    with torch.no_grad():
        over_time = module.emitted({"x": x.transpose(0, 1)})["x"].reshape(STEPS, SAMPLES, 1, 8, 8)
        run = module(x.transpose(0, 1), record=["layer3/v"])
    outputs = [over_time, run["layer1"], run["layer2"]]
    numbers = [0.8, 0.05, 0.9]
    weights = [module.maps[0].parts[1].weight, module.maps[1].weight.t(), module.maps[2].weight.t()]
    free = [w.detach().clone() for w in weights] + [torch.tensor(v, dtype=torch.float64) for v in numbers]

    def forms(q1, b1, q2):
        return [
            {"keep": 0.9, "q": q1, "bias": b1},
            {"keep": 1.0, "q": q2, "bias": 0.0},
            {"keep": 0.8, "q": None, "bias": 0.0},
        ]

    shift = representation(outputs, x, free[:3], forms(*free[3:]), 2)

    def value(values):
        scores = run["layer3/v"].mean(0) + shift(values[:3], forms(*values[3:]))
        return functional.cross_entropy(scores, y)

    value(free)  # fixes what was measured
    leaves = [f.clone().requires_grad_() for f in free]
    value(leaves).backward()
    scales = module.scales
    mine = [
        module.maps[0].parts[1].weight.grad, module.maps[1].weight.grad.t(), module.maps[2].weight.grad.t(),
        *(found[k] / scales[k] for k in ("layer1/q", "layer1/bias", "layer2/q")),
    ]  # fmt: skip
    for own, leaf in zip(mine, leaves, strict=True):
        assert leaf.grad.abs().max() > 1e-5
        torch.testing.assert_close(own, leaf.grad, rtol=0, atol=1e-12 * float(leaf.grad.abs().max()))
    for k, own in enumerate(mine):
        place = np.unravel_index(int(own.abs().argmax()), own.shape)
        ends = []
        for sign in (1, -1):
            moved = [f.clone() for f in free]
            moved[k][place] += sign * 1e-6
            ends.append(float(value(moved)))
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(float(own[place]), rel=1e-5)


def test_dsr_of_spikes_counts_them():
    """Read by its spikes, the last layer is a clamp too: and the loss is that of the counts."""
    net = sequential(Input("x", 5, graded=True), dense(CLASSES), lif_soft(), seed=2)
    x, y = batch((5,))
    value, found, module = gradients(net, x, y, rule="dsr")
    image = torch.round(x * 2**16) / 2**16
    counts = module(image.expand(STEPS, -1, -1))["layer1"].sum(0).detach()
    arrived = image @ module.maps[0].weight.detach()
    inside = ((arrived > 0) & (arrived < 1)).double()
    error = torch.tensor(softmax_error(counts.numpy(), y.numpy())) * inside * STEPS
    assert value == pytest.approx(float(functional.cross_entropy(counts, y)), rel=1e-12)
    torch.testing.assert_close(found["x->layer1"], image.t() @ error, rtol=0, atol=1e-12)
