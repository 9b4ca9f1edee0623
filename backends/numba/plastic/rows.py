"""The arrays of the plastic synapses of one edge onto the targets of one tile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.graph import Edge
from spikesim.learning import Learning
from spikesim.synapse import SynapseModel

NEVER = -(2**30)  # a step before all others; steps of a run stay below 2^30
SLOTS = 16  # post spikes that a target remembers; a row that lags behind further is brought up to date first
CHUNK = 512  # entries that are worked on at a time
PIECES = 64  # rows, or parts of rows, among them


class PlasticRows(NamedTuple):
    """Synapses by row (one source and one delay: ``row = source * delays + delay - dmin``), and their targets.

    Parameters
    ----------
    first
        uint32 ``[rows + 1]``: the entries of a row, sorted by target.
    targets, weights
        uint16, int32 per entry: the target within the tile, the weight in units of the grid.
    applied
        uint8 per entry: how many post spikes of the target (modulo 256) have been applied.
    states, when
        float64 ``[states, entries]`` and int32 per entry: states after their last event, and its step.
    arrived, seen
        int32 per row: step of the last arrival; all post spikes up to this step have been applied.
    pre
        float64 ``[traces, rows]``: traces of the source after the last arrival.
    spikes, last
        uint8, int32 per target: number of post spikes (modulo 256), step of the last.
    times, before
        int32 ``[targets * SLOTS]``, float64 ``[traces, targets * SLOTS]``: steps of the last post spikes, and the
        traces of the target just before them.
    post, now
        float64 ``[traces, targets]``: traces of the target after the last spike, and in the step ``clock[0]``.
    clock
        int64 ``[2]``: the step of ``now``; a step that every row has seen.
    hi, lo
        float64 ``[decays, ...]``: decay tables in the order of ``SynapseModel.decaying``.
    params
        float64: the parameters in the order of ``Learning.params``.
    bounds
        float64 ``[5]``: grid, its inverse, ``low``, ``high``, and the limit of what is sent in units of the grid.
    """

    first: NDArray[np.uint32]
    targets: NDArray[np.uint16]
    weights: NDArray[np.int32]
    applied: NDArray[np.uint8]
    states: NDArray[np.float64]
    when: NDArray[np.int32]
    arrived: NDArray[np.int32]
    seen: NDArray[np.int32]
    pre: NDArray[np.float64]
    spikes: NDArray[np.uint8]
    last: NDArray[np.int32]
    times: NDArray[np.int32]
    before: NDArray[np.float64]
    post: NDArray[np.float64]
    now: NDArray[np.float64]
    clock: NDArray[np.int64]
    hi: NDArray[np.float64]
    lo: NDArray[np.float64]
    params: NDArray[np.float64]
    bounds: NDArray[np.float64]


#: how a kernel sees a field: the function that lays an array over its memory
VIEWS = {
    "first": "u32_at", "targets": "u16_at", "weights": "i32_at", "applied": "u8_at", "states": "f64_rows_at",
    "when": "i32_at", "arrived": "i32_at", "seen": "i32_at", "pre": "f64_rows_at", "spikes": "u8_at",
    "last": "i32_at", "times": "i32_at", "before": "f64_rows_at", "post": "f64_rows_at", "now": "f64_rows_at",
    "clock": "i64_at", "hi": "f64_rows_at", "lo": "f64_rows_at", "params": "f64_at", "bounds": "f64_at",
}  # fmt: skip
#: the functions of a rule; what they are for stands in :mod:`spikesim.backends.numba.plastic.source`
FUNCTIONS = ("arrive", "chase", "fired", "reward", "sweep")
COLUMNS = 3 * len(VIEWS) + len(FUNCTIONS)  # of a table of addresses
AT_ARRIVE, AT_CHASE, AT_FIRED, AT_REWARD, AT_SWEEP = range(3 * len(VIEWS), COLUMNS)


def view(field: str) -> str:
    """Return the source of a field's array, seen through the table ``e`` that :func:`addresses` made."""
    at = 3 * PlasticRows._fields.index(field)
    sizes = (1, 2) if VIEWS[field].endswith("rows_at") else (2,)
    return f"{VIEWS[field]}({', '.join(f'e[{at + k}]' for k in (0, *sizes))})"


def addresses(rows: PlasticRows, functions: Mapping[str, int]) -> NDArray[np.int64]:
    """Return the table of address, rows and columns of each field, then the addresses of the functions of the rule.

    The arrays and functions must outlive the use of it.
    """
    memory = [number for a in rows for number in (a.ctypes.data, *(1, *a.shape)[-2:])]
    return np.array([*memory, *(functions[name] for name in FUNCTIONS)], np.int64)


def room(model: SynapseModel) -> dict[str, tuple[str, int]]:
    """Lay out where a thread works on some entries at a time.

    ``work``, ``todo``, ``target``, ``piece``, ``units``
        Of the entries at work, at most ``CHUNK``.
    ``base``, ``begin``, ``since``, ``then``, ``here``
        Of the rows that they come from, at most ``PIECES``: place of their entries, step of the last arrival, traces
        of the source after it and now.

    Returns
    -------
    dict
        Name to the source of its array, in memory that begins at ``room``, and where it ends.
    """
    wide, rows = 1 + max(len(model.pre) + len(model.post), 1), PIECES + 1
    shapes = {
        "work": ("f64", (wide, CHUNK)), "todo": ("u32", (CHUNK,)), "target": ("i32", (CHUNK,)),
        "piece": ("i32", (CHUNK,)), "units": ("i32", (CHUNK,)), "base": ("i64", (rows,)), "begin": ("i64", (rows,)),
        "since": ("i32", (rows,)), "then": ("f64", (len(model.pre), rows)), "here": ("f64", (len(model.pre), rows)),
    }  # fmt: skip
    out, at = {}, 0
    for name, (item, shape) in shapes.items():
        kind = item + ("_rows_at" if len(shape) == 2 else "_at")
        end = at + -(-int(np.prod(shape)) * int(item[1:]) // 8 // 64) * 64
        out[name], at = (f"{kind}(room + {at}, {', '.join(map(str, shape))})", end), end
    return out


def room_bytes(models: Iterable[SynapseModel]) -> int:
    """Return how much memory a thread needs to work on the rows of some rules, one of them at a time."""
    return max((end for model in models for _, end in room(model).values()), default=0)


def row_order(edge: Edge, low: int, high: int) -> NDArray[np.int64]:
    """Return which synapse of an edge each entry of its rows onto the targets ``low .. high - 1`` is.

    Rows are sorted by source and delay; within one, synapses keep their order, which is that of the targets.
    """
    chosen = np.flatnonzero((edge.indices >= low) & (edge.indices < high))
    if edge.constant_delay is not None:
        return chosen
    source = np.searchsorted(edge.indptr, chosen, side="right") - 1
    row = source * (edge.max_delay - edge.min_delay + 1) + np.asarray(edge.delays)[chosen]
    return np.asarray(chosen[np.argsort(row, kind="stable")])


def start(
    learning: Learning,
    first: NDArray[np.uint32],
    targets: NDArray[np.uint16],
    weights: NDArray[np.int32],
    n: int,
    grid: float,
) -> PlasticRows:
    """Put fresh states around the rows of a tile; ``weights`` is changed by the kernels from then on.

    Parameters
    ----------
    learning
        The plasticity.
    first, targets, weights
        See :class:`PlasticRows`.
    n
        Targets in the tile.
    grid
        Of the port.
    """
    model, rows, entries = learning.model, len(first) - 1, len(targets)
    chases, looks = "on_post" in model.events, bool(model.post)
    ring = n * SLOTS if chases else 0
    watched = n if chases or looks else 0
    return PlasticRows(
        first=first,
        targets=targets,
        weights=weights,
        applied=np.zeros(entries if chases else 0, np.uint8),
        states=np.zeros((len(model.states), entries)),
        when=np.zeros(entries if model.states else 0, np.int32),
        arrived=np.full(rows, NEVER, np.int32),
        seen=np.full(rows, -1, np.int32),
        pre=np.zeros((len(model.pre), rows)),
        spikes=np.zeros(n if chases else 0, np.uint8),
        last=np.full(watched, NEVER, np.int32),
        times=np.full(ring, NEVER, np.int32),
        before=np.zeros((len(model.post), ring)),
        post=np.zeros((len(model.post), n)),
        now=np.zeros((len(model.post), n)),
        clock=np.array([-1, -1], np.int64),
        hi=_stacked([hi for hi, _ in learning.decay.values()]),
        lo=np.array([lo for _, lo in learning.decay.values()]).reshape(len(learning.decay), -1),
        params=np.array(list(learning.params.values()), np.float64),
        bounds=np.array([grid, 1.0 / grid, learning.low, learning.high, np.rint(learning.limit / grid)]),
    )


def _stacked(tables: list[NDArray[Any]]) -> NDArray[np.float64]:
    """Put tables of several lengths below one another; each ends in 0 and is continued by it."""
    out = np.zeros((len(tables), max((len(t) for t in tables), default=1)))
    for row, table in zip(out, tables, strict=True):
        row[: len(table)] = table
    return out


__all__ = [
    "AT_ARRIVE", "AT_FIRED", "AT_REWARD", "CHUNK", "COLUMNS", "FUNCTIONS", "NEVER", "PIECES", "SLOTS",
    "PlasticRows", "addresses", "room", "room_bytes", "row_order", "start", "view",
]  # fmt: skip
