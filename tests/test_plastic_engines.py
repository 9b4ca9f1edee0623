"""Plastic weights: kernels and the torch program against a reference that follows one synapse at a time."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from spikesim import Network, Population, Projection, compile, ms, run
from spikesim.backends.numba.plastic import addresses, build, compiled, room, row_order
from spikesim.connect import FixedIndegree, FixedProbability
from spikesim.distributions import Uniform
from spikesim.drive import source_values
from spikesim.equations.targets import NUMPY
from spikesim.learning import decay
from spikesim.lowering import lower
from spikesim.models.neurons import lif
from spikesim.models.synapses import SYNAPSES
from spikesim.stimulus import Input, Poisson
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


RULES = {name: rule("reward") if name == "r_stdp" else rule() for name, rule in SYNAPSES.items()}
RULES["multiplicative"] = SYNAPSES["stdp_pair"](dependence="multiplicative", pairing="nearest", a_plus=0.1, a_minus=0.1)
RULES["everything"] = Plasticity(everything(), {}, "reward")


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


# ---------------------------------------------------------------- kernels
@cache
def case(name, steps=220, delays=(1, 4), n_pre=7, n_post=30, density=0.5):
    rng = np.random.default_rng(len(name))
    net = Network(
        [Population("pre", n_pre, lif()), Population("post", n_post, lif())],
        [
            Projection(
                "pre",
                "post",
                FixedProbability(density),
                weight=Uniform(0.2, 0.8),
                delay=delays[0] * ms if delays[0] == delays[1] else Uniform(delays[0] * ms, delays[1] * ms),
                plasticity=RULES[name],
            )
        ],
        [Input("reward", 1, graded=True)],
        dt=DT,
    )
    graph = lower(net)
    rates = rng.choice([0.0, 0.02, 0.1, 0.6], n_pre), rng.choice([0.0, 0.02, 0.1, 0.7], n_post)
    pre, post = (rng.random((steps, len(r))) < r for r in rates)
    rewards = {t: x for t, x in zip(range(40, steps, 60), [1.0, -0.5, 2.0, 0.25, 1.5], strict=False)}
    return graph, pre, post, rewards, reference(graph, graph.edges[0], pre, post, rewards)


def drive(graph, pre, post, rewards, tiles, look=()):
    """Run the kernels over given trains; return weights and sums as the reference does."""
    edge = graph.edges[0]
    kernels, grid = compiled(edge.learning.model), graph.exactness[edge.post, edge.port].grid
    delays = edge.max_delay - edge.min_delay + 1
    sums, weights, own = np.zeros((len(pre), edge.n_post)), np.zeros(edge.synapses), room([edge.learning.model])
    for low, high in tiles:
        held = build(edge, low, high, grid)
        e = addresses(held)
        for t in range(len(pre)):
            due = range(edge.min_delay, min(edge.max_delay, t) + 1)
            arriving = [np.flatnonzero(pre[t - d]) * delays + d - edge.min_delay for d in due]
            ids = np.concatenate([np.zeros(0, np.int64), *arriving])
            kernels.arrive_0(e, own, t, ids, len(ids), sums[t, low:high])
            ids = (np.flatnonzero(post[t, low:high]) + low).astype(np.int32)
            kernels.fired_0(e, own, t, ids, len(ids), low)
            if rewards.get(t):
                kernels.reward_0(e, own, t, rewards[t])
            if t in look:
                kernels.sweep_0(e, own, t, t + 1)
        kernels.sweep_0(e, own, t, t + 1)
        weights[row_order(edge, low, high)[1]] = held.weights * grid
    return weights, sums * grid


# hebbian and vogels have the form of stdp_pair, and each rule takes seconds to compile
@pytest.mark.parametrize("name", [n for n in RULES if n not in ("hebbian", "vogels")])
def test_kernels_give_the_bits_of_the_reference(name):
    graph, pre, post, rewards, (weights, sums) = case(name)
    assert sums.any() and (not RULES[name].model.learns or (weights != graph.edges[0].weights).mean() > 0.3)
    found = drive(graph, pre, post, rewards, [(0, 30)])
    assert np.array_equal(found[0], weights) and np.array_equal(found[1], sums)


@pytest.mark.parametrize("name", ["stdp_triplet", "everything"])
def test_tiles_and_looks_change_no_bit(name):
    graph, pre, post, rewards, (weights, sums) = case(name)
    found = drive(graph, pre, post, rewards, [(0, 1), (1, 20), (20, 30)], look=(3, 77, 78, 200))
    assert np.array_equal(found[0], weights) and np.array_equal(found[1], sums)


def test_rows_longer_than_a_chunk_and_rings_that_overflow():
    rng = np.random.default_rng(5)
    net = Network(
        [Population("pre", 2, lif()), Population("post", 1300, lif())],
        [Projection("pre", "post", FixedProbability(0.9), weight=0.5, delay=2 * ms, plasticity=RULES["stdp_pair"])],
    )
    graph, pre = lower(net), rng.random((100, 2)) < 0.3
    post = (rng.random((100, 5)) < [0.0, 0.05, 0.3, 0.6, 0.9])[:, np.arange(1300) % 5]
    assert np.diff(graph.edges[0].indptr).max() > 1024 and post.sum(0).max() > 3 * 16
    silent = pre.copy()
    silent[5:90] = False  # rows lag behind for longer than a ring remembers
    for trains in (pre, silent):
        expected = reference(graph, graph.edges[0], trains, post, {})
        found = drive(graph, trains, post, {}, [(0, 1300)])
        assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])


# ---------------------------------------------------------------- engines
def network(rule, seed=3):
    """Return a recurrent network with plastic synapses among its neurons and from its input."""
    return Network(
        [Population("a", 30, lif(tau_m=10 * ms, t_ref=1 * ms))],
        [
            Projection("in", "a", FixedIndegree(8), weight=Uniform(0.1, 0.6), plasticity=rule),
            Projection("a", "a", FixedIndegree(6), Uniform(0.1, 0.5), Uniform(1 * ms, 5 * ms), plasticity=rule),
        ],
        [Poisson("in", 20, rate=60.0), Input("reward", 1, graded=True)],
        dt=DT,
        seed=seed,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["stdp_pair", "scaling", "tsodyks_markram", "r_stdp", "everything"])
def test_a_network_in_torch_learns_as_the_reference_says(name, require):
    require("torch")
    steps, samples = 120, 2
    net = network(RULES[name])
    rewards = np.zeros((steps, samples, 1))
    rewards[30::40] = [[1.0], [-0.5]]
    graph = lower(net)
    program = compile(graph, "torch")
    program.reset(samples)
    chunk = program.advance(steps, {"reward": rewards})
    trains = {"a": np.zeros((samples, steps, 30), bool)}
    sample, step, neuron = chunk.spikes["a"]
    trains["a"][sample, step, neuron] = True
    assert trains["a"].sum() > 20
    trains["in"] = np.moveaxis(np.asarray(source_values(graph, graph.source("in"), 0, steps, samples, None)), 1, 0) != 0
    for b in range(samples):
        pulses = {t: x for t, x in enumerate(rewards[:, b, 0]) if x}
        for edge in graph.edges:
            expected, _ = reference(graph, edge, trains[edge.pre][b], trains["a"][b], pulses)
            assert np.array_equal(program.get_weights(edge.name)[b], expected)


def test_weights_can_be_replaced_within_their_bounds(require):
    require("torch")
    program = compile(network(SYNAPSES["stdp_pair"](w_max=0.75)), "torch")
    program.set_weights("in->a", 0.25)
    assert (program.get_weights("in->a") == 0.25).all()
    with pytest.raises(ValueError, match=r"within 0 \.\. 0\.75, found 0\.8"):
        program.set_weights("in->a", 0.8)


def test_plasticity_that_does_nothing_changes_no_spike(require):
    require("torch")
    idle = SYNAPSES["stdp_pair"](a_plus=0.0, a_minus=0.0)
    net = network(idle)
    still = net.swap(*(replace(p, plasticity=None) for p in net.projections))
    given = {"reward": np.zeros((200, 1, 1))}
    # the grid is that of w_max = 1, so weights are snapped once more
    a, b = (run(n, backend="torch", inputs=given)["a"] for n in (net, still))
    assert len(a) > 100 and np.array_equal(a.step, b.step) and np.array_equal(a.neuron, b.neuron)
