"""Training with a say in the frequencies of filters: control, modulation, penalties."""

import numpy as np
import pytest
import torch

import spikesim as sp
from spikesim import data
from spikesim.analyse.filter_frequency import control, first_filters, low_share, split_filters
from spikesim.errors import InvalidValueError, NetworkError, UnknownNameError
from spikesim.layers import batch_norm, conv2d, dense, pool
from spikesim.models.neurons import li, lif_soft
from spikesim.train.filter_frequency import (
    PENALTIES,
    DCTPenalty,
    FrequencyControl,
    FrequencyModulation,
    train_filters,
)

SHAPE = (6, 2, 3, 3)


@pytest.fixture
def weights():
    return torch.tensor(np.random.default_rng(0).normal(size=SHAPE))


def test_modulation_without_gain_and_perturbation_is_the_identity(weights):
    for n in (3, 8, 11):
        way = FrequencyModulation(SHAPE, n, bands=3, sigma=0.0)
        assert torch.allclose(way(weights), weights, atol=1e-12)
        way.sigma = 0.3
        assert not torch.allclose(way(weights), weights, atol=1e-3)
        assert torch.allclose(way.eval()(weights), weights, atol=1e-12)  # no perturbation at test time


@pytest.mark.parametrize(("k", "n"), [(3, 3), (3, 12), (5, 16)])
def test_what_a_perturbation_leaves_in_the_kernel_is_sigma_k_over_n(k, n):
    shape = (400, 1, k, k)
    w = torch.tensor(np.random.default_rng(0).normal(size=shape))
    way = FrequencyModulation(shape, n, sigma=0.1)
    left = float((way(w) - w).detach().norm() / w.norm())
    assert left == pytest.approx(0.1 * k / n, rel=0.12)


@pytest.mark.parametrize("n", [7, 8])
def test_modulated_filters_are_real_and_gradients_reach_gamma(weights, n):
    way = FrequencyModulation(SHAPE, n, bands=4, sigma=0.5, per_filter=True)
    with torch.no_grad():
        way.gamma += torch.randn(way.gamma.shape)
    draws = way.draw(6, torch.float64)
    opposite = torch.roll(draws.flip(1, 2), (1, 1), (1, 2))
    assert torch.equal(draws, opposite) and abs(draws.std() - 1) < 0.15
    gain = way.gamma.double()[:, way.band].exp() * (1 + 0.5 * draws)
    assert torch.fft.ifft2(torch.fft.fft2(weights, s=(n, n)) * gain[:, None]).imag.abs().max() < 1e-12
    way(weights).square().sum().backward()
    assert (way.gamma.grad != 0).all()


def test_a_band_scales_the_power_of_its_ring(weights):
    way = FrequencyModulation(SHAPE, 3, bands=1, sigma=0.0)  # n = 3: nothing is cut off
    with torch.no_grad():
        way.gamma += np.log(2.0)
    assert torch.allclose(way(weights), 2.0 * weights)


@pytest.mark.parametrize("kind", ["dct", "dc", "binomial"])
def test_control_is_that_of_numpy_and_gradients_pass(weights, kind):
    way = FrequencyControl(SHAPE, 0.5, kind).double()
    # the map is held in float32, as weights are
    assert way(weights).numpy() == pytest.approx(control(weights.numpy(), 0.5, kind), abs=1e-6)
    leaf = weights.clone().requires_grad_()
    way(leaf).sum().backward()
    assert leaf.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", PENALTIES)
def test_penalties_are_zero_for_constant_filters_and_positive_for_a_checkerboard(kind):
    constant = torch.full(SHAPE, 0.7, dtype=torch.float64, requires_grad=True)
    cost = DCTPenalty(kind, 1.0)(constant)
    cost.backward()
    assert cost.item() == pytest.approx(0.0, abs=1e-12)
    assert constant.grad.sum((2, 3)).abs().max() < 1e-12  # nothing pulls at frequency 0
    check = torch.tensor([[1.0, -1, 1], [-1, 1, -1], [1, -1, 1]], dtype=torch.float64).expand(SHAPE)
    assert float(DCTPenalty(kind, 1.0)(check)) > 1.0
    assert float(DCTPenalty(kind, 0.5)(check)) == pytest.approx(0.5 * float(DCTPenalty(kind, 1.0)(check)))


def test_the_weighted_penalty_by_hand():
    kernel = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    kernel[0, 0, 0, 0] = 2.0  # orthonormal DCT of 2 x 2: every coefficient is 1
    assert float(DCTPenalty("dct_weighted", 1.0)(kernel)) == pytest.approx(1 + 1 + 2)
    assert float(DCTPenalty("dct_top", 1.0)(kernel)) == pytest.approx(2 * 3**0.5)
    assert float(DCTPenalty("dct_monotone", 1.0)(kernel)) == pytest.approx(2**0.5 - 1)


def network(kernel=3):
    filters = (conv2d(6, kernel, padding=kernel // 2), batch_norm(gain=0.5), lif_soft(), pool(2))
    return sp.sequential(sp.Input("image", (1, 8, 8), graded=True), *filters, dense(10), li(beta=0.0))


SETTINGS = {"steps": 2, "epochs": 1, "loss": "membrane_cross_entropy", "learning_rate": 1e-2}


@pytest.mark.parametrize(
    "way",
    [{"proportion": 0.5}, {"modulation": {"n": 8, "sigma": 0.2}}, {"penalty": DCTPenalty("dct_weighted", 10.0)}],
    ids=["proportion", "modulation", "penalty"],
)
def test_a_network_comes_out_that_runs_anywhere(way):
    digits = data.load("digits").scaled()
    x, y = digits.x_train[:300, None], digits.y_train[:300]
    trained = train_filters(network(), (x, y), **way, **SETTINGS)
    again = train_filters(network(), (x, y), **way, **SETTINGS)
    kernels = first_filters(trained.network)[1]
    assert np.array_equal(kernels, first_filters(again.network)[1])
    if "proportion" in way:
        low, high = split_filters(kernels, "binomial")
        assert np.abs(high[:3]).max() < 1e-6 and np.abs(low[3:]).max() < 1e-6
        assert (low_share(kernels[:3], 8) > 0.5).all() and (low_share(kernels[3:], 8) < 0.5).all()
    if "penalty" in way:
        free = first_filters(train_filters(network(), (x, y), **SETTINGS).network)[1]
        assert low_share(kernels, 8).mean() > low_share(free, 8).mean()
    recording = sp.run(trained.network, steps=2, inputs={"image": np.broadcast_to(x[:3], (2, 3, 1, 8, 8))})
    assert recording.counts.spikes > 0


def test_what_is_refused():
    x, y = np.zeros((4, 64)), np.arange(4)
    with pytest.raises(InvalidValueError, match="1 x 1 have no spatial frequency but 0; allowed"):
        train_filters(network(1), (x, y), proportion=0.5)
    with pytest.raises(NetworkError, match="no convolution, hence no filters; add a layer conv2d"):
        train_filters(sp.sequential(sp.Input("x", 64, graded=True), dense(3), lif_soft()), (x, y))
    with pytest.raises(InvalidValueError, match="give one of them"):
        train_filters(network(), (x, y), proportion=0.5, modulation={})
    with pytest.raises(InvalidValueError, match=r"n is 2(.|\n)*bands is 0(.|\n)*sigma is -1"):
        FrequencyModulation(SHAPE, 2, 0, -1.0)
    with pytest.raises(UnknownNameError, match="dct_top"):
        DCTPenalty("dct_tip")
