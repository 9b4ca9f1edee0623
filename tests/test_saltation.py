"""Event-driven exponents of leaky neurons against exact results."""

import numpy as np
import pytest

from spikesim import Current, Network, Population, Projection, run
from spikesim.analyse import PulseNetwork, event_spectrum, pulse_network
from spikesim.connect import Dense
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.models.neurons import izhikevich, lif, lif_psc_exp

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


def with_currents(n=12, t_ref=0.0, seed=0):
    """Excitatory and inhibitory currents of two kinds, held membranes, self-connections."""
    rng = np.random.default_rng(seed)
    w = np.array([1.2, -1.6])[:, None, None] * rng.random((2, n, n)) * (rng.random((2, n, n)) < 0.4)
    return PulseNetwork(
        w, rng.uniform(10e-3, 30e-3, n), rng.uniform(1.1, 2.2, n), tau_syn=[[2e-3], [20e-3]], t_ref=t_ref
    )


@pytest.mark.parametrize("t_ref", [0.0, 3e-3])
def test_columns_are_the_derivative_of_the_flow_with_currents(t_ref):
    """At an end at which nobody is held, columns are differences of two runs; on the way every kind of event occurs."""
    net = with_currents(t_ref=t_ref)
    start = net.start(np.random.default_rng(1).uniform(0, 1, net.n))
    start[net.n : net.dimension] = np.random.default_rng(2).normal(0.0, 0.3, 2 * net.n)
    held = None
    for duration in np.linspace(0.12, 0.14, 41):
        end = start.copy()
        spikes = net.advance(end, np.zeros((net.dimension, 1)), duration)
        if not end[net.dimension :].any():
            held = duration
            break
    assert held is not None and spikes.sum() > 20
    q, eps = np.eye(net.dimension), 1e-8
    net.advance(start.copy(), q, held)
    for k in (0, 5, net.n + 3, 2 * net.n + 7):
        ends = []
        for sign in (1, -1):
            moved = start.copy()
            moved[k] += sign * eps
            np.testing.assert_array_equal(net.advance(moved, np.zeros((net.dimension, 1)), held), spikes)
            ends.append(moved[: net.dimension])
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * eps), q[:, k], atol=1e-4, rtol=1e-4)


def test_currents_fade_and_oscillators_keep_their_phase():
    net = PulseNetwork(np.zeros((2, 2)), 20e-3, [1.5, 0.5], tau_syn=[4e-3, 30e-3], t_ref=2e-3)
    found = event_spectrum(net, duration=4.0)
    np.testing.assert_allclose(found.exponents, [0.0, -1 / 30e-3, -1 / 20e-3, -1 / 4e-3], atol=0.5)
    assert found.dimension == 4


def test_fast_currents_are_pulses():
    """A current of w tau / tau_syn that fades at once moves the membrane by w."""
    pulses, fast = inhibitory(6), 5e-6
    currents = PulseNetwork(pulses.weights * (pulses.tau / fast)[:, None], pulses.tau, pulses.drive, tau_syn=fast)
    v = np.random.default_rng(1).uniform(0, 1, 6)
    ends = [net.start(v) for net in (pulses, currents)]
    columns = np.eye(6), np.eye(12)
    spikes = [net.advance(x, q, 0.2) for net, x, q in zip((pulses, currents), ends, columns, strict=True)]
    np.testing.assert_array_equal(*spikes)
    assert spikes[0].sum() > 20
    np.testing.assert_allclose(ends[1][:6], ends[0], atol=5e-3)
    np.testing.assert_allclose(columns[1][:6, :6], columns[0], atol=5e-3)


def test_a_network_in_the_limit_of_a_small_step():
    """The engine's spikes at a small step are those from spike to spike, but for the last digits of their times."""
    rng = np.random.default_rng(4)
    w = rng.normal(-30e-12, 60e-12, (8, 8)) * (rng.random((8, 8)) < 0.5)
    cells = lif_psc_exp(i_e=rng.uniform(380e-12, 600e-12, 8), tau_syn=3e-3, init={"v": -65e-3 + 1e-3 * np.arange(8)})
    net = Network([Population("a", 8, cells)], [Projection("a", "a", Dense(w), delay=1e-5)], dt=1e-5)
    exact = pulse_network(net)
    state = exact.start(-65e-3 + 1e-3 * np.arange(8))
    spikes = exact.advance(state, np.zeros((exact.dimension, 1)), 0.2)
    seen = run(net, duration=0.2)["a"].counts()[0]
    assert spikes.sum() > 40 and np.abs(spikes - seen).max() <= 1
    soft = Network([Population("b", 2, lif(reset="subtract", q=0.75, v_th=2.0, bias=0.2, tau_m=[1e-2, 2e-2]))], dt=1e-3)
    given = pulse_network(soft)
    np.testing.assert_allclose(given.v_reset, 1.25)
    np.testing.assert_allclose(given.drive * (1 - np.exp(-1e-3 / given.tau)), 0.2)
    assert abs(event_spectrum(soft, duration=0.5, exponents=1).exponents[0]) < 1.0


def test_networks_without_a_closed_form_are_refused_with_all_reasons():
    net = Network(
        [Population("a", 2, lif()), Population("b", 2, izhikevich()), Population("c", 2, lif(reset="none"))],
        [Projection("a", "b", weight=1.0, delay=5e-3)],
        [Current("i", "a")],
    )
    with pytest.raises(UnsupportedError, match=r"(?s)'b': neuron 'izhikevich'.*'c'.*reset.*'i'.*'a->b'.*delays"):
        event_spectrum(net)
    mixed = Network([Population("a", 2, lif()), Population("b", 2, lif_psc_exp())])
    with pytest.raises(UnsupportedError, match="one model is needed"):
        pulse_network(mixed)
    with pytest.raises(InvalidValueError, match=r"(?s)t_ref must be.*tau_syn must be"):
        PulseNetwork(np.zeros((2, 2)), 1e-2, 1.5, tau_syn=0.0, t_ref=-1.0)
