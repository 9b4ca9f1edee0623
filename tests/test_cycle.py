"""Loops of populations against autograd through a plain loop, and products with events against dense ones."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikesim.backends.torch import TorchBackend  # noqa: E402
from spikesim.backends.torch import events as event_products  # noqa: E402
from spikesim.backends.torch.events import product, weight_gradient  # noqa: E402
from spikesim.connect import Conv2d, Dense, FixedProbability  # noqa: E402
from spikesim.distributions import Normal, Uniform  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import li, lif_soft  # noqa: E402
from spikesim.network import Network, Population, Projection  # noqa: E402
from spikesim.stimulus import Current, Input  # noqa: E402

MS = 1e-3
STEPS, SAMPLES = 14, 3


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", ["spikes", "unknown", "values"])
def test_products_with_events_are_products(dtype, kind):
    torch.manual_seed(0)
    x = (torch.rand(600, 75) < 0.05).to(dtype)
    x[7] = 0
    if kind == "values":
        x = x * torch.randn(600, 75, dtype=dtype)
    x, w = x.requires_grad_(), torch.randn(75, 130, dtype=dtype, requires_grad=True)
    grad = torch.randn(600, 130, dtype=dtype)
    assert event_products._sparse(x.detach(), kind == "spikes") is not None
    found = product(x, w, kind == "spikes")
    gradients = torch.autograd.grad(found, [x, w], grad)
    expected = torch.autograd.grad(x @ w, [x, w], grad)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    assert torch.allclose(found, x @ w, **tolerance)
    for a, b in zip(gradients, expected, strict=True):
        assert torch.allclose(a, b, **tolerance)
    assert torch.allclose(weight_gradient(x.detach(), grad, kind == "spikes"), expected[1], **tolerance)


def test_a_dense_matrix_or_a_full_row_is_multiplied_densely():
    x = torch.zeros(600, 64)
    assert event_products._sparse(x + 1, False) is None
    x[5] = 1.0  # not among the rows that are looked at
    assert event_products._sparse(x, True) is None
    assert torch.equal(product(x, torch.ones(64, 3))[5], torch.full((3,), 64.0))
