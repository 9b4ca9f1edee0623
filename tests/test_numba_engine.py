"""The numba engine against itself: every representation, thread count and chunk gives the same spikes."""

import importlib
import inspect
import pkgutil
import threading
from typing import Any

import numpy as np
import pytest

from spikesim import (
    Current,
    Input,
    Network,
    Options,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    SpikeTrains,
    compile,
    ms,
    neuron,
    run,
    spike,
)
from spikesim.backends.numba import deliveries, kernels, loop, steps
from spikesim.backends.numba import plan as planning
from spikesim.backends.numba.compiled import depends
from spikesim.backends.numba.layout import Layout
from spikesim.backends.numba.program import NumbaProgram
from spikesim.connect import AllToAll, Dense, FixedIndegree, FixedProbability, OneToOne
from spikesim.distributions import Normal, Uniform
from spikesim.equations import elementary, scoped
from spikesim.equations.numba_source import KernelForm, PortForm, print_advance
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.lowering import lower
from spikesim.models.neurons import li, lif, lif_soft
from spikesim.recording import Recording, differing_spikes


def balanced(delay: float = 1.5 * ms) -> Network:
    """Two populations whose sizes are no multiples of 64, with repeated pairs."""
    return Network(
        [Population("e", 410, lif(t_ref=2 * ms)), Population("i", 100, lif(reset="subtract"))],
        [
            Projection("e", "e", FixedIndegree(60), weight=0.02, delay=delay),
            Projection("e", "i", FixedIndegree(60), weight=0.02, delay=delay),
            Projection("i", "e", FixedIndegree(40), weight=-0.1, delay=delay),
            Projection("i", "i", FixedProbability(0.1), weight=-0.1, delay=delay),
        ],
        [PoissonDrive("x", "e", rate=9000.0, weight=0.02), PoissonDrive("y", "i", rate=9000.0, weight=0.02)],
        probes=[Probe("e", ("v",), every=3, neurons=(409, 0, 64, 128))],
        dt=0.1 * ms,
        seed=3,
    )


def equal(a: Recording, b: Recording) -> bool:
    """Compare spikes, traces and counts."""
    assert a.counts.spikes > 100
    traces = all((a.traces[p][v].values == b.traces[p][v].values).all() for p in a.traces for v in a.traces[p])
    active = all((a.counts.populations[p].active == b.counts.populations[p].active).all() for p in a.spikes)
    return differing_spikes(a, b) == 0 and traces and active


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_representations_give_the_same_spikes(dtype: str) -> None:
    net = balanced()
    names = [e.name for e in lower(net).edges]
    kinds = ("bitmap", "rows", "segments")
    runs = [run(net, steps=700, dtype=dtype, representations=dict.fromkeys(names, kind)) for kind in kinds]
    mixed = run(net, steps=700, dtype=dtype, representations=dict(zip(names, kinds, strict=False)))
    assert equal(runs[0], runs[1]) and equal(runs[0], runs[2]) and equal(runs[0], mixed)


@pytest.fixture
def teams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small networks use several threads."""
    monkeypatch.setattr(planning, "THREAD_EPOCH_NS", 1e-3)
    monkeypatch.setattr(planning, "cores", lambda: 4)


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_give_the_same_spikes(threads: int) -> None:
    net = balanced()
    assert len(planning.plan(lower(net), threads).phases[0]) == threads
    assert equal(run(net, steps=900, threads=1), run(net, steps=900, threads=threads))


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("failure", ["work", "start"])
def test_a_thread_that_fails_ends_the_run_with_its_error(failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = NumbaProgram(lower(balanced()), Options(threads=2))
    monkeypatch.setattr(program.pace, "next", lambda: (2, 100))
    work, begin = program.workers.work, threading.Thread.start
    started: list[int] = []

    def work_or_fail(thread: int, *args: Any) -> None:
        if thread == 1:
            raise MemoryError("no room")
        work(thread, *args)

    def start_or_fail(self: threading.Thread) -> None:
        started.append(1)
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        begin(self)

    if failure == "work":
        monkeypatch.setattr(program.workers, "work", work_or_fail)
    else:
        monkeypatch.setattr(threading.Thread, "start", start_or_fail)
    errors: list[BaseException] = []

    def advance() -> None:
        try:
            program.advance(300, {})
        except BaseException as error:
            errors.append(error)

    running = threading.Thread(target=advance, daemon=True)
    begin(running)
    running.join(60)
    assert not running.is_alive() and isinstance(errors[0], MemoryError if failure == "work" else RuntimeError)


@pytest.mark.usefixtures("teams")
def test_threads_agree_where_delays_differ_and_populations_follow_within_a_step() -> None:
    net = Network(
        [Population("a", 200, lif()), Population("b", 130, lif_soft()), Population("c", 70, lif())],
        [
            Projection("a", "a", FixedProbability(0.1), weight=Normal(0.05, 0.05), delay=Uniform(2 * ms, 9 * ms)),
            Projection("a", "b", FixedProbability(0.2), weight=0.3, delay=0.0),
            Projection("b", "c", FixedProbability(0.3), weight=Uniform(0.0, 0.2), delay=1 * ms),
            Projection("c", "a", FixedProbability(0.3), weight=-0.2, delay=3 * ms),
        ],
        [PoissonDrive("x", "a", rate=700.0, weight=0.2)],
        dt=1 * ms,
        seed=5,
    )
    made = planning.plan(lower(net), 3)
    assert len(made.phases) > 1 and made.epoch > 1
    alone = run(net, steps=600, threads=1)
    assert equal(alone, run(net, steps=600, threads=2)) and equal(alone, run(net, steps=600, threads=3))


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("threads", [1, 3])
def test_a_full_event_buffer_loses_nothing(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from spikesim.backends.numba import program

    net = balanced()
    whole = run(net, steps=500, threads=1)
    monkeypatch.setattr(program, "EVENTS_PER_SAMPLE", 0)
    assert equal(whole, run(net, steps=500, threads=threads))


@pytest.mark.parametrize("kind", ["rows", "bitmap", "segments"])
def test_a_byte_counter_never_overflows(kind: str) -> None:
    # 1000 sources fire at once: each target gets 1000 events over one projection and 700 over the other
    net = Network(
        [Population("t", 70, li(tau_m=1e-9))],
        [
            Projection("all", "t", AllToAll(), weight=1.0, name="one"),
            Projection("all", "t", FixedIndegree(700), weight=-0.5, delay=1 * ms, name="two"),
        ],
        [SpikeTrains("all", 1000, times=np.full(1000, 3 * ms), indices=np.arange(1000))],
        probes=[Probe("t", ("v",))],
    )
    recording = run(net, steps=7, representations={"one": kind, "two": kind})
    assert recording.traces["t"]["v"].values[0, 3].tolist() == [1000.0] * 70
    assert recording.traces["t"]["v"].values[0, 4].tolist() == [-350.0] * 70


@pytest.mark.parametrize("kind", ["rows", "bitmap"])
def test_a_pair_with_more_synapses_than_a_byte_counts(kind: str) -> None:
    net = Network(
        [Population("t", 70, li(tau_m=1e-9))],
        [Projection("few", "t", FixedIndegree(1000), weight=1.0, name="one")],
        [SpikeTrains("few", 2, times=np.full(2, 3 * ms), indices=np.arange(2))],
        probes=[Probe("t", ("v",))],
    )
    recording = run(net, steps=5, representations={"one": kind})
    assert recording.traces["t"]["v"].values[0, 3].tolist() == [1000.0] * 70


def test_dense_and_sparse_forms_of_a_layer_agree() -> None:
    rng = np.random.default_rng(0)
    net = Network(
        [Population("h", 300, lif_soft()), Population("o", 10, lif_soft())],
        [
            Projection("x", "h", Dense(rng.normal(size=(300, 90)) * 0.2), name="in"),
            Projection("g", "h", Dense(rng.normal(size=(300, 20)) * 0.2), name="graded"),
            Projection("h", "o", Dense(rng.normal(size=(10, 300)) * 0.2), name="out"),
        ],
        [Input("x", 90), Input("g", 20, graded=True)],
    )
    data = {"x": rng.random((40, 5, 90)) < 0.1, "g": rng.normal(size=(40, 5, 20))}
    sparse = run(net, inputs=data, representations=dict.fromkeys(("in", "graded", "out"), "segments"))
    assert equal(run(net, inputs=data, threads=2), sparse)
    assert equal(run(net, inputs=data, threads=1), sparse)


@neuron(v_th=1.0)
def integrator(v, i, p):  # type: ignore[no-untyped-def]
    """Add up its input and never forget."""
    return spike(v + i - 1e9 * p.v_th), v + i


def test_float32_sums_of_counters_are_rounded_once() -> None:
    # 0.1 has no short binary form: 200 events must give the float32 next to 200 * 0.1, not 200 rounded additions
    weight = 0.1
    net = Network(
        [Population("t", 3, integrator)],
        [Projection("s", "t", AllToAll(), weight=weight)],
        [SpikeTrains("s", 200, times=np.full(200, 1 * ms), indices=np.arange(200))],
        probes=[Probe("t", ("v",))],
    )
    stored = lower(net).edges[0].constant_weight
    assert stored is not None
    recording = run(net, steps=3, dtype="float32")
    assert recording.traces["t"]["v"].values[0, -1, 0] == np.float32(200 * stored)


def test_weights_can_be_changed_in_every_representation() -> None:
    rng = np.random.default_rng(4)
    net = Network(
        [Population("a", 40, li(tau_m=1e-9))],
        [
            Projection("x", "a", AllToAll(), weight=1.0, name="bits"),
            Projection("x", "a", FixedProbability(0.3), weight=Normal(0.0, 1.0), name="csr"),
            Projection("x", "a", Dense(rng.normal(size=(40, 30))), name="dense"),
        ],
        [SpikeTrains("x", 30, times=np.repeat([0.0, 1.0, 2.0, 3.0], 30) * ms, indices=np.tile(np.arange(30), 4))],
        probes=[Probe("a", ("v",))],
    )
    program = compile(net)
    first = program.advance(1, {}).traces["a", "v"][1][0, 0]
    program.set_weights("bits", 3.0)
    second = program.advance(1, {}).traces["a", "v"][1][0, 0]
    assert second - first == pytest.approx(2.0 * 30, rel=1e-6)
    program.set_weights("csr", np.zeros(len(program.get_weights("csr"))))
    program.set_weights("dense", 2.0)
    third = program.advance(1, {}).traces["a", "v"][1][0, 0]
    assert third == pytest.approx(np.full(40, 3.0 * 30 + 2.0 * 30), rel=1e-6)
    assert set(program.get_weights("dense")) == {2.0} and set(program.get_weights("csr")) == {0.0}


def test_a_snapshot_brings_back_the_weights_of_its_time() -> None:
    program = compile(balanced(), options=Options(threads=1))
    before = program.snapshot()
    as_it_was = program.advance(300, {}).traces["e", "v"][1]
    program.set_weights("i->e", -0.3)
    program.restore(before)
    assert (program.advance(300, {}).traces["e", "v"][1] == as_it_was).all()
    program.restore(before)
    program.set_weights("i->e", -0.3)
    assert (program.advance(300, {}).traces["e", "v"][1] != as_it_was).any()


def test_a_changed_weight_may_leave_what_float32_halves_can_hold() -> None:
    net = Network(
        [Population("t", 3, integrator)],
        [Projection("s", "t", AllToAll(), weight=0.1)],
        [SpikeTrains("s", 200, times=np.full(200, 1 * ms), indices=np.arange(200))],
        probes=[Probe("t", ("v",))],
    )
    program = compile(net, options=Options(dtype="float32"))
    program.set_weights("s->t", 12345.678)
    stored = program.get_weights("s->t")[0]
    assert program.advance(3, {}).traces["t", "v"][1][0, -1, 0] == np.float32(200 * stored)


def test_the_plan_follows_density_and_can_be_forced() -> None:
    net = Network(
        [Population("a", 2000, lif()), Population("b", 2000, lif())],
        [
            Projection("a", "b", FixedProbability(0.2), weight=0.1, delay=1 * ms, name="much"),
            Projection("a", "b", FixedProbability(0.001), weight=0.1, delay=1 * ms, name="little"),
            Projection("a", "b", FixedProbability(0.01), weight=Normal(0.1, 0.01), delay=1 * ms, name="various"),
            Projection("b", "a", OneToOne(), weight=0.1, delay=2 * ms, name="back"),
        ],
    )
    chosen = planning.plan(lower(net), 1).choices
    assert [chosen[n].kind for n in ("much", "little", "various", "back")] == ["bitmap", "rows", "segments", "rows"]
    assert planning.plan(lower(net), 1).epoch == 2  # what is faster, from a to b, makes no cycle
    forced = planning.plan(lower(net), 1, {"much": "rows"}).choices
    assert forced["much"].kind == "rows" and forced["little"].kind == "rows"
    with pytest.raises(InvalidValueError, match="cannot be held as 'bitmap'; possible are segments"):
        planning.plan(lower(net), 1, {"various": "bitmap"})
    with pytest.raises(UnknownNameError, match="did you mean 'rows'"):
        planning.plan(lower(net), 1, {"much": "row"})
    with pytest.raises(UnknownNameError, match="did you mean 'much'"):
        planning.plan(lower(net), 1, {"mich": "rows"})


def test_tiles_cover_every_neuron_once_and_start_at_whole_blocks(teams: None) -> None:
    graph = lower(balanced())
    for threads in (1, 2, 3, 7):
        made = planning.plan(graph, threads)
        covered: dict[str, list[int]] = {}
        for part in Layout(graph, made, "float64").parts:
            assert part.lo % 64 == 0 and 0 < part.n <= planning.CELLS
            covered.setdefault(part.node.name, []).extend(range(part.lo, part.hi))
        assert {n: sorted(c) for n, c in covered.items()} == {n.name: list(range(n.n)) for n in graph.nodes}


def test_slow_and_fast_drives_add_up() -> None:
    net = Network(
        [Population("a", 100, li(tau_m=1e-9)), Population("b", 65, li(tau_m=1e-9))],
        stimuli=[
            PoissonDrive("many", "a", rate=3e5, weight=1.0),  # a mean of 300 per step does not fit a byte
            Current("c", "b", times=[0.0, 2 * ms], values=[1.0, 5.0]),
            PoissonDrive("each", "b", rate=np.linspace(100.0, 2000.0, 65), weight=1.0),
        ],
        probes=[Probe("a", ("v",)), Probe("b", ("v",))],
    )
    recording = run(net, steps=400)
    a, b = recording.traces["a"]["v"].values[0], recording.traces["b"]["v"].values[0]
    assert a.mean() == pytest.approx(300.0, rel=0.01) and a.var() == pytest.approx(300.0, rel=0.05)
    assert b[:2].mean() == pytest.approx(1.0 + 1.05, abs=0.4) and b[2:].mean() == pytest.approx(5.0 + 1.05, abs=0.05)


def test_a_cached_kernel_depends_on_the_text_of_all_that_it_calls() -> None:
    texts = [inspect.getsource(home) for home in (loop, steps, deliveries)]
    called = "".join(depends(text) for text in texts)
    for kernel in pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}."):
        if not kernel.name.endswith("inputs"):  # called from Python
            assert inspect.getsource(importlib.import_module(kernel.name)) in called, kernel.name
    of_a_model = depends(print_advance(KernelForm(lif().model, frozenset(), (PortForm(),)), "float64", ""))
    assert inspect.getsource(elementary) in of_a_model and inspect.getsource(scoped) in of_a_model


def test_options_refuse_what_is_not_known() -> None:
    with pytest.raises(UnknownNameError, match="unknown representation 'csr'"):
        compile(balanced(), options=Options(representations={"e->e": "csr"}))
