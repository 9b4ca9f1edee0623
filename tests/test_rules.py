"""Training rules: OTTT and DSR against their definitions, written a second time; what they refuse; that they learn."""

import gc

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from spikesim import data  # noqa: E402
from spikesim.backends.torch.module import SpikingModule  # noqa: E402
from spikesim.backends.torch.rules import make_rule  # noqa: E402
from spikesim.backends.torch.rules.membrane import decay  # noqa: E402
from spikesim.connect import Dense  # noqa: E402
from spikesim.equations.response import respond  # noqa: E402
from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError  # noqa: E402
from spikesim.layers import conv2d, dense, pool, sequential  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import alif, cuba_lif, izhikevich, leaky, li, lif, lif_soft  # noqa: E402
from spikesim.network import Network, Population, Projection  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import evaluate, loss, train  # noqa: E402
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


def small(hidden, last, recurrent=True):
    """Two layers, the first of which may feed back on itself with a delay of two steps."""
    net = sequential(Input("x", 5, graded=True), dense(6), hidden, dense(CLASSES), last, seed=3)
    if not recurrent:
        return net
    weights = np.random.default_rng(5).normal(0, 0.4, (6, 6))
    return net.add(Projection("layer1", "layer1", Dense(weights), delay=2e-3))


def softmax_error(scores, labels):
    """Gradient of the mean cross-entropy."""
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return (p - np.eye(CLASSES)[labels]) / len(labels)


def by_definition(net, x, y, lam, th, after):
    """Compute OTTT's loss and gradients from its equations, step by step and number by number, for :func:`small`."""
    edges = {e.name: np.asarray(e.rule.weights) for e in lower(net).edges}
    w1, w2, r = edges["x->layer1"], edges["layer1->layer2"], edges["layer1->layer1"]

    def slope(u):
        return 1.0 / (1.0 + (np.pi * (u - th)) ** 2)

    v1, v2 = np.zeros((SAMPLES, 6)), np.zeros((SAMPLES, CLASSES))
    ax, a1, ar = np.zeros((SAMPLES, 5)), np.zeros((SAMPLES, 6)), np.zeros((SAMPLES, 6))
    sums, total, emitted = [np.zeros_like(w) for w in (w1, w2, r)], 0.0, [np.zeros((SAMPLES, 6))] * 2
    for t in range(STEPS):
        u1 = lam * v1 + x[t] @ w1.T + emitted[t] @ r.T
        s1 = (u1 > th) * 1.0
        u2 = lam * v2 + s1 @ w2.T
        s2 = (u2 > th) * 1.0
        ax, a1, ar = lam * ax + x[t], lam * a1 + s1, lam * ar + emitted[t]
        v1, v2 = after(u1, s1), after(u2, s2)
        emitted.append(s1)
        total += -np.log(np.exp(s2) / np.exp(s2).sum(1, keepdims=True))[range(SAMPLES), y].mean() / STEPS
        g2 = softmax_error(s2, y) / STEPS * slope(u2)
        g1 = (g2 @ w2) * slope(u1)
        for k, part in enumerate((g1.T @ ax, g2.T @ a1, g1.T @ ar)):
            sums[k] += part
    return total, dict(zip(("x->layer1", "layer1->layer2", "layer1->layer1"), sums, strict=True))


@pytest.mark.parametrize(
    ("neuron", "lam", "after"),
    [
        (leaky(beta=0.8, v_th=0.4, timing="same"), 0.8, lambda u, s: u - 0.4 * s),
        (lif(tau_m=1e-3 / np.log(1 / 0.7), v_th=0.4, v_reset=-0.1), 0.7, lambda u, s: np.where(s > 0, -0.1, u)),
    ],
    ids=["soft", "hard"],
)
def test_ottt_is_its_definition(neuron, lam, after):
    net = small(neuron, neuron)
    x, y = batch((5,), STEPS)
    value, found, _ = gradients(net, x, y, rule="ottt")
    snapped = np.round(x.numpy() * 2**16) / 2**16  # as graded inputs are
    expected_value, expected = by_definition(net, snapped.transpose(1, 0, 2), y.numpy(), lam, 0.4, after)
    assert value == pytest.approx(expected_value, rel=1e-12)
    for name, gradient in expected.items():
        assert np.abs(gradient).max() > 1e-4
        np.testing.assert_allclose(found[name].t(), gradient, rtol=0, atol=1e-12 * np.abs(gradient).max())


def test_ottt_is_autograd_with_the_past_detached():
    """A convolution, a pool before it, a read-out membrane: plain torch, traces in by exchanging a value's gradient."""
    net = sequential(
        Input("x", (2, 8, 8), graded=True), pool(2), conv2d(3, 3, padding=1), lif_soft(lam=0.9), dense(CLASSES),
        li(beta=0.8), seed=1,
    )  # fmt: skip
    x, y = batch((2, 8, 8))
    _, found, module = gradients(net, x, y, readout="membrane_mean", rule="ottt")

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, u):
            ctx.save_for_backward(u)
            return (u > 0).to(u.dtype)

        @staticmethod
        def backward(ctx, grad):
            return grad / (1.0 + (np.pi * ctx.saved_tensors[0]) ** 2)

    w1 = module.maps[0].parts[1].weight.detach().clone().requires_grad_()
    w2 = module.maps[1].weight.detach().t().clone().requires_grad_()

    def project(f, value, trace, weight):
        """Return the projection of ``value``, in which the weight's gradient is that of the trace."""
        traced = f(trace.detach(), weight)
        return f(value, weight.detach()) + traced - traced.detach()

    def conv(image, weight):
        return functional.conv2d(image, weight, padding=1)

    image = functional.avg_pool2d(torch.round(x * 2**16) / 2**16, 2)
    v1 = a0 = a1 = v2 = torch.zeros(())
    for _ in range(STEPS):
        a0 = 0.9 * a0 + image
        u1 = 0.9 * v1.detach() + project(conv, image, a0, w1)
        s1 = Spike.apply(u1 - 0.5)
        v1 = u1 - s1
        a1 = 0.8 * a1 + s1.detach().flatten(1)
        v2 = 0.8 * v2.detach() + project(functional.linear, s1.flatten(1), a1, w2)
        (functional.cross_entropy(v2, y) / STEPS).backward()
    part = module.maps[0].parts[1].weight.grad
    torch.testing.assert_close(part, w1.grad, rtol=0, atol=1e-12 * float(w1.grad.abs().max()))
    torch.testing.assert_close(found["layer1->layer2"].t(), w2.grad, rtol=0, atol=1e-12 * float(w2.grad.abs().max()))


def test_ottt_of_one_layer_is_bptt_without_the_reset():
    """With one layer nothing is lost but the reset, whatever the states: here a current and a membrane."""
    neuron = cuba_lif(reset="subtract", du=0.4, dv=0.2)
    net = sequential(Input("x", 5, graded=True), dense(CLASSES), neuron, seed=2)
    x, y = batch((5,), 20)
    _, found, _ = gradients(net, x, y, steps=20, rule="ottt")
    module = SpikingModule(lower(net), dtype="float64", detach_reset=True)
    spikes = module(x.transpose(0, 1))["layer1"]
    (sum(functional.cross_entropy(s, y) for s in spikes) / 20).backward()
    assert spikes.sum() > 0
    torch.testing.assert_close(found["x->layer1"], module.maps[0].weight.grad, rtol=0, atol=1e-12)


def test_ottt_reads_the_last_membrane():
    net = sequential(Input("x", 5, graded=True), dense(CLASSES), li(), seed=2)
    x, y = batch((5,), STEPS)
    value, found, _ = gradients(net, x, y, readout="membrane_last", rule="ottt")
    expected_value, expected, _ = gradients(net, x, y, readout="membrane_last", rule="bptt")
    assert value == pytest.approx(expected_value, rel=1e-12)
    torch.testing.assert_close(found["x->layer1"], expected["x->layer1"], rtol=0, atol=1e-12)


def test_ottt_keeps_nothing_of_the_steps_that_are_over(monkeypatch):
    """Bytes of all tensors that are alive while the last step is judged, for few and for many steps."""
    net = small(lif_soft(lam=0.9), lif_soft(lam=0.9))
    x, y = batch((5,))

    def alive(steps, rule):
        seen = []
        plain = Task.judge

        def judge(self, *arguments):
            seen.append(0)
            if len(seen) == (steps if rule == "ottt" else 1):
                gc.collect()
                found = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in _tensors()}
                seen[-1] = sum(found.values())
            return plain(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Task, "judge", judge)
            gradients(net, x, y, steps=steps, rule=rule)
        return seen[-1]

    alive(3, "ottt")  # fills what is kept once for all
    assert alive(200, "ottt") == alive(20, "ottt")
    assert alive(200, "bptt") > alive(20, "bptt") + 180 * SAMPLES * 10 * 8  # the measure sees what BPTT keeps


def _tensors():
    return [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]


# ------------------------------------------------------------------------------------------------------- learning
@pytest.mark.parametrize(
    "settings",
    [
        {"rule": "ottt"},
        {"rule": "ottt", "rule_settings": {"every_step": True}, "optimiser": "sgd", "learning_rate": 0.05},
        {"rule": "dsr"},
        {"rule": "dsr", "errors": "sign"},
        {"rule": "ottt", "errors": "sign"},
        {"errors": "feedback", "epochs": 12, "learning_rate": 1e-2},
    ],
    ids=["ottt", "every-step", "dsr", "dsr-sign", "ottt-sign", "bptt-feedback"],
)
def test_rules_learn_digits(settings):
    """Guessing gives 0.1; hidden weights that stay as drawn 0.62 in 6 epochs, 0.86 in 12 at the higher rate."""
    digits = data.load("digits").scaled()
    start = sequential(Input("image", (8, 8), graded=True), dense(48), lif_soft(), dense(10), li(tau_m=20e-3), seed=0)
    options = {"loss": "membrane_cross_entropy", "learning_rate": 4e-3, "epochs": 6, "validation_fraction": 0.0}
    trained = train(start, digits, **{**options, **settings})
    result = evaluate(trained.network, digits.x_test, digits.y_test, backend="torch", readout="membrane_mean")
    assert result.accuracy > (0.92 if "epochs" in settings else 0.87)


def test_a_rule_of_ones_own():
    """One that moves the last layer only, by the delta rule on the spikes of the last step."""
    seen = []

    def delta(task, batch, update):
        with torch.no_grad():
            outputs = task.module({"x": task.over_time(batch.x)})
            found = task.judge(outputs["layer2"], {"layer1": outputs["layer1"]}, batch)
        error = outputs["layer2"].mean(0) - functional.one_hot(batch.y, CLASSES)
        task.module.maps[1].weight.grad = outputs["layer1"].mean(0).t() @ error / len(batch.x)
        update()
        seen.append(float(error.abs().mean()))
        return found

    x = np.random.default_rng(0).uniform(0, 0.3, (60, 5))
    x[np.arange(60), np.arange(60) % CLASSES] += 1.0
    net = small(lif_soft(), lif_soft(), recurrent=False)
    trained = train(net, (x, np.arange(60) % CLASSES), epochs=40, rule=delta, learning_rate=0.03, batch_size=60)
    assert np.array_equal(trained.network.projections[0].rule.weights, lower(net).edges[0].rule.weights.astype("f4"))
    assert seen[-1] < 0.7 * seen[0]


# ------------------------------------------------------------------------------------------------------- refusals
def test_traces_follow_the_membrane_between_spikes():
    """Two states give a trace of two: what one unit of input adds to the tested membrane, step by step."""
    node = lower(Network([Population("a", 1, cuba_lif(du=0.4, dv=0.2))])).nodes[0]
    found = decay(node.model, "i", {k: torch.tensor(np.asarray(v)) for k, v in node.constants.items()})
    e, trace = np.zeros(2), []
    for t in range(6):
        x = float(t == 0)
        trace.append(found.read @ e + x)
        e = found.keep @ e + found.take * x
    impulse = respond(cuba_lif(du=0.4, dv=0.2, v_th=100.0), [1.0, 0, 0, 0, 0, 0])["v"]
    np.testing.assert_allclose(trace, impulse, rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "cells", "word"),
    [
        ({"rule": "ottt"}, {"hidden": izhikevich()}, "(?s)'layer1'.*not linear.*use rule 'bptt'"),
        ({"rule": "ottt"}, {"hidden": lif(tau_m=np.linspace(5e-3, 9e-3, 6))}, "one decay for all neurons, found 6"),
        ({"rule": "ottt", "params": {"layer1": ["q"]}}, {}, "leave params out"),
        ({"rule": "dsr", "params": {"layer1": ["lam", "q"]}}, {}, "'layer1'.*the weighted rate.*on 'lam'; leave"),
        ({"rule": "ottt"}, {"delay": 1e-3}, "a delay between layers must be 0, found 1 steps"),
        ({"rule": "dsr"}, {"hidden": lif()}, r"(?s)'layer1'.*reset='subtract'"),
        ({"rule": "dsr"}, {"hidden": alif()}, "one leaking state, found 2"),
        ({"rule": "dsr"}, {"hidden": lif_soft(lam=np.linspace(0.5, 1, 6))}, "one leak for all neurons, found 6"),
        ({"rule": "dsr"}, {"loop": True}, "on a cycle"),
        ({"rule": "dsr"}, {"hidden": li()}, "never fires"),
    ],
)  # fmt: skip
def test_networks_that_do_not_fit_a_rule(settings, cells, word):
    net = small(cells.get("hidden", lif_soft()), lif_soft(), recurrent="loop" in cells)
    if "delay" in cells:
        net = net.swap(*(Projection(p.pre, p.post, p.rule, delay=1e-3) for p in net.projections[1:]))
    x, y = batch((5,))
    with pytest.raises(UnsupportedError, match=word):
        train(net, (x.numpy(), y.numpy()), validation_fraction=0.0, **settings)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"rule": "otttt"}, "did you mean 'ottt'"),
        ({"errors": "signs"}, "did you mean 'sign'"),
    ],
)
def test_unknown_names(settings, word):
    x, y = batch((5,))
    with pytest.raises(UnknownNameError, match=word):
        train(small(lif_soft(), lif_soft()), (x.numpy(), y.numpy()), **settings)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"rule": "dsr", "rule_settings": {"every_step": True}}, "no setting 'every_step'"),
        ({"rule": "ottt", "rule_settings": {"every": True}}, "known: every_step"),
        ({"hook_rows": 0}, "at least 1"),
        ({"rule": lambda *a: None, "hook": lambda *a: None}, "calls no hook"),
        ({"rule": "dsr", "readout": "membrane_max", "loss": "membrane_cross_entropy", "last": li()}, "membrane_max"),
        ({"rule": "ottt", "readout": "membrane_max", "loss": "membrane_cross_entropy", "last": li()}, "membrane_max"),
    ],
)
def test_settings_that_do_not_fit_a_rule(settings, word):
    settings = dict(settings)
    net = small(lif_soft(), settings.pop("last", lif_soft()), recurrent=False)
    x, y = batch((5,))
    with pytest.raises(InvalidValueError, match=word):
        train(net, (x.numpy(), y.numpy()), validation_fraction=0.0, **settings)
