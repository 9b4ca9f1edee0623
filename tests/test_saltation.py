"""Event-driven exponents of leaky neurons against exact results."""

import numpy as np
import pytest

from spikesim.analyse import PulseNetwork, event_spectrum
from spikesim.errors import InvalidValueError, UnsupportedError

TAU = np.array([10e-3, 20e-3, 15e-3, 30e-3, 25e-3])


def inhibitory(n=20, seed=0, order=None):
    rng = np.random.default_rng(seed)
    w = -0.05 * (rng.random((n, n)) < 0.4)
    np.fill_diagonal(w, 0.0)
    tau, drive = rng.uniform(10e-3, 30e-3, n), rng.uniform(1.2, 2.0, n)
    order = np.arange(n) if order is None else order
    return PulseNetwork(w[np.ix_(order, order)], tau[order], drive[order])


def test_oscillators_keep_their_phase_and_silent_neurons_leak():
    drive = np.array([1.5, 0.5, 2.0, 0.9, -1.0])
    found = event_spectrum(PulseNetwork(np.zeros((5, 5)), TAU, drive), duration=5.0)
    assert np.abs(found.exponents[:2]).max() < 0.5
    np.testing.assert_allclose(found.exponents[2:], -1 / TAU[[3, 4, 1]], rtol=0.02)


def test_columns_are_the_derivative_of_the_flow():
    net, v = inhibitory(), np.random.default_rng(1).uniform(0, 1, 20)
    q, start, eps = np.eye(20), v.copy(), 1e-7
    spikes = net.advance(v, q, 0.05)
    assert spikes.sum() > 20
    for k in (0, 7, 19):
        ends = []
        for sign in (1, -1):
            moved = start.copy()
            moved[k] += sign * eps
            np.testing.assert_array_equal(net.advance(moved, np.zeros((20, 1)), 0.05), spikes)
            ends.append(moved)
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * eps), q[:, k], atol=1e-5, rtol=1e-5)


def test_sum_zero_exponent_and_stability_of_inhibition():
    net = inhibitory()
    found = event_spectrum(net, duration=2.0, transient=0.5, interval=2e-3, seed=3)
    v = np.random.default_rng(3).uniform(0.0, 1.0, 20)
    q = np.zeros((20, 1))
    net.advance(v, q, 0.5)
    rates = net.advance(v, q, 2.0) / 2.0
    expected = (rates * np.log(net.drive / (net.drive - 1.0)) - 1 / net.tau).sum()
    assert found.exponents.sum() == pytest.approx(expected, abs=1e-6 * abs(expected))
    # inhibitory pulses without delay are stable (Jahnke, Memmesheimer and Timme 2008); a shift in time is neutral
    assert abs(found.exponents[0]) < 0.5 and found.exponents[1] < -0.5


def test_interval_and_order_of_neurons_do_not_matter():
    one = event_spectrum(inhibitory(), interval=1e-3)
    chosen = event_spectrum(inhibitory())
    order = np.random.default_rng(5).permutation(20)
    mixed = event_spectrum(inhibitory(order=order), v0=np.random.default_rng(0).uniform(0, 1, 20)[order])
    np.testing.assert_allclose(chosen.exponents, one.exponents, atol=3.0)
    np.testing.assert_allclose(mixed.exponents, chosen.exponents, atol=3.0)
    assert event_spectrum(inhibitory(), exponents=2).exponents == pytest.approx(one.exponents[:2], abs=3.0)


def test_mistakes_get_a_clear_answer():
    with pytest.raises(InvalidValueError, match=r"(?s)weights must be .*tau must be finite above 0.*v_reset must be"):
        PulseNetwork(np.eye(2), -1.0, 1.5, v_reset=2.0)
    with pytest.raises(InvalidValueError, match=r"duration must be at least 0.01 s"):
        event_spectrum(inhibitory(), duration=0.001, interval=0.01)
    with pytest.raises(InvalidValueError, match="v0 must be 20 values below"):
        event_spectrum(inhibitory(), v0=np.full(20, 1.5))
    with pytest.raises(UnsupportedError, match="over its threshold"):
        event_spectrum(PulseNetwork([[0.0, 2.0], [2.0, 0.0]], 20e-3, 1.5))
