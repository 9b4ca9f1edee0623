"""Encoders: shapes, determinism, statistics, and what bad input gets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spikesim import encode
from spikesim.errors import InvalidValueError, UnknownNameError

UNIT = st.floats(0, 1)
IMAGES = np.linspace(0, 1, 4 * 3 * 5).reshape(4, 3, 5)


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda x: encode.rate(x, 7, seed=1), bool),
        (lambda x: encode.regular(x, 7), bool),
        (lambda x: encode.poisson(100 * x, 7, dt=1e-3, seed=1), bool),
        (lambda x: encode.latency(x, 7), bool),
        (lambda x: encode.latency(x, 7, tau=2.0), bool),
        (lambda x: encode.constant(x, 7), float),
    ],
)
def test_time_comes_first(make, dtype):
    out = make(IMAGES)
    assert out.shape == (7, 4, 3, 5)
    assert out.dtype == dtype


def test_rate_has_the_right_rate():
    spikes = encode.rate(np.array([[0.0, 0.1, 0.5, 0.9, 1.0]]), 20_000, seed=3)
    np.testing.assert_allclose(spikes.mean(axis=(0, 1)), [0, 0.1, 0.5, 0.9, 1], atol=0.015)
    assert abs(encode.rate(np.ones((1, 50)), 1000, seed=3, gain=0.25).mean() - 0.25) < 0.01


@given(arrays(np.float64, (2, 3), elements=UNIT), st.integers(1, 40))
def test_regular_has_the_rounded_number_of_spikes_at_every_moment(x, steps):
    counts = np.cumsum(encode.regular(x, steps), axis=0)
    ends = np.arange(1, steps + 1)[:, None, None]
    assert np.array_equal(counts, np.floor(x * ends + 0.5))


def test_poisson_counts_steps_with_an_event():
    spikes = encode.poisson(np.full((1, 100), 500.0), 1000, dt=1e-3, seed=0)
    assert abs(spikes.mean() - (1 - np.exp(-0.5))) < 0.005


@pytest.mark.parametrize("make", [encode.rate, lambda x, steps, **k: encode.poisson(x, steps, dt=0.5, **k)])
def test_seed_decides_and_a_part_gets_the_spikes_it_has_in_the_whole(make):
    whole = make(IMAGES, 50, seed=5)
    assert np.array_equal(whole, make(IMAGES, 50, seed=5))
    assert not np.array_equal(whole, make(IMAGES, 50, seed=6))
    assert np.array_equal(whole[:, 2:], make(IMAGES[2:], 50, seed=5, first_sample=2))
    assert np.array_equal(whole[:20], make(IMAGES, 20, seed=5))


@given(arrays(np.float64, (3, 4), elements=UNIT), st.integers(1, 20), st.sampled_from([None, 0.5, 4.0]))
def test_latency_spikes_at_most_once_and_stronger_is_not_later(x, steps, tau):
    spikes = encode.latency(x, steps, tau=tau)
    counts = spikes.sum(axis=0)
    assert counts.max() <= 1
    assert not counts[x <= 0.01].any()
    when = np.where(counts, spikes.argmax(axis=0), steps)
    assert (np.diff(when.ravel()[np.argsort(x.ravel(), kind="stable")]) <= 0).all()


def test_latency_of_an_rc_membrane_is_the_crossing_time():
    x = np.array([[0.9, 0.5, 0.12]])
    spikes = encode.latency(x, 100, tau=10.0, threshold=0.1)
    exact = 10 * np.log(x / (x - 0.1))
    assert np.array_equal(spikes.argmax(axis=0), np.floor(exact))


@given(arrays(np.float64, (2, 30, 3), elements=st.floats(-0.5, 0.5)), st.sampled_from([0.5, 1.0, 2.0]))
def test_delta_can_be_undone_to_within_a_threshold(steps_of_signal, threshold):
    # No step is larger than the threshold, so one spike in a step keeps up.
    signal = np.cumsum(steps_of_signal, axis=1)
    spikes = encode.delta(signal, threshold=threshold)
    assert spikes.shape == (30, 2, 2, 3)
    assert not spikes.all(axis=2).any()
    level = signal[:, 0] + threshold * np.cumsum(spikes[:, :, 0].astype(int) - spikes[:, :, 1], axis=0)
    assert np.abs(level - np.moveaxis(signal, 1, 0)).max() <= threshold * (1 + 1e-9)


def test_constant_is_a_fresh_array_that_keeps_its_precision():
    x = np.ones((2, 3), np.float32)
    out = encode.constant(x, 4)
    assert out.dtype == np.float32
    out[0] = 7
    assert out[1].max() == 1 and x.max() == 1
    assert encode.constant([[1, 2]], 1).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: encode.rate([[16.0]], 5, seed=0), r"found 16 to 16; allowed is 0 to 1; divide"),
        (lambda: encode.rate([[0.5, np.nan]], 5, seed=0), r"x\[0, 1\] is not finite"),
        (lambda: encode.rate([0.5], 5, seed=0), r"shape \(1,\).*x\[None\]"),
        (lambda: encode.rate([[0.5]], 0, seed=0), "steps is 0"),
        (lambda: encode.rate([[0.5]], 2.5, seed=0), "steps is 2.5"),
        (lambda: encode.rate([[0.5]], 5, seed=0, gain=np.nan), "gain"),
        (lambda: encode.rate([[0.5]], 5, seed=0, first_sample=-1), "first_sample: found -1"),
        (lambda: encode.rate([["a"]], 5, seed=0), "allowed are real numbers"),
        (lambda: encode.regular([[1.5]], 5), "regular: intensities x: found 1.5 to 1.5"),
        (lambda: encode.poisson([[-1.0]], 5, dt=1e-3, seed=0), "cannot be negative"),
        (lambda: encode.poisson([[1.0]], 5, dt=0.0, seed=0), "dt: found 0.0"),
        (lambda: encode.latency([[0.5]], 5, threshold=1.0), "threshold is 1.0"),
        (lambda: encode.latency([[0.5]], 5, tau=1.0, threshold=0.0), "together with tau"),
        (lambda: encode.latency([[0.5]], 5, tau=-1.0), "tau: found -1.0"),
        (lambda: encode.delta([[0.5, 1.0]], threshold=1.0), r"\[samples, time, features...\]"),
        (lambda: encode.delta([[[0.5]]], threshold=0), "threshold: found 0"),
        (lambda: encode.constant([[np.inf]], 5), "not finite"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(InvalidValueError, match=says):
        call()


# ---------------------------------------------------------------- several values of one, and over time


def test_a_rate_that_varies_is_rate_where_it_does_not():
    x = np.random.default_rng(0).random((3, 4))
    still = np.repeat(x[:, None], 20, axis=1)
    assert np.array_equal(encode.varying_rate(still, seed=4, gain=0.7), encode.rate(x, 20, seed=4, gain=0.7))
    steps = np.linspace(0, 1, 5)[None, :, None] * np.ones((4000, 5, 1))
    np.testing.assert_allclose(encode.varying_rate(steps, seed=0).mean((1, 2)), steps[0, :, 0], atol=0.03)


def test_population_has_its_peak_at_the_value():
    x = np.array([[0.0, 0.3, 1.0]])
    fields = encode.population(x, 11, width=0.05)
    assert fields.shape == (1, 3, 11) and np.array_equal(fields[0].argmax(-1), [0, 3, 10])
    centres = np.linspace(0, 1, 11)
    np.testing.assert_allclose(fields, np.exp(-0.5 * ((x[..., None] - centres) / 0.05) ** 2), rtol=1e-12)
    np.testing.assert_allclose((fields * centres).sum(-1)[0, 1] / fields.sum(-1)[0, 1], 0.3, atol=1e-3)
    assert encode.population([[-3.0]], 5, low=-3, high=7)[0, 0, 0] == 1


def test_signed_parts_make_the_value():
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4))
    parts = encode.signed(x)
    assert parts.shape == (2, 2, 3, 4) and parts.min() == 0 and np.array_equal(parts[:, 0] - parts[:, 1], x)
    spikes = encode.regular(parts, 1000).sum(0) / 1000
    np.testing.assert_allclose(spikes[:, 0] - spikes[:, 1], x, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: encode.population([[0.5]], 1), InvalidValueError, "n is 1"),
        (lambda: encode.population([[0.5]], 3, low=1.0), InvalidValueError, "low below high"),
        (lambda: encode.population([[0.5]], 3, width=0), InvalidValueError, "width: found 0"),
        (lambda: encode.varying_rate([[0.5]], seed=0), InvalidValueError, r"\[samples, time, features"),
        (lambda: encode.varying_rate([[[1.5]]], seed=0), InvalidValueError, "found 1.5 to 1.5"),
        (lambda: encode.delta([[[0.5]]], threshold=1, compare="next"), UnknownNameError, "level, previous"),
    ],
)
def test_further_mistakes(make, error, says):
    with pytest.raises(error, match=says):
        make()
