"""The emulator and lava-nc 0.10.0, fixed_pt: the same u, v and spikes in every column of many networks.

All networks travel to one child process; each test then looks at its own.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikesim.backends.lava.runner import make_job, run_jobs
from spikesim.backends.loihi.emulator import emulate
from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection, IntRun, IntSample

pytestmark = pytest.mark.lava


def _at_the_ends() -> Any:
    """Load the maker of random networks, which a longer comparison in benchmarks/ uses too."""
    path = Path(__file__).parents[1] / "benchmarks" / "loihi_networks.py"
    spec = importlib.util.spec_from_file_location("loihi_networks", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ENDS = _at_the_ends()
STEPS = 60
RANDOM = 5  # networks with parameters at the ends of their ranges


def dense(rng: np.random.Generator, name: str, pre: Any, post: Any, *, density: float = 1.0, **options: Any) -> Any:
    low, high = options.pop("span", (-90, 150))
    exists = rng.random((post.n, pre.n)) < density
    w = rng.integers(low, high, exists.shape) * exists
    return IntProjection.from_dense(name, pre.name, post.name, w, keep_zeros=False, **options)


def feed_forward(rng: np.random.Generator) -> IntNetwork:
    inp, a, b = IntInput("in", 12), IntPopulation("a", 10, du=1499, dv=300, vth=200), IntPopulation("b", 6, dv=99)
    return IntNetwork([a, b], [dense(rng, "one", inp, a), dense(rng, "two", a, b, num_weight_bits=5)], [inp])


def recurrent(rng: np.random.Generator) -> IntNetwork:
    inp, a = IntInput("in", 8), IntPopulation("a", 14, du=900, dv=250, vth=150, bias_mant=np.arange(14), bias_exp=6)
    b = IntPopulation("b", 5, du=4095, dv=4096, vth=60, u0=1000, v0=-500)
    lines = [dense(rng, "in", inp, a), dense(rng, "loop", a, a, span=(-80, 60)), dense(rng, "out", a, b)]
    return IntNetwork([a, b], [*lines, dense(rng, "back", b, a, span=(-120, 1))], [inp])


def soft(rng: np.random.Generator) -> IntNetwork:
    inp, a = IntInput("in", 8), IntPopulation("a", 9, du=1500, dv=300, vth=300, reset="soft")
    b = IntPopulation("b", 9, du=800, dv=150, vth=200, reset="soft", quantum=7777)
    c = IntPopulation("c", 4, du=800, dv=800, vth=250, reset="none")
    lines = [dense(rng, "1", inp, a), dense(rng, "2", a, b), dense(rng, "3", b, c), dense(rng, "4", c, a)]
    return IntNetwork([a, b, c], lines, [inp])


def one_delay(rng: np.random.Generator) -> IntNetwork:
    inp, a, b = IntInput("in", 8), IntPopulation("a", 9, du=1200, vth=150), IntPopulation("b", 7, du=2000, vth=90)
    lines = [dense(rng, "1", inp, a, delay=5), dense(rng, "2", a, b, delay=31), dense(rng, "3", b, b, delay=1)]
    return IntNetwork([a, b], lines, [inp])


def many_delays(rng: np.random.Generator) -> IntNetwork:
    inp, a = IntInput("in", 7), IntPopulation("a", 11, du=1000, dv=400, vth=140, reset="soft")
    lines = [
        dense(rng, "1", inp, a, delay=rng.integers(0, 63, (11, 7)), density=0.7),
        dense(rng, "2", a, a, delay=rng.integers(0, 9, (11, 11)), weight_exp=-3, span=(-200, 200)),
        dense(rng, "3", a, a, delay=rng.integers(0, 4, (11, 11)), weight_exp=2, span=(-10, 9), density=0.5),
    ]
    return IntNetwork([a], lines, [inp])


def exponents(rng: np.random.Generator) -> IntNetwork:
    first, second = IntInput("first", 6), IntInput("second", 5)
    a = IntPopulation("a", 8, du=700, dv=333, vth=260, bias_mant=-40, bias_exp=3)
    options: list[dict[str, Any]] = [
        {"weight_exp": 3, "span": (0, 200), "sign_mode": "excitatory", "num_weight_bits": 6},
        {"weight_exp": -2, "span": (-255, 256), "sign_mode": "mixed"},
        {"weight_exp": -8, "span": (-255, 1), "num_weight_bits": 4},
        {"weight_exp": 0, "span": (-99, 99), "sign_mode": "inhibitory"},
    ]
    pres = [first, second, a, a]
    lines = [dense(rng, f"l{i}", pre, a, **o) for i, (pre, o) in enumerate(zip(pres, options, strict=True))]
    return IntNetwork([a], lines, [first, second])


def large_and_thin(rng: np.random.Generator) -> IntNetwork:
    inp, a = IntInput("in", 256), IntPopulation("a", 300, du=1500, dv=200, vth=90)
    lines = [dense(rng, "1", inp, a, density=0.04), dense(rng, "2", a, a, density=0.02, weight_exp=-1)]
    return IntNetwork([a], lines, [inp])


def periodic(rng: np.random.Generator) -> IntNetwork:
    inp, a = IntInput("in", 6), IntPopulation("a", 7, du=600, vth=300, reset_interval=7, reset_offset=3)
    b = IntPopulation("b", 5, dv=30, vth=200, bias_mant=3, bias_exp=7, reset_interval=20)
    return IntNetwork([a, b], [dense(rng, "1", inp, a), dense(rng, "2", a, b)], [inp])


def in_parts(rng: np.random.Generator) -> IntNetwork:
    """Two parts that nothing connects, a lonely population, and an input that drives nothing."""
    one, two, idle = IntInput("one", 4), IntInput("two", 4), IntInput("idle", 2)
    a, b = IntPopulation("a", 5, vth=400), IntPopulation("b", 5, du=2000, vth=100)
    alone = IntPopulation("alone", 3, vth=50, bias_mant=[1, -3, 70], bias_exp=[6, 6, -1], reset="soft")
    return IntNetwork([a, alone, b], [dense(rng, "1", one, a), dense(rng, "2", two, b)], [idle, two, one], True)


def beyond_the_registers(rng: np.random.Generator) -> IntNetwork:
    """Sums that wrap around 24 bit again and again, voltages that saturate."""
    inp = IntInput("in", 40)
    a = IntPopulation("a", 6, du=5, dv=3, vth=131071, reset="soft")
    b = IntPopulation("b", 6, du=0, dv=0, vth=0, bias_mant=4095, bias_exp=7)
    lines = [dense(rng, "1", inp, p, weight_exp=7, span=(-150, 256)) for p in (a,)]
    return IntNetwork([a, b], [*lines, dense(rng, "2", a, b, weight_exp=7, span=(-256, 100))], [inp])


def several_between_a_pair(rng: np.random.Generator) -> IntNetwork:
    """Odd weights lose a bit each before they are summed."""
    inp, a = IntInput("in", 9), IntPopulation("a", 8, du=900, dv=300, vth=120)
    targets = rng.integers(0, 8, 90)
    options: dict[str, Any] = {"weight_exp": -1, "delay": 2}
    line = IntProjection("1", "in", "a", np.arange(0, 91, 10), targets, rng.integers(-20, 41, 90), **options)
    return IntNetwork([a], [line, dense(rng, "2", a, a, span=(-60, 30))], [inp])


def started(rng: np.random.Generator) -> IntNetwork:
    """Every neuron begins in a state of its own and has a bias of its own."""
    inp, u0, v0 = IntInput("in", 8), rng.integers(-3000, 3000, 9), rng.integers(-9000, 9000, 9)
    a = IntPopulation("a", 9, du=900, dv=250, vth=150, bias_mant=np.arange(-4, 5), bias_exp=6, u0=u0, v0=v0)
    return IntNetwork([a], [dense(rng, "in", inp, a)], [inp])


MAKERS = [
    started,
    several_between_a_pair,
    feed_forward,
    recurrent,
    soft,
    one_delay,
    many_delays,
    exponents,
    large_and_thin,
    periodic,
    in_parts,
    beyond_the_registers,
]


def stimulus(rng: np.random.Generator, network: IntNetwork) -> IntSample:
    rate = rng.uniform(0.1, 0.5)
    return IntSample({i.name: np.argwhere(rng.random((STEPS, i.n)) < rate) for i in network.inputs})


def with_drive(rng: np.random.Generator, network: IntNetwork) -> IntSample:
    """Direct currents, up to those that overflow 32 bit on the way."""
    scales = 10 ** rng.uniform(0, 9, (STEPS, 1))
    drive = {p.name: (rng.uniform(-1, 1, (STEPS, p.n)) * scales).astype(int) for p in network.populations[:1]}
    return IntSample(stimulus(rng, network).spikes, drive)


def make_cases() -> dict[str, tuple[IntNetwork, Any, int]]:
    cases: dict[str, tuple[IntNetwork, Any, int]] = {}
    for maker in MAKERS:
        rng = np.random.default_rng(len(maker.__name__))
        network = maker(rng)
        samples = [stimulus(rng, network) for _ in range(3)]
        cases[maker.__name__] = (network, samples, 1)
    rng = np.random.default_rng(99)
    network = recurrent(rng)
    cases["single sample, every fourth column"] = (network, stimulus(rng, network), 4)
    network = feed_forward(rng)
    cases["direct currents"] = (network, [with_drive(rng, network), stimulus(rng, network)], 1)
    for seed in range(RANDOM):
        rng = np.random.default_rng(1000 + seed)
        network = ENDS.random_network(rng)
        cases[f"random {seed}"] = (network, [ENDS.random_sample(rng, network, STEPS) for _ in range(2)], 1)
    return cases


CASES = make_cases()


@pytest.fixture(scope="module")
def from_lava() -> dict[str, IntRun]:
    jobs = [make_job(n, STEPS, samples, record_u=True, record_v=True, stride=s) for n, samples, s in CASES.values()]
    return dict(zip(CASES, run_jobs(jobs, timeout_s=200), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_every_spike_and_every_state_is_the_same(name: str, from_lava: dict[str, IntRun]) -> None:
    network, samples, stride = CASES[name]
    ours, theirs = emulate(network, STEPS, samples, record_u=True, record_v=True, stride=stride), from_lava[name]
    assert ours.samples == theirs.samples and ours.columns.tolist() == theirs.columns.tolist()
    for p in network.populations:
        assert np.array_equal(ours.spikes[p.name], theirs.spikes[p.name])
        assert np.array_equal(ours.u[p.name], theirs.u[p.name])
        assert np.array_equal(ours.v[p.name], theirs.v[p.name])
        assert np.array_equal(ours.counts.spikes[p.name], theirs.counts.spikes[p.name])
    for i in network.inputs:
        assert np.array_equal(ours.counts.spikes[i.name], theirs.counts.spikes[i.name])
    for line in network.projections:
        assert np.array_equal(ours.counts.events[line.name], theirs.counts.events[line.name])


def test_the_cases_are_worth_comparing() -> None:
    for name, (network, samples, _) in CASES.items():
        run = emulate(network, STEPS, samples)
        for p in () if name.startswith("random") else network.populations:
            rate = np.mean(run.counts.spikes[p.name]) / (STEPS * p.n)
            assert 0.005 < rate < 0.995, f"{name}: population {p.name} spikes at a rate of {rate}"
    chaotic = [emulate(n, STEPS, samples) for name, (n, samples, _) in CASES.items() if name.startswith("random")]
    assert sum(np.sum(c) > 0 for run in chaotic for c in run.counts.spikes.values()) > RANDOM
    for kind in ("wraps", "clips"):
        assert sum(np.sum(c) for run in chaotic for c in getattr(run.counts, kind).values()) > 100
    extreme = emulate(*(CASES["beyond_the_registers"][0], STEPS, CASES["beyond_the_registers"][1]))
    assert np.all(extreme.counts.wraps["a"] > 0) and np.all(extreme.counts.clips["a"] > 0)
