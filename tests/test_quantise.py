"""Float to fixed point: which neurons match the chip, what is rounded, and that every engine runs the same integers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikesim import (
    Input,
    Network,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    exp,
    ms,
    mV,
    neuron,
    run,
    sequential,
    spike,
    where,
)
from spikesim.connect import Dense, FixedProbability
from spikesim.distributions import Normal, Uniform
from spikesim.equations.response import respond
from spikesim.errors import UnsupportedError
from spikesim.fixedpoint.lower import find_lags, problems
from spikesim.fixedpoint.start import start_states
from spikesim.layers import dense as layer
from spikesim.lowering import lower
from spikesim.models.neurons import cuba_lif, leaky, li, lif, lif_exp, lif_soft, synaptic
from spikesim.quantise import chip_form, quantise
from spikesim.quantise.levels import Levels
from spikesim.quantise.plan import bias_parts
from spikesim.recording import differing_spikes


def form_of(cell: object) -> tuple[object, list[str]]:
    return chip_form(lower(Network([Population("a", 2, cell)])).nodes[0])  # type: ignore[arg-type]


def test_soft_reset_matches_with_any_threshold_and_quantum() -> None:
    form, reasons = form_of(lif_soft(lam=0.75, th=0.4, q=0.9))
    assert reasons == [] and form is not None
    assert (form.reset, form.quantum, form.threshold, form.voltage_keep) == ("soft", 0.9, 0.4, 0.75)  # type: ignore[attr-defined]


def test_a_resting_level_is_shifted_to_zero() -> None:
    form, reasons = form_of(lif(e_l=-70e-3, v_th=-50e-3, v_reset=-70e-3, tau_m=20 * ms))
    assert reasons == []
    assert (
        form.threshold == pytest.approx(20e-3) and form.reset == "hard" and form.bias == pytest.approx(0.0, abs=1e-12)
    )  # type: ignore[union-attr]


def test_current_based_neurons_match() -> None:
    form, reasons = form_of(cuba_lif(du=0.1, dv=0.05))
    assert reasons == [] and form.current == "u"  # type: ignore[union-attr]
    assert (form.current_keep, form.voltage_keep) == pytest.approx((0.9, 0.95))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "late", [leaky(beta=0.75), leaky(beta=0.5, q=0.75, bias=0.125), leaky(reset="to", v_reset=-0.25), synaptic()]
)
def test_a_reset_in_the_next_step_is_one_at_once(late: Any) -> None:
    form, reasons = form_of(late)
    assert reasons == [] and form is not None
    x = np.random.default_rng(0).uniform(-0.2, 0.9, (300, 20)) * (0.3 if form.current else 1.0)  # type: ignore[attr-defined]
    u = v = np.zeros(20)
    fired = []
    for row in x:  # the chip's neuron, in real numbers
        u = form.current_keep * u + form.gain * row  # type: ignore[attr-defined]
        v = form.voltage_keep * v + u + form.bias  # type: ignore[attr-defined]
        fired.append(v > form.threshold)  # type: ignore[attr-defined]
        v = np.where(fired[-1], 0.0 if form.reset == "hard" else v - form.quantum, v)  # type: ignore[attr-defined]
    start = {"v": form.rest}  # type: ignore[attr-defined]
    assert np.sum(fired) > 300 and np.array_equal(respond(late(init=start), x)["spike"] > 0, fired)


@neuron(alpha=0.9, v_th=1.2, q=0.8)
def scripted(v, i, p):  # type: ignore[no-untyped-def]
    """Somebody's own soft-reset neuron."""
    u = p.alpha * v + 0.5 * i
    s = spike(u - p.v_th)
    return s, u - p.q * s


@neuron(alpha=0.9)
def squared(v, i, p):  # type: ignore[no-untyped-def]
    """Not linear."""
    u = p.alpha * v * v + i
    s = spike(u - 1.0)
    return s, where(s, 0.0, u)


@neuron(state={"v": 0.0, "a": 0.0}, alpha=0.9)
def adaptive(v, a, i, p):  # type: ignore[no-untyped-def]
    """The threshold moves."""
    u = p.alpha * v + i
    s = spike(u - 1.0 - a)
    return s, where(s, 0.0, u), 0.9 * a + s


@neuron(alpha=0.9)
def exponential(v, i, p):  # type: ignore[no-untyped-def]
    """Not linear either."""
    u = p.alpha * v + exp(v) + i
    s = spike(u - 1.0)
    return s, where(s, 0.0, u)


def test_a_users_own_neuron_matches_if_its_equations_do() -> None:
    form, reasons = form_of(scripted)
    assert reasons == []
    assert (form.gain, form.quantum, form.threshold) == (0.5, 0.8, 1.2)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        (squared, "multiplies two values that change"),
        (exponential, "uses exp of a state"),
        (adaptive, "tested on the new value of one state"),
        (lif_exp(), "has one input"),
        (leaky(reset="subtract", timing="again"), "tests for a spike 2 times"),
        (leaky(reset="to", timing="pause"), "does without its input"),
        (lif(tau_m=[0.01, 0.02]), "split it into populations"),
        (lif(reset="subtract", t_ref=2 * ms), "where a hard reset put it"),
    ],
)
def test_other_neurons_are_refused_with_the_reason(cell: object, part: str) -> None:
    form, reasons = form_of(cell)
    assert form is None and any(part in r for r in reasons), reasons


def test_all_reasons_are_listed() -> None:
    net = Network(
        [Population("a", 2, squared), Population("b", 2, lif_soft())],
        [Projection("x", "b", weight=1.0)],
        [Input("x", 2, graded=True), PoissonDrive("n", "b", rate=10.0)],
    )
    with pytest.raises(UnsupportedError) as caught:
        quantise(net)
    assert len(caught.value.problems) == 3
    with pytest.raises(UnsupportedError, match="not in fixed point"):
        run(Network([Population("a", 2, lif_soft())]), steps=3, backend="loihi")


def test_rounding() -> None:
    assert Levels(2).round(np.array([253.2, 255.0, -257.0, 3.1, -0.9])).tolist() == [254, 254, -256, 4, 0]
    for value in (0.0, 100.0, -4096.0, 5000.0, -300000.0):
        mantissa, exponent = bias_parts(value)
        assert -4096 <= mantissa <= 4095 and abs((mantissa << exponent) - value) <= 2**exponent / 2


def layered(cell: object, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    return Network(
        [Population("a", 40, cell), Population("b", 12, cell)],  # type: ignore[arg-type]
        [
            Projection("x", "a", Dense(rng.normal(0.1, 0.4, (40, 25)))),
            Projection("a", "b", Dense(rng.normal(0.05, 0.4, (12, 40)))),
        ],
        [Input("x", 25)],
        probes=[Probe("b", ("v",))],
    )


def recurrent(seed: int = 0) -> Network:
    cell = cuba_lif(reset="subtract", du=0.2, dv=0.1)
    return Network(
        [Population("a", 40, cell), Population("b", 20, lif(reset="to", tau_m=8 * ms))],
        [
            Projection("x", "a", FixedProbability(0.5), Normal(0.2, 0.2)),
            Projection("a", "a", FixedProbability(0.3), Normal(0.0, 0.2), delay=Uniform(1 * ms, 6 * ms)),
            Projection("a", "b", FixedProbability(0.4), Normal(0.1, 0.2)),
            Projection("b", "a", FixedProbability(0.4), Normal(-0.1, 0.2), delay=3 * ms),
        ],
        [Input("x", 25)],
        probes=[Probe("a", ("u", "v"), every=3)],
        seed=seed,
    )


def spikes(steps: int, samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((steps, samples, 25)) < 0.25


@pytest.mark.parametrize("make", [lambda: layered(lif_soft()), lambda: layered(scripted), recurrent])
def test_numba_torch_and_the_emulator_run_the_same_integers(make: object) -> None:
    pytest.importorskip("torch")
    network = quantise(make()).network  # type: ignore[operator]
    data = {"x": spikes(60, 3)}
    reference = run(network, inputs=data)
    assert all(len(s) > 50 for s in reference.spikes.values())
    for backend in ("torch", "loihi"):
        other = run(network, inputs=data, backend=backend)
        assert differing_spikes(reference, other) == 0
        for name, counts in reference.counts.populations.items():
            assert counts.active.tolist() == other.counts.populations[name].active.tolist(), (backend, name)
        for target, traces in reference.traces.items():
            for variable, trace in traces.items():
                assert (trace.values == other.traces[target][variable].values).all(), (backend, target, variable)
                assert trace.steps.tolist() == other.traces[target][variable].steps.tolist()


def test_the_emulator_can_be_stepped() -> None:
    network = quantise(recurrent()).network
    data = spikes(60, 2)
    whole = run(network, inputs={"x": data}, backend="loihi")
    from spikesim import compile

    program = compile(network, "loihi")
    program.reset(2)
    parts = [program.advance(20, {"x": data[k : k + 20]}) for k in (0, 20, 40)] + program.drain()
    for name, found in whole.spikes.items():
        assert sum(len(p.spikes[name][0]) for p in parts) == len(found)


def test_the_loss_is_small_and_reported() -> None:
    network = layered(lif_soft())
    result = quantise(network)
    data = {"x": spikes(40, 4)}
    before, after = run(network, inputs=data), run(result.network, inputs=data)
    assert after.counts.spikes == pytest.approx(before.counts.spikes, rel=0.02)
    assert all(p.threshold_error < 0.01 for p in result.populations.values())
    assert all(0 < p.rms_error < 0.005 for p in result.projections.values())
    assert {row["what"] for row in result.rows()} == {"threshold", "decays", "quantum", "weights (rms)"}


def test_lags_align_paths_of_different_length() -> None:
    graph = lower(quantise(layered(lif_soft()).add(Projection("x", "b", weight=0.1, name="skip"))).network)
    assert find_lags(graph) == {"x": 0, "a": 1, "b": 2}
    assert problems(graph) == []


def test_a_loop_that_is_too_quick_for_the_chip_is_refused() -> None:
    cell = lif_soft()
    net = Network(
        [Population("a", 2, cell), Population("b", 2, cell)],
        [Projection("a", "b", weight=1.0), Projection("b", "a", weight=1.0, delay=1 * ms)],
    )
    with pytest.raises(UnsupportedError, match="less delay than it has projections"):
        run(quantise(net).network, steps=3, backend="loihi")


@pytest.mark.parametrize(
    "cell",
    [
        lif_soft(bias=np.linspace(-0.1, 0.2, 20), lam=0.8),
        lif_soft(bias=np.linspace(-0.1, 0.2, 20)),
        leaky(beta=0.6, reset="to", timing="same", bias=0.15, init={"v": 0.3}),
        cuba_lif(du=0.3, dv=0.2, bias=np.linspace(0.0, 0.05, 20), init={"v": -0.2, "u": 0.1}),
        leaky(beta=0.0, reset="to", timing="same", bias=np.linspace(0.0, 0.5, 20)),
    ],
    ids=["leak", "no leak", "hard", "current", "no memory"],
)
def test_biases_and_initial_states_behind_lags_act_from_step_0_on(cell: Any) -> None:
    """On the chip layers run columns before their step 0; they begin so that these lead to the initial states."""
    net = sequential(Input("x", 25), layer(20, Normal(0.1, 0.2)), cell, layer(20, Normal(0.1, 0.3)), cell, seed=2)
    net = quantise(net.with_(probes=(Probe("layer2", ("v",)),))).network
    data = {"x": spikes(60, 2)}
    reference, chip = run(net, inputs=data), run(net, inputs=data, backend="loihi")
    assert all(len(s) > 50 for s in reference.spikes.values())
    assert differing_spikes(reference, chip) == 0
    assert (reference.traces["layer2"]["v"].values == chip.traces["layer2"]["v"].values).all()


def test_a_bias_that_fires_by_itself_before_step_0_is_refused_with_the_remedy() -> None:
    cell = leaky(beta=0.0, v_th=0.5, bias=0.6, reset="to", timing="same")
    net = Network([Population("a", 2, cell)], [Projection("x", "a", weight=1.0)], [Input("x", 2)])
    data = {"x": np.zeros((10, 1, 2))}
    with pytest.raises(UnsupportedError, match="begins 1 columns early on the chip"):
        run(quantise(net).network, inputs=data, backend="loihi")
    delayed = quantise(net.swap(Projection("x", "a", weight=1.0, delay=1 * ms))).network
    a, b = run(delayed, inputs=data, backend="loihi"), run(delayed, inputs=data)
    assert differing_spikes(a, b) == 0 and len(a["a"]) > 0


def test_initial_states_come_along() -> None:
    for cell in (
        leaky(beta=0.6, timing="same", init={"v": 0.7}),
        lif(e_l=-70 * mV, v_th=-50 * mV, v_reset=-70 * mV, init={"v": -55 * mV}),
    ):
        net = Network([Population("a", 1, cell)], [Projection("x", "a", weight=0.1)], [Input("x", 1)])
        chip = quantise(net.with_(probes=(Probe("a", ("v",)),)))
        unit = chip.populations["a"].scale * 64
        rest = -70e-3 if cell.model.name == "lif" else 0.0
        found = run(chip.network, inputs={"x": np.zeros((3, 1, 1))}).traces["a"]["v"].values[0, :, 0] / unit + rest
        wanted = run(net.with_(probes=(Probe("a", ("v",)),)), inputs={"x": np.zeros((3, 1, 1))}).traces["a"]["v"].values
        assert np.allclose(found, wanted[0, :, 0], rtol=2e-3)
    form, _ = form_of(cuba_lif(du=0.5, dv=0.25))
    assert form.coupling == 1.0  # type: ignore[union-attr]


def test_biases_of_a_population_share_their_exponent() -> None:
    mantissas, exponent = bias_parts(np.array([1.0, 100.0, -20000.0]))
    assert exponent == 3 and mantissas.tolist() == [0, 12, -2500]
    form, reasons = form_of(lif_soft(bias=[0.1, 0.2]))
    assert reasons == [] and form.bias.tolist() == [0.1, 0.2]  # type: ignore[union-attr]
    for cell in (lif_soft(th=[0.5, 0.6]), lif_soft(q=[1.0, 0.9]), lif_soft(lam=[0.5, 0.6])):
        form, reasons = form_of(cell)
        assert form is None and "split it into populations" in reasons[0]


@settings(deadline=None)
@given(
    columns=st.integers(1, 5),
    keeps=st.tuples(st.integers(0, 4095), st.integers(0, 4096)),
    states=st.lists(st.tuples(st.integers(-999, 999), st.integers(-9999, 9999)), min_size=1, max_size=4),
    bias=st.integers(-3000, 3000),
)
def test_start_states_lead_where_they_should(columns: int, keeps: Any, states: Any, bias: int) -> None:
    u, v = np.array(states).T
    found = start_states(columns, u, v, keep_u=keeps[0], keep_v=keeps[1], bias=bias, threshold=20000)
    if found is None:  # then it must be out of the question: no memory, a spike on the way, or beyond 24 bit
        assert min(keeps) < 3800 or bias < 0
        return
    now = [int(x) for x in found[0]], [int(x) for x in found[1]]
    for _ in range(columns):
        currents = [int(x * keeps[0] / 4096) for x in now[0]]
        now = currents, [int(y * keeps[1] / 4096) + x + bias for x, y in zip(currents, now[1], strict=True)]
    assert now[0] == u.tolist() and (keeps[1] == 0 or now[1] == v.tolist())


def test_a_read_out_that_never_fires_has_no_place_on_the_chip_yet() -> None:
    form, reasons = form_of(li())
    assert form is None and reasons


def test_convolutions_stay_convolutions() -> None:
    from spikesim.connect import Conv2d
    from spikesim.layers import conv2d, dense, pool

    net = sequential(Input("x", (1, 5, 5)), conv2d(3, 3), lif_soft(), pool(3, stride=1), dense(4), lif_soft(), seed=2)
    network = quantise(net).network
    assert isinstance(network["x->layer1"].rule, Conv2d)  # type: ignore[union-attr]
    data = {"x": spikes(50, 2)}
    reference = run(network, inputs=data)
    assert all(len(s) > 20 for s in reference.spikes.values())
    for backend in ("torch", "loihi"):
        assert differing_spikes(reference, run(network, inputs=data, backend=backend)) == 0
