"""The command line as a user meets it: exit codes, one sentence for a mistake, JSON, files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spikesim import Network, PoissonDrive, Population, Projection, ms, neuron, spike
from spikesim.cli import app, register
from spikesim.connect import FixedProbability
from spikesim.errors import SpikesimError
from spikesim.models.neurons import lif

register()


@neuron(alpha=0.9, v_th=1.0)
def own(v, i, p):  # type: ignore[no-untyped-def]
    """Somebody's own neuron."""
    u = p.alpha * v + i
    s = spike(u - p.v_th)
    return s, u - p.v_th * s


def call(*words: object) -> str:
    """Run a verb in this process; a user's mistake comes out as its exception."""
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    net = Network(
        [Population("a", 20, own), Population("b", 10, lif())],
        [Projection("a", "b", FixedProbability(0.5), weight=0.3, delay=1 * ms)],
        [PoissonDrive("noise", "a", rate=500.0, weight=0.4)],
    )
    net.save(tmp_path / "net.h5")
    return tmp_path / "net.h5"


def test_run_prints_one_json_object_with_the_agreed_names(network_file: Path) -> None:
    found = json.loads(call("run", network_file, "--duration", 0.2, "--json"))
    wanted = "model backend neurons synapses spikes mean_rate_hz build_s compile_s sim_s biological_s peak_mb seed"
    assert set(wanted.split()) <= set(found)
    assert found["neurons"] == 30 and found["spikes"] > 0 and found["backend"] == "numba"


def test_a_recording_is_written_compared_and_reported(network_file: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "one.h5", tmp_path / "two.h5"
    call("run", network_file, "--duration", 0.2, "--out", first)
    call("run", network_file, "--duration", 0.2, "--out", second, "--dtype", "float64")
    assert "identical" in call("compare", first, second)
    call("run", network_file, "--duration", 0.2, "--out", second, "--seed", 9)
    assert "in one recording only" in call("compare", first, second)
    page = tmp_path / "report.html"
    call("report", first, "--network", network_file, "--out", page)
    text = page.read_text("utf-8")
    assert "<svg" in text or "data:image" in text
    assert "<script" not in text


def test_profile_writes_json_and_csv(network_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    shown = call("profile", network_file, "--duration", 0.1, "--device", "loihi1", "--out", out)
    assert "loihi1" in shown and out.read_text("utf-8").count("\n") > 5
    found = json.loads(call("profile", network_file, "--duration", 0.1, "--device", "loihi2", "--json"))
    assert found["bills"]["loihi2"]["total"] is None


def test_quantise_reports_and_writes(tmp_path: Path) -> None:
    net = Network([Population("a", 6, own)], [Projection("a", "a", weight=0.1, delay=1 * ms)])
    net.save(tmp_path / "net.h5")
    shown = json.loads(call("quantise", tmp_path / "net.h5", "--out", tmp_path / "q.h5", "--json"))
    assert {row["what"] for row in shown["parts"]} >= {"threshold", "weights (rms)"}
    assert Network.load(tmp_path / "q.h5").population("a").model.name == "loihi_lif"


def test_show_and_list() -> None:
    assert "spike" in call("show", "lif_soft")
    assert "def advance(" in call("show", "lif_soft", "--source", "numba")
    assert "d_v = d_i * lam" in call("show", "lif_soft", "--source", "backward")
    for kind in ("backends", "neurons", "networks", "surrogates", "hardware", "data"):
        assert json.loads(call("list", kind, "--json"))[kind]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("run", "brunnel"), "did you mean 'brunel'"),
        (("run", "cuba", "--set", "m=3"), "setting of network 'cuba'"),
        (("run", "cuba", "--set", "n"), "key=value"),
        (("run", "cuba", "--backend", "loihi", "--duration", "0.01"), "not in fixed point"),
        (("show", "lif_sof"), "did you mean 'lif_soft'"),
        (("show", "lif", "--source", "cuda"), "unknown source 'cuda'"),
        (("show", "lif", "--plan"), "'lif' is a neuron; leave --plan out"),
        (("list", "hardwares"), "did you mean 'hardware'"),
        (("profile", "cuba"), "--recording FILE"),
        (("profile", "cuba", "--duration", "0.01", "--device", "loihi7"), "did you mean 'loihi"),
        (("run", "cuba", "--dtype", "float16"), "'float64' or 'float32'"),
        (("run", "cuba", "--threads", "-2"), "threads must be at least 0"),
        (("run", "cuba", "--device", "cuda", "--duration", "0.01"), "runs on the cpu"),
        (("run", "cuba", "--device", "nothing", "--backend", "torch", "--duration", "0.01"), "cannot be used here"),
        (("run", "cuba", "--plot", "no_folder/x.png"), "folder does not exist"),
        (("train", "digits_mlp", "--out", "no_folder/x.h5"), "folder does not exist"),
        (("train", "digits_mlp", "--data", "digit"), "did you mean 'digits'"),
    ],
)
def test_a_mistake_gets_one_clear_sentence(words: tuple[str, ...], part: str) -> None:
    with pytest.raises(SpikesimError) as caught:
        call(*words)
    assert part in str(caught.value)


def test_exit_code_2_and_nothing_half_written(tmp_path: Path) -> None:
    broken = tmp_path / "broken.h5"
    broken.write_bytes(np.random.default_rng(0).bytes(2000))
    for words in (["run", str(broken)], ["run", str(tmp_path / "absent.h5")], ["run", "nothing"]):
        command = [sys.executable, "-m", "spikesim", *words, "--out", str(tmp_path / "out.h5")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("spikesim: ") and "Traceback" not in done.stderr
        assert not (tmp_path / "out.h5").exists()
