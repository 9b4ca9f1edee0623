"""Lyapunov spectra of maps and flows against analytic and widely known values."""

import numpy as np
import pytest

from spikesim.analyse import Flow, Map, Spectrum, spectrum
from spikesim.errors import InvalidValueError


def lorenz(s=10.0, r=28.0, b=8.0 / 3.0):
    def field(x):
        return np.array([s * (x[1] - x[0]), x[0] * (r - x[2]) - x[1], x[0] * x[1] - b * x[2]])

    def jacobian(x):
        return np.array([[-s, s, 0.0], [r - x[2], -1.0, -x[0]], [x[1], x[0], -b]])

    return Flow(field, jacobian, 0.01, compiled=True)


def test_lorenz():
    # literature (Sprott, Chaos and Time-Series Analysis, 2003): 0.906, 0, -14.572; the sum is -(s + 1 + b) exactly
    found = spectrum(lorenz(), [1.0, 1.0, 20.0], steps=60_000, transient=2_000)
    np.testing.assert_allclose(found.exponents, [0.906, 0.0, -14.572], atol=0.03)
    assert found.exponents.sum() == pytest.approx(-(10 + 1 + 8 / 3), abs=2e-4)
    assert found.kaplan_yorke() == pytest.approx(2.062, abs=0.003)
    assert found.entropy_rate() == pytest.approx(0.906, abs=0.03)
    assert found.every > 1 and found.unit == "per unit of time"
    assert abs(found.exponents[0] - 0.906) < 5 * found.errors[0] < 0.2


def test_roessler():
    a, b, c = 0.2, 0.2, 5.7
    flow = Flow(
        lambda x: np.array([-x[1] - x[2], x[0] + a * x[1], b + x[2] * (x[0] - c)]),
        lambda x: np.array([[0.0, -1.0, -1.0], [1.0, a, 0.0], [x[2], 0.0, x[0] - c]]),
        0.05,
    )
    found = spectrum(flow, [1.0, 1.0, 0.0], steps=30_000, transient=2_000)
    # Sprott 2003; contraction comes in bursts, and a column must not vanish in rounding during one
    np.testing.assert_allclose(found.exponents, [0.0714, 0.0, -5.394], atol=0.03)
    assert 1 < found.every < 62


def test_logistic_map():
    found = spectrum(Map(lambda x: 4 * x * (1 - x), lambda x: np.array([[4 - 8 * x[0]]])), [0.2], steps=20_000)
    assert found.exponents[0] == pytest.approx(np.log(2), abs=4 * found.errors[0] + 1e-4)
    assert found.errors[0] < 0.01
    assert found.kaplan_yorke() == 1.0  # nothing contracts: the whole interval


def test_henon_map_conserves_the_determinant():
    henon = Map(
        lambda x: np.array([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]]),
        lambda x: np.array([[-2.8 * x[0], 1.0], [0.3, 0.0]]),
    )
    found = spectrum(henon, [0.1, 0.1], steps=20_000)
    assert found.exponents.sum() == pytest.approx(np.log(0.3), abs=1e-10)
    np.testing.assert_allclose(found.exponents, [0.419, -1.623], atol=0.01)  # Sprott 2003
    assert found.kaplan_yorke() == pytest.approx(1.258, abs=0.01)


@pytest.mark.parametrize(("k", "every"), [(None, None), (3, None), (None, 1), (None, 5)])
def test_linear_map(k, every):
    moduli = np.linspace(0.3, 1.4, 8)
    mixed = np.random.default_rng(1).standard_normal((8, 8))
    a = mixed @ np.diag(moduli) @ np.linalg.inv(mixed)
    linear = Map(lambda x: 0.0 * x, lambda x: a)
    found = spectrum(linear, np.zeros(8), exponents=k, steps=500, transient=1500, every=every)
    np.testing.assert_allclose(found.exponents, np.log(moduli[::-1])[:k], atol=1e-9)
    assert found.dimension == 8


def test_a_direction_that_is_forgotten_is_minus_infinity():
    a = np.diag([0.5, 2.0, 0.0])
    found = spectrum(Map(lambda x: 0.0 * x, lambda x: a), np.zeros(3), steps=200)
    np.testing.assert_allclose(found.exponents, [np.log(2), np.log(0.5), -np.inf])
    assert np.isnan(found.errors[2]) and found.kaplan_yorke() == pytest.approx(2.0)


def test_rate_network():
    """dx/dt = -x + W tanh(x): at the fixed point 0 the exponents are the real parts of eig(W) - 1."""
    rng = np.random.default_rng(3)
    w = 0.5 * rng.standard_normal((10, 10)) / np.sqrt(10)
    flow = Flow(lambda x: -x + w @ np.tanh(x), lambda x: -np.eye(10) + w * (1 - np.tanh(x) ** 2), 0.05, compiled=False)
    found = spectrum(flow, 0.1 * rng.standard_normal(10), steps=4000, transient=2000)
    np.testing.assert_allclose(found.exponents, np.sort(np.linalg.eigvals(w).real)[::-1] - 1, atol=0.02)


def test_order_of_the_components_does_not_matter():
    order = np.random.default_rng(0).permutation(6)
    a = np.random.default_rng(2).standard_normal((6, 6))
    b = a[np.ix_(order, order)]
    one, two = (spectrum(Map(lambda x: 0.0 * x, lambda x, m=m: m), np.zeros(6), steps=3000) for m in (a, b))
    np.testing.assert_allclose(one.exponents, two.exponents, atol=5e-3)
    assert one.exponents.sum() == pytest.approx(np.linalg.slogdet(a)[1], abs=1e-9)


def test_history_and_plot():
    found = spectrum(Map(lambda x: 4 * x * (1 - x), lambda x: np.array([[4 - 8 * x[0]]])), [0.3], steps=2000)
    assert found.history[-1] == pytest.approx(found.exponents) and found.times[-1] == 2000 // found.every * found.every
    assert found.plot().get_ylabel() == "Lyapunov exponent (per step)"
    assert "Lyapunov exponents (per step)" in str(found)


def test_too_few_exponents_for_a_dimension():
    known = Spectrum(np.array([0.9, 0.0]), np.zeros(2), np.ones(1), np.zeros((1, 2)), "per step", 3, 1)
    with pytest.raises(InvalidValueError, match="compute more exponents"):
        known.kaplan_yorke()


def test_mistakes_get_a_clear_answer():
    logistic = Map(lambda x: 4 * x * (1 - x), lambda x: np.array([[4 - 8 * x[0]]]))
    with pytest.raises(InvalidValueError, match=r"(?s)transient must be .* found 0.*every must be .* found 0"):
        spectrum(logistic, [0.2], transient=0, every=0)
    with pytest.raises(InvalidValueError, match="exponents must be from 1 to 1"):
        spectrum(logistic, [0.2], exponents=2)
    with pytest.raises(InvalidValueError, match=r"must give \[1\] and the Jacobian \[1, 1\], found \[1\] and \[1\]"):
        spectrum(Map(logistic.step, lambda x: 4 - 8 * x), [0.2])
    with pytest.raises(InvalidValueError, match="do not stay finite"), np.errstate(all="ignore"):
        spectrum(logistic, [2.0])
    with pytest.raises(InvalidValueError, match="dt must be above 0"):
        Flow(logistic.step, logistic.jacobian, 0.0)


def test_errors_cover_columns_that_are_still_turning():
    """A transient that is too short biases the mean of a linear flow, whose exponents are known; the error says so."""
    a = np.diag([-1.0, -2.0, 0.5])
    flow = Flow(lambda x: a @ x, lambda x: a, 0.01)
    short = spectrum(flow, np.zeros(3), steps=2_000)
    off = np.abs(short.exponents - [0.5, -1.0, -2.0])
    assert 1e-3 < off.max() < 1e-2 and (off < 4 * short.errors + 1e-5).all()
    np.testing.assert_allclose(spectrum(flow, np.zeros(3), steps=2_000, transient=3_000).exponents, [0.5, -1, -2])
