"""Backends: what they are, how they are found, and ``run``."""

from __future__ import annotations

import functools
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import spikesim
from spikesim.devices import choose
from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.files.envelope import check_target
from spikesim.graph import Graph
from spikesim.inputs import held, input_arrays, total_steps
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.stimulus import Input


@dataclass(frozen=True)
class Availability:
    """Whether a backend can be used here; if not, why, and what to do."""

    ok: bool
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Options:
    """How to compile and run.

    Parameters
    ----------
    dtype
        ``"float64"`` or ``"float32"`` state.
    threads
        At most so many threads; 0 takes as many as there are processors. Fewer are used where that is faster.
    device
        ``"cpu"``, ``"cuda"``, ... for backends that have a choice.
    timeout
        Seconds after which a backend that runs elsewhere gives up.
    representations
        Projection to the form in which its synapses are stored, for backends that have a choice; the others choose
        by themselves (``spikesim show NETWORK --plan`` lists what they chose). The spikes are the same for all.
    ranks
        The processes that share the network (:class:`spikesim.ranks.Communicator`), or None for this one alone.
    """

    dtype: str = "float64"
    threads: int = 0
    device: str = "cpu"
    timeout: float = 600.0
    representations: Mapping[str, str] = field(default_factory=dict)
    ranks: Any = None

    def __post_init__(self) -> None:
        problems = []
        if self.dtype not in ("float64", "float32"):
            problems.append(f"dtype must be 'float64' or 'float32', found {self.dtype!r}")
        if self.threads < 0:
            problems.append(f"threads must be at least 0 (0: one per processor), found {self.threads}")
        if not self.timeout > 0:
            problems.append(f"timeout must be above 0 s, found {self.timeout}")
        if problems:
            raise InvalidValueError("\n".join(problems))


class Program(Protocol):
    """A compiled network with its state: what :meth:`Backend.compile` returns."""

    graph: Graph
    whole_run: bool  # True for an engine that must be given all steps at once

    def reset(self, samples: int = 1) -> None:
        """Go back to step 0 with initial states, for so many samples."""

    def advance(self, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        """Run some steps and return what happened in them; ``inputs`` are ``[steps, samples, n]``."""

    def step(self, n: int = 1, inputs: Mapping[str, Any] | None = None) -> dict[str, NDArray[np.int64]]:
        """Run some steps and return spike counts, for closed loops (:class:`Stepping`)."""

    def drain(self) -> list[Chunk]:
        """Return what is still under way after the last step (engines whose populations lag behind)."""

    def get_state(self, population: str, variable: str) -> NDArray[Any]:
        """Return a state, ``[samples, n]``."""

    def set_state(self, population: str, variable: str, value: Any) -> None:
        """Replace a state."""

    def get_weights(self, projection: str) -> NDArray[Any]:
        """Return the weights of a projection, one per synapse."""

    def set_weights(self, projection: str, weights: Any) -> None:
        """Replace the weights of a projection (snapped to the port's grid)."""

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of everything that the steps to come depend on: states, sums under way, noise, the step.

        Raises
        ------
        UnsupportedError
            If the engine cannot be stopped and continued; also before the first step.
        """

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a snapshot, of this program or of another one of the same network and precision."""


class Stepping:
    """What every program offers for closed loops, on top of `advance`."""

    graph: Graph
    samples: int

    def step(self, n: int = 1, inputs: Mapping[str, Any] | None = None) -> dict[str, NDArray[np.int64]]:
        """Run some steps and return how often each neuron fired in them.

        Parameters
        ----------
        n
            Number of steps.
        inputs
            Data for each :class:`~spikesim.stimulus.Input`: one value per element, held for all ``n`` steps
            (``[*shape]`` or ``[samples, *shape]``), or ``[n, samples, *shape]``. What is left out is 0.

        Returns
        -------
        dict
            Population name to int64 ``[samples, neurons]``.

        Raises
        ------
        UnknownNameError, InvalidValueError
            If an input is not known or does not fit.
        """
        known = {s.name: s for s in self.graph.sources if isinstance(s, Input)}
        given = dict(inputs or {})
        for name in given:
            if name not in known:
                raise UnknownNameError("input", name, list(known))
        data = {name: held(source, given.get(name, 0), n, self.samples) for name, source in known.items()}
        chunk = self.advance(n, data)  # type: ignore[attr-defined]
        return {node.name: np.asarray(chunk.emitted[node.name]) for node in self.graph.nodes}


@dataclass(frozen=True, eq=False)
class Chunk:
    """What a program reports of some steps.

    Parameters
    ----------
    first, steps
        The steps ``first .. first + steps - 1``.
    spikes
        Population to ``(sample, step, neuron)``, unsorted, steps absolute.
    traces
        ``(population, variable)`` to ``(steps, values[samples, k, neurons])``.
    emitted
        Population or source to int64 ``[samples, n]``: spikes (or non-zero values) per element in these steps.
    active
        Population to int64 ``[samples]``: active updates in these steps.

    Notes
    -----
    The arrays belong to whoever gets the chunk, often another thread: a program never writes to them again.
    """

    first: int
    steps: int
    spikes: Mapping[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]
    traces: Mapping[tuple[str, str], tuple[NDArray[Any], NDArray[Any]]]
    emitted: Mapping[str, NDArray[np.int64]]
    active: Mapping[str, NDArray[np.int64]]


class Backend(Protocol):
    """An engine. Third parties register theirs under the entry point ``spikesim.backends``, as the shipped ones do.

    An engine that can use a GPU may have ``accelerator()``, which returns a :class:`spikesim.devices.Accelerator` or
    the reason why there is none.

    An engine that can store synapses in several ways may have ``explain(graph, options)``, which returns one mapping
    per projection for ``spikesim show NETWORK --plan``.
    """

    name: str

    def availability(self) -> Availability:
        """Tell whether the engine can be used here."""

    def capabilities(self) -> Mapping[str, str]:
        """Say in words what the engine can do, for ``spikesim list backends``."""

    def check(self, graph: Graph) -> list[str]:
        """Return everything about a network that the engine cannot do, one sentence each."""

    def compile(self, graph: Graph, options: Options) -> Program:
        """Prepare a network to run."""


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
