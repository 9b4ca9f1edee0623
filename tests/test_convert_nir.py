"""NIR: our own round trips to the bit, nodes of other tools, losses always said."""

import subprocess
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import spikesim
from spikesim import Input, Network, Poisson, PoissonDrive, Population, Projection, neuron, sequential, spike
from spikesim.connect import AllToAll, Conv2d, Dense, FixedIndegree, FixedProbability, OneToOne
from spikesim.convert import compare_spikes, from_nir, to_nir, write_nir
from spikesim.distributions import Normal, Uniform
from spikesim.errors import FileFormatError, InvalidValueError, MissingFileError, SpikesimError, UnsupportedError
from spikesim.layers import conv2d, dense, pool
from spikesim.models.neurons import cuba_lif, integrate_and_fire, izhikevich, leaky, li, lif, lif_soft, loihi_lif

MS = 1e-3


@pytest.fixture(scope="module", autouse=True)
def nir(request):
    return request.getfixturevalue("require")("nir")


def layered(*neurons, n_in=20, seed=1, scale=0.4):
    """A dense network of 12 neurons per layer; weights are the same for the same seed."""
    rng = np.random.default_rng(seed)
    parts, n = [Input("in", n_in)], n_in
    for each in neurons:
        parts += [dense(12, rng.normal(0.05, scale, (12, n))), each]
        n = 12
    return sequential(*parts, seed=seed)


def again(network, path, **options):
    """Write to a file and read it back."""
    report = write_nir(network, path, **options)
    after, found = from_nir(path)
    return after, report, found


# ------------------------------------------------------------------------------------------------ our own round trip
@neuron(keep=0.8, level=1.0, q=0.7)
def own_soft(v, i, p):
    u = p.keep * v + i
    s = spike(u - p.level)
    return s, u - p.q * s


ROUND_TRIPS = {
    "lif": [lif(tau_m=10 * MS), lif(tau_m=5 * MS, e_l=-0.1, v_reset=-0.2, bias=0.05)],
    "refractory": [lif(tau_m=10 * MS, t_ref=3 * MS)],
    "threshold": [lif(threshold=">=")],
    "leaky": [leaky(beta=0.9), leaky(beta=0.8, timing="same"), leaky(reset="to", v_reset=-0.1, bias=0.1)],
    "soft": [lif_soft(), lif_soft("figure", bias=0.02)],
    "if": [integrate_and_fire(), integrate_and_fire(reset="subtract", q=0.8)],
    "cuba": [cuba_lif(bias=0.01), cuba_lif(reset="subtract", du=0.3)],
    "read-out": [lif(), li(beta=0.9)],
    "random parameters": [lif(tau_m=Uniform(5 * MS, 20 * MS), init={"v": Uniform(0.0, 0.5)})],
    "user-written": [own_soft],
}


@pytest.mark.parametrize("kind", ROUND_TRIPS)
def test_a_network_comes_back_as_it_was(kind, tmp_path):
    network = layered(*ROUND_TRIPS[kind])
    after, _, found = again(network, tmp_path / "x.nir")
    assert after == network
    assert found.status == "exact"
    assert not found.warnings


def test_images_pools_loops_delays_and_random_connections_come_back(tmp_path):
    network = sequential(
        Input("image", (1, 8, 8)), conv2d(4, 3), lif_soft(bias=0.01), pool(2), dense(10), lif_soft(),
        dense(5), leaky(beta=0.9, bias=0.1), seed=3,
    ).add(
        Poisson("noise", 7, rate=50.0),
        PoissonDrive("drive", "layer2", rate=20.0, weight=0.2),
        Projection("noise", "layer2", FixedIndegree(3), weight=0.3, delay=2 * MS),
        Projection("layer2", "layer2", FixedProbability(0.3), weight=Normal(0, 0.1), delay=Uniform(1 * MS, 4 * MS)),
        Projection("layer3", "layer2", AllToAll(), weight=-0.1, delay=2 * MS),
    )  # fmt: skip
    after, report, _ = again(network, tmp_path / "x.nir")
    assert after == network
    assert compare_spikes(network, after).differing == 0
    said = {r.part: (r.status, r.detail) for r in report.rows}
    assert said["drive"][0] == said["layer2->layer2"][0] == "impossible"
    assert "spyx" in said["layer3->layer2"][1]


def test_a_shaped_population_behind_a_dense_layer_becomes_a_vector(tmp_path):
    network = sequential(Input("in", 6), dense((2, 4, 4)), lif_soft(), conv2d(3, 2), lif_soft())
    after, _, _ = again(network, tmp_path / "x.nir")
    assert after == network


def test_what_was_changed_in_the_file_counts(nir, tmp_path):
    network = layered(lif_soft(), lif_soft())
    graph, _ = to_nir(network)
    graph.nodes["layer1"].v_threshold = graph.nodes["layer1"].v_threshold * 2
    after, found = from_nir(graph)
    assert "layer1" in found.warnings[0]
    assert after["layer1"].model.name == "integrate_and_fire"
    assert after["layer1"].neuron.value("v_th") == 1.0
    assert after["layer2"] == network["layer2"]


def test_changed_weights_of_a_random_connection_count():
    network = layered(lif()).add(Projection("layer1", "layer1", FixedProbability(0.5), weight=0.1, delay=MS))
    graph, _ = to_nir(network)
    graph.nodes["layer1_layer1"].weight = graph.nodes["layer1_layer1"].weight * 2
    after, found = from_nir(graph)
    assert "layer1->layer1" in found.warnings[0]
    assert set(np.unique(after["layer1->layer1"].rule.weights)) == {0.0, 0.2}


# ----------------------------------------------------------------------------------- read without our metadata
def plain(graph):
    """Forget what spikesim stored."""
    for node in graph.nodes.values():
        node.metadata = {}
    graph.metadata = {}
    return graph


@pytest.mark.parametrize("neurons", [
    [leaky(reset="to", beta=0.9), leaky(reset="to", timing="same", beta=0.75, v_reset=-0.25)],
    [integrate_and_fire(v_th=2.0)],
    [cuba_lif(du=0.25, dv=0.125, bias=0.01)],
    [leaky(reset="to", beta=np.linspace(0.5, 0.95, 12), v_th=np.linspace(0.8, 1.2, 12), bias=0.05)],
    [lif(tau_m=10 * MS, e_l=-0.5)],
])  # fmt: skip
def test_a_plain_reader_sees_the_same_spikes(neurons):
    network = layered(*neurons)
    graph, report = to_nir(network)
    assert report.status in ("exact", "approximated")
    after, _ = from_nir(plain(graph), dt=network.dt, integrator="exact" if neurons[0].model.name == "lif" else "euler")
    result = compare_spikes(network, after)
    assert result.before > 40
    assert result.differing == 0


def test_euler_dt_makes_exact_integration_readable_for_euler_readers():
    network = layered(lif(tau_m=10 * MS))
    after, _ = from_nir(plain(to_nir(network, euler_dt=1e-4)[0]), dt=1e-4, repair=False)
    assert compare_spikes(network.with_(dt=MS), after.with_(dt=MS)).differing == 0


def test_a_plain_loop_gets_its_step(nir):
    network = layered(leaky(reset="to")).add(Projection("layer1", "layer1", Dense(0.3 * np.eye(12)[::-1]), delay=MS))
    graph, _ = to_nir(network)
    assert "Delay" not in {type(n).__name__ for n in graph.nodes.values()}
    after, found = from_nir(plain(graph), dt=MS)
    assert "one step" in found.notes[0]
    assert compare_spikes(network, after).differing == 0


def test_a_plain_delay_is_a_node(nir):
    network = Network(
        (Population("a", 5, leaky(reset="to", v_th=0.5)),),
        (Projection("in", "a", OneToOne(), weight=0.7, delay=3 * MS),),
        (Input("in", 5),),
    )
    graph, _ = to_nir(network)
    assert "Delay" in {type(n).__name__ for n in graph.nodes.values()}
    after, _ = from_nir(plain(graph), dt=MS)
    assert after["in->a"].delay == pytest.approx(3 * MS)
    assert compare_spikes(network, after).differing == 0


# ------------------------------------------------------------------------------------------------------------ losses
def test_soft_reset_is_never_silent(tmp_path):
    network = layered(lif_soft())
    _, report = to_nir(network)
    assert report.status == "impossible"
    assert "a reader sees a hard reset" in str(report)
    with pytest.raises(UnsupportedError, match="soft reset"):
        to_nir(network, on_lossy="error")
    after, _, _ = again(network, tmp_path / "hard.nir", on_lossy="hard")
    assert after["layer1"].model.options["reset"] == "to"
    assert compare_spikes(network, after).differing > 0


def test_every_reason_is_named_at_once():
    network = Network(
        (
            Population("a", 4, izhikevich()),
            Population("b", 4, cuba_lif(dv=0.0)),
            Population("c", 2, leaky(beta=[1, 0.5])),
        ),
        (Projection("a", "b", weight=1.0), Projection("b", "c", weight=1.0)),
    )
    with pytest.raises(UnsupportedError) as error:
        to_nir(network)
    text = str(error.value)
    for part in ("'a'", "izhikevich", "'b'", "membrane without leak", "'c'", "leak and others do not"):
        assert part in text


def test_fixed_point_is_approximated():
    network = layered(loihi_lif(v_th=300))
    _, report = to_nir(network)
    assert {r.part: r.status for r in report.rows}["layer1"] == "approximated"
    assert "24 bits" in str(report)


def test_bad_files(tmp_path, nir):
    (tmp_path / "x.nir").write_text("no")
    with pytest.raises(FileFormatError, match="not a NIR file"):
        from_nir(tmp_path / "x.nir", dt=MS)
    with pytest.raises(MissingFileError):
        from_nir(tmp_path / "y.nir", dt=MS)
    with pytest.raises(SpikesimError, match="none is written over"):
        write_nir(layered(lif()), tmp_path / "x.nir")
    with pytest.raises(InvalidValueError, match="time step"):
        from_nir(plain(to_nir(layered(lif()))[0]))


# ------------------------------------------------------------------------------------------------- foreign NIR files
def lif_node(nir, n, tau=10 * MS, **more):
    values = {"tau": np.full(n, tau), "r": np.ones(n), "v_leak": np.zeros(n), "v_threshold": np.full(n, 0.1), **more}
    return nir.LIF(**values)


def test_resistance_leak_and_input_gain_are_folded_in(nir):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(0, 3, (4, 6)), rng.normal(0, 0.1, 4)
    tau, r, leak = rng.uniform(5, 20, 4) * MS, rng.uniform(0.5, 2, 4), rng.normal(0, 0.05, 4)
    threshold, reset = rng.uniform(0.1, 0.2, 4), rng.normal(0, 0.05, 4)
    node = nir.LIF(tau=tau, r=r, v_leak=leak, v_threshold=threshold, v_reset=reset)
    graph = nir.NIRGraph.from_list(nir.Affine(weight=weight, bias=bias), node)
    network, _ = from_nir(graph, dt=MS)
    x = rng.random((300, 6)) < 0.3
    got = spikesim.run(network, inputs={"input": x.astype(np.uint8)}).spikes
    v, expected = np.zeros(4), np.zeros((300, 4), bool)
    for t in range(300):
        v = v + MS / tau * ((leak - v) + r * (weight @ x[t] + bias))
        expected[t] = v > threshold
        v = np.where(expected[t], reset, v)
    assert 50 < expected.sum() < 1100
    assert np.array_equal(next(iter(got.values())).dense()[:, 0], expected)


def test_the_bias_of_a_layer_before_a_synaptic_current(nir):
    rng = np.random.default_rng(0)
    weight, bias, one = rng.normal(0, 3, (4, 6)), rng.normal(0, 0.5, 4), np.ones(4)
    node = nir.CubaLIF(
        tau_syn=5 * MS * one, tau_mem=10 * MS * one, r=2 * one, v_leak=0.01 * one, v_threshold=0.1 * one, w_in=3 * one
    )
    network, _ = from_nir(nir.NIRGraph.from_list(nir.Affine(weight=weight, bias=bias), node), dt=MS)
    x = rng.random((300, 6)) < 0.3
    got = spikesim.run(network, inputs={"input": x.astype(np.uint8)}).spikes
    u, v, expected = np.zeros(4), np.zeros(4), np.zeros((300, 4), bool)
    for t in range(300):
        u = u + MS / (5 * MS) * (-u + 3 * (weight @ x[t] + bias))
        v = v + MS / (10 * MS) * ((0.01 - v) + 2 * u)
        expected[t] = v > 0.1
        v = np.where(expected[t], 0.0, v)
    assert 50 < expected.sum() < 1100
    assert np.array_equal(next(iter(got.values())).dense()[:, 0], expected)


@pytest.mark.filterwarnings("ignore:Using padding")
@pytest.mark.parametrize("layer", ["stride", "groups", "same", "pool", "conv1d", "scale"])
def test_every_weight_layer_gives_torch_s_numbers(nir, require, layer):
    torch = require("torch")
    rng = np.random.default_rng(0)
    x = rng.random((5, 2, 9, 7))
    weight, bias = rng.normal(size=(4, 2, 3, 2)), rng.normal(size=4)
    common = {"input_shape": (9, 7), "weight": weight, "bias": bias}
    t = {"weight": torch.tensor(weight), "bias": torch.tensor(bias)}
    node, result = {
        "stride": lambda: (nir.Conv2d(stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=1, **common),
                           lambda y: torch.conv2d(y, **t, stride=(2, 1), padding=(1, 0), dilation=(1, 2))),
        "groups": lambda: (nir.Conv2d(stride=1, padding=0, dilation=1, groups=2, **{**common, "weight": weight[:, :1]}),
                           lambda y: torch.conv2d(y, t["weight"][:, :1], t["bias"], groups=2)),
        "same": lambda: (nir.Conv2d(stride=1, padding="same", dilation=1, groups=1, **common),
                         lambda y: torch.nn.functional.conv2d(y, **t, padding="same")),
        "pool": lambda: (nir.AvgPool2d(np.array([3, 2]), np.array([2, 2]), np.array([1, 1])),
                         lambda y: torch.nn.functional.avg_pool2d(y, (3, 2), (2, 2), (1, 1))),
        "conv1d": lambda: (nir.Conv1d(63, weight[:, :, 0], stride=2, padding=1, dilation=1, groups=1, bias=bias),
                           lambda y: torch.conv1d(y.reshape(-1, 2, 63), t["weight"][:, :, 0], t["bias"], 2, 1)),
        "scale": lambda: (nir.Scale(scale=rng.normal(size=(2, 9, 7))), None),
    }[layer]()  # fmt: skip
    expected = x * node.scale if layer == "scale" else result(torch.tensor(x)).numpy()
    shape = np.array([2, 63]) if layer == "conv1d" else np.array(x.shape[1:])
    n = expected[0].size
    graph = nir.NIRGraph(
        nodes={
            "in": nir.Input({"input": shape}),
            "w": node,
            "f": nir.Flatten(None, 0),
            "v": nir.LI(np.ones(n), np.ones(n), np.zeros(n)),
            "out": nir.Output({"output": np.array([n])}),
        },
        edges=[("in", "w"), ("w", "f"), ("f", "v"), ("v", "out")],
        type_check=False,
    )
    network, _ = from_nir(graph, dt=1.0, graded=True)
    network = network.add(spikesim.Probe("v", ("v",)))
    x = np.round(x * 2**16) / 2**16
    got = spikesim.run(network, inputs={"in": x[:1].reshape(1, 1, *shape)}).traces["v"]["v"].values
    assert np.allclose(got.reshape(-1), expected[0].reshape(-1), atol=1e-4)


def test_nested_graphs_scalars_and_missing_reset(nir):
    one = np.array(1.0)
    inner = nir.NIRGraph(
        nodes={
            "input": nir.Input({"input": np.array([3])}),
            "lif": nir.LIF(tau=one * 0.01, r=one, v_leak=one * 0, v_threshold=one * 0.1),
            "w_rec": nir.Linear(weight=np.full((3, 3), 0.5)),
            "output": nir.Output({"output": np.array([3])}),
        },
        edges=[("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
        type_check=False,
    )
    graph = nir.NIRGraph(
        nodes={
            "input": nir.Input({"input": np.array([2])}),
            "fc": nir.Linear(weight=np.full((3, 2), 2.0)),
            "rnn": inner,
            "output": nir.Output({"output": np.array([3])}),
        },
        edges=[("input", "fc"), ("fc", "rnn"), ("rnn", "output")],
        type_check=False,
    )
    network, _ = from_nir(graph, dt=MS)
    assert [(p.name, p.shape) for p in network.populations] == [("rnn.lif", (3,))]
    assert network["rnn.lif->rnn.lif"].delay == pytest.approx(MS)
    assert network["rnn.lif"].neuron.value("v_reset") == 0.0


def test_what_cannot_be_read_is_named(nir):
    graph = nir.NIRGraph(
        nodes={
            "in": nir.Input({"input": np.array([2])}),
            "li": nir.LI(np.ones(2), np.ones(2), np.zeros(2)),
            "fast": lif_node(nir, 2, tau=0.1 * MS, r=np.full(2, 0.5)),
            "out": nir.Output({"output": np.array([2])}),
        },
        edges=[("in", "li"), ("li", "fast"), ("fast", "out")],
    )
    with pytest.raises(UnsupportedError) as error:
        from_nir(graph, dt=MS)
    assert "'fast': tau is shorter than the step" in str(error.value)
    graph.nodes["fast"] = lif_node(nir, 2)
    with pytest.raises(UnsupportedError, match="'li': a LI sends its membrane"):
        from_nir(graph, dt=MS)


# ---------------------------------------------------------------------------------------------------- command line
def test_export_and_convert_on_the_command_line(tmp_path):
    from spikesim.cli import convert_verb, export_verb

    app = typer.Typer()
    app.command("export")(export_verb.command)
    app.command("convert")(convert_verb.command)
    network = layered(lif_soft())
    network.save(tmp_path / "n.h5")

    def call(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        assert result.exit_code == 0, result.output + str(result.exception)
        return result.output

    text = call("export", tmp_path / "n.h5", "--to", "nir", "--out", tmp_path / "n.nir", "--verify")
    assert "soft reset" in text and "0 differ" in text
    np.savez(tmp_path / "x.npz", **{"in": np.ones((40, 1, 20), np.uint8)})
    text = call(
        "convert", tmp_path / "n.h5", "--to", "nir", "--out", tmp_path / "v.nir", "--verify-on", tmp_path / "x.npz"
    )
    assert "0 differ (1 sample of 40 steps" in text and "x.npz" in text
    text = call("convert", tmp_path / "n.nir", "--to", "h5", "--out", tmp_path / "m.h5", "--json")
    assert '"status": "exact"' in text
    assert Network.load(tmp_path / "m.h5") == network


def test_without_nir_the_message_says_what_to_do():
    code = (
        "import sys, importlib.metadata as m\n"
        "import spikesim.optional as o\n"
        "o.available = lambda name: o.Availability(False, name)\n"
        "from spikesim import Network\n"
        "from spikesim.convert import to_nir\n"
        "try:\n    to_nir(Network())\n"
        "except ImportError as error:\n    print(error)\n"
        "assert 'nir' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'spikesim[interop]'" in done.stdout


def test_conv_bias_by_channel_and_rectangular_kernels(tmp_path):
    rng = np.random.default_rng(0)
    rule = Conv2d(rng.normal(0, 0.5, (2, 1, 3, 2)))
    network = Network(
        (Population("a", (2, 4, 5), leaky(reset="to", bias=np.repeat([0.1, -0.1], 20))),),
        (Projection("in", "a", rule),),
        (Input("in", (1, 6, 6)),),
    )
    after, report, _ = again(network, tmp_path / "x.nir")
    assert after == network
    assert any("type_check=False" in n for n in report.notes)


def test_what_other_readers_see_is_measured(tmp_path):
    from spikesim.cli.export_verb import write

    report = write(layered(lif_soft()), "nir", tmp_path / "x.nir", {}, verify=True)
    assert report.verification.differing == 0
    assert "without the metadata sees" in report.notes[-1]
    plain, _ = from_nir(tmp_path / "x.nir", dt=MS, metadata=False)
    assert plain["layer1"].model.options["reset"] == "to"
