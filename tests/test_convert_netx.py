"""netx: the golden file, round trips on every engine, every refusal by name, and lava-dl itself where it is."""

import json
import sys

import h5py
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import spikesim
from spikesim import Input, Network, Poisson, Population, Projection
from spikesim.connect import Conv2d, Dense
from spikesim.convert import FORMATS, find_format, format_of, read_netx, write_netx
from spikesim.convert.verify import compare_spikes, random_inputs
from spikesim.errors import FileAccessError, FileFormatError, MissingFileError, UnknownNameError, UnsupportedError
from spikesim.models.neurons import lif, lif_soft, loihi_lif

MS = 1e-3
TEXT = "S10"

# lava-dl 0.6.0's netx on lava-nc 0.10.0, fixed_pt: 3 -> 2 -> 2, 20 steps; columns of spikes
IN = [[0, 3, 4, 8, 9, 13, 14, 15], [1, 2, 3, 7, 8, 12], [4, 5, 9, 10, 11, 16]]
W1, BIAS1 = [[80, 60, -40], [-20, 100, 70]], [4, -2]
W2, DELAY2 = [[90, -30], [64, 100]], [[0, 3], [1, 2]]
HIDDEN = [[3, 5, 8, 10, 14, 16], [4, 6, 8, 10, 12, 14, 18]]
OUT = [[7, 11, 17], [8, 10, 12, 14, 16, 18]]
NEURON = {"iDecay": 1024, "vDecay": 512, "vThMant": 300, "refDelay": 1, "gradedSpike": False}


def put(file, layer, kind, neuron=None, **fields):
    """Write a layer as slayer does."""
    group = file.create_group(f"layer/{layer}")
    group["type"] = np.array([kind.encode()], TEXT)
    for name, value in fields.items():
        group[name] = value
    if neuron:
        group["neuron/type"] = np.array([b"CUBA"], TEXT)
        for name, value in neuron.items():
            group[f"neuron/{name}"] = value


@pytest.fixture
def golden(tmp_path):
    with h5py.File(tmp_path / "golden.net", "w") as file:
        put(file, 0, "input", shape=[3])
        put(file, 1, "dense", NEURON, shape=[2], weight=np.array(W1), bias=np.array(BIAS1))
        put(file, 2, "dense", NEURON, shape=[2], weight=np.array(W2), delay=np.array(DELAY2))
    return tmp_path / "golden.net"


def raster(columns, n=3, steps=20):
    x = np.zeros((steps, n), np.uint8)
    for k, each in enumerate(columns):
        x[each, k] = 1
    return x


def columns_of(recording, name):
    return [np.flatnonzero(c).tolist() for c in recording[name].dense()[:, 0].T]


@pytest.mark.parametrize("backend", ["numba", "torch", "loihi"])
def test_the_golden_file_of_lava_dl(golden, backend, require):
    if backend == "torch":
        require("torch")
    network, report = read_netx(golden)
    assert report.status == "exact"
    recording = spikesim.run(network, inputs={"input": raster(IN)}, backend=backend)
    assert columns_of(recording, "layer1") == HIDDEN
    assert columns_of(recording, "layer2") == OUT


def test_the_golden_file_written_by_us_is_the_same(golden, tmp_path):
    network, _ = read_netx(golden)
    assert write_netx(network, tmp_path / "again.net").status == "exact"
    with h5py.File(golden) as a, h5py.File(tmp_path / "again.net") as b:
        for k in range(3):
            for name in a[f"layer/{k}"]:
                old, new = a[f"layer/{k}/{name}"], b[f"layer/{k}/{name}"]
                if isinstance(old, h5py.Dataset):
                    assert np.array_equal(old[()], new[()]), name
                else:
                    assert {n: v[()] for n, v in old.items()} == {n: v[()] for n, v in new.items()}
        assert b["layer/1/type"].dtype == np.dtype(TEXT)
        assert b["layer/1/type"].shape == (1,)
    assert read_netx(tmp_path / "again.net")[0] == network


def even(rng, *shape, size=60):
    return 2 * rng.integers(-size // 2, size // 2 + size // 4, shape)


def chain(*extra, neuron=None, seed=0, delay=0.0):
    """12 -> 10 -> 8, both layers of the same neuron."""
    rng = np.random.default_rng(seed)
    each = neuron or loihi_lif(v_th=200)
    return Network(
        (Population("hidden", 10, each), Population("out", 8, each)),
        (
            Projection("in", "hidden", Dense(even(rng, 10, 12)), delay=delay),
            Projection("hidden", "out", Dense(even(rng, 8, 10)), delay=delay),
        ),
        (Input("in", 12),),
        dt=2 * MS,
        name="chain",
    ).add(*extra)


def loop(delay=2 * MS):
    return Projection("hidden", "hidden", Dense(even(np.random.default_rng(9), 10, 10)), delay=delay)


@pytest.mark.parametrize("network", [
    chain(),
    chain(delay=4 * MS),
    chain(loop()),
    chain(neuron=loihi_lif(v_th=200, bias_mant=2, bias_exp=6), delay=2 * MS),
], ids=["plain", "delays", "recurrent", "bias"])  # fmt: skip
def test_a_chain_comes_back_with_its_names_times_and_spikes(network, tmp_path):
    assert write_netx(network, tmp_path / "x.net").status == "exact"
    after, _ = read_netx(tmp_path / "x.net")
    assert [p.name for p in after.populations] == ["hidden", "out"]
    assert after.dt == network.dt
    for backend in ("numba", "loihi"):
        result = compare_spikes(network, after, backend=backend)
        assert result.before > 50
        assert result.differing == 0


def test_without_our_attribute_the_file_runs_in_the_chip_s_time(tmp_path):
    network = chain()
    write_netx(network, tmp_path / "x.net")
    with h5py.File(tmp_path / "x.net", "a") as file:
        del file.attrs["spikesim"]
    after, _ = read_netx(tmp_path / "x.net", dt=network.dt)
    data = random_inputs(network)
    before = spikesim.run(network, inputs=data)
    chip = spikesim.run(after, inputs={"input": data["in"]})
    for lag, (old, new) in enumerate([("hidden", "layer1"), ("out", "layer2")], start=1):
        assert np.array_equal(before[old].dense()[:-lag], chip[new].dense()[lag:])


def image(padding=1, stride=2):
    rng = np.random.default_rng(3)
    conv = Conv2d(even(rng, 3, 2, 3, 3), stride=stride, padding=padding)
    shape = conv.output_shape((2, 7, 6))
    return Network(
        (Population("maps", shape, loihi_lif(v_th=150)), Population("out", 4, loihi_lif(v_th=150))),
        (Projection("in", "maps", conv), Projection("maps", "out", Dense(even(rng, 4, int(np.prod(shape)))))),
        (Input("in", (2, 7, 6)),),
    )


def test_a_convolution_stays_one(tmp_path):
    network = image()
    report = write_netx(network, tmp_path / "x.net")
    assert [r.written_as for r in report.rows] == ["input", "conv", "dense"]
    with h5py.File(tmp_path / "x.net") as file:
        assert [file[f"layer/{k}/type"][0] for k in range(4)] == [b"input", b"conv", b"flatten", b"dense"]
        assert file["layer/1/shape"][()].tolist() == list(network["maps"].shape)
    after, _ = read_netx(tmp_path / "x.net")
    assert isinstance(after["in->maps"].rule, Conv2d)
    assert after["maps"].shape == network["maps"].shape
    result = compare_spikes(network, after)
    assert result.before > 100
    assert result.differing == 0


# ---------------------------------------------------------------------------------------------------------- soft reset
def test_a_soft_reset_is_refused_or_measured(tmp_path):
    network = chain(neuron=loihi_lif(reset="subtract", v_th=200))
    with pytest.raises(UnsupportedError, match="--reset hard") as error:
        write_netx(network, tmp_path / "x.net")
    assert len(error.value.problems) == 2
    assert not (tmp_path / "x.net").exists()
    report = write_netx(network, tmp_path / "x.net", reset="hard")
    assert report.status == "approximated"
    assert report.verification.differing > 0
    assert report.verification.before > report.verification.after
    sample = np.zeros((30, 12), np.uint8)
    assert write_netx(network, tmp_path / "x.net", reset="hard", inputs={"in": sample}).verification.differing == 0


def test_a_quantised_network_is_taken_as_it_comes(tmp_path):
    from spikesim.layers import dense
    from spikesim.quantise.loihi import quantise

    weights = np.random.default_rng(0).normal(0.1, 0.3, (8, 12))
    soft = quantise(spikesim.sequential(Input("in", 12), dense(8, weights), lif_soft()))
    report = write_netx(soft, tmp_path / "x.net", reset="hard")
    assert report.verification.before > 0
    hard = quantise(spikesim.sequential(Input("in", 12), dense(8, weights), lif(v_reset=0.0)))
    assert write_netx(hard, tmp_path / "y.net").status == "exact"
    assert compare_spikes(hard.network, read_netx(tmp_path / "y.net")[0]).differing == 0


def test_a_bias_between_netx_s_steps_is_rounded_and_measured(tmp_path):
    network = chain(neuron=loihi_lif(v_th=200, bias_mant=100, bias_exp=0), delay=2 * MS)
    report = write_netx(network, tmp_path / "x.net")
    assert {r.status for r in report.rows if r.written_as == "bias"} == {"approximated"}
    assert report.verification is not None


# ------------------------------------------------------------------------------------------------------------ refusals
def ones(pre, n_pre, post, n_post):
    return Projection(pre, post, Dense(2 * np.ones((n_post, n_pre))))


@pytest.mark.parametrize(("network", "words"), [
    (chain(neuron=lif()), ["not in fixed point"]),
    (chain(Population("side", 3, loihi_lif()), ones("hidden", 10, "side", 3)), ["branches", "'hidden->side'"]),
    (chain(Input("more", 2), ones("more", 2, "out", 8)), ["one input", "'out' is reached by"]),
    (chain().swap(Population("hidden", 10, loihi_lif(du=np.arange(10)))), ["du differs"]),
    (chain(neuron=loihi_lif(init={"v": 64.0})), ["initial states"]),
    (chain().swap(Projection("in", "hidden", Dense(np.zeros((10, 12))))), ["all weights are 0"]),
    (chain(loop(delay=6 * MS)), ["recurrent layer with delays"]),
    (chain().swap(Projection("in", "hidden", Dense(np.full((10, 12), 201) * np.r_[[1] * 11, -1]))), ["9 bits"]),
], ids=["float", "branch", "inputs", "heterogeneous", "initial", "zero", "recurrent delay", "odd"])  # fmt: skip
def test_what_netx_cannot_hold_is_refused_by_name(network, words, tmp_path):
    with pytest.raises(UnsupportedError) as error:
        write_netx(network, tmp_path / "x.net")
    for word in words:
        assert word in str(error.value)
    assert not (tmp_path / "x.net").exists()


def test_a_spiking_source_is_an_input_too(tmp_path):
    network = chain()
    noisy = Network(network.populations, network.projections, (Poisson("in", 12, rate=100.0),), dt=network.dt)
    write_netx(noisy, tmp_path / "x.net")
    assert isinstance(read_netx(tmp_path / "x.net")[0]["in"], Input)


def test_unreadable_files(tmp_path):
    with pytest.raises(MissingFileError):
        read_netx(tmp_path / "none.net")
    (tmp_path / "text.net").write_text("no")
    with pytest.raises(FileFormatError, match="HDF5"):
        read_netx(tmp_path / "text.net")
    with pytest.raises(FileAccessError, match="not a netx file"):
        write_netx(chain(), tmp_path / "text.net")
    with h5py.File(tmp_path / "empty.net", "w") as file:
        file["else"] = 1
    with pytest.raises(FileFormatError, match="no group 'layer'"):
        read_netx(tmp_path / "empty.net")
    with h5py.File(tmp_path / "odd.net", "w") as file:
        put(file, 0, "input", shape=[3])
        put(file, 1, "dense", shape=[2], weight=np.ones((2, 3)))
        put(file, 2, "average", shape=[2])
        put(file, 3, "dense", {**NEURON, "iDecay": 0}, shape=[2], weight=np.ones((2, 2)))
    with pytest.raises(UnsupportedError) as error:
        read_netx(tmp_path / "odd.net")
    assert [p[:8] for p in error.value.problems] == ["layer 1:", "layer 2:", "layer 3:"]


# -------------------------------------------------------------------------------------------- registry, command line
def test_formats_by_name_and_suffix():
    assert {format_of(f"x{s}") for f in FORMATS.values() for s in f.suffixes} == set(FORMATS)
    with pytest.raises(UnknownNameError, match="netx"):
        find_format("nexx")
    with pytest.raises(UnknownNameError, match="suffix"):
        format_of("x.txt")


def test_the_command_line_measures_a_hard_reset(tmp_path):
    from spikesim.cli import convert_verb, export_verb

    app = typer.Typer()
    app.command("export")(export_verb.command)
    app.command("convert")(convert_verb.command)
    chain(neuron=loihi_lif(reset="subtract", v_th=200)).save(tmp_path / "n.h5")

    def call(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments])

    common = ("export", tmp_path / "n.h5", "--to", "netx", "--out", tmp_path / "n.net")
    assert isinstance(call(*common).exception, UnsupportedError)
    done = call(*common, "--reset", "hard", "--json")
    assert done.exit_code == 0, done.exception
    assert json.loads(done.output)["verification"]["differing"] > 0
    done = call("convert", tmp_path / "n.net", "--to", "h5", "--verify")
    assert done.exit_code == 0, done.exception
    assert "0 differ" in done.output


# ------------------------------------------------------------------------------------------------------- lava-dl itself
LIVE = """
import sys, json
import numpy as np
from spikesim.backends.lava.netx import load_netx
files = json.loads(sys.argv[1])
from spikesim.backends.lava.shims import import_lava
import_lava()
from lava.proc.io.source import RingBuffer
from lava.proc.io.sink import RingBuffer as Sink
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
found = []
for path, shape, data in files:
    net, x = load_netx(path), np.load(data)
    steps = len(x)
    x = np.moveaxis(x.reshape(steps, *shape), 0, -1)
    if len(shape) == 3:
        x = x.transpose(2, 1, 0, 3)          # (channels, height, width) -> (width, height, channels)
    source = RingBuffer(data=x.astype(int))
    source.s_out.connect(net.inp)
    sinks = [Sink(shape=layer.neuron.s_out.shape, buffer=steps) for layer in net.layers if hasattr(layer, "neuron")]
    for layer, sink in zip([x for x in net.layers if hasattr(x, "neuron")], sinks):
        layer.neuron.s_out.connect(sink.a_in)
    net.run(condition=RunSteps(steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    each = []
    for sink in sinks:
        d = np.asarray(sink.data.get())
        d = d.transpose(2, 1, 0, 3) if d.ndim == 4 else d
        each.append(d.reshape(-1, steps).T.astype(int).tolist())
    net.stop()
    net.net_config.f.close()
    found.append(each)
open(sys.argv[2], "w").write(json.dumps(found))
"""


def soft_chain():
    """Soft resets as loops, which netx holds as recurrent layers."""
    neuron = loihi_lif(reset="subtract", du=4095, dv=2048, v_th=200, q=200)
    return chain(neuron=neuron)


NETWORKS = {
    "plain": chain(),
    "recurrent": chain(loop()),
    "delays": chain(delay=6 * MS),
    "bias": chain(neuron=loihi_lif(v_th=200, bias_mant=2, bias_exp=6), delay=2 * MS),
    "odd": chain().swap(Projection("in", "hidden", Dense(even(np.random.default_rng(1), 10, 12) + 1))),
    "conv": image(),
    "soft": soft_chain(),
}


@pytest.fixture(scope="module")
def from_netx(tmp_path_factory):
    """All files travel to one child; what comes back are the spikes of their layers."""
    from spikesim.backends.lava import runner
    from spikesim.backends.lava.netx import REMEDY, netx_available

    if not netx_available():
        pytest.skip(f"lava-dl is not installed; run: {REMEDY}")
    folder, files = tmp_path_factory.mktemp("netx"), []
    for name, network in NETWORKS.items():
        write_netx(network, folder / f"{name}.net", reset="self_inhibition")
        data = random_inputs(network, 40, density=0.3)["in"]
        np.save(folder / f"{name}.npy", data[:, 0])
        shape = [int(d) for d in network["in"].shape]
        files.append((str(folder / f"{name}.net"), shape, str(folder / f"{name}.npy")))
    runner._run_child([sys.executable, "-c", LIVE, json.dumps(files), str(folder / "found.json")], 250)
    return folder, dict(zip(NETWORKS, json.loads((folder / "found.json").read_text()), strict=True))


@pytest.mark.lava
@pytest.mark.parametrize("name", NETWORKS)
def test_lava_dl_reads_our_file_with_the_same_spikes(name, from_netx):
    folder, found = from_netx
    with h5py.File(folder / f"{name}.net", "a") as file:
        del file.attrs["spikesim"]
    chip, _ = read_netx(folder / f"{name}.net")
    given = {chip.stimuli[0].name: np.load(folder / f"{name}.npy")}
    ours = spikesim.run(chip, inputs=given, backend="loihi")
    for population, spikes in zip(chip.populations, found[name], strict=True):
        assert np.sum(spikes) > 0
        assert np.array_equal(ours[population.name].dense()[:, 0], np.array(spikes, bool))
