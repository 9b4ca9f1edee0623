"""What an engine is given and gives: options, a program that is driven in chunks, and the engine itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.graph import Graph
from spikesim.inputs import held
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
