"""From the samples of a run to one `IntRun`: with a sample axis for a batch, without for a single sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.loihi.layout import Layout
from spikesim.backends.loihi.sample import RawSample, Wanted
from spikesim.backends.loihi.tables import LANES
from spikesim.fixedpoint import IntCounts, IntInput, IntNetwork, IntPopulation, IntRun, IntState, synaptic_events


def assemble(layout: Layout, raw: list[RawSample], batched: bool, wanted: Wanted) -> IntRun:
    """Put the samples of a run together."""
    state = IntState(
        wanted.first_column + wanted.steps,
        np.stack([r.state.u for r in raw]),
        np.stack([r.state.v for r in raw]),
        np.stack([r.state.ring[:-LANES].reshape(layout.slots, layout.n_neurons) for r in raw]),
        np.stack([r.state.wait for r in raw]),
    )
    return IntRun(
        steps=wanted.steps,
        first_column=wanted.first_column,
        samples=len(raw) if batched else None,
        spikes={name: _joined([r.spikes[name] for r in raw], batched) for name in wanted.spikes},
        u=_split_traces(layout, [r.u for r in raw], batched, wanted.u),
        v=_split_traces(layout, [r.v for r in raw], batched, wanted.v),
        columns=wanted.columns,
        counts=_counts(layout, raw, batched, wanted.steps),
        state=state,
    )


def _joined(events: list[NDArray[np.int32]], batched: bool) -> NDArray[np.int32]:
    """Put the spikes of all samples together, for a batch with the number of the sample in front."""
    if not batched:
        return events[0]
    return np.concatenate([np.insert(rows, 0, i, axis=1) for i, rows in enumerate(events)])


def _split_traces(
    layout: Layout, traced: list[NDArray[np.int32]], batched: bool, names: list[str]
) -> dict[str, NDArray[np.int32]]:
    whole = np.stack(traced) if batched else traced[0]
    split, first = {}, 0
    for name in names:
        last = first + layout.network.size(name)
        split[name] = whole[..., first:last]
        first = last
    return split


def _counts(layout: Layout, raw: list[RawSample], batched: bool, steps: int) -> IntCounts:
    network = layout.network
    fired_all = np.stack([r.counters.fired for r in raw]) if batched else raw[0].counters.fired
    updates = np.stack([r.counters.updates for r in raw]) if batched else raw[0].counters.updates
    groups: list[IntInput | IntPopulation] = [*network.inputs, *network.populations]
    fired = {g.name: np.asarray(fired_all[..., layout.span(g.name)]) for g in groups}
    active, wraps, clips = (_by_population(network, updates[..., k]) for k in range(3))
    return IntCounts(
        spikes={name: np.asarray(f.sum(axis=-1)) for name, f in fired.items()},
        events=synaptic_events(network, fired),
        active=active,
        idle={p.name: np.asarray(steps * p.n - active[p.name]) for p in network.populations},
        wraps=wraps,
        clips=clips,
    )


def _by_population(network: IntNetwork, counted: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    return {p.name: np.asarray(counted[..., k]) for k, p in enumerate(network.populations)}
