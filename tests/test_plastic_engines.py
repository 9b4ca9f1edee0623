"""Plastic weights: both engines against a reference that follows one synapse at a time, and against each other."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from spikesim import Network, Options, Population, Projection, compile, ms, run
from spikesim.backends.numba import plan as planning
from spikesim.connect import AllToAll, FixedIndegree
from spikesim.distributions import Uniform
from spikesim.drive import source_values
from spikesim.equations.targets import NUMPY
from spikesim.errors import InvalidValueError
from spikesim.learning import decay
from spikesim.lowering import lower
from spikesim.models.neurons import lif
from spikesim.models.synapses import SYNAPSES
from spikesim.stimulus import Input, Poisson, PoissonDrive, SpikeTrains
from spikesim.synapse import Plasticity, synapse

NEVER = -(2**30)
DT = 1e-3


def everything():
    """Return a rule that uses all there is: states read by `send`, traces of both sides in every event."""
    return synapse(
        "everything",
        params={"tau": 7e-3, "tau_s": 30e-3},
        pre={"a": "tau", "b": "tau_s"},
        post={"c": "tau", "d": "tau_s"},
        state={"e": "tau_s", "f": "tau"},
        on_pre=lambda w, e, f, pre, post, p: (w - 0.02 * post.c * (1.0 + pre.b), e + 0.5 * post.d, f + w),
        on_post=lambda w, e, f, pre, post, p: (w + 0.03 * pre.a * (1.0 + post.d), e - pre.b, f * post.c),
        on_reward=lambda w, e, f, reward, p: (w + 0.01 * reward * (e + f), e * 0.5, f),
        send=lambda w, e, f, pre, p: w * (1.0 + 0.1 * e) + 0.01 * pre.a,
        pre_spike=lambda pre, p: {"a": 1.0 + 0.5 * pre.a, "b": pre.b + pre.a},
    )


# a rule takes seconds to compile; hebbian, vogels and the multiplicative form of stdp_pair have the form of stdp_pair
RULES = {n: SYNAPSES[n]() for n in ("stdp_pair", "stdp_triplet", "oja", "scaling", "tsodyks_markram")}
RULES |= {"r_stdp": SYNAPSES["r_stdp"]("reward"), "everything": Plasticity(everything(), {}, "critic")}


# ---------------------------------------------------------------- the reference
def alone(rule, grid, w, delay, pre, post, rewards, steps):
    """Follow one synapse through all its events; return its last weight and what it sends, by step."""
    model, params = rule.model, {k: np.float64(v) for k, v in rule.params.items()}
    after = {name: (0.0, NEVER) for name in model.decaying}  # value after the last event, and its step
    sent = {}

    def now(name, t):
        value, since = after[name]
        return value * decay(rule.decay[name], t - since)

    def event(kind, t, w, inputs):
        if kind not in model.events:
            return w
        states = {n: now(n, t) for n in model.states}
        result = model.events[kind].evaluate({"state": {"w": w, **states}, "input": inputs, "param": params}, NUMPY)
        after.update({n: (result[n], t) for n in model.states})
        return np.rint(min(max(result["w"], rule.low), rule.high) / grid) * grid

    def traces(t):
        return {n: now(n, t) for n in model.decaying if n not in model.states}

    def grow(kind, t):
        if kind in model.events:
            result = model.events[kind].evaluate({"input": traces(t), "param": params}, NUMPY)
            after.update({n: (v, t) for n, v in result.items()})

    for t in range(steps):
        if t - delay in pre:
            w = event("on_pre", t, w, traces(t))
            sent[t] = w
            if "send" in model.events:
                states = {"w": w, **{n: now(n, t) for n in model.states}}
                leaves = {"state": states, "input": traces(t), "param": params}
                value = model.events["send"].evaluate(leaves, NUMPY)["sent"]
                sent[t] = np.rint(min(max(value, -rule.limit), rule.limit) / grid) * grid
            grow("pre_spike", t)
        if t in post:
            w = event("on_post", t, w, traces(t))
            grow("post_spike", t)
        if rewards.get(t):
            w = event("on_reward", t, w, {"reward": np.float64(rewards[t])})
    return w, sent


def reference(graph, edge, pre, post, rewards):
    """Return the last weights of an edge and the sums that its targets were sent, ``[steps, n]``."""
    steps, grid = len(pre), graph.exactness[edge.post, edge.port].grid
    source = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    weights = np.broadcast_to(edge.weights, (edge.synapses,)).astype(np.float64)
    delays = np.broadcast_to(edge.delays, (edge.synapses,))
    known, ends, sums = {}, [], np.zeros((steps, edge.n_post))
    for k in range(edge.synapses):
        i, j = source[k], edge.indices[k]
        key = (pre[:, i].tobytes(), post[:, j].tobytes(), weights[k], delays[k])
        if key not in known:
            trains = (set(np.flatnonzero(pre[:, i])), set(np.flatnonzero(post[:, j])))
            known[key] = alone(edge.learning, grid, weights[k], int(delays[k]), *trains, rewards, steps)
        end, sent = known[key]
        ends.append(end)
        for t, value in sent.items():
            sums[t, j] += value
    return np.array(ends), sums


# ---------------------------------------------------------------- networks
def zoo(n=30, rules=RULES, seed=3):
    """Return a network with every rule, from sources and populations, with one or several delays, 0 among them.

    Neurons fire so often that rings overflow while the source ``bursts`` is silent; ``critic`` is a population that
    rewards, in a loop with what it rewards.
    """
    spread, cell = Uniform(1 * ms, 5 * ms), lif(tau_m=10 * ms, t_ref=1 * ms)
    wiring = [("in", "a", 2 * ms), ("a", "a", spread), ("a", "b", 0.0), ("in", "a", spread), ("a", "a", 1 * ms)]
    plastic = [
        Projection(pre, post, FixedIndegree(3), Uniform(0.0, 0.3), delay, plasticity=rule, name=name)
        for (name, rule), (pre, post, delay) in zip(rules.items(), wiring * 2, strict=False)
    ]
    first = next(iter(rules.values()))
    return Network(
        [Population("a", n, cell), Population("b", 10, cell), Population("critic", 2, cell)],
        [
            *plastic,
            Projection("bursts", "a", AllToAll(), Uniform(0.0, 0.1), spread, plasticity=first),
            Projection("b", "critic", FixedIndegree(3), weight=0.2),
        ],
        [
            Poisson("in", 20, rate=60.0),
            SpikeTrains("bursts", 2, times=np.array([3, 4, 9, 130, 131]) * ms, indices=[0, 1, 0, 1, 0]),
            *(PoissonDrive(f"drive {name}", name, rate=900.0, weight=0.4) for name in ("a", "b")),
            Input("reward", 1, graded=True),
        ],
        dt=DT,
        seed=seed,
    )


def rewards(steps, samples=1):
    """Return rewards that come now and then, in the last step too."""
    given = np.zeros((steps, samples, 1))
    given[steps - 1 :: -40] = np.linspace(1.0, -0.5, samples)[:, None]
    return given


def learned(program, given, chunks, look=False):
    """Run a program; return spikes by step, sample, neuron, and weights by projection."""
    events = {name: [] for name in ("a", "b", "critic")}
    for low, high in pairwise(np.cumsum([0, *chunks])):
        chunk = program.advance(high - low, {"reward": given[low:high]})
        for name, found in events.items():
            found.append(np.stack(chunk.spikes[name][:2] + chunk.spikes[name][2:]))
        if look:
            program.get_weights("stdp_pair")
    spikes = {name: np.concatenate(found, axis=1) for name, found in events.items()}
    spikes = {name: found[:, np.lexsort(found[::-1])] for name, found in spikes.items()}
    return spikes, {e.name: program.get_weights(e.name) for e in program.graph.edges}


def same(one, other):
    """Compare spikes and weights bit for bit."""
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a) for a, b in zip(one, other, strict=True)
    )


def test_engines_learn_as_the_reference_says(require):
    require("torch")
    steps, samples = 140, 2
    graph, given = lower(zoo()), rewards(steps, samples)
    results = {}
    for engine in ("torch", "numba"):
        program = compile(graph, engine)
        program.reset(samples)
        results[engine] = learned(program, given, [steps])
    assert same(results["torch"], results["numba"])
    spikes, weights = results["numba"]
    trains = {}
    for node in graph.nodes:
        trains[node.name] = np.zeros((samples, steps, node.n), bool)
        trains[node.name][tuple(spikes[node.name])] = True
    assert trains["a"].sum(axis=1).max() > 3 * 16 and trains["critic"].any()
    for source in graph.sources:
        emitted = source_values(graph, source, 0, steps, samples, given if source.name == "reward" else None)
        trains[source.name] = np.moveaxis(np.asarray(emitted), 1, 0)
    for edge in (e for e in graph.edges if e.learning):
        for b in range(samples):
            pulses = trains[edge.learning.modulator][b].sum(1) if edge.learning.modulator else []
            paid = {t: x for t, x in enumerate(pulses) if x}
            expected, _ = reference(graph, edge, trains[edge.pre][b] != 0, trains[edge.post][b], paid)
            assert np.array_equal(weights[edge.name][b], expected)
            assert not edge.learning.model.learns or (expected != edge.weights).mean() > 0.3


@pytest.fixture
def teams(monkeypatch):
    """Let small networks use several threads, and so several tiles."""
    monkeypatch.setattr(planning, "THREAD_EPOCH_NS", 1e-3)
    monkeypatch.setattr(planning, "cores", lambda: 4)


@pytest.mark.usefixtures("teams")
def test_tiles_threads_chunks_and_looks_change_no_bit(require):
    require("torch")
    graph, given = lower(zoo(700)), rewards(160)
    expected = learned(compile(graph, "torch"), given, [160])
    for threads, chunks in ((1, [160]), (2, [1, 90, 69]), (3, [40] * 4)):
        program = compile(graph, "numba", Options(threads=threads))
        assert sum(part.node.name == "a" for (part,) in program.plan.phases[0]) == threads
        assert same(learned(program, given, chunks, look=threads == 3), expected)
    program.reset()
    assert same(learned(program, given, [160]), expected)


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_a_snapshot_holds_all_that_was_learned(engine, require):
    require("torch")
    graph, given = lower(zoo(200)), rewards(150)
    program = compile(graph, engine, Options(threads=3))
    learned(program, given, [70])  # ends with a reward
    saved = program.snapshot()
    expected = learned(program, given[70:], [80])
    other = compile(graph, engine, Options(threads=1))
    other.restore(saved)
    assert same(learned(other, given[70:], [30, 50]), expected)


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_weights_can_be_replaced_within_their_bounds(engine, require):
    require("torch")
    program = compile(lower(zoo()), engine)
    given = rewards(90)
    learned(program, given, [50])
    program.set_weights("stdp_pair", 0.25)
    assert (program.get_weights("stdp_pair") == 0.25).all()
    program.advance(40, {"reward": given[50:]})
    assert (program.get_weights("stdp_pair") != 0.25).mean() > 0.3
    with pytest.raises(InvalidValueError, match=r"within 0 \.\. 1, found 1\.5"):
        program.set_weights("stdp_pair", 1.5)


def test_plasticity_that_does_nothing_changes_no_spike(require):
    require("torch")
    net = zoo(rules={"idle": SYNAPSES["stdp_pair"](a_plus=0.0, a_minus=0.0, dependence="multiplicative")})
    still = net.swap(*(replace(p, plasticity=None) for p in net.projections))
    given = {"reward": np.zeros((200, 1, 1))}
    # the grid is that of w_max = 1, so weights are snapped once more
    a, b = (run(n, backend="torch", inputs=given)["a"] for n in (net, still))
    assert len(a) > 100 and np.array_equal(a.step, b.step) and np.array_equal(a.neuron, b.neuron)


def test_the_plan_knows_plastic_synapses_and_who_rewards_them():
    graph = lower(zoo())
    assert planning.choose(graph, {})["stdp_pair"].kind == "plastic"
    with pytest.raises(InvalidValueError, match="possible are plastic"):
        planning.choose(graph, {"stdp_pair": "segments"})
    # b -> critic without delay, and the reward one step later: the threads meet in every step
    cell = lif()
    loop = [
        Projection("x", "a", AllToAll(), 0.1, 9 * ms, plasticity=RULES["everything"]),
        Projection("a", "critic", AllToAll(), 0.1, 7 * ms),
    ]
    net = Network([Population("a", 9, cell), Population("critic", 2, cell)], loop, [Poisson("x", 3, rate=1.0)], dt=DT)
    assert planning.epoch_length(lower(net)) == 7
    assert len(planning.plan(lower(net), 1).phases) == 2
