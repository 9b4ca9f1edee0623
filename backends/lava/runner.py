"""Run integer networks in Lava, in a child process that cannot outlive its time or its caller."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray

import spikesim
from spikesim.backends.lava.availability import availability
from spikesim.backends.lava.job import LavaJob, check_job
from spikesim.backends.lava.jobfile import LavaResult, read_results, write_jobs
from spikesim.errors import BackendError, InvalidValueError, MissingPackageError, UnknownNameError
from spikesim.fixedpoint import IntCounts, IntNetwork, IntRun, IntSample, IntState, check_network, synaptic_events
from spikesim.fixedpoint.program import Engine
from spikesim.fixedpoint.rule_text import SYNAPTIC
from spikesim.fixedpoint.run import InputsLike, as_samples

Which: TypeAlias = bool | Collection[str]

# Long enough for Lava's processes to end and for Python's resource tracker to remove their shared memory.
_GRACE_S = 0.5
_TAIL = 4000


def engine(timeout_s: float) -> Callable[[IntNetwork], Engine]:
    """Return a maker of engines that run a network in Lava, with a limit in seconds."""

    def make(network: IntNetwork) -> Engine:
        def run(columns: int, samples: list[IntSample], wanted: list[str], state: IntState | None) -> IntRun:
            return run_in_lava(network, columns, samples, record_u=wanted, record_v=wanted, timeout_s=timeout_s)

        return run

    return make


def make_job(
    network: IntNetwork,
    steps: int,
    inputs: InputsLike | Sequence[InputsLike] = (),
    *,
    record_u: Which = False,
    record_v: Which = False,
    stride: int = 1,
) -> LavaJob:
    """Check a network and its stimuli; parameters as for `run_in_lava`."""
    check_network(network)
    if stride < 1:
        raise InvalidValueError(f"stride is {stride}; it must be at least 1")
    if steps < 1:
        raise InvalidValueError(f"steps is {steps}; Lava runs at least 1")
    empty = isinstance(inputs, Sequence) and len(inputs) == 0
    samples, batched = as_samples(network, 0, steps, IntSample() if empty else inputs)
    job = LavaJob(network, steps, samples, batched, _names(network, record_u), _names(network, record_v), stride)
    check_job(job)
    return job


def run_in_lava(
    network: IntNetwork,
    steps: int,
    inputs: InputsLike | Sequence[InputsLike] = (),
    *,
    record_u: Which = False,
    record_v: Which = False,
    stride: int = 1,
    timeout_s: float = 300.0,
) -> IntRun:
    """Run a network in the fixed-point CPU simulation of lava-nc 0.10.0.

    Parameters
    ----------
    network
        The network.
    steps
        Columns of each sample, at least 1.
    inputs
        One sample, or a sequence of samples that run one after the other, each from the initial state.
    record_u, record_v
        Which populations to record: all, none, or the names. Spikes are always recorded.
    stride
        u and v are recorded in the columns that it divides.
    timeout_s
        Seconds after which the child and everything it started is ended.

    Returns
    -------
    IntRun
        As from the emulator, but without `state` and without the counts of updates, wraps and clips.

    Raises
    ------
    MissingPackageError
        If lava-nc cannot run here.
    UnsupportedError, DeviceLimitError, NetworkError
        If Lava cannot express the network, or it or the inputs are out of range; lists all problems.
    BackendError
        If the child fails or takes too long; with the end of its output.
    """
    job = make_job(network, steps, inputs, record_u=record_u, record_v=record_v, stride=stride)
    return run_jobs([job], timeout_s=timeout_s)[0]


def run_jobs(jobs: Sequence[LavaJob], *, timeout_s: float = 300.0) -> list[IntRun]:
    """Run several jobs in one child process, which saves the start; see `run_in_lava`."""
    return [_as_run(job, result) for job, result in zip(jobs, measure_jobs(jobs, timeout_s=timeout_s), strict=True)]


def measure_jobs(jobs: Sequence[LavaJob], *, timeout_s: float = 300.0) -> list[LavaResult]:
    """Run several jobs in one child process and return what it measured, with times."""
    able = availability()
    if not able.ok:
        raise MissingPackageError(able.missing, "running in Lava", able.remedy)
    with tempfile.TemporaryDirectory(prefix="spikesim-lava-") as folder:
        job_path, result_path = Path(folder, "job.h5"), Path(folder, "result.h5")
        write_jobs(job_path, jobs)
        worker = [sys.executable, "-m", "spikesim.backends.lava.worker"]
        # The worker ends its process group when its standard input closes, so it cannot outlive us, however we end.
        _run_child([*worker, str(job_path), str(result_path), "--end-with-stdin"], timeout_s)
        return read_results(result_path)


def _names(network: IntNetwork, which: Which) -> list[str]:
    known = [p.name for p in network.populations]
    if isinstance(which, bool):
        return known if which else []
    for name in which:
        if name not in known:
            raise UnknownNameError("population", name, known)
    return [name for name in known if name in which]


def _run_child(command: list[str], timeout_s: float) -> None:
    """Run a command in a process group of its own and leave nothing of the group behind."""
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
        try:
            ended = _wait(child, timeout_s)
        finally:
            _end_group(child)
        if not ended:
            raise BackendError(f"Lava did not finish within {timeout_s:g} s and was ended; {_tail(log)}")
        if child.returncode != 0:
            raise BackendError(f"Lava failed with exit code {child.returncode}; {_tail(log)}")


def _environment() -> dict[str, str]:
    """Let the child find this spikesim, and keep each of its many processes to one thread."""
    here = str(Path(spikesim.__file__).resolve().parent.parent)
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    return {**os.environ, **threads, "PYTHONPATH": path}


def _ended(child: subprocess.Popen[bytes]) -> int | None:
    """Return the child's exit code once it has ended, without reaping it where the system allows that.

    As long as the child is not reaped, no other process group can get the number of its group.
    """
    if not hasattr(os, "waitid"):
        return child.poll()
    info = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return None if info is None else info.si_status


def _wait(child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for the child; return whether it ended in time."""
    deadline, pause = time.monotonic() + timeout_s, 0.005
    while _ended(child) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(0.1, 2 * pause)
    return True


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End what is left of the child's process group, and only that, then reap the child."""
    with contextlib.suppress(ProcessLookupError):
        if _ended(child) != 0:
            # Python's resource tracker ignores this, removes the shared memory of those it ends, then ends, too.
            os.killpg(child.pid, signal.SIGTERM)
            time.sleep(_GRACE_S)
        os.killpg(child.pid, signal.SIGKILL)
    if child.stdin is not None:
        child.stdin.close()
    child.wait()


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _TAIL))
    text = log.read().decode("utf-8", "replace").strip()
    return f"its last output:\n{text}" if text else "it printed nothing"


def _as_run(job: LavaJob, result: LavaResult) -> IntRun:
    """Bring a result into the form of the emulator's."""
    return IntRun(
        steps=job.steps,
        first_column=0,
        samples=len(job.samples) if job.batched else None,
        spikes={p.name: result.spikes[p.name][:, 0 if job.batched else 1 :] for p in job.network.populations},
        u={name: result.u[name] if job.batched else result.u[name][0] for name in job.record_u},
        v={name: result.v[name] if job.batched else result.v[name][0] for name in job.record_v},
        columns=np.arange(0, job.steps, job.stride, dtype=np.int64),
        counts=_counts(job, result),
        learned={
            name: {v: np.asarray((w if job.batched else w[0])[..., k, :]) for k, v in enumerate(SYNAPTIC)}
            for name, w in result.learned.items()
        },
    )


def _counts(job: LavaJob, result: LavaResult) -> IntCounts:
    network, n = job.network, len(job.samples)
    fired: dict[str, NDArray[np.int64]] = {}
    for g in network.inputs:
        events = [np.asarray(s.spikes.get(g.name, np.zeros((0, 3), int))) for s in job.samples]
        fired[g.name] = np.stack([np.bincount(e[:, 1], minlength=g.n) for e in events]).astype(np.int64)
    for p in network.populations:
        counted = np.zeros((n, p.n), np.int64)
        np.add.at(counted, (result.spikes[p.name][:, 0], result.spikes[p.name][:, 2]), 1)
        fired[p.name] = counted
    if not job.batched:
        fired = {name: counted[0] for name, counted in fired.items()}
    totals: Mapping[str, NDArray[np.int64]] = {name: np.asarray(c.sum(axis=-1)) for name, c in fired.items()}
    return IntCounts(totals, synaptic_events(network, fired))
