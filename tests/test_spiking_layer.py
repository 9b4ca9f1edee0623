"""Spiking layers inside a user's own torch module: the same numbers as a network, with gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from spikesim import neuron, spike  # noqa: E402
from spikesim.backends.torch import TorchBackend  # noqa: E402
from spikesim.connect import Conv2d, Dense  # noqa: E402
from spikesim.errors import InvalidValueError, UnknownNameError  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import lif, lif_exp, lif_soft  # noqa: E402
from spikesim.network import Network, Population, Projection  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import over_time, spiking  # noqa: E402


def model(**hidden):
    """A convolution of torch's, neurons, a linear layer, neurons."""
    torch.manual_seed(0)
    return nn.Sequential(
        over_time(nn.Conv2d(2, 3, 3, bias=False)),
        spiking(lif_soft(bias=0.1), (3, 4, 4), **hidden),
        nn.Flatten(2),
        nn.Linear(48, 5, bias=False),
        spiking(lif(v_th=0.3), learn=["tau_m"]),
    ).double()


def same_network(module):
    conv, hidden, _, linear, _ = module
    return Network(
        [Population("a", (3, 4, 4), hidden.value()), Population("b", 5, module[4].value())],
        [
            Projection("x", "a", Conv2d(conv.module.weight.detach().numpy())),
            Projection("a", "b", Dense(linear.weight.detach().numpy())),
        ],
        [Input("x", (2, 6, 6), graded=True)],
    )


def test_a_module_of_layers_is_the_network():
    module = model(learn={"bias": "channel", "th": "neuron"})
    with torch.no_grad():
        module[1].learned["bias"] += torch.arange(3)
    params = {"a": {"bias": "channel", "th": "neuron"}, "b": ["tau_m"]}
    network = TorchBackend().module(lower(same_network(module), snap=False), dtype="float64", params=params)
    x = torch.tensor(np.rint(np.random.default_rng(0).uniform(0, 1, (9, 4, 2, 6, 6)) * 2**16) / 2**16)
    spikes, expected = module(x), network(x)
    assert torch.equal(spikes, expected["b"]) and 20 < spikes.sum() < spikes.numel() - 20
    target = torch.rand_like(spikes)
    (spikes * target).sum().backward()
    (expected["b"] * target).sum().backward()
    pairs = [
        (module[0].module.weight.grad, network.maps[0].weight.grad),
        (module[3].weight.grad, network.maps[1].weight.grad.t()),
        (module[1].learned["th"].grad, network.learned["a/th"].grad),
        (module[4].learned["tau_m"].grad, network.learned["b/tau_m"].grad),
        # held relative to the largest bias: the network starts from 2.1, the layer from 0.1
        (module[1].learned["bias"].grad / 0.1, network.learned["a/bias"].grad / network.scales["a/bias"]),
    ]
    for a, b in pairs:
        assert a.abs().max() > 0 and torch.allclose(a, b, rtol=1e-9, atol=1e-9)


def test_a_users_own_neuron_with_two_states_and_two_ports():
    @neuron(state={"v": 0.0, "w": 0.0}, a=0.8, b=0.3, th=1.0)
    def adaptive(v, w, i, extra, p):
        u = p.a * v + i - w + 0.5 * extra
        s = spike(u - p.th)
        return s, u - p.th * s, 0.9 * w + p.b * s

    layer = spiking(adaptive, 6, learn={"b": "neuron"}, output="w")
    x = {"i": torch.rand(12, 3, 6, requires_grad=True), "extra": torch.rand(12, 3, 6)}
    w = layer(x)
    w.sum().backward()
    assert w.shape == (12, 3, 6) and w.max() > 0
    assert x["i"].grad.abs().sum() > 0 and layer.learned["b"].grad.shape == (6,)
    with torch.no_grad():
        layer.learned["b"] *= 2
    assert np.allclose(layer.value().params["b"], 0.6)


def test_layers_with_time_and_without():
    norm = over_time(nn.BatchNorm1d(4))
    x = torch.rand(5, 3, 4)
    y = norm(x)
    assert torch.allclose(y.mean((0, 1)), torch.zeros(4), atol=1e-6)
    conv = over_time(nn.Conv2d(1, 2, 3)).eval()
    image = torch.rand(1, 3, 1, 6, 6)
    constant = conv(image.expand(7, -1, -1, -1, -1))
    assert constant.stride(0) == 0 and torch.allclose(constant[6], conv.module(image[0]))


def test_parameters_stay_in_their_range():
    layer = spiking(lif(), learn=["tau_m"])
    with torch.no_grad():
        layer.learned["tau_m"].fill_(-1.0)
    layer.constrain_()
    assert 0 < layer.value().params["tau_m"] < 1e-3
    assert "lif, shape=None" in repr(layer) and list(layer.state_dict()) == ["learned.tau_m"]


def test_mistakes():
    with pytest.raises(UnknownNameError, match="tau_m"):
        spiking(lif(), learn=["tau"])
    with pytest.raises(UnknownNameError, match="output of neuron 'lif'"):
        spiking(lif(), output="u")
    with pytest.raises(InvalidValueError, match="to learn 'bias' per channel, pass the shape"):
        spiking(lif(), learn={"bias": "channel"})
    with pytest.raises(InvalidValueError, match="'v_th' has a value per neuron; pass the shape"):
        spiking(lif(v_th=np.ones(3)))
    with pytest.raises(InvalidValueError, match="3 values for a layer of 4 neurons"):
        spiking(lif(v_th=np.ones(3)), 4)
    with pytest.raises(InvalidValueError, match=r"takes \[steps, samples, 4\], found \[5, 4\]"):
        spiking(lif(), 4)(torch.rand(5, 4))
    with pytest.raises(UnknownNameError, match="port of neuron 'lif_exp'"):
        spiking(lif_exp())({"current": torch.rand(2, 2, 2)})
