"""Backends: how they are found, and ``run``. What they are stands in :mod:`spikesim.program`."""

from __future__ import annotations

import functools
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import spikesim
from spikesim.devices import choose
from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.files.envelope import check_target
from spikesim.graph import Graph
from spikesim.inputs import input_arrays, total_steps
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.program import Availability, Backend, Chunk, Options, Program, Stepping
from spikesim.recording import Recording


def backends() -> dict[str, Callable[[], Backend]]:
    """Return the registered backends by name; each value loads and makes one."""
    return {e.name: partial(_load, e) for e in _registered()}


@functools.cache
def _registered() -> tuple[importlib.metadata.EntryPoint, ...]:
    """Read what is installed, once: it takes as long as a short run."""
    return tuple(importlib.metadata.entry_points(group="spikesim.backends"))


def _load(entry: importlib.metadata.EntryPoint) -> Backend:
    engine: Backend = entry.load()()
    return engine


def backend(name: str) -> Backend:
    """Return a backend by name.

    Raises
    ------
    UnknownNameError
        If no such backend is registered.
    """
    known = backends()
    if name not in known:
        raise UnknownNameError("backend", name, list(known))
    return known[name]()


def compile(network: Network | Graph, backend_name: str = "numba", options: Options | None = None) -> Program:
    """Lower and compile a network for a backend; the program can be run, stepped, read and changed.

    Parameters
    ----------
    network
        A network, or an already lowered graph.
    backend_name
        Which engine.
    options
        How.

    Raises
    ------
    UnsupportedError
        If the engine cannot run the network; all reasons are listed.
    MissingPackageError
        If the engine is not installed.
    """
    engine = backend(backend_name)
    available = engine.availability()
    if not available.ok:
        from spikesim.errors import MissingPackageError

        raise MissingPackageError(available.reason, f"backend {backend_name!r}", available.remedy)
    graph = network if isinstance(network, Graph) else lower(network)
    problems = engine.check(graph)
    if problems:
        raise UnsupportedError(problems, f"backend {backend_name!r} cannot run network {graph.name!r}:")
    return engine.compile(graph, options or Options())


def run(
    network: Network | Graph,
    duration: float | None = None,
    *,
    steps: int | None = None,
    backend: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    seed: int | None = None,
    dtype: str = "float64",
    threads: int = 0,
    device: str = "cpu",
    timeout: float = 600.0,
    representations: Mapping[str, str] | None = None,
    ranks: int = 1,
    out: str | Path | None = None,
    checkpoint_every: float | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] | bool = False,
) -> Recording:
    """Run a network and return what happened.

    Parameters
    ----------
    network
        A network, or an already lowered graph.
    duration
        Seconds of biological time; or give ``steps``. With ``inputs``, their length is the default.
    steps
        Number of steps.
    backend
        ``"numba"`` (the default), ``"torch"``, ``"loihi"``, ``"lava"`` or a third party's.
    inputs
        Data for each :class:`~spikesim.stimulus.Input`: ``[steps, samples, *shape]`` or ``[steps, *shape]``.
    seed
        Replaces the network's seed.
    dtype, threads, device, timeout, representations
        See :class:`Options`. ``device="auto"`` takes a GPU where the network is large enough for it, and the backend
        with it if that is left open; ``meta["device_reason"]`` says why (:mod:`spikesim.devices`).
    ranks
        Processes of this machine that share the network over MPI (:mod:`spikesim.ranks`), each with one thread unless
        ``threads`` says more; needs ``spikesim[mpi]`` and the backend ``"numba"``.
    out
        HDF5 file to stream the recording to while running; it stays readable if the run is killed.
    checkpoint_every
        Seconds of wall time after which a checkpoint is written beside ``out``; see :mod:`spikesim.checkpoint`.
    resume
        Go on from the checkpoint beside ``out``; begin where there is none yet, return ``out`` where it is finished.
    progress
        True for a bar on the terminal, or a function of (steps done, steps in all).

    Returns
    -------
    Recording

    Examples
    --------
    >>> from spikesim import Network, PoissonDrive, Population, run
    >>> from spikesim.models.neurons import lif
    >>> net = Network([Population("a", 10, lif())], stimuli=[PoissonDrive("noise", "a", rate=900.0, weight=0.3)])
    >>> recording = run(net, 0.1)
    >>> recording.steps, recording.samples, len(recording["a"]) > 0
    (100, 1, True)
    """
    from spikesim.session import Session

    if out is not None:
        check_target(out, "spikesim recording")  # before the work begins
    if ranks != 1:
        Options(dtype, threads, device, timeout)  # says what is wrong with them
        where = "cpu" if device == "auto" else device
        check_ranks(ranks, backend or "numba", where, checkpoint_every is not None or resume)
        from spikesim.ranks.launch import launch

        arguments = {"duration": duration, "steps": steps, "seed": seed, "dtype": dtype, "threads": threads or 1}
        forms = dict(representations or {})
        return launch(network, ranks, {**arguments, "representations": forms}, inputs, out, progress)
    begin = time.perf_counter()
    graph = network if isinstance(network, Graph) else lower(network, seed=seed)
    built = time.perf_counter()
    backend, device, reason = choose(graph, backend, device)
    data, samples, length = input_arrays(graph, inputs or {})
    total = total_steps(graph, duration, steps, length)
    checkpoints = None
    if checkpoint_every is not None or resume:
        from spikesim.checkpoint import Checkpoints, identity

        same = identity(network, graph, backend, dtype, total, data)
        checkpoints = Checkpoints(out, network, same, checkpoint_every, resume)
        if checkpoints.finished is not None:
            return checkpoints.finished
    program = compile(graph, backend, Options(dtype, threads, device, timeout, dict(representations or {})))
    compiled = time.perf_counter()
    meta = {
        "backend": backend,
        "seed": graph.seed,
        "dtype": dtype,
        "device": device,
        "spikesim": spikesim.__version__,
        "network": graph.name,
        "neurons": graph.neurons,
        "synapses": graph.synapses,
        "build_s": built - begin,
        "compile_s": compiled - built,
    }
    if reason:
        meta["device_reason"] = reason
    if checkpoints is not None:
        meta["run"] = checkpoints.identity
    with Session(program, samples, total, data, meta, out, progress, checkpoints) as session:
        return session.run()


def check_ranks(ranks: int, backend: str, device: str, checkpoints: bool) -> None:
    """Raise an InvalidValueError unless so many ranks can share a network on that backend and device."""
    if ranks < 1:
        raise InvalidValueError(f"ranks must be at least 1, found {ranks}")
    if (backend, device) != ("numba", "cpu"):
        raise InvalidValueError(
            f"ranks={ranks} needs backend 'numba' on the cpu, found {backend!r} on {device!r}; leave ranks out, or "
            "choose that backend"
        )
    if checkpoints:
        raise InvalidValueError(f"ranks={ranks} cannot be combined with checkpoints yet; leave one of them out")


def resume(
    out: str | Path,
    *,
    inputs: Mapping[str, Any] | None = None,
    checkpoint_every: float | None = None,
    threads: int = 0,
    device: str = "cpu",
    progress: Callable[[int, int], None] | bool = False,
) -> Recording:
    """Go on with a run that was killed or stopped; the checkpoint beside its recording holds what else is needed.

    Parameters
    ----------
    out
        The recording.
    inputs
        The data that the run was given, if it was; they are not in the checkpoint.
    checkpoint_every
        Seconds between checkpoints; as before by default.
    threads, device, progress
        See :func:`run`; they do not change the result.

    Returns
    -------
    Recording
        The same spikes, traces and counts as of a run without an interruption.

    Raises
    ------
    MissingFileError
        If there is no checkpoint beside an unfinished recording.
    """
    from spikesim.checkpoint import interrupted_run

    found = interrupted_run(out)
    if isinstance(found, Recording):
        return found
    return run(
        found.network,
        **{name: found.run[name] for name in ("steps", "backend", "dtype")},
        inputs=inputs,
        threads=threads,
        device=device,
        out=out,
        checkpoint_every=checkpoint_every,
        resume=True,
        progress=progress,
    )


__all__ = [
    "Availability",
    "Backend",
    "Chunk",
    "Options",
    "Program",
    "Stepping",
    "backend",
    "backends",
    "check_ranks",
    "compile",
    "resume",
    "run",
]
