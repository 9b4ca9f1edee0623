"""A torch network of rectifiers as soft-reset neurons: the theorem for one layer, accuracy for whole networks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import spikesim  # noqa: E402
from spikesim import Probe, data  # noqa: E402
from spikesim.convert import from_ann  # noqa: E402
from spikesim.errors import InvalidValueError, UnsupportedError  # noqa: E402
from spikesim.train import accuracy_over_time  # noqa: E402

T = 64


def constant(x, steps):
    return np.broadcast_to(x, (steps, *x.shape))


@pytest.mark.parametrize(("half", "bound"), [(False, 1.0), (True, 0.5)])
def test_the_rate_of_one_layer_is_its_activation_to_within_a_step(half, bound):
    """|rate - clip(z, 0, 1)| <= 1/T, and half of it with half a threshold of charge, for every constant input."""
    z = np.linspace(-0.5, 1.5, 2001)[:, None]
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU())
    nn.init.constant_(module[0].weight, 2.0)
    network, _ = from_ann(module, np.array([[0.5]]), half_charge=half)  # its scale is 2 * 0.5 = 1
    errors = {}
    for steps in (5, 16):
        counts = spikesim.run(network, inputs={"input": constant(z / 2, steps)}, backend="torch")["layer1"].counts()[
            :, 0
        ]
        errors[steps] = np.abs(counts / steps - np.clip(z[:, 0], 0, 1)).max()
        assert errors[steps] <= bound / steps + 2**-16
    assert errors[5] > 0.9 * bound / 5  # the bound is tight


def images(n=64, seed=0):
    return np.random.default_rng(seed).random((n, 2, 8, 8))


class Plain(nn.Module):
    """Functions in place of modules."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(256, 5)

    def forward(self, x):
        return self.fc(torch.flatten(torch.relu(self.conv(x)), 1))


def network_of(kind):
    """Return modules whose running statistics are not trivial."""
    torch.manual_seed(3)
    made = {
        "conv": nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.AvgPool2d(2),
            nn.Conv2d(4, 6, 3, stride=2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(6, 5),
        ),
        "odd": nn.Sequential(
            nn.AvgPool2d((2, 1)), nn.Conv2d(2, 4, (1, 3), groups=2, dilation=(1, 2), padding="same"),
            nn.AvgPool2d(2, 1, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7),
            nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 5),
        ),
        "plain": Plain(),
    }[kind]  # fmt: skip
    made(torch.as_tensor(images(), dtype=torch.float32))  # moves the running statistics
    return made.eval()


@pytest.mark.parametrize(
    ("kind", "per"), [("conv", "layer"), ("conv", "channel"), ("odd", "channel"), ("plain", "layer")]
)
def test_outputs_approach_the_network_s_as_one_over_t(kind, per):
    module, x = network_of(kind), images(24, 1)
    network, report = from_ann(module, images(), per=per)
    last = network.populations[-1].name
    with torch.no_grad():
        expected = module.double()(torch.as_tensor(x)).numpy()
    steps = 512
    probed = network.add(Probe(last, ("v",)))
    out = spikesim.run(probed, inputs={"input": constant(x, steps)}, backend="torch").traces[last]["v"].values
    error = {t: np.abs(out[:, t - 1] / t - expected).mean() / np.abs(expected).mean() for t in (32, 512)}
    assert error[512] < 0.01 and error[512] < error[32] / 8
    assert [r.status for r in report.rows[:-1]] == ["approximated"] * (len(report.rows) - 1)
    assert report.rows[-1].written_as == "li"


def trained(module, x, y, epochs=60):
    torch.manual_seed(0)
    x, y = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)
    optimiser = torch.optim.Adam(module.parameters(), 5e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(x[part]), y[part]).backward()
            optimiser.step()
    return module.eval()


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", seed=0).scaled()


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_accuracy_on_digits_is_within_a_point(kind, digits):
    torch.manual_seed(0)
    shape = (-1, 64) if kind == "mlp" else (-1, 1, 8, 8)
    x, x_test = digits.x_train.reshape(shape), digits.x_test.reshape(shape)
    if kind == "mlp":
        module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    else:
        module = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
            nn.Linear(128, 10),
        )  # fmt: skip
    trained(module, x, digits.y_train, epochs=25)
    with torch.no_grad():
        before = (module(torch.as_tensor(x_test, dtype=torch.float32)).argmax(1).numpy() == digits.y_test).mean()
    assert before > 0.93
    network, _ = from_ann(module, x[:256], percentile=99.9)
    curve = accuracy_over_time(network, x_test, digits.y_test, steps=T, readout="membrane_last", encode="constant")
    assert curve.shape == (T,)
    assert curve[-1] >= before - 0.01
    assert curve[0] < before - 0.01  # a single step is not enough, so the curve says something


def test_the_module_is_left_alone():
    module = network_of("conv").train()
    state = {k: v.clone() for k, v in module.state_dict().items()}
    from_ann(module, images())
    assert module.training and all(torch.equal(state[k], v) for k, v in module.state_dict().items())
    assert next(module.parameters()).dtype == torch.float32


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return torch.relu(self.fc(x) + x)


def test_what_has_no_counterpart_is_named_with_advice():
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), nn.Tanh(), nn.Flatten(2), nn.AvgPool2d(2, ceil_mode=True)
    )
    with pytest.raises(UnsupportedError) as error:
        from_ann(module, images())
    for text in (
        "'1': a MaxPool2d has no counterpart",
        "AvgPool2d in its place",
        "Tanh",
        "start_dim=2",
        "ceil_mode=True",
    ):
        assert text in str(error.value)
    with pytest.raises(UnsupportedError, match="branches cannot be converted"):
        from_ann(Residual(), np.ones((3, 4)))
    with pytest.raises(UnsupportedError, match="can be folded directly behind"):
        from_ann(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4)), np.ones((3, 4)))
    with pytest.raises(UnsupportedError, match="put a Flatten before it"):
        from_ann(nn.Sequential(nn.Linear(8, 4), nn.ReLU()), images())
    with pytest.raises(InvalidValueError, match="percentile must be above 0"):
        from_ann(nn.Sequential(nn.Linear(4, 4)), np.ones((3, 4)), percentile=0.0)


def test_the_plot_shows_the_curve():
    from spikesim.plot import accuracy

    axes = accuracy(np.array([0.1, 0.5, 0.9]), reference=0.95)
    assert axes.get_lines()[0].get_ydata().tolist() == pytest.approx([10.0, 50.0, 90.0])
    assert axes.get_lines()[1].get_ydata()[0] == pytest.approx(95.0)
