"""The torch backend against a tiny simulator in plain numpy, batches against single samples, and the module."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import random as random_matrix

torch = pytest.importorskip("torch")

from spikesim import exp, spike  # noqa: E402
from spikesim.backends.torch import TorchBackend  # noqa: E402
from spikesim.backends.torch.unroll import components  # noqa: E402
from spikesim.connect import Conv2d, Dense, FixedProbability, Pool2d, Sparse  # noqa: E402
from spikesim.distributions import Normal, Uniform  # noqa: E402
from spikesim.drive import DriveState, source_values  # noqa: E402
from spikesim.engine import Options  # noqa: E402
from spikesim.equations.targets import NUMPY  # noqa: E402
from spikesim.errors import InvalidValueError, UnknownNameError  # noqa: E402
from spikesim.layers import conv2d, dense, pool, sequential  # noqa: E402
from spikesim.lowering import lower  # noqa: E402
from spikesim.models.neurons import li, lif, lif_soft  # noqa: E402
from spikesim.network import Network, Population, Probe, Projection  # noqa: E402
from spikesim.neuron import Param, neuron  # noqa: E402
from spikesim.stimulus import Current, Input, Poisson, PoissonDrive, SpikeTrains  # noqa: E402

MS = 1e-3


@neuron(v_th=1.0, tau=Param(10e-3, "s", low=0.0, open_low=True), constants=lambda p, dt: {"alpha": exp(-dt / p.tau)})
def own(v, i, p):
    u = p.alpha * v + i
    s = spike(u - p.v_th)
    return s, u - p.v_th * s


def recurrent(cell=own) -> Network:
    """Two populations with everything: drives, sources, a loop, random delays, a projection without delay."""
    return Network(
        [Population("a", 12, cell), Population("b", (3, 3), cell)],
        [
            Projection("in", "a", FixedProbability(0.6), weight=Normal(0.3, 0.2), delay=1 * MS),
            Projection("data", "a", Dense(np.random.default_rng(0).normal(0, 0.3, (12, 4))), delay=2 * MS),
            Projection("a", "b", Dense(np.random.default_rng(1).normal(0, 0.5, (9, 12)))),
            Projection("b", "a", FixedProbability(0.7), weight=Normal(0.0, 0.6), delay=Uniform(1 * MS, 6 * MS)),
            Projection("a", "a", FixedProbability(0.4), weight=-0.25, delay=1 * MS),
        ],
        [
            SpikeTrains("in", 5, times=np.arange(60) * MS, indices=np.arange(60) % 5),
            Input("data", 4, graded=True),
            PoissonDrive("noise", "a", rate=300.0, weight=0.3),
            Current("offset", "a", times=np.array([0.0, 0.02]), values=np.array([0.05, 0.1])),
        ],
        probes=[Probe("b", ("v",), every=3, neurons=(0, 4))],
        seed=5,
    )


def reference(graph, steps, samples, inputs):
    """Every synapse of every spike, one after the other."""
    given = {s.name: source_values(graph, s, 0, steps, samples, inputs.get(s.name)) for s in graph.sources}
    drives = [DriveState(graph, d, samples) for d in graph.drives]
    driven = [(d.drive, np.broadcast_to(d.values(0, steps), (steps, samples, d.n))) for d in drives]
    arriving = {(n.name, p): np.zeros((steps + 50, samples, n.n)) for n in graph.nodes for p in n.model.inputs}
    state = {n.name: {k: np.tile(v, (samples, 1)) for k, v in n.init.items()} for n in graph.nodes}
    raster = {n.name: np.zeros((steps, samples, n.n)) for n in graph.nodes}
    traces = {n.name: [] for n in graph.nodes}

    def emit(name, values, t):
        for e in graph.edges:
            if e.pre == name:
                for b, i in zip(*np.nonzero(values), strict=True):
                    for k in range(e.indptr[i], e.indptr[i + 1]):
                        w = np.broadcast_to(e.weights, (e.synapses,))[k]
                        d = np.broadcast_to(e.delays, (e.synapses,))[k]
                        arriving[e.post, e.port][t + d, b, e.indices[k]] += w * values[b, i]

    for t in range(steps):
        for name, values in given.items():
            emit(name, values[t], t)
        for n in graph.nodes:
            x = {p: arriving[n.name, p][t] for p in n.model.inputs}
            for p in x:
                terms = [v[t] for d, v in driven if (d.target, d.port) == (n.name, p)]
                x[p] = x[p] + sum(terms[1:], terms[0]) if terms else x[p]
            out = n.model.dynamics.evaluate({"state": state[n.name], "input": x, "param": n.constants}, NUMPY)
            raster[n.name][t] = out["spike"]
            state[n.name] = {k: np.broadcast_to(out[k], (samples, n.n)) for k in n.model.states}
            traces[n.name].append(state[n.name])
            emit(n.name, raster[n.name][t], t)
    return raster, traces


def rasters(graph, chunks, samples):
    steps = sum(c.steps for c in chunks)
    out = {n.name: np.zeros((steps, samples, n.n)) for n in graph.nodes}
    for chunk in chunks:
        for name, (sample, step, index) in chunk.spikes.items():
            out[name][step, sample, index] = 1
    return out


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(7).uniform(0, 0.5, (40, 9, 4))


@pytest.mark.parametrize("samples", [1, 9], ids=["rows", "layered"])
def test_program_is_the_plain_simulator(data, samples):
    graph = lower(recurrent())
    inputs = {"data": data[:, :samples]}
    expected, traces = reference(graph, 40, samples, inputs)
    program = TorchBackend().compile(graph, Options())
    program.reset(samples)
    chunk = program.advance(40, inputs)
    found = rasters(graph, [chunk], samples)
    for name in expected:
        assert expected[name].sum() > 20
        assert np.array_equal(found[name], expected[name])
        assert np.array_equal(chunk.emitted[name], expected[name].sum(0))
    steps, values = chunk.traces["b", "v"]
    assert steps.tolist() == list(range(0, 40, 3))
    assert np.array_equal(values, np.stack([traces["b"][t]["v"][:, [0, 4]] for t in steps], 1))
    assert (chunk.active["a"] <= 40 * 12).all() and (chunk.active["a"] >= chunk.emitted["a"].sum(1)).all()


def test_a_batch_is_its_samples_one_by_one(data):
    """Without noise, which differs between samples."""
    network = recurrent()
    graph = lower(replace(network, stimuli=tuple(s for s in network.stimuli if s.name != "noise")))
    program = TorchBackend().compile(graph, Options())
    program.reset(9)
    together = rasters(graph, [program.advance(40, {"data": data})], 9)
    for b in (0, 8):
        program.reset(1)
        alone = rasters(graph, [program.advance(40, {"data": data[:, b : b + 1]})], 1)
        for name in together:
            assert np.array_equal(together[name][:, b], alone[name][:, 0])


def test_chunks_and_reset_change_nothing(data):
    graph = lower(recurrent())
    program = TorchBackend().compile(graph, Options())
    program.reset(2)
    whole = rasters(graph, [program.advance(40, {"data": data[:, :2]})], 2)
    program.reset(2)
    parts = [program.advance(13, {"data": data[:13, :2]}), program.advance(27, {"data": data[13:, :2]})]
    assert [p.first for p in parts] == [0, 13]
    again = rasters(graph, parts, 2)
    assert all(np.array_equal(whole[n], again[n]) for n in whole)
    assert program.drain() == []


def test_active_counts_synaptic_input_and_spikes_only():
    """A drive alone does not make an update active; a sum that is 0 does not either."""
    network = Network(
        [Population("a", 3, own)],
        [Projection("in", "a", Dense(np.array([[0.5, -0.5], [0.5, 0.0], [0.0, 0.0]])))],
        [Input("in", 2), Current("offset", "a", values=np.array([[0.1, 0.1, 2.0]]))],
    )
    program = TorchBackend().compile(lower(network), Options())
    chunk = program.advance(2, {"in": np.array([[[1, 1]], [[1, 0]]])})
    # step 0: neuron 0 gets 0.5 - 0.5 = 0, neuron 1 gets 0.5, neuron 2 fires; step 1: neurons 0, 1 get input, 2 fires
    assert chunk.active["a"].tolist() == [2 + 3]


def test_states_and_weights_can_be_read_and_changed():
    network = sequential(Input("in", 3, graded=True), dense(2, weights=np.full((2, 3), 0.1)), own, seed=1)
    graph = lower(network)
    program = TorchBackend().compile(graph, Options())
    program.reset(2)
    program.set_state("layer1", "v", [0.2, 0.4])
    assert program.get_state("layer1", "v").tolist() == [[0.2, 0.4], [0.2, 0.4]]
    program.set_weights("in->layer1", np.arange(6) / 8)
    assert program.get_weights("in->layer1").tolist() == (np.arange(6) / 8).tolist()
    program.advance(1, {"in": np.ones((1, 2, 3))})
    alpha = np.exp(-1 / 10)
    u = alpha * np.array([0.2, 0.4]) + np.array([(0 + 2 + 4) / 8, (1 + 3 + 5) / 8])
    assert np.allclose(program.get_state("layer1", "v"), u - (u > 1), atol=1e-12)
    with pytest.raises(UnknownNameError, match="layer1"):
        program.get_state("layer", "v")
    with pytest.raises(UnknownNameError, match="known: v"):
        program.set_state("layer1", "u", 0)
    with pytest.raises(InvalidValueError, match="has 6 synapses, found 2"):
        program.set_weights("in->layer1", [1.0, 2.0])
    with pytest.raises(InvalidValueError, match=r"has shape \[2, 2\], found \[5\]"):
        program.set_state("layer1", "v", np.zeros(5))


def test_a_run_can_be_continued_from_its_states(data):
    """States and what is under way in the ring live in the program; a delay of 0 leaves nothing under way."""
    network = sequential(Input("data", 4, graded=True), dense(6), own, dense(5), lif_soft(), seed=2)
    graph = lower(network)
    first = TorchBackend().compile(graph, Options())
    whole = rasters(graph, [first.advance(20, {"data": data[:20, :1]})], 1)
    second = TorchBackend().compile(graph, Options())
    first.reset()
    first.advance(10, {"data": data[:10, :1]})
    for node in graph.nodes:
        second.set_state(node.name, "v", first.get_state(node.name, "v"))
    rest = second.advance(10, {"data": data[10:20, :1]})
    for name, (_, step, index) in rest.spikes.items():
        expected = np.nonzero(whole[name][10:, 0])
        assert step.tolist() == expected[0].tolist() and index.tolist() == expected[1].tolist()


# ------------------------------------------------------------------------------------------------------------- module
LAYERED = [dense(7, delay=1 * MS), own, dense(6), lif(reset="subtract"), dense(3, delay=2 * MS), li()]
IMAGE = [conv2d(3, 3, padding=1), lif_soft(), pool(2), dense(8), lif_soft(), dense(4), lif_soft()]


@pytest.mark.parametrize("kind", ["layered", "image", "recurrent"])
def test_module_gives_the_spikes_of_the_program(data, kind):
    if kind == "layered":
        network, x = sequential(Input("data", 4, graded=True), *LAYERED, seed=3), 4 * data
    elif kind == "image":
        network = sequential(Input("data", (1, 8, 8), graded=True), *IMAGE, seed=3)
        x = np.random.default_rng(0).uniform(0, 1, (12, 9, 64))
    else:
        network, x = recurrent(), data
    graph = lower(network)
    last = graph.nodes[-1].name
    program = TorchBackend().compile(replace(graph, probes=(Probe(last, ("v",)),)), Options())
    program.reset(9)
    chunk = program.advance(len(x), {"data": x})
    expected = rasters(graph, [chunk], 9)
    for fused in (True, False):
        module = TorchBackend().module(graph, dtype="float64", fused=fused)
        outputs = module(torch.tensor(x), record=[f"{last}/v"])
        for name, raster in expected.items():
            assert raster.sum() > 0 or not graph.node(name).model.spiking
            assert np.array_equal(outputs[name].detach().numpy(), raster)
        assert np.array_equal(outputs[f"{last}/v"].detach().numpy(), chunk.traces[last, "v"][1].swapaxes(0, 1))


def test_step_by_step_and_all_at_once_agree():
    """A loop with weight 0 forces steps; spikes and gradients must not notice."""
    network = sequential(Input("x", 5, graded=True), dense(6, delay=1 * MS), own, dense(4), lif_soft(), seed=4)
    looped = network.add(Projection("layer2", "layer1", Dense(np.zeros((6, 4))), delay=1 * MS))
    x = torch.tensor(np.random.default_rng(1).uniform(0, 2, (15, 4, 5)))
    results = []
    for net in (network, looped):
        module = TorchBackend().module(
            lower(net), dtype="float64", params={"layer1": ["tau"]}, weights=["x->layer1", "layer1->layer2"]
        )
        outputs = module(x, record=["layer2/v"])
        (outputs["layer2"].sum() + outputs["layer2/v"].square().sum()).backward()
        results.append((outputs, {n: p.grad for n, p in module.named_parameters()}))
    assert [len(p) for p in components(lower(looped))] == [2]
    assert torch.equal(results[0][0]["layer2"], results[1][0]["layer2"])
    for name, grad in results[0][1].items():
        assert grad.abs().max() > 0
        assert torch.allclose(grad, results[1][1][name], rtol=1e-10, atol=1e-12), name


def test_weights_between_random_pairs_with_random_delays_learn():
    """Without spikes, where finite differences are exact: the surrogate's share has none."""
    network = Network(
        [Population("a", 6, own(v_th=1e6))],
        [Projection("x", "a", FixedProbability(0.5), weight=Normal(0.5, 0.1), delay=Uniform(0.0, 4 * MS))],
        [Input("x", 8)],
    )
    graph = lower(network)
    module = TorchBackend().module(graph, dtype="float64")
    x = torch.tensor(np.random.default_rng(3).integers(0, 2, (12, 2, 8)).astype(float))

    def total():
        return module(x, record=["a/v"])["a/v"].square().sum()

    total().backward()
    (values,) = module.parameters()
    assert values.shape == (graph.edges[0].synapses,)
    for k in (0, 5):
        with torch.no_grad():
            shift = torch.zeros_like(values)
            shift[k] = 1e-6
            values.add_(shift)
            above = total()
            values.sub_(2 * shift)
            below = total()
            values.add_(shift)
        assert abs((above - below) / 2e-6 - values.grad[k]) < 1e-5 * values.grad.abs().max()


def test_gradients_reach_inputs_and_any_parameter():
    network = sequential(Input("x", 5, graded=True), dense(6), own(tau=np.linspace(5e-3, 2e-2, 6)), dense(3), own)
    module = TorchBackend().module(lower(network), params={"layer1": ["tau", "v_th"], "layer2": ["tau"]})
    assert module.learned["layer1/tau"].shape == (6,) and module.learned["layer2/tau"].shape == ()
    x = torch.rand(20, 3, 5, requires_grad=True)
    module(x)["layer2"].sum().backward()
    assert x.grad.abs().max() > 0
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in module.parameters())
    assert module.learned_params()["layer1"]["tau"] == pytest.approx(np.linspace(5e-3, 2e-2, 6), rel=1e-6)
    with torch.no_grad():
        module.learned["layer2/tau"].fill_(-3.0)
    module.constrain_()
    assert 0 < module.parameter("layer2", "tau") < 1e-4


def test_learned_weights_come_back_as_rules():
    network = sequential(Input("x", (1, 8, 8), graded=True), *IMAGE, seed=3)
    matrix = Sparse(random_matrix(4, 4, 0.5, random_state=0))
    network = network.add(Projection("layer3", "layer3", matrix, delay=1 * MS))
    module = TorchBackend().module(lower(network))
    for name, rule in module.learned_weights().items():
        before = next(p for p in network.projections if p.name == name).rule
        pre, post = (network[part].shape for part in (network[name].pre, network[name].post))
        assert abs(rule.matrix(pre, post) - before.matrix(pre, post)).max() < 1e-6


def test_a_constant_input_is_projected_once_and_gives_the_same():
    network = sequential(Input("x", 6, graded=True), dense(5, delay=1 * MS), lif_soft(), seed=1)
    module = TorchBackend().module(lower(network), dtype="float64")
    once = torch.rand(1, 3, 6, dtype=torch.float64)
    grads = []
    for x in (once.expand(9, 3, 6), once.repeat(9, 1, 1)):
        module.zero_grad()
        out = module(x, record=["layer1/v"])
        out["layer1/v"].square().sum().backward()
        grads.append((out["layer1"].detach(), next(module.parameters()).grad.clone()))
    assert torch.equal(grads[0][0], grads[1][0])
    assert torch.allclose(grads[0][1], grads[1][1], rtol=1e-12)


def test_no_input_needs_a_number_of_steps():
    network = Network([Population("a", 4, own)], [Projection("p", "a", weight=0.5)], [Poisson("p", 6, rate=200.0)])
    module = TorchBackend().module(lower(network))
    assert module({}, steps=30, samples=2)["a"].shape == (30, 2, 4)
    with pytest.raises(InvalidValueError, match="pass steps"):
        module({})


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"surrogate": "arctn"}, "arctan"),
        ({"dtype": "float16"}, "float32"),
        ({"weights": ["x->layer"]}, "x->layer1"),
        ({"params": {"layer1": ["taum"]}}, "tau"),
        ({"params": {"layer": ["tau"]}}, "layer1"),
    ],
)
def test_unknown_names_are_answered_with_known_ones(settings, word):
    graph = lower(sequential(Input("x", 6, graded=True), dense(5), own))
    with pytest.raises(UnknownNameError, match=word):
        TorchBackend().module(graph, **settings)


def test_wrong_inputs_get_one_sentence_each():
    module = TorchBackend().module(lower(sequential(Input("x", 6, graded=True), dense(5), own)))
    with pytest.raises(InvalidValueError, match=r"needs the shape \[steps, samples, 6\], found \[4, 2, 5\]"):
        module(torch.zeros(4, 2, 5))
    with pytest.raises(UnknownNameError, match="did you mean 'x'"):
        module({"xx": torch.zeros(4, 2, 6)})
    with pytest.raises(UnknownNameError, match="layer1/v"):
        module(torch.zeros(4, 2, 6), record=["layer1/u"])
    with pytest.raises(InvalidValueError, match="float64"):
        TorchBackend().compile(module.graph, Options(dtype="double"))


def test_pooling_alone_is_exact():
    """A third is not on any binary grid; the layered path must use the snapped weight."""
    network = Network(
        [Population("a", (2, 3, 3), li())], [Projection("x", "a", Pool2d(3))], [Input("x", (2, 9, 9))],
        probes=[Probe("a", ("v",))],
    )  # fmt: skip
    graph = lower(network)
    x = np.random.default_rng(0).integers(0, 2, (5, 8, 162))
    program = TorchBackend().compile(graph, Options())
    program.reset(8)
    layered = program.advance(5, {"x": x}).traces["a", "v"][1]
    program.reset(1)
    alone = program.advance(5, {"x": x[:, :1]}).traces["a", "v"][1]
    assert np.array_equal(layered[:1], alone)


def test_convolution_is_the_rows(data):
    rule = Conv2d(np.random.default_rng(0).normal(0, 0.5, (3, 2, 3, 3)), stride=2, padding=1)
    network = Network(
        [Population("a", (3, 2, 2), own)], [Projection("x", "a", rule)], [Input("x", (2, 4, 4), graded=True)]
    )
    graph = lower(network)
    x = np.random.default_rng(0).uniform(0, 1, (12, 8, 32))
    expected, _ = reference(graph, 12, 8, {"x": x})
    program = TorchBackend().compile(graph, Options())
    program.reset(8)
    assert np.array_equal(rasters(graph, [program.advance(12, {"x": x})], 8)["a"], expected["a"])
    assert expected["a"].sum() > 20
