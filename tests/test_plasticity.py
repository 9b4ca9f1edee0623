"""Plasticity rules: what single pairs, triplets and trains do, by the papers; and what a user may say."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from spikesim import Input, Network, Population, Probe, Projection, SpikeTrains, compile, ms
from spikesim.cli import app, register
from spikesim.distributions import Uniform
from spikesim.engine import backend
from spikesim.equations import elementary
from spikesim.equations.targets import NUMPY
from spikesim.errors import InvalidValueError, NetworkError, UnknownNameError, UnsupportedError
from spikesim.files.codec import decode, encode
from spikesim.learning import decay, decay_tables
from spikesim.lowering import lower
from spikesim.models.neurons import lif
from spikesim.models.synapses import (
    SYNAPSES,
    hebbian,
    oja,
    r_stdp,
    scaling,
    stdp_pair,
    stdp_triplet,
    tsodyks_markram,
    vogels,
)
from spikesim.synapse import Plasticity, SynapseModel, synapse

DT = 0.1 * ms
register()
NEAR = 1e-7  # several roundings to a grid of 16 * 2^-30


@pytest.fixture(scope="module", autouse=True)
def torch_engine(require):
    require("torch")


def pairing(rule, pre, post, *, w=0.5, delay=1, rewards=(), dt=DT):
    """Run one synapse with given arrivals and post spikes (steps); return the weight and what was sent, by step."""
    steps = max([*pre, *post, *[t for t, _ in rewards], 0]) + 2
    given = [np.array([t - delay for t in pre]), np.array(post)]
    net = Network(
        # it fires when the teacher says so: plastic input is too weak
        [Population("out", 1, lif(v_th=10.0))],
        [
            Projection("pre", "out", weight=w, delay=delay * dt, plasticity=rule),
            Projection("teacher", "out", weight=16.0),
        ],
        [
            SpikeTrains("pre", 1, times=(given[0] + 0.5) * dt, indices=np.zeros(len(pre), int)),
            SpikeTrains("teacher", 1, times=(given[1] + 0.5) * dt, indices=np.zeros(len(post), int)),
            Input("reward", 1, graded=True),
        ],
        probes=[Probe("out", "v")],
        dt=dt,
    )
    program = compile(net, "torch")
    signal = np.zeros((steps, 1, 1))
    for t, value in rewards:
        signal[t] = value
    chunk = program.advance(steps, {"reward": signal})
    assert sorted(chunk.spikes["out"][1]) == sorted(post)
    return float(program.get_weights("pre->out")[0]), chunk.traces["out", "v"][1][0, :, 0]


def fall(steps, tau, dt=DT):
    """Return exp(-t / tau) as the library has it."""
    return float(elementary.exp(np.float64(-steps * dt / tau)))


# ---------------------------------------------------------------- rules
@pytest.mark.parametrize("gap", [0, 1, 50, 300])
def test_a_pair_changes_an_additive_weight_by_the_window(gap):
    rule = stdp_pair(a_plus=0.02, a_minus=0.03, tau_plus=17 * ms, tau_minus=34 * ms, w_max=0.8)
    up, _ = pairing(rule, [100], [100 + gap], w=0.4)
    assert up - 0.4 == pytest.approx(0.02 * 0.8 * fall(gap, 17 * ms), abs=NEAR)
    down, _ = pairing(rule, [101 + gap], [100], w=0.4)
    assert down - 0.4 == pytest.approx(-0.03 * 0.8 * fall(gap + 1, 34 * ms), abs=NEAR)


def test_multiplicative_weights_keep_away_from_their_bounds():
    rule = stdp_pair(dependence="multiplicative", a_plus=0.1, a_minus=0.2, w_min=0.2, w_max=1.0)
    assert pairing(rule, [10], [10])[0] == pytest.approx(0.5 + 0.1 * 0.5, abs=NEAR)
    assert pairing(rule, [11], [10])[0] == pytest.approx(0.5 - 0.2 * 0.3 * fall(1, 20 * ms), abs=NEAR)
    assert pairing(rule, [10], [10], w=1.0)[0] == 1.0


def test_nearest_counts_the_last_spike_and_all_counts_every_one():
    def change(kind):
        return pairing(stdp_pair(pairing=kind, a_plus=0.01), [10, 20], [50])[0] - 0.5

    assert change("nearest") == pytest.approx(0.01 * fall(30, 20 * ms), abs=NEAR)
    assert change("all") == pytest.approx(0.01 * (fall(30, 20 * ms) + fall(40, 20 * ms)), abs=NEAR)


def test_weights_stop_at_their_bounds():
    assert pairing(stdp_pair(a_plus=2.0), [10], [10])[0] == 1.0
    assert pairing(stdp_pair(a_minus=2.0), [11], [10])[0] == 0.0


def test_the_delay_is_axonal():
    arrivals = [pairing(stdp_pair(), [60, 90], [60, 70], delay=d)[0] for d in (0, 1, 50)]
    assert arrivals[0] == arrivals[1] == arrivals[2] != 0.5


def test_triplets_change_weights_by_the_equations_of_the_paper():
    p = {"a2_plus": 5e-3, "a3_plus": 6.2e-3, "a2_minus": 7e-3, "a3_minus": 2.3e-3}
    rule = stdp_triplet(**p)
    tau = {k: rule.value(k) for k in ("tau_plus", "tau_x", "tau_minus", "tau_y")}
    # post at 100, pre at 150, post at 230
    w, _ = pairing(rule, [150], [100, 230])
    depression = -fall(50, tau["tau_minus"]) * p["a2_minus"]
    potentiation = fall(80, tau["tau_plus"]) * (p["a2_plus"] + p["a3_plus"] * fall(130, tau["tau_y"]))
    assert w - 0.5 == pytest.approx(depression + potentiation, abs=NEAR)
    # pre at 100, post at 150, pre at 230
    w, _ = pairing(rule, [100, 230], [150])
    potentiation = fall(50, tau["tau_plus"]) * p["a2_plus"]
    depression = -fall(80, tau["tau_minus"]) * (p["a2_minus"] + p["a3_minus"] * fall(130, tau["tau_x"]))
    assert w - 0.5 == pytest.approx(potentiation + depression, abs=NEAR)


def protocol(rate, gap, pairs=25):
    """Return the change by pairs `gap` ms apart, and the sum of equations 3 and 4 of the paper over all spikes."""
    rule = stdp_triplet(a2_plus=5e-10, a3_plus=6.2e-3, a2_minus=7e-3, a3_minus=2.3e-4, w_min=-5.0, w_max=5.0)
    period = round(1000 / rate)
    pre = [20 + k * period for k in range(pairs)]
    post = [t + gap for t in pre]
    w, _ = pairing(rule, pre, post, dt=1 * ms)

    def past(trains, t, tau, own=False):
        return sum(fall(t - s, rule.value(tau), 1 * ms) for s in trains if s < t or (s == t and not own))

    change = sum(past(pre, t, "tau_plus") * (5e-10 + 6.2e-3 * past(post, t, "tau_y", True)) for t in post)
    change -= sum(past(post, t, "tau_minus") * (7e-3 + 2.3e-4 * past(pre, t, "tau_x", True)) for t in pre)
    return (w - 0.5) / 5.0, change


def test_the_pairing_protocol_of_pfister_and_gerstner():
    """Sjöström's data, figure 4 of the paper: depression by post-pre at 0.1 .. 20 Hz, potentiation of both at 50 Hz."""
    for rate, gap in [(20.0, 10), (20.0, -10), (50.0, 10), (50.0, -10)]:
        found, expected = protocol(rate, gap)
        assert found == pytest.approx(expected, rel=1e-6)
        assert (found < 0) == ((rate, gap) == (20.0, -10))
    assert 0 < protocol(1.0, 10)[0] < 0.01 * protocol(50.0, 10)[0]


def test_hebbian_weights_grow_whatever_the_order_and_decay():
    rule = hebbian(eta=0.01, decay=0.1, tau=10 * ms)
    assert pairing(rule, [10], [40])[0] == pytest.approx(0.5 - 0.05 + 0.01 * fall(30, 10 * ms), abs=NEAR)
    assert pairing(rule, [40], [10])[0] == pytest.approx(0.5 - 0.05 + 0.01 * fall(30, 10 * ms), abs=NEAR)


def test_ojas_weights_become_a_unit_vector_along_the_rates():
    """Iterate the rule itself with traces that stand for rates of a linear neuron."""
    rule, rates = oja(eta=0.05), np.array([4.0, 2.0, 1.0, 0.5])
    event, w = rule.model.events["on_post"], np.array([0.1, 0.9, 0.4, 0.2])
    params = {n: np.float64(rule.value(n)) for n in rule.model.params}
    for _ in range(500):
        inputs = {"pre_x": rates, "post_y": w @ rates}
        w = event.evaluate({"state": {"w": w}, "input": inputs, "param": params}, NUMPY)["w"]
    assert np.linalg.norm(w) == pytest.approx(1.0, abs=1e-9)
    assert w / np.linalg.norm(w) == pytest.approx(rates / np.linalg.norm(rates), abs=1e-6)


def test_vogels_keeps_the_rate_where_changes_cancel():
    rule = vogels(eta=0.01, tau=20 * ms, rate=5.0)
    assert pairing(rule, [50], [])[0] == pytest.approx(0.5 - 0.01 * 0.2, abs=NEAR)
    w, _ = pairing(rule, [50], [20, 90])
    assert w == pytest.approx(0.5 + 0.01 * (fall(30, 20 * ms) - 0.2) + 0.01 * fall(40, 20 * ms), abs=NEAR)


def test_scaling_pulls_towards_the_rate():
    rule = scaling(eta=0.1, tau=0.5, rate=4.0)
    assert pairing(rule, [50], [])[0] == pytest.approx(0.55, abs=NEAR)
    assert pairing(rule, [50], [10, 20, 30])[0] == pytest.approx(
        0.5 * (1 + 0.1 * (1 - sum(fall(n, 0.5) for n in (20, 30, 40)) / 2.0)), abs=NEAR
    )


def test_reward_turns_eligibility_into_a_change():
    rule = r_stdp("reward", gain=0.05, tau_e=0.2, w_min=-1.0)
    assert pairing(rule, [10], [40], rewards=[(200, 0.0)])[0] == 0.5
    w, _ = pairing(rule, [10], [40], rewards=[(240, 2.0), (340, -1.0)])
    e = fall(30, 20 * ms)
    assert w - 0.5 == pytest.approx(0.05 * e * (2.0 * fall(200, 0.2) - fall(300, 0.2)), abs=NEAR)
    w, _ = pairing(rule, [40], [10], rewards=[(240, 1.0)])
    assert w - 0.5 == pytest.approx(-0.05 * 1.5 * fall(30, 20 * ms) * fall(200, 0.2), abs=NEAR)


@pytest.mark.parametrize("tau_fac", [0.0, 0.5])
def test_short_term_plasticity_settles_where_the_formula_says(tau_fac):
    rule, period = tsodyks_markram(u0=0.4, tau_rec=0.1, tau_fac=tau_fac), 200
    arrivals = list(range(10, 6000, period))
    _, v = pairing(rule, arrivals, [], w=0.5)
    sent = np.array([v[t] - v[t - 1] * fall(1, 20 * ms) for t in arrivals]) / 0.5
    a, b = (fall(period, tau) if tau else 0.0 for tau in (tau_fac, 0.1))
    u = 0.4 / (1 - (1 - 0.4) * a)
    assert sent[0] == pytest.approx(0.4, abs=NEAR)
    assert sent[-1] == pytest.approx(u * (1 - b) / (1 - (1 - u) * b), abs=1e-6)


def test_decay_is_one_product_and_ends_after_forty_time_constants():
    tables = decay_tables(20 * ms, DT)
    n = np.array([0, 1, 1023, 1024, 5000, 9000, 2**30])
    expected = np.exp(-n[:5] * DT / (20 * ms))
    assert decay(tables, n)[:5] == pytest.approx(expected, rel=1e-14) and (decay(tables, n)[5:] == 0).all()
    assert decay(decay_tables(0.0, DT), [0, 1, 1024]).tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(InvalidValueError, match="longer than"):
        decay_tables(1e6, DT)


# ---------------------------------------------------------------- what a user says
def net(rule, weight=0.5, **more):
    return Network(
        [Population("a", 3, lif())], [Projection("in", "a", weight=weight, plasticity=rule, **more)], [Input("in", 2)]
    )


@pytest.mark.parametrize("name", SYNAPSES)
def test_rules_survive_a_file(name, tmp_path):
    rule = SYNAPSES[name]("in") if name in ("r_stdp", "subspace") else SYNAPSES[name]()
    net(rule).save(tmp_path / "net.h5")
    again = Network.load(tmp_path / "net.h5")
    assert again == net(rule) and again.projections[0].plasticity.model == rule.model
    assert again != net(replace(rule, params={next(iter(rule.model.params)): 0.5}))


def test_a_forged_rule_is_refused():
    arrays = []
    text = json.dumps(encode(stdp_pair(), arrays))
    assert decode(json.loads(text), arrays) == stdp_pair()
    for old, new, message in [("pre_x", "__import__", "cannot read the input"), ("tau_plus", "a b", "identifier")]:
        with pytest.raises(NetworkError, match=message):
            decode(json.loads(text.replace(f'"{old}"', f'"{new}"')), arrays)


def test_mistakes_get_a_sentence():
    with pytest.raises(UnknownNameError, match="did you mean 'tau_plus'"):
        stdp_pair(tau_pls=1.0)
    with pytest.raises(UnknownNameError, match="pairing"):
        stdp_pair(pairing="none")
    with pytest.raises(InvalidValueError, match="tau_plus must be at least 0 s, found -1"):
        stdp_pair(tau_plus=-1.0)
    with pytest.raises(InvalidValueError, match="one number"):
        stdp_pair(a_plus=np.ones(3))
    with pytest.raises(InvalidValueError, match="w_min must be at most w_max"):
        stdp_pair(w_min=2.0)
    with pytest.raises(InvalidValueError, match="pass modulator="):
        Plasticity(r_stdp("x").model)
    with pytest.raises(InvalidValueError, match="leave `modulator` out"):
        Plasticity(stdp_pair().model, {}, "x")
    with pytest.raises(NetworkError, match=r"modulator 'dopamine' is not among the sources and populations a, in"):
        net(r_stdp("dopamine"))
    with pytest.raises(NetworkError, match=r"start within w_min 0 and w_max 1, found .* change the bounds"):
        lower(net(stdp_pair(), weight=Uniform(0.0, 2.0)))
    graded = Network(
        [Population("a", 3, lif())], [Projection("in", "a", weight=0.5, plasticity=stdp_pair())],
        [Input("in", 2, graded=True)],
    )  # fmt: skip
    with pytest.raises(NetworkError, match="needs spikes"):
        lower(graded)


def test_mistakes_in_a_rule_get_a_sentence():
    with pytest.raises(UnknownNameError, match="'x'"):
        synapse("s", on_pre=lambda w, pre, post, p: w + pre.x)
    with pytest.raises(NetworkError, match="time constant 'tau'"):
        synapse("s", pre={"x": "tau"}, on_pre=lambda w, pre, post, p: w)
    with pytest.raises(InvalidValueError, match="must return"):
        synapse("s", on_pre=lambda w, pre, post, p: (w, w))
    with pytest.raises(UnsupportedError, match="cannot branch"):
        synapse("s", on_pre=lambda w, pre, post, p: w if w > 0 else -w)
    with pytest.raises(NetworkError, match="post_spike must give"):
        synapse("s", params={"t": 1.0}, post={"y": "t"}, post_spike=lambda post, p: {})
    with pytest.raises(NetworkError, match="needs the parameter 'w_max'"):
        replace_params(stdp_pair().model, "w_max")


def replace_params(model, gone):
    params = {k: v for k, v in model.params.items() if k != gone}
    return SynapseModel(model.name, params, model.pre, model.post, model.states, model.events)


def test_engines_that_cannot_learn_say_so():
    with pytest.raises(UnsupportedError, match="is plastic"):
        compile(net(stdp_pair()), "loihi")
    with pytest.raises(UnsupportedError, match="is plastic"):
        backend("torch").module(lower(net(stdp_pair())))
    with pytest.raises(UnsupportedError, match="snap=True"):
        compile(lower(net(stdp_pair()), snap=False), "torch")


def test_people_see_the_rule():
    assert "stdp_pair(additive, all, w_max 2, tau_plus 5 ms)" in str(net(stdp_pair(w_max=2.0, tau_plus=5 * ms)))
    shown = CliRunner().invoke(app, ["show", "r_stdp"]).output
    assert "w' = w + gain * w_max * reward * e" in shown and "e decays with tau_e" in shown


def test_the_grid_holds_all_weights_to_come():
    exact = lower(net(stdp_pair(w_max=8.0), weight=0.5)).exactness["a", "i"]
    assert exact.grid == 2.0**-27 and exact.exact and exact.bits == 31  # two synapses of 8 each
