"""Learning rules of the emulator against Lava's own engine: floats to rounding, fixed point to the bit.

Lava's random numbers are known (numpy generators of known seeds), so the emulator can be given them; what is left of
"bit-approximate" is then exact. With its own numbers it is compared by distribution. Lava runs in two children: its
engine alone on random rules, and whole networks.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikesim as sp
from spikesim.backends.lava.runner import make_job, run_jobs
from spikesim.backends.loihi.emulator import Emulator, emulate
from spikesim.backends.loihi.learning import follow
from spikesim.connect import Dense
from spikesim.fixedpoint import (
    IntInput,
    IntLearning,
    IntNetwork,
    IntPopulation,
    IntProjection,
    IntRun,
    IntSample,
    LoihiRule,
)
from spikesim.fixedpoint.fast_weights import beside, chip_fast_weights
from spikesim.fixedpoint.learning import DRAWS, OWN_DECAY
from spikesim.fixedpoint.lower import lower_to_integers
from spikesim.lowering import lower
from spikesim.models.neurons import loihi_lif
from spikesim.models.synapses import FastWeights

STEPS = 80
CHILD = Path(__file__).with_name("lava_learning_child.py")
STDP: dict[str, Any] = {"x1_impulse": 16.0, "x1_tau": 10.0, "y1_impulse": 16.0, "y1_tau": 10.0}


def lava_draws(seed: int, steps: int, epoch: int) -> Any:
    """Return the random numbers of Lava's TraceRandom and ConnVarRandom in our layout: [steps, 1, 8].

    At time step t its trace generators have been advanced 2 t times when it learns, once less for post spikes.
    """
    decay_x, impulse_x, decay_y, impulse_y = (np.random.default_rng(seed + k) for k in range(4))
    count = 2 * steps + 1

    def whole(generator: np.random.Generator) -> Any:
        return (np.array([generator.integers(0, 128, size=1, dtype=int)[0] for _ in range(count)]) + 0.5) / 128

    xd, xi, yd, yi = decay_x.random(count), whole(impulse_x), decay_y.random(count), whole(impulse_y)
    synapse = np.random.default_rng(2).random(steps // epoch + 1)
    t = np.arange(1, steps + 1)
    own = np.zeros(steps)
    rows = [xd[2 * t], xi[2 * t], yd[2 * t], yi[2 * t], yi[2 * t - 1], synapse[t // epoch], own, own]
    return np.stack(rows, axis=1)[:, np.newaxis]


def random_rule(rng: np.random.Generator, arithmetic: str) -> LoihiRule:
    """Return sums of up to three products of up to three factors, with numbers at and within their ends."""
    factors = ["x1", "x2", "y1", "y2", "y3", "w", "d", "t", "(x1-3)", "(w+4)", "sgn(w-2)", "(t-6)", "(y3+127)"]
    factors += ["y0", "x0"] * (arithmetic == "fixed")  # Lava's float engine has no second dependency
    k = int(rng.integers(0, 3))

    def product() -> str:
        when = str(rng.choice(["x0", "y0", f"u{k}"]))
        chosen = [str(f) for f in rng.choice(factors, size=rng.integers(0, 4), replace=False) if f != when]
        top = -1 if arithmetic == "fixed" else -5
        return "*".join([f"{rng.integers(1, 8)}*2^{rng.integers(-7, top)}", when, *chosen])

    def series(chance: float) -> str:
        joint = " - " if rng.random() < 0.5 else " + "
        return joint.join(product() for _ in range(rng.integers(1, 4))) if rng.random() < chance else ""

    traces: dict[str, float] = {}
    for name in ("x1", "x2", "y1", "y2", "y3"):
        traces[f"{name}_impulse"] = float(rng.choice([0, 1, 16.25, 30, 100.75, 127]))
        traces[f"{name}_tau"] = float(rng.integers(1, 40))
    modes = ["mixed", "excitatory", "inhibitory"]
    return LoihiRule(
        series(1.0), series(0.4), series(0.6), **traces, t_epoch=int(rng.choice([1, 1, 2, 5, 63])),
        sign_mode=str(rng.choice(modes)), arithmetic=arithmetic,
    )  # fmt: skip


def random_case(seed: int, arithmetic: str) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    n_post, n_pre = 4, int(rng.integers(2, 6))
    rule = random_rule(rng, arithmetic)
    sign = -2 if rule.sign_mode == "inhibitory" else 2
    return {
        "rule": asdict(rule),
        "tag": "fixed_pt" if arithmetic == "fixed" else "floating_pt",
        "weights": (sign * rng.integers(0, 60, (n_post, n_pre))).tolist(),
        "pre": (rng.random((n_pre, STEPS)) < rng.uniform(0.02, 0.5)).astype(int).tolist(),
        "post": (rng.random((n_post, STEPS)) < rng.uniform(0.02, 0.5)).astype(int).tolist(),
        "seed": int(rng.integers(1, 1000)),
    }


def spikes_at(*times: int, steps: int = 60) -> list[int]:
    return [int(k in times) for k in range(steps)]


def many_pairs() -> dict[str, Any]:
    """Return 900 synapses between neurons that fire on their own, so that rounding falls differently on each."""
    rng = np.random.default_rng(5)
    rule = LoihiRule(dw="2^-2*y0*x1 - 2^-3*x0*y1", **{**STDP, "x1_impulse": 37.0, "x1_tau": 7.0, "y1_tau": 13.0})
    n = 30
    pre, post = ((rng.random((n, 300)) < 0.02).astype(int).tolist() for _ in range(2))
    return {
        "rule": asdict(rule), "tag": "fixed_pt", "weights": np.full((n, n), 100).tolist(), "pre": pre, "post": post,
        "seed": 3,
    }  # fmt: skip


CASES = {f"{a} {k}": random_case(k, a) for k in range(40) for a in ("fixed", "float")}


@pytest.fixture(scope="module")
def lava_engine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run all open-loop cases in one child."""
    folder = tmp_path_factory.mktemp("engine")
    jobs = {**CASES, "many": many_pairs()}
    (folder / "jobs.json").write_text(json.dumps(list(jobs.values())))
    command = [sys.executable, str(CHILD), str(folder / "jobs.json"), str(folder / "result.npz")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr[-3000:]
    with np.load(folder / "result.npz") as found:
        return {name: {k: found[f"{i}/{k}"] for k in ("weights", "tag_2", "tag_1")} for i, name in enumerate(jobs)}


def ours(case: dict[str, Any], **options: Any) -> Any:
    return follow(LoihiRule(**case["rule"]), case["weights"], case["pre"], case["post"], **options)


@pytest.mark.lava
def test_random_rules_give_lavas_weights_and_tags(lava_engine: dict[str, dict[str, Any]]) -> None:
    moved = 0
    for name, case in CASES.items():
        followed = ours(case, draws=lava_draws(case["seed"], STEPS, case["rule"]["t_epoch"]))
        for mine, theirs in zip((followed.w, followed.d, followed.t), lava_engine[name].values(), strict=True):
            if name.startswith("fixed"):
                assert np.array_equal(mine, theirs), (name, case["rule"])
            else:
                finite = np.isfinite(theirs)  # Lava multiplies what has diverged by 0
                assert finite.mean() > 0.2 or not np.isfinite(mine).all()
                assert np.allclose(mine[finite], theirs[finite], rtol=1e-10, atol=1e-12), (name, case["rule"])
        moved += not np.array_equal(followed.w, case["weights"])
    assert moved > len(CASES) // 2  # the cases are worth comparing


@pytest.mark.lava
def test_own_rounding_has_lavas_distribution(lava_engine: dict[str, dict[str, Any]]) -> None:
    """Mean and spread of the rounding errors of 900 synapses: Lava's run lies among twelve of ours."""
    case = many_pairs()
    exact = ours({**case, "rule": {**case["rule"], "arithmetic": "float"}}).w

    def figures(weights: Any) -> Any:
        return np.array([(weights - exact).mean(), (weights - exact).std()])

    mine = np.array([figures(ours(case, seed=s).w) for s in range(12)])
    theirs = figures(lava_engine["many"]["weights"])
    assert (np.abs(theirs - mine.mean(axis=0)) < 3.5 * mine.std(axis=0, ddof=1)).all(), (theirs, mine)
    assert 0.3 < mine[:, 1].min() and mine[:, 1].max() < 5  # rounding is there, and nothing else
    for always in (0.0, 0.999):  # one that always goes up, or never, would be noticed
        wrong = figures(ours(case, draws=np.full((300, 1, DRAWS), always)).w)
        assert (np.abs(wrong - mine.mean(axis=0)) > 3.5 * mine.std(axis=0, ddof=1)).any()


def test_published_pair_and_reward_examples() -> None:
    pair = LoihiRule(dw="y0*x1 - x0*y1", **STDP, arithmetic="float")
    early, late = spikes_at(10, steps=20), spikes_at(15, steps=20)
    assert follow(pair, [[20]], [early], [late]).w[0, 0] == pytest.approx(29.704490555, abs=1e-9)
    reverse = follow(pair, [[20]], [late], [early])
    assert reverse.w[0, 0] == pytest.approx(10.295509445, abs=1e-9)
    assert (np.diff(reverse.weights[:, 0, 0]) != 0).nonzero()[0].tolist() == [14]
    reward = LoihiRule(dw="u0*t*y2", dt="y0*x1 - x0*y1 - 2^-4*u0*t", **STDP, modulator="reward", arithmetic="float")
    for at, expected in ((16, [2.886, 1.0]), (26, [1.989, 1.0]), (99, [1.0, 1.0])):
        y2 = 0.25 * np.array(spikes_at(at))
        found = follow(reward, [[1, 1]], [spikes_at(5), spikes_at(30)], [spikes_at(8)], modulator=y2).w
        assert found[0] == pytest.approx(expected, abs=1e-3)


# ------------------------------------------------------------------------------------------------------ with neurons
def learning(
    rng: np.random.Generator, name: str, pre: Any, post: Any, rule: LoihiRule, **options: Any
) -> IntProjection:
    weights = 2 * rng.integers(10, 60, (post.n, pre.n))
    how = IntLearning(rule, seed=7, **options)
    return IntProjection.from_dense(name, pre.name, post.name, weights, sign_mode="excitatory", learning=how)


def two_factors(rng: np.random.Generator) -> IntNetwork:
    inp, a, b = (
        IntInput("in", 6),
        IntPopulation("a", 5, du=1500, dv=300, vth=150),
        IntPopulation("b", 3, dv=100, vth=90),
    )
    rule = LoihiRule(dw="2^-1*y0*x1 - 2^-2*x0*y1 + 2^-6*u1*(w-60)", **STDP)
    slow = LoihiRule(dw="2^-2*y0*x2 - 2^-3*x0*w", x2_impulse=20.5, x2_tau=30, t_epoch=4)
    static = IntProjection.from_dense("loop", "a", "a", 2 * rng.integers(-30, 10, (5, 5)), delay=2)
    return IntNetwork([a, b], [learning(rng, "in", inp, a, rule), learning(rng, "out", a, b, slow), static], [inp])


def three_factors(rng: np.random.Generator) -> IntNetwork:
    inp, reward, a = IntInput("in", 5), IntInput("reward", 1, graded=True), IntPopulation("a", 4, du=2000, vth=150)
    critic = IntPopulation("critic", 2, du=4095, dv=4095, vth=60, reset="soft")
    how: dict[str, Any] = {**STDP, "y3_impulse": 20.0, "y3_tau": 5.0}
    rule = LoihiRule(dw="2^3*u0*t*y2", dt="2^-1*y0*x1 - 2^-1*x0*y1 - 2^-3*x0*y3 - 2^-4*u0*t", **how, modulator="reward")
    by_spikes = LoihiRule(dw="2^-2*x0*y2 - 2^-3*y0*x1", **STDP, t_epoch=2, modulator="critic", modulator_weight=20)
    lines = [
        learning(rng, "in", inp, a, rule),
        learning(rng, "loop", a, a, by_spikes, modulator_delay=1),
        IntProjection.from_dense("out", "a", "critic", [[80, 80, 0, 0], [0, 0, 90, 90]]),
    ]
    return IntNetwork([a, critic], lines, [inp, reward])


def fast_weights(rng: np.random.Generator) -> IntNetwork:
    """Fast weights beside slow ones, one loop by itself and one that a layer behind it paces."""
    cell = loihi_lif(du=4095, dv=700, v_th=110)
    lines = [
        sp.Projection("in", "a", Dense(2 * rng.integers(-20, 50, (6, 5))), delay=sp.ms),
        sp.Projection("a", "a", Dense(2 * rng.integers(-30, 20, (6, 6))), delay=sp.ms),
        sp.Projection("a", "pace", Dense(2 * rng.integers(40, 90, (1, 6))), delay=sp.ms),
    ]
    net = sp.Network([sp.Population("a", 6, cell), sp.Population("pace", 1, cell)], lines, [sp.Input("in", 5)], seed=4)
    for name, alpha, how in (
        ("in->a", "minus", {}),
        ("a->a", "plus", {"modulator": "pace", "unit": 16, "modulator_weight": 16, "modulator_delay": 1}),
    ):
        given = FastWeights(eta0=0.5, decay0=0.25, alpha=alpha, clip=float("inf"), modulated=bool(how))
        net = beside(net, chip_fast_weights(given, scale=200.0, **how), [name])
    return lower_to_integers(lower(net)).network


def graded(rng: np.random.Generator) -> IntNetwork:
    values, spikes = IntInput("values", 9, graded=True), IntInput("spikes", 4)
    a, b = IntPopulation("a", 7, du=900, dv=250, vth=4000), IntPopulation("b", 3, du=300, vth=900, reset="soft")

    def line(name: str, pre: Any, post: Any, **options: Any) -> IntProjection:
        return IntProjection.from_dense(name, pre.name, post.name, rng.integers(-120, 120, (post.n, pre.n)), **options)

    return IntNetwork(
        [a, b],
        [
            line("one", values, a), line("shifted", values, a, weight_exp=-3), line("up", values, b, weight_exp=4),
            line("late", values, b, delay=rng.integers(0, 7, (3, 9)), weight_exp=-2), line("plain", spikes, a),
            line("on", a, b, delay=3),
        ],
        [values, spikes],
    )  # fmt: skip


def graded_and_large(rng: np.random.Generator) -> IntNetwork:
    """A sparse matrix, and payloads whose sums wrap around 32 bit."""
    values, a = IntInput("values", 256, graded=True), IntPopulation("a", 300, du=1000, dv=100, vth=131071)
    w = rng.integers(-256, 255, (300, 256)) * (rng.random((300, 256)) < 0.05)
    return IntNetwork([a], [IntProjection.from_dense("1", "values", "a", w, keep_zeros=False)], [values])


def stimulus(rng: np.random.Generator, network: IntNetwork) -> IntSample:
    spikes = {}
    for i in network.inputs:
        rows = np.argwhere(rng.random((STEPS, i.n)) < (0.15 if i.n > 1 else 0.1))
        high = {"reward": 12, "values": 900}.get(i.name, 1) if i.n < 100 else 2**23 - 1
        payload = rng.integers(-high if i.name == "values" else 1, high + 1, len(rows))
        spikes[i.name] = np.column_stack([rows, payload]) if i.graded else rows
    return IntSample(spikes)


MAKERS = (two_factors, three_factors, fast_weights, graded, graded_and_large)


@pytest.fixture(scope="module")
def networks() -> dict[str, tuple[IntNetwork, list[IntSample]]]:
    found = {}
    for maker in MAKERS:
        rng = np.random.default_rng(len(maker.__name__))
        network = maker(rng)
        count = 2 if maker is three_factors else 1
        found[maker.__name__] = (network, [stimulus(rng, network) for _ in range(count)])
    return found


@pytest.fixture(scope="module")
def from_lava(networks: dict[str, Any]) -> dict[str, IntRun]:
    jobs = [make_job(n, STEPS, samples, record_u=True, record_v=True) for n, samples in networks.values()]
    return dict(zip(networks, run_jobs(jobs, timeout_s=240), strict=True))


@pytest.mark.lava
@pytest.mark.parametrize("name", [m.__name__ for m in MAKERS])
def test_networks_learn_as_in_lava(
    name: str, networks: Any, from_lava: dict[str, IntRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = IntLearning.draws

    def draws(self: IntLearning, name: str, sample: int, first: int, steps: int) -> Any:
        theirs = lava_draws(self.seed, STEPS, self.rule.t_epoch)[first : first + steps, 0]
        theirs[:, OWN_DECAY:] = own(self, name, sample, first, steps)[:, OWN_DECAY:]  # the third factor is ours
        return theirs

    monkeypatch.setattr(IntLearning, "draws", draws)
    network, samples = networks[name]
    mine, theirs = emulate(network, STEPS, samples, record_u=True, record_v=True), from_lava[name]
    for p in network.populations:
        assert 20 < len(mine.spikes[p.name])
        for kind in ("spikes", "u", "v"):
            assert np.array_equal(getattr(mine, kind)[p.name], getattr(theirs, kind)[p.name]), (p.name, kind)
    for line in network.projections:
        assert np.array_equal(mine.counts.events[line.name], theirs.counts.events[line.name])
        if line.learning:
            for variable in "wdt":
                found = mine.learned[line.name][variable]
                assert np.array_equal(found, theirs.learned[line.name][variable]), (line.name, variable)
            assert (mine.learned[line.name]["w"] != line.weights).mean() > 0.2


def test_a_run_in_parts_is_the_run_in_one(networks: Any) -> None:
    for network, samples in networks.values():
        emulator = Emulator(network)
        whole = emulator.run(STEPS, samples, record_v=True)
        state, traces = None, []
        for first, steps in ((0, 7), (7, 30), (37, STEPS - 37)):
            part = [
                IntSample({n: e[(e[:, 0] >= first) & (e[:, 0] < first + steps)] for n, e in s.spikes.items()})
                for s in samples
            ]
            run = emulator.run(steps, part, record_v=True, state=state)
            state = run.state
            traces.append(run.v)
        for p in network.populations:
            assert np.array_equal(np.concatenate([t[p.name] for t in traces], axis=1), whole.v[p.name])
        for name, parts in whole.learned.items():
            assert np.array_equal(parts["w"], run.learned[name]["w"])


def test_a_rule_without_effect_changes_nothing(networks: Any) -> None:
    """The loop by columns gives what the kernels give at once, whatever the connection."""
    rng = np.random.default_rng(4)
    inp, a = IntInput("in", 8), IntPopulation("a", 20, du=900, dv=250, vth=150, bias_mant=np.arange(20), bias_exp=5)
    sparse = np.where(rng.random((20, 8)) < 0.4, 2 * rng.integers(-40, 90, (20, 8)), 0)
    loop = 2 * rng.integers(-30, 20, (20, 20))

    def network(rule: LoihiRule | None) -> IntNetwork:
        how = IntLearning(rule) if rule else None
        options: dict[str, Any] = {"sign_mode": "mixed", "keep_zeros": False, "weight_exp": -1}
        lines = [
            IntProjection.from_dense("in", "in", "a", sparse, learning=how, **options),
            IntProjection.from_dense("loop", "a", "a", loop, delay=3),
        ]
        return IntNetwork([a], lines, [inp])

    sample = stimulus(rng, network(None))
    static = emulate(network(None), STEPS, sample, record_u=True, record_v=True)
    for arithmetic in ("fixed", "float"):
        idle = emulate(
            network(LoihiRule(dw="0*x0", arithmetic=arithmetic)), STEPS, sample, record_u=True, record_v=True
        )
        assert len(static.spikes["a"]) > 20 and np.array_equal(static.spikes["a"], idle.spikes["a"])
        assert np.array_equal(static.u["a"], idle.u["a"]) and np.array_equal(static.v["a"], idle.v["a"])
        counts = [(r.counts.active["a"], r.counts.events["in"], r.counts.spikes["in"]) for r in (static, idle)]
        assert counts[0] == counts[1]
    grown = emulate(network(LoihiRule(dw="2^-1*x0", arithmetic="float")), STEPS, sample)
    fired = np.bincount(np.asarray(sample.spikes["in"])[:, 1], minlength=8)
    line = network(None).projections[0]
    assert np.allclose(grown.learned["in"]["w"], line.weights + 0.5 * fired[line.sources])
