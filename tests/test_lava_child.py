"""The child process in which Lava runs: found or not, ended in time, failing loudly, and never left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikesim.backends.lava import availability as availability_module
from spikesim.backends.lava import runner, shims
from spikesim.backends.lava.availability import availability
from spikesim.backends.lava.job import LavaJob, components, find_unsupported
from spikesim.backends.lava.jobfile import read_jobs, read_results, write_jobs
from spikesim.backends.lava.runner import make_job, measure_jobs, run_in_lava
from spikesim.backends.lava.standalone import lava_network
from spikesim.errors import (
    BackendError,
    DeviceLimitError,
    FileFormatError,
    InvalidValueError,
    MissingPackageError,
    UnknownNameError,
    UnsupportedError,
)
from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection, IntSample


def relay(delay: Any = 0) -> IntNetwork:
    cell = IntPopulation("cell", 1, du=4095, dv=4095, vth=50)
    line = IntProjection.from_dense("line", "in", "cell", [[100]], delay=delay)
    return IntNetwork([cell], [line], [IntInput("in", 1)])


# --- what can be asked -------------------------------------------------------------------------------------------


def test_lava_is_not_imported_by_asking_for_it() -> None:
    code = (
        "import sys; from spikesim.backends.lava import LavaBackend, runner; LavaBackend().availability();"
        "print([m for m in sys.modules if m == 'lava' or m.startswith('lava.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=runner._environment())
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("installed", "numpy", "absent", "missing"),
    [
        ("", "2.3.5", "", "lava-nc"),
        ("lava-nc 0.9.0", "2.3.5", "", "lava-nc==0.10.0 (found lava-nc 0.9.0)"),
        ("lava-nc 0.10.0", "2.4.6", "", "numpy<2.4 (found numpy 2.4.6)"),
        ("lava-nc 0.10.0", "2.3.5", "asteval", "asteval"),
    ],
)
def test_what_is_missing_is_named(
    installed: str, numpy: str, absent: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_module, "available", lambda name: (bool(installed), installed))
    monkeypatch.setattr(availability_module, "version", lambda name: numpy)
    monkeypatch.setattr(availability_module, "find_spec", lambda name: None if name == absent else object())
    assert availability() == (False, missing, "spikesim install lava")
    with pytest.raises(MissingPackageError, match="spikesim install lava"):
        run_in_lava(relay(), 5)


def test_everything_that_lava_cannot_express_is_listed() -> None:
    a = IntPopulation("a", 2, du=[1, 2], dv=[3, 3], vth=[5, 6], reset="soft", quantum=[1, 2], reset_interval=5)
    twice = IntProjection("twice", "in", "a", np.array([0, 3]), np.array([0, 0, 1]), np.array([1, 2, 3]), [0, 1, 0])
    network = IntNetwork([a], [twice], [IntInput("in", 1)])
    with pytest.raises(UnsupportedError) as caught:
        make_job(network, 5)
    text = str(caught.value)
    assert len(caught.value.problems) == 5
    for part in ("one du per", "one vth per", "one quantum per", "reset_interval with", "with different delays"):
        assert part in text
    assert find_unsupported(relay()) == []


def test_other_mistakes_are_named_before_a_child_is_started() -> None:
    with pytest.raises(DeviceLimitError, match="delay is 63"):
        make_job(relay(63), 5)
    with pytest.raises(InvalidValueError, match="steps is 0"):
        make_job(relay(), 0)
    with pytest.raises(InvalidValueError, match="stride is 0"):
        make_job(relay(), 1, stride=0)
    with pytest.raises(UnknownNameError, match="did you mean 'cell'"):
        make_job(relay(), 1, record_u=["cel"])


def test_parts_that_nothing_connects() -> None:
    a, b, c = (IntPopulation(name, 1) for name in "abc")
    lines = [IntProjection.from_dense(pre + post, pre, post, [[1]]) for pre, post in ("xa", "ac", "yb")]
    network = IntNetwork([a, b, c], lines, [IntInput("x", 1), IntInput("y", 1), IntInput("z", 1)])
    parts = components(network)
    assert [[p.name for p in part.populations] for part in parts] == [["a", "c"], ["b"]]
    assert [[p.name for p in part.projections] for part in parts] == [["xa", "ac"], ["yb"]]
    assert [[i.name for i in part.inputs] for part in parts] == [["x"], ["y"]]


def test_a_job_survives_its_file(tmp_path: Path) -> None:
    cells = IntPopulation("ce/ll", 3, du=7, vth=[1, 2, 3], reset="soft", quantum=5, bias_exp=-2, reset_interval=4)
    network = IntNetwork(
        [cells, IntPopulation("b", 1)],
        [
            IntProjection.from_dense(
                "li/ne", "in", "ce/ll", np.arange(6).reshape(3, 2), delay=[[1, 2]] * 3, weight_exp=-1
            )
        ],
        [IntInput("in", 2)],
        allow_negative_bias_exp=True,
    )
    sample = IntSample({"in": np.array([[0, 1]])}, {"b": np.array([[3], [4]])})
    write_jobs(tmp_path / "job.h5", [LavaJob(network, 2, [sample, IntSample()], True, ["b"], [], 2)])
    (job,) = read_jobs(tmp_path / "job.h5")
    for ours, theirs in (
        (network.populations, job.network.populations),
        (network.projections, job.network.projections),
    ):
        for old, new in zip(ours, theirs, strict=True):
            for name, value in vars(old).items():
                assert np.array_equal(value, getattr(new, name)), name
    assert job.network.allow_negative_bias_exp and job.network.inputs == network.inputs
    assert (job.steps, job.batched, job.record_u, job.record_v, job.stride) == (2, True, ["b"], [], 2)
    assert np.array_equal(job.samples[0].spikes["in"], [[0, 1]]) and np.array_equal(
        job.samples[0].drive["b"], [[3], [4]]
    )
    with pytest.raises(FileFormatError, match="spikesim-lava-result version 1 is needed"):
        read_results(tmp_path / "job.h5")


# --- the import shims ---------------------------------------------------------------------------------------------


def test_one_line_is_changed_in_memory_only(tmp_path: Path) -> None:
    good = tmp_path / "good.py"
    good.write_text("from dataclasses import dataclass\n@dataclass\nclass ByteEncoder:\n    x: int = 0\n")
    namespace: dict[str, Any] = {"__name__": "good"}
    exec(lava_network.HashableDefaults("good", str(good)).get_code("good"), namespace)
    assert hash(namespace["ByteEncoder"]()) is not None
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.parametrize("times", [0, 2])
def test_an_unknown_lava_is_refused(times: int, tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("@dataclass\nclass ByteEncoder:\n    pass\n" * times)
    with pytest.raises(ImportError, match="not the file of lava-nc"):
        lava_network.HashableDefaults("bad", str(bad)).get_code("bad")


@pytest.mark.lava
def test_another_start_method_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none=False: "spawn")
    with pytest.raises(BackendError, match="another method than fork"):
        shims.import_lava()


@pytest.mark.lava
def test_importing_lava_after_numba_threads() -> None:
    code = (
        "import multiprocessing, numba, numpy as np\n"
        "from spikesim.backends.lava.shims import import_lava\n"
        "@numba.njit(parallel=True)\n"
        "def f(x):\n"
        "    for i in numba.prange(x.size):\n"
        "        x[i] += 1\n"
        "    return x\n"
        "f(np.zeros(10))\n"
        "before = multiprocessing.set_start_method\n"
        "import_lava(); import_lava()\n"
        "from lava.proc.lif.process import LIF\n"
        "print(multiprocessing.get_start_method(), multiprocessing.set_start_method == before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=runner._environment())
    assert done.stdout.split() == ["fork", "True"], done.stderr


# --- the life of the child ----------------------------------------------------------------------------------------


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Collect the children that a test starts, and check that it leaves nothing of their groups behind."""
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def popen(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*args, **options))
        return started[-1]

    monkeypatch.setattr(runner.subprocess, "Popen", popen)
    yield started
    assert started
    for child in started:
        assert eventually(lambda number=child.pid: not group_exists(number)), "processes were left behind"


def group_exists(number: int) -> bool:
    """Say whether a process group has a member that is not just waiting to be reaped by init."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    states = [
        stat.read_text().rpartition(")")[2].split() for stat in Path("/proc").glob("[0-9]*/stat") if stat.exists()
    ]
    return any(state[0] != "Z" and int(state[2]) == number for state in states) if states else True


def eventually(condition: Any, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.lava
def test_a_run_in_lava(children: list[subprocess.Popen[bytes]]) -> None:
    run = run_in_lava(relay(2), 12, {"in": [(2, 0)]}, record_v=True, timeout_s=60)
    assert run.spikes["cell"].tolist() == [[5, 0]]
    assert run.v["cell"].shape == (12, 1) and run.u == {} and run.state is None
    assert run.counts.events["line"] == 1 and run.counts.active == {}


@pytest.mark.lava
def test_a_run_that_takes_too_long_is_ended(children: list[subprocess.Popen[bytes]]) -> None:
    with pytest.raises(BackendError, match=r"did not finish within 1\.5 s and was ended"):
        run_in_lava(relay(), 1_000_000, timeout_s=1.5)


@pytest.mark.lava
def test_an_error_inside_a_lava_process_is_reported(children: list[subprocess.Popen[bytes]]) -> None:
    unchecked = LavaJob(relay(64), 5, [IntSample()])
    with pytest.raises(BackendError, match="expects values between 0 and 63"):
        measure_jobs([unchecked], timeout_s=60)


@pytest.mark.lava
def test_an_error_in_the_worker_is_reported(
    children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "write_jobs", lambda path, jobs: path.write_bytes(b"not a job"))
    with pytest.raises(BackendError, match=r"exit code 1; its last output:(?s:.*)Unable to .*open file"):
        measure_jobs([], timeout_s=60)


@pytest.mark.lava
def test_an_interrupt_ends_the_child(children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(child: Any, timeout_s: float) -> bool:
        time.sleep(0.5)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_in_lava(relay(), 1_000_000)


@pytest.mark.lava
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_the_child_does_not_outlive_a_killed_caller(tmp_path: Path) -> None:
    code = (
        "from spikesim.backends.lava.runner import run_in_lava\n"
        "from spikesim.fixedpoint import IntNetwork, IntPopulation\n"
        "run_in_lava(IntNetwork([IntPopulation('p', 1)]), 10_000_000)\n"
    )
    env = {**runner._environment(), "TMPDIR": str(tmp_path)}

    def workers() -> list[int]:
        """Count the worker and the Lava processes forked from it: their command line names the job in tmp_path."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue
            if os.fsencode(tmp_path) in line and b"lava.worker" in line:
                found.append(int(path.parent.name))
        return found

    caller = subprocess.Popen([sys.executable, "-c", code], env=env)
    try:
        assert eventually(lambda: len(workers()) > 2, 30), "Lava did not start"
    finally:
        caller.send_signal(signal.SIGKILL)
        caller.wait()
    assert eventually(lambda: not workers())
