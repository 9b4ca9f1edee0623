"""Recordings in files: exact, readable after any kill, flat in memory, never in the way of other people's files."""

import copy
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikesim import Network, Poisson, Population, Probe, Projection, Recording, neuron, spike
from spikesim.collect import Collector, order_of
from spikesim.counts import Counts
from spikesim.engine import Chunk
from spikesim.errors import FileAccessError, FileFormatError, MissingFileError
from spikesim.files import recording_writer
from spikesim.files.background import ROOM, Background
from spikesim.files.hdf5_snapshot import Snapshot
from spikesim.files.hdf5_stream import CHUNK_BYTES, HEAD, Stream
from spikesim.files.recording_writer import Writer
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.session import Session

KIND = "spikesim recording"


@neuron(alpha=0.9, v_th=1.0)
def cell(v: Any, i: Any, p: Any) -> Any:
    u = p.alpha * v + i
    s = spike(u - p.v_th)
    return s, u - p.v_th * s


def graph(scale: int = 1) -> Graph:
    return lower(
        Network(
            [Population("a", 10 * scale, cell), Population("b", (2, 2), cell)],
            [Projection("a", "b", weight=0.3, delay=1e-3), Projection("in", "a", weight=1.0)],
            [Poisson("in", 5, rate=10.0)],
            [Probe("a", "v"), Probe("b", "v", every=3, neurons=(1, 3))],
        )
    )


def fires(steps: NDArray[np.int64], sample: int, n: int) -> NDArray[np.bool_]:
    """Which neurons fire at which steps: a function of both, so that any part of a run can be checked."""
    mixed = steps[:, None] * 7919 + np.arange(n) * 104729 + sample * 15485863
    return np.asarray((mixed ^ (mixed >> 7)) % 11 == 0)


class Fake:
    """A program that needs no engine: what it reports is known for every step."""

    whole_run = False

    def __init__(self, graph: Graph, pause: float = 0.0) -> None:
        self.graph, self.pause = graph, pause

    def reset(self, samples: int = 1) -> None:
        self.first, self.samples = 0, samples

    def drain(self) -> list[Chunk]:
        return []

    def advance(self, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        time.sleep(self.pause)
        when = np.arange(self.first, self.first + steps)
        spikes, emitted = {}, {"in": np.full((self.samples, 5), steps)}
        for node in self.graph.nodes:
            raster = np.stack([fires(when, k, node.n) for k in range(self.samples)], axis=1)
            step, sample, index = np.nonzero(raster)
            shuffled = np.random.default_rng(self.first).permutation(len(step))
            spikes[node.name] = (sample[shuffled], step[shuffled] + self.first, index[shuffled])
            emitted[node.name] = raster.sum(axis=0)
        active = {n.name: emitted[n.name].sum(axis=1) + steps for n in self.graph.nodes}
        chunk = Chunk(self.first, steps, spikes, dict(self._traces(when)), emitted, active)
        self.first += steps
        return chunk

    def _traces(self, when: NDArray[np.int64]) -> Iterator[tuple[tuple[str, str], tuple[Any, Any]]]:
        for probe in self.graph.probes:
            n = self.graph.node(probe.target).n if probe.neurons is None else len(probe.neurons)
            steps = when[when % probe.every == 0]
            values = np.sin(steps)[:, None] + np.arange(n) + 10.0 * np.arange(self.samples)[:, None, None]
            yield (probe.target, "v"), (steps, values)


def run(out: Path | None, steps: int = 1000, samples: int = 1, **options: Any) -> Recording:
    with Session(Fake(graph(), **options), samples, steps, {}, {"seed": 7, "backend": "fake"}, out, False) as running:
        return running.run()


def assert_same(a: Recording, b: Recording) -> None:
    assert list(a.spikes) == list(b.spikes) and list(a.traces) == list(b.traces)
    for name, spikes in a.spikes.items():
        assert_equal_fields(spikes, b.spikes[name])
        for variable, trace in a.traces.get(name, {}).items():
            assert_equal_fields(trace, b.traces[name][variable])
    assert_same_counts(a.counts, b.counts)


def assert_same_counts(a: Counts, b: Counts) -> None:
    assert (a.steps, a.samples, a.dt, a.source_sizes) == (b.steps, b.samples, b.dt, b.source_sizes)
    for parts_a, parts_b in ((a.populations, b.populations), (a.projections, b.projections)):
        assert list(parts_a) == list(parts_b)
        for name, part in parts_a.items():
            assert_equal_fields(part, parts_b[name])
    assert {k: v.tolist() for k, v in a.sources.items()} == {k: v.tolist() for k, v in b.sources.items()}


def assert_equal_fields(a: Any, b: Any) -> None:
    for name, value in vars(a).items():
        other = getattr(b, name)
        if isinstance(value, np.ndarray):
            assert value.dtype == other.dtype and np.array_equal(value, other), name
        else:
            assert value == other, name


# ---------------------------------------------------------------------------------------- round trips
@pytest.mark.parametrize("samples", [1, 3])
def test_streamed_saved_and_kept_are_the_same(samples: int, tmp_path: Path) -> None:
    kept = run(None, samples=samples)
    streamed = run(tmp_path / "streamed.h5", samples=samples)
    kept.save(tmp_path / "saved.h5")
    assert_same(kept, streamed)
    assert_same(kept, Recording.load(tmp_path / "saved.h5"))
    assert kept.meta.keys() == streamed.meta.keys() and not streamed.meta["interrupted"]
    assert streamed.meta["seed"] == 7 and {"spikesim", "numpy", "python"} <= set(streamed.meta["versions"])
    assert sorted(os.listdir(tmp_path)) == ["saved.h5", "streamed.h5"]
    assert str(kept) == str(streamed)


def test_order_in_memory_and_in_the_file(tmp_path: Path) -> None:
    recording = run(tmp_path / "run.h5", samples=2)
    spikes = recording["a"]
    assert order_of(spikes.sample, spikes.step, spikes.neuron) == slice(None)
    assert np.array_equal(spikes.dense()[:, 1], fires(np.arange(1000), 1, 10))
    with h5py.File(tmp_path / "run.h5", "r") as file:
        columns = [file[f"spikes/a/{c}"][:] for c in ("step", "sample", "neuron")]
        assert order_of(*columns) == slice(None) and file["spikes/a/step"].maxshape == (None,)
        assert file["spikes/a/step"].compression == "gzip"
        assert file["traces/b/v/values"].shape == (334, 2, 2) and file["traces/b/v/neurons"][:].tolist() == [1, 3]
        assert file.attrs["format"] == KIND and file.attrs["steps"] == 1000 and file.attrs["dt"] == 1e-3
        assert json.loads(file["meta"][()])["backend"] == "fake"


def test_many_chunks_of_a_table(tmp_path: Path) -> None:
    stream = Stream(tmp_path / "t.h5", KIND, 1)
    table, wide = stream.table("x", np.int32), stream.table("deep/y", np.float64, (3, 1000))
    stream.values["empty"] = np.zeros((0, 3))
    for first in range(0, 5_000_000, 250_000):
        table.append(np.arange(first, first + 250_000))
        wide.append(np.full((1, 3, 1000), first))
        stream.commit()
    stream.close()
    with h5py.File(tmp_path / "t.h5", "r") as file:
        assert file["x"].chunks == (CHUNK_BYTES // 4,) and np.array_equal(file["x"][:], np.arange(5_000_000))
        assert file["x"].id.get_num_chunks() == 153  # more than fit into one node of the B-tree
        assert np.array_equal(file["deep/y"][:, 2, 999], np.arange(0, 5_000_000, 250_000)) and file["empty"].shape == (
            0,
            3,
        )
    with h5py.File(tmp_path / "t.h5", "r+") as file:  # the library may change it afterwards
        file["more"] = np.arange(5)
        file["x"].resize((5_000_100,))
        file["x"][-100:] = 7
    with h5py.File(tmp_path / "t.h5", "r") as file:
        assert np.array_equal(file["x"][:5_000_000], np.arange(5_000_000)) and (file["x"][-100:] == 7).all()


def test_an_empty_recording_and_odd_names(tmp_path: Path) -> None:
    net = Network(
        [Population("ä b.c", 2, cell), Population("silent", 1, cell)], probes=[Probe("silent", "v", neurons=())]
    )
    collector = Collector(lower(net), 1)
    collector.close({"note": "nothing happened", "path": tmp_path, "array": np.arange(2), "inf": float("inf")})
    collector.recording().save(tmp_path / "empty.h5")
    again = Recording.load(tmp_path / "empty.h5")
    assert_same(collector.recording(), again)
    assert again.meta["array"] == [0, 1] and again.meta["inf"] == float("inf") and again.meta["path"] == str(tmp_path)


# ---------------------------------------------------------------------------------------- kills
class LoggedFile:
    """A file that remembers what was written where, in order."""

    def __init__(self, file: BinaryIO, log: list[tuple[int, bytes]]) -> None:
        self._file, self._log = file, log

    def write(self, data: Any) -> int:
        self._log.append((self._file.tell(), bytes(data)))
        return self._file.write(data)

    def truncate(self, size: int) -> int:
        self._log.append((-size, b""))
        return self._file.truncate(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_kill_between_any_two_writes_leaves_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prefix of the writes, and every write cut at a page boundary (there a kill can cut one)."""
    monkeypatch.setattr(recording_writer, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr("spikesim.files.hdf5_stream.CHUNK_BYTES", 2**11)  # so that chunks are finished often
    log: list[tuple[int, bytes]] = []
    writer = Writer(tmp_path / "run.h5", graph(), 2, {})
    first = (tmp_path / "run.h5").read_bytes()
    writer._file.stream._file = LoggedFile(writer._file.stream._file, log)  # type: ignore[assignment]
    program = Fake(graph())
    program.reset(2)
    for _ in range(25):
        writer.add(program.advance(20, {}))
    writer._file.stream.abandon()
    assert sum(len(data) == HEAD for _, data in log) == 25
    image, seen, killed = bytearray(first), set(), tmp_path / "killed.h5"
    for start, data in log:
        pieces = range(4096 - start % 4096, len(data), 4096) if start >= 0 else ()
        for piece in (*pieces, len(data)):
            _write(image, start, data[:piece])
            killed.write_bytes(image)
            seen.add(check_prefix(killed, samples=2))
    assert seen == set(range(0, 501, 20))


def _write(image: bytearray, start: int, data: bytes) -> None:
    size = -start if start < 0 else start + len(data)
    image.extend(bytes(max(0, size - len(image))))
    if start >= 0:
        image[start:size] = data


def check_prefix(path: Path, samples: int) -> int:
    """Check that a file is the exact recording of the first steps of a run, and return how many."""
    with h5py.File(path, "r") as file:
        steps = int(file.attrs["steps"])
        for name, n in (("a", 10), ("b", 4)):
            raster = np.zeros((steps, samples, n), bool)
            columns = {c: d[:] for c, d in file[f"spikes/{name}"].items()}
            sample = columns.get("sample", np.zeros_like(columns["step"]))
            raster[columns["step"], sample, columns["neuron"]] = True
            assert order_of(columns["step"], sample, columns["neuron"]) == slice(None)
            expected = np.stack([fires(np.arange(steps), k, n) for k in range(samples)], axis=1)
            assert np.array_equal(raster, expected) and len(sample) == expected.sum()
            assert file[f"counts/spikes/{name}"][:].tolist() == expected.sum(axis=(0, 2)).tolist()
            assert file[f"counts/active/{name}"][:].tolist() == (expected.sum(axis=(0, 2)) + steps).tolist()
        assert file["counts/emitted/in"][:].tolist() == [5 * steps] * samples
        assert file["traces/a/v/step"][:].tolist() == list(range(steps)) or steps == 0
        if steps:
            assert np.allclose(file["traces/a/v/values"][:, 0, 3], np.sin(np.arange(steps)) + 3)
    return steps


# A server that forks a run for every line it reads: the imports are paid once.
SERVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from test_recording import *
from spikesim import session
if sys.argv[3] != "-":
    recording_writer.COMMIT_SECONDS = float(sys.argv[3])
session.SECONDS_PER_CHUNK = float(sys.argv[4])
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        program = Fake(graph(), pause=float(sys.argv[2]))
        with Session(program, 1, 10**9, {}, {"seed": 1}, line.strip(), False) as running:
            running.run()
    print(child, flush=True)
    os.waitpid(child, 0)
"""


class Runs:
    """Runs in processes of their own, to be killed."""

    def __init__(self, pause: float, commit: str, chunk: float) -> None:
        here = str(Path(__file__).parent)
        command = [sys.executable, "-c", SERVER, here, str(pause), commit, str(chunk)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> "Runs":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def kill(self, path: Path, after: float) -> float:
        """Start a run, kill it after so many seconds from the first sight of its file, return when that was."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        while not path.exists():
            time.sleep(0.001)
        begin = time.perf_counter()
        time.sleep(after)
        lasted = time.perf_counter() - begin
        os.kill(pid, signal.SIGKILL)
        return lasted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_minus_nine_at_random_moments(tmp_path: Path) -> None:
    """Forty runs that do little else than write are killed; every file is whole and opens at once."""
    seen = []
    chance = random.Random(1)
    with Runs(pause=0.0, commit="0", chunk=0.01) as runs:
        for k in range(40):
            path = tmp_path / f"{k}.h5"
            runs.kill(path, chance.uniform(0.0, 0.12))
            seen.append(check_prefix(path, samples=1))
            recording = Recording.load(path)
            assert recording.meta["interrupted"] and recording.steps == seen[-1] == recording["a"].steps
            assert recording.counts.populations["a"].spikes[0] == len(recording["a"])
    assert len(set(seen)) > 5, seen  # the moments differ, also on a busy machine


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_run_lacks_at_most_the_last_second(tmp_path: Path) -> None:
    with Runs(pause=0.05, commit="-", chunk=0.0) as runs:  # one step in 50 ms from the second chunk on
        lasted = runs.kill(tmp_path / "run.h5", 2.3)
    steps = check_prefix(tmp_path / "run.h5", samples=1)
    assert steps > 50 + (lasted - 1.0) / 0.2  # a busy machine takes longer than 50 ms for a step


def test_reading_a_run_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_writer, "COMMIT_SECONDS", 0.0)
    writer = Writer(tmp_path / "run.h5", graph(), 1, {})
    program = Fake(graph())
    program.reset()
    for k in range(1, 5):
        writer.add(program.advance(100, {}))
        early = Recording.load(tmp_path / "run.h5")
        assert early.steps == 100 * k and early.meta["interrupted"]
        for _ in range(3):  # both areas are written over; what was loaded stays what it was
            writer._commit()
        assert np.array_equal(early["a"].dense()[:, 0], fires(np.arange(100 * k), 0, 10))
    writer.close({"interrupted": False})
    assert not Recording.load(tmp_path / "run.h5").meta["interrupted"]


# ---------------------------------------------------------------------------------------- stops and errors
def test_control_c_saves(tmp_path: Path) -> None:
    def progress(done: int, total: int) -> None:
        if done >= 60:
            os.kill(os.getpid(), signal.SIGINT)

    with Session(Fake(graph()), 1, 10**9, {}, {}, tmp_path / "run.h5", progress) as running:
        recording = running.run()
    assert recording.meta["interrupted"] and 60 <= recording.steps < 10**9
    assert check_prefix(tmp_path / "run.h5", samples=1) == recording.steps


def test_an_engine_that_fails_leaves_what_was_before(tmp_path: Path) -> None:
    program = Fake(graph())
    advance = program.advance

    def failing(steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        if program.first >= 50:
            raise RuntimeError("no more")
        return advance(steps, inputs)

    program.advance = failing  # type: ignore[method-assign]
    with Session(program, 1, 500, {}, {}, tmp_path / "run.h5", False) as running, pytest.raises(RuntimeError):
        running.run()
    assert check_prefix(tmp_path / "run.h5", samples=1) == 50
    assert Recording.load(tmp_path / "run.h5").meta["interrupted"]


def test_a_chunk_that_breaks_half_way_is_left_out(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run.h5", graph(), 1, {})
    program = Fake(graph())
    program.reset()
    writer.add(program.advance(30, {}))
    writer._commit()
    broken = program.advance(30, {})
    object.__setattr__(broken, "spikes", {**broken.spikes, "b": (1, 2)})
    with pytest.raises(ValueError, match="unpack"):
        writer.add(broken)
    writer.close({})
    assert check_prefix(tmp_path / "run.h5", samples=1) == 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_full_disk_leaves_a_whole_file(tmp_path: Path) -> None:
    code = (
        "import resource, sys\nsys.path.insert(0, sys.argv[1])\nfrom test_recording import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nrecording_writer.COMMIT_SECONDS = 0\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))\n"
        "try:\n    run(Path(sys.argv[2]), 10**9)\nexcept FileAccessError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / "run.h5")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cannot be written any further" in done.stdout and "run.h5" in done.stdout
    assert check_prefix(tmp_path / "run.h5", samples=1) > 50
    assert os.listdir(tmp_path) == ["run.h5"]


class Recorded:
    """A writer that remembers its chunks, and may be slow or fail."""

    def __init__(self, pause: float = 0.0, fail_at: int = -1) -> None:
        self.pause, self.fail_at, self.steps = pause, fail_at, 0
        self.seen: list[int] = []
        self.ended = ""

    def add(self, chunk: Chunk) -> None:
        time.sleep(self.pause)
        if chunk.first == self.fail_at:
            raise OSError("the disk is on fire")
        self.seen.append(chunk.first)
        self.steps += chunk.steps

    def close(self, meta: Mapping[str, Any]) -> None:
        self.ended = "closed"


def empty(first: int) -> Chunk:
    return Chunk(first, 1, {}, {}, {}, {})


def test_the_thread_that_writes_gets_everything_in_order_and_keeps_little_waiting() -> None:
    before = threading.active_count()
    writer = Recorded(pause=0.01)
    background = Background(writer)  # type: ignore[arg-type]
    for k in range(30):
        background.add(empty(k))
        assert k + 1 - len(writer.seen) <= ROOM + 1  # those that wait, and one in hand
    assert background.steps == 30 == len(writer.seen)
    background.close({})
    assert writer.seen == list(range(30)) and writer.ended == "closed"
    assert threading.active_count() == before


def test_an_error_in_the_thread_that_writes_comes_out_in_the_run() -> None:
    writer = Recorded(fail_at=3)
    background = Background(writer)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="on fire"):
        for k in range(1000):
            background.add(empty(k))
    background.close({})  # it has been raised: once is enough
    assert writer.seen == [0, 1, 2] and writer.ended == "closed"  # what is whole is kept
    writer = Recorded(fail_at=0)
    late = Background(writer)  # type: ignore[arg-type]
    late.add(empty(0))
    with pytest.raises(OSError, match="on fire"):
        late.close({})
    assert writer.ended == "closed"


def test_numbers_that_do_not_shrink_are_stored_as_they_are(tmp_path: Path) -> None:
    stream, noise = Stream(tmp_path / "t.h5", KIND, 1), np.random.default_rng(0).random(20 * CHUNK_BYTES // 8)
    stream.table("noise", np.float64).append(noise)
    stream.table("clock", np.int64).append(np.arange(len(noise)))
    stream.close()
    with h5py.File(tmp_path / "t.h5", "r") as file:
        masks = [file["noise"].id.get_chunk_info(k).filter_mask for k in range(20)]
        assert masks == [0] + [3] * 15 + [0] + [3] * 3
        assert all(file["clock"].id.get_chunk_info(k).filter_mask == 0 for k in range(20))
        assert np.array_equal(file["noise"][:], noise) and np.array_equal(file["clock"][:], np.arange(len(noise)))


def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.h5"
    with h5py.File(precious, "w") as file:
        file["x"] = 1
    before = precious.read_bytes()
    with pytest.raises(FileAccessError, match="exists and was not written by spikesim"):
        run(precious)
    Network([Population("a", 1, cell)]).save(tmp_path / "net.h5")
    with pytest.raises(FileAccessError, match="is a spikesim network, so no spikesim recording is written over it"):
        run(tmp_path / "net.h5")
    with pytest.raises(FileAccessError, match="there is no folder"):
        run(tmp_path / "nowhere" / "run.h5")
    assert precious.read_bytes() == before and sorted(os.listdir(tmp_path)) == ["net.h5", "thesis.h5"]


def test_a_new_run_replaces_an_old_recording_which_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    old = run(path, 500)
    new = run(path, 300)
    assert (new.steps, Recording.load(path).steps) == (300, 300)
    assert old["a"].steps == 500 and old["a"].step.max() > 300  # its descriptor still leads to the old file
    path.unlink()
    assert len(old["b"]) == fires(np.arange(500), 0, 4).sum()


def test_two_runs_with_one_name_lose_nothing(tmp_path: Path) -> None:
    program = Fake(graph())
    program.reset()
    first = Writer(tmp_path / "run.h5", graph(), 1, {})
    first.add(program.advance(70, {}))
    run(tmp_path / "run.h5", 200)
    with pytest.warns(UserWarning, match=r"was replaced or deleted during the run; its recording is in .*run-1\.h5"):
        first.close({})
    assert first.recording().steps == 70 and check_prefix(tmp_path / "run-1.h5", samples=1) == 70
    assert check_prefix(tmp_path / "run.h5", samples=1) == 200


def test_recordings_can_be_copied_and_pickled(tmp_path: Path) -> None:
    recording = run(tmp_path / "run.h5", 100)
    assert_same(recording, pickle.loads(pickle.dumps(recording)))
    assert_same(recording, copy.deepcopy(recording))
    assert "c" not in recording.spikes and len(recording.spikes) == 2
    with pytest.raises(KeyError):
        recording.spikes["c"]


# ---------------------------------------------------------------------------------------- bad files
def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    run(path)
    whole = path.read_bytes()
    with pytest.raises(MissingFileError, match=r"did you mean 'run\.h5'"):
        Recording.load(tmp_path / "rum.h5")
    with pytest.raises(FileFormatError, match="holds a spikesim recording, expected a spikesim network"):
        Network.load(path)
    path.write_bytes(whole[:-50])
    with pytest.raises(FileFormatError, match=rf"truncated, found {len(whole) - 50} bytes, expected {len(whole)}"):
        Recording.load(path)
    path.write_bytes(whole[:HEAD] + whole[HEAD:].replace(b"backend", b"b4ckend"))
    with pytest.raises(FileFormatError, match="does not match its checksum"):
        Recording.load(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 7)), max_size=3), st.integers(0, 2**20))
def test_random_damage_never_raises_anything_else(
    finished: tuple[Path, Recording], tmp_path: Path, flips: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(finished[0].read_bytes())
    for byte, bit in flips:
        data[byte % len(data)] ^= 1 << bit
    path = tmp_path / "run.h5"
    path.write_bytes(data[: cut % (2 * len(data))])
    try:
        assert_same(finished[1], Recording.load(path))
    except FileFormatError as error:
        assert "\n" not in str(error)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recording]:
    path = tmp_path_factory.mktemp("recordings") / "run.h5"
    run(path, 20_000)  # enough for finished chunks
    with Snapshot(path, KIND, 1) as snapshot:
        assert snapshot._area_start > HEAD
    return path, run(None, 20_000)


# ---------------------------------------------------------------------------------------- memory
MEMORY = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from test_recording import *
from spikesim import session
marks = []
def progress(done, total):
    marks.append((done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
program = Fake(graph(scale=2))
session.FIRST_CHUNK = 5000
session.SECONDS_PER_CHUNK = 0.02
with Session(program, 1, 10**6, {}, {}, sys.argv[2], progress) as running:
    recording = running.run()
tenth = next(mb for done, mb in marks if done >= 10**5)
print(json.dumps([tenth / 1024, marks[-1][1] / 1024, recording.counts.spikes, recording.meta["peak_mb"]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs getrusage")
def test_a_million_steps_in_flat_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEMORY, str(Path(__file__).parent), str(tmp_path / "run.h5")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    early, late, spikes, _ = json.loads(done.stdout)
    assert spikes > 2_000_000
    memory = (16 * spikes + 20 * 8 * 10**6) / 2**20  # megabytes of spikes and traces
    assert late - early < 50 < 0.3 * memory  # a few chunks, whose size follows the speed of the machine
    assert Recording.load(tmp_path / "run.h5").counts.spikes == spikes
