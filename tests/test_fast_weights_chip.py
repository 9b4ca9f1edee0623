"""Hebbian fast weights on Loihi's learning engine: against the formula in floats, within the stated rounding, refusals.

That Lava has the same bits as the emulator is tested with the other learning networks (``test_loihi_learning.py``).
"""

import numpy as np
import pytest

import spikesim as sp
from spikesim.backends.loihi.learning import follow
from spikesim.connect import Dense, FixedProbability
from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.fixedpoint.fast_weights import beside, chip_fast_weights
from spikesim.models.neurons import loihi_lif
from spikesim.models.synapses import FastWeights

SCALE, UNIT = 100.0, 16


def fast(modulated=False, **settings):
    given = {"eta0": 0.5, "decay0": 0.25, "alpha": "plus", "clip": float("inf"), "micro_steps": 4}
    return FastWeights(modulated=modulated, **{**given, **settings})


def made(rule, **options):
    return chip_fast_weights(rule, "gate" if rule.modulated else "", scale=SCALE, unit=UNIT, **options)


def by_formula(rule, pre, post, modulator):
    """Return ``w [post, pre]`` at the end by the equations of the page, in floats."""
    keep, steps = np.exp(-1 / rule.micro_steps), pre.shape[1]
    a, b, w = np.zeros(len(pre)), np.zeros(len(post)), np.zeros((len(post), len(pre)))
    for t in range(steps):
        a, b = keep * a + (1 - keep) * pre[:, t], keep * b + (1 - keep) * post[:, t]
        g = modulator[t] / UNIT if rule.modulated else float((t + 1) % rule.micro_steps == 0)
        sign = -1 if rule.alpha == "minus" else 1
        w = (1 - rule.decay0 / 2 * g) * w + rule.eta0 / 2 * g * sign * np.outer(b, a)
    return w


def trains(steps=150, n_pre=6, n_post=4, seed=0):
    rng = np.random.default_rng(seed)
    pre, post = ((rng.random((n, steps)) < np.linspace(0.1, 0.9, n)[:, None]) * 1 for n in (n_pre, n_post))
    return pre, post, rng.integers(0, 9, steps)


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("alpha", ["plus", "minus"])
def test_the_chip_follows_the_formula_within_its_rounding(alpha, modulated):
    rule, (pre, post, modulator) = fast(modulated, alpha=alpha), trains()
    expected = by_formula(rule, pre, post, modulator)
    assert 0.3 < np.abs(expected).max() < 2 and np.unique(np.sign(expected)).size == 1
    start, gate = np.zeros(expected.shape), {"modulator": modulator} if modulated else {}
    exact = made(rule, arithmetic="float")
    # eta is off by one error, the decay by the other; the target's own traces decay on their way, over 65535 steps
    bound = sum(exact.errors.values()) + (1e-4 if modulated else 1e-12)
    found = follow(exact.rule, start, pre, post, **gate).w / SCALE
    assert bound < 0.05 and (np.abs(found - expected) <= bound * np.abs(expected)).all()
    rounded, bound = made(rule), bound + sum(made(rule).errors.values())
    runs = np.array([follow(rounded.rule, start, pre, post, seed=s, **gate).w for s in range(12)]) / SCALE
    assert np.unique(runs).size > 20
    # traces and weights are rounded stochastically, wide products towards minus infinity
    assert (np.abs(runs.mean(0) - expected) < (bound + 0.02) * np.abs(expected) + 2.5 / SCALE).all()


@pytest.mark.parametrize("micro_steps", [1, 2, 8])
def test_constant_rates_lead_to_the_fixed_point_at_the_rate_of_the_decay(micro_steps):
    rule = fast(eta0=0.25, decay0=0.25, micro_steps=micro_steps)
    chip, ones = made(rule, arithmetic="float"), np.ones((1, 80 * micro_steps))
    history = follow(chip.rule, [[0]], ones, ones).weights[micro_steps - 1 :: micro_steps, 0, 0] / SCALE
    assert max(chip.errors.values()) < 1e-12  # 1/8 is a coefficient of the chip
    assert history[-1] == pytest.approx(1.0, rel=1e-4)
    left = 1 - history[30:40]
    np.testing.assert_allclose(left[1:] / left[:-1], 1 - 0.125, rtol=2e-3)


def test_silence_only_decays_and_a_silent_modulator_changes_nothing():
    steps, quiet = 50, np.zeros((2, 50))
    decayed = follow(made(fast(), arithmetic="float").rule, np.full((2, 2), 80), quiet, quiet).w
    np.testing.assert_allclose(decayed, 80 * 0.875 ** (steps // 4), rtol=1e-12)
    pre, post, _ = trains(steps, 2, 2)
    for arithmetic in ("float", "fixed"):
        held = follow(made(fast(True), arithmetic=arithmetic).rule, np.full((2, 2), 80), pre, post)
        assert (held.w == 80).all()


def network(gate="hidden"):
    rng = np.random.default_rng(3)
    cell = loihi_lif(du=4095, dv=600, v_th=120)
    lines = [
        sp.Projection("in", "hidden", Dense(2 * rng.integers(0, 60, (5, 4))), delay=1e-3),
        sp.Projection("hidden", "hidden", Dense(2 * rng.integers(-40, 20, (5, 5))), delay=1e-3),
    ]
    inputs = [sp.Input("in", 4), *([sp.Input(gate, 1)] if gate == "gate" else [])]
    return sp.Network([sp.Population("hidden", 5, cell)], lines, inputs, seed=1)


def test_a_networks_own_spikes_gate_its_plasticity_and_samples_do_not_meet():
    chip = chip_fast_weights(fast(True), "hidden", modulator_weight=4, modulator_delay=1, unit=UNIT)
    net = beside(network(), chip)
    assert [p.name for p in net.projections][2:] == ["in->hidden fast", "hidden->hidden fast"]
    x = np.random.default_rng(0).random((80, 3, 4)) < 0.3
    x[:, 1] = False  # the second episode is silent

    at_once = beside(network(), chip_fast_weights(fast(True), "hidden"))
    with pytest.raises(UnsupportedError, match="modulator_delay=1"):
        sp.compile(at_once, "loihi")

    def learned(inputs):
        program = sp.compile(net, "loihi")
        program.reset(inputs.shape[1])
        spikes = program.advance(len(inputs), {"in": inputs}).spikes["hidden"]
        return np.atleast_2d(program.get_weights("hidden->hidden fast")), spikes

    together, _ = learned(x)
    assert together.shape == (3, 25) and together[0].max() > 10 and not together[1].any()
    alone, spikes = learned(x[:, :1])
    np.testing.assert_array_equal(alone[0], together[0])  # sample 0 has the same random numbers in any batch
    plain = sp.compile(network(), "loihi")
    plain.reset(1)
    assert len(plain.advance(80, {"in": x[:, :1]}).spikes["hidden"][0]) != len(spikes[0])  # they are felt


def test_what_the_chip_cannot_is_refused_in_words():
    with pytest.raises(UnsupportedError) as found:
        chip_fast_weights(FastWeights("gradient", modulated=False, micro_steps=5))
    for word in ("error per target neuron", "alpha 'random'", "clip=inf", "every 2^K-th step", "found 5"):
        assert word in str(found.value)
    with pytest.raises(UnsupportedError, match="both 0"):
        chip_fast_weights(fast(eta0=0.0, decay0=0.0))
    with pytest.raises(UnsupportedError, match=r"coefficient of dw: .* off by .*choose other rates"):
        chip_fast_weights(fast(eta0=1e-5))
    with pytest.raises(InvalidValueError, match="name the modulator"):
        chip_fast_weights(fast(True))
    with pytest.raises(InvalidValueError, match=r"scale must be above 0, found 0\ntau must[^\n]*\nunit must"):
        chip_fast_weights(fast(), scale=0, tau=-1.0, unit=200)
    chip = made(fast())
    with pytest.raises(UnknownNameError, match="hiden"):
        beside(network(), chip, ["hiden->hidden"])
    thin = network().swap(sp.Projection("in", "hidden", FixedProbability(0.5), 40.0, delay=1e-3))
    with pytest.raises(UnsupportedError, match=r"'in->hidden' must be Dense or AllToAll, found FixedProbability"):
        beside(thin, chip, ["in->hidden"])
    with pytest.raises(UnsupportedError, match="learns already"):
        beside(beside(thin, chip), chip, ["hidden->hidden fast"])
