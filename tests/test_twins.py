"""Twin trajectories against leaks, and against twins run by hand."""

import numpy as np
import pytest

from spikesim import Input, Network, PoissonDrive, Population, Probe, Projection
from spikesim.analyse import network_spectrum, twins
from spikesim.connect import Dense
from spikesim.engine import compile
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.models.neurons import lif

DT = 1e-3


def recurrent(scale, n=30):
    rng = np.random.default_rng(2)
    w = scale * rng.standard_normal((n, n))
    drive = PoissonDrive("x", "a", rate=800.0, weight=0.2)
    return Network(
        [Population("a", n, lif(reset="subtract", tau_m=20e-3))], [Projection("a", "a", Dense(w), delay=DT)], [drive]
    )


def test_uncoupled_leaks_shrink_every_distance_at_their_rate():
    net = Network([Population("a", 5, lif(tau_m=25e-3))])
    found = twins(net, [1e-4, 1e-2, 1.0], steps=40, trials=3)
    np.testing.assert_allclose(found.rates(), -40.0, rtol=1e-5)
    np.testing.assert_allclose(found.rates(1), -40.0, rtol=1e-5)
    assert found.spikes.sum() == 0 and found.met.max() == 0.0


def test_a_contracting_network_is_contracting_by_every_method():
    net = recurrent(0.01)
    rates, errors = twins(net, [1e-7], steps=50, trials=6).exponents()
    assert rates[0] < 0 and errors[0] < abs(rates[0])
    assert network_spectrum(net, steps=300).exponents[0] < 0
    assert network_spectrum(net, steps=300, surrogate=None).exponents[0] < 0


def test_a_strongly_coupled_network_lets_only_tiny_distances_shrink():
    found = twins(recurrent(0.15), [1e-9, 1e-1], steps=40, trials=6)
    tiny, large = found.exponents()[0]
    assert tiny == pytest.approx(-50.0, abs=0.01)  # 1 / tau: no spike moves
    assert large > 10 and np.median(found.distance[1, :, -1]) > 1.0
    assert found.spikes[0].sum() == 0 and found.spikes[1].sum() > 100


def test_distance_and_spikes_are_those_of_two_programs():
    net, transient = recurrent(0.15).with_(probes=[Probe("a", "v")]), 60
    found = twins(net, [0.5], steps=30, trials=1, transient=transient, seed=3)
    one, two = compile(net), compile(net)
    before, _ = one.advance(transient, {}), two.advance(transient, {})
    scale = before.traces["a", "v"][1].std()
    direction = np.random.default_rng([3, 0]).standard_normal(30)
    two.set_state("a", "v", one.get_state("a", "v") + 0.5 * scale * direction / np.linalg.norm(direction))
    a, b = one.advance(30, {}), two.advance(30, {})
    paths = [chunk.traces["a", "v"][1][0] for chunk in (a, b)]
    np.testing.assert_allclose(found.distance[0, 0], np.linalg.norm(paths[0] - paths[1], axis=1) / scale, rtol=1e-12)
    events = [set(zip(*(x.tolist() for x in chunk.spikes["a"][1:]), strict=True)) for chunk in (a, b)]
    assert found.spikes.sum() == len(events[0] ^ events[1]) > 10
    assert found.start == pytest.approx(0.5)


@pytest.mark.parametrize("how", [{"threads": 2}, {"backend": "torch"}])
def test_threads_and_backend_do_not_matter(how, require):
    if "backend" in how:
        require("torch")
    one, other = (twins(recurrent(0.15), [0.5], steps=30, trials=2, **more) for more in ({}, how))
    np.testing.assert_array_equal(one.distance, other.distance)
    np.testing.assert_array_equal(one.spikes, other.spikes)


def test_twins_that_meet():
    """A hard reset forgets what was before: twins that fire in the same step are the same afterwards."""
    net = Network([Population("a", 1, lif(tau_m=20e-3, bias=0.3))])
    found = twins(net, [1e-6], steps=30, trials=4)
    assert found.met[0] == 1.0 and found.exponents()[0][0] == -np.inf
    assert found.plot().get_ylabel() == "distance (standard deviations)"


def test_mistakes_get_a_clear_answer():
    net = Network([Population("a", 2, lif())])
    with pytest.raises(InvalidValueError, match=r"(?s)sizes must be .* \[-1.0\].*steps must be at least 1, found 0"):
        twins(net, [-1.0], steps=0)
    with pytest.raises(InvalidValueError, match="vanishes in rounding"):
        twins(Network([Population("a", 2, lif(e_l=5.0, v_th=9.0, init={"v": 5.0}))]), [1e-20])
    with pytest.raises(InvalidValueError, match="steps must be from 1 to 10, found 11"):
        twins(net, steps=10, trials=1).rates(11)
    driven = net.add(Input("in", 2), Projection("in", "a", weight=0.1))
    with pytest.raises(InvalidValueError, match="the inputs hold 50 steps but 70 are asked for"):
        twins(driven, steps=20, trials=2, transient=30, inputs={"in": np.zeros((50, 2))})
    with pytest.raises(UnsupportedError, match="one sample"):
        twins(driven, steps=20, trials=1, transient=30, inputs={"in": np.zeros((50, 3, 2))})
