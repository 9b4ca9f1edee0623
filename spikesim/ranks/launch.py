"""Start the ranks of a run on this machine, watch them, and return their recording."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from spikesim import errors
from spikesim.errors import BackendError, InvalidValueError, MissingPackageError, SpikesimError
from spikesim.files.recording_reader import load_recording
from spikesim.network import Network
from spikesim.optional import require
from spikesim.ranks.communicator import under_mpiexec
from spikesim.ranks.shares import share
from spikesim.ranks.worker import PROGRESS
from spikesim.recording import Recording
from spikesim.session import bar

INSTALL = "pip install 'spikesim[mpi]'"
TAIL = 30  # lines of what a failed run has said


def launch(
    network: Any,
    ranks: int,
    arguments: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | bool = False,
) -> Recording:
    """Run a network on so many processes of this machine.

    Parameters
    ----------
    network
        A network; a lowered graph cannot be handed to other processes.
    ranks
        How many.
    arguments
        Further arguments of :func:`spikesim.ranks.run` that JSON can hold.
    inputs, out, progress
        As for :func:`spikesim.run`.

    Returns
    -------
    Recording
        Of the file ``out``, or of a temporary one that disappears with it.

    Raises
    ------
    InvalidValueError
        If there cannot be so many ranks.
    MissingPackageError
        If mpi4py or ``mpiexec`` is missing.
    BackendError
        If a rank dies; the others are ended too.
    SpikesimError
        What a run in one process would raise.
    """
    _check(network, ranks)
    command = [_mpiexec(), "-n", str(ranks), sys.executable, "-m", "spikesim.ranks.worker"]
    with tempfile.TemporaryDirectory(prefix="spikesim-ranks-") as folder:
        path = Path(out) if out is not None else Path(folder, "recording.h5")
        network.save(Path(folder, "network.h5"))
        arrays: dict[str, Any] = {name: np.asarray(x) for name, x in (inputs or {}).items()}
        np.savez(Path(folder, "inputs.npz"), **arrays)
        job = {**arguments, "ranks": ranks, "out": str(path.resolve())}
        Path(folder, "job.json").write_text(json.dumps(job), "utf-8")
        code, said = _watch([*command, folder], progress)
        problem = Path(folder, "error.json")
        if problem.exists():
            raise _error(*json.loads(problem.read_text("utf-8")))
        if code:
            kept = f"; what was recorded up to then is in {str(out)!r}" if out is not None and path.exists() else ""
            raise BackendError(
                f"a rank has failed, so all {ranks} were ended (exit code {code}){kept}. The last they said:\n"
                + "".join(said).strip()
            )
        return load_recording(path)


def _check(network: Any, ranks: int) -> None:
    if under_mpiexec():
        raise InvalidValueError(
            f"this process was started by mpiexec, so it cannot start {ranks} ranks of its own; call "
            "spikesim.ranks.run, which uses the ranks that are there"
        )
    if not isinstance(network, Network):
        raise InvalidValueError(
            f"ranks={ranks} needs the network itself, found {type(network).__name__}: each rank lowers its own part"
        )
    share({p.name: p.n for p in network.populations}, ranks)
    require("mpi4py", f"running on {ranks} ranks")


def _mpiexec() -> str:
    """Return the mpiexec beside this Python, where pip puts it, or the one on the path."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("mpiexec", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise MissingPackageError("mpich", "starting ranks with mpiexec", INSTALL)
    return found


def _watch(command: list[str], progress: Callable[[int, int], None] | bool) -> tuple[int, deque[str]]:
    """Run a command to its end; Ctrl-C is passed on once, and then ends it."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,  # closes with us: rank 0 ends then, and mpiexec the others
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal sends Ctrl-C to all processes: each would get it twice
    )
    said: deque[str] = deque(maxlen=TAIL)
    reader = threading.Thread(target=_keep, args=(child.stderr, said), daemon=True)
    reader.start()
    try:
        with bar(progress, 1000) as show:  # of a thousand: the ranks know how many steps there are

            def report(done: int, total: int) -> None:
                show(*((done, total) if callable(progress) else (1000 * done // total, 1000)))

            stopped = False
            while True:
                try:
                    _follow(child.stdout, report, said)
                    child.wait()
                    break
                except KeyboardInterrupt:
                    if stopped:
                        raise
                    stopped = True
                    child.send_signal(signal.SIGINT)
    finally:
        _end(child)
        reader.join(timeout=5)
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream:
                stream.close()
    return child.returncode, said


def _follow(lines: IO[str] | None, report: Callable[[int, int], None], said: deque[str]) -> None:
    for line in lines or ():
        if line.startswith(PROGRESS):
            done, total = line.split()[1:]
            report(int(done), int(total))
        else:
            said.append(line)  # mpiexec says here how its processes ended


def _keep(lines: IO[str] | None, said: deque[str]) -> None:
    said.extend(lines or ())


def _end(child: subprocess.Popen[str]) -> None:
    """Leave nothing running."""
    if child.poll() is None:
        child.terminate()  # mpiexec ends its ranks
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _error(name: str, text: str) -> SpikesimError:
    """Return the exception that a rank has raised, of the same class where one sentence makes it."""
    kind = getattr(errors, name, BackendError)
    try:
        error = kind(text)
    except TypeError:
        error = InvalidValueError(text)
    return error if str(error) == text else InvalidValueError(text)
