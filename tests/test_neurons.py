"""Neurons: golden vectors, analytic properties, exactness, and the neurons of other libraries spike for spike."""

from typing import Any

import numpy as np
import pytest

from spikesim.equations.response import respond
from spikesim.equations.surrogates import phi
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.neurons import (
    NEURONS,
    adex,
    alif,
    cuba_lif,
    integrate_and_fire,
    izhikevich,
    leaky,
    li,
    lif,
    lif_alpha,
    lif_cond_exp,
    lif_exp,
    lif_psc_exp,
    lif_soft,
    loihi_lif,
)
from spikesim.models.neurons._exact import growth, ramp
from spikesim.neuron import Neuron

Floats = np.ndarray[Any, np.dtype[np.float64]]


def spikes(neuron: Neuron, inputs: Any, dt: float = 1e-3) -> list[int]:
    """Return the steps in which one neuron fires."""
    return np.flatnonzero(respond(neuron, inputs, dt=dt)["spike"]).tolist()


# --------------------------------------------------------------------------------------------------------- registry
@pytest.mark.parametrize("name", sorted(NEURONS))
def test_every_neuron_is_described(name: str) -> None:
    model = NEURONS[name]().model
    assert model.name == name
    assert model.doc
    for text in (NEURONS[name].__doc__, NEURONS[name].__module__):
        assert text
    for param in model.params.values():
        assert param.doc, "a parameter without description"
        assert param.problem(np.array([param.default])) is None
    for state in model.states.values():
        assert state.doc or state.init == 0.0
    assert set(model.used_constants()) <= {*model.params, *model.constants.outputs, "dt"}


@pytest.mark.parametrize("name", sorted(NEURONS))
def test_options_make_one_model_once(name: str) -> None:
    assert NEURONS[name]().model is NEURONS[name]().model


@pytest.mark.parametrize("name", sorted(set(NEURONS) - {"li"}))
def test_only_the_read_out_never_fires(name: str) -> None:
    assert NEURONS[name]().model.spiking
    assert not li().model.spiking


@pytest.mark.parametrize(
    "make",
    [
        lambda: lif(reset="zero"),
        lambda: lif(timing="later"),
        lambda: lif(threshold=">>"),
        lambda: lif_exp(arrival="soon"),
        lambda: lif_soft("paper"),
        lambda: izhikevich("rs"),
        lambda: alif(variant="2019"),
        lambda: lif(tau=1.0),
        lambda: lif(reset="subtract", v_reset=0.0),
    ],
)
def test_unknown_options_and_parameters(make: Any) -> None:
    with pytest.raises(UnknownNameError):
        make()


def test_options_that_exclude_each_other() -> None:
    with pytest.raises(InvalidValueError, match="needs timing='same'"):
        lif(timing="next", t_ref=2e-3)
    with pytest.raises(InvalidValueError, match="substeps"):
        izhikevich(substeps=0)


# ------------------------------------------------------------------------------------- soft reset, golden and exact
GOLDEN = [1.0, 1.0, 1.0, 0.0, 1.0]
U_HARD = [0.35, 0.70, 0.35, 0.35, 0.70]
U_HALF = [0.35, 0.70, 0.55, 0.05, 0.40]
U_CODE = [0.35, 0.70, 0.05, 0.05, 0.40]


@pytest.mark.parametrize(
    ("neuron", "before", "fired"),
    [
        (integrate_and_fire(v_th=0.5), U_HARD, [0, 1, 0, 0, 1]),
        (integrate_and_fire(v_th=0.5, reset="subtract"), U_HALF, [0, 1, 1, 0, 0]),
        (integrate_and_fire(v_th=0.5, reset="subtract", q=1.0), U_CODE, [0, 1, 0, 0, 0]),
        (lif_soft("figure"), U_HALF, [0, 1, 1, 0, 0]),
        (lif_soft("code"), U_CODE, [0, 1, 0, 0, 0]),
        (integrate_and_fire(v_th=0.5, threshold=">="), U_HARD, [0, 1, 0, 0, 1]),
    ],
)
def test_golden_vector_of_the_soft_reset(neuron: Neuron, before: list[float], fired: list[int]) -> None:
    x = 0.35 * np.array(GOLDEN)
    trace = respond(neuron, x)
    assert trace["spike"].tolist() == fired
    u = np.concatenate([[0.0], trace["v"][:-1]]) + x
    assert np.allclose(u, before, atol=1e-12)


@pytest.mark.parametrize("q", [0.5, 1.0, 0.3])
@pytest.mark.parametrize("lam", [1.0, 0.9, 0.25])
def test_soft_reset_loses_nothing(lam: float, q: float) -> None:
    # m[T] = sum_t lam^(T-t) (I[t] - q o[t]); with lam = 1 the sum of the input is q times the spikes plus what is left
    x = np.random.default_rng(4).normal(0.2, 0.5, (300, 20))
    trace = respond(lif_soft(lam=lam, q=q), x)
    weights = lam ** np.arange(299, -1, -1)[:, None]
    assert np.allclose(trace["v"][-1], (weights * (x - q * trace["spike"])).sum(axis=0), atol=1e-12)


def test_the_hard_reset_has_no_such_identity() -> None:
    x = np.full(50, 0.3)
    trace = respond(integrate_and_fire(), x)
    assert abs(x.sum() - trace["spike"].sum() - trace["v"][-1]) > 1.0


@pytest.mark.parametrize(
    ("neuron", "q", "rates", "mean", "worst"),
    [
        (integrate_and_fire(), 1.0, 5, 0.172, 0.5),
        (integrate_and_fire(reset="subtract"), 1.0, 9, 0.063, 0.125),
        (lif_soft("code"), 1.0, 9, 0.031, 0.0625),
    ],
)
def test_rate_coding_error(neuron: Neuron, q: float, rates: int, mean: float, worst: float) -> None:
    steps, x = 8, np.linspace(-0.5, 1.5, 4001)
    rate = q * respond(neuron, np.tile(x, (steps, 1)))["spike"].mean(axis=0)
    assert len(np.unique(rate)) == rates
    inside = (x >= 0.0) & (x <= 1.0)
    error = np.abs(rate - x)[inside]
    assert error.mean() == pytest.approx(mean, abs=5e-4 + 5e-4)
    assert error.max() == pytest.approx(worst, abs=1e-3)


def test_presets_of_the_soft_reset() -> None:
    assert dict(lif_soft().params) == {"lam": 1.0, "th": 0.5, "q": 1.0}
    assert dict(lif_soft("figure", lam=0.9).params) == {"lam": 0.9, "th": 0.5, "q": 0.5}


# --------------------------------------------------------------------------------------------------------- MPR's phi
def test_phi_has_three_fixed_points() -> None:
    assert phi([0.0, 0.5, 1.0]).tolist() == [0.0, 0.5, 1.0]
    u = np.linspace(-5, 6, 110001)
    sign = np.sign(np.round(phi(u) - u, 9))
    assert len(np.flatnonzero(np.diff(sign[sign != 0]))) == 3


def test_phi_is_monotone_and_unbounded() -> None:
    assert (np.diff(phi(np.linspace(-5, 6, 110001))) > 0).all()
    assert np.allclose(phi([-7.0, 8.0, -2.0]), [-1.0, 2.0, -0.44224957], atol=1e-8)


def test_phi_is_point_symmetric() -> None:
    u = np.linspace(-5, 6, 10001)
    assert np.abs(phi(1.0 - u) - (1.0 - phi(u))).max() < 5e-16


def test_phi_never_changes_a_spike() -> None:
    u = np.concatenate([np.linspace(-5, 6, 110001), 0.5 + np.array([-1e-12, 0.0, 1e-12])])
    assert (np.sign(phi(u) - 0.5) == np.sign(u - 0.5)).all()


def test_phi_comes_nearer_to_the_spike() -> None:
    u = np.linspace(-5, 6, 110001)
    o = u > 0.5
    assert (np.abs(phi(u) - o) <= np.abs(u - o) + 1e-15).all()


def test_phi_spot_values() -> None:
    u = [0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 1.5]
    values = [0.03949278, 0.14914645, 0.33908017, 0.66091983, 0.85085355, 0.96050721, 1.14471424]
    assert np.allclose(phi(u), values, atol=1e-7)


def test_phi_tends_to_the_identity_and_to_the_step() -> None:
    u = np.linspace(0.0, 1.0, 11)
    assert np.allclose(phi(u, k=1e-4), u, atol=1e-8)
    assert np.allclose(phi([0.4, 0.6], k=500.0), [0.0, 1.0], atol=1e-8)


@pytest.mark.parametrize(
    ("mean", "std", "raw", "rectified"),
    [
        (0, 0.5, 0.1667, 0.0365),
        (0.25, 0.5, 0.1147, 0.0432),
        (0.5, 0.5, 0.1011, 0.0465),
        (0, 1, 0.6044, 0.0533),
        (0.5, 1, 0.4521, 0.0479),
    ],
)
def test_quantisation_error_of_normal_potentials(mean: float, std: float, raw: float, rectified: float) -> None:
    u = np.linspace(mean - 9 * std, mean + 9 * std, 400001)
    density = np.exp(-((u - mean) ** 2) / (2 * std**2)) / (std * np.sqrt(2 * np.pi))
    o = u > 0.5
    assert np.trapezoid((u - o) ** 2 * density, u) == pytest.approx(raw, abs=1e-4)
    assert np.trapezoid((phi(u) - o) ** 2 * density, u) == pytest.approx(rectified, abs=1e-4)


def test_quantisation_error_of_uniform_potentials() -> None:
    u = np.linspace(0, 1, 400001)
    o = u > 0.5
    assert np.mean((u - o) ** 2) == pytest.approx(0.08333, abs=1e-5)
    assert np.mean((phi(u) - o) ** 2) == pytest.approx(0.05598, abs=1e-5)


# ---------------------------------------------------------------------------------------------------- exact integration
def exact(rates: Floats, drive: Floats, y: Floats, t: float) -> Floats:
    """Return y(t) of dy/dt = rates y + drive, by the matrix exponential in 40 digits (scipy's has 11 here)."""
    mp = pytest.importorskip("mpmath")
    n = len(y)
    augmented = np.zeros((n + 1, n + 1))
    augmented[:n, :n], augmented[:n, n] = rates, drive
    with mp.workdps(40):
        result = mp.expm(mp.matrix(augmented.tolist()) * t) * mp.matrix([*y.tolist(), 1.0])
    return np.array([float(result[k]) for k in range(n)])


# well apart, close together, equal up to rounding, equal
TAUS = [(20e-3, 5e-3), (10e-3, 10.1e-3), (10e-3, 10e-3 * (1 + 1e-9)), (10e-3, 10e-3), (5e-3, 50e-3)]


@pytest.mark.parametrize("dt", [1e-4, 1e-3])
def test_lif_is_exact(dt: float) -> None:
    cell = lif(tau_m=10e-3, e_l=-0.07, v_th=1.0, init={"v": -0.05})
    v = respond(cell, np.zeros(100), dt=dt)["v"]
    assert np.allclose(v, -0.07 + 0.02 * np.exp(-dt * np.arange(1, 101) / 10e-3), rtol=0, atol=1e-15)


@pytest.mark.parametrize("taus", TAUS)
def test_lif_exp_is_exact(taus: tuple[float, float]) -> None:
    tau_m, tau = taus
    cell = lif_exp(
        tau_m=tau_m, tau_exc=tau, tau_inh=7e-3, e_l=-0.07, v_th=1.0, init={"v": -0.06, "g_exc": 5e-3, "g_inh": -2e-3}
    )
    trace = respond(cell, np.zeros(100), dt=1e-3)
    rates = np.array([[-1 / tau_m, 1 / tau_m, 1 / tau_m], [0, -1 / tau, 0], [0, 0, -1 / 7e-3]])
    for steps in (1, 10, 100):
        y = exact(rates, np.array([-0.07 / tau_m, 0, 0]), np.array([-0.06, 5e-3, -2e-3]), steps * 1e-3)
        found = [trace[n][steps - 1] for n in ("v", "g_exc", "g_inh")]
        assert np.allclose(found, y, rtol=1e-12, atol=0)


@pytest.mark.parametrize("taus", TAUS)
def test_lif_psc_exp_is_exact(taus: tuple[float, float]) -> None:
    tau_m, tau = taus
    c_m, i_e, dc = 250e-12, 100e-12, 50e-12
    cell = lif_psc_exp(c_m=c_m, tau_m=tau_m, tau_syn=tau, v_th=1.0, i_e=i_e, init={"v": -0.06, "i_syn": 300e-12})
    trace = respond(cell, {"dc": np.full(100, dc)}, dt=1e-3)
    # in units of the capacitance, so that the matrix is well scaled
    rates = np.array([[-1 / tau_m, 1], [0, -1 / tau]])
    for steps in (1, 10, 100):
        drive = np.array([-65e-3 / tau_m + (i_e + dc) / c_m, 0])
        y = exact(rates, drive, np.array([-0.06, 300e-12 / c_m]), steps * 1e-3)
        assert np.allclose([trace["v"][steps - 1], trace["i_syn"][steps - 1] / c_m], y, rtol=1e-12, atol=0)


@pytest.mark.parametrize("taus", TAUS)
def test_lif_alpha_is_exact(taus: tuple[float, float]) -> None:
    tau_m, tau = taus
    c_m = 250e-12
    start = {"v": -0.06, "i_exc": 300e-12, "d_exc": 2e-7, "i_inh": -100e-12, "d_inh": -1e-7}
    cell = lif_alpha(c_m=c_m, tau_m=tau_m, tau_exc=tau, tau_inh=4e-3, v_th=1.0, i_e=1e-10, init=start)
    trace = respond(cell, {"dc": np.full(100, 5e-11)}, dt=1e-3)
    k, j = -1 / tau, -1 / 4e-3
    rates = np.array([[-1 / tau_m, 1, 0, 1, 0], [0, k, 1, 0, 0], [0, 0, k, 0, 0], [0, 0, 0, j, 1], [0, 0, 0, 0, j]])
    drive, scale = np.array([-70e-3 / tau_m + 1.5e-10 / c_m, 0, 0, 0, 0]), np.array([1.0, c_m, c_m, c_m, c_m])
    for steps in (1, 10, 100):
        y = exact(rates, drive, np.array(list(start.values())) / scale, steps * 1e-3)
        assert np.allclose([trace[n][steps - 1] for n in start] / scale, y, rtol=1e-12, atol=0)


def test_alpha_current_has_the_shape_of_an_alpha_function() -> None:
    dt, tau = 1e-4, 2e-3
    current = respond(lif_alpha(v_th=1.0), {"exc": [1e-9] + [0.0] * 200}, dt=dt)["i_exc"]
    t = dt * np.arange(201)
    assert np.allclose(current, 1e-9 * np.e * t / tau * np.exp(-t / tau), rtol=1e-12, atol=1e-24)


def test_lif_cond_exp_agrees_with_the_differential_equation() -> None:
    integrate = pytest.importorskip("scipy.integrate")

    def slope(t: float, y: Floats) -> list[float]:
        v, ge, gi = y
        return [(ge * (0 - v) + gi * (-0.08 - v) - (v + 0.07)) / 20e-3, -ge / 5e-3, -gi / 10e-3]

    y = integrate.solve_ivp(slope, (0, 0.02), [-0.06, 1.0, 2.0], rtol=1e-10, atol=1e-12).y[:, -1]
    cell = lif_cond_exp(e_l=-0.07, v_th=1.0, init={"v": -0.06, "g_exc": 1.0, "g_inh": 2.0})
    errors = []
    for dt in (2e-4, 1e-4, 5e-5):
        trace = respond(cell, np.zeros(round(0.02 / dt)), dt=dt)
        assert np.allclose([trace["g_exc"][-1], trace["g_inh"][-1]], y[1:], rtol=1e-9)
        errors.append(abs(trace["v"][-1] - y[0]))
    assert errors[2] < 2e-5
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.1)  # first order


def test_cond_is_exact_where_conductances_hold() -> None:
    cell = lif_cond_exp(e_l=-0.07, v_th=1.0, tau_exc=1e9, init={"v": -0.06, "g_exc": 1.0})
    v = respond(cell, np.zeros(50), dt=1e-3)["v"]
    assert np.allclose(v, -0.035 - 0.025 * np.exp(-2 * 1e-3 * np.arange(1, 51) / 20e-3), atol=1e-12)


def test_integrals_of_exact_integration() -> None:
    decimal = pytest.importorskip("mpmath")
    for z in (0.0, 1e-12, -1e-5, 0.05, 0.2499, 0.25, -0.26, 1.0, -3.0, 30.0):
        x = decimal.mpf(z)
        with decimal.workdps(60):
            g = (decimal.exp(x) - 1) / x if z else 1
            r = (decimal.exp(x) * (x - 1) + 1) / x**2 if z else decimal.mpf(1) / 2
        with np.errstate(all="ignore"):
            assert float(growth(np.float64(z))) == pytest.approx(float(g), rel=3e-15)
            assert float(ramp(np.float64(z))) == pytest.approx(float(r), rel=2e-14)


# ------------------------------------------------------------------------------------------------ when a spike acts
@pytest.mark.parametrize("make", [lif_exp, lif_cond_exp, lif_alpha, adex])
def test_arrival_at_the_end_is_one_step_later_for_the_membrane(make: Any) -> None:
    size = 1e-9 if make in (lif_alpha, adex) else 0.01
    x = {"exc": [0.0, size, 0.0, 0.0, 0.0, 0.0]}
    rest = respond(make(arrival="end"), {"exc": np.zeros(6)}, dt=1e-4)["v"]
    late = respond(make(arrival="end"), x, dt=1e-4)["v"]
    early = respond(make(arrival="start"), x, dt=1e-4)["v"]
    assert np.flatnonzero(late != rest)[0] == 2
    assert np.flatnonzero(early != rest)[0] == 1
    shifted = {"exc": [size, 0.0, 0.0, 0.0, 0.0, 0.0]}
    again = respond(make(arrival="end"), shifted, dt=1e-4)
    start = respond(make(arrival="start"), x, dt=1e-4)
    assert np.allclose(again["v"], start["v"], rtol=1e-14)


def test_psc_exp_arrival() -> None:
    for arrival, first in (("end", 2), ("start", 1)):
        v = respond(lif_psc_exp(arrival=arrival), {"i": [0.0, 1e-9, 0.0, 0.0]}, dt=1e-4)["v"]
        assert np.flatnonzero(v != -65e-3)[0] == first


# ---------------------------------------------------------------------------------------------------------- refractory
@pytest.mark.parametrize("n_ref", [0, 1, 2, 20])
def test_refractory_steps(n_ref: int) -> None:
    fired = spikes(lif(t_ref=n_ref * 1e-4), np.full(200, 2.0), dt=1e-4)
    assert np.diff(fired).tolist() == [n_ref + 1] * (len(fired) - 1)
    assert fired[0] == 0


def test_refractory_time_is_rounded_to_steps() -> None:
    for t_ref, steps in ((0.24e-3, 2), (0.26e-3, 3), (0.29999999e-3, 3), (2e-3, 20)):
        fired = spikes(lif(t_ref=t_ref), np.full(100, 2.0), dt=1e-4)
        assert fired[1] - fired[0] == steps + 1


def test_while_refractory_input_is_lost_and_the_membrane_is_held() -> None:
    trace = respond(lif(t_ref=2e-3, v_reset=-0.3), [2.0, 0.9, 0.9, 0.9, 0.9])
    assert trace["spike"].tolist() == [1, 0, 0, 0, 1]
    assert trace["v"][:3].tolist() == [-0.3, -0.3, -0.3]
    assert trace["r"].tolist() == [2, 1, 0, 0, 2]


def test_soft_reset_with_refractory_time_stays_silent() -> None:
    # 3.5 - 1 is still above threshold: held, it must not fire until the time is over
    assert spikes(lif(reset="subtract", t_ref=3e-3, tau_m=1e9), [3.5] + [0.0] * 12) == [0, 4, 8]


@pytest.mark.parametrize("make", [lif_exp, lif_cond_exp])
def test_synaptic_variables_decay_while_refractory(make: Any) -> None:
    # the default neuron rests above threshold: it fires at once from the threshold itself
    trace = respond(make(init={"v": -0.0495, "g_exc": 1e-3}), np.zeros(60), dt=1e-4)
    assert trace["spike"][0] == 1 and (trace["v"][:51] == -0.06).all() and trace["v"][51] > -0.06
    assert np.allclose(trace["g_exc"], 1e-3 * np.exp(-1e-4 * np.arange(1, 61) / 5e-3), rtol=1e-12)


def test_counter_is_whole_and_small() -> None:
    model = lif(t_ref=5e-3).model
    assert model.states["r"].integer
    trace = respond(lif(t_ref=5e-3), np.full(300, 0.3), dt=1e-4)
    assert (trace["r"] == np.rint(trace["r"])).all() and trace["r"].max() == 50 and trace["r"].min() == 0


# -------------------------------------------------------------------------------------------------------- threshold
def test_strict_and_inclusive_threshold() -> None:
    assert spikes(integrate_and_fire(), [1.0, 0.0]) == []
    assert spikes(integrate_and_fire(threshold=">="), [1.0, 0.0]) == [0]
    assert spikes(lif(threshold=">=", t_ref=0.0), [1.0, 0.0]) == [0]
    below = np.nextafter(1.0, 0.0)
    assert spikes(integrate_and_fire(threshold=">="), [below]) == []
    assert spikes(integrate_and_fire(), [np.nextafter(1.0, 2.0)]) == [0]


def test_the_brunel_neuron() -> None:
    # v <- e^(-dt/tau) v + x unless refractory; >= theta fires, resets to 0 and rests 20 steps
    x = np.random.default_rng(3).poisson(2.0, 3000) * 0.25e-3
    cell = lif(tau_m=20e-3, v_th=20e-3, t_ref=2e-3, threshold=">=")
    v, r, expected = 0.0, 0, []
    for step, jump in enumerate(x):
        if r == 0:
            v = np.exp(-1e-4 / 20e-3) * v + jump
            if v >= 20e-3:
                expected.append(step)
                v, r = 0.0, 20
        else:
            r -= 1
    assert len(expected) > 10
    assert spikes(cell, x, dt=1e-4) == expected


def test_the_cuba_neuron() -> None:
    # the benchmark's order of a step: update v, decay g, threshold, reset; what arrives acts on the next update of v
    rng = np.random.default_rng(5)
    exc, inh = rng.poisson(0.5, 3000) * 1.62e-3, rng.poisson(0.03, 3000) * -9e-3
    p, ke, ki = (np.exp(-1e-4 / tau) for tau in (20e-3, 5e-3, 10e-3))
    ae, ai = 5e-3 / (5e-3 - 20e-3) * (ke - p), 10e-3 / (10e-3 - 20e-3) * (ki - p)
    v, ge, gi, r, expected = -60e-3, 0.0, 0.0, 0, []
    for step in range(3000):
        ge, gi = ge + exc[step], gi + inh[step]
        x = -49e-3 + p * (v + 49e-3) + ae * ge + ai * gi
        ok = r == 0
        v = x if ok else v
        ge, gi = ge * ke, gi * ki
        fired = ok and v > -50e-3
        r = 50 if fired else max(r - 1, 0)
        if fired:
            expected.append(step)
            v = -60e-3
    assert len(expected) > 5
    assert spikes(lif_exp(arrival="start"), {"exc": exc, "inh": inh}, dt=1e-4) == expected


# ------------------------------------------------------------------------------------------------- other libraries
def drive(seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(0.0, 2.5, (400, 64))


def precisions() -> list[Any]:
    return [np.float32, np.float64]


@pytest.mark.parametrize("dtype", precisions())
@pytest.mark.parametrize("delay", [True, False])
@pytest.mark.parametrize(("mechanism", "reset"), [("subtract", "subtract"), ("zero", "to"), ("none", "none")])
def test_leaky_is_snntorchs(mechanism: str, reset: Any, delay: bool, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    snntorch = pytest.importorskip("snntorch")
    beta, scale = 0.9, 0.1 if mechanism == "none" else 0.4
    x = (drive() * scale - (0.05 if mechanism == "none" else 0.0)).astype(dtype)
    cell = snntorch.Leaky(
        beta=torch.tensor(beta, dtype=torch.from_numpy(x).dtype), reset_mechanism=mechanism, reset_delay=delay
    )
    cell.threshold = cell.threshold.to(torch.from_numpy(x).dtype)
    mem = torch.zeros(64, dtype=torch.from_numpy(x).dtype)
    expected, membranes = [], []
    for row in torch.from_numpy(x):
        spike, mem = cell(row, mem)
        expected.append(spike.detach().numpy())
        membranes.append(mem.detach().numpy())
    trace = respond(leaky(beta=beta, reset=reset, timing="next" if delay else "same"), x, dtype=dtype)
    assert np.array(expected).sum() > 1000
    assert (trace["spike"] == np.array(expected)).all()
    assert np.allclose(trace["v"], np.array(membranes), rtol=0, atol=2e-6 if dtype is np.float32 else 1e-14)


def test_the_two_timings_differ_with_subtract_only() -> None:
    x = drive() * 0.4
    assert (respond(leaky(reset="to"), x)["spike"] == respond(leaky(reset="to", timing="same"), x)["spike"]).all()
    assert (respond(leaky(), x)["spike"] != respond(leaky(timing="same"), x)["spike"]).sum() > 100


@pytest.mark.parametrize("dtype", precisions())
@pytest.mark.parametrize(("method", "reset"), [("reset_value", "to"), ("reset_subtract", "subtract")])
def test_leaky_is_norses_box(method: str, reset: Any, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    norse = pytest.importorskip("norse.torch.functional.lif_box")
    resets = pytest.importorskip("norse.torch.functional.reset")
    x = drive().astype(dtype)
    p = norse.LIFBoxParameters(reset_method=getattr(resets, method))
    state = norse.LIFBoxFeedForwardState(v=torch.zeros(64, dtype=torch.from_numpy(x).dtype))
    expected = []
    for row in torch.from_numpy(x):
        z, state = norse.lif_box_feed_forward_step(row, state, p)
        expected.append(z.numpy())
    # beta = 1 - dt / tau, and the input is scaled by 1 - beta
    trace = respond(leaky(beta=0.9, reset=reset, timing="same"), x * dtype(0.1), dtype=dtype)
    assert np.array(expected).sum() > 1000
    assert (trace["spike"] == np.array(expected)).all()


@pytest.mark.parametrize("dtype", precisions())
def test_cuba_lif_is_snntorchs_synaptic_and_norses_lif(dtype: Any) -> None:
    # syn = alpha syn + x, mem = beta mem + syn: du = 1 - alpha, dv = 1 - beta; norse scales its input by 1 - beta
    torch = pytest.importorskip("torch")
    snntorch = pytest.importorskip("snntorch")
    norse = pytest.importorskip("norse.torch.functional.lif")
    x = (drive() * 0.3).astype(dtype)
    real = torch.from_numpy(x).dtype
    alpha, beta = torch.tensor(0.8, dtype=real), torch.tensor(0.9, dtype=real)
    cell = snntorch.Synaptic(alpha=alpha, beta=beta, reset_mechanism="zero", reset_delay=False)
    cell.threshold = cell.threshold.to(real)
    syn = mem = torch.zeros(64, dtype=real)
    state = norse.LIFFeedForwardState(v=torch.zeros(64, dtype=real), i=torch.zeros(64, dtype=real))
    theirs, norses = [], []
    for row in torch.from_numpy(x):
        spike, syn, mem = cell(row * dtype(0.1), syn, mem)
        theirs.append(spike.detach().numpy())
        z, state = norse.lif_feed_forward_step(row, state, norse.LIFParameters())
        norses.append(z.numpy())
    ours = respond(cuba_lif(du=0.2, dv=0.1), x * dtype(0.1), dtype=dtype)["spike"]
    assert ours.sum() > 1000
    assert (ours == np.array(theirs)).all() and (ours == np.array(norses)).all()


@pytest.mark.parametrize("reset", ["to", "subtract"])
def test_lif_is_leaky_for_the_same_leak(reset: Any) -> None:
    x = drive() * 0.4
    a = respond(lif(reset=reset, tau_m=10e-3), x)
    b = respond(leaky(reset=reset, timing="same", beta=float(np.exp(-0.1))), x)
    assert (a["spike"] == b["spike"]).all() and np.allclose(a["v"], b["v"], atol=1e-14)


# ------------------------------------------------------------------------------------------------------- Loihi, float
G7_A = [1.0, 0, 0, 1, 1, 0, 0, 0, 1, 1]
G7_U = [1.0, 0.5, 0.25, 1.125, 1.5625, 0.78125, 0.390625, 0.1953125, 1.09765625, 1.548828125]
G7_HARD_V = [0.0, 0.5625, 0.734375, 0.0, 0.0, 0.84375, 0.0, 0.2578125, 0.0, 0.0]
G7_SOFT_V = [0.0625, 0.609375, 0.76953125, 0.7646484375, 1.198486328125, 0.74261474609375, 0.0100860595703125,
             0.2653770446777344, 0.3591890335083008, 0.8807199001312256]  # fmt: skip


@pytest.mark.parametrize(
    ("reset", "v", "fired"), [("to", G7_HARD_V, [0, 3, 4, 6, 8, 9]), ("subtract", G7_SOFT_V, [0, 3, 4, 5, 6, 8, 9])]
)
def test_cuba_lif_is_lavas(reset: Any, v: list[float], fired: list[int]) -> None:
    cell = cuba_lif(reset=reset, du=0.5, dv=0.25, bias=0.0625)
    trace = respond(cell, G7_A)
    assert trace["u"].tolist() == G7_U and trace["v"].tolist() == v and spikes(cell, G7_A) == fired


# ------------------------------------------------------------------------------------------------- Loihi, fixed point
def rows(text: str) -> list[list[int]]:
    return np.array(text.split(), np.int64).reshape(3, 20).tolist()


# computed with lava-nc 0.10.0 (fixed_pt): one row per neuron, one column per step, v after the reset
G1_A = rows(
    """
    0 60 86 -52 60 94 120 -52 -78 -18 26 60 86 -18 60 34 60 -44 -44 34
    0 -64 -28 42 20 4 -44 42 90 110 -48 -64 -28 110 20 -16 -64 74 74 -16
    0 114 24 30 -40 10 74 30 -34 -74 64 114 24 -74 -40 50 114 16 16 50
    """
)
G1_U = rows(
    """
    0 3840 8959 4734 8100 13305 19653 14357 7927 5981 7046 10180 14665 12045 14679 15385 17684 13097 8970 10248
    0 -4096 -5478 -2241 -736 -406 -3181 -174 5604 12083 7801 2924 839 7795 8294 6439 1698 6264 10372 8309
    0 7296 8101 9210 5728 5794 9950 10874 7609 2111 5995 12690 12955 6922 3669 6501 13146 12854 12591 14530
    """
)
G1_V = rows(
    """
    160 4152 13064 17307 0 13465 0 14517 0 6141 13041 0 14825 0 14839 0 17844 0 9130 19083
    -48 -4189 -9506 -11321 -11541 -11420 -14080 -13600 -7366 5036 12538 14789 14843 0 8246 14226 15167 0 10324
      18070
    0 7296 15033 0 5728 11236 0 10874 17941 19158 0 12690 0 6922 10246 16236 0 12854 0 14530
    """
)
G1_SPIKES = [[4, 6, 8, 11, 13, 15, 17], [13, 17], [3, 6, 10, 12, 16, 18]]
G2_V = rows(
    """
    160 4152 13064 17307 5505 18695 18376 12777 1027 7116 13967 4411 19016 11073 6160 2198 732 13952 3187 13436
    -48 -4189 -9506 -11321 -11541 -11420 -14080 -13600 -7366 5036 12538 14789 14843 2650 10764 16618 17440 3587
      13732 2109
    0 7296 15033 4294 9808 15113 5110 15729 3354 5297 11028 3968 16725 3614 7103 13250 6536 19064 11505 6261
    """
)
G2_SPIKES = [[4, 6, 7, 8, 11, 13, 14, 15, 16, 18], [13, 17, 19], [3, 6, 8, 11, 13, 16, 18, 19]]


@pytest.mark.parametrize(("reset", "v", "fired"), [("to", G1_V, G1_SPIKES), ("subtract", G2_V, G2_SPIKES)])
def test_loihi_lif_is_lavas(reset: Any, v: list[list[int]], fired: list[list[int]]) -> None:
    cell = loihi_lif(reset=reset, du=409, dv=204, v_th=300, bias_mant=np.array([10.0, -3.0, 0.0]), bias_exp=4)
    trace = respond(cell, np.array(G1_A).T)
    assert trace["u"].T.tolist() == G1_U
    assert trace["v"].T.tolist() == v
    assert [np.flatnonzero(s).tolist() for s in trace["spike"].T] == fired


def test_loihi_rounds_towards_zero() -> None:
    u = [192, 172, 154, 138, 124, 111, 99, 89, 80, 71, 63, 56, 50, 44, 39, 35]
    v = [192, 354, 490, 603, 696, 772, 832, 879, 915, 940, 956, 964, 965, 960, 951, 938]
    for sign in (1, -1):
        trace = respond(loihi_lif(du=409, dv=204, v_th=300), [3 * sign] + [0] * 15)
        assert trace["u"].tolist() == [sign * x for x in u] and trace["v"].tolist() == [sign * x for x in v]


def test_loihi_threshold_is_strict() -> None:
    trace = respond(loihi_lif(du=0, dv=0, v_th=10, bias_mant=10, bias_exp=6), np.zeros(8))
    assert trace["v"].tolist() == [640, 0, 640, 0, 640, 0, 640, 0]
    assert np.flatnonzero(trace["spike"]).tolist() == [1, 3, 5, 7]
    soft = respond(loihi_lif(reset="subtract", du=0, dv=0, v_th=10, bias_mant=7, bias_exp=6), np.zeros(8))
    assert soft["v"].tolist() == [448, 256, 64, 512, 320, 128, 576, 384]
    assert np.flatnonzero(soft["spike"]).tolist() == [1, 2, 4, 5, 7]


def test_loihi_bias_exponents() -> None:
    cell = loihi_lif(du=0, dv=0, v_th=300, bias_mant=np.array([7.0, -7, 5, -5]), bias_exp=np.array([-1.0, -1, 3, 0]))
    trace = respond(cell, np.zeros((4, 4)))
    assert trace["v"].T.tolist() == [[3, 6, 9, 12], [-4, -8, -12, -16], [40, 80, 120, 160], [-5, -10, -15, -20]]


@pytest.mark.parametrize(
    ("a", "u", "v0", "fired", "v1"),
    [
        (131071, 8388544, 8388544, 0, 2047),
        (131072, 8388608, 0, 1, 0),
        (131073, -8388544, -8388544, 0, -2047),
        (152400, -7023616, -7023616, 0, -1714),
        (-131071, -8388544, -8388544, 0, -2047),
        (-131072, 8388608, 0, 1, 0),
        (-131073, 8388544, 8388544, 0, 2047),
        (-152400, 7023616, 7023616, 0, 1714),
        (262144, 0, 0, 0, 0),
        (393217, 8388672, 0, 1, 0),
        (400000, 8822784, 0, 1, 0),
    ],
)
def test_loihi_wraps_the_current_once(a: int, u: int, v0: int, fired: int, v1: int) -> None:
    trace = respond(loihi_lif(du=4095, dv=4095, v_th=131071), [a, 0])
    assert (trace["u"][0], trace["v"][0], trace["spike"][0], trace["v"][1], trace["u"][1]) == (u, v0, fired, v1, 0)


def test_loihi_wrap_goes_on() -> None:
    u = [6400000, -3978779, 2422193, -7955615, -1553672, 4846708, -5531692, 869659]
    v = [6400000, 1782158, 4026396, -4331269, -5452448, -61293, -5586864, -4159336]
    for sign in (1, -1):
        trace = respond(loihi_lif(du=0, dv=409, v_th=131071), np.full(8, sign * 100000.0))
        assert trace["u"].tolist() == [sign * x for x in u] and trace["v"].tolist() == [sign * x for x in v]


def test_loihi_clips_the_membrane() -> None:
    cell = loihi_lif(du=4095, dv=0, v_th=131071)
    assert respond(cell, np.full(6, -100000.0))["v"].tolist() == [-6400000] + [-8388607] * 5
    assert respond(cell, np.full(4, 100000.0))["v"].tolist() == [6400000, 0, 6400000, 0]
    soft = loihi_lif(reset="subtract", du=4095, dv=0, v_th=131071)
    assert respond(soft, np.full(4, 100000.0))["v"].tolist() == [6400000, 63, 6400063, 63]


def test_loihi_states_stay_whole() -> None:
    x = np.random.default_rng(2).integers(-2000, 2200, (500, 16)).astype(np.float64)
    trace = respond(loihi_lif(reset="subtract", du=300, dv=77, v_th=900, q=700), x)
    for name in ("u", "v"):
        assert (trace[name] == np.rint(trace[name])).all()
    assert trace["spike"].sum() > 100


# ------------------------------------------------------------------------------------------------- spiking patterns
def test_izhikevich_regular_spiking() -> None:
    fired = np.array(spikes(izhikevich("RS"), np.full(10000, 10.0), dt=1e-4)) * 0.1
    intervals = np.diff(fired)
    assert 15 <= len(fired) <= 40  # per second
    assert (np.diff(intervals[:3]) > 0).all()  # adapts
    assert intervals[-5:].std() < 0.02 * intervals[-1]  # and then is regular


@pytest.mark.parametrize(("preset", "more_than"), [("FS", "RS"), ("LTS", "RS"), ("CH", "RS")])
def test_izhikevich_presets_fire_more_than_regular_spiking(preset: str, more_than: str) -> None:
    x = np.full(10000, 10.0)
    assert len(spikes(izhikevich(preset), x, dt=1e-4)) > 1.5 * len(spikes(izhikevich(more_than), x, dt=1e-4))


@pytest.mark.parametrize("preset", ["IB", "CH"])
def test_izhikevich_bursts(preset: str) -> None:
    intervals = np.diff(spikes(izhikevich(preset), np.full(10000, 10.0), dt=1e-4)) * 0.1
    assert intervals.min() < 10.0 and intervals.max() > 20.0


def test_izhikevich_is_the_papers_program() -> None:
    # the paper's loop (1 ms): fire and reset, then v twice by half steps, then u
    v, u, expected = -65.0, 0.2 * -65.0, []
    for _ in range(300):
        fired = v >= 30
        if fired:
            v, u = -65.0, u + 8.0
        v += 0.5 * (0.04 * v * v + 5 * v + 140 - u + 10.0)
        v += 0.5 * (0.04 * v * v + 5 * v + 140 - u + 10.0)
        u += 0.02 * (0.2 * v - u)
        expected.append(v >= 30)
    assert sum(expected) > 3
    assert spikes(izhikevich("RS"), np.full(300, 10.0)) == np.flatnonzero(expected).tolist()


def test_izhikevich_starts_where_its_preset_rests() -> None:
    assert izhikevich("LTS").init["u"] == -16.25
    assert izhikevich("LTS", init={"u": 1.0}).init["u"] == 1.0


def test_adex_approaches_the_differential_equation() -> None:
    integrate = pytest.importorskip("scipy.integrate")

    def slope(t: float, y: Floats) -> list[float]:
        v, w = y
        rise = 30e-9 * 2e-3 * np.exp((v + 50.4e-3) / 2e-3)
        return [(30e-9 * (-70.6e-3 - v) + rise - w + 0.4e-9) / 281e-12, (4e-9 * (v + 70.6e-3) - w) / 144e-3]

    y = integrate.solve_ivp(slope, (0, 0.05), [-70.6e-3, 0.0], rtol=1e-10, atol=1e-14).y[:, -1]
    errors = []
    for dt in (1e-4, 5e-5):
        trace = respond(adex(i_e=0.4e-9), np.zeros(round(0.05 / dt)), dt=dt)
        errors.append(abs(trace["v"][-1] - y[0]))
        assert trace["w"][-1] == pytest.approx(y[1], rel=5e-3)
    assert errors[1] < 1e-4 and errors[0] / errors[1] == pytest.approx(2.0, abs=0.2)


def test_adex_never_overflows() -> None:
    trace = respond(adex(i_e=5e-9), np.zeros(3000), dt=1e-4)
    assert np.isfinite(trace["v"]).all() and trace["v"].max() <= 20e-3 and trace["spike"].sum() > 20


def test_adex_adapts_and_recovers() -> None:
    x = np.zeros(6000)
    x[:4000] = 1e-9
    trace = respond(adex(), {"dc": x}, dt=1e-4)
    intervals = np.diff(np.flatnonzero(trace["spike"]))
    assert (np.diff(intervals[:4]) > 0).all()
    assert trace["w"][3999] > 0.1e-9 and trace["w"][-1] < trace["w"][3999]


def test_alif_raises_its_threshold() -> None:
    # nothing adapts with beta = 0; then the neuron is a LIF with soft reset in the next step
    x = drive()[:, 0] * 0.2
    plain = spikes(lif(reset="subtract", timing="next"), x)
    assert spikes(alif(beta=0.0), x) == plain
    assert len(spikes(alif(beta=0.5), x)) < len(plain)


def test_alif_follows_the_papers_equations() -> None:
    x = drive(1)[:, 0] * 0.3
    alpha, rho, beta = np.exp(-1e-3 / 20e-3), np.exp(-1e-3 / 200e-3), 0.2
    for variant in ("2020", "2018"):
        v = a = z = threshold = 0.0
        expected = []
        for i in x:
            if variant == "2020":  # v' = alpha v + i - z v_th,  a' = rho a + z
                v, a = alpha * v + i - z, rho * a + z
            else:  # v' = alpha v + i - z (v_th + beta a),  a' = rho a + (1 - rho) z
                v, a = alpha * v + i - z * threshold, rho * a + (1 - rho) * z
            threshold = 1.0 + beta * a
            z = float(v > threshold)
            expected.append(z)
        assert sum(expected) > 10
        assert respond(alif(variant=variant), x)["spike"].tolist() == expected  # type: ignore[arg-type]


def test_leaky_integrator_is_a_weighted_sum() -> None:
    x = drive()[:20, 0]
    v = respond(li(beta=0.8), x)["v"][-1]
    assert v == pytest.approx((0.8 ** np.arange(19, -1, -1) * x).sum())
    assert respond(li(tau_m=10e-3), x)["v"][-1] == pytest.approx(respond(li(beta=float(np.exp(-0.1))), x)["v"][-1])
    assert respond(li(beta=1.0, bias=0.5), np.zeros(4))["v"].tolist() == [0.5, 1.0, 1.5, 2.0]


def test_parameters_per_neuron() -> None:
    trace = respond(lif_soft(th=np.array([0.5, 4.9])), np.full((10, 2), 0.6))
    assert trace["spike"].sum(axis=0).tolist() == [6.0, 2.0]
