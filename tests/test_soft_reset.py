"""Soft reset and membrane potential rectifier: golden vectors and analytic properties (Guo et al., ECCV 2022)."""

import numpy as np
import pytest

from spikesim.equations.response import respond
from spikesim.equations.surrogates import phi
from spikesim.models.neurons import integrate_and_fire, lif_soft
from spikesim.neuron import Neuron

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
