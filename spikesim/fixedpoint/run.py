"""What goes into a run of an integer network and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError, NetworkError
from spikesim.fixedpoint.network import IntNetwork

Events: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class IntSample:
    """One stimulus.

    Parameters
    ----------
    spikes
        For each input by name: integers of shape (k, 2), rows (column, source) in any order, each pair once; for a
        graded input of shape (k, 3), rows (column, source, payload), where a payload of 0 is no spike.
        Columns count from the start of the simulation, also when a run continues another one.
    drive
        For each population by name: integers of shape (steps, n), added to the arriving sum of the same column, before
        the shift by 6. It is what Lava does with a source that is connected to ``LIF.a_in`` without a ``Dense``.
    """

    spikes: Mapping[str, ArrayLike] = field(default_factory=dict)
    drive: Mapping[str, ArrayLike] = field(default_factory=dict)


MESSAGE_BITS = 24  # of a graded spike, signed; Lava's graded ports have 24 bits, Loihi 2 up to 32
PAYLOAD_HIGH = 2 ** (MESSAGE_BITS - 1) - 1

InputsLike: TypeAlias = IntSample | Mapping[str, ArrayLike]


@dataclass(frozen=True, eq=False)
class IntState:
    """Everything that the future of a run depends on, so that it can be continued exactly.

    Parameters
    ----------
    column
        The next column.
    u, v
        int32, shape (samples, neurons): populations one after the other, in the order of the network.
    arrivals
        int32, shape (samples, slots, neurons): sums under way; slot ``c % slots`` arrives in column ``c``.
    wait
        int32, shape (samples, neurons): for how many columns v is still held at 0 after a spike.
    beside
        State of what learns and of graded spikes under way, by name, with a sample axis in front.
    """

    column: int
    u: NDArray[np.int32]
    v: NDArray[np.int32]
    arrivals: NDArray[np.int32]
    wait: NDArray[np.int32]
    beside: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class IntCounts:
    """Integer totals of a run, by name; each an int64 array of shape () or, for a batch, (samples,).

    Parameters
    ----------
    spikes
        Spikes of each input and each population.
    events
        Synaptic events of each projection: for every spike of a source, the synapses it has. Events count when the
        spike is fired, those that arrive after the end of the run too.
    active, idle
        Neuron updates of each population with a nonzero arriving sum or a spike, and all the others.
    wraps, clips
        How often a current wrapped around 24 bit, how often a voltage hit the end of its range.

    Notes
    -----
    An engine that cannot see a number leaves its mapping empty.
    """

    spikes: Mapping[str, NDArray[np.int64]]
    events: Mapping[str, NDArray[np.int64]]
    active: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    idle: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    wraps: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    clips: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class IntRun:
    """What an engine recorded.

    Parameters
    ----------
    steps
        Number of columns of this run.
    first_column
        Its first column; 0 unless the run continued another one.
    samples
        Size of the batch, or None if one sample was given on its own; then there is no sample axis below.
    spikes
        For each recorded population: int32, shape (k, 2), rows (column, neuron); for a batch (k, 3), rows
        (sample, column, neuron). Sorted.
    u, v
        For each recorded population: int32, shape (recorded columns, n), with a sample axis in front for a batch; v is
        taken after the reset.
    columns
        The columns of `u` and `v`: int64.
    counts
        Integer totals.
    state
        The state after the last column, if the engine can be continued.
    learned
        For each projection that learns: ``"w"``, ``"d"``, ``"t"`` of its synapses after the last column, shape
        (n_synapses,), with a sample axis in front for a batch; integers unless its rule computes with floats.
    """

    steps: int
    first_column: int
    samples: int | None
    spikes: Mapping[str, Events]
    u: Mapping[str, NDArray[np.int32]]
    v: Mapping[str, NDArray[np.int32]]
    columns: NDArray[np.int64]
    counts: IntCounts
    state: IntState | None = None
    learned: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)

    def raster(self, name: str, n: int) -> NDArray[np.bool_]:
        """Return the spikes of a population of `n` neurons as bool of shape (..., n, steps), Lava's layout."""
        events = self.spikes[name]
        lead = () if self.samples is None else (self.samples,)
        raster = np.zeros((*lead, n, self.steps), dtype=bool)
        raster[(*events[:, :-2].T, events[:, -1], events[:, -2] - self.first_column)] = True
        return raster


def raster_to_events(raster: ArrayLike) -> Events:
    """Turn a spike raster of shape (n, columns) into sorted rows (column, source): int32, shape (k, 2)."""
    found = np.asarray(raster)
    return np.argwhere(found.T != 0).astype(np.int32)


def synaptic_events(network: IntNetwork, fired: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Count the synaptic events that spikes cause.

    Parameters
    ----------
    network
        The network.
    fired
        For each input and population: spikes of each source, int64, shape (..., n).

    Returns
    -------
    dict
        For each projection: int64 of shape (...).
    """
    return {p.name: fired[p.pre] @ np.diff(p.indptr) for p in network.projections}


def as_samples(
    network: IntNetwork, first_column: int, steps: int, inputs: InputsLike | Sequence[InputsLike]
) -> tuple[list[IntSample], bool]:
    """Check stimuli and bring them into one form.

    Parameters
    ----------
    network
        The network they are for.
    first_column, steps
        The columns of the run.
    inputs
        One sample or a sequence of samples; a mapping is taken as the spikes of a sample.

    Returns
    -------
    samples : list of IntSample
        Spikes as int32 rows sorted by column and source, drives as int32.
    batched : bool
        Whether a sequence was given.

    Raises
    ------
    InvalidValueError
        If `steps` is negative, a name is unknown, or an event or a shape does not fit. Lists all problems.
    """
    if steps < 0:
        raise InvalidValueError(f"steps is {steps}; it cannot be negative")
    batched = not isinstance(inputs, IntSample | Mapping)
    given = inputs if isinstance(inputs, Sequence) else [inputs]
    problems: list[str] = []
    samples = []
    for i, sample in enumerate(given):
        where = f"sample {i}: " if batched else ""
        wrapped = sample if isinstance(sample, IntSample) else IntSample(sample)
        samples.append(_canonical(network, first_column, steps, wrapped, where, problems))
    if problems:
        raise NetworkError(problems, "These inputs do not fit the network:")
    return samples, batched


def _canonical(
    network: IntNetwork, first: int, steps: int, sample: IntSample, where: str, problems: list[str]
) -> IntSample:
    inputs = {g.name: g.n for g in network.inputs}
    populations = {g.name: g.n for g in network.populations}
    for kind, names, known in (("input", sample.spikes, inputs), ("population", sample.drive, populations)):
        problems += [f"{where}there is no {kind} {n!r}; known: {', '.join(known)}" for n in names if n not in known]
    spikes, drive = {}, {}
    for name in inputs.keys() & sample.spikes.keys():
        events = np.asarray(sample.spikes[name])
        width = 3 if network.graded(name) else 2
        events = events.reshape(0, width) if events.size == 0 else events
        events, found = _ordered(events, width, inputs[name], first, steps)
        problems += [f"{where}input {name!r}: {p}" for p in found]
        wanted = events[:, -1] != 0 if width == 3 and not found else slice(None)
        spikes[name] = events if found else events[wanted].astype(np.int32, copy=False)
    for name in populations.keys() & sample.drive.keys():
        current = np.asarray(sample.drive[name])
        if current.shape != (steps, populations[name]) or current.dtype.kind not in "iub":
            problems.append(
                f"{where}drive of {name!r} has shape {current.shape} and type {current.dtype}; "
                f"integers of shape ({steps}, {populations[name]}) are needed"
            )
        drive[name] = current.astype(np.int32)
    return IntSample(spikes, drive)


def _ordered(events: NDArray[Any], width: int, n: int, first: int, steps: int) -> tuple[NDArray[Any], list[str]]:
    """Sort rows by column and source (free if they are sorted already, as those of a raster are), and check them."""
    if events.ndim != 2 or events.shape[1] != width or (events.size and events.dtype.kind not in "iu"):
        row = "(column, source, payload)" if width == 3 else "(column, source)"
        return events, [f"events have shape {events.shape} and type {events.dtype}; integer rows {row} are needed"]
    if not events.size:
        return events, []
    order = events[:, 0].astype(np.int64) * 2**32 + events[:, 1]
    apart = np.diff(order)
    if apart.min(initial=1) < 0:
        place = np.argsort(order, kind="stable")
        events, apart = events[place], np.diff(order[place])
    return events, list(_event_problems(events, bool(apart.all()), n, first, steps))


def _event_problems(events: NDArray[Any], distinct: bool, n: int, first: int, steps: int) -> Iterator[str]:
    column, source, *payload = events.T
    if payload and np.abs(payload[0].astype(np.int64)).max() > PAYLOAD_HIGH:
        yield (
            f"payloads {payload[0].min()}..{payload[0].max()} do not fit into a graded spike of {MESSAGE_BITS} bits, "
            f"-{PAYLOAD_HIGH}..{PAYLOAD_HIGH}; scale them down"
        )
    if column[0] < first or column[-1] >= first + steps:
        yield f"columns {column[0]}..{column[-1]} do not lie in this run's {first}..{first + steps - 1}"
    if source.min() < 0 or source.max() >= n:
        yield f"sources {source.min()}..{source.max()} do not lie in 0..{n - 1}"
    if not distinct:
        yield "a source spikes twice in one column; a spike is binary, list each pair once"
