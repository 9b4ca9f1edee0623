"""Every node of nir 1.0.8, built with the real package: read, run against an interpreter of NIR, and written again."""

import h5py
import numpy as np
import pytest

import spikesim
from spikesim import Probe
from spikesim.convert import compare_spikes, from_nir, write_nir
from spikesim.errors import UnsupportedError

MS = 1e-3
STEPS = 60


@pytest.fixture(scope="module", autouse=True)
def nir(request):
    return request.getfixturevalue("require")("nir")


# --------------------------------------------------------------------------------------- NIR by the letter, Euler steps
def convolve(x, weight, bias, stride, before, after, dilation, groups):
    """Cross-correlate ``x[c, h, w]``, one output value at a time; everything but ``groups`` is a pair."""
    x = np.pad(x, ((0, 0), (before[0], after[0]), (before[1], after[1])))
    c_out, c_in, kh, kw = weight.shape
    rows = range(0, x.shape[1] - dilation[0] * (kh - 1), stride[0])
    columns = range(0, x.shape[2] - dilation[1] * (kw - 1), stride[1])
    out = np.zeros((c_out, len(rows), len(columns)))
    for c in range(c_out):
        first = c // (c_out // groups) * c_in
        for i, top in enumerate(rows):
            for j, left in enumerate(columns):
                part = x[
                    first : first + c_in,
                    top : top + dilation[0] * kh : dilation[0],
                    left : left + dilation[1] * kw : dilation[1],
                ]
                out[c, i, j] = (part * weight[c]).sum()
    return out + bias[:, None, None]


class Interpreter:
    """Steps through a NIR graph whose nodes stand in the order of evaluation; what leads back acts a step later."""

    def __init__(self, graph, dt):
        self.graph, self.dt, self.last = graph, dt, {}
        self.v, self.i, self.past = {}, {}, {}
        self.inner = {n: Interpreter(g, dt) for n, g in graph.nodes.items() if type(g).__name__ == "NIRGraph"}

    def step(self, x):
        now = {}
        for name, node in self.graph.nodes.items():
            arrived = sum(now.get(a, self.last.get(a, 0.0)) for a, b in self.graph.edges if b == name)
            now[name] = x[name] if type(node).__name__ == "Input" else self.emit(name, node, arrived)
        self.last = now
        return now

    def emit(self, name, node, x):
        kind = type(node).__name__
        if kind == "NIRGraph":
            return self.inner[name].step({"input": x})["output"]
        if kind in ("LI", "LIF", "I", "IF", "CubaLI", "CubaLIF"):
            return self.neuron(name, node, kind, x)
        if kind == "Delay":
            past = self.past.setdefault(name, [np.zeros(len(x))] * 20)
            self.past[name] = [x, *past[:-1]]
            late = np.rint(node.delay / self.dt).astype(int)
            return np.array([self.past[name][d][k] for k, d in enumerate(late)])
        return getattr(self, kind.lower())(node, x)

    def neuron(self, name, node, kind, x):
        v = self.v.get(name, np.zeros(node.r.shape))
        if kind.startswith("Cuba"):
            i = self.i.get(name, np.zeros(node.r.shape))
            self.i[name] = x = i + self.dt / node.tau_syn * (node.w_in * x - i)
        tau = node.tau_mem if kind.startswith("Cuba") else getattr(node, "tau", None)
        v = v + (self.dt * node.r * x if tau is None else self.dt / tau * (node.v_leak - v + node.r * x))
        if not hasattr(node, "v_threshold"):
            self.v[name] = v
            return v
        fired = v > node.v_threshold
        self.v[name] = np.where(fired, node.v_reset, v)
        return fired.astype(float)

    output = staticmethod(lambda node, x: x)
    linear = staticmethod(lambda node, x: node.weight @ x)
    affine = staticmethod(lambda node, x: node.weight @ x + node.bias)
    scale = staticmethod(lambda node, x: node.scale * x)
    flatten = staticmethod(lambda node, x: x.reshape(-1))
    threshold = staticmethod(lambda node, x: (x > node.threshold).astype(float))

    @staticmethod
    def conv2d(node, x):
        kernel, dilation = np.array(node.weight.shape[2:]), np.broadcast_to(node.dilation, 2)
        same = isinstance(node.padding, str) and node.padding == "same"
        total = dilation * (kernel - 1) if same else 2 * np.broadcast_to(node.padding, 2)
        stride = np.broadcast_to(node.stride, 2)
        return convolve(x, node.weight, node.bias, stride, total // 2, total - total // 2, dilation, node.groups)

    @staticmethod
    def conv1d(node, x):
        (pad,), (stride,), (dilation,) = (np.reshape(a, -1)[:1] for a in (node.padding, node.stride, node.dilation))
        sides = (0, pad)
        weight = node.weight[:, :, None]
        return convolve(x[:, None], weight, node.bias, (1, stride), sides, sides, (1, dilation), node.groups)[:, 0]

    @staticmethod
    def sumpool2d(node, x):
        weight = np.ones((len(x), 1, *node.kernel_size))
        pad, no = node.padding, np.zeros(len(x))
        return convolve(x, weight, no, node.stride, pad, pad, (1, 1), len(x))

    @staticmethod
    def avgpool2d(node, x):
        return Interpreter.sumpool2d(node, x) / np.prod(node.kernel_size)


def cells(nir, kind, shape, rng, threshold=1.0):
    """Return a neuron node with parameters of its own for every neuron."""
    u = lambda low, high: rng.uniform(low, high, shape)  # noqa: E731
    r = u(0.9, 1.1) * (1e3 if kind in ("I", "IF") else 1 / 0.15)  # a spike moves v by about its weight
    fire = {"v_threshold": threshold * u(0.8, 1.2), "v_reset": u(-0.1, 0.1)}
    leak = {"r": r, "v_leak": u(-0.2, 0.2)}
    return {
        "I": lambda: nir.I(r=r),
        "IF": lambda: nir.IF(r=r, **fire),
        "LI": lambda: nir.LI(tau=u(5, 9) * MS, **leak),
        "LIF": lambda: nir.LIF(tau=u(5, 9) * MS, **leak, **fire),
        "CubaLI": lambda: nir.CubaLI(tau_syn=u(3, 5) * MS, tau_mem=u(5, 9) * MS, w_in=u(2, 4), **leak),
        "CubaLIF": lambda: nir.CubaLIF(tau_syn=u(3, 5) * MS, tau_mem=u(5, 9) * MS, w_in=u(2, 4), **leak, **fire),
    }[kind]()


def inner(nir, rng):
    """Return a graph to be nested, with a loop in it."""
    border = lambda cls, side: cls({side: np.array([5])})  # noqa: E731
    nodes = {
        "input": border(nir.Input, "input"),
        "lif": cells(nir, "LIF", 5, rng),
        "w": nir.Linear(rng.normal(0, 0.5, (5, 5))),
        "output": border(nir.Output, "output"),
    }
    return nir.NIRGraph(nodes, [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")], type_check=False)


@pytest.fixture(scope="module")
def everything(nir):
    """Return a graph with all 18 nodes and a nested graph, one chain of nodes beside the other."""
    rng = np.random.default_rng(5)
    w = lambda out, into=12: nir.Linear(rng.normal(0.1, 0.4, (out, into)))  # noqa: E731
    b = lambda out, into=12: nir.Affine(rng.normal(0.1, 0.4, (out, into)), rng.normal(0, 0.1, out))  # noqa: E731
    kernel = lambda *shape: rng.normal(0.1, 0.4, shape)  # noqa: E731
    flat = lambda *shape: nir.Flatten({"input": np.array(shape)}, 0, -1)  # noqa: E731
    pair = np.array([2, 2])
    some = lambda n: nir.Delay(np.arange(n) % 4 * MS)  # noqa: E731
    chains = {
        "x": [
            [w(5), cells(nir, "LIF", 5, rng)],
            [b(5), cells(nir, "IF", 5, rng), b(3, 5), "output"],
            [nir.Scale(rng.normal(1, 0.5, 12)), cells(nir, "LI", 12, rng)],
            [some(12), cells(nir, "I", 12, rng)],
            [w(5), some(5), cells(nir, "CubaLI", 5, rng)],
            [b(5), cells(nir, "CubaLIF", 5, rng)],
            [w(5), nir.Threshold(np.full(5, 0.4))],
            [w(5), cells(nir, "LI", 5, rng), nir.Threshold(np.full(5, 0.3))],
            [w(5), cells(nir, "CubaLI", 5, rng), nir.Threshold(np.full(5, 0.3))],
            [w(5), inner(nir, rng)],
        ],
        "image": [
            [
                nir.Conv2d((6, 6), kernel(4, 1, 2, 3), 1, (1, 0), (2, 1), 2, rng.normal(0, 0.1, 4)),
                nir.SumPool2d(pair, pair, np.array([1, 0])),
                flat(4, 4, 2),
                cells(nir, "IF", 32, rng, 3.0),
            ],
            [
                nir.Conv2d((6, 6), kernel(3, 2, 3, 3), 1, "same", 1, 1, np.zeros(3)),
                nir.AvgPool2d(pair, pair, np.array([1, 1])),
                cells(nir, "LIF", (3, 4, 4), rng),
            ],
        ],
        "sequence": [
            [nir.Conv1d(9, kernel(3, 2, 2), 2, 1, 2, 1, rng.normal(0, 0.1, 3)), cells(nir, "CubaLIF", (3, 5), rng)]
        ],
    }
    nodes = {k: nir.Input({"input": np.array(s)}) for k, s in (("x", [12]), ("image", [2, 6, 6]), ("sequence", [2, 9]))}
    edges = []
    for source, branches in chains.items():
        for k, branch in enumerate(branches):
            here = source
            for j, node in enumerate(branch):
                name = f"{source}{k}_{j}"
                nodes[name] = nir.Output({"output": np.array([3])}) if node == "output" else node
                edges.append((here, name))
                here = name
    nodes["loop"] = nir.Linear(rng.normal(0, 0.5, (5, 5)))
    edges += [("x0_1", "loop"), ("loop", "x0_1")]
    return nir.NIRGraph(nodes, edges, type_check=False)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    shapes = {"x": (12,), "image": (2, 6, 6), "sequence": (2, 9)}
    return {k: (rng.random((STEPS, *s)) < 0.3).astype(np.uint8) for k, s in shapes.items()}


@pytest.mark.filterwarnings("ignore:Using padding")
def test_every_node_does_what_nir_says(nir, everything, data, tmp_path):
    kinds = {type(n).__name__ for n in everything.nodes.values()}
    every = {name for name, c in vars(nir.ir).items() if isinstance(c, type) and issubclass(c, nir.NIRNode)}
    assert kinds == every - {"NIRNode"} and len(kinds) == 19
    nir.write(tmp_path / "all.nir", everything)
    network, report = from_nir(tmp_path / "all.nir", dt=MS)
    assert report.status == "exact" and not report.warnings
    silent = ["x2_1", "x3_1", "x4_2", "x1_3"]
    network = network.add(*(Probe(name, ("v",)) for name in silent))
    recording = spikesim.run(network, inputs=data)
    reference = Interpreter(everything, MS)
    rows = [reference.step({k: v[t].astype(float) for k, v in data.items()}) for t in range(STEPS)]
    compared = set()
    for population in network.populations:
        name = population.name.removesuffix(".lif")
        expected = np.array([row[name] for row in rows]).reshape(STEPS, -1)
        if name in silent:
            got = recording.traces[name]["v"].values[0]
            assert np.allclose(got, expected, atol=1e-6), name
        else:
            assert 20 < expected.sum() < 0.9 * expected.size, name
            assert np.array_equal(recording[population.name].dense()[:, 0], expected > 0), name
        compared.add(name)
    assert len(compared) == 14


@pytest.mark.filterwarnings("ignore:Using padding")
def test_it_goes_out_again_and_comes_back(everything, data, tmp_path):
    network, _ = from_nir(everything, dt=MS)
    report = write_nir(network, tmp_path / "again.nir")
    assert report.status == "exact"
    back, found = from_nir(tmp_path / "again.nir")
    assert found.status == "exact" and back == network
    plain, _ = from_nir(tmp_path / "again.nir", dt=MS, metadata=False)
    seen = compare_spikes(network, plain, data)
    nested = {"x9_1.lif", "x9_1_lif"}  # a plain name holds no dot
    assert set(seen.parts) == nested and len(set(seen.parts.values())) == 1 and seen.before == seen.after


def graph(nir, nodes, edges, n_in=4, n_out=4):
    """Return a graph of some nodes between one Input and one Output; a number of elements or a shape for both."""
    shape = lambda n: np.array(np.atleast_1d(n))  # noqa: E731
    border = {"in": nir.Input({"input": shape(n_in)}), "out": nir.Output({"output": shape(n_out)})}
    return nir.NIRGraph({**border, **nodes}, [tuple(e.split(">")) for e in edges.split()], type_check=False)


REFUSED = {
    "weights between membranes": (
        lambda nir, rng: ({"li": cells(nir, "LI", 4, rng), "w": nir.Linear(np.eye(4)), "s": cells(nir, "LIF", 4, rng)},
                          "in>li li>w w>s s>out"), "'li': a LI sends its membrane on to 's'"),
    "a delay between weights": (
        lambda nir, rng: ({"a": nir.Linear(np.eye(4)), "d": nir.Delay(np.arange(4) * MS), "b": nir.Linear(np.eye(4)),
                           "s": cells(nir, "LIF", 4, rng)}, "in>a a>d d>b b>s s>out"), "'b': a Delay with several"),
    "a delay of another size": (
        lambda nir, rng: ({"d": nir.Delay(np.arange(3) * MS), "s": cells(nir, "LIF", 4, rng)}, "in>d d>s s>out"),
        "'d': a Delay of 3 values"),
    "a scale of another size": (
        lambda nir, rng: ({"d": nir.Scale(np.ones(3)), "s": cells(nir, "LIF", 4, rng)}, "in>d d>s s>out"),
        "'d': the parameters of this Scale do not fit"),
    "a loop of weights": (
        lambda nir, rng: ({"a": nir.Linear(np.eye(4)), "b": nir.Linear(np.eye(4)), "s": cells(nir, "LIF", 4, rng)},
                          "in>a a>b b>a b>s s>out"), "form a loop without a neuron"),
    "no neuron": (lambda nir, rng: ({}, "in>out"), "no neuron"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_network_cannot_say_is_refused_by_name(nir, what):
    parts, message = REFUSED[what]
    with pytest.raises(UnsupportedError, match=message):
        from_nir(graph(nir, *parts(nir, np.random.default_rng(0))), dt=MS)


def test_several_signals_at_an_output_are_added_up(nir):
    lif = cells(nir, "LIF", 4, np.random.default_rng(0))
    network, report = from_nir(graph(nir, {"s": lif}, "in>s s>out in>out"), dt=MS)
    assert {p.name for p in network.projections} == {"in->s", "s->out", "in->out"}
    assert "without memory" in str(report)


def test_populations_stand_in_the_order_of_the_signal(nir, tmp_path):
    """A file has nodes in the order of their names; the last population is the one that is read out."""
    rng = np.random.default_rng(0)
    nodes = {name: cells(nir, "LIF", 4, rng) for name in ("1", "10", "2")}
    weights = {f"w{k}": nir.Linear(rng.normal(size=(4, 4))) for k in range(3)}
    arrows = "in>1 1>w0 w0>2 2>w1 w1>10 10>out 10>w2 w2>1"
    nir.write(tmp_path / "x.nir", graph(nir, {**nodes, **weights}, arrows))
    network, _ = from_nir(tmp_path / "x.nir", dt=MS)
    assert [p.name for p in network.populations] == ["1", "2", "10"]


def test_old_files_with_single_numbers_and_without_reset(nir, tmp_path):
    """As early writers made them: 0-d datasets, which nir 1.0.8 reads but cannot write, and no v_reset."""
    nir.write(tmp_path / "old.nir", graph(nir, {"s": cells(nir, "LIF", 4, np.random.default_rng(0))}, "in>s s>out"))
    with h5py.File(tmp_path / "old.nir", "r+") as file:
        node = file["node/nodes/s"]
        del node["v_reset"], file["version"]
        for name, value in (("tau", 10 * MS), ("r", 10.0), ("v_leak", 0.0), ("v_threshold", 0.5)):
            del node[name]
            node[name] = value
    network, _ = from_nir(tmp_path / "old.nir", dt=MS)
    neuron = network["s"].neuron
    assert network["s"].n == 4
    assert [neuron.value(k) for k in ("beta", "v_th", "v_reset")] == [pytest.approx(0.9), 0.5, 0.0]


def test_a_delay_that_is_no_whole_number_of_steps_is_approximated(nir):
    nodes = {"d": nir.Delay(np.array([1.0, 2.0, 2.4, 0.0]) * MS), "s": cells(nir, "LIF", 4, np.random.default_rng(0))}
    network, report = from_nir(graph(nir, nodes, "in>d d>s s>out"), dt=MS)
    assert np.allclose(network["in->s"].delay, [MS, 2 * MS, 2 * MS, 0])
    assert {r.part: (r.status, r.detail) for r in report.rows}["in->s"] == (
        "approximated", "from Delay; delays were rounded to whole steps, by up to 0.0004 s"
    )  # fmt: skip


def test_differences_are_counted_by_population():
    from spikesim import Input, sequential
    from spikesim.layers import dense
    from spikesim.models.neurons import leaky

    made = lambda beta: sequential(  # noqa: E731
        Input("in", 4), dense(5), leaky(beta=0.9), dense(6), leaky(beta=np.full(6, beta)), seed=1
    )
    result = compare_spikes(made(0.9), made(0.5))
    assert result.differing > 0 and result.parts == {"layer2": result.differing}
    assert f"{result.differing} in layer2" in str(result) and "random spikes" in str(result)
