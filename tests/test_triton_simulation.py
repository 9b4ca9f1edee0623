"""Simulation by Triton kernels, under Triton's interpreter, against the plain torch program; see test_triton.py."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from spikesim import (  # noqa: E402
    Current,
    Input,
    Network,
    OrnsteinUhlenbeck,
    Poisson,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    Rate,
    SpikeTrains,
    ms,
    neuron,
    run,
    spike,
)
from spikesim.backends.torch import TorchBackend, triton_stretch  # noqa: E402
from spikesim.backends.torch import triton_kernels as kernels  # noqa: E402
from spikesim.backends.torch import triton_random as random  # noqa: E402
from spikesim.backends.torch.program import TorchProgram  # noqa: E402
from spikesim.backends.torch.triton_drives import Drives, draw_spikes  # noqa: E402
from spikesim.connect import AllToAll, Dense, FixedProbability  # noqa: E402
from spikesim.distributions import Normal, Uniform  # noqa: E402
from spikesim.drive import DriveState, source_values  # noqa: E402
from spikesim.engine import Options  # noqa: E402
from spikesim.equations.scan_source import Layout  # noqa: E402
from spikesim.equations.triton_source import load_triton, update_triton  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.networks import NETWORKS  # noqa: E402
from spikesim.models.neurons import NEURONS, leaky, li, lif, lif_soft  # noqa: E402
from spikesim.recording import differing_spikes  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # the interpreter divides in columns beyond the last
    pytest.mark.filterwarnings("ignore::DeprecationWarning:triton"),  # 3.6's interpreter with numpy 2
]
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
interpreted = pytest.mark.skipif(not INTERPRETED, reason="runs in the process of test_under_the_interpreter")
compiled = pytest.mark.skipif(INTERPRETED, reason="needs Triton's compiler")


@neuron(alpha=0.8, v_th=1.0, q=0.7)
def own(v, i, j, p):
    """A user's neuron with two ports."""
    u = p.alpha * v + i - 0.3 * j
    s = spike(u - p.v_th)
    return s, u - p.q * s


def mixed() -> Network:
    """Data, a loop with random weights and delays, a layer without delay, silent neurons, and every kind of drive."""
    weights = Normal(0.1, 0.4)
    return Network(
        [Population("a", 9, own), Population("b", 7, lif_soft()), Population("out", 2, li())],
        [
            Projection("data", "a", AllToAll(), weight=Normal(0.3, 0.1), port="i"),
            Projection("in", "a", FixedProbability(0.5), weight=0.5, port="j", delay=2 * ms),
            Projection("a", "b", FixedProbability(0.6), weight=weights, delay=Uniform(0 * ms, 6 * ms)),
            Projection("b", "a", FixedProbability(0.6), weight=weights, delay=Uniform(1 * ms, 6 * ms), port="i"),
            Projection("random", "b", FixedProbability(0.5), weight=0.4, delay=3 * ms),
            Projection("a", "a", FixedProbability(0.4), weight=weights, delay=1 * ms, port="j"),
            Projection("b", "out", AllToAll(), weight=1.0, delay=0 * ms),
        ],
        [
            Input("data", 4),
            SpikeTrains("in", 3, times=np.arange(20) * 2 * ms, indices=np.arange(20) % 3),
            Poisson("random", 5, rate=Rate([0.0, 4e-3], [100.0, 300.0])),
            PoissonDrive("noise", "a", port="i", rate=np.linspace(10, 900, 9), weight=0.4),
            OrnsteinUhlenbeck("ou", "a", port="i", mean=0.05, sd=0.2),
            Current("step", "a", port="i", times=[5 * ms, 9 * ms], values=[0.2, -0.1]),
            Current("dc", "b", values=[0.3]),
        ],
        [Probe("a", ["v"], every=3, neurons=[1, 8]), Probe("out", ["v"])],
        dt=1 * ms,
        seed=5,
    )


def both(network, samples=1, dtype="float64"):
    graph, options = lower(network), Options(dtype=dtype)
    programs = TorchBackend().compile(graph, options), TorchProgram(graph, options)
    for program in programs:
        program.reset(samples)
    return programs


def assert_same(found, expected):
    assert (found.first, found.steps) == (expected.first, expected.steps)
    for name in expected.spikes:
        events = [np.array(c.spikes[name])[:, np.lexsort(c.spikes[name])] for c in (found, expected)]
        assert np.array_equal(*events), name
        assert np.array_equal(found.active[name], expected.active[name]), name
    for name in expected.emitted:
        assert np.array_equal(found.emitted[name], expected.emitted[name]), name
    for key, (steps, values) in expected.traces.items():
        assert np.array_equal(found.traces[key][0], steps)
        assert np.array_equal(found.traces[key][1], values)


def data(steps, samples):
    return {"data": np.random.default_rng(2).integers(0, 2, (steps, samples, 4))}


# ------------------------------------------------------------------------------------------------ interpreted
@interpreted
def test_everything_at_once_is_the_plain_program(monkeypatch):
    """Three samples in float32, stretches of a few steps, weights and states changed between calls."""
    monkeypatch.setattr(triton_stretch, "STRETCH", 4)
    given, fired = data(10, 3), 0
    programs = both(mixed(), 3, "float32")
    assert programs[0].fused
    for first, steps in ((0, 6), (6, 0), (6, 4)):
        part = {"data": given["data"][first : first + steps]}
        found, expected = (p.advance(steps, part) for p in programs)
        assert_same(found, expected)
        fired += sum(len(s[0]) for s in expected.spikes.values())
        for program in programs:
            program.set_state("b", "v", 0.4)
            program.set_weights("a->b", 0.25)
    assert fired > 20
    for name, tensor in programs[1].snapshot().items():
        assert np.array_equal(programs[0].snapshot()[name], tensor), name


@interpreted
def test_a_snapshot_of_one_goes_on_in_the_other():
    fused, plain = both(mixed())
    given = data(11, 1)
    plain.advance(6, {"data": given["data"][:6]})
    fused.restore(plain.snapshot())
    rest = {"data": given["data"][6:]}
    assert_same(fused.advance(5, rest), plain.advance(5, rest))


@interpreted
def test_rows_populations_and_lists_longer_than_a_block(monkeypatch):
    monkeypatch.setattr(triton_stretch, "PROGRAMS", {"cpu": 3})
    network = Network(
        [Population("a", 300, lif_soft()), Population("b", 140, lif_soft())],
        [
            Projection("a", "b", AllToAll(), weight=Normal(0.0, 0.1), delay=Uniform(0 * ms, 2 * ms)),
            Projection("b", "a", FixedProbability(0.95), weight=Normal(0.0, 0.1), delay=1 * ms),
            Projection("in", "b", AllToAll(), weight=0.1),
        ],
        [Current("dc", "a", values=np.linspace(0.0, 0.52, 300)[None]), Poisson("in", 200, rate=100.0)],
        dt=1 * ms,
    )
    fused, plain = both(network)
    expected = plain.advance(4, {})
    assert_same(fused.advance(4, {}), expected)
    assert 4 < len(expected.spikes["a"][0]) < 600 and len(expected.spikes["b"][0]) > 4


@interpreted
@pytest.mark.parametrize(
    ("name", "settings", "steps"),
    [("cuba", {"n": 100}, 30), ("brunel", {"n": 100}, 20), ("microcircuit", {"scale": 0.003}, 7)],
)
def test_published_networks(name, settings, steps):
    fused, plain = both(NETWORKS[name](**settings))
    found, expected = fused.advance(steps, {}), plain.advance(steps, {})
    assert_same(found, expected)
    assert sum(len(s[0]) for s in expected.spikes.values()) > 1


@interpreted
@pytest.mark.parametrize(
    "rate",
    [700.0, 15e3, np.linspace(0, 9e3, 130), Rate([0.0, 3e-3], [500.0, 2000.0]), 0.0],
    ids=["one", "parts", "each", "changing", "silent"],
)
def test_poisson_counts_are_drawn_with_the_bits_of_numba(rate):
    drives = (PoissonDrive("n", "a", rate=rate, weight=0.3), PoissonDrive("m", "a", rate=100.0, weight=0.7))
    graph = replace(lower(Network([Population("a", 130, lif())], stimuli=drives, seed=2**63 + 5)))
    states = [DriveState(graph, d, 2) for d in graph.drives]
    drawn = Drives(states, 7, torch.device("cpu"))
    drawn.fill(2**32 - 2, 7)  # the high half of the step counts
    expected = [DriveState(graph, d, 2).values(2**32 - 2, 7) for d in graph.drives]
    assert np.array_equal(drawn.sums.numpy(), expected[0] + expected[1])
    assert expected[1].any()


@interpreted
def test_noise_has_the_bits_of_numba_over_stretches_and_from_a_snapshot():
    drives = [OrnsteinUhlenbeck("n", "a", mean=0.1, sd=0.3), OrnsteinUhlenbeck("m", "a", mean=0.0, sd=2.0, tau=20 * ms)]
    graph = lower(Network([Population("a", 700, lif())], stimuli=drives, seed=9))
    states, expected = ([DriveState(graph, d, 2) for d in graph.drives] for _ in range(2))
    drawn = Drives(states, 8, torch.device("cpu"))
    for first, steps in ((0, 8), (8, 3)):
        drawn.fill(first, steps)
        sums = [s.values(first, steps) for s in expected]
        assert np.array_equal(drawn.sums[:steps].numpy(), sums[0] + sums[1])
        for state, same in zip(states, expected, strict=True):
            assert np.array_equal(state.noise, same.noise)
    assert np.abs(sums[1]).max() > 2.5 * 2.0  # beyond the central polynomials of the inverse


@interpreted
@pytest.mark.parametrize("rate", [300.0, np.linspace(0, 2e3, 70), Rate([0.0, 2e-3], [50.0, 900.0])])
def test_poisson_sources_have_the_bits_of_numpy(rate):
    source = Poisson("p", 70, rate=rate)
    graph = lower(
        Network([Population("a", 1, lif())], [Projection("p", "a", AllToAll(), weight=1.0)], [source], seed=4)
    )
    out = torch.zeros((6, 2, 70), dtype=torch.uint8)
    draw_spikes(graph, source, out, 0)
    assert np.array_equal(out.numpy(), source_values(graph, source, 0, 6, 2, None))
    assert 0 < out.sum() < out.numel()


@interpreted
def test_what_is_not_event_driven_runs_as_before():
    """Values go over a dense projection: products, not events."""
    network = Network(
        [Population("a", 3, lif_soft()), Population("b", 2, leaky())],
        [Projection("x", "a", Dense(np.full((3, 4), 0.2))), Projection("a", "b", Dense(np.ones((2, 3))), delay=1 * ms)],
        [Input("x", 4, graded=True)],
    )
    values = {"x": np.random.default_rng(0).uniform(0, 1, (10, 2, 4))}
    fused, plain = both(network, 2)
    assert not fused.fused
    found, expected = fused.advance(10, values), plain.advance(10, values)
    assert_same(found, expected)
    assert expected.emitted["a"].sum() > 3


@interpreted
def test_weights_that_32_bits_of_a_grid_cannot_hold():
    network = Network(
        [Population("a", 6, lif_soft())],
        [Projection("a", "a", FixedProbability(0.5), weight=Normal(0.0, 0.3), delay=1 * ms)],
        [PoissonDrive("n", "a", rate=600.0, weight=0.5)],
    )
    for graph, weight in ((lower(network), 1e12), (lower(network, snap=False), 1 / 3)):
        fused, plain = TorchBackend().compile(graph, Options()), TorchProgram(graph, Options())
        for value, kind in ((weight, torch.float64), (0.125, torch.int32)):
            fused.set_weights("a->a", value)
            plain.set_weights("a->a", value)
            assert_same(fused.advance(6, {}), plain.advance(6, {}))
            assert fused.synapses.arrays["weight"].dtype == (kind if graph.exactness else torch.float64)


# ------------------------------------------------------------------------------------------------ compiled
@compiled
def test_under_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"\d\d passed", done.stdout)


@compiled
@pytest.mark.parametrize(
    ("name", "settings", "dtype"),
    [("brunel", {"n": 1250}, "float64"), ("microcircuit", {"scale": 0.02}, "float32")],
)
def test_the_plain_program_has_the_spikes_of_numba(name, settings, dtype):
    """What the kernels are compared with, on networks of some size; its memory follows the synapses."""
    network = NETWORKS[name](**settings)
    compiled, plain = (run(network, steps=200, backend=b, dtype=dtype) for b in ("numba", "torch"))
    assert compiled.counts.spikes > 20
    assert differing_spikes(compiled, plain) == 0


POINTERS = {"clock": "*i64", "values": "*u8", "count": "*i32", "counts": "*i32", "listed": "*i32", "groups": "*i64"}
POINTERS |= {"edges": "*i64", "scales": "*fp64", "rows": "*i64", "target": "*i32", "delay": "*i16", "ring": "*fp64"}
POINTERS |= {"state": "*fp32", "chosen": "*i64", "out": "*fp64", "base": "*i64", "tables": "*i64", "which": "*i64"}
POINTERS |= {"noise": "*fp64", "numbers": "*fp64", "table": "*fp64", "probability": "*fp64"}
POINTERS |= {"raster": "*u8", "active": "*i64", "stream": "i64"}


@compiled
@pytest.mark.parametrize(
    ("kernel", "constants", "types"),
    [
        (kernels.collect, {"BLOCK": 128}, {}),
        (kernels.deliver, {"BLOCK": 128, "PROGRAMS": 64, "EDGES": 8}, {"weight": "*i32"}),
        (kernels.deliver, {"BLOCK": 128, "PROGRAMS": 64, "EDGES": 1, "samples": 1}, {"weight": "*fp64"}),
        (kernels.record, {"BLOCK": 128}, {"out": "*fp32"}),
        (kernels.tick, {"PHASES": 2}, {}),
        (random.poisson, {"BLOCK": 128, "ADD": True}, {"weight": "*fp64"}),
        (random.ornstein_uhlenbeck, {"BLOCK": 128, "ADD": True}, {}),
        (random.bernoulli, {"BLOCK": 128}, {"out": "*u8"}),
        (random.poisson, {"BLOCK": 128, "ADD": False, "samples": 1, "n": 1}, {"weight": "*fp64", "first": "i64"}),
    ],
    ids=["collect", "deliver", "deliver one", "record", "tick", "poisson add", "noise", "bernoulli", "poisson one"],
)
def test_kernels_compile_for_a_gpu(kernel, constants, types):
    assert "fma" not in machine_code(kernel, {**POINTERS, **types}, constants)


@compiled
@pytest.mark.parametrize("name", ["lif_psc_exp", "li"])
def test_the_step_of_a_neuron_compiles_for_a_gpu(name):
    model = NEURONS[name]().model
    layout = Layout(model, "float32", tuple(model.inputs), tuple(model.used_constants())[:1])
    kernel = load_triton(update_triton(layout, tuple(model.inputs), tuple(model.inputs)[:1]), "step")
    types = {n: "*fp64" if n.startswith(("ring_", "drive_")) else "*fp32" for n in kernel.arg_names if "_" in n}
    types |= {n: "i32" for n in kernel.arg_names if n.startswith(("slots_", "every_"))}
    assert "fma" not in machine_code(kernel, {**types, **POINTERS}, {"BLOCK": 128})


def machine_code(kernel, types, constants):
    """PTX of a kernel for compute capability 9.0; it is assembled too."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {name: types.get(name, "i32") for name in kernel.arg_names} | dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, signature, constexprs=constants)
    done = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": False})
    assert done.asm["cubin"]
    return done.asm["ptx"]
