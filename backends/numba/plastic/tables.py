"""All plastic synapses of a program: what changes while it runs, for each sample, projection and part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba.layout import Layout
from spikesim.backends.numba.plastic.rows import (
    COLUMNS,
    FUNCTIONS,
    NEVER,
    PlasticRows,
    addresses,
    room_bytes,
    row_order,
    start,
)
from spikesim.backends.numba.plastic.source import compiled
from spikesim.graph import Edge
from spikesim.learning import learning_of
from spikesim.snapshot import saved_array


class Learned:
    """The plastic synapses of a program.

    Whatever is read is brought up to date first: then the rings of post spikes hold nothing that is still needed, and
    neither tiles nor threads can be seen from outside.

    Parameters
    ----------
    layout
        Of the program; its tables of weights are not changed.

    Attributes
    ----------
    table
        int64 ``[samples, k, ...]``: addresses for the kernel, in the order of ``layout.learned_table``.
    models
        The rules.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.models = [learning_of(edge).model for edge, _ in layout.learned]
        self.functions = [{name: getattr(compiled(m), name) for name in FUNCTIONS} for m in self.models]
        self.room = self.new_room()
        self.reset(1)

    def new_room(self) -> NDArray[np.int64]:
        """Return memory for a thread to work in."""
        return np.zeros(room_bytes(self.models) // 8, np.int64)

    def reset(self, samples: int) -> None:
        """Go back to step 0, each sample with the weights of the start."""
        self.rows = [[self._start(edge, part) for edge, part in self.layout.learned] for _ in range(samples)]
        at = [{name: f.address for name, f in functions.items()} for functions in self.functions]
        table = [[addresses(rows, own) for rows, own in zip(sample, at, strict=True)] for sample in self.rows]
        self.table = np.array(table, np.int64).reshape(samples, len(self.layout.learned), COLUMNS)

    def _start(self, edge: Edge, part: Any) -> PlasticRows:
        drawn = self.layout.segments_of(edge, part)
        return start(learning_of(edge), drawn.first, drawn.cells, drawn.weights.copy(), part.n, self._grid(edge))

    def _grid(self, edge: Edge) -> float:
        return self.layout.graph.exactness[edge.post, edge.port].grid

    def _places(self, edge: Edge) -> list[tuple[int, Any, NDArray[np.int64]]]:
        """Return the tables of a projection: number, part, and which synapse of the projection each entry is."""
        mine = [(k, part) for k, (e, part) in enumerate(self.layout.learned) if e.name == edge.name]
        found = [(k, part, row_order(edge, part.lo, part.hi)) for k, part in mine]
        edge.forget()
        return found

    # ------------------------------------------------------------------------------------------------ between stretches
    def catch_up(self, step: int) -> None:
        """Let all synapses see the post spikes up to a step, the last one."""
        for sample in self.table:
            for k, own in enumerate(sample):
                self.functions[k]["sweep"].ctypes(own.ctypes.data, self.room.ctypes.data, step, step + 1)

    def reward(self, sample: int, k: int, step: int, value: float) -> None:
        """Reward the synapses of one table with what their modulator emitted in a step, the last one."""
        own = self.table[sample, k]
        self.functions[k]["reward"].ctypes(own.ctypes.data, self.room.ctypes.data, step, value)

    # ------------------------------------------------------------------------------------------------ weights
    def weights(self, edge: Edge) -> NDArray[np.float64]:
        """Return the weights of a projection, ``[samples, synapses]``."""
        out = np.zeros((len(self.rows), edge.synapses))
        for k, _, order in self._places(edge):
            for sample, rows in zip(out, self.rows, strict=True):
                sample[order] = rows[k].weights * self._grid(edge)
        return out

    def set_weights(self, edge: Edge, values: Any) -> None:
        """Replace the weights of all samples; ``values`` stand on the grid and within the bounds."""
        units = np.broadcast_to(np.rint(np.asarray(values) / self._grid(edge)), edge.synapses)
        for k, _, order in self._places(edge):
            for rows in self.rows:
                rows[k].weights[:] = units[order]

    # ------------------------------------------------------------------------------------------------ checkpoints
    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what the steps to come depend on: per synapse, per source and delay, per target."""
        return {name: array for edge in self._edges() for name, array in self._saved(edge).items()}

    def _edges(self) -> list[Edge]:
        return list(dict.fromkeys(edge for edge, _ in self.layout.learned))

    def _empty(self, edge: Edge) -> dict[str, NDArray[Any]]:
        """Return room for what is saved of a projection."""
        model, samples = learning_of(edge).model, len(self.rows)
        lines = edge.n_pre * (edge.max_delay - edge.min_delay + 1)
        return {
            "weights": np.zeros((samples, edge.synapses), np.int32),
            "states": np.zeros((samples, len(model.states), edge.synapses)),
            "when": np.full((samples, edge.synapses), NEVER, np.int32),
            "arrived": np.full((samples, lines), NEVER, np.int32),
            "pre": np.zeros((samples, len(model.pre), lines)),
            "last": np.full((samples, edge.n_post), NEVER, np.int32),
            "post": np.zeros((samples, len(model.post), edge.n_post)),
        }

    def _saved(self, edge: Edge) -> dict[str, NDArray[Any]]:
        out = self._empty(edge)
        for k, part, order in self._places(edge):
            for b, sample in enumerate(self.rows):
                rows = sample[k]
                for name, index in _fields(rows, order, part):
                    out[name][b][index] = getattr(rows, name)
        return {f"plastic/{edge.name}/{name}": array for name, array in out.items()}

    def restore(self, saved: Mapping[str, NDArray[Any]], step: int) -> None:
        """Go back to a snapshot that was taken before a step; the samples are as many."""
        for edge in self._edges():
            room = self._empty(edge)
            found = {n: saved_array(saved, f"plastic/{edge.name}/{n}", a.dtype, a.shape) for n, a in room.items()}
            for k, part, order in self._places(edge):
                for b, sample in enumerate(self.rows):
                    rows = sample[k]
                    for name, index in _fields(rows, order, part):
                        getattr(rows, name)[...] = found[name][b][index]
                    rows.seen[:] = step - 1  # and nothing has happened since
                    rows.clock[1] = step - 1


def _fields(rows: PlasticRows, order: NDArray[np.int64], part: Any) -> list[tuple[str, Any]]:
    """Return the fields of a table that are saved, and where they stand among those of the projection."""
    targets = slice(part.lo, part.hi)
    places: dict[str, Any] = {
        "weights": order,
        "states": (slice(None), order),
        "when": order,
        "arrived": slice(None),
        "pre": slice(None),
        "last": targets,
        "post": (slice(None), targets),
    }
    return [(name, index) for name, index in places.items() if getattr(rows, name).size]


__all__ = ["Learned"]
