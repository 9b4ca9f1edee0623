"""A folder that runs with Lava alone, live Lava processes, and what becomes of a soft reset."""

import ast
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from spikesim import Input, Network, Poisson, Population, Projection
from spikesim.backends.lava import runner
from spikesim.backends.lava.standalone import lava_network
from spikesim.connect import Conv2d, Dense
from spikesim.convert import check_lava, compare_spikes, read_netx, write_lava, write_netx
from spikesim.convert.report import ExportReport
from spikesim.convert.soft_reset import with_self_inhibition
from spikesim.errors import FileAccessError, MissingFileError, UnknownNameError, UnsupportedError
from spikesim.models.neurons import lif_soft, loihi_lif

MS = 1e-3
ROOT = Path(__file__).parents[1]


def even(rng, *shape, low=-60, high=90):
    return 2.0 * rng.integers(low // 2, high // 2, shape)


def network(reset="subtract"):
    """Several inputs, a convolution, a loop, delays, a bias and a state of each neuron's own, two separate parts."""
    rng = np.random.default_rng(4)
    conv = Conv2d(even(rng, 3, 2, 3, 2, high=120), stride=2, padding=1)
    shape = conv.output_shape((2, 7, 5))
    own = {"init": {"v": np.rint(rng.normal(0, 2000, 9))}, "bias_mant": rng.integers(-3, 9, 9).astype(float)}
    return Network(
        (
            Population("maps", shape, loihi_lif(v_th=150, dv=900)),
            Population("mixed", 9, loihi_lif(reset=reset, v_th=210, bias_exp=6, **own)),
            Population("out", 4, loihi_lif(v_th=90, du=2000)),
            Population("apart", 3, loihi_lif(v_th=60)),
        ),
        (
            Projection("image", "maps", conv),
            Projection("maps", "mixed", Dense(even(rng, 9, int(np.prod(shape)), high=70))),
            Projection("mixed", "mixed", Dense(even(rng, 9, 9)), delay=3 * MS),
            Projection("line", "mixed", Dense(even(rng, 9, 6) + 1), delay=even(rng, 54, low=0, high=5) * MS),
            Projection("mixed", "out", Dense(even(rng, 4, 9, high=200)), delay=2 * MS),
            Projection("noise", "apart", Dense(even(rng, 3, 5, low=20, high=200))),
        ),
        (Input("image", (2, 7, 5)), Input("line", 6), Poisson("noise", 5, rate=300.0)),
        name="a little of everything",
    )


def data(steps=40, samples=2):
    rng = np.random.default_rng(0)
    return {"image": rng.random((steps, samples, 70)) < 0.4, "line": rng.random((steps, samples, 6)) < 0.3}


# ---------------------------------------------------------------------------------------------------------- soft reset
def soft(dv, q, v_th=192, seed=0, **options):
    rng = np.random.default_rng(seed)
    neuron = loihi_lif(reset="subtract", **{"du": 4095, "dv": dv, "v_th": v_th, "q": q, **options})
    return Network(
        (Population("a", 12, neuron), Population("b", 6, neuron)),
        (
            Projection("x", "a", Dense(even(rng, 12, 10))),
            Projection("a", "b", Dense(even(rng, 6, 12, high=160))),
            Projection("b", "a", Dense(even(rng, 12, 6)), delay=MS),
        ),
        (Input("x", 10),),
    )


@pytest.mark.parametrize(("dv", "q"), [(1024, 192), (2048, 150), (512, 64), (4096, 192), (256, 176.0)])
def test_a_loop_is_exactly_a_soft_reset(dv, q):
    report = ExportReport("lava")
    before = soft(dv, q, seed=dv)
    after = with_self_inhibition(before, report)
    assert report.status == "exact"
    assert {p.model.options["reset"] for p in after.populations} == {"to"}
    found = compare_spikes(before, after, {"x": np.random.default_rng(1).random((300, 3, 10)) < 0.4})
    assert found.before > 1000
    assert found.differing == 0


def test_a_large_quantum_takes_several_synapses():
    before = soft(256, 1200, v_th=1200)
    after = with_self_inhibition(before, ExportReport("lava"))
    assert [p.weight[0] for p in after.projections if "reset" in p.name and p.pre == "a"] == [-254.0] * 4 + [-109.0]
    found = compare_spikes(before, after, {"x": np.ones((300, 1, 10), np.uint8)})
    assert found.before > 50
    assert found.differing == 0


@pytest.mark.parametrize(
    ("dv", "q", "why"), [(204, 192, "rounded by 0.44"), (0, 192, "1/4096"), (1024, 256, "above its threshold")]
)
def test_where_a_loop_is_not_exact_it_says_why(dv, q, why):
    report = ExportReport("lava")
    after = with_self_inhibition(soft(dv, q), report)
    assert report.status == "approximated"
    assert all(why in row.detail for row in report.rows)
    # close all the same: far closer than a reset to 0
    given = {"x": np.random.default_rng(1).random((200, 1, 10)) < 0.3}
    hard = soft(dv, q).swap(
        *(Population(p.name, p.shape, loihi_lif(du=4095, dv=dv, v_th=192)) for p in after.populations)
    )
    loop, to_zero = (compare_spikes(soft(dv, q), other, given) for other in (after, hard))
    assert loop.differing < to_zero.differing


def test_soft_resets_that_no_loop_stands_for_are_named():
    with pytest.raises(UnsupportedError) as caught:
        with_self_inhibition(soft(1024, 192, du=500, bias_mant=3), ExportReport("lava"))
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "current of its own" in text and "a bias" in text


def test_netx_takes_the_loop_as_a_recurrent_layer(tmp_path):
    before = soft(2048, 192)
    before = Network(before.populations, before.projections[:2], before.stimuli)
    given = {"x": np.random.default_rng(1).random((200, 1, 10)) < 0.4}
    report = write_netx(before, tmp_path / "x.net", reset="self_inhibition", inputs=given)
    assert [r.written_as for r in report.rows][-2:] == ["dense_rec", "dense_rec"]
    assert (report.verification.differing, report.verification.before > 100) == (0, True)
    again = compare_spikes(before, read_netx(tmp_path / "x.net")[0], given)
    assert again.differing == 0


# ---------------------------------------------------------------------------------------------------------- the folder
@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "net.lava"
    report = write_lava(network(), path, on_soft_reset="custom_process", inputs=data(samples=1))
    assert "SoftLIF is a process of ours" in report.warnings[0]
    assert {r.part: r.written_as for r in report.rows} == {
        "maps": "LIF", "mixed": "SoftLIF", "out": "LIF", "apart": "LIF",
        "image->maps": "Conv", "maps->mixed": "Dense", "mixed->mixed": "DelayDense", "line->mixed": "DelayDense",
        "mixed->out": "Dense", "noise->apart": "Dense",
    }  # fmt: skip
    assert report.status == "exact"
    return path


def test_what_the_folder_holds_runs_without_spikesim(folder):
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert files == [
        "README.md", "custom_processes/__init__.py", "custom_processes/soft_lif.py", "expected.npz", "input.npz",
        "lava_network.py", "network.json", "network.npz", "run.py",
    ]  # fmt: skip
    allowed = {"numpy", "scipy", "lava", "lava_network", *sys.stdlib_module_names}
    for name in files:
        if name.endswith(".py"):
            tree = ast.parse((folder / name).read_text(), feature_version=(3, 10))
            for node in ast.walk(tree):
                modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                modules += [node.module] if isinstance(node, ast.ImportFrom) else []
                assert {m.partition(".")[0] for m in modules} <= allowed, name
    described = json.loads((folder / "network.json").read_text())
    assert described["lags"] == {"maps": 1, "mixed": 2, "out": 1, "apart": 1}
    with np.load(folder / "expected.npz", allow_pickle=False) as expected:
        assert {name: len(expected[name]) > 20 for name in expected} == dict.fromkeys(described["lags"], True)
    readme = (folder / "README.md").read_text()
    assert "| mixed | SoftLIF | 9 | 2 |" in readme
    assert not re.search(r"\{\w+\}", readme)


def test_a_folder_is_replaced_and_nothing_else_is(folder, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/file").write_text("mine")
    with pytest.raises(FileAccessError, match="nothing is written into it"):
        write_lava(network("to"), tmp_path / "own")
    with pytest.raises(FileAccessError, match="there is no folder"):
        write_lava(network("to"), tmp_path / "no/such")
    report = write_lava(network("to"), tmp_path / "x", steps=1)
    (tmp_path / "x/notes.txt").write_text("mine")
    assert any("never fires" in w for w in report.warnings)
    write_lava(network("to"), tmp_path / "x", inputs=data(), outputs=["out"], io="injector")
    described = json.loads((tmp_path / "x/network.json").read_text())
    assert (described["steps"], described["samples"], described["outputs"], described["io"]) == (
        40,
        2,
        ["out"],
        "injector",
    )
    assert (tmp_path / "x/notes.txt").read_text() == "mine"
    assert not (tmp_path / "x/custom_processes").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own", "x"]


def run_folder(folder, *options, timeout=250):
    command = [sys.executable, "-I", str(folder / "run.py"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, cwd="/")


@pytest.mark.lava
def test_the_folder_says_which_spikes_differ(folder, tmp_path):
    """One spike is taken out of those expected: it is found, and every other spike is the same in Lava."""
    expected = folder / "expected.npz"
    kept = expected.read_bytes()
    with np.load(expected, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    gone, arrays["mixed"] = arrays["mixed"][7], np.delete(arrays["mixed"], 7, axis=0)
    try:
        np.savez(expected, **arrays)
        done = run_folder(folder, "--check", "--out", tmp_path / "spikes.npz")
    finally:
        expected.write_bytes(kept)
    assert done.returncode == 1, done.stderr
    sample, step, neuron = gone
    assert f"    sample {sample}, step {step}, neuron {neuron}\n" in done.stdout
    assert done.stdout.endswith("1 spikes differ\n")
    with np.load(tmp_path / "spikes.npz", allow_pickle=False) as found:
        assert gone.tolist() in found["mixed"].tolist()


@pytest.mark.lava
def test_the_folder_is_the_same_with_injectors_and_imports_no_spikesim(folder):
    done = run_folder(folder, "--check", "--json", "--io", "injector")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["same"] and found["expected"] == sum(found["spikes"].values()) > 100
    assert "lava" in found["modules"] and "spikesim" not in found["modules"]


@pytest.mark.lava
def test_a_folder_that_takes_too_long_is_ended(folder):
    start = time.monotonic()
    done = run_folder(folder, "--check", "--timeout", 0.3)
    assert done.returncode == 3
    assert "did not finish within 0.3 s and was ended" in done.stderr
    assert time.monotonic() - start < 60


@pytest.mark.lava
def test_a_process_that_dies_in_lava_is_an_error_with_its_traceback(tmp_path):
    """Lava itself would wait for it for ever."""
    line = Projection("x", "a", Dense(np.full((2, 2), 40.0)), delay=np.arange(4) * MS)
    write_lava(Network((Population("a", 2, loihi_lif()),), (line,), (Input("x", 2),)), tmp_path / "x", steps=5)
    with np.load(tmp_path / "x/network.npz", allow_pickle=False) as file:
        arrays = {name: file[name] + 70 * name.endswith("delays") for name in file.files}
    lava_network.save_arrays(tmp_path / "x/network.npz", arrays)
    done = run_folder(tmp_path / "x", "--timeout", 60)
    assert done.returncode == 3
    assert "a process of Lava ended" in done.stderr
    assert "expects values between 0 and 63" in done.stderr


def test_wrong_input_for_a_folder_is_one_sentence(folder, tmp_path):
    np.savez(tmp_path / "x.npz", image=np.zeros((5, 70)), lines=np.zeros((5, 6)))
    done = run_folder(folder, "--input", tmp_path / "x.npz")
    assert done.returncode == 2
    for words in ("input 'line' is missing", "input 'noise' is missing", "there is no input 'lines'"):
        assert words in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(("value", "words"), [
    (network(), ["soft reset", "--reset custom_process", "--reset hard", "--reset self_inhibition"]),
    (network("to").swap(Population("out", 4, lif_soft())), ["not in fixed point", "--quantise"]),
    (network("to").swap(Population("out", 4, loihi_lif(du=np.arange(4.0)))), ["one du per population", "bins=k"]),
    (network("to").swap(Input("line", 6, graded=True)), ["'line' is graded"]),
], ids=["soft", "float", "heterogeneous", "graded"])  # fmt: skip
def test_what_lava_cannot_hold_is_refused_by_name(value, words, tmp_path):
    with pytest.raises(UnsupportedError) as caught:
        write_lava(value, tmp_path / "x")
    for word in words:
        assert word in str(caught.value)
    assert not (tmp_path / "x").exists()


def test_names_that_do_not_exist(tmp_path):
    with pytest.raises(UnknownNameError, match="injector"):
        write_lava(network("to"), tmp_path / "x", io="inject")
    with pytest.raises(UnknownNameError, match="did you mean 'out'"):
        write_lava(network("to"), tmp_path / "x", outputs=["outs"])
    with pytest.raises(UnknownNameError, match="on_soft_reset"):
        write_lava(network(), tmp_path / "x", on_soft_reset="softly")
    with pytest.raises(MissingFileError, match="export --to lava"):
        check_lava(tmp_path / "x")


# -------------------------------------------------------------------------------------------------------- command line
def test_the_command_line_quantises_and_measures_a_hard_reset(tmp_path):
    from spikesim.cli import export_verb

    rng = np.random.default_rng(0)
    net = Network(
        (Population("a", 8, lif_soft()),),
        (Projection("x", "a", Dense(rng.normal(0.2, 0.2, (8, 9)))),),
        (Input("x", 9),),
    )
    net.save(tmp_path / "n.h5")
    app = typer.Typer()
    app.command("export")(export_verb.command)

    def call(*options):
        common = (tmp_path / "n.h5", "--to", "lava", "--out", tmp_path / "net.lava", *options)
        return CliRunner().invoke(app, [str(a) for a in common])

    assert "--quantise" in str(call().exception)
    assert "--reset hard" in str(call("--quantise").exception)
    done = call("--quantise", "--reset", "hard", "--steps", 60, "--json")
    assert done.exit_code == 0, done.exception
    found = json.loads(done.output)
    assert found["status"] == "approximated"
    assert found["verification"]["differing"] > 0
    assert "differ" in (tmp_path / "net.lava/README.md").read_text()


# --------------------------------------------------------------------------------------------------------- live object
@pytest.mark.lava
def test_the_guide_s_live_processes_run(tmp_path, monkeypatch):
    """The guide's own blocks, in a process of their own because Lava fixes it to fork."""
    page = (ROOT / "docs/guides/lava.md").read_text("utf-8")
    live = re.findall(r"<!-- not run: .*tests/test_export_lava.*-->\n```python\n(.*?)```", page, re.S)
    first = re.search(r"```python\n(.*?)```", page, re.S)[1]
    assert live
    monkeypatch.chdir(tmp_path)
    runner._run_child([sys.executable, "-c", first + "\n".join(live)], 250)  # raises if it fails or hangs
