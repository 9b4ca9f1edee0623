"""Errors through other weights, and the hook on presynaptic rows: exact where they must coincide with what is known."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy import sparse  # noqa: E402

from spikesim.backends.torch.linear import ChainMap  # noqa: E402
from spikesim.backends.torch.module import SpikingModule  # noqa: E402
from spikesim.backends.torch.rules import make_rule  # noqa: E402
from spikesim.backends.torch.rules.feedback import set_feedback  # noqa: E402
from spikesim.backends.torch.rules.parts import parts  # noqa: E402
from spikesim.connect import Dense, FixedProbability, OneToOne, Sparse  # noqa: E402
from spikesim.distributions import Normal  # noqa: E402
from spikesim.errors import InvalidValueError, UnsupportedError  # noqa: E402
from spikesim.layers import batch_norm, conv2d, dense, dropout, pool, sequential  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import li, lif_soft  # noqa: E402
from spikesim.network import Projection  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import loss, train  # noqa: E402
from spikesim.train.feeds import Batch  # noqa: E402
from spikesim.train.learner import NetworkLearner  # noqa: E402
from spikesim.train.readout import read_out  # noqa: E402
from spikesim.train.rules import Learning  # noqa: E402
from spikesim.train.task import Task  # noqa: E402

SAMPLES, STEPS, CLASSES = 4, 5, 3
RULES = ("bptt", "ottt", "dsr")


def net(loop=False):
    """A pool and a convolution, a sparse projection, a dense read-out; on request a recurrent projection."""
    mask = sparse.random_array((10, 12), density=0.4, rng=np.random.default_rng(0))
    layered = sequential(
        Input("x", (2, 7, 7), graded=True), pool(2), conv2d(3, 2), lif_soft(lam=0.9),
        dense(10), lif_soft(lam=0.9), dense(CLASSES), li(beta=0.9), seed=1,
    )  # fmt: skip
    layered = layered.swap(Projection("layer1", "layer2", Sparse(mask)))
    if loop:
        layered = layered.add(Projection("layer2", "layer2", Dense(np.full((10, 10), 0.1)), delay=1e-3))
    return layered


def learn(module, network, rule="bptt", seed=0, steps=STEPS, hook=None, constant=True, **settings):
    """Let a rule learn from a batch and return the gradients of all parameters."""
    reader = read_out(network, "membrane_mean")
    learner = make_rule(module, Learning(rule, hook=hook, seed=7, **settings), reader)
    entry = network.stimuli[0]
    encode = "constant" if constant else "sequence"
    task = Task(
        NetworkLearner(network, module, entry, reader), entry, reader, loss("membrane_cross_entropy"), [], encode, steps
    )
    generator = np.random.default_rng(seed)
    size = (SAMPLES, *entry.shape) if constant else (SAMPLES, steps, *entry.shape)
    x, y = torch.tensor(generator.uniform(0, 1, size)), torch.tensor(generator.integers(0, CLASSES, SAMPLES))
    found = []
    learner(task, Batch(x, y, None), lambda: found.extend(p.grad.clone() for p in module.parameters()))
    for parameter in module.parameters():
        parameter.grad = None
    return found


def close(one, other):
    for a, b in zip(one, other, strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12 * float(b.abs().max()))


def matrices(module):
    return [part for wire in module.wires() for part in parts(wire)]


# -------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["feedback", "sign"])
def test_feedback_that_coincides_with_the_weights_gives_the_exact_gradient(rule, kind):
    network = net(loop=rule != "dsr")
    module = SpikingModule(lower(network), dtype="float64")
    with torch.no_grad():
        for part in matrices(module):
            set_feedback(part, kind, seed=7)
            part.weight.copy_(part.linear.back.weight(part.linear))
    exact = learn(module, network, rule)
    assert all(part.linear.back is None for part in matrices(module))
    close(learn(module, network, rule, errors=kind), exact)


def test_feedback_weights_are_what_they_are_called():
    network = net()
    module = SpikingModule(lower(network), dtype="float64")
    conv, rows, full = matrices(module)
    drawn = []
    for seed in (7, 7, 8):
        for part in (conv, rows, full):
            set_feedback(part, "feedback", seed)
        drawn.append([part.linear.back.weight(part.linear) for part in (conv, rows, full)])
    for a, b, c, part in zip(*drawn, (conv, rows, full), strict=True):
        assert torch.equal(a, b) and not torch.equal(a, c) and a.shape == part.weight.shape
    assert float(drawn[0][0].abs().max()) <= (6 / (2 * 2 * 2)) ** 0.5  # Kaiming-uniform, 8 inputs
    assert 0.7 * (6 / 10) ** 0.5 < float(drawn[0][2].abs().max()) <= (6 / 10) ** 0.5
    set_feedback(conv, "sign", 0)
    set_feedback(full, "sign", 0)
    signs = conv.linear.back.weight(conv.linear)
    torch.testing.assert_close(signs, torch.sign(conv.weight) * (2 / (2 * 2 * 3)) ** 0.5)
    torch.testing.assert_close(full.linear.back.weight(full.linear), torch.sign(full.weight) / 10**0.5)


@pytest.mark.parametrize("rule", RULES)
def test_only_what_lies_before_a_projection_feels_its_feedback(rule):
    network = sequential(Input("x", 6, graded=True), dense(8), lif_soft(), dense(CLASSES), li(beta=0.9), seed=1)
    module = SpikingModule(lower(network), dtype="float64")
    exact = learn(module, network, rule)
    other = learn(module, network, rule, errors="feedback")
    close(other[1:], exact[1:])
    assert not torch.allclose(other[0], exact[0])


def test_errors_reach_a_layer_through_the_feedback():
    network = sequential(Input("x", 6, graded=True), dense(8), lif_soft(), dense(CLASSES), li(beta=0.9), seed=1)
    module = SpikingModule(lower(network), dtype="float64")
    last, caught = matrices(module)[1].linear, []

    def keep(gradient):
        caught.append(gradient.detach())

    last.register_forward_hook(lambda linear, given, result: result.register_hook(keep) and None)
    module.register_forward_hook(lambda m, given, outputs: outputs["layer1"].register_hook(keep) and None)
    learn(module, network, errors="feedback")
    error, reached = caught
    torch.testing.assert_close(reached.flatten(0, 1), error @ last.back.weight(last).t(), rtol=1e-12, atol=0)


# ---------------------------------------------------------------------------------------------------------- hook
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "sequence"])
@pytest.mark.parametrize("rule", RULES)
def test_gradients_are_errors_times_rows(rule, constant):
    """For every kind of matrix: the errors are caught where they leave the maps, the rows come from the hook."""
    network = net(loop=rule != "dsr")
    module = SpikingModule(lower(network), dtype="float64")
    errors, shown = {}, {}

    def catch(name):
        def caught(linear, given, result):
            if result.requires_grad:
                result.register_hook(lambda gradient: errors.setdefault(name, []).append(gradient.clone()))

        return caught

    for part in matrices(module):
        part.linear.register_forward_hook(catch(part.name))

    def hook(projection, rows, gradient):
        shown.setdefault(projection, []).append((rows, gradient.clone()))

    plain = learn(module, network, rule, hook=None, constant=constant)
    errors.clear()
    watched = learn(module, network, rule, hook=hook, constant=constant)
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    assert set(shown) == {p.name for p in network.projections}
    for name in errors:  # products that need no autograd (dense ones of OTTT and of cycles) leave no errors to catch
        part = next(p for p in matrices(module) if p.name == name)
        caught = errors[name][:: len(errors[name]) // len(shown[name])]  # OTTT takes some twice: back, and for weights
        for error, (rows, gradient) in zip(caught, shown[name], strict=True):
            if part.weight.ndim == 4:
                # [m, channels * places] -> one row per place, as the patches are ordered
                error = error.reshape(len(error), part.weight.shape[0], -1).transpose(1, 2).flatten(0, 1)
            product = error.t() @ rows
            if part.weight.ndim == 1:
                product = product.t()[part.linear.rows, part.linear.columns]
            torch.testing.assert_close(product, gradient, rtol=0, atol=1e-12 * float(gradient.abs().max()))
    assert "x->layer1" in errors and len(shown["x->layer1"]) == (STEPS if rule == "ottt" else 1)


def test_dense_rows_and_gradients_of_ottt():
    """The traces that the hook sees, and the errors that a read-out membrane has: softmax minus label."""
    network = sequential(Input("x", 6, graded=True), dense(CLASSES), li(beta=0.9), seed=1)
    module = SpikingModule(lower(network), dtype="float64")
    shown = []
    learn(module, network, "ottt", hook=lambda name, rows, gradient: shown.append((rows, gradient.clone())))
    generator = np.random.default_rng(0)
    x = np.round(generator.uniform(0, 1, (SAMPLES, 6)) * 2**16) / 2**16
    y = generator.integers(0, CLASSES, SAMPLES)
    weight, trace, v = module.maps[0].weight.detach().numpy(), np.zeros_like(x), np.zeros((SAMPLES, CLASSES))
    for rows, gradient in shown:
        trace, v = 0.9 * trace + x, 0.9 * v + x @ weight
        p = np.exp(v) / np.exp(v).sum(1, keepdims=True)
        error = (p - np.eye(CLASSES)[y]) / SAMPLES / STEPS
        np.testing.assert_allclose(rows, trace, rtol=1e-12)
        np.testing.assert_allclose(gradient, error.T @ trace, rtol=0, atol=1e-14)


def test_a_chain_of_two_matrices_is_two_projections():
    two = sequential(
        Input("x", (1, 6, 6), graded=True), conv2d(2, 3), pool(2), dense(CLASSES), li(beta=0.9), seed=1
    )  # fmt: skip
    module = SpikingModule(lower(two), dtype="float64")
    assert isinstance(module.maps[0], ChainMap)
    shapes = {}
    learn(module, two, hook=lambda name, rows, gradient: shapes.setdefault(name, (rows.shape, gradient.shape)) and None)
    assert shapes == {
        "x->layer1/0": ((SAMPLES * 16, 9), (2, 9)),
        "x->layer1/1": ((SAMPLES, 8), (CLASSES, 8)),
    }


@pytest.mark.parametrize("rule", RULES)
def test_a_draw_of_rows_is_a_part_of_all(rule):
    network = net()
    module = SpikingModule(lower(network), dtype="float64")
    sets = []
    for most in (None, 11):
        shown = {}
        learn(module, network, rule, hook=_collect(shown), hook_rows=most)
        sets.append(shown)
    for name, rows in sets[0].items():
        few = sets[1][name]
        assert len(few) == min(11, len(rows))
        known = {tuple(r) for r in rows.tolist()}
        assert all(tuple(r) in known for r in few.tolist())
    assert len(sets[0]["x->layer1"]) == SAMPLES * 4


def _collect(shown):
    def hook(projection, rows, gradient):
        shown.setdefault(projection, rows)

    return hook


@pytest.mark.parametrize("rule", RULES)
def test_the_hook_replaces_gradients(rule):
    """One that projects rows away, as continual learning does: along what was seen, the weights stay."""
    network = sequential(Input("x", 6, graded=True), dense(8), lif_soft(), dense(CLASSES), li(beta=0.9), seed=1)
    direction = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]) / 2**0.5
    protected = torch.tensor(direction)

    def project(projection, rows, gradient):
        if projection == "layer1->layer2":
            return torch.zeros_like(gradient)
        assert rows.shape[1] == gradient.shape[1] == 6
        return gradient - torch.outer(gradient @ protected, protected)

    x, y = np.random.default_rng(0).uniform(0, 1, (24, 6)), np.arange(24) % CLASSES
    settings = {"optimiser": "sgd", "learning_rate": 0.1, "dtype": "float64", "epochs": 3, "validation_fraction": 0.0}
    trained = train(network, (x, y), rule=rule, loss="membrane_cross_entropy", hook=project, **settings)
    before, after = ([e.rule.weights for e in lower(n).edges] for n in (network, trained.network))
    assert np.array_equal(before[1], after[1])
    change = after[0] - before[0]
    assert np.abs(change).max() > 1e-3
    assert np.abs(change @ direction).max() < 1e-7  # the grid of the weights
    free = train(network, (x, y), rule=rule, loss="membrane_cross_entropy", **settings).network
    assert np.abs((free.projections[0].rule.weights - before[0]) @ direction).max() > 1e-3


def test_a_gradient_of_another_shape_is_refused():
    network = sequential(Input("x", 6, graded=True), dense(CLASSES), li(beta=0.9))
    x, y = np.random.default_rng(0).uniform(0, 1, (9, 6)), np.arange(9) % CLASSES
    with pytest.raises(InvalidValueError, match=r"shape \[3, 6\], found \[6, 3\]"):
        train(network, (x, y), loss="membrane_cross_entropy", hook=lambda name, rows, gradient: gradient.t())


@pytest.mark.parametrize("kind", ["feedback", "sign"])
def test_one_to_one_weights_have_feedback_too(kind):
    network = sequential(Input("x", 6, graded=True), dense(8), lif_soft(), dense(8), lif_soft(), dense(CLASSES), li())
    network = network.add(Projection("layer1", "layer2", OneToOne(), weight=0.3, name="skip"))
    module = SpikingModule(lower(network), dtype="float64")
    assert "skip" in [part.name for part in matrices(module)]
    with torch.no_grad():
        for part in matrices(module):
            set_feedback(part, kind, seed=7)
            part.weight.copy_(part.linear.back.weight(part.linear))
    exact = learn(module, network)
    close(learn(module, network, errors=kind), exact)


def test_dropout_under_ottt_is_in_the_traces():
    """Leaving out an element is the same as a network in which it is silent and the others are louder."""
    network = sequential(Input("x", 6, graded=True), dropout(0.5), dense(CLASSES), li(beta=0.9), seed=1)
    module = SpikingModule(lower(network, folded=False), dtype="float64")
    mask = module.dropouts["0"].mask(SAMPLES, 6, torch.float64, "cpu")
    module.dropouts["0"].drawn -= 1
    shown = []
    learner = make_rule(module, Learning("ottt"), read_out(network, "membrane_last"))
    reader, entry = read_out(network, "membrane_last"), network.stimuli[0]
    inner = NetworkLearner(network, module, entry, reader)
    task = Task(inner, entry, reader, loss("membrane_cross_entropy"), [], "constant", STEPS)
    x, y = torch.rand((SAMPLES, 6), dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    learner(task, Batch(x, y, None), lambda: shown.append(module.maps[0].weight.grad.clone()))
    weight = module.maps[0].weight.detach().clone().requires_grad_()
    v = torch.zeros(())
    for _ in range(STEPS):
        v = 0.9 * v + (torch.round(x * 2**16) / 2**16 * mask * 2.0) @ weight
    torch.nn.functional.cross_entropy(v, y).backward()
    torch.testing.assert_close(shown[0], weight.grad, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("part", "settings", "word"),
    [
        (batch_norm(), {"rule": "ottt"}, "batch norm.*does not go with rule 'ottt'"),
        (batch_norm(), {"rule": "dsr"}, "batch norm"),
        (dropout(0.5), {"rule": "dsr"}, "dropout"),
        (dropout(0.5), {"hook": lambda *a: None}, "dropout.*and a hook"),
        (None, {"errors": "sign", "delays": {"x->layer1": 4e-3}}, "its delays are learned"),
    ],
)
def test_parts_that_do_not_go_with_a_rule(part, settings, word):
    layers = [dense(8)] if part is None else [dense(8), part] if isinstance(part, batch_norm) else [part, dense(8)]
    network = sequential(Input("x", 6, graded=True), *layers, lif_soft(), dense(CLASSES), li(beta=0.9))
    x, y = np.random.default_rng(0).uniform(0, 1, (9, 6)), np.arange(9) % CLASSES
    with pytest.raises(UnsupportedError, match=word):
        train(network, (x, y), loss="membrane_cross_entropy", **settings)


@pytest.mark.parametrize("rule", RULES)
def test_lengths_targets_and_modules(rule):
    network = sequential(Input("x", 6, graded=True), dense(CLASSES), li(beta=0.9))
    generator = np.random.default_rng(0)
    x, y = generator.uniform(0, 1, (9, STEPS, 6)), np.arange(9) % CLASSES
    settings = {"encode": "sequence", "validation_fraction": 0.0, "epochs": 3, "rule": rule}
    if rule != "bptt":
        with pytest.raises(InvalidValueError, match="same number of steps"):
            train(network, (x, y, np.full(9, 3)), loss="membrane_cross_entropy", **settings)
        with pytest.raises(InvalidValueError, match=r"torch.nn.Module of one's own"):
            train(torch.nn.Linear(6, CLASSES), (x, y), **settings)
    targets = generator.normal(size=(9, STEPS, CLASSES))
    if rule == "dsr":
        with pytest.raises(InvalidValueError, match="one rate for all steps"):
            train(network, (x, targets), loss="mse", readout="membrane_mean", **settings)
    else:
        trained = train(network, (x, targets), loss="mse", readout="membrane_mean", learning_rate=0.02, **settings)
        assert trained.history[-1].rmse < trained.history[0].rmse


def test_sparse_synapses_with_delays_of_their_own():
    """OTTT keeps one trace per delay; with one layer it equals BPTT of the last membrane."""
    network = sequential(Input("x", 6, graded=True), dense(CLASSES), li(beta=0.9))
    delays = np.random.default_rng(1).integers(0, 3, 18) * 1e-3
    scattered = Projection("x", "layer1", FixedProbability(1.0), weight=Normal(0.0, 0.3), delay=delays)
    network = network.swap(scattered)
    module = SpikingModule(lower(network), dtype="float64")
    reader = read_out(network, "membrane_last")
    generator = np.random.default_rng(0)
    x, y = torch.tensor(generator.uniform(0, 1, (SAMPLES, STEPS, 6))), torch.tensor([0, 1, 2, 0])
    found = []
    for rule in ("bptt", "ottt"):
        learner = make_rule(module, Learning(rule), reader)
        entry = network.stimuli[0]
        inner = NetworkLearner(network, module, entry, reader)
        task = Task(inner, entry, reader, loss("membrane_cross_entropy"), [], "sequence", STEPS)
        learner(task, Batch(x, y, None), lambda: None)
        found.append(module.maps[0].values.grad)
        module.maps[0].values.grad = None
    torch.testing.assert_close(*found, rtol=0, atol=1e-13)
