"""One rank of a run that :mod:`spikesim.ranks.launch` has started: ``python -m spikesim.ranks.worker FOLDER``.

``FOLDER`` holds ``job.json`` (arguments of the run), ``network.h5`` and ``inputs.npz``. Rank 0 prints its progress for
the caller, and ends all ranks when its standard input closes: they cannot outlive who started them.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.errors import BackendError, SpikesimError
from spikesim.network import Network
from spikesim.ranks.collective import run
from spikesim.ranks.communicator import Communicator

PROGRESS = "spikesim-progress"  # first word of a line that says how far a run is


def main(folder: Path) -> int:
    """Run the job of a folder and return the exit code."""
    world = Communicator()
    if world.rank == 0:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        _run(folder, world)
    except SpikesimError as error:  # the same on all ranks
        if world.rank == 0:
            Path(folder, "error.json").write_text(json.dumps([type(error).__name__, str(error)]), "utf-8")
        return 2
    return 0


def _run(folder: Path, world: Communicator) -> None:
    job: dict[str, Any] = json.loads(Path(folder, "job.json").read_text("utf-8"))
    wanted = job.pop("ranks")
    if world.size != wanted:
        raise BackendError(
            f"mpiexec was asked for {wanted} ranks, but a process sees {world.size}: it belongs to another MPI than "
            f"mpi4py, which uses {world.library()}; put the mpiexec of that MPI first on PATH"
        )
    with np.load(Path(folder, "inputs.npz"), allow_pickle=False) as file:
        inputs = {name: file[name] for name in file.files}
    run(Network.load(Path(folder, "network.h5")), inputs=inputs, progress=_say, ranks=world, **job)


def _say(done: int, total: int) -> None:
    print(PROGRESS, done, total, flush=True)


def _end_with_stdin() -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os._exit(1)  # mpiexec then ends the other ranks


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
