"""Lyapunov spectra of spiking networks against what can be computed by hand."""

import numpy as np
import pytest

from spikesim import Current, Input, Network, Poisson, PoissonDrive, Population, Projection
from spikesim.analyse import network_spectrum
from spikesim.analyse.replay import LocalJacobian, Replay
from spikesim.analyse.tangent import Tangent
from spikesim.connect import Dense
from spikesim.equations.surrogates import surrogate
from spikesim.equations.targets import NUMPY
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.models.neurons import lif, lif_exp
from spikesim.models.synapses import stdp_pair

DT = 1e-3
TAUS = np.array([5e-3, 10e-3, 20e-3, 50e-3])


def recurrent(n=12, scale=0.3, order=None, delay=DT, seed=4):
    """Return driven leaky neurons with different time constants and dense random weights."""
    rng = np.random.default_rng(seed)
    w, tau, bias = scale * rng.standard_normal((n, n)), rng.uniform(5e-3, 50e-3, n), rng.uniform(0.02, 0.3, n)
    order = np.arange(n) if order is None else order
    return Network(
        [Population("a", n, lif(reset="subtract", tau_m=tau[order], bias=bias[order]))],
        [Projection("a", "a", Dense(w[np.ix_(order, order)]), delay=delay)],
    )


def uncoupled(**drive):
    return Network(
        [Population("a", 4, lif(reset="subtract", tau_m=TAUS))],
        stimuli=[Current("x", "a", values=0.3)] if drive else [],
    )


@pytest.mark.parametrize("options", [{"surrogate": None}, {"detach_reset": True}])
def test_uncoupled_leaks_are_exact(options):
    found = network_spectrum(uncoupled(driven=True), steps=1500, transient=1000, **options)
    np.testing.assert_allclose(found.exponents, -1 / TAUS[::-1], rtol=1e-9)
    np.testing.assert_allclose(found.per_neuron, -1 / TAUS, rtol=1e-9)
    assert found.kaplan_yorke() == 0.0 and found.entropy_rate() == 0.0


def test_with_the_reset_an_uncoupled_neuron_has_the_mean_of_log_alpha_times_one_minus_q_g():
    net = Network([Population("a", 1, lif(reset="subtract", tau_m=20e-3, bias=0.1))])
    found = network_spectrum(net, steps=400, transient=50, every=1)
    alpha, v, logs = np.exp(-DT / 20e-3), 0.0, []
    for _ in range(400):
        u = alpha * v + 0.1
        logs.append(np.log(abs(alpha * (1 - surrogate("arctan")(u - 1.0)))))
        v = u - (u > 1.0)
    assert found.exponents[0] == pytest.approx(np.mean(logs[50:]) / DT, rel=1e-9)


def explicit(net, delay):
    """Multiply the Jacobians written by hand: u' = alpha (u - s) + W s(u), one row of g per step (method file, 2.4)."""
    replay = Replay(net, steps=400)
    node, w = replay.graph.nodes[0], np.zeros((12, 12))
    for _, matrix in replay.wirings[0].parts:
        w += matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    alpha = node.constants["alpha"]
    rng, logs = np.random.default_rng(1), []
    q = np.linalg.qr(rng.standard_normal((12 * (1 + delay), 12)))[0]
    for stretch in replay:
        v, i = stretch.states["a"]["v"], stretch.inputs["a"]["i"]
        for k in range(stretch.steps):
            u = alpha * v[k] + i[k] + node.params["bias"]
            g = surrogate("arctan")(u - 1.0)
            parts = np.split(q, 1 + delay)
            du = alpha[:, None] * parts[0] + w @ parts[-1]
            q = np.concatenate([(1 - g)[:, None] * du, g[:, None] * du, *parts[1:-1]])
            q, r = np.linalg.qr(q)
            logs.append(np.log(np.abs(np.diagonal(r))))
    return np.sort(np.mean(logs[100:], axis=0))[::-1] / DT


@pytest.mark.parametrize("delay", [1, 3])
def test_recurrent_network_against_jacobians_by_hand(delay):
    net = recurrent(delay=delay * DT)
    found = network_spectrum(net, steps=400, transient=100, every=1, seed=5)
    np.testing.assert_allclose(found.exponents, explicit(net, delay), rtol=0.02, atol=2.0)
    assert found.dimension == 12 * (1 + delay)
    # the sum of all exponents of neurons attributed is the sum of the spectrum
    assert found.per_neuron.sum() == pytest.approx(found.exponents.sum(), rel=1e-9)


def test_leading_exponents_and_interval():
    net = recurrent()
    full = network_spectrum(net, steps=1200, every=1)
    part = network_spectrum(net, steps=1200, exponents=3)
    np.testing.assert_allclose(part.exponents, full.exponents[:3], rtol=0.02)
    assert part.every > 1 and full.exponents[0] < 0


def test_strong_weights_are_chaotic_for_the_surrogate_and_invisible_without():
    strong = recurrent(scale=1.0)
    assert network_spectrum(strong, steps=600, exponents=1, surrogate="triangle").exponents[0] > 10
    without = network_spectrum(strong, steps=1500, transient=1200, surrogate=None)
    taus = strong.population("a").neuron.value("tau_m")
    np.testing.assert_allclose(without.exponents, np.sort(-1 / taus)[::-1], rtol=0.03)


def test_permutation_and_threads():
    order = np.random.default_rng(0).permutation(12)
    one = network_spectrum(recurrent(), steps=600, threads=1)
    two = network_spectrum(recurrent(), steps=600, threads=2)
    mixed = network_spectrum(recurrent(order=order), steps=600)
    assert (one.exponents == two.exponents).all()
    np.testing.assert_allclose(mixed.exponents, one.exponents, rtol=0.02)
    np.testing.assert_allclose(mixed.per_neuron, one.per_neuron[order], rtol=0.1)


def layered():
    return Network(
        [Population("a", 5, lif_exp()), Population("b", 4, lif(reset="subtract"))],
        [
            Projection("in", "a", Dense(np.full((5, 3), 0.5))),
            Projection("noise", "a", Dense(np.full((5, 2), 0.7)), delay=2 * DT),
            Projection("a", "b", Dense(np.random.default_rng(0).uniform(0, 1, (4, 5)))),
            Projection("b", "a", Dense(np.full((5, 4), 0.1)), delay=3 * DT, port="inh"),
        ],
        [
            Input("in", 3, graded=True),
            Poisson("noise", 2, rate=300.0),
            PoissonDrive("x", "b", rate=400.0, weight=0.3),
            Current("y", "b", values=0.03),
        ],
        dt=DT,
    )


def test_a_replayed_step_is_the_engines_bit_for_bit():
    data = np.random.default_rng(0).uniform(0, 0.5, (300, 3))
    replay, spikes = Replay(layered(), {"in": data}), 0
    for stretch in replay:
        for node in replay.graph.nodes:
            leaves = {"state": stretch.states[node.name], "input": stretch.inputs[node.name], "param": node.constants}
            out = node.model.dynamics.evaluate(leaves, NUMPY)
            np.testing.assert_array_equal(out["spike"], stretch.spikes[node.name])
            spikes += stretch.spikes[node.name].sum()
            for state, values in stretch.states[node.name].items():
                np.testing.assert_array_equal(out[state][:-1], values[1:])
    assert spikes > 100


def test_jacobian_of_a_smooth_stretch_is_its_finite_difference():
    """Without spikes the network's step is differentiable: compare columns with differences of the equations."""
    net = Network([Population("a", 3, lif_exp(v_th=100.0))], stimuli=[Current("x", "a", values=0.2)])
    replay = Replay(net, steps=20)
    node, stretch = replay.graph.nodes[0], next(iter(replay))
    local = LocalJacobian(node, lambda x: x * 0.0).at(stretch)
    leaves = {"state": dict(stretch.states["a"]), "input": dict(stretch.inputs["a"]), "param": node.constants}
    base = node.model.dynamics.evaluate(leaves, NUMPY)
    for cause in ("v", "g_exc", "g_inh"):
        moved = {**leaves, "state": {**leaves["state"], cause: leaves["state"][cause] + 1e-6}}
        out = node.model.dynamics.evaluate(moved, NUMPY)
        for result in ("v", "g_exc", "g_inh"):
            slope = local.get((result, cause), np.zeros((20, 3)))
            np.testing.assert_allclose((out[result] - base[result]) / 1e-6, slope, atol=1e-6)


def test_layers_ports_and_delays():
    data = np.random.default_rng(0).uniform(0, 0.5, (200, 3))
    tangent = Tangent(Replay(layered(), {"in": data}), surrogate("triangle"))
    assert tangent.states == 5 * 3 + 4  # the refractory counter is no state that could change a little
    assert tangent.dimension == tangent.states + 3 * 4  # b's spikes take three steps, a's none
    found = network_spectrum(layered(), inputs={"in": data}, surrogate="triangle")
    assert len(found.exponents) == tangent.states and found.exponents[0] < 0 and len(found.per_neuron) == 9


def test_mistakes_get_a_clear_answer():
    net = uncoupled()
    with pytest.raises(InvalidValueError, match=r"(?s)every must be .* found 0.*transient must leave .* found 50"):
        network_spectrum(net, steps=50, transient=50, every=0)
    with pytest.raises(InvalidValueError, match="exponents must be from 1 to 4"):
        network_spectrum(net, steps=50, exponents=9)
    with pytest.raises(UnsupportedError, match=r"plastic projections \['a->a'\]"):
        learning = Projection("a", "a", weight=0.1, delay=DT, plasticity=stdp_pair())
        network_spectrum(net.add(learning), steps=50)
