"""Spectra of filters: Parseval, known kernels, proportions, modulation, penalties, response in time."""

import numpy as np
import pytest

import spikesim as sp
from spikesim.analyse.filter_frequency import (
    centroid,
    control,
    dct2,
    dct_basis,
    effective_spectrum,
    filter_rates,
    filter_spectrum,
    first_filters,
    frequency_proportion,
    low_projection,
    low_share,
    measured_response,
    polarity_filters,
    split_filters,
    temporal_response,
)
from spikesim.errors import InvalidValueError, NetworkError, UnknownNameError
from spikesim.layers import batch_norm, conv2d, dense
from spikesim.models.neurons import leaky, li, lif_soft

BOX, DELTA = np.ones((3, 3)), np.pad([[1.0]], 1)
CHECK = np.array([[1.0, -1, 1], [-1, 1, -1], [1, -1, 1]])


def one(kernel):
    return np.asarray(kernel)[None, None]


@pytest.fixture
def weights():
    return np.random.default_rng(0).normal(size=(7, 2, 3, 3))


@pytest.mark.parametrize(("shape", "n"), [((4, 3, 3, 3), 8), ((2, 1, 5, 2), 11)])
def test_parseval(shape, n):
    w = np.random.default_rng(1).normal(size=shape)
    assert filter_spectrum(w, n).sum((2, 3)) / n**2 == pytest.approx((w**2).sum((2, 3)))


@pytest.mark.parametrize("n", [5, 8, 12])
def test_a_delta_has_the_share_of_the_bins(n):
    r0 = 0.3 * n
    each = np.minimum(np.arange(n), n - np.arange(n))
    bins = sum(a * a + b * b <= r0 * r0 for a in each for b in each)
    assert low_share(one(DELTA), n, r0)[0] == pytest.approx(bins / n**2, abs=1e-12)


@pytest.mark.parametrize(
    ("kernel", "n", "expected"),
    [(BOX, 8, 0.803), (DELTA, 8, 13 / 64), (CHECK, 8, 0.010), (BOX, 32, 0.808), (DELTA, 32, 0.192), (CHECK, 32, 0.005)],
)
def test_known_kernels(kernel, n, expected):
    assert low_share(one(kernel), n)[0] == pytest.approx(expected, abs=5e-4)


def test_the_nine_dct_kernels():
    basis = dct_basis(3)
    shares = [[low_share(one(np.outer(a, b)), 8)[0] for b in basis] for a in basis]
    expected = [[0.8033, 0.4027, 0.0748], [0.4027, 0.0625, 0.0036], [0.0748, 0.0036, 0.0002]]
    assert np.array(shares) == pytest.approx(np.array(expected), abs=5e-5)
    assert basis @ basis.T == pytest.approx(np.eye(3), abs=1e-12)


def test_scale_and_quarter_turns_change_nothing(weights):
    for changed in (3.7 * weights, -weights, np.rot90(weights, axes=(2, 3))):
        assert low_share(changed, 16) == pytest.approx(low_share(weights, 16))
        assert centroid(changed, 16) == pytest.approx(centroid(weights, 16))


@pytest.mark.parametrize("kind", ["dct", "dc", "binomial"])
def test_parts_sum_to_the_filters_and_control_takes_as_many(weights, kind):
    low, high = split_filters(weights, kind)
    assert low + high == pytest.approx(weights)
    assert np.array_equal(control(weights, 3 / 7, kind), np.concatenate([low[:3], high[3:]]))
    again, rest = split_filters(low, kind)
    assert again == pytest.approx(low) and rest == pytest.approx(np.zeros_like(rest), abs=1e-12)  # a projection


def test_high_parts_are_high_and_low_parts_are_low_where_that_is_sure():
    w = np.random.default_rng(3).normal(size=(500, 1, 3, 3))
    assert (low_share(control(w, 0.0, "dct"), 8) < 0.11).all()
    for kind in ("dc", "binomial"):
        assert (low_share(control(w, 0.0, kind), 8) < 0.5).all()
        assert (low_share(control(w, 1.0, kind), 8) > 0.5).all()


def extremes(low, n):
    """Return smallest and largest low share of all filters that a projection keeps, as eigenvalues."""
    k = int(low.shape[0] ** 0.5)
    values, basis = np.linalg.eigh((low + low.T) / 2)
    spectra = np.fft.fft2(basis[:, values > 0.5].T.reshape(-1, k, k), (n, n)).reshape(-1, n * n)
    each = np.minimum(np.arange(n), n - np.arange(n))
    inside = spectra[:, (np.hypot(each[:, None], each) <= n / 4).ravel()]
    return np.linalg.eigvalsh((inside @ inside.conj().T).real / n**2)[[0, -1]]


@pytest.mark.parametrize(("k", "n"), [(2, 8), (2, 14), (3, 14), (4, 9), (4, 28), (5, 10), (6, 16)])
def test_which_parts_are_sure_to_be_low_or_high(k, n):
    dct, dc = (low_projection(k, k, kind).reshape(k * k, k * k) for kind in ("dct", "dc"))
    assert (extremes(dct, n)[0] > 0.5) == (k >= 4)
    assert extremes(dc, n)[0] > 0.5
    assert (extremes(np.eye(k * k) - dc, n)[1] < 0.5) == (k <= 3)
    w = np.random.default_rng(k).normal(size=(40, 3, k, k))
    assert low_share(split_filters(w, "dc")[0], n) == pytest.approx(extremes(dc, n)[0])
    assert low_share(split_filters(w, "dct")[0], n).min() >= extremes(dct, n)[0] - 1e-12
    for kind in ("dc", "dct", "binomial"):
        low, high = split_filters(w, kind)
        assert low + high == pytest.approx(w) and split_filters(low, kind)[0] == pytest.approx(low)
    assert (low_share(split_filters(w, "binomial")[0], n) > 0.5).all()
    assert split_filters(w, "binomial")[1].sum((2, 3)) == pytest.approx(np.zeros((40, 3)), abs=1e-12)


def test_proportions_by_rate():
    w = np.concatenate([one(BOX), one(DELTA), one(CHECK)])
    found = frequency_proportion(w, 8, rates=[0.0, 1.0, 1.0])
    assert found.low == pytest.approx(1 / 3) and found.weighted_low == 0.0
    assert found.weighted_share == pytest.approx(low_share(w, 8)[1:].mean())
    assert np.isnan(frequency_proportion(w, 8, rates=np.zeros(3)).weighted_low)
    counts = np.array([[2, 0, 1, 1], [0, 2, 3, 1]])
    assert filter_rates(counts, 2, 4) == pytest.approx([1 / 4, 6 / 16])


def test_polarities_are_looked_at_one_by_one():
    both = np.stack([BOX, BOX])[None]
    found = polarity_filters(both)
    assert found["on"].shape == (1, 1, 3, 3) and not found["difference"].any()
    assert low_share(found["difference"])[0] == 0.0


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_a_membrane_is_a_low_pass_in_time(beta):
    f = np.linspace(0, 0.5, 9)
    expected = temporal_response(beta, f)
    assert measured_response(leaky(beta=beta), f) == pytest.approx(expected, rel=1e-6)
    assert expected[0] == pytest.approx(1 / (1 - beta) ** 2) and expected[-1] == pytest.approx(1 / (1 + beta) ** 2)
    power = effective_spectrum(one(BOX), expected, 8)
    assert power.shape == (1, 9, 8, 8) and power[0, 0, 0, 0] == pytest.approx(81 * expected[0])


def network(kernel=3):
    layers = (conv2d(6, kernel, padding=kernel // 2), batch_norm(gain=0.5), lif_soft(), dense(10), li(beta=0.0))
    return sp.sequential(sp.Input("image", (1, 8, 8), graded=True), *layers)


def test_what_is_refused():
    with pytest.raises(InvalidValueError, match="1 x 1 have no spatial frequency but 0; allowed"):
        low_share(first_filters(network(1))[1])
    with pytest.raises(NetworkError, match="no convolution"):
        frequency_proportion(sp.sequential(sp.Input("x", 4, graded=True), dense(3), lif_soft()))
    with pytest.raises(InvalidValueError, match="raise n"):
        filter_spectrum(one(BOX), 2)
    with pytest.raises(InvalidValueError, match="allowed is 0 to 1"):
        control(one(BOX), 1.5)
    with pytest.raises(InvalidValueError, match="r0 is -1; allowed is a number of bins from 0"):
        low_share(one(BOX), 8, -1)
    with pytest.raises(UnknownNameError, match="binomial"):
        split_filters(one(BOX), "binomail")
    with pytest.raises(InvalidValueError, match="2 channels, OFF and ON, found 1"):
        polarity_filters(one(BOX))
    with pytest.raises(InvalidValueError, match="infinite"):
        temporal_response(1.0, [0.1])
    assert dct2(one(BOX))[0, 0, 0, 0] == pytest.approx(3.0)
