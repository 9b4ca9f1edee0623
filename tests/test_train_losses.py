"""Losses, read-outs, regularisers and schedules: against their definitions, snnTorch and torch."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikesim import Network, Population, Probe, Projection, run  # noqa: E402
from spikesim.connect import Dense  # noqa: E402
from spikesim.errors import InvalidValueError, UnknownNameError  # noqa: E402
from spikesim.models.neurons import li, lif_soft  # noqa: E402
from spikesim.stimulus import Input  # noqa: E402
from spikesim.train import LOSSES, RateRegulariser, loss  # noqa: E402
from spikesim.train.readout import READOUTS, Readout, first_spike, read_out  # noqa: E402
from spikesim.train.schedules import SCHEDULES, Schedule, plateau, without_improvement  # noqa: E402

STEPS, SAMPLES, N = 6, 5, 3


def raster(seed=0, share=0.3):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(STEPS, SAMPLES, N, generator=generator, dtype=torch.float64) < share).double()


LABELS = torch.tensor([0, 2, 1, 1, 0])
LENGTHS = torch.tensor([6, 1, 3, 5, 2])


# ---------------------------------------------------------------------------------------- first spikes


def first(column):
    fired = np.flatnonzero(column)
    return int(fired[0]) if len(fired) else len(column)


def test_first_spike_and_its_derivative_are_what_one_spike_more_or_less_changes():
    spikes = raster().requires_grad_()
    times = first_spike(spikes)
    times.sum().backward()
    for sample in range(SAMPLES):
        for n in range(N):
            column = spikes.detach().numpy()[:, sample, n]
            assert times[sample, n] == first(column)
            for k in range(STEPS):
                flipped = column.copy()
                flipped[k] = 1 - flipped[k]
                change = (first(flipped) - first(column)) / (flipped[k] - column[k])
                assert spikes.grad[k, sample, n] == change


# ---------------------------------------------------------------------------------------- losses


def reader(name):
    return Readout(name, "last", "" if name in ("rate", "latency") else "v", N)


def value(name, values, labels=LABELS, lengths=None, readout=None, **settings):
    chosen = loss(name, **settings)
    scores = reader(readout or chosen.readout).scores(values, lengths)
    return float(chosen(values if chosen.over_time or labels.ndim == 3 else scores, labels, len(values), lengths))


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("rate_cross_entropy", "ce_count_loss"),
        ("step_cross_entropy", "ce_rate_loss"),
        ("max_membrane_cross_entropy", "ce_max_membrane_loss"),
        ("latency_cross_entropy", "ce_temporal_loss"),
    ],
)
def test_losses_equal_those_of_snntorch(name, theirs, require):
    functional = require("snntorch.functional")
    spikes = raster(3).float()
    spikes[-1] = 1.0  # every neuron fires: snnTorch has another time for one that does not
    assert value(name, spikes) == pytest.approx(float(getattr(functional, theirs)()(spikes, LABELS)), rel=1e-6)
    assert value(theirs, spikes) == value(name, spikes)


def test_temporal_efficient_training():
    values = torch.randn(STEPS, SAMPLES, N, generator=torch.Generator().manual_seed(1))
    entropy = np.mean([float(torch.nn.functional.cross_entropy(v, LABELS)) for v in values])
    pulled = float((values - 0.7).square().mean())
    assert value("tet", values, lam=0.25, target=0.7) == pytest.approx(0.75 * entropy + 0.25 * pulled, rel=1e-6)
    assert value("tet", values, lam=0.0) == pytest.approx(value("step_cross_entropy", values))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_steps_behind_a_sample_s_length_do_not_count(name):
    """The mean over samples of different lengths is the mean of the samples, each cut to its length."""
    values = raster(2)
    targets = torch.randn(SAMPLES, N, dtype=torch.float64) if name == "mse" else LABELS
    for readout in LOSSES[name].readouts:
        alone = [
            value(name, values[:length, k : k + 1], targets[k : k + 1], readout=readout)
            for k, length in enumerate(LENGTHS.tolist())
        ]
        if readout == "latency":  # a silent neuron's time is the number of steps, cut or not
            continue
        assert value(name, values, targets, LENGTHS, readout) == pytest.approx(np.mean(alone)), readout


def test_mean_squared_error_over_time():
    values, targets = raster(4), torch.randn(SAMPLES, STEPS, N, dtype=torch.float64)
    assert value("mse", values, targets) == pytest.approx(float((values.transpose(0, 1) - targets).square().mean()))
    each = [float((values[:k, j] - targets[j, :k]).square().mean()) for j, k in enumerate(LENGTHS.tolist())]
    assert value("mse", values, targets, LENGTHS) == pytest.approx(np.mean(each))


def test_unknown_losses_and_settings():
    with pytest.raises(UnknownNameError, match="did you mean 'count_mse'"):
        loss("count_ms")
    with pytest.raises(UnknownNameError, match=r"setting of loss 'tet'.*did you mean 'lam'"):
        loss("tet", lamb=0.1)


# ---------------------------------------------------------------------------------------- read-outs


@pytest.mark.parametrize("name", sorted(READOUTS))
def test_read_outs_say_the_same_of_tensors_and_recordings(name):
    last = lif_soft() if name in ("rate", "latency") else li(beta=0.9)
    net = Network(
        [Population("a", N, last)], [Projection("x", "a", Dense(np.eye(N)))], [Input("x", N, graded=True)]
    ).with_(probes=() if name in ("rate", "latency") else (Probe("a", ("v",)),))
    given = np.random.default_rng(0).uniform(0, 0.6, (STEPS, SAMPLES, N))
    recording, chosen = run(net, inputs={"x": given}), read_out(net, name)
    values = torch.as_tensor(chosen.over_time(recording))
    assert values.abs().sum() > 0
    np.testing.assert_allclose(chosen.read(recording), chosen.scores(values), rtol=1e-12)
    cut = chosen.scores(values, LENGTHS)
    np.testing.assert_allclose(chosen.read(recording, LENGTHS.numpy()), cut, rtol=1e-12)
    assert not torch.equal(cut, chosen.scores(values))


def test_other_names_of_read_outs():
    net = Network([Population("a", 2, li())])
    assert [read_out(net, n).name for n in ("membrane", "mean", "last")] == ["membrane_mean"] * 2 + ["membrane_last"]
    with pytest.raises(InvalidValueError, match=r"'latency': the last population 'a' .* never fires"):
        read_out(net, "first_spike")


# ---------------------------------------------------------------------------------------- regularisers


def test_rates_outside_a_range_cost():
    rasters = {"a": torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 1.0]], [[1.0, 0.0]]])}  # rates 1 and 1/4
    assert float(RateRegulariser(upper=0.5)(rasters)) == pytest.approx(0.5**2 / 2)
    assert float(RateRegulariser(2.0, upper=0.5, norm=1)(rasters)) == pytest.approx(2 * 0.5 / 2)
    both = RateRegulariser(upper=0.5, lower=0.3, norm=1)
    assert float(both(rasters)) == pytest.approx((0.5 + 0.05) / 2)
    assert float(RateRegulariser(upper=None, lower=0.5)(rasters)) == pytest.approx(0.25**2 / 2)
    assert RateRegulariser()({}) == 0.0
    for wrong, word in (
        ({"upper": None}, "an upper or a lower"),
        ({"lower": 0.5}, "above upper"),
        ({"norm": 3}, "1 or 2"),
        ({"strength": -1.0}, "at least 0"),
    ):
        with pytest.raises(InvalidValueError, match=word):
            RateRegulariser(**wrong)


# ---------------------------------------------------------------------------------------- schedules


def rates_of_torch(make, steps):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, found = make(optimiser), []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("name", "settings", "make"),
    [
        ("cosine", {"final": 0.1}, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20, eta_min=0.1)),
        ("linear", {"final": 0.2}, lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.2, 20)),
        ("step", {"every": 3, "factor": 0.5}, lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.5)),
        ("constant", {}, lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
    ],
)
def test_schedules_equal_those_of_torch(name, settings, make):
    ours = Schedule(name, 20, settings=settings)
    np.testing.assert_allclose([ours(k) for k in range(20)], rates_of_torch(make, 20), rtol=1e-12)


def test_one_cycle_equals_torch_s_up_to_where_its_steps_lie():
    ours = Schedule("one_cycle", 1000)
    theirs = rates_of_torch(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, total_steps=1000, cycle_momentum=False), 1000
    )
    np.testing.assert_allclose([ours(k) for k in range(1000)], theirs, atol=6e-3)
    assert ours(300.0) == 1.0 and ours(0.0) == pytest.approx(0.04)


def test_plateau_equals_torch_s():
    losses = [1.0, 0.9, 0.9, 0.95, 0.91, 0.8, 0.85, 0.81, 0.9, 0.8, 0.79, 0.9, 0.9, 0.9]
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=1, threshold=0.0)
    for k, value in enumerate(losses, 1):
        scheduler.step(value)
        assert plateau(losses[:k], factor=0.5, wait=1) == optimiser.param_groups[0]["lr"], k
    assert optimiser.param_groups[0]["lr"] < 0.2
    assert without_improvement([]) == 0 and without_improvement([3.0, 2.0]) == 0


def test_warm_up_rises_along_a_line_and_the_schedule_follows():
    ours = Schedule("cosine", 10, warmup=2)
    assert [ours(k / 4, 1 / 4) for k in range(8)] == pytest.approx([(k + 1) / 8 for k in range(8)])
    assert ours(2.0) == 1.0 and ours(6.0) == pytest.approx(0.5) and ours(10.0) == pytest.approx(0.0)
    assert math.isclose(Schedule("step", 10, 2, {"every": 4})(6.0), 0.1)


def test_schedules_that_cannot_be():
    assert set(SCHEDULES) == {"constant", "cosine", "linear", "step", "one_cycle", "plateau"}
    with pytest.raises(UnknownNameError, match="did you mean 'one_cycle'"):
        Schedule("onecycle", 3)
    with pytest.raises(UnknownNameError, match=r"setting of schedule 'step'.*did you mean 'every'"):
        Schedule("step", 3, settings={"ever": 2})
    for name, warmup, settings, word in (
        ("cosine", 3.0, {}, "warmup must be from 0 to below epochs"),
        ("one_cycle", 1.0, {}, "warm-up of its own"),
        ("step", 0.0, {"every": 0}, "every of schedule 'step'"),
        ("step", 0.0, {"every": "a"}, "every of schedule 'step'"),
        ("one_cycle", 0.0, {"rise": 1.0}, "below 1"),
    ):
        with pytest.raises(InvalidValueError, match=word):
            Schedule(name, 3, warmup, settings)
