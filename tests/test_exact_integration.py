"""Exact integrators against the matrix exponential; the others against their differential equations."""

from typing import Any

import numpy as np
import pytest

from spikesim.equations.response import respond
from spikesim.models.neurons import lif, lif_alpha, lif_cond_exp, lif_exp, lif_psc_exp
from spikesim.models.neurons._exact import growth, ramp

Floats = np.ndarray[Any, np.dtype[np.float64]]


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
