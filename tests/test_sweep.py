"""Sweeps: the figures of single runs, every point kept at once, gone on with after any end."""

import csv
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from spikesim import Network, Population, Projection, Recording, load_sweep, run, sweep
from spikesim.cli import app, register
from spikesim.connect import FixedProbability
from spikesim.devices import cores
from spikesim.errors import FileAccessError, FileFormatError, InvalidValueError, SpikesimError, UnknownNameError
from spikesim.files.sweep_file import Results
from spikesim.models.neurons import lif
from spikesim.statistics import cv_isi
from spikesim.stimulus import PoissonDrive

DURATION = 0.05


def network(rate: float = 2000.0, weight: float = 0.1, kind: str = "to", seed: int = 7) -> Network:
    cell = lif(reset=kind)
    return Network(
        [Population("a", 20, cell), Population("b", 5, cell)],
        [Projection("a", "b", FixedProbability(0.5), weight=weight, delay=1e-3)],
        [PoissonDrive("noise", "a", rate=rate, weight=0.3)],
        seed=seed,
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of the points that are run."""
    seen: list[int] = []

    def counted(*args: Any, **options: Any) -> Recording:
        seen.append(args[0].seed)
        return run(*args, **options)

    monkeypatch.setattr("spikesim.sweeps.run", counted)
    return seen


def test_every_point_has_the_figures_of_its_own_run(tmp_path: Path) -> None:
    grid = {"kind": ["to", "subtract"], "rate": [1000, 3000.5]}
    table = sweep(network, grid, seeds=[3, 5], duration=DURATION, out=tmp_path / "s.h5", jobs=1)
    assert len(table) == 8 and table.parameters == ("kind", "rate") and not table.interrupted
    for row in table.rows():
        alone = run(network(rate=row["rate"], kind=row["kind"], seed=row["seed"]), DURATION)
        assert row["spikes"] == alone.counts.spikes and row["rate_a"] == alone["a"].rate()
        assert row["synaptic_events"] == alone.counts.synaptic_events
        assert row["mean_rate_hz"] == pytest.approx(alone.counts.spikes / (25 * DURATION))
        assert row["cv_a"] == pytest.approx(cv_isi(alone["a"]), nan_ok=True)
    assert [(r["kind"], r["rate"], r["seed"]) for r in table.rows()] == [
        (k, r, s) for k in ("subtract", "to") for r in (1000, 3000.5) for s in (3, 5)
    ]
    assert len(set(table["spikes"].tolist())) > 4  # parameters and seeds do something
    with h5py.File(tmp_path / "s.h5", "r") as file:  # any tool can read it
        assert sorted(file["columns/spikes"][:]) == sorted(table["spikes"])


def test_it_goes_on_with_what_is_missing(tmp_path: Path, calls: list[int]) -> None:
    go = partial(sweep, network, duration=DURATION, out=tmp_path / "s.h5", jobs=1)
    first = go({"rate": [1000.0, 2000.0]}, seeds=2)
    assert calls == [0, 1, 0, 1]
    again = go({"rate": [1000.0, 2000.0]}, seeds=2)
    assert calls == [0, 1, 0, 1] and again.to_dict() == first.to_dict()
    wider = go({"rate": [2000, 4000]}, seeds=[1, 2])  # another grid that shares one point
    assert calls[4:] == [2, 1, 2] and len(wider) == 7
    known = {(r["rate"], r["seed"]): r["spikes"] for r in first.rows()}
    assert all(known.get((r["rate"], r["seed"]), r["spikes"]) == r["spikes"] for r in wider.rows())


def test_a_point_that_fails_says_why_and_is_tried_again(tmp_path: Path, calls: list[int]) -> None:
    def measure(recording: Recording) -> float:
        if recording.meta["seed"] == 1 and not mended:
            raise ValueError("no good\nat all")
        return 42.0

    mended: list[int] = []
    go = partial(sweep, network, {"rate": [900.0]}, seeds=3, duration=DURATION, out=tmp_path / "s.h5", jobs=1)
    table = go(measure=measure)
    assert table["status"].tolist() == ["ok", "failed", "ok"] and "no good" in table["error"][1]
    assert np.isnan(table["spikes"][1]) and table["measured"].tolist()[::2] == [42.0, 42.0]
    (mean,) = table.averaged()
    assert (mean["seeds"], mean["failed"]) == (2, 1) and mean["spikes"] == table["spikes"][[0, 2]].mean()
    mended.append(1)
    table = go(measure=measure)
    assert calls == [0, 1, 2, 1] and table["status"].tolist() == ["ok"] * 3 and table["error"].tolist() == [""] * 3


def counts_over_time(recording: Recording) -> Mapping[str, Any]:
    return {"early": np.histogram(recording["a"].step, 4, (0, 50))[0], "first": recording["a"].step[0]}


def test_measures_recordings_and_csv(tmp_path: Path) -> None:
    table = sweep(
        partial(network, kind="subtract"),
        {"weight": [0.1, 0.2]},
        duration=DURATION,
        out=tmp_path / "s.h5",
        jobs=1,
        measure=counts_over_time,
        recordings=tmp_path / "runs",
    )
    assert table["early"].shape == (2, 4) and table["recording"].tolist() == [
        "weight=0.1_seed=0.h5",
        "weight=0.2_seed=0.h5",
    ]
    for row in table.rows():
        recording = Recording.load(tmp_path / "runs" / row["recording"])
        assert sum(row["early"]) == len(recording["a"]) == recording.counts.populations["a"].spikes[0]
    table.to_csv(tmp_path / "s.csv")
    with (tmp_path / "s.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(r["weight"]) for r in rows] == [0.1, 0.2] and rows[0]["spikes"] == str(int(table["spikes"][0]))
    assert rows[1]["early"] == str([float(n) for n in table["early"][1]])
    with pytest.raises(UnknownNameError, match="did you mean 'rate_a'"):
        table["rate_aa"]


def named_as_a_result(rate_a: float) -> Network:
    return network(rate=rate_a)


def test_a_parameter_with_the_name_of_a_result_fails_rather_than_being_replaced(tmp_path: Path) -> None:
    table = sweep(named_as_a_result, {"rate_a": [900.0]}, duration=DURATION, out=tmp_path / "s.h5", jobs=1)
    assert table["rate_a"].tolist() == [900.0] and "has the name of a result" in table["error"][0]


# ---------------------------------------------------------------------------------------- processes
MODULE = """
import os, signal, time
from spikesim import Network, Population, PoissonDrive
from spikesim.models.neurons import lif

def build(mood=0):
    return Network([Population("a", 10, lif())], stimuli=[PoissonDrive("noise", "a", rate=900.0, weight=0.3)])

def measure(recording):
    seed = recording.meta["seed"]
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 2:
        raise ArithmeticError("bad luck")
    return {"pid": os.getpid(), "omp": int(os.environ["OMP_NUM_THREADS"])}

def slow(recording):
    with open(os.environ["SWEEP_PIDS"], "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.3)
    return 1.0
"""

SCRIPT = """
import sys
import points
import spikesim
if __name__ == "__main__":
    table = spikesim.sweep(points.build, seeds=40, duration=0.01, out="s.h5", jobs=2, measure=points.slow)
    print("interrupted", table.interrupted, len(table))
"""


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that other processes can import."""
    (tmp_path / "points.py").write_text(MODULE)
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SWEEP_PIDS", str(tmp_path / "pids"))
    sys.modules.pop("points", None)
    return importlib.import_module("points")


def test_a_process_that_dies_takes_one_point_with_it(points: ModuleType, tmp_path: Path) -> None:
    before = dict(os.environ)
    done: list[tuple[int, int]] = []
    table = sweep(
        points.build,
        seeds=6,
        duration=DURATION,
        out=tmp_path / "s.h5",
        jobs=2,
        measure=points.measure,
        progress=lambda k, of: done.append((k, of)),
    )
    assert table["status"].tolist() == ["ok", "failed", "failed", "ok", "ok", "ok"]
    assert "exit code -9" in table["error"][1] and table["error"][2] == "ArithmeticError: bad luck"
    assert os.getpid() not in table["pid"] and (table["omp"][[0, 3]] == max(1, cores() // 2)).all()
    assert done == [(k, 6) for k in range(7)] and dict(os.environ) == before
    alone = sweep(points.build, seeds=[0], duration=DURATION, out=tmp_path / "one.h5", jobs=1)
    assert alone["spikes"][0] == table["spikes"][0]


def test_a_script_without_a_guard_is_told_so(points: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and 'put its call under: if __name__ == "__main__":' in done.stderr
    assert "a process of the sweep could not begin" in done.stderr


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except (OSError, FileNotFoundError):
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_end_of_the_parent(points: ModuleType, tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = tmp_path / "pids"
    while not pids.exists() or pids.read_text().count("\n") < 6:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    if number == signal.SIGINT:  # as a terminal does it: to the whole group
        os.killpg(process.pid, number)
    else:
        process.kill()
    said, errors = process.communicate(timeout=20)
    kept = load_sweep(tmp_path / "s.h5")
    assert 2 <= len(kept) < 40 and set(kept["status"]) == {"ok"}
    if number == signal.SIGINT:
        assert f"interrupted True {len(kept)}" in said and not errors
    children = {int(pid) for pid in pids.read_text().split()}
    deadline = time.monotonic() + 10
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, children))
    table = sweep(points.build, seeds=40, duration=0.01, out=tmp_path / "s.h5", jobs=1, measure=fast("slow"))
    assert len(table) == 40 and set(table["status"]) == {"ok"}
    assert table["spikes"][kept["seed"]].tolist() == kept["spikes"].tolist()


def fast(name: str) -> Any:
    def measure(recording: Recording) -> float:
        return 2.0

    measure.__qualname__ = name
    return measure


def test_half_a_point_is_left_out(tmp_path: Path) -> None:
    about = {"parameters": ["g"]}
    results = Results(tmp_path / "s.h5", about, {"g": np.int64, "seed": np.int64}, [], [])
    results.add({"g": 1, "seed": 0, "x": np.arange(3.0)})
    with pytest.raises(InvalidValueError, match=r"arrays of one shape, found \[2\] after \[3\]"):
        results.add({"g": 2, "seed": 0, "x": np.arange(2.0)})
    results.close()
    assert load_sweep(tmp_path / "s.h5")["g"].tolist() == [1]


# ---------------------------------------------------------------------------------------- mistakes
def not_a_network(rate: float = 1.0) -> int:
    return 3


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"grid": {"rat": [1]}}, "did you mean 'rate'"),
        ({"grid": {"seed": [1]}}, "use seeds= for seeds"),
        ({"grid": {"rate": []}}, "a list of at least one value"),
        ({"grid": {"rate": [np.zeros(3)]}}, "numbers or texts"),
        ({"seeds": 0}, "at least one seed"),
        ({"jobs": -1}, "at least 0"),
        ({"network": 3}, "a function that returns a Network, or the file of one, found int"),
        ({"network": not_a_network}, "must return a Network, found int"),
        ({"network": lambda rate: network(rate), "grid": {"rate": [1, 2]}, "jobs": 2}, "or use jobs=1"),
    ],
)
def test_a_mistake_is_said_before_any_work(tmp_path: Path, asked: dict[str, Any], sentence: str) -> None:
    given = {"network": network, "grid": {"rate": [1000.0]}, "jobs": 1} | asked
    with pytest.raises(SpikesimError, match=sentence):
        sweep(**given, duration=DURATION, out=tmp_path / "s.h5")
    assert not os.listdir(tmp_path)


def test_another_sweep_is_not_mixed_in(tmp_path: Path) -> None:
    out = tmp_path / "s.h5"
    go = partial(sweep, out=out, jobs=1)
    go(network, {"rate": [1000.0]}, duration=DURATION)
    before = out.read_bytes()
    for change, sentence in (
        ({"duration": 2 * DURATION}, "duration 0.05 in place of 0.1"),
        ({"grid": {"weight": [0.1]}}, r"parameters \['rate'\] in place of \['weight'\]"),
        ({"network": partial(network, weight=0.2)}, "another network for the same parameters"),
        ({"dtype": "float32"}, "dtype 'float64' in place of 'float32'"),
    ):
        asked = {"network": network, "grid": {"rate": [2000.0]}, "duration": DURATION} | change
        with pytest.raises(InvalidValueError, match=f"{sentence}.*choose another file"):
            go(**asked)
    assert out.read_bytes() == before
    run(network(), DURATION, out=tmp_path / "run.h5")
    with pytest.raises(FileAccessError, match="is a spikesim recording, so no spikesim sweep"):
        go(network, {"rate": [1000.0]}, duration=DURATION, out=tmp_path / "run.h5")
    with pytest.raises(FileFormatError, match=r"holds a spikesim sweep.*spikesim\.load_sweep"):
        Recording.load(out)


# ---------------------------------------------------------------------------------------- command line
def test_the_command_line(tmp_path: Path) -> None:
    network().save(tmp_path / "net.h5")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "spikesim", "sweep", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    words = ("brunel", "--set", "n=100", "-p", "g=4,5", "--seeds", "2", "--time", "20ms", "--jobs", "1", "-o", "s.h5")
    done = call(*words, "--csv", "s.csv")
    assert done.returncode == 0 and "brunel: 4 points" in done.stdout and "results are in s.h5" in done.stdout
    assert (tmp_path / "s.csv").read_text().startswith("g,seed,status,error,spikes,mean_rate_hz,cv_isi,")
    assert load_sweep(tmp_path / "s.h5")["g"].tolist() == [4, 4, 5, 5]
    done = call("net.h5", "-p", "weight=1")
    assert done.returncode == 2 and "unknown parameter of the network: 'weight'" in done.stderr


def test_mistakes_on_the_command_line_and_the_sweep_of_a_file(tmp_path: Path) -> None:
    register()
    for wrong, sentence in (
        (("brunel", "-p", "g"), "--parameter takes name=value"),
        (("brunel", "-p", "g=1:2:0"), "takes two numbers and how many values"),
        (("brunel", "--seeds", "many"), "--seeds takes how many"),
        (("brunnel",), "did you mean 'brunel'"),
        (("brunel", "--time", "long"), "--duration takes a time such as"),
    ):
        result = CliRunner().invoke(app, ["sweep", *wrong, "--out", str(tmp_path / "s.h5")])
        assert isinstance(result.exception, SpikesimError) and sentence in str(result.exception)
    assert not os.listdir(tmp_path)
    network().save(tmp_path / "net.h5")
    table = sweep(tmp_path / "net.h5", seeds=[3, 5], duration=DURATION, out=tmp_path / "s.h5", jobs=1)
    assert table["spikes"][1] == run(network(), DURATION, seed=5).counts.spikes
