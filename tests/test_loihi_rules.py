"""Rules of the chip as values, in networks, and made from the library's own; graded inputs of networks."""

import dataclasses
from typing import Any

import numpy as np
import pytest

import spikesim as sp
from spikesim.backends.loihi.learning import follow
from spikesim.connect import Dense, FixedProbability, OneToOne
from spikesim.equations.primitives import sqrt
from spikesim.errors import InvalidValueError, NetworkError, UnsupportedError
from spikesim.fixedpoint import LoihiRule
from spikesim.fixedpoint.rule_text import Factor, Product, parse
from spikesim.fixedpoint.rules import chip_rule
from spikesim.models.neurons import loihi_lif
from spikesim.models.synapses import hebbian, r_stdp, stdp_pair, stdp_triplet, tsodyks_markram, vogels
from spikesim.quantise import quantise
from spikesim.recording import differing_spikes
from spikesim.synapse import Plasticity, synapse

STDP: dict[str, Any] = {"x1_impulse": 16.0, "x1_tau": 10.0, "y1_impulse": 16.0, "y1_tau": 10.0}


# --------------------------------------------------------------------------------------------------------------- text
def test_what_a_rule_may_say() -> None:
    found = parse("(2)*2^-3 * y0 * (3 - x1) * sgn(w + 2^1) - 14*u4 + 3*2^-9*2^2*x0*y0*t")
    assert found == (
        Product("y0", -2, -3, (Factor("x1", -3.0), Factor("w", 2.0, True))),
        Product("u", -7, 1, (), 4),
        Product("x0", 3, -7, (Factor("y0"), Factor("t"))),
    )
    assert [p.lost_bits for p in found] == [5, 0, 0]
    assert parse("+".join(map(str, found)).replace("+-", "-")) == found  # what is written reads the same


@pytest.mark.parametrize(
    "text",
    ["", "x1", "x0*", "x0**y1", "x0*y4", "3^2*x0", "2^x0", "x0*(y1", "x0*(y1*2)", "x0*sgn(x1)", "x0 y1", "x0*u1",
     "__import__('os')", "x0*(3+4)", "x0*1.5", "x0*lambda", "x0*-y1"],
)  # fmt: skip
def test_what_it_may_not_say(text: str) -> None:
    with pytest.raises(NetworkError):
        LoihiRule(dw=text)


def test_all_limits_are_reported_at_once() -> None:
    with pytest.raises(NetworkError) as caught:
        LoihiRule(
            dw="9*x0*y1 + u1*w", dd="2^9*x0", dt="u2*(w+3)", x1_impulse=128, y1_tau=-1, t_epoch=64, modulator="m",
            modulator_weight=300, y2_impulse=3, arithmetic="double", sign_mode="none",
        )  # fmt: skip
    text = str(caught.value)
    parts = ["9*2^0", "2^9", "one uK", "x1_impulse", "y1_tau", "t_epoch", "modulator 'm'", "y2 is", "double", "none"]
    assert [p for p in parts if p not in text] == []
    with pytest.raises(NetworkError, match="even number"):
        LoihiRule(dw="u1*(w+3)")
    LoihiRule(dw="u1*(w+3)", arithmetic="float")


# ----------------------------------------------------------------------------------------------------------- networks
def learner(rule: Any, weights: Any = 40.0, **more: Any) -> sp.Network:
    projections = [
        sp.Projection("in", "out", weight=weights, plasticity=rule, name="line"),
        sp.Projection("teacher", "out", weight=200.0),
    ]
    neuron = loihi_lif(du=4095, dv=4096, v_th=150)
    stimuli = [sp.Input("in", 4), sp.Input("teacher", 1), *more.get("stimuli", ())]
    return sp.Network([sp.Population("out", 3, neuron)], projections, stimuli, seed=3)


def trains(steps: int = 60, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"in": rng.random((steps, 1, 4)) < 0.15, "teacher": rng.random((steps, 1, 1)) < 0.1}


RULE = LoihiRule(dw="2^-1*y0*x1 - 2^-2*x0*y1", **STDP)
# Traces of one step only: nothing is ever rounded, so random numbers do not matter.
REWARDED = LoihiRule(
    dw="2^3*u0*t*y2 - x0*y0", dt="2*y0*x1 - x0*y3 + 2*x0 - 3*u0*sgn(t)", x1_impulse=16.0, y3_impulse=5.0,
    modulator="reward", modulator_weight=4,
)  # fmt: skip


def final_weights(network: sp.Network, backend: str, data: dict[str, Any]) -> Any:
    program = sp.compile(network, backend)
    program.reset(1)
    chunk = program.advance(len(data["in"]), data)
    return program.get_weights("line"), chunk.spikes["out"]


def test_a_network_learns_and_goes_on_from_a_snapshot() -> None:
    network, data = learner(RULE), trains()
    learned, _ = final_weights(network, "loihi", data)
    assert learned.shape == (12,) and (learned != 40).any()
    program = sp.compile(network, "loihi")
    program.advance(25, {k: v[:25] for k, v in data.items()})
    saved = program.snapshot()
    other = sp.compile(network, "loihi")
    other.restore(saved)
    assert np.array_equal(other.get_weights("line"), program.get_weights("line"))
    other.advance(35, {k: v[25:] for k, v in data.items()})
    assert np.array_equal(other.get_weights("line"), learned)
    recording = sp.run(network, inputs=data, backend="loihi")
    assert recording.counts.projections["line"].events == 3 * data["in"].sum()


def test_a_rule_is_kept_in_files_and_shown(tmp_path: Any) -> None:
    network = learner(REWARDED, stimuli=[sp.Input("reward", 1, graded=True)])
    network.save(tmp_path / "net.h5")
    assert sp.Network.load(tmp_path / "net.h5") == network
    assert "LoihiRule(dw=2^3*u0*t*y2" in str(network)


@pytest.mark.lava
def test_reward_and_graded_inputs_run_in_lava_too() -> None:
    reward = sp.Input("reward", 1, graded=True)
    network, data = learner(REWARDED, stimuli=[reward]), trains(40)
    network = network.add(sp.Projection("reward", "out", weight=3.0))
    data["reward"] = np.where(np.random.default_rng(1).random((40, 1, 1)) < 0.2, 5.0, 0.0)
    # Lava runs all steps at once, with those in which the last population finishes; so does a longer emulation.
    longer = {k: np.concatenate([v, np.zeros((1, *v.shape[1:]))]) for k, v in data.items()}
    (mine, ours), (theirs, spikes) = final_weights(network, "loihi", longer), final_weights(network, "lava", data)
    assert np.unique(mine).size > 3 and np.array_equal(mine, theirs)
    assert len(ours[0]) > 5 and all(map(np.array_equal, ours, spikes))


def test_graded_inputs_are_the_same_on_numba_and_the_emulator() -> None:
    rng = np.random.default_rng(2)
    neuron = loihi_lif(du=900, dv=300, v_th=5000)
    weights = 2 * rng.integers(-60, 60, (6, 8))
    lines = [
        sp.Projection("x", "a", Dense(weights), delay=2 * sp.ms),
        sp.Projection("x", "b", Dense(weights[:4]), name="skip"),
        sp.Projection("a", "b", weight=100.0),
    ]
    network = sp.Network(
        [sp.Population("a", 6, neuron), sp.Population("b", 4, neuron)], lines, [sp.Input("x", 8, graded=True)]
    )
    values = rng.integers(-300, 500, (80, 2, 8)) * (rng.random((80, 2, 8)) < 0.3)
    runs = [sp.run(network, inputs={"x": values}, backend=b) for b in ("loihi", "numba")]
    assert len(runs[0]["a"]) > 20 and differing_spikes(*runs) == 0
    first, second = (r.counts.projections["skip"].events.tolist() for r in runs)
    assert first == second
    with pytest.raises(InvalidValueError, match="carries a whole number"):
        sp.run(network, inputs={"x": np.full((3, 1, 8), 0.5)}, backend="loihi")
    with pytest.raises(InvalidValueError, match="24 bits"):
        sp.run(network, inputs={"x": np.full((3, 1, 8), 2.0**23)}, backend="loihi")


@pytest.mark.lava
def test_what_cannot_learn_on_the_chip_is_said() -> None:
    def problem(network: sp.Network, backend: str = "loihi") -> str:
        with pytest.raises(UnsupportedError) as caught:
            sp.compile(network, backend)
        return str(caught.value)

    assert "'loihi' and 'lava' run" in problem(learner(RULE), "numba")
    assert "chip_rule" in problem(learner(stdp_pair(w_max=255.0)))
    assert "even weights" in problem(learner(dataclasses.replace(RULE, sign_mode="mixed"), 41.0))
    late = learner(RULE).swap(sp.Projection("in", "out", weight=40.0, delay=3 * sp.ms, plasticity=RULE, name="line"))
    assert "takes 4 steps on the chip" in problem(late)
    with pytest.raises(UnsupportedError, match="plastic"):
        quantise(learner(RULE))
    thin = learner(RULE).swap(sp.Projection("in", "out", FixedProbability(0.5), 40.0, plasticity=RULE, name="line"))
    sp.compile(thin, "loihi")
    found = problem(thin, "lava")
    assert "one synapse for each of the 12 pairs" in found
    assert "with floats" in problem(learner(dataclasses.replace(RULE, arithmetic="float")), "lava")


# -------------------------------------------------------------------------------------------- from the library's rules
def in_floats(rule: Plasticity, steps: int = 300, reward: Any = None) -> Any:
    """Let a rule run with a delay of one step, on torch (which compiles nothing); return its weights and the trains."""
    rng = np.random.default_rng(1)
    neuron = loihi_lif(du=4095, dv=4096, v_th=20)
    lines = [
        sp.Projection("in", "out", weight=0.5, delay=1 * sp.ms, plasticity=rule, name="line"),
        sp.Projection("teacher", "out", OneToOne(), weight=30.0, delay=1 * sp.ms),
    ]
    stimuli: list[Any] = [sp.Input("in", 5), sp.Input("teacher", 3), sp.Input("reward", 1, graded=True)]
    network = sp.Network([sp.Population("out", 3, neuron)], lines, stimuli)
    data = {"in": rng.random((steps, 1, 5)) < 0.05, "teacher": rng.random((steps, 1, 3)) < 0.05}
    data["reward"] = np.zeros((steps, 1, 1)) if reward is None else reward
    program = sp.compile(network, "torch")
    program.advance(steps, data)
    post = np.zeros((3, steps))
    post[:, 1:] = data["teacher"][:-1, 0].T
    return program.get_weights("line").reshape(5, 3).T, data["in"][:, 0].T, post


def on_chip(made: Any, pre: Any, post: Any, **options: Any) -> Any:
    start = np.full((3, 5), round(0.5 * made.scale))
    return follow(made.rule, start, pre, post, **options).w / made.scale - start / made.scale + 0.5


EARLIER, LATER, LONG = np.exp(1 / 20), np.exp(-1 / 20), 2.0  # one step of 20 ms; a time constant of 2000 steps
PART = 2.0**-8 * 16  # with impulses of 16 and 256 units a coefficient of 1
RULES = [
    stdp_pair(a_plus=PART / 32 * LATER, a_minus=PART / 16 * EARLIER),
    stdp_pair(dependence="multiplicative", a_plus=2**-5 * LATER, a_minus=2**-5 * EARLIER),
    stdp_triplet(
        **{"a2_plus": PART / 8 * LATER, "a3_plus": PART / 16 * LATER, "a2_minus": PART / 4 * EARLIER},
        **{"a3_minus": PART / 8 * EARLIER}, **dict.fromkeys(("tau_plus", "tau_x", "tau_minus", "tau_y"), 20e-3),
    ),
    hebbian(eta=PART / 64, decay=2**-6, tau=LONG),
    vogels(eta=PART / 64, rate=1 / LONG, tau=LONG),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=[f"{r.model.name} {k}" for k, r in enumerate(RULES)])
def test_rules_that_the_chip_holds_are_exact(rule: Plasticity) -> None:
    """With coefficients that the chip has, the other clock leaves no difference; in fixed point rounding is left.

    Events of one step all read the weight before it on the chip, which leaves a difference of second order.
    """
    expected, pre, post = in_floats(rule)
    made = chip_rule(rule, 1e-3, scale=256.0, arithmetic="float")
    worst = max(made.errors.values())
    assert worst < 1e-3 and "x0" in made.rule.dw
    assert np.abs(expected - 0.5).max() > 0.05 and 0 < expected.min() and expected.max() < 1
    assert on_chip(made, pre, post) == pytest.approx(expected, abs=3 * worst + (5e-3 if "w" in made.rule.dw else 1e-6))
    made = chip_rule(rule, 1e-3, scale=256.0)
    fixed = np.mean([on_chip(made, pre, post, seed=s) for s in range(10)], axis=0)
    assert np.abs(fixed - expected).mean() < 0.2 * np.abs(expected - 0.5).mean() + 0.005


def test_reward_keeps_its_meaning() -> None:
    reward = np.zeros((400, 1, 1))
    reward[50::50] = 2.0
    tau_e = -1e-3 / np.log(1 - 2**-5)  # its decay is a coefficient of the chip
    rule = r_stdp("reward", a_plus=1.0, a_minus=0.8, tau_e=tau_e, gain=0.02)
    expected, pre, post = in_floats(rule, reward=reward)
    made = chip_rule(rule, 1e-3, arithmetic="float")
    assert np.abs(expected - 0.5).mean() > 0.02
    late = np.roll(reward[:, 0, 0], 1)  # the tag of the step before
    for arithmetic, part in (("float", 0.2), ("fixed", 0.2)):
        made = chip_rule(rule, 1e-3, arithmetic=arithmetic)
        # the target's own traces are kept by its neurons, which `follow` does as well
        found = np.mean([on_chip(made, pre, post, modulator=late, seed=s) for s in range(10)], axis=0)
        assert np.abs(found - expected).mean() < part * np.abs(expected - 0.5).mean() + 0.01, arithmetic


def test_what_is_no_sum_of_products_is_refused_by_name() -> None:
    def reasons(rule: Plasticity, **options: Any) -> str:
        with pytest.raises(UnsupportedError) as caught:
            chip_rule(rule, 1e-3, **options)
        return str(caught.value)

    assert "does not grow by a fixed number" in reasons(stdp_pair(pairing="nearest"))
    assert "not the weight" in reasons(tsodyks_markram())
    params: dict[str, Any] = {"tau": 0.02}
    power = synapse("root", params=params, pre={"x": "tau"}, on_post=lambda w, pre, post, p: w + sqrt(pre.x))
    assert "it uses 'sqrt'" in reasons(Plasticity(power))
    many = synapse("many", params=params, pre=dict.fromkeys("abc", "tau"), on_post=lambda w, pre, post, p: w + pre.a)
    assert "3 traces of the source, the chip 2" in reasons(Plasticity(many))
    assert "off by" in reasons(stdp_pair(a_plus=1e-7))
