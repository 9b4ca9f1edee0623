"""Several processes that share a network: the same spikes as one, and no process left behind.

MPI runs in child processes only. This file is also what they run: ``mpiexec -n N python test_ranks.py FOLDER``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from spikesim import (
    Current,
    Input,
    Network,
    OrnsteinUhlenbeck,
    Poisson,
    PoissonDrive,
    Population,
    Probe,
    Projection,
    Rate,
    Recording,
    SpikeTrains,
    ms,
    neuron,
    optional,
    run,
    spike,
)
from spikesim.connect import Dense, FixedProbability, OneToOne
from spikesim.distributions import Normal, Uniform
from spikesim.errors import InvalidValueError, MissingPackageError
from spikesim.lowering import lower
from spikesim.models.networks import NETWORKS
from spikesim.models.neurons import lif
from spikesim.ranks.communicator import under_mpiexec
from spikesim.ranks.estimate import estimate
from spikesim.ranks.shares import BLOCK, share
from spikesim.recording import differing_spikes

LIMIT = 120.0  # seconds for a set of processes, however they end
BESIDE = Path(sys.executable).parent
# tests may themselves run where Ctrl-C is ignored, as in the background of a shell
CLI = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from spikesim.cli import main; main()"


@neuron(state={"v": 0.0, "w": 0.0}, a=0.9, v_th=1.0)
def own(v, w, i, j, p):  # type: ignore[no-untyped-def]
    """A neuron of the user's own, with two ports and one leak per neuron."""
    u = p.a * v + i - 0.1 * w + j
    s = spike(u - p.v_th)
    return s, u * (1 - s), 0.9 * w + s


def zoo() -> Network:
    """Populations of unequal size, delays from 0 on, all kinds of stimuli, traces of neurons in any order."""
    weights = np.random.default_rng(3).normal(0, 0.05, (200, 30))
    return Network(
        [
            Population("a", 200, own(a=Uniform(0.8, 0.95))),
            Population("b", 70, lif(t_ref=2 * ms)),
            Population("c", 10, lif()),
        ],
        [
            Projection("a", "b", FixedProbability(0.3), weight=Normal(0.2, 0.1), delay=Uniform(1 * ms, 9 * ms)),
            Projection("b", "a", FixedProbability(0.3), weight=-0.3, delay=2 * ms, port="j"),
            Projection("a", "a", FixedProbability(0.2), weight=Normal(0.05, 0.1), delay=Uniform(2 * ms, 5 * ms)),
            Projection("a", "c", FixedProbability(0.5), weight=0.1, delay=0.0),
            Projection("c", "a", FixedProbability(0.5), weight=0.2, delay=3 * ms),
            Projection("p", "a", Dense(weights), delay=1 * ms),
            Projection("t", "b", OneToOne(), weight=2.0, delay=4 * ms),
        ],
        [
            Poisson("p", 30, rate=200.0),
            SpikeTrains("t", 70, times=[2 * ms, 30 * ms], indices=[3, 69]),
            PoissonDrive("n", "a", rate=np.repeat([0.0, 500.0, 2000.0, 9000.0], 50), weight=0.05),
            PoissonDrive("m", "b", rate=Rate([0.0, 0.05], [400.0, 800.0]), weight=0.3),
            PoissonDrive("k", "c", rate=100.0, weight=0.5),
            OrnsteinUhlenbeck("o", "b", mean=0.2, sd=0.3),
            Current("d", "a", times=[0.0], values=np.linspace(0, 0.2, 200)[None], port="j"),
        ],
        probes=[Probe("a", ("v", "w"), every=3, neurons=(199, 5, 64, 0, 128)), Probe("b", ("v",))],
        seed=5,
    )


def batch() -> Network:
    """Graded input, two samples."""
    return Network(
        [Population("x", 150, own), Population("y", 40, own)],
        [
            Projection("in", "x", FixedProbability(0.4), weight=Normal(0.1, 0.1), delay=1 * ms),
            Projection("x", "y", FixedProbability(0.4), weight=Normal(0.1, 0.1), delay=0.0),
        ],
        [Input("in", 20, graded=True), OrnsteinUhlenbeck("o", "y", mean=0.1, sd=0.1)],
        probes=[Probe("y", ("v",))],
    )


def inputs() -> dict[str, Any]:
    return {"in": np.random.default_rng(1).random((60, 2, 20))}


def cases() -> dict[str, tuple[Network, dict[str, Any]]]:
    return {
        "brunel": (NETWORKS["brunel"](n=1250), {"steps": 400}),
        "microcircuit": (NETWORKS["microcircuit"](scale=0.02), {"steps": 300, "dtype": "float32"}),
        "zoo": (zoo(), {"steps": 200}),
        "batch": (batch(), {"inputs": inputs()}),
    }


def main(folder: str) -> None:
    """Run all cases on the ranks that are there."""
    from spikesim import ranks

    for name, (network, arguments) in cases().items():
        recording = ranks.run(network, **arguments)
        if recording is not None:
            recording.save(Path(folder, f"{name}.h5"))


@pytest.fixture
def mpi(require: Callable[[str], ModuleType | None]) -> str:
    """Return mpiexec; skip without mpi4py."""
    require("mpi4py")
    found = shutil.which("mpiexec", path=os.pathsep.join([str(BESIDE), os.environ.get("PATH", "")]))
    assert found, "mpi4py is there, mpiexec is not"
    return found


@pytest.fixture(scope="module")
def alone() -> dict[str, Recording]:
    return {name: run(network, threads=1, **arguments) for name, (network, arguments) in cases().items()}


# --------------------------------------------------------------------------------------------------- the same results
def same(a: Recording, b: Recording) -> None:
    assert differing_spikes(a, b) == 0
    for name, p in a.counts.populations.items():
        assert (p.active == b.counts.populations[name].active).all() and p.spikes.sum() > 0
    for name, q in a.counts.projections.items():
        assert (q.events == b.counts.projections[name].events).all()
    for name, emitted in a.counts.sources.items():
        assert (emitted == b.counts.sources[name]).all()
    for name, traces in a.traces.items():
        for state, trace in traces.items():
            other = b.traces[name][state]
            assert (trace.steps == other.steps).all() and (trace.values == other.values).all()


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_change_no_spike_count_or_trace(
    mpi: str, alone: dict[str, Recording], ranks: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [mpi, "-n", str(ranks), sys.executable, __file__, str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name, recording in alone.items():
        found = Recording.load(tmp_path / f"{name}.h5")
        same(recording, found)
        took = found.meta["ranks"]
        assert sum(took["neurons"]) == sum(s.n for s in recording.spikes.values())
        if name == "brunel":  # a bit for each pair of neurons, and what rounding up to words and repeated pairs add
            bits = sum(estimate(1250, 125, ranks).tables for _ in range(ranks)) / 2**20
            assert bits < sum(took["tables_mb"]) < 1.5 * bits
        # what rank 0 received is what the others have emitted, and a number per list
        assert took["bytes"] <= 4 * recording.counts.spikes + 4 * took["exchanges"] * 3 * 8 * 32 * 2


def test_run_starts_ranks_and_returns_the_recording(mpi: str, alone: dict[str, Recording], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out = tmp_path / "r.h5"
    found = run(batch(), ranks=2, inputs=inputs(), out=out, progress=lambda *x: seen.append(x))
    same(alone["batch"], found)
    same(alone["batch"], Recording.load(out))
    assert seen[-1] == (60, 60)


# --------------------------------------------------------------------------------------------------- who runs what
@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_shares_are_whole_blocks_and_equally_large(ranks: int) -> None:
    sizes = {"a": 1000, "b": 10, "c": 64, "d": 65, "e": 1, "f": 700}
    shares = share(sizes, ranks)
    for name, n in sizes.items():
        bounds = [s[name] for s in shares]
        assert bounds[0][0] == 0 and bounds[-1][1] == n
        assert all(a[1] == b[0] for a, b in pairwise(bounds))
        assert all(lo % BLOCK == 0 or lo == n for lo, _ in bounds)
    held = [sum(hi - lo for lo, hi in s.values()) for s in shares]
    assert max(held) - min(held) <= 2 * BLOCK
    assert min(held) > 0


# --------------------------------------------------------------------------------------------------- mistakes
def test_mistakes_get_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    net = zoo()
    with pytest.raises(InvalidValueError, match="at most 7 ranks"):
        run(net, 0.01, ranks=8)
    with pytest.raises(InvalidValueError, match="at least 1, found 0"):
        run(net, 0.01, ranks=0)
    with pytest.raises(InvalidValueError, match="backend 'numba' on the cpu, found 'torch'"):
        run(net, 0.01, ranks=2, backend="torch")
    with pytest.raises(InvalidValueError, match="cannot be combined with checkpoints"):
        run(net, 0.01, ranks=2, checkpoint_every=1.0)
    with pytest.raises(InvalidValueError, match="the network itself, found Graph"):
        run(lower(net), 0.01, ranks=2)
    monkeypatch.setattr(optional, "version", lambda name: "")
    with pytest.raises(MissingPackageError, match=r"pip install 'spikesim\[mpi\]'"):
        run(net, 0.01, ranks=2)
    monkeypatch.setenv("PMI_SIZE", "2")
    assert under_mpiexec()
    with pytest.raises(InvalidValueError, match="started by mpiexec"):
        run(net, 0.01, ranks=2)


def test_a_mistake_that_ranks_find_is_told_by_the_caller(mpi: str) -> None:
    with pytest.raises(InvalidValueError, match="input 'in' has no data"):
        run(batch(), 0.01, ranks=2)


def test_a_rank_that_is_not_one_of_many_says_so(mpi: str, tmp_path: Path) -> None:
    """As with an mpiexec that belongs to another MPI."""
    (tmp_path / "job.json").write_text('{"ranks": 2}')
    child = [sys.executable, "-m", "spikesim.ranks.worker", str(tmp_path)]
    with subprocess.Popen(child, stdin=subprocess.PIPE) as alone:  # open: a worker ends when it closes
        assert alone.wait(timeout=LIMIT) == 2
    assert "a process sees 1: it belongs to another MPI" in (tmp_path / "error.json").read_text("utf-8")


# --------------------------------------------------------------------------------------------------- how runs end
@pytest.fixture
def long_run(mpi: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a run that takes minutes, wait until it is on its way, and leave nothing of it behind."""
    started: list[subprocess.Popen[str]] = []
    out = tmp_path / "long.h5"

    def start(*front: str) -> subprocess.Popen[str]:
        command = [*front, sys.executable, "-c", CLI, "run", "brunel", "--set", "n=1250", "-d", "3600"]
        child = subprocess.Popen(
            [*command, "--out", str(out), *([] if front else ["--ranks", "2"])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(child)
        end = time.monotonic() + LIMIT
        while not (out.exists() and Recording.load(out).steps > 0):
            assert child.poll() is None and time.monotonic() < end, child.communicate()[0]
            time.sleep(0.05)
        return child

    yield start
    for child in started:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def ranks_of(path: Path) -> list[int]:
    """Return the processes that have a file name on their command line or run a job of launch."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(path).encode() in words:
                found.append(int(folder.name))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")


@needs_proc
def test_when_a_rank_dies_the_others_end(
    long_run: Callable[..., subprocess.Popen[str]], mpi: str, tmp_path: Path
) -> None:
    child = long_run(mpi, "-n", "3")
    path = tmp_path / "long.h5"
    ranks = [
        pid
        for pid in ranks_of(path)
        if pid != child.pid and b"mpiexec" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(ranks) == 3
    os.kill(max(ranks), signal.SIGKILL)
    said, _ = child.communicate(timeout=30)
    assert child.returncode != 0 and "9" in said
    assert not ranks_of(path)
    assert Recording.load(path).meta["interrupted"]


def test_ctrl_c_ends_all_ranks_and_keeps_the_recording(
    long_run: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    child = long_run()
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=30)
    assert child.returncode == 130 and "stopped by Ctrl-C" in said, said
    found = Recording.load(tmp_path / "long.h5")
    assert found.meta["interrupted"] and found.counts.spikes == sum(len(s) for s in found.spikes.values()) > 0


def test_a_rank_that_fails_ends_the_run_with_its_reason(mpi: str, tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text(
        "from spikesim import ranks\n"
        "from spikesim.models.networks import NETWORKS\n"
        "from spikesim.backends.numba.ranks import RankProgram\n"
        "def broken(self, counts, ids):\n    raise ValueError('out of order')\n"
        "world = ranks.Communicator()\n"
        "if world.rank == 1:\n    ranks.Communicator.exchange = broken\n"
        "ranks.run(NETWORKS['brunel'](n=1250), 0.1)\n"
    )
    command = [mpi, "-n", "2", sys.executable, str(script)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode != 0 and "ValueError: out of order" in done.stderr


if __name__ == "__main__":
    main(sys.argv[1])
