"""What training adds to projections: batch norm, dropout, shared parameters; against plain torch."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikesim.backends.torch import TorchBackend  # noqa: E402
from spikesim.connect import Conv2d, Dense, FixedProbability, OneToOne  # noqa: E402
from spikesim.engine import run  # noqa: E402
from spikesim.errors import InvalidValueError, NetworkError, UnknownNameError, UnsupportedError  # noqa: E402
from spikesim.layers import batch_norm, conv2d, dense, dropout, pool, recurrent, sequential, skip  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import cuba_lif, li, lif, lif_soft  # noqa: E402
from spikesim.network import Network, Population, Projection  # noqa: E402
from spikesim.norm import BatchNorm  # noqa: E402
from spikesim.quantise import quantise  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train.learned import with_learned  # noqa: E402

MS = 1e-3


def conv_and_dense(seed=0, **more):
    """An image through a convolution and a dense layer, both normalised."""
    r = np.random.default_rng(seed)
    conv = BatchNorm(r.uniform(0.5, 2, 3), r.normal(size=3), r.normal(size=3), r.uniform(0.5, 2, 3), gain=0.5)
    dense = BatchNorm(scale=1.5, shift=r.normal(size=4), var=0.5)
    return Network(
        [Population("a", (3, 4, 4), lif_soft(bias=0.1)), Population("b", 4, lif(v_th=0.5))],
        [
            Projection("x", "a", Conv2d(r.normal(size=(3, 2, 3, 3)), padding=1), norm=conv, **more),
            Projection("a", "b", Dense(r.normal(size=(4, 48))), norm=dense, delay=2 * MS, **more),
        ],
        [Input("x", (2, 4, 4), graded=True)],
    )


def module_of(network, **settings):
    return TorchBackend().module(lower(network, folded=False, snap=False), dtype="float64", **settings)


def image(steps=12, samples=5, seed=1):
    return on_grid(np.random.default_rng(seed).uniform(0, 1, (steps, samples, 2, 4, 4)))


# ------------------------------------------------------------------------------------------------ folding
def test_a_folded_network_is_the_network_in_eval_mode():
    network = conv_and_dense()
    kept = module_of(network).eval()
    plain = TorchBackend().module(lower(network, snap=False), dtype="float64")
    assert not plain.norms
    record = ["a/v", "b/v"]
    with torch.no_grad():
        outputs, expected = kept(image(), record=record), plain(image(), record=record)
    for name, value in expected.items():
        assert torch.allclose(outputs[name], value, rtol=1e-12, atol=1e-12)
    assert torch.equal(outputs["a"], expected["a"]) and torch.equal(outputs["b"], expected["b"])
    assert 50 < outputs["a"].sum() and 10 < outputs["b"].sum()
    recording = run(network, inputs={"x": image().numpy()})
    for name in "ab":
        spikes, raster = recording[name], np.zeros_like(outputs[name].numpy())
        raster[spikes.step, spikes.sample, spikes.neuron] = 1
        assert np.array_equal(raster, outputs[name].numpy())


def test_folding_is_the_formula():
    network = conv_and_dense()
    folded = network.folded()
    for before, after in zip(network.projections, folded.projections, strict=True):
        norm, weights = before.norm.spread(len(before.rule.weights)), before.rule.weights
        factor = norm.gain * norm.scale / np.sqrt(norm.var + norm.eps)
        assert after.norm is None
        assert np.array_equal(after.rule.weights, (weights.T * factor).T)
        n = folded.population(after.post).n
        bias = network.population(after.post).neuron.value("bias")
        expected = np.repeat(norm.shift - norm.mean * factor, n // len(factor)) + bias
        assert np.allclose(folded.population(after.post).neuron.value("bias"), expected, rtol=1e-15, atol=1e-15)
    assert folded.folded() is folded


def test_networks_with_norms_are_values(tmp_path):
    network = conv_and_dense(dropout=0.25)
    network.save(tmp_path / "net.h5")
    loaded = Network.load(tmp_path / "net.h5")
    assert loaded == network and loaded.folded() == network.folded() != network
    other = replace(network.projections[0], norm=replace(network.projections[0].norm, momentum=0.2))
    assert network.swap(other) != network
    assert "BatchNorm(scale=<3>" in str(network) and "dropout 0.25" in str(network)


def test_tools_see_the_folded_network():
    nir = pytest.importorskip("spikesim.convert.nir")
    pytest.importorskip("nir")
    r = np.random.default_rng(0)
    norm = BatchNorm(scale=1.5, shift=r.normal(size=4), var=0.5)
    projection = Projection("x", "a", Dense(r.normal(size=(4, 3))), norm=norm, dropout=0.1)
    network = Network([Population("a", 4, lif())], [projection], [Input("x", 3)])
    graph, _ = nir.to_nir(network)
    back, _ = nir.from_nir(graph)
    assert all(p.norm is None and p.dropout == 0 for p in back.projections)
    assert np.allclose(back["x->a"].rule.weights, network.folded()["x->a"].rule.weights)
    even = network.swap(replace(projection, norm=replace(norm, shift=0.25)))  # the chip has one bias per population
    found, expected = (quantise(n).network for n in (even, even.folded()))
    assert found == expected and found.population("a").neuron.value("bias_mant") > 0


def test_a_norm_that_cannot_be_folded_is_refused():
    network = Network(
        [Population("a", 3, cuba_lif())],
        [Projection("x", "a", Dense(np.ones((3, 2))), norm=BatchNorm())],
        [Input("x", 2)],
    )
    with pytest.raises(NetworkError, match=r"'cuba_lif' of 'a' does not add .* 'bias' to its input 'i'.*lif_so"):
        lower(network)
    problems = {
        "use Dense, Sparse or Conv2d": {"rule": OneToOne(), "weight": 1.0},
        "scale needs 1 or 3 values, found 2": {"rule": Dense(np.ones((3, 2))), "norm": BatchNorm(scale=[1.0, 2.0])},
        "dropout must be from 0 to below 1, found 1.0": {"rule": Dense(np.ones((3, 2))), "dropout": 1.0},
    }
    for words, part in problems.items():
        with pytest.raises(NetworkError, match=words):
            network.swap(Projection("x", "a", **{"norm": BatchNorm(), **part}))
    with pytest.raises(InvalidValueError, match=r"(?s)var must be at least 0.*momentum must be above 0"):
        BatchNorm(var=-1.0, momentum=0.0)


# ------------------------------------------------------------------------------------------------ training mode
def test_training_normalises_by_the_batch_over_time_and_positions():
    network = conv_and_dense()
    module = module_of(network)
    x = image().requires_grad_()
    outputs = module(x, record=["a/v", "b/v"])
    (outputs["a/v"].square().mean() + outputs["b/v"].square().mean()).backward()

    # what reaches `a`, by torch's own layers
    layer = torch.nn.BatchNorm2d(3, dtype=torch.float64)
    norm, rule = network.projections[0].norm, network.projections[0].rule
    for name, value in (("weight", norm.scale * 0.5), ("bias", norm.shift)):
        getattr(layer, name).data = torch.tensor(value)
    layer.running_mean, layer.running_var = torch.tensor(norm.mean), torch.tensor(norm.var)
    sums = torch.nn.functional.conv2d(image().flatten(0, 1), torch.tensor(rule.weights), padding=1)
    expected = layer(sums).view(12, 5, -1)
    v = torch.zeros(5, 48, dtype=torch.float64)
    for t in range(12):
        u = v + (expected[t] + 0.1)
        v = u - (u > 0.5).double()
        assert torch.allclose(outputs["a/v"][t], v, atol=1e-9)
    found = module.learned_norms()["x->a"]
    assert np.allclose(found.mean, layer.running_mean) and np.allclose(found.var, layer.running_var)
    assert module.norms["0"].scale.grad.abs().min() > 0 and x.grad.abs().sum() > 0
    assert {id(p) for p in module.decayed()} == {id(m.weight) for m in module.maps}

    back = with_learned(network, module, fold=False)
    assert back.projections[0].norm == found
    plain = with_learned(network, module)
    assert plain.projections[0].norm is None
    assert lower(plain).exactness["a", "i"].max_change == 0
    with torch.no_grad():
        a = module.eval()(image())["b"]
        assert torch.equal(a, TorchBackend().module(lower(plain), dtype="float64")(image())["b"])


def test_what_is_the_same_at_every_step_is_normalised_once():
    module, long = module_of(conv_and_dense()), module_of(conv_and_dense())
    x = image(1)
    a, b = module(x.expand(12, -1, -1, -1, -1), record=["a/v"]), long(x.repeat(12, 1, 1, 1, 1), record=["a/v"])
    assert torch.allclose(a["a/v"], b["a/v"], atol=1e-12)
    a = module(image(1, 1).expand(6, -1, -1, -1, -1))  # one value per neuron of a dense layer has no variance
    assert all(bool(value.isfinite().all()) for value in module.state_dict().values()) and a["b"].isfinite().all()


def test_frozen_projections_keep_their_norm():
    network = conv_and_dense()
    module = module_of(network, weights=["a->b"])
    module(image())
    assert set(module.learned_norms()) == {"a->b"}
    assert with_learned(network, module, fold=False).projections[0] == network.projections[0]
    assert np.array_equal(module.norms["0"].mean.numpy(), network.projections[0].norm.mean)


def test_dropout_has_one_mask_for_all_steps():
    r = np.random.default_rng(0)
    network = Network(
        [Population("out", 200, li(beta=0.0))],
        [Projection("x", "out", Dense(np.eye(200)), dropout=0.4)],
        [Input("x", 200, graded=True)],
    )
    module, x = module_of(network, seed=3), on_grid(1.0 + r.uniform(size=(6, 7, 200)))
    v = module(x, record=["out/v"])["out/v"]
    mask = v / x
    assert torch.equal(mask != 0, (mask[:1] != 0).expand(mask.shape)), "the same over time"
    assert torch.allclose(mask[mask != 0], torch.tensor(1 / 0.6, dtype=torch.float64))
    assert 0.55 < (mask[0] != 0).double().mean() < 0.65
    assert not torch.equal(mask[0, 0], mask[0, 1]), "another one for every sample"
    state = {k: t.clone() for k, t in module.state_dict().items()}
    following = module(x, record=["out/v"])["out/v"]
    assert not torch.equal(following, v)
    again = module_of(network, seed=3)
    assert torch.equal(again(x, record=["out/v"])["out/v"], v)
    again.load_state_dict(state)
    assert torch.equal(again(x, record=["out/v"])["out/v"], following), "resumed training goes on with the same masks"
    assert torch.equal(module.eval()(x, record=["out/v"])["out/v"], x)


def on_grid(array):
    """Graded inputs stand on this grid."""
    return torch.tensor(np.rint(array * 2**16) / 2**16)


@pytest.mark.parametrize("rule", ["dense", "sparse"])
def test_dropout_in_a_loop(rule):
    """The loop's own backward pass against autograd through the same masks."""
    r = np.random.default_rng(2)
    loop = Dense(r.normal(0, 0.4, (6, 6))) if rule == "dense" else FixedProbability(0.9)
    weight = None if rule == "dense" else r.normal(0, 0.4, 36)[: lower_count(loop)]
    network = Network(
        [Population("a", 6, lif_soft())],
        [
            Projection("x", "a", Dense(r.normal(0, 0.8, (6, 4)))),
            Projection("a", "a", loop, weight=weight, delay=1 * MS, dropout=0.5, name="loop"),
        ],
        [Input("x", 4, graded=True)],
    )
    module = module_of(network)
    x = on_grid(r.uniform(0, 1, (10, 3, 4)))
    mask = module.dropouts["1"].mask(3, 6, torch.float64, module.device)
    module.dropouts["1"].drawn.zero_()
    module(x, record=["a/v"])["a/v"].square().sum().backward()
    graph = module.graph
    edge = graph.edges[1]
    weights = torch.zeros(6, 6, dtype=torch.float64)
    rows = np.repeat(np.arange(6), np.diff(edge.indptr))
    weights[rows, edge.indices] = torch.tensor(edge.weights)
    weights.requires_grad_()
    feed, v, s, total = x @ torch.tensor(network.projections[0].rule.weights.T), 0.0, None, 0.0
    for t in range(10):
        u = v + feed[t] + (0.0 if s is None else (s * mask * 2.0) @ weights)
        s = _Arctan.apply(u - 0.5)
        v = u - s
        total = total + v.square().sum()
    total.backward()
    found = module.maps[1].weight.grad if rule == "dense" else module.maps[1].values.grad
    expected = weights.grad if rule == "dense" else weights.grad[rows, edge.indices]
    assert expected.abs().max() > 0 and torch.allclose(found, expected, rtol=1e-9, atol=1e-9)


def lower_count(rule):
    part = Network(
        [Population("a", 6, lif_soft())], [Projection("a", "a", rule, weight=1.0, delay=1 * MS, name="loop")]
    )
    return lower(part).edges[0].synapses


class _Arctan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad / (1.0 + (torch.pi * ctx.saved_tensors[0]) ** 2)


def test_what_a_loop_cannot_have():
    network = Network(
        [Population("a", 3, lif_soft())],
        [Projection("a", "a", Dense(np.ones((3, 3))), delay=1 * MS, norm=BatchNorm(), name="loop")],
    )
    with pytest.raises(UnsupportedError, match=r"'loop' lies on a loop.*batch norm needs all steps"):
        module_of(network)
    lower(network)  # folded, it runs
    with pytest.raises(UnsupportedError, match="learning its delays needs all steps"):
        module_of(network.folded(), delays={"loop": 4 * MS})


# ------------------------------------------------------------------------------------------------ identities
def test_an_identity_is_a_wire_and_not_a_weight():
    r = np.random.default_rng(0)
    network = Network(
        [Population("a", 5, lif_soft()), Population("b", 5, lif_soft())],
        [Projection("x", "a", Dense(r.normal(size=(5, 3)))), Projection("a", "b", OneToOne(), weight=1.0)],
        [Input("x", 3, graded=True)],
    )
    module = module_of(network)
    assert set(module.learned_weights()) == {"x->a"} and not list(module.maps[1].parameters())
    x = torch.rand(4, 2, 3)
    outputs = module(x)
    assert torch.equal(outputs["a"], outputs["b"])
    learned = module_of(network, weights=["a->b"])
    assert learned.learned_weights()["a->b"].shape == (5,)
    learned(x, record=["b/v"])["b/v"].sum().backward()
    assert learned.maps[1].values.grad.abs().sum() > 0


# ------------------------------------------------------------------------------------------------ sharing
def test_parameters_are_shared_as_asked():
    network = conv_and_dense()
    module = module_of(network, params={"a": {"bias": "channel", "th": "neuron", "q": "shared"}, "b": ["tau_m"]})
    assert {k: tuple(p.shape) for k, p in module.learned.items()} == {
        "a/bias": (3,), "a/th": (48,), "a/q": (), "b/tau_m": (),
    }  # fmt: skip
    module(image(), record=["a/v"])["a/v"].sum().backward()
    neuron = module_of(network, params={"a": {"bias": "neuron"}})
    neuron(image(), record=["a/v"])["a/v"].sum().backward()
    each = neuron.learned["a/bias"].grad.view(3, -1).sum(1)
    assert torch.allclose(module.learned["a/bias"].grad, each)
    with torch.no_grad():
        module.learned["a/bias"] += torch.arange(3.0) * 10
    bias = with_learned(network, module, fold=False).population("a").neuron.value("bias").reshape(3, 16)
    assert np.allclose(bias, 0.1 + np.arange(3)[:, None])
    uneven = network.swap(Population("a", (3, 4, 4), lif_soft(bias=np.arange(48.0))))
    with pytest.raises(InvalidValueError, match="'bias' of population 'a' differs among the neurons of a channel"):
        module_of(uneven, params={"a": {"bias": "channel"}})
    with pytest.raises(UnknownNameError, match="did you mean 'channel'"):
        module_of(network, params={"a": {"bias": "chanel"}})


# ------------------------------------------------------------------------------------------------ sequential
def test_sequential_with_every_kind_of_layer():
    net = sequential(
        *(Input("x", (2, 8, 8), graded=True), conv2d(4, 3, padding=1), batch_norm(gain=0.5), lif_soft()),
        *(conv2d(6, 3, padding=1, stride=2), batch_norm(), skip(pool(2), conv2d(6, 1), batch_norm(scale=0.0))),
        *(lif_soft(), conv2d(6, 3, padding=1), lif_soft()),
        *(dropout(0.3), pool(4), dense(5), lif_soft(), recurrent(), dense(3), lif_soft()),
        *(recurrent(0.1, kind="one_to_one", delay=2 * MS),),
        seed=1,
    )
    assert [p.shape for p in net.populations] == [(4, 8, 8), (6, 4, 4), (6, 4, 4), (5,), (3,)]
    found = {p.name: p for p in net.projections}
    assert list(found) == [
        *("x->layer1", "layer1->layer2", "x->layer2", "layer2->layer3", "layer3->layer4"),
        *("layer4->layer4", "layer4->layer5", "layer5->layer5"),
    ]
    assert [name for name, p in found.items() if p.norm is not None] == ["x->layer1", "layer1->layer2", "x->layer2"]
    assert found["x->layer1"].norm.gain == 0.5 and found["x->layer2"].norm.scale == 0.0
    assert [type(r).__name__ for r in found["x->layer2"].rule.rules] == ["Pool2d", "Conv2d"]
    assert [p.dropout for p in found.values()] == [0, 0, 0, 0, 0.3, 0, 0, 0]
    assert found["layer4->layer4"].delay == 1 * MS and found["layer4->layer4"].rule.weights.shape == (5, 5)
    assert found["layer5->layer5"].delay == 2 * MS and found["layer5->layer5"].weight.tolist() == [0.1] * 3


def test_a_residual_block_adds_what_torch_adds():
    fired = sequential(
        *(Input("x", (4, 6, 6), graded=True), conv2d(4, 3, padding=1), lif_soft()),
        *(conv2d(4, 3, padding=1), batch_norm(), skip(), li(beta=0.0)),
    )
    module, x = module_of(fired).eval(), on_grid(np.random.default_rng(0).uniform(size=(3, 2, 4, 6, 6)))
    outputs = module(x, record=["layer2/v"])
    conv = torch.nn.functional.conv2d(
        outputs["layer1"].view(6, 4, 6, 6), torch.tensor(fired["layer1->layer2"].rule.weights), padding=1
    )
    expected = conv / np.sqrt(1 + 1e-5) + x.flatten(0, 1)
    assert torch.allclose(outputs["layer2/v"].reshape(expected.shape), expected, atol=1e-12)


def test_layers_in_the_wrong_place():
    x, n, conv = Input("x", (2, 8, 8), graded=True), lif_soft(), conv2d(4, 3, padding=1)
    for words, layers in {
        "in this order; found no linear layer": (x, batch_norm(), n),
        "in this order; found conv2d, dropout, conv2d": (x, conv, dropout(0.1), conv, n),
        "found recurrent after 'x'": (x, recurrent()),
        "found skip after 'x'": (x, skip(), n),
        "back must be from 2 to 1": (x, conv, skip(), n),
        r"leads to the shape \(2, 8, 8\), needed is \(4, 8, 8\)": (x, conv, n, conv, skip(), n),
        "ends with a neuron, found skip": (x, conv, n, conv, skip()),
    }.items():
        with pytest.raises(InvalidValueError, match=words):
            sequential(*layers)
    with pytest.raises(UnknownNameError, match="one_to_one"):
        sequential(x, conv, n, recurrent(kind="onetoone"))
