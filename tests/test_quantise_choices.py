"""Which integers quantise chooses: scales from sample input, exponents, signs, bins of time constants, ranges."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikesim import Input, Network, Population, Probe, Projection, ms, run
from spikesim.connect import Dense, FixedProbability
from spikesim.distributions import Normal, Uniform
from spikesim.errors import DeviceLimitError, InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.fixedpoint import truncate_weights
from spikesim.fixedpoint.lower import _stored
from spikesim.models.neurons import cuba_lif, leaky, lif_soft
from spikesim.quantise import quantise
from spikesim.quantise.bins import gather
from spikesim.quantise.check import overflows
from spikesim.quantise.levels import Levels, choose, largest_step, sign_mode_of, top
from spikesim.recording import differing_spikes

RNG = np.random.default_rng(3)
SAMPLE = RNG.random((60, 3, 25)) < 0.25


def net(small: float = 1.0, cell: Any = None, probability: float = 0.5) -> Network:
    cell = cuba_lif(reset="subtract", du=0.3, dv=0.1) if cell is None else cell
    rng = np.random.default_rng(1)
    return Network(
        [Population("a", 30, cell), Population("b", 12, cell)],
        [
            Projection("x", "a", Dense(rng.normal(0.1, 0.3, (30, 25)))),
            Projection(
                "a", "a", FixedProbability(probability), Normal(0.0, 0.1 * small), delay=Uniform(1 * ms, 5 * ms)
            ),
            Projection("a", "b", Dense(np.abs(rng.normal(0.05, 0.2, (12, 30))))),
        ],
        [Input("x", 25)],
        probes=[Probe("a", ("v",), every=7, neurons=(3, 4, 20))],
    )


# ------------------------------------------------------------------------------------------------ levels
@settings(deadline=None)
@given(
    bits=st.integers(2, 8),
    mode=st.sampled_from(["mixed", "excitatory", "inhibitory"]),
    power=st.integers(0, 8),
    weights=st.lists(st.floats(-40000, 40000), min_size=1, max_size=12),
)
def test_levels_are_what_the_chip_can_store(bits: int, mode: Any, power: int, weights: list[float]) -> None:
    levels = Levels(min(2**power, largest_step(bits, mode)), bits, mode)
    w = np.array(weights)
    integers = levels.round(w)
    assert -8 <= levels.exponent <= 7
    inside = ~levels.outside(w)
    assert (np.abs(integers - w)[inside] <= levels.step / 2).all() and levels.low <= integers.min()
    moved, stored = _stored(integers.astype(np.int32))
    held = truncate_weights(moved, stored.get("num_weight_bits", 8), stored["sign_mode"]).astype(np.int64)
    exponent = stored.get("weight_exp", 0)
    assert ((held << max(exponent, 0)) >> max(-exponent, 0)).tolist() == integers.tolist() and -8 <= exponent <= 7


@settings(deadline=None)
@given(st.lists(st.floats(-3e4, 3e4), min_size=1, max_size=20), st.integers(2, 8))
def test_the_step_chosen_has_the_least_error_of_all(weights: list[float], bits: int) -> None:
    w = np.array(weights)
    mode = sign_mode_of(np.sign(w).astype(int))
    found, error = choose(w, bits, mode)
    steps = [2**k for k in range(16) if 2**k <= largest_step(bits, mode)]
    errors = {s: float(np.sum((Levels(s, bits, mode).round(w) - w) ** 2)) for s in steps}
    assert error == pytest.approx(errors[found.step])
    cut = np.abs(w).max() > 1.5 * found.step * top(bits, mode)
    if not cut:  # a step that cuts the largest weights to less than two thirds is never looked at
        assert error <= min(e for s, e in errors.items() if s >= found.step) * (1 + 1e-9)


# ------------------------------------------------------------------------------------------------ calibration
def test_calibrated_states_stay_in_range_and_use_it() -> None:
    result = quantise(net(), calibration={"x": SAMPLE})
    assert all(o == (0, 0) for o in overflows(result.network, SAMPLE).values())
    for p in result.populations.values():
        assert p.current_use is not None and p.voltage_use is not None
        used = max(p.current_use * 1.5, p.voltage_use * 1.5, p.threshold / 131071)
        assert 0.49 < used <= 1.0
    assert "50%" in result.notes[-1] and "no calibration" in quantise(net()).notes[-1]
    reference = run(result.network, inputs={"x": SAMPLE})
    assert len(reference["a"]) > 300 and len(reference["b"]) > 100
    assert differing_spikes(reference, run(result.network, inputs={"x": SAMPLE}, backend="loihi")) == 0


def test_a_scale_that_is_a_few_times_finer_overflows() -> None:
    cell = lif_soft(lam=0.95, th=0.05, q=0.05)  # a threshold far below the membranes: registers bind, not it
    result = quantise(net(cell=cell), calibration=SAMPLE, margin=0.0)
    plan = result.plan
    assert plan is not None and result.populations["a"].voltage_use > 0.45  # type: ignore[operator]
    assert not any(sum(o) for o in overflows(result.network, SAMPLE).values())
    from dataclasses import replace

    finer = replace(plan, populations={n: replace(p, scale=2.3 * p.scale) for n, p in plan.populations.items()})
    scaled = {n: replace(p, factor=2.3 * p.factor, levels=Levels(256)) for n, p in plan.projections.items()}
    assert sum(overflows(replace(finer, projections=scaled).network(), SAMPLE)["a"]) > 0


def test_a_small_projection_keeps_its_bits_beside_a_large_one() -> None:
    network = net(1 / 16, cuba_lif(reset="to", du=0.6, dv=0.4))
    coarse, fine = quantise(network), quantise(network, calibration=SAMPLE)
    assert coarse.projections["a->a"].own_error > 0.01
    assert fine.projections["a->a"].own_error < 0.004 and fine.projections["x->a"].own_error < 0.004
    assert fine.projections["a->a"].exponent < fine.projections["x->a"].exponent
    held = quantise(network, calibration=SAMPLE, max_exponent=0)
    assert all(p.exponent <= 0 for p in held.projections.values())
    assert held.projections["a->a"].own_error < coarse.projections["a->a"].own_error


def test_a_matrix_of_one_sign_may_use_all_8_bits() -> None:
    mixed, auto = quantise(net()), quantise(net(), sign_mode="auto")
    assert auto.projections["a->b"].mode == "excitatory" and auto.projections["x->a"].mode == "mixed"
    assert auto.projections["a->b"].rms_error < 0.7 * mixed.projections["a->b"].rms_error
    weights = auto.network["a->b"].rule.weights  # type: ignore[union-attr]
    assert (weights % 2).any() and 200 < weights.max() <= 255
    inputs = {"x": SAMPLE}
    assert differing_spikes(run(auto.network, inputs=inputs), run(auto.network, inputs=inputs, backend="loihi")) == 0


def test_few_bits_mean_few_values() -> None:
    result = quantise(net(), weight_bits=3)
    for p in result.network.projections:
        held = p.rule.weights if isinstance(p.rule, Dense) else p.rule.weights.data  # type: ignore[union-attr]
        assert len(np.unique(held)) <= 8
    assert all(p.bits == 3 for p in result.projections.values())


def test_a_strong_bias_is_not_cut_in_silence() -> None:
    cell = leaky(beta=0.5, v_th=1.0, bias=-200.0, reset="to", timing="same")
    result = quantise(Network([Population("a", 2, cell)], [Projection("x", "a", weight=300.0)], [Input("x", 2)]))
    assert result.populations["a"].bias_error < 1.0
    data = (np.arange(40) % 3 == 0)[:, None, None] * np.ones((1, 1, 2))
    assert result.measure(data, causes=False).rows()[0]["differing"] == 0
    wild = leaky(beta=0.9, v_th=0.01, bias=-200.0, reset="to", timing="same")
    cut = quantise(Network([Population("a", 2, wild)], [Projection("x", "a", weight=0.01)], [Input("x", 2)]))
    assert any("a bias (13 bits" in note for note in cut.notes)


# ------------------------------------------------------------------------------------------------ bins
@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=9), st.integers(1, 4))
def test_bins_along_a_line_are_the_best_there_are(values: list[int], k: int) -> None:
    x = np.array(values, float)
    label = gather(x[:, None], k)

    def cost(groups: list[np.ndarray]) -> float:
        return sum(float(((g - g.mean()) ** 2).sum()) for g in groups if len(g))

    ordered = np.sort(x)
    best = min(
        cost(np.split(ordered, cut))
        for size in range(min(k, len(x)))
        for cut in map(list, combinations(range(1, len(x)), size))
    )
    assert len(set(label.tolist())) <= k
    assert cost([x[label == g] for g in set(label.tolist())]) == pytest.approx(best, abs=1e-9)


def heterogeneous() -> Network:
    pick = np.random.default_rng(5).integers
    cell = cuba_lif(
        reset="subtract",
        du=np.array([0.25, 0.5])[pick(0, 2, 30)],
        dv=np.array([0.05, 0.1, 0.2])[pick(0, 3, 30)],
        bias=np.linspace(0.0, 0.05, 30),
    )
    whole = net()
    return whole.swap(Population("a", 30, cell))


def test_as_many_bins_as_values_change_nothing() -> None:
    whole, parts = quantise(heterogeneous()), quantise(heterogeneous(), bins=6)
    names = [p.name for p in parts.network.populations]
    assert names == [*(f"a_{k}" for k in range(6)), "b"] and whole.populations["a"].bins == 6
    assert all(np.ndim(p.neuron.params[n]) == 0 for p in parts.network.populations for n in ("du", "dv", "v_th"))
    inputs = {"x": SAMPLE}
    reference = run(whole.network, inputs=inputs, backend="loihi")
    merged = parts.merge(run(parts.network, inputs=inputs, backend="loihi"))
    assert len(reference["a"]) > 300 and differing_spikes(reference, merged) == 0
    assert (reference.traces["a"]["v"].values == merged.traces["a"]["v"].values).all()
    assert merged.traces["a"]["v"].neurons.tolist() == [3, 4, 20]
    for kind in ("populations", "projections"):
        for name, counts in getattr(reference.counts, kind).items():
            for field, value in vars(counts).items():
                assert np.array_equal(value, getattr(getattr(merged.counts, kind)[name], field)), (name, field)


def test_a_silent_population_is_named() -> None:
    result = quantise(net(), calibration=np.zeros((5, 1, 25)))
    assert next(n for n in result.notes if "stays at rest" in n).startswith("population 'a'")
    assert result.populations["a"].scale == quantise(net()).populations["a"].scale


@pytest.mark.lava
def test_lava_runs_exponents_signs_and_bins_like_the_emulator() -> None:
    network = quantise(heterogeneous().with_(probes=()), calibration=SAMPLE, bins=2, sign_mode="auto").network
    inputs = {"x": SAMPLE[:20]}
    assert (
        differing_spikes(run(network, inputs=inputs, backend="loihi"), run(network, inputs=inputs, backend="lava")) == 0
    )


def test_more_bins_less_error_and_the_number_of_a_device() -> None:
    cell = lif_soft(lam=np.linspace(0.5, 0.95, 30), th=0.5, q=1.0)
    network = net(cell=lif_soft()).swap(Population("a", 30, cell))
    errors = [quantise(network, bins={"a": k}).populations["a"].decay_error for k in (1, 3, 9, 30)]
    assert errors == sorted(errors, reverse=True) and errors[0] > 0.2 and errors[-1] < 2e-4
    assert len(quantise(network, bins="loihi1").parts.populations["a"]) == 30
    with pytest.raises(UnknownNameError, match="loihi"):
        quantise(network, bins="loihi7")
    with pytest.raises(InvalidValueError, match="does not say how many"):
        quantise(network, bins="truenorth")


def test_thresholds_that_differ_become_one_in_bins() -> None:
    cell = lif_soft(th=np.linspace(0.3, 0.9, 30), q=np.linspace(0.3, 0.9, 30))
    network = net(cell=lif_soft()).swap(Population("a", 30, cell))
    one = quantise(network, bins=1, calibration=SAMPLE)
    assert np.ndim(one.populations["a"].threshold) == 0 and not one.parts.populations
    each = quantise(network, calibration=SAMPLE)
    assert len(each.populations["a"].threshold) == 30
    for result in (one, each):
        assert result.measure(SAMPLE, causes=False).populations["a"].share < 0.04


def test_heterogeneous_neurons_behind_a_lag_begin_where_they_should() -> None:
    cell = lif_soft(lam=np.linspace(0.5, 0.9, 12), bias=np.linspace(0.0, 0.2, 12), th=0.5, q=1.0)
    network = quantise(net(cell=lif_soft()).swap(Population("b", 12, cell))).network
    inputs = {"x": SAMPLE}
    assert differing_spikes(run(network, inputs=inputs), run(network, inputs=inputs, backend="loihi")) == 0


# ------------------------------------------------------------------------------------------------ ranges
def test_everything_out_of_range_is_listed_with_a_remedy() -> None:
    late = [Projection("x", "a", weight=0.5, delay=d * ms, name=f"late{d}") for d in (70, 90)]
    with pytest.raises(DeviceLimitError) as caught:
        quantise(Network([Population("a", 2, lif_soft())], late, [Input("x", 2)]))
    assert len(caught.value.problems) == 2
    assert all("delay is" in p and "allowed is 0..62" in p and "shorten it" in p for p in caught.value.problems)
    loop = [Projection("a", "b", weight=1.0), Projection("b", "a", weight=1.0, delay=1 * ms)]
    with pytest.raises(UnsupportedError, match="less delay than it has projections"):
        quantise(Network([Population("a", 2, lif_soft()), Population("b", 2, lif_soft())], loop))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"weight_bits": 9, "margin": -1.0}, "from 2 to 8, found 9\nmargin must be at least 0"),
        ({"max_exponent": 8}, "from 0 to 7"),
        ({"sign_mode": "signed"}, "unknown sign_mode"),
        ({"bins": 0}, "bins must be a whole number from 1"),
        ({"bins": {"c": 2}}, "unknown population 'c'"),
        ({"calibration": {"y": SAMPLE}}, "unknown input 'y'"),
    ],
)
def test_a_mistake_is_one_sentence(options: dict[str, Any], part: str) -> None:
    with pytest.raises((InvalidValueError, UnknownNameError)) as caught:
        quantise(net(), **options)
    assert part in str(caught.value)


def test_plastic_projections_are_refused() -> None:
    from spikesim.models.synapses import stdp_pair

    plastic = Projection("x", "a", weight=0.1, plasticity=stdp_pair(), name="learns")
    with pytest.raises(UnsupportedError, match="learns"):
        quantise(Network([Population("a", 2, lif_soft())], [plastic], [Input("x", 2)]))
