"""A run that was killed anywhere goes on and ends with the spikes, traces and counts of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikesim import (
    Input,
    Network,
    OrnsteinUhlenbeck,
    Poisson,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    Recording,
    compile,
    engine,
    ms,
    neuron,
    resume,
    run,
    spike,
)
from spikesim.checkpoint import Checkpoints, identity
from spikesim.connect import Dense, FixedProbability
from spikesim.distributions import Uniform
from spikesim.engine import Chunk, Program
from spikesim.errors import (
    FileAccessError,
    FileFormatError,
    InvalidValueError,
    MissingFileError,
    UnsupportedError,
)
from spikesim.files import recording_writer
from spikesim.files.checkpoint import checkpoint_path, load_checkpoint
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.models.neurons import lif, loihi_lif
from spikesim.session import Session


@neuron(alpha=0.9, v_th=1.0)
def cell(v: Any, i: Any, p: Any) -> Any:
    u = p.alpha * v + i
    s = spike(u - p.v_th)
    return s, u - p.v_th * s


# ---------------------------------------------------------------------------------------- snapshots of programs
def noisy() -> Network:
    """A recurrent network with everything that a program must remember: delays, coloured noise, Poisson drives."""
    return Network(
        [Population("a", 30, lif()), Population("b", 10, lif(tau_m=15 * ms))],
        [
            Projection("a", "b", FixedProbability(0.3), weight=0.2, delay=Uniform(1 * ms, 9 * ms)),
            Projection("b", "a", FixedProbability(0.5), weight=-0.3, delay=4 * ms),
            Projection("in", "a", weight=0.5),
        ],
        [
            Input("in", 3),
            PoissonDrive("fast", "a", rate=900.0, weight=0.3),
            OrnsteinUhlenbeck("coloured", "b", mean=0.03, sd=0.3),
        ],
        [Probe("a", "v", every=3, neurons=(1, 5))],
    )


def fixed() -> Network:
    chip = loihi_lif(v_th=100, du=400, dv=300)
    weights = np.random.default_rng(1).integers(-60, 100, (6, 8)) * 2
    return Network(
        [Population("a", 8, chip), Population("b", 6, chip)],
        [
            Projection("in", "a", Dense(np.full((8, 3), 120))),
            Projection("a", "b", Dense(weights)),
            Projection("b", "a", Dense(weights.T), delay=3 * ms),
        ],
        [Input("in", 3)],
        [Probe("b", "v")],
    )


def chunks_of(program: Program, given: NDArray[Any], cuts: list[int]) -> list[Chunk]:
    return [program.advance(b - a, {"in": given[a:b]}) for a, b in pairwise(cuts)]


def flat(chunks: list[Chunk]) -> dict[str, Any]:
    """Everything in some chunks, in an order that does not depend on where they were cut."""
    found: dict[str, Any] = {"active": sum(sum(a.sum() for a in c.active.values()) for c in chunks)}
    for name in chunks[0].spikes:
        columns = [np.concatenate([np.asarray(c.spikes[name][k]) for c in chunks]) for k in range(3)]
        found[name] = sorted(zip(*(c.tolist() for c in columns), strict=True))
    for key in chunks[0].traces:
        found[str(key)] = np.concatenate([c.traces[key][1] for c in chunks], axis=1).tolist()
    return found


@pytest.mark.parametrize("backend", ["numba", "torch", "loihi"])
@pytest.mark.parametrize("samples", [1, 3])
def test_a_program_goes_on_from_a_snapshot(backend: str, samples: int, require: Callable[[str], Any]) -> None:
    if backend == "torch":
        require("torch")
    graph = lower(fixed() if backend == "loihi" else noisy(), seed=3)
    given = (np.random.default_rng(0).random((90, samples, 3)) < 0.3).astype(np.uint8)
    program = compile(graph, backend)
    program.reset(samples)
    program.advance(37, {"in": given[:37]})
    saved = program.snapshot()
    expected = flat(chunks_of(program, given, [37, 90]))
    assert max(len(v) for k, v in expected.items() if k in ("a", "b")) > 5
    for other in (program, compile(graph, backend)):  # the same one, and one of another process
        other.restore({name: array.copy() for name, array in saved.items()})
        assert flat(chunks_of(other, given, [37, 50, 51, 90])) == expected
    with pytest.raises(InvalidValueError, match="the snapshot does not fit this program"):
        program.restore({})


def test_changed_weights_belong_to_a_snapshot(require: Callable[[str], Any]) -> None:
    for backend in ("numba", "torch"):
        if backend == "torch":
            require("torch")
        net = Network([Population("a", 4, cell)], [Projection("a", "a", Dense(np.ones((4, 4))), delay=1 * ms)])
        program = compile(net, backend)
        program.set_weights("a->a", np.arange(16) / 16)
        saved, other = program.snapshot(), compile(net, backend)
        other.restore(saved)
        assert other.get_weights("a->a").tolist() == (np.arange(16) / 16).tolist()


# ---------------------------------------------------------------------------------------- kills, replayed
def network() -> Network:
    return Network(
        [Population("a", 10, cell), Population("b", 4, cell)],
        [Projection("a", "b", weight=0.3, delay=1e-3), Projection("in", "a", weight=1.0)],
        [Poisson("in", 5, rate=10.0)],
        [Probe("a", "v"), Probe("b", "v", every=3, neurons=(1, 3))],
        seed=5,
    )


class Chaos:
    """A program that needs no engine: logistic maps, whose whole future hangs on every bit of their state."""

    whole_run = False

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.reset()

    def reset(self, samples: int = 1) -> None:
        self.first = 0
        self.x = {n.name: np.add.outer(np.arange(samples) / 7, np.linspace(0.1, 0.2, n.n)) for n in self.graph.nodes}

    def drain(self) -> list[Chunk]:
        return []

    def advance(self, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        when = np.arange(self.first, self.first + steps)
        spikes, traces, emitted, active = {}, {}, {}, {}
        for name, x in self.x.items():
            rows = []
            for _ in range(steps):
                x = 3.9 * x * (1 - x)
                rows.append(x)
            self.x[name], history = x, np.array(rows)
            step, sample, index = np.nonzero(history > 0.8)
            spikes[name] = (sample, step + self.first, index)
            emitted[name], active[name] = (history > 0.8).sum(0), (history > 0.5).sum((0, 2))
            probe = next(p for p in self.graph.probes if p.target == name)
            chosen = slice(None) if probe.neurons is None else list(probe.neurons)
            mine = when % probe.every == 0
            traces[name, "v"] = (when[mine], history[mine][:, :, chosen].swapaxes(0, 1))
        emitted["in"] = np.full((len(x), 5), steps)
        self.first += steps
        return Chunk(int(when[0]), steps, spikes, traces, emitted, active)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        return {name: x.copy() for name, x in self.x.items()} | {"first": np.array(self.first)}

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self.first = int(saved["first"])
        self.x = {name: saved[name].copy() for name in self.x}


STEPS = 10


def chaotic_run(out: Path | None, samples: int = 2, going_on: bool = True, steps: int = STEPS) -> Recording:
    net = network()
    graph = lower(net)
    checkpoints = None
    if out is not None:
        checkpoints = Checkpoints(out, net, identity(net, graph, "chaos", "float64", steps, {}), 0.0, going_on)
        if checkpoints.finished is not None:
            return checkpoints.finished
    meta = {"run": checkpoints.identity} if checkpoints else {}
    with Session(Chaos(graph), samples, steps, {}, meta, out, False, checkpoints) as running:  # type: ignore[arg-type]
        return running.run()


class Killed(BaseException):
    """Stands for the death of the process."""


class Death:
    """Lets a number of operations on files pass, does half of the next one, and then none any more."""

    def __init__(self, patch: pytest.MonkeyPatch, after: float) -> None:
        self.left = after
        self.files: list[Any] = []
        for owner, name in ((os, "replace"), (os, "fsync"), (Path, "unlink")):
            patch.setattr(owner, name, self.counted(getattr(owner, name)))
        stream = recording_writer.Stream
        write = stream._write

        def dying_write(this: Any, start: int, data: bytes) -> None:
            self.files.append(this._file)
            if self.left == 0 and len(data) > 608:  # the head is written at once, larger things are torn apart
                write(this, start, data[: len(data) // 2])
            self.step()
            write(this, start, data)

        patch.setattr(stream, "_write", dying_write)

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def bury(self) -> None:
        """Close what the system closes when a process dies."""
        for file in self.files:
            file.close()

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.step()
            return function(*args, **kwargs)

        return call


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small chunks, commits and checkpoints."""
    monkeypatch.setattr("spikesim.session.FIRST_CHUNK", 6)
    monkeypatch.setattr("spikesim.session.SECONDS_PER_CHUNK", 0.0)  # single steps from then on
    monkeypatch.setattr("spikesim.files.hdf5_stream.CHUNK_BYTES", 2**7)
    monkeypatch.setattr(recording_writer, "COMMIT_SECONDS", 0.0)


def test_a_kill_at_any_operation_on_a_file(tmp_path: Path, often: None) -> None:
    expected = chaotic_run(None)
    with pytest.MonkeyPatch.context() as patch:
        counting = Death(patch, np.inf)
        seen = [counting.left]
        counting.step = lambda: seen.append(0)  # type: ignore[method-assign]
        assert_same(chaotic_run(tmp_path / "whole.h5"), expected)
    operations = len(seen) - 1
    assert operations > 60
    resumed_at = set()
    for k in range(operations):
        out = tmp_path / f"{k}.h5"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            death = Death(patch, k)
            chaotic_run(out)
        death.bury()
        if checkpoint_path(out).exists():
            resumed_at.add(load_checkpoint(checkpoint_path(out)).steps)
        if k % 3 == 0:  # killed again, while it goes on
            with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
                death = Death(patch, 2 + k % 5)
                chaotic_run(out)
            death.bury()
        assert_same(chaotic_run(out), expected)
        assert not checkpoint_path(out).exists()
        assert_same(Recording.load(out), expected)
    assert resumed_at == {0, *range(6, STEPS)}  # every checkpoint has been gone on from


def assert_same(a: Recording, b: Recording) -> None:
    """The same spikes, traces and counts."""
    assert (a.steps, a.samples, a.dt) == (b.steps, b.samples, b.dt)
    assert list(a.spikes) == list(b.spikes) and list(a.traces) == list(b.traces)
    parts = [(a.spikes[n], b.spikes[n]) for n in a.spikes]
    parts += [(t, b.traces[n][v]) for n, traces in a.traces.items() for v, t in traces.items()]
    parts += [(p, b.counts.populations[n]) for n, p in a.counts.populations.items()]
    parts += [(p, b.counts.projections[n]) for n, p in a.counts.projections.items()]
    for mine, other in parts:
        for name, value in vars(mine).items():
            assert np.array_equal(value, getattr(other, name)), name
    assert {k: v.tolist() for k, v in a.counts.sources.items()} == {k: v.tolist() for k, v in b.counts.sources.items()}


# ---------------------------------------------------------------------------------------- real runs
RUNNER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from test_checkpoint import *
from spikesim import session
session.SECONDS_PER_CHUNK = 0.002
run(busy(), 4.0, out=sys.argv[2], checkpoint_every=0.01, resume=True, progress=lambda done, total: time.sleep(0.002))
"""


def busy() -> Network:
    net = noisy()
    return net.with_(
        projections=[p for p in net.projections if p.pre != "in"], stimuli=[s for s in net.stimuli if s.name != "in"]
    )


def written(path: Path) -> int:
    """Return when a file was written, 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def test_kill_minus_nine_at_random_moments(tmp_path: Path) -> None:
    out, chance, steps = tmp_path / "run.h5", random.Random(4), []
    command = [sys.executable, "-c", RUNNER, str(Path(__file__).parent), str(out)]
    for _ in range(3):
        process = subprocess.Popen(command)
        for _ in range(2):  # the first one may hold the step that the run began with
            seen = written(checkpoint_path(out))
            while process.poll() is None and written(checkpoint_path(out)) == seen:
                time.sleep(0.002)
        time.sleep(chance.uniform(0.05, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert Recording.load(out).meta["interrupted"], "it was not killed in time"
        steps.append(load_checkpoint(checkpoint_path(out)).steps)
    assert 0 < steps[0] < steps[1] < steps[2] < 4000
    recording = resume(out)
    assert_same(recording, run(busy(), 4.0))
    assert sorted(os.listdir(tmp_path)) == ["run.h5"]


def test_control_c_writes_a_last_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "run.h5"

    def progress(done: int, total: int) -> None:
        if done >= 60:
            os.kill(os.getpid(), signal.SIGINT)

    stopped = run(busy(), 1.0, out=out, checkpoint_every=3600, progress=progress)
    assert stopped.meta["interrupted"] and load_checkpoint(checkpoint_path(out)).steps == stopped.steps > 0
    whole = run(busy(), 1.0)
    assert_same(run(busy(), 1.0, out=out, resume=True), whole)
    began = os.stat(out).st_mtime_ns
    assert_same(resume(out), whole)  # finished already: nothing to do
    assert_same(run(busy(), 1.0, out=out, resume=True), whole)
    assert os.stat(out).st_mtime_ns == began


def test_fixed_point_populations_that_lag_behind_and_inputs(tmp_path: Path) -> None:
    out = tmp_path / "run.h5"
    given = {"in": np.random.default_rng(0).random((400, 2, 3)) < 0.3}

    def progress(done: int, total: int) -> None:
        if done >= 50:
            os.kill(os.getpid(), signal.SIGINT)

    run(fixed(), backend="loihi", inputs=given, out=out, checkpoint_every=3600, progress=progress)
    other = {"in": ~given["in"]}
    with pytest.raises(InvalidValueError, match="belongs to a run with other inputs"):
        resume(out, inputs=other)
    assert_same(resume(out, inputs=given), run(fixed(), backend="loihi", inputs=given))


# ---------------------------------------------------------------------------------------- what cannot be
@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run of 1000 steps that was stopped after a few."""

    def progress(done: int, total: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    run(busy(), 1.0, out=tmp_path / "run.h5", checkpoint_every=3600, progress=progress)
    return tmp_path / "run.h5"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": 9}, "belongs to a run with seed 0 in place of 9; resume with the same, or delete it"),
        ({"dtype": "float32"}, "dtype 'float64' in place of 'float32'"),
        ({"steps": 77}, "steps 1000 in place of 77"),
        ({"backend": "torch"}, "backend 'numba' in place of 'torch'"),
        ({"network": noisy().with_(projections=[], stimuli=[])}, "a run with another network"),
    ],
)
def test_another_run_is_refused(stopped: Path, change: dict[str, Any], sentence: str) -> None:
    before = stopped.read_bytes()
    asked = {"network": busy(), "steps": 1000} | change
    with pytest.raises(InvalidValueError, match=sentence):
        run(**asked, out=stopped, resume=True)
    assert stopped.read_bytes() == before


def test_what_is_missing_or_damaged_is_said(stopped: Path, tmp_path: Path) -> None:
    checkpoint = checkpoint_path(stopped)
    whole, recording = checkpoint.read_bytes(), stopped.read_bytes()
    checkpoint.write_bytes(whole[:5000] + b"x" + whole[5001:])
    with pytest.raises(FileFormatError, match="do not match its checksum"):
        resume(stopped)
    checkpoint.write_bytes(whole)
    stopped.unlink()
    with pytest.raises(FileAccessError, match=r"run\.h5', which is missing; put the recording back"):
        resume(stopped)
    run(busy(), 0.5, seed=8, out=stopped)
    with pytest.raises(FileAccessError, match="which is the recording of another run"):
        resume(stopped)
    checkpoint.unlink()
    with pytest.raises(FileAccessError, match="is the recording of another run, and there is no checkpoint"):
        run(busy(), 1.0, out=stopped, resume=True)
    stopped.write_bytes(recording)
    with pytest.raises(MissingFileError, match="there is no checkpoint"):
        resume(stopped)
    with pytest.raises(FileFormatError, match=r"holds a spikesim checkpoint.*read it with spikesim\.resume"):
        checkpoint.write_bytes(whole)
        Recording.load(checkpoint)


def test_checkpoints_need_a_file_a_network_and_an_engine_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidValueError, match=r"kept in memory; pass out="):
        run(busy(), 1.0, checkpoint_every=10)
    with pytest.raises(UnsupportedError, match="found a lowered Graph"):
        run(lower(busy()), 1.0, out=tmp_path / "run.h5", checkpoint_every=10)
    with pytest.raises(InvalidValueError, match="at least 0 s, found -1"):
        run(busy(), 1.0, out=tmp_path / "run.h5", checkpoint_every=-1)
    (tmp_path / "run.checkpoint.h5").write_text("mine")
    with pytest.raises(FileAccessError, match="was not written by spikesim, so no spikesim checkpoint"):
        run(busy(), 1.0, out=tmp_path / "run.h5", checkpoint_every=10)
    assert os.listdir(tmp_path) == ["run.checkpoint.h5"]


def test_an_engine_that_takes_the_whole_run_says_so_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikesim.fixedpoint.program import FixedProgram

    def no_engine(*_: Any) -> Any:
        raise AssertionError("it began to work")

    def compiled(graph: Graph, *_: Any) -> FixedProgram:
        return FixedProgram(graph, lambda network: no_engine, whole_run=True)

    monkeypatch.setattr(engine, "compile", compiled)
    given = {"in": np.zeros((10, 1, 3))}
    with pytest.raises(UnsupportedError, match="runs all steps at once"):
        run(fixed(), backend="lava", inputs=given, out=tmp_path / "run.h5", checkpoint_every=10)
    assert not os.listdir(tmp_path)


def test_the_command_line(tmp_path: Path) -> None:
    busy().save(tmp_path / "net.h5")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "spikesim", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    first = ("run", "net.h5", "-d", "0.5", "-o", "run.h5", "--checkpoint-every", "10s")
    assert call(*first).returncode == 0
    expected = Recording.load(tmp_path / "run.h5")
    with pytest.raises(ZeroDivisionError):
        run(busy(), 0.5, out=tmp_path / "run.h5", checkpoint_every=0, progress=lambda done, _: 1 // (done < 100) > 0)
    done = call("resume", "run.h5")
    assert done.returncode == 0 and "recording written to run.h5" in done.stdout, done.stderr
    assert_same(Recording.load(tmp_path / "run.h5"), expected)
    wrong = call("run", "net.h5", "-o", "run.h5", "--checkpoint-every", "soon")
    assert wrong.returncode == 2 and "--checkpoint-every takes a time such as 30s" in wrong.stderr
