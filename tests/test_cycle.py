"""Loops of populations against autograd through a plain loop, and products with events against dense ones."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikesim.backends.torch import TorchBackend  # noqa: E402
from spikesim.backends.torch import crossover as crossovers  # noqa: E402
from spikesim.backends.torch import events as event_products  # noqa: E402
from spikesim.backends.torch.crossover import crossover  # noqa: E402
from spikesim.backends.torch.events import Seen, product, weight_gradient  # noqa: E402
from spikesim.connect import Conv2d, Dense, FixedProbability  # noqa: E402
from spikesim.distributions import Normal, Uniform  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import li, lif_soft  # noqa: E402
from spikesim.network import Network, Population, Projection  # noqa: E402
from spikesim.stimulus import Current, Input  # noqa: E402

MS = 1e-3
STEPS, SAMPLES = 21, 3  # more than a segment between kept states


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad / (1.0 + (torch.pi * ctx.saved_tensors[0]) ** 2)


def two_populations():
    """A loop of two populations with all kinds of delays, an outside input, a drive and a read-out."""
    r = np.random.default_rng(0)
    return Network(
        [Population("a", 6, lif_soft(lam=0.9)), Population("b", 5, lif_soft(lam=0.8)), Population("out", 2, li())],
        [
            Projection("x", "a", Dense(r.normal(0, 0.5, (6, 4)))),
            Projection("a", "b", Dense(r.normal(0, 0.6, (5, 6)))),
            Projection("b", "a", FixedProbability(0.8), weight=Normal(0.0, 0.6), delay=Uniform(1 * MS, 4 * MS)),
            Projection("a", "a", Dense(r.normal(0, 0.3, (6, 6))), delay=2 * MS),
            Projection("b", "out", Dense(r.normal(0, 0.5, (2, 5))), delay=1 * MS),
        ],
        [Input("x", 4, graded=True), Current("offset", "b", values=np.array([0.1]))],
        seed=1,
    )


def plain_loop(graph, module, x):
    """The same network step by step, with a dense matrix per projection and delay, followed by autograd."""
    matrices = []
    leaves = {}
    for edge, linear in zip(graph.edges, module.maps, strict=True):
        (tensor,) = linear.parameters()
        leaves[edge.name] = values = tensor.detach().clone().requires_grad_()
        rows = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
        delays = np.broadcast_to(edge.delays, (edge.synapses,))
        for d in np.unique(delays):
            k = np.nonzero(delays == d)[0]
            matrix = torch.zeros(edge.n_pre, edge.n_post, dtype=values.dtype)
            place = (torch.tensor(rows[k]), torch.tensor(edge.indices[k]).long())
            matrices.append((edge, int(d), matrix.index_put(place, values.reshape(-1)[k])))
    v = {n.name: torch.zeros(SAMPLES, n.n, dtype=x.dtype) for n in graph.nodes}
    lam = {"a": 0.9, "b": 0.8}
    fired, read = {"x": list(x.unbind(0)), "a": [], "b": []}, []
    for t in range(STEPS):
        for node in graph.nodes:
            current = 0.1 if node.name == "b" else 0.0
            for edge, d, matrix in matrices:
                if edge.post == node.name and t >= d:
                    current = current + fired[edge.pre][t - d] @ matrix
            if node.name == "out":
                v["out"] = node.constants["alpha"] * v["out"] + current
                read.append(v["out"])
            else:
                u = lam[node.name] * v[node.name] + current
                s = Spike.apply(u - 0.5)
                v[node.name] = u - s
                fired[node.name].append(s)
    return fired, torch.stack(read), leaves


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain"])
def test_a_loop_has_the_spikes_and_gradients_of_autograd(fused):
    graph = lower(two_populations())
    module = TorchBackend().module(graph, dtype="float64", fused=fused)
    r = np.random.default_rng(5)
    x = torch.tensor(np.rint(r.uniform(0, 1, (STEPS, SAMPLES, 4)) * 2**16) / 2**16).requires_grad_()
    weight = {k: torch.tensor(r.normal(size=(STEPS, SAMPLES, n))) for k, n in (("a", 6), ("b", 5), ("out", 2))}
    outputs = module(x, record=["out/v"])
    loss = (outputs["out/v"] * weight["out"]).sum()
    (loss + sum((outputs[k] * weight[k]).sum() for k in "ab")).backward()

    x_again = x.detach().clone().requires_grad_()
    fired, read, leaves = plain_loop(graph, module, x_again)
    loss = (read * weight["out"]).sum()
    (loss + sum((torch.stack(fired[k]) * weight[k]).sum() for k in "ab")).backward()
    for name in "ab":
        assert outputs[name].sum() > 20
        assert torch.equal(outputs[name].detach(), torch.stack(fired[name]).detach())
    assert torch.allclose(x.grad, x_again.grad, rtol=1e-10, atol=1e-10)
    for edge, linear in zip(graph.edges, module.maps, strict=True):
        (tensor,) = linear.parameters()
        assert tensor.grad.abs().max() > 0
        assert torch.allclose(tensor.grad, leaves[edge.name].grad, rtol=1e-10, atol=1e-10), edge.name


def test_a_convolution_in_a_loop():
    r = np.random.default_rng(0)
    rule = Conv2d(r.normal(0, 0.4, (2, 2, 3, 3)), padding=1)
    network = Network(
        [Population("a", (2, 4, 4), lif_soft())],
        [Projection("x", "a", Dense(r.normal(0, 0.5, (32, 3)))), Projection("a", "a", rule, delay=1 * MS)],
        [Input("x", 3, graded=True)],
    )
    module = TorchBackend().module(lower(network), dtype="float64")
    same = network.swap(Projection("a", "a", Dense(rule.matrix((2, 4, 4), (2, 4, 4)).toarray()), delay=1 * MS))
    dense = TorchBackend().module(lower(same), dtype="float64")
    x = torch.tensor(r.uniform(0, 1, (10, 2, 3)))
    for m in (module, dense):
        m(x, record=["a/v"])["a/v"].square().sum().backward()
    assert torch.allclose(module.maps[0].weight.grad, dense.maps[0].weight.grad, rtol=1e-9, atol=1e-9)
    full, total = dense.maps[1].weight.grad, torch.zeros_like(module.maps[1].weight)
    numbered = Conv2d(np.arange(1.0, 37).reshape(2, 2, 3, 3), padding=1).matrix((2, 4, 4), (2, 4, 4)).tocoo()
    for row, column, which in zip(numbered.row, numbered.col, numbered.data, strict=True):
        total.view(-1)[int(which) - 1] += full[column, row]
    assert torch.allclose(module.maps[1].weight.grad, total, rtol=1e-9, atol=1e-9)


@pytest.fixture
def always_events(monkeypatch):
    monkeypatch.setattr(event_products, "crossover", lambda *_: 1.0)


@pytest.mark.parametrize("n", [7, 150], ids=["narrow", "wide"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", ["spikes", "unknown", "values"])
def test_products_with_events_are_products(dtype, kind, n, always_events):
    """More rows than one block, a last word of a few bits, bands of columns whole and partial."""
    torch.manual_seed(0)
    x = (torch.rand(600, 75) < 0.05).to(dtype)
    x[7] = 0
    if kind == "values":
        x = x * torch.randn(600, 75, dtype=dtype)
    x, w = x.requires_grad_(), torch.randn(75, n, dtype=dtype, requires_grad=True)
    grad, seen = torch.randn(600, n, dtype=dtype), Seen()
    found = product(x, w, kind == "spikes", seen)
    assert (seen.path, seen.crossover) == ("events", 1.0) and 0.03 < seen.density < 0.07
    gradients = torch.autograd.grad(found, [x, w], grad)
    expected = torch.autograd.grad(x @ w, [x, w], grad)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    assert torch.allclose(found, x @ w, **tolerance)
    for a, b in zip(gradients, expected, strict=True):
        assert torch.allclose(a, b, **tolerance)
    assert torch.allclose(weight_gradient(x.detach(), grad, kind == "spikes"), expected[1], **tolerance)


def test_a_full_row_among_empty_ones(always_events):
    x = torch.zeros(600, 64)
    x[5] = 1.0  # not among the rows that are looked at
    found = product(x, torch.ones(64, 3))
    assert torch.equal(found[5], torch.full((3,), 64.0)) and found.sum() == 3 * 64


def test_threads_do_not_change_a_product(always_events):
    torch.manual_seed(0)
    x, w = (torch.rand(3000, 200) < 0.1).float(), torch.randn(200, 300, requires_grad=True)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found = product(x, w, True)
            results.append((found.detach(), torch.autograd.grad(found.square().sum(), w)[0]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])


def test_the_crossover_decides_and_is_measured_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SPIKESIM_CACHE", str(tmp_path))
    calls = []
    monkeypatch.setattr(crossovers, "measure", lambda *size: calls.append(size) or 0.25)
    crossovers._crossover.cache_clear()
    try:
        assert [crossover(40, 50, "float32") for _ in range(2)] == [0.25, 0.25]
        crossovers._crossover.cache_clear()  # as in another process
        assert crossover(40, 50, "float32") == 0.25 and calls == [(40, 50, "float32")]
        for density, path in ((0.2, "events"), (0.3, "dense")):
            seen = Seen()
            product(
                (torch.arange(40 * 700).reshape(700, 40) % 10 < density * 10).float(), torch.ones(40, 50), True, seen
            )
            assert seen.path == path and abs(seen.density - density) < 1e-6
        (tmp_path / "kernels" / "products.json").write_text("{damaged")
        crossovers._crossover.cache_clear()
        assert crossover(40, 50, "float32") == 0.25 and len(calls) == 2
    finally:
        crossovers._crossover.cache_clear()


def test_a_tensor_that_is_changed_has_other_events(always_events):
    x, w = (torch.rand(600, 64) < 0.1).float(), torch.ones(64, 40)
    for change in (lambda: x.zero_(), lambda: x[3].fill_(1.0)):
        product(x, w, True)
        change()
        assert torch.equal(product(x, w, True), x @ w)
    with torch.inference_mode():
        y = x.clone()
        product(y, w, True)
        y.zero_()
        assert not product(y, w, True).any()


def test_mixed_precision_rounds_the_dense_gradient_only(always_events):
    torch.manual_seed(0)
    x, w = (torch.rand(600, 75) < 0.05).float().requires_grad_(), torch.randn(75, 50, requires_grad=True)
    grad = torch.randn(600, 50)
    exact = torch.autograd.grad(product(x, w, True), [x, w], grad)
    with torch.autocast("cpu", torch.bfloat16):
        found = product(x, w, True)
    mixed = torch.autograd.grad(found, [x, w], grad)
    assert found.dtype == torch.float32 and torch.equal(mixed[1], exact[1])
    error = (mixed[0] - exact[0]).abs().max() / exact[0].abs().max()
    assert 1e-5 < error < 2e-2


def test_a_module_tells_which_way_its_products_took(always_events):
    network = Network(
        [Population("a", 40, lif_soft())], [Projection("x", "a", Dense(np.ones((40, 64))))], [Input("x", 64)]
    )
    module = TorchBackend().module(lower(network))
    module((torch.rand(30, 20, 64) < 0.1).float())
    (seen,) = module.products().values()
    assert seen.path == "events" and 0.05 < seen.density < 0.15 and seen.crossover == 1.0


def test_a_measured_crossover_is_a_density():
    assert 0.0 <= crossovers.measure(64, 64, "float32") <= 1.0
