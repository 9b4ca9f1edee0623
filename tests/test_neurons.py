"""Neurons: options, timing of arrivals, refractory time, thresholds, spiking patterns."""

from typing import Any

import numpy as np
import pytest

from spikesim.equations.response import respond
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.neurons import (
    NEURONS,
    adex,
    alif,
    integrate_and_fire,
    izhikevich,
    li,
    lif,
    lif_alpha,
    lif_cond_exp,
    lif_exp,
    lif_psc_exp,
    lif_soft,
)
from spikesim.neuron import Neuron

Floats = np.ndarray[Any, np.dtype[np.float64]]


def spikes(neuron: Neuron, inputs: Any, dt: float = 1e-3) -> list[int]:
    """Return the steps in which one neuron fires."""
    return np.flatnonzero(respond(neuron, inputs, dt=dt)["spike"]).tolist()


def drive(seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(0.0, 2.5, (400, 64))


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
