"""VGG, ResNets and the small convolutional network: their published shapes, that they learn, and that they fold."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikesim.backends.torch import TorchBackend  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.networks import conv_net, resnet19, resnet20, vgg16  # noqa: E402
from spikesim.models.neurons import lif  # noqa: E402
from spikesim.train import train  # noqa: E402
from spikesim.train.learned import with_learned  # noqa: E402

NARROW = {
    "conv_net": lambda: conv_net((3, 4), (1, 12, 12)),
    "resnet19": lambda: resnet19(2, (3, 8, 8)),
    "resnet20": lambda: resnet20(2, (3, 16, 16)),
    "vgg16": lambda: vgg16(2, (3, 16, 16)),
}


def weights(network):
    """Learned numbers: weights, and scale and shift of every norm (a bias takes the place of the shift)."""
    total = 0
    for p in network.projections:
        rules = getattr(p.rule, "rules", (p.rule,))
        total += sum(r.weights.size for r in rules if hasattr(r, "weights"))
        total += 0 if p.norm is None else 2 * rules[-1].weights.shape[0]
    return total


def test_published_sizes():
    """Sizes of torchvision's VGG-16 (convolutions with batch norm) and of ResNets counted by hand, for CIFAR."""
    found = vgg16()
    convolutions = 14_714_688 - 4224  # torchvision's vgg16_bn.features have 4224 biases more
    assert weights(found) == convolutions + 2 * 4224 + 512 * 10
    assert [p.shape[1:] for p in found.populations[:-1]] == [
        *2 * [(32, 32)], *2 * [(16, 16)], *3 * [(8, 8)], *3 * [(4, 4)], *3 * [(2, 2)],
    ]  # fmt: skip
    nineteen, twenty = resnet19(), resnet20()
    assert [p.shape for p in nineteen.populations[:-1]] == [
        *7 * [(128, 32, 32)], *6 * [(256, 16, 16)], *4 * [(512, 8, 8)],
    ]  # fmt: skip
    assert [p.shape for p in twenty.populations[:-1]] == [
        *3 * [(64, 32, 32)], *4 * [(64, 16, 16)], *4 * [(128, 8, 8)], *4 * [(256, 4, 4)], *4 * [(512, 2, 2)],
    ]  # fmt: skip
    stages = [(128, 3), (256, 3), (512, 2)]
    count, before = 3 * 9 * 128 + 2 * 128, 128
    for channels, blocks in stages:
        count += sum(9 * channels * channels + 2 * channels for _ in range(2 * blocks - 1))
        count += 9 * before * channels + 2 * channels
        count += before * channels + 2 * channels if before != channels else 0
        before = channels
    assert weights(nineteen) == count + 512 * 10
    assert lower(nineteen).synapses > 2e9, "and it is lowered without laying one of them out"


def test_the_two_ways_of_a_block():
    net = resnet20(2, (3, 16, 16), neuron=lif(v_th=2.0))
    ways = {p.name: p for p in net.projections}
    assert type(ways["layer3->layer5"].rule).__name__ == "Pool2d", "the stem's pool lies before both ways"
    assert type(ways["layer5->layer7"].rule).__name__ == "OneToOne"
    assert ways["layer5->layer6"].norm.gain == 2.0 == ways["layer6->layer7"].norm.gain
    assert ways["layer6->layer7"].norm.scale == 0.0 == ways["layer8->layer9"].norm.scale
    assert ways["layer7->layer9"].norm.gain == ways["layer8->layer9"].norm.gain == pytest.approx(2**0.5)
    assert ways["layer7->layer9"].norm.scale == 1.0


@pytest.mark.parametrize("name", NARROW)
def test_narrow_networks_learn_and_fold(name):
    network = NARROW[name]()
    r = np.random.default_rng(0)
    y = np.arange(20) % 4
    x = r.normal(size=(4, *network.stimuli[0].shape))[y] + 0.3 * r.normal(size=(20, *network.stimuli[0].shape))
    settings = {"loss": "membrane_cross_entropy", "steps": 3, "epochs": 4, "learning_rate": 3e-3, "dtype": "float64"}
    trained = train(network, (x, y), validation_fraction=0.0, schedule="constant", fold=False, **settings)
    assert trained.history[-1].loss < trained.history[0].loss
    assert [p.norm is None for p in trained.network.projections] == [p.norm is None for p in network.projections]

    kept = TorchBackend().module(lower(trained.network, folded=False, snap=False), dtype="float64").eval()
    plain = TorchBackend().module(lower(trained.network, snap=False), dtype="float64")
    read = f"{network.populations[-1].name}/v"
    given = torch.tensor(x).expand(3, *x.shape)
    with torch.no_grad():
        a, b = kept(given, record=[read]), plain(given, record=[read])
    assert all(torch.equal(a[p.name], b[p.name]) for p in network.populations)
    assert sum(float(b[p.name].sum()) for p in network.populations) > 0
    assert torch.allclose(a[read], b[read], rtol=1e-12, atol=1e-12)
    folded = with_learned(trained.network, kept)
    assert all(p.norm is None and p.dropout == 0 for p in folded.projections)
