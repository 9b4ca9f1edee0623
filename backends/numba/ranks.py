"""One of several processes that share a network: runs its own neurons and exchanges spikes once per epoch and phase.

A rank has tables for the synapses onto its own neurons only. Its history holds the spikes of all neurons, and what
the other ranks run of a population is one span before and one span after its own parts, so delivery does not
know where a spike comes from. Rank 0 has every spike after an exchange and reports them all; the other ranks report
nothing but active updates and traces, which rank 0 adds up and puts together.
"""

from __future__ import annotations

import ctypes
import traceback
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba.kernels.exchange import pack, unpack
from spikesim.backends.numba.plan import Plan, plan
from spikesim.backends.numba.program import NumbaProgram
from spikesim.engine import Chunk, Options
from spikesim.graph import Graph
from spikesim.ranks.communicator import Communicator
from spikesim.ranks.shares import share
from spikesim.session import peak_memory_mb

FIRST_ROOM = 4096  # spikes of an exchange; more are made room for when they come
_CALL = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class RankProgram(NumbaProgram):
    """See :class:`spikesim.program.Program`. Rank 0 is driven like any program, the others :meth:`follow` it."""

    def __init__(self, graph: Graph, options: Options, ranks: Communicator) -> None:
        self.ranks = ranks
        self.sizes = {n.name: n.n for n in graph.nodes}
        self.following = False
        self.figures: dict[str, Any] = {}
        self._ids = np.zeros(FIRST_ROOM, np.int32)
        super().__init__(graph, options)
        self._called = _CALL(self._meet)  # kept: the compiled loop has its address only
        self.meeting = ctypes.cast(self._called, ctypes.c_void_p).value or 0
        self.own, self.remote = self._spans_of_phases()

    # ------------------------------------------------------------------------------------------------ what is own
    def _plan(self, threads: int) -> Plan:
        owned = share(self.sizes, self.ranks.size)[self.ranks.rank]
        return plan(self.graph, threads, self.options.representations, owned)

    def _link(self) -> None:
        """Compile; one process of a machine first, so that the others find what it needed in the cache."""
        with self.ranks.first_of_machine():
            super()._link()

    def _recorded(self) -> int:
        return self.graph.neurons if self.ranks.rank == 0 else 0

    def _ranges(self) -> list[tuple[int, int]]:
        return [(0, self.samples)]  # ranks meet for all samples together

    def _spans_of_phases(self) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """Return per phase and population the own spans, and those before and after them."""
        own, remote = [], []
        for names in self.plan.levels:
            elsewhere = [self.layout.remote[name] for name in names]
            whole = [self.layout.spans_of[name] for name in names]
            inner = [[w[0] + (r[0] >= 0), w[1] - (r[1] >= 0)] for w, r in zip(whole, elsewhere, strict=True)]
            own.append(np.array(inner, np.int64).reshape(-1, 2))
            remote.append(np.array(elsewhere, np.int64).reshape(-1, 2))
        return own, remote

    # ------------------------------------------------------------------------------------------------ exchange
    def _meet(self, begin: int, end: int, phase: int) -> None:
        """Exchange the spikes of a phase in some steps; called by the compiled loop, which knows no exceptions."""
        try:
            first, own, remote = self.first + begin, self.own[phase], self.remote[phase]
            counts = np.empty((len(own), self.samples, end - begin), np.int32)
            n = pack(own, first, self.layout.spans, self.listed, self.lists, counts, self._ids)
            if n > len(self._ids):
                self._ids = np.empty(2 * n, np.int32)
                pack(own, first, self.layout.spans, self.listed, self.lists, counts, self._ids)
            found, ids = self.ranks.exchange(counts, self._ids[:n])
            unpack(self.ranks.rank, remote, first, self.layout.spans, self.listed, self.lists, found, ids)
        except BaseException:
            traceback.print_exc()
            self.ranks.abort(1)

    # ------------------------------------------------------------------------------------------------ rank 0 leads
    def _stretch(self, steps: int, data: Mapping[str, NDArray[Any]]) -> Chunk:
        if not steps:  # compiles
            with self.ranks.first_of_machine():
                return super()._stretch(steps, data)
        if not self.following:
            self.ranks.broadcast(steps)
        return super()._stretch(steps, data)

    def follow(self, samples: int, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Run what rank 0 runs, until it says that it is done."""
        self.following = True
        self.reset(samples)
        while (steps := self.ranks.broadcast(0)) > 0:
            self._stretch(steps, {k: v[self.first : self.first + steps] for k, v in inputs.items()})
        self._sum_up()

    def drain(self) -> list[Chunk]:
        """Tell the other ranks that the run is over, and ask what it took."""
        self.ranks.broadcast(-1)
        self._sum_up()
        return super().drain()

    def _sum_up(self) -> None:
        """Collect on rank 0 what each rank took."""
        tables = _bytes(tuple(self.layout.built.values())) / 2**20
        mine = [peak_memory_mb(), tables, sum(g.n for g in self.groups), self.ranks.seconds]
        found = self.ranks.join(np.array(mine), [len(mine)] * self.ranks.size)
        for k, name in enumerate(("peak_mb", "tables_mb", "neurons", "exchange_s")):
            self.figures[name] = [float(part[k]) for part in found]
        self.figures |= {"ranks": self.ranks.size, "exchanges": self.ranks.exchanges, "bytes": self.ranks.received}

    # ------------------------------------------------------------------------------------------------ what is reported
    def _chunk(self, first: int, steps: int, *args: Any) -> Chunk:
        chunk = super()._chunk(first, steps, *args)
        if not steps:
            return chunk
        names = list(chunk.active)
        active = self.ranks.add(np.array([chunk.active[name] for name in names], np.int64))
        traces = {key: (times, self._joined(key, values)) for key, (times, values) in chunk.traces.items()}
        return replace(chunk, traces=traces, active=dict(zip(names, active, strict=True)))

    def _joined(self, key: tuple[str, str], values: NDArray[Any]) -> NDArray[Any]:
        """Put a trace together from the columns that each rank has filled."""
        probe = next(p for p in self.graph.probes if p.target == key[0] and key[1] in p.variables)
        n = self.sizes[key[0]]
        neurons = np.arange(n) if probe.neurons is None else np.asarray(probe.neurons, np.int64)
        bounds = [owned[key[0]] for owned in share(self.sizes, self.ranks.size)]
        columns = [np.flatnonzero((neurons >= lo) & (neurons < hi)) for lo, hi in bounds]
        rows = values.shape[0] * values.shape[1]
        parts = self.ranks.join(values[:, :, columns[self.ranks.rank]], [rows * len(c) for c in columns])
        for found, place in zip(parts, columns, strict=False):  # no parts but on rank 0
            values[:, :, place] = found.reshape(*values.shape[:2], len(place))
        return values


def _bytes(table: Any) -> int:
    """Return the memory of the arrays in nested tuples and dataclasses."""
    if is_dataclass(table):
        return _bytes(tuple(vars(table).values()))
    return sum(_bytes(part) for part in table) if isinstance(table, tuple) else int(getattr(table, "nbytes", 0))
