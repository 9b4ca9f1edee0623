"""Lists of spikes: those that are under way at the end of a stretch, and several chunks as one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.engine import Chunk


def under_way(
    listed: NDArray[np.int64], lists: NDArray[np.int32], spans: NDArray[np.int64], first: int, step: int
) -> NDArray[np.int64]:
    """Return the spikes of the steps ``first ... step - 1``: rows of (sample, step, neuron of the network).

    Parameters
    ----------
    listed, lists, spans
        The history of spikes: ``[samples, history, spans]``, ``[samples, history, neurons]``, and where spans begin.
    first, step
        The steps.
    """
    rows = [np.zeros((0, 3), np.int64)]
    for at in range(max(0, first), step):
        slot = at % listed.shape[1]
        for sample, span in zip(*np.nonzero(listed[:, slot]), strict=True):
            low, node = spans[span]
            who = lists[sample, slot, low : low + listed[sample, slot, span]].astype(np.int64) + node
            rows.append(np.stack([np.full_like(who, sample), np.full_like(who, at), who], axis=1))
    return np.concatenate(rows)


def put_under_way(
    listed: NDArray[np.int64], lists: NDArray[np.int32], spans: NDArray[np.int64], spikes: NDArray[np.int64]
) -> None:
    """Enter what :func:`under_way` returned into an empty history."""
    found = np.searchsorted(spans[:, 0], spikes[:, 2], side="right") - 1
    for (sample, step, who), span in zip(spikes.tolist(), found.tolist(), strict=True):
        slot, (low, node) = step % listed.shape[1], spans[span]
        lists[sample, slot, low + listed[sample, slot, span]] = who - node
        listed[sample, slot, span] += 1


def joined(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """Return arrays one behind the other; the array itself if there is one."""
    return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.zeros(0, dtype)])


def join(parts: list[Chunk]) -> Chunk:
    """Make one chunk of several that follow one another."""
    return Chunk(
        parts[0].first,
        sum(p.steps for p in parts),
        {n: tuple(np.concatenate([p.spikes[n][k] for p in parts]) for k in range(3)) for n in parts[0].spikes},
        {
            key: (
                np.concatenate([p.traces[key][0] for p in parts]),
                np.concatenate([p.traces[key][1] for p in parts], axis=1),
            )
            for key in parts[0].traces
        },
        {n: sum(p.emitted[n] for p in parts) for n in parts[0].emitted},  # type: ignore[misc]
        {n: sum(p.active[n] for p in parts) for n in parts[0].active},  # type: ignore[misc]
    )
