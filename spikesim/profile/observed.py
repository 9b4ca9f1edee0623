"""What is known of a run besides its counts: which elements emitted, and what was under way when it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.counts import Counts
from spikesim.drive import source_values
from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.inputs import input_arrays
from spikesim.recording import Recording
from spikesim.stimulus import Input

Ints = NDArray[np.int64]
MADE_AGAIN = 1 << 24  # values of a stimulus that are computed again; a larger one stays unknown


@dataclass(frozen=True, eq=False)
class Observed:
    """A run as a profile sees it.

    Parameters
    ----------
    counts
        Its counts.
    emitted
        Spikes (or non-zero values) of every element, int64 ``[samples, n]``, where they are known.
    late
        What was emitted in the last steps, the last one first, as far back as the longest delay; each ``[samples, n]``.
    values
        What sources emitted, ``[steps, samples, n]``, where it is known.
    recording
        The recording, if it was one.
    """

    counts: Counts
    emitted: Mapping[str, Ints] = field(default_factory=dict)
    late: Mapping[str, Sequence[Ints]] = field(default_factory=dict)
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    recording: Recording | None = None

    @cached_property
    def rasters(self) -> dict[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
        """``(sample, step, element)`` of all that was emitted, of those of which it is known."""
        found: dict[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = {}
        for name, values in self.values.items():
            step, sample, element = np.nonzero(values)
            found[name] = (sample, step, element)
        for name in (n for n in self.emitted if self.recording is not None and n in self.recording.spikes):
            spikes = self.recording.spikes[name]  # type: ignore[union-attr]
            found[name] = (spikes.sample, spikes.step, spikes.neuron)
        return found


def observe(run: Recording | Counts, graph: Graph, inputs: Mapping[str, Any] | None = None) -> Observed:
    """Collect what is known of a run.

    Parameters
    ----------
    run
        A recording, or only its counts.
    graph
        The network that ran.
    inputs
        The data that it was given, as for :func:`spikesim.run`.

    Raises
    ------
    InvalidValueError
        The inputs are not those of the run.
    """
    counts = run if isinstance(run, Counts) else run.counts
    values = _given(graph, counts, inputs or {}) | _made(graph, counts, run)
    emitted: dict[str, Ints] = {name: np.count_nonzero(v, axis=0) for name, v in values.items()}
    late: dict[str, Sequence[Ints]] = {
        name: [(v[k] != 0).astype(np.int64) for k in range(len(v) - 1, max(-1, len(v) - 1 - graph.max_delay), -1)]
        for name, v in values.items()
    }
    if isinstance(run, Counts):
        return Observed(counts, emitted, late, values)
    for name, spikes in run.spikes.items():
        per_element, counted = spikes.counts(), counts.populations.get(name)
        if counted is not None and np.array_equal(per_element.sum(axis=1), counted.spikes):
            emitted[name] = per_element
            late[name] = _last_steps(spikes, min(graph.max_delay, counts.steps))
    return Observed(counts, emitted, late, values, run)


def _last_steps(spikes: Any, number: int) -> list[Ints]:
    found = [np.zeros((spikes.samples, spikes.n), np.int64) for _ in range(number)]
    age = spikes.steps - 1 - np.asarray(spikes.step)
    recent = np.flatnonzero(age < number)
    for k in recent:
        found[int(age[k])][spikes.sample[k], spikes.neuron[k]] += 1
    return found


def _given(graph: Graph, counts: Counts, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Check the inputs against the run: they must hold as many spikes as it counted."""
    if not inputs:
        return {}
    arrays, _, _ = input_arrays(graph, inputs)
    for name, array in arrays.items():
        cut = array[: counts.steps]
        emitted = _as_emitted(graph, name, cut)
        if not np.array_equal(np.count_nonzero(emitted, axis=(0, 2)), counts.sources[name]):
            raise InvalidValueError(
                f"inputs[{name!r}] holds {np.count_nonzero(emitted)} spikes or values in {len(cut)} steps, the run "
                f"counted {int(counts.sources[name].sum())}; give the input of this run, or leave inputs out"
            )
        arrays[name] = emitted
    return arrays


def _as_emitted(graph: Graph, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return the values as a run emits them: graded ones rounded, so that the smallest vanish."""
    source = graph.source(name)
    return array if source is None else source_values(graph, source, 0, len(array), array.shape[1], array)


def _made(graph: Graph, counts: Counts, run: Recording | Counts) -> dict[str, NDArray[Any]]:
    """Compute stimuli that are functions of the seed again, where that is little work and gives what was counted."""
    seed = graph.seed if isinstance(run, Counts) else run.meta.get("seed", graph.seed)
    found = {}
    for source in graph.sources:
        size = counts.steps * counts.samples * source.n
        if isinstance(source, Input) or size > MADE_AGAIN or seed != graph.seed:
            continue
        values = source_values(graph, source, 0, counts.steps, counts.samples, None)
        if np.array_equal(np.count_nonzero(values, axis=(0, 2)), counts.sources[source.name]):
            found[source.name] = values
    return found
