"""The numba backend against answers that can be worked out by hand, and against itself in other forms."""

import numpy as np
import pytest

from spikesim import (
    Current,
    Input,
    Network,
    Options,
    OrnsteinUhlenbeck,
    Poisson,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    Rate,
    SpikeTrains,
    compile,
    ms,
    neuron,
    run,
    spike,
)
from spikesim.connect import Conv2d, Dense, FixedProbability, OneToOne, Sparse
from spikesim.distributions import Normal, Uniform
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.neurons import li, lif, lif_soft
from spikesim.recording import differing_spikes, same_spikes


@neuron(v_th=0.5)
def relay(v, i, p):  # type: ignore[no-untyped-def]
    """Fire in the step in which input arrives."""
    s = spike(v * 0.0 + i - p.v_th)
    return s, 0.0 * v


def chain(delays: list[float]) -> Network:
    names = [f"p{k}" for k in range(len(delays) + 1)]
    return Network(
        [Population(n, 1, relay) for n in names],
        [Projection("in", "p0", OneToOne(), weight=1.0)]
        + [
            Projection(a, b, OneToOne(), weight=1.0, delay=d) for a, b, d in zip(names, names[1:], delays, strict=False)
        ],
        [SpikeTrains("in", 1, times=[2 * ms], indices=[0])],
    )


def test_a_spike_at_t_over_delay_d_acts_at_t_plus_d() -> None:
    recording = run(chain([0.0, 1 * ms, 5 * ms, 0.0]), steps=20)
    assert [recording[f"p{k}"].step.tolist() for k in range(5)] == [[2], [2], [3], [8], [8]]


def test_chunks_do_not_matter() -> None:
    net = chaotic()
    program = compile(net)
    pieces = [program.advance(n, {}) for n in (1, 2, 97, 300)]
    whole = run(net, steps=400)
    for name, spikes in whole.spikes.items():
        step = np.concatenate([p.spikes[name][1] for p in pieces])
        who = np.concatenate([p.spikes[name][2] for p in pieces])
        order = np.lexsort((who, step))
        assert (step[order] == spikes.step).all() and (who[order] == spikes.neuron).all()


def chaotic() -> Network:
    return Network(
        [Population("e", 80, lif(reset="subtract")), Population("i", 20, lif(t_ref=3 * ms))],
        [
            Projection("e", "i", FixedProbability(0.3), weight=Normal(0.2, 0.1), delay=Uniform(1 * ms, 9 * ms)),
            Projection("i", "e", FixedProbability(0.3), weight=-0.4, delay=2 * ms),
            Projection("e", "e", FixedProbability(0.2), weight=Normal(0.1, 0.1), delay=1 * ms),
        ],
        [PoissonDrive("n", "e", rate=300.0, weight=0.3), PoissonDrive("m", "i", rate=200.0, weight=0.3)],
        probes=[Probe("e", ("v",), every=7, neurons=(0, 5))],
        seed=11,
    )


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    net = chaotic()
    assert same_spikes(run(net, steps=300), run(net, steps=300))
    assert not same_spikes(run(net, steps=300), run(net, steps=300, seed=12))


def test_traces_are_the_state_at_the_end_of_each_recorded_step() -> None:
    trace = run(chaotic(), steps=100).traces["e"]["v"]
    assert trace.steps.tolist() == list(range(0, 100, 7)) and trace.values.shape == (1, 15, 2)
    program = compile(chaotic())
    program.advance(8, {})
    assert (program.get_state("e", "v")[0, [0, 5]] == trace.values[0, 1]).all()


def test_a_batch_is_the_same_as_one_by_one_for_any_number_of_threads() -> None:
    x = np.random.default_rng(0).random((40, 6, 10)) < 0.3
    net = Network(
        [Population("a", 30, lif_soft())],
        [Projection("x", "a", Dense(np.random.default_rng(1).normal(size=(30, 10))))],
        [Input("x", 10)],
    )
    whole = run(net, inputs={"x": x}, threads=1)
    assert same_spikes(whole, run(net, inputs={"x": x}, threads=3))
    for k in range(6):
        alone = run(net, inputs={"x": x[:, k]})
        assert (alone["a"].step == whole["a"].of(k).step).all() and (alone["a"].neuron == whole["a"].of(k).neuron).all()


def test_representations_of_the_same_synapses_give_the_same_spikes() -> None:
    from scipy.sparse import csr_array

    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(3, 1, 3, 3))
    image = Network(
        [Population("a", (3, 4, 4), lif_soft())], [Projection("x", "a", Conv2d(kernel))], [Input("x", (1, 6, 6))]
    )
    matrix = Conv2d(kernel).matrix((1, 6, 6), (3, 4, 4))
    x = rng.random((30, 2, 36)) < 0.3
    reference = run(image, inputs={"x": x})
    for rule in (Sparse(matrix), Dense(matrix.toarray()), Sparse(csr_array(matrix))):
        other = image.swap(Projection("x", "a", rule))
        assert same_spikes(reference, run(other, inputs={"x": x}))


def test_a_leaky_integrator_follows_its_closed_form() -> None:
    tau, dt = 20 * ms, 1 * ms
    net = Network(
        [Population("r", 1, li(tau_m=tau))],
        stimuli=[Current("c", "r", times=[0.0, 30 * ms], values=[0.1, 0.0])],
        probes=[Probe("r", ("v",))],
        dt=dt,
    )
    v = run(net, steps=60).traces["r"]["v"].values[0, :, 0]
    alpha = np.exp(-dt / tau)
    expected = 0.1 * (1 - alpha ** np.arange(1, 31)) / (1 - alpha)
    assert v[:30] == pytest.approx(expected, rel=1e-12)
    assert v[30:] == pytest.approx(expected[-1] * alpha ** np.arange(1, 31), rel=1e-12)


def test_soft_reset_conserves_what_flows_in() -> None:
    rng = np.random.default_rng(3)
    x = np.round(rng.random((200, 1, 1)) * 2**10) / 2**10
    net = Network(
        [Population("a", 1, lif_soft())],
        [Projection("x", "a", Dense(np.ones((1, 1))))],
        [Input("x", 1, graded=True)],
        probes=[Probe("a", ("v",))],
    )
    recording = run(net, inputs={"x": x})
    assert x.sum() == len(recording["a"]) + recording.traces["a"]["v"].values[0, -1, 0]  # lam = 1, q = 1, exactly


def test_poisson_statistics() -> None:
    net = Network(
        [Population("a", 200, li(tau_m=1e-6))],
        [Projection("p", "a", OneToOne(), weight=1.0)],
        [Poisson("p", 200, rate=Rate([0.0, 0.5], [20.0, 80.0])), PoissonDrive("d", "a", rate=9000.0, weight=1.0)],
        probes=[Probe("a", ("v",))],
    )
    recording = run(net, 1.0)
    emitted = recording.counts.sources["p"][0]
    assert emitted == pytest.approx(200 * (1 - np.exp(-0.02) + 1 - np.exp(-0.08)) * 500, rel=0.04)
    v = recording.traces["a"]["v"].values[0]
    noise = v - v.mean(axis=0)
    assert v.mean() == pytest.approx(9.0 + emitted / 200 / 1000, rel=0.01)
    assert noise.var() == pytest.approx(9.05, rel=0.03)


def test_ornstein_uhlenbeck_has_its_stationary_moments() -> None:
    net = Network(
        [Population("a", 300, li(tau_m=1e-6))],
        stimuli=[OrnsteinUhlenbeck("n", "a", mean=2.0, sd=0.5, tau=10 * ms)],
        probes=[Probe("a", ("v",))],
    )
    v = run(net, steps=400).traces["a"]["v"].values[0]
    assert v.mean() == pytest.approx(2.0, abs=0.02) and v.std() == pytest.approx(0.5, rel=0.03)
    lagged = np.mean((v[10:] - 2.0) * (v[:-10] - 2.0)) / 0.25
    assert lagged == pytest.approx(np.exp(-1.0), abs=0.04)


def test_closed_loop_reads_and_sets_state_and_weights() -> None:
    net = chain([1 * ms])
    program = compile(net)
    program.advance(1, {})
    program.set_state("p0", "v", 0.25)
    assert program.get_state("p0", "v").tolist() == [[0.25]]
    assert program.get_weights("p0->p1").tolist() == [1.0]
    program.set_weights("p0->p1", 0.0)
    chunk = program.advance(10, {})
    assert len(chunk.spikes["p0"][0]) == 1 and len(chunk.spikes["p1"][0]) == 0
    program.reset()
    program.set_weights("p0->p1", 1.0)
    assert len(program.advance(10, {}).spikes["p1"][0]) == 1
    with pytest.raises(UnknownNameError, match="did you mean 'p1'"):
        program.get_state("p", "v")
    with pytest.raises(InvalidValueError, match="one weight for all synapses"):
        program.set_weights("p0->p1", [1.0, 2.0])


def test_step_holds_its_inputs_and_returns_counts() -> None:
    weights = np.eye(2) * 0.6
    net = Network(
        [Population("m", 2, lif_soft())], [Projection("x", "m", Dense(weights))], [Input("x", 2, graded=True)]
    )
    program = compile(net)
    program.reset(3)
    one = [program.step(1, {"x": [1.0, 0.0]})["m"] for _ in range(10)]
    program.reset(3)
    ten = program.step(10, {"x": np.array([1.0, 0.0])})["m"]
    assert ten.shape == (3, 2) and (sum(one) == ten).all() and ten[0].tolist() == [6, 0]
    assert (program.step(2)["m"] == 0).all()
    with pytest.raises(UnknownNameError, match="input 'y'"):
        program.step(1, {"y": [1.0]})
    with pytest.raises(InvalidValueError, match="needs 2 values"):
        program.step(1, {"x": [1.0, 2.0, 3.0, 4.0, 5.0]})


def test_counts_are_what_happened() -> None:
    recording = run(chaotic(), steps=200)
    counts = recording.counts
    for name, spikes in recording.spikes.items():
        population = counts.populations[name]
        assert population.spikes.tolist() == [len(spikes)]
        assert (population.active + population.idle).tolist() == [spikes.n * 200]
    assert counts.projections["e->e"].recurrent
    from spikesim.lowering import lower

    edge = next(e for e in lower(chaotic()).edges if e.name == "i->e")
    expected = sum(int(edge.out_degree[j]) for j in recording["i"].neuron)
    assert counts.projections["i->e"].events.tolist() == [expected]


def test_float32_state_and_mixed_populations() -> None:
    net = chaotic()
    single, double = run(net, steps=200, dtype="float32"), run(net, steps=200)
    assert 0 <= differing_spikes(single, double) < len(double["e"])
    assert len(single["e"]) == pytest.approx(len(double["e"]), rel=0.2)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "how long?"),
        ({"steps": 0}, "at least one step"),
        ({"steps": 5, "duration": 1.0}, "either duration or steps"),
        ({"steps": 5, "backend": "nunba"}, "did you mean 'numba'"),
    ],
)
def test_run_says_what_is_missing(options: dict[str, object], part: str) -> None:
    with pytest.raises((InvalidValueError, UnknownNameError), match=part.replace("?", r"\?")):
        run(chain([]), **options)  # type: ignore[arg-type]


def test_inputs_are_checked() -> None:
    net = Network([Population("a", 2, relay)], [Projection("x", "a", weight=1.0)], [Input("x", 3)])
    for data, part in (
        ({}, "has no data"),
        ({"x": np.zeros((4, 2, 5))}, r"needs the shape \[steps, samples, 3\], found \[4, 2, 5\]"),
        ({"x": np.full((4, 2, 3), 0.5)}, "must hold spikes"),
        ({"x": np.full((4, 2, 3), np.nan)}, "finite"),
    ):
        with pytest.raises(InvalidValueError, match=part):
            run(net, inputs=data)
    assert Options().dtype == "float64"


def test_models_with_different_numbers_of_states_run_as_a_batch() -> None:
    net = Network(
        [Population("a", 5, lif(t_ref=2 * ms)), Population("b", 4, li()), Population("c", 3, relay)],
        [Projection("in", name, Dense(np.full((n, 2), 0.4))) for name, n in (("a", 5), ("b", 4), ("c", 3))],
        [Input("in", 2)],
    )
    x = np.random.default_rng(0).random((50, 3, 2)) < 0.5
    batch = run(net, inputs={"in": x})
    for k in range(3):
        alone = run(net, inputs={"in": x[:, k]})
        for name in ("a", "b", "c"):
            assert np.array_equal(batch[name].dense()[:, k], alone[name].dense()[:, 0])
