"""One run on all ranks: rank 0 drives the session, the others follow."""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import spikesim
from spikesim.engine import Options, compile
from spikesim.errors import BackendError, SpikesimError
from spikesim.files.envelope import check_target
from spikesim.graph import Graph
from spikesim.inputs import input_arrays, total_steps
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.ranks.communicator import Communicator
from spikesim.ranks.shares import share
from spikesim.recording import Recording
from spikesim.session import Session


def run(
    network: Network,
    duration: float | None = None,
    *,
    steps: int | None = None,
    inputs: Mapping[str, Any] | None = None,
    seed: int | None = None,
    dtype: str = "float64",
    threads: int = 1,
    representations: Mapping[str, str] | None = None,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | bool = False,
    ranks: Communicator | None = None,
) -> Recording | None:
    """Run a network on all processes that ``mpiexec`` has started; each calls this with the same arguments.

    Parameters
    ----------
    network, duration, steps, inputs, seed, dtype, representations, out, progress
        As for :func:`spikesim.run`. The file is written by rank 0.
    threads
        Threads of each rank; 0 takes as many as there are processors.
    ranks
        Who takes part; by default all.

    Returns
    -------
    Recording or None
        On rank 0 what a run in one process returns, with what the ranks took in ``meta["ranks"]``; None on the others.

    Raises
    ------
    MissingPackageError
        If mpi4py is not installed.
    SpikesimError
        As from :func:`spikesim.run`, on all ranks. Anything unexpected on one rank ends all of them.
    """
    world = ranks or Communicator()
    _check_target(world, out)
    begin = time.perf_counter()
    with _all_or_none(world, SpikesimError):  # a mistake of the user is found by all
        graph = lower(network, seed=seed)
        share({n.name: n.n for n in graph.nodes}, world.size)
        built = time.perf_counter()
        data, samples, length = input_arrays(graph, inputs or {})
        total = total_steps(graph, duration, steps, length)
        options = Options(dtype, threads, representations=dict(representations or {}), ranks=world)
        program: Any = compile(graph, "numba", options)
        compiled = time.perf_counter()
    with _all_or_none(world):
        if world.rank > 0:
            handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops rank 0, and that stops the others
            program.follow(samples, data)
            signal.signal(signal.SIGINT, handler)
            return None
        meta = _meta(graph, dtype, built - begin, compiled - built) | {"ranks": program.figures}
        with Session(program, samples, total, data, meta, out, progress) as session:
            return session.run()


def _check_target(world: Communicator, out: str | Path | None) -> None:
    """Refuse a file that rank 0 cannot write, on all ranks."""
    problem: SpikesimError | None = None
    if out is not None and world.rank == 0:
        try:
            check_target(out, "spikesim recording")
        except SpikesimError as error:
            problem = error
    if world.broadcast(int(problem is not None)):
        raise problem or BackendError("rank 0 cannot write the recording")


def _meta(graph: Graph, dtype: str, build: float, compilation: float) -> dict[str, Any]:
    return {
        "backend": "numba",
        "seed": graph.seed,
        "dtype": dtype,
        "device": "cpu",
        "spikesim": spikesim.__version__,
        "network": graph.name,
        "neurons": graph.neurons,
        "synapses": graph.synapses,
        "build_s": build,
        "compile_s": compilation,
    }


class _all_or_none:
    """Ends all ranks when one fails, for the others would wait for it for ever; except where all fail alike."""

    def __init__(self, world: Communicator, alike: type[BaseException] | tuple[()] = ()) -> None:
        self.world, self.alike = world, alike

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None or self.world.size == 1 or isinstance(error, self.alike):
            return
        who = f"rank {self.world.rank} of {self.world.size}"
        if isinstance(error, KeyboardInterrupt):
            print(f"{who} was stopped by Ctrl-C", file=sys.stderr)
            self.world.abort(130)
        if isinstance(error, SpikesimError):
            print(f"{who} failed: {error}", file=sys.stderr)
        else:
            print(f"{who} failed:", file=sys.stderr)
            traceback.print_exception(kind, error, trace)
        self.world.abort(1)
