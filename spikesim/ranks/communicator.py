"""What ranks say to one another: the few messages of a run, over MPI."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.optional import require

YIELDS = 2000  # times that a waiting rank lets others run, before it sleeps: a few milliseconds
PAUSE = 1e-4  # seconds
_let_others_run = getattr(os, "sched_yield", lambda: time.sleep(0))


class Communicator:
    """All processes that ``mpiexec`` has started.

    A rank that waits lets others run, and sleeps after a moment: one that spins takes the core that the last one needs.

    Parameters
    ----------
    comm
        An ``mpi4py.MPI.Intracomm``; by default that of all processes.

    Raises
    ------
    MissingPackageError
        If mpi4py is not installed.
    """

    def __init__(self, comm: Any = None) -> None:
        self._mpi: Any = require("mpi4py.MPI", "running on several ranks")
        self._comm = comm if comm is not None else self._mpi.COMM_WORLD
        self.rank, self.size = int(self._comm.Get_rank()), int(self._comm.Get_size())
        self.exchanges, self.received, self.seconds = 0, 0, 0.0  # counts, bytes from other ranks, time in exchanges
        self._ids = np.zeros(0, np.int32)

    def _wait(self, request: Any) -> None:
        for _ in range(YIELDS):
            if request.Test():
                return
            _let_others_run()
        while not request.Test():
            time.sleep(PAUSE)

    def exchange(self, counts: NDArray[np.int32], ids: NDArray[np.int32]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Give all ranks the spikes of this one.

        Parameters
        ----------
        counts
            int32, of the same shape on every rank: number of spikes of each list.
        ids
            int32: the lists, one after the other.

        Returns
        -------
        counts
            int32 ``[ranks, *shape]``.
        ids
            int32: the lists of all ranks in their order; valid until the next exchange.
        """
        begin = time.perf_counter()
        everyone = np.empty((self.size, *counts.shape), np.int32)
        self._wait(self._comm.Iallgather(counts, everyone))
        sizes = everyone.reshape(self.size, -1).sum(axis=1, dtype=np.int64)
        total = int(sizes.sum())
        if total > len(self._ids):
            self._ids = np.empty(2 * total, np.int32)
        if total:
            self._wait(self._comm.Iallgatherv(ids, (self._ids[:total], sizes)))
        self.exchanges += 1
        self.received += 4 * (total - len(ids)) + everyone.nbytes - counts.nbytes
        self.seconds += time.perf_counter() - begin
        return everyone, self._ids[:total]

    def broadcast(self, value: int) -> int:
        """Return the value that rank 0 gives."""
        array = np.array([value], np.int64)
        self._wait(self._comm.Ibcast(array))
        return int(array[0])

    def add(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the sum over ranks on rank 0, anything on the others."""
        found = np.zeros_like(values)
        self._wait(self._comm.Ireduce(values, found))
        return found

    def join(self, values: NDArray[np.float64], sizes: Sequence[int]) -> list[NDArray[np.float64]]:
        """Return on rank 0 what each rank gives, flattened, and nothing on the others; all know all ``sizes``."""
        total = np.empty(sum(sizes) if self.rank == 0 else 0)
        target = (total, np.asarray(sizes, np.int64)) if self.rank == 0 else None
        self._wait(self._comm.Igatherv(np.ascontiguousarray(values, np.float64).reshape(-1), target))
        return np.split(total, np.cumsum(sizes)[:-1]) if self.rank == 0 else []

    @contextmanager
    def first_of_machine(self) -> Iterator[None]:
        """Let one rank of each machine pass, and the others there when it has left."""
        machine = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED)
        first = machine.Get_rank() == 0
        if not first:
            self._wait(machine.Ibarrier())
        yield
        if first:
            self._wait(machine.Ibarrier())
        machine.Free()

    def library(self) -> str:
        """Return the name and version of the MPI library."""
        return " ".join(str(self._mpi.Get_library_version()).split()[:3])

    def abort(self, code: int) -> None:
        """End all ranks at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._comm.Abort(code)


def under_mpiexec() -> bool:
    """Tell whether ``mpiexec`` or ``srun`` has started this process as one of several; without importing mpi4py.

    >>> under_mpiexec()
    False
    """
    sizes = [os.environ.get(name, "1") for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")]
    if "PMIX_RANK" in os.environ:
        sizes.append(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    return any(size.isdigit() and int(size) > 1 for size in sizes)
