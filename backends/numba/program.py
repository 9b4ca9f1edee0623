"""A network compiled for the CPU: owns the state, prints and caches the kernel, runs it in threads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba import compiled
from spikesim.backends.numba.deliveries import KINDS
from spikesim.backends.numba.forms import grid_of_port
from spikesim.backends.numba.kernels import team
from spikesim.backends.numba.layout import Layout, RepeatedPairs
from spikesim.backends.numba.pace import Pace
from spikesim.backends.numba.plan import Plan, plan, possible, threads_for
from spikesim.backends.numba.plastic.tables import Learned
from spikesim.backends.numba.spikes import join, joined, put_under_way, under_way
from spikesim.backends.numba.tables import Fixed, Numbers, Stretch, addresses
from spikesim.backends.numba.traces import probe_tables
from spikesim.backends.numba.weights import checked_weights, with_weights
from spikesim.backends.numba.workers import Workers, new_room
from spikesim.drive import DriveState, source_values
from spikesim.engine import Chunk, Options, Stepping
from spikesim.errors import UnknownNameError
from spikesim.graph import Graph
from spikesim.learning import learning_of
from spikesim.snapshot import put_noise, saved_array, take_noise

BUFFER_BYTES = 64 * 2**20  # input and drive arrays of one stretch stay below this
EVENTS_PER_SAMPLE = 2**16


class NumbaProgram(Stepping):
    """See :class:`spikesim.program.Program`."""

    whole_run = False

    def __init__(self, graph: Graph, options: Options) -> None:
        self.graph = graph
        self.dtype: Any = {"float64": np.float64, "float32": np.float32}[options.dtype]
        self.threads = threads_for(options.threads)
        self.options = options
        self.changed: dict[str, Any] = {}
        self.plan = self._plan(self.threads if team.available() else 1)
        self.layout = self._layout()
        self.groups = self.layout.groups
        self.learned = Learned(self.layout)
        self.inputs = compiled.compiled_inputs()
        self.key = np.array([graph.seed & 0xFFFFFFFF, graph.seed >> 32], np.uint32)
        self.constants = [g.constants(self.dtype) for g in self.groups]
        self._link()
        self.slow_drives = [d for d in graph.drives if d.name not in self.layout.drives.names]
        self.pace = Pace(self.plan.threads, self.plan.epoch)
        self.rooms: dict[str, NDArray[np.int32]] = {}
        self.given_totals: dict[str, NDArray[np.int64]] = {}
        self.offsets = np.array([self.layout.offset[n.name] for n in graph.nodes], np.int64)
        self.population = np.repeat(np.arange(len(graph.nodes), dtype=np.int32), [n.n for n in graph.nodes])
        self.reset()
        self._stretch(0, {s.name: np.zeros((0, 1, s.n)) for s in graph.sources})  # compiles what is left, or reads it

    # ------------------------------------------------------- what a process does otherwise that is one of several ranks
    meeting = 0  # address of what is called after each phase of an epoch

    def _plan(self, threads: int) -> Plan:
        return plan(self.graph, threads, self.options.representations)

    def _layout(self) -> Layout:
        """Draw the tables; where a counter cannot hold the synapses of a pair, they are added up instead."""
        while True:
            try:
                return Layout(self.graph, self.plan, self.options.dtype)
            except RepeatedPairs as found:
                name = str(found)
                other = possible(next(e for e in self.graph.edges if e.name == name))["segments"]
                self.plan = replace(self.plan, choices={**self.plan.choices, name: other})

    def _link(self) -> None:
        """Compile what the network needs, or find it in the cache, and put its addresses into the tables."""
        plan, size = self.layout, self.plan.threads
        self.workers = Workers(compiled.compiled("simulate").ctypes, partial(new_room, plan, self.learned))
        self.advances = [compiled.advance(g.form, self.options.dtype) for g in self.groups]
        kinds = {int(k): compiled.address(KINDS[k]) for k in np.unique(plan.jobs[:, 0]) if k < len(KINDS)}
        self.jobs = plan.jobs.copy()
        self.jobs[:, 0] = [kinds.get(k, 0) for k in plan.jobs[:, 0].tolist()]
        needed: dict[str, Any] = {"wait": size > 1, "draw": len(plan.poisson), "record": self.graph.probes}
        needed |= {"arrive": plan.learned, "pay": plan.learned}
        self.parts_of_a_step = {name: compiled.address(name) if wanted else 0 for name, wanted in needed.items()}

    def _recorded(self) -> int:
        """Return how many neurons' spikes this process reports."""
        return self.graph.neurons

    # ------------------------------------------------------------------------------------------------ running
    def reset(self, samples: int = 1) -> None:
        """Go back to step 0 with initial states."""
        self.samples, self.first = samples, 0
        # order "C": a copy of a broadcast array would put the samples innermost, for one model and not for another
        self.states = tuple(
            np.array(np.broadcast_to(first, (samples, *first.shape)), order="C")
            for first in (g.initial().astype(self.dtype) for g in self.groups)
        )
        history = self.layout.history
        self.listed = np.zeros((samples, history, len(self.layout.spans)), np.int64)
        self.lists = self._room("lists", (samples, history, self.graph.neurons))
        self.tails = {
            s.name: np.zeros((0, samples, s.n), np.float64 if s.name in self.layout.value_sources else np.uint8)
            for s in self.graph.sources
        }
        self.drives = [DriveState(self.graph, d, samples, self.plan.owned[d.target]) for d in self.slow_drives]
        self.learned.reset(samples)
        self._fix()

    def _fix(self) -> None:
        """Note where the tables of the network and its state are."""
        plan = self.layout
        self.fixed = Fixed(
            plan.phases, plan.tiles, plan.part_table, plan.spans, self.jobs, plan.ports, self._groups(), plan.poisson,
            plan.learned_table, plan.factors, plan.poisson_factors, plan.drives.table, self.key, self.listed,
            self.lists, self.learned.table,
        )  # fmt: skip
        self.fixed_at = addresses(self.fixed)

    def _room(self, name: str, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """Return an array with any content; the same memory as last time, which the system need not clear again."""
        if name not in self.rooms or self.rooms[name].shape != shape:
            self.rooms[name] = np.empty(shape, np.int32)
        return self.rooms[name]

    def drain(self) -> list[Chunk]:
        """Nothing is under way after the last step."""
        return []

    def advance(self, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        """Run some steps."""
        widths = sum(s.n * (8 if s.name in self.layout.value_sources else 1) for s in self.graph.sources)
        per_step = self.samples * (widths + 8 * self.layout.ext_size)
        stretch = max(1, min(steps, BUFFER_BYTES // max(per_step, 1)))
        parts: list[Chunk] = []
        start = 0
        while start < steps or not parts:
            number = min(stretch, steps - start, self.pace.next()[1] if self.samples == 1 else steps)
            parts.append(self._stretch(number, {k: v[start : start + number] for k, v in inputs.items()}))
            start += number
        return parts[0] if len(parts) == 1 else join(parts)

    # ------------------------------------------------------------------------------------------------ threads
    def _ranges(self) -> list[tuple[int, int]]:
        """Return the ranges of samples that are run apart from one another."""
        count = min(self.threads, self.samples)
        bounds = np.linspace(0, self.samples, count + 1).astype(int).tolist()
        return list(pairwise(bounds))

    def _run(self, steps: int, begin: list[int], stretch: Stretch, since: int) -> list[int]:
        """Run each range of samples on from its step; return how far each came.

        One range is shared by a team of threads. The kernel releases the interpreter lock.
        """
        ranges = self._ranges()
        size = self.pace.next()[0] if self.samples == 1 else 1
        barrier = team.new_team() if size > 1 else None
        done = np.zeros((len(ranges), size + 1), np.int64)
        calls = [
            Numbers(
                rank, size, low, high, start, steps, self.first, self.plan.epoch, self.layout.window,
                self.layout.history, since, self.samples, int(stretch.ext.shape[0] > 1) * stretch.ext.shape[1],
                int(stretch.ext.shape[1] > 1), 0 if barrier is None else barrier.ctypes.data, reached.ctypes.data,
                self.meeting, **self.parts_of_a_step,
            )
            for (low, high), start, reached in zip(ranges, begin, done, strict=True)
            for rank in range(size)
            if start < steps or not steps
        ]  # fmt: skip
        shared = np.concatenate([self.fixed_at, addresses(stretch)])
        began = time.perf_counter()
        self.workers.run(calls, shared, barrier)
        if self.samples == 1 and done[0, 0] > begin[0]:
            self.pace.note(size, (time.perf_counter() - began) / float(done[0, 0] - begin[0]))
        return [int(reached[0]) if start < steps else start for start, reached in zip(begin, done, strict=True)]

    def _groups(self) -> NDArray[np.int64]:
        """Return the table of the groups: where their functions, states and constants are."""
        item = self.states[0].itemsize if self.states else 8
        rows = [
            [at, states.ctypes.data, scalars.ctypes.data, vectors.ctypes.data, states.shape[2], item, states[0].size]
            for at, states, (scalars, vectors) in zip(self.advances, self.states, self.constants, strict=True)
        ]
        return np.array(rows, np.int64).reshape(-1, 7)

    # ------------------------------------------------------------------------------------------------ one stretch
    def _stretch(self, steps: int, data: Mapping[str, NDArray[Any]]) -> Chunk:
        first, samples, plan = self.first, self.samples, self.layout
        given = {
            s.name: source_values(self.graph, s, first, steps, samples, data.get(s.name)) for s in self.graph.sources
        }
        pointers, identities, amounts, since = self._listed_sources(given, steps)
        probes, chosen, trace, shapes = probe_tables(self.graph, plan, first, steps, samples)
        neurons = self._recorded()
        capacity = 3 * neurons * self.plan.epoch + EVENTS_PER_SAMPLE // max(1, samples // 16) if neurons else 0
        event_step, event_id = (self._room(name, (samples, capacity)) for name in ("event_step", "event_id"))
        events = np.zeros(samples, np.int64)
        emitted = np.zeros((samples, neurons), np.int64)
        active = np.zeros((samples, len(plan.part_table)), np.int64)
        stretch = Stretch(
            pointers, identities, amounts, self._drive_values(first, steps), probes, chosen, trace, event_step,
            event_id, events, emitted, active,
        )  # fmt: skip
        collected: list[dict[str, Any]] = []
        counted = np.zeros_like(emitted)
        begin = [0] * len(self._ranges())
        while not collected or min(begin) < steps:
            events[:] = 0
            begin = self._run(steps, begin, stretch, since)
            collected.append(self._split(events, event_step, event_id, emitted - counted))
            counted = emitted.copy()
        self.first += steps
        if steps:
            self._pay(given)
        return self._chunk(first, steps, collected, emitted, active, trace, shapes)

    def _pay(self, given: Mapping[str, NDArray[Any]]) -> None:
        """Reward plastic synapses with what their modulators emitted in the last step of a stretch."""
        step = self.first - 1
        for k, (edge, _) in enumerate(self.layout.learned):
            modulator = learning_of(edge).modulator
            for sample in range(self.samples if modulator else 0):
                if modulator in given:
                    emitted = given[modulator][-1:, sample]
                else:
                    low, high = self.layout.spans_of[modulator]
                    emitted = self.listed[sample, step % self.layout.history, low:high]
                value = float(np.sum(emitted, dtype=np.float64))
                if value:
                    self.learned.reward(sample, k, step, value)

    def _listed_sources(self, given: Mapping[str, NDArray[Any]], steps: int) -> tuple[Any, ...]:
        """List who of the sources emits in each step, from as far back as their longest delay reaches."""
        memory, rows = self.layout.source_memory, 0
        pointers, identities, amounts, offset = [], [], [], 0
        valued = bool(self.layout.value_sources)
        for name, values in given.items():
            raster = np.concatenate([self.tails[name], values]) if memory else values
            self.tails[name] = raster[max(0, len(raster) - memory) :] if memory else self.tails[name]
            rows = len(raster)
            raster = np.ascontiguousarray(raster)
            found = np.zeros((self.samples, rows + 1), np.int64)
            self.inputs.count(raster, found)
            ids = np.empty(found[-1, -1], np.int32)
            own = np.zeros(len(ids) if valued else 0)
            self.inputs.make_lists(raster, found, ids, own)
            self.given_totals[name] = np.zeros((self.samples, raster.shape[2]), np.int64)
            self.inputs.emitted(ids, found, rows - steps, self.given_totals[name])
            pointers.append(found + offset)
            identities.append(ids)
            amounts.append(own)
            offset += len(ids)
        table = np.array(pointers, np.int64).reshape(-1, self.samples, rows + 1)
        return table, joined(identities, np.int32), joined(amounts, np.float64), self.first + steps - rows

    def _split(self, events: Any, event_step: Any, event_id: Any, fired: NDArray[np.int64]) -> dict[str, Any]:
        """Sort events by population; return (sample, step of the stretch, neuron) for each."""
        sizes = [int(fired[:, low : low + n.n].sum()) for n, low in zip(self.graph.nodes, self.offsets, strict=True)]
        ends = np.cumsum([0, *sizes])
        total = int(ends[-1])
        sample, step, neuron = (np.empty(total, np.int32) for _ in range(3))
        self.inputs.split(
            events, event_step, event_id, self.population, self.offsets, ends[:-1].copy(), sample, step, neuron
        )
        return {
            node.name: (sample[a:b], step[a:b], neuron[a:b])
            for node, (a, b) in zip(self.graph.nodes, pairwise(ends.tolist()), strict=True)
        }

    def _drive_values(self, first: int, steps: int) -> NDArray[np.float64]:
        if not self.layout.ext_size:
            return np.zeros((1, 1, 0))
        values = [state.values(first, steps) for state in self.drives]
        sizes = [max((v.shape[axis] for v in values), default=1) for axis in (0, 1)]
        out = np.zeros((*sizes, self.layout.ext_size))
        for state, added in zip(self.drives, values, strict=True):
            base = self.layout.ext_base[state.drive.target, str(state.drive.port)]
            out[:, :, base + state.lo : base + state.hi] += added
        return out

    def _chunk(
        self, first: int, steps: int, collected: Any, emitted: Any, active: Any, trace: Any, shapes: Any
    ) -> Chunk:
        totals = dict(self.given_totals)
        spikes, updates = {}, {}
        for node in self.graph.nodes:
            low = self.layout.offset[node.name]
            sample, step, neuron = (np.concatenate([part[node.name][k] for part in collected]) for k in range(3))
            spikes[node.name] = (sample, first + step.astype(np.int64), neuron)
            totals[node.name] = emitted[:, low : low + node.n]
            own = [k for k, part in enumerate(self.layout.parts) if part.node is node]
            updates[node.name] = active[:, own].sum(axis=1)
        traces = {
            key: (times, trace[:, at : at + len(times) * n].reshape(self.samples, len(times), n))
            for key, (at, times, n) in shapes.items()
        }
        return Chunk(first, steps, spikes, traces, totals, updates)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of everything that the steps to come depend on, whatever the threads and representations."""
        own = {f"state/{n.name}/{v}": self.get_state(n.name, v) for n in self.graph.nodes for v in n.model.states}
        own |= {f"source/{name}": tail.copy() for name, tail in self.tails.items()}
        own |= {f"weights/{name}": self.get_weights(name) for name in self.changed}
        if self.layout.learned:
            self.learned.catch_up(self.first - 1)
            own |= self.learned.snapshot()
        since = self.first - self.graph.max_delay
        spikes = under_way(self.listed, self.lists, self.layout.spans, since, self.first)
        own |= {"under way": spikes, "samples": np.array(self.samples), "first": np.array(self.first)}
        return own | take_noise(self.drives)

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a snapshot."""
        self.reset(int(saved_array(saved, "samples", np.int64, ())))
        self.first = int(saved_array(saved, "first", np.int64, ()))
        put_noise(self.drives, saved)
        for node in self.graph.nodes:
            for variable in node.model.states:
                state = saved_array(saved, f"state/{node.name}/{variable}", self.dtype, (self.samples, node.n))
                self.set_state(node.name, variable, state)
        for name, tail in self.tails.items():
            self.tails[name] = saved_array(saved, f"source/{name}", tail.dtype).copy()
        for edge in self.graph.edges:
            if f"weights/{edge.name}" in saved:
                weights = saved_array(saved, f"weights/{edge.name}", np.float64, (edge.synapses,))
                self.set_weights(edge.name, weights if edge.constant_weight is None else weights[0])
            elif edge.name in self.changed:
                self.changed.pop(edge.name)
                self.layout.set_weights(edge)
        self._link()
        self._fix()
        self.learned.restore(saved, self.first)
        put_under_way(self.listed, self.lists, self.layout.spans, saved_array(saved, "under way", np.int64))

    # ------------------------------------------------------------------------------------------------ reading, changing
    def _state_slice(self, population: str, variable: str) -> Any:
        for group, states in zip(self.groups, self.states, strict=True):
            if population in group.start:
                names = list(group.form.model.states)
                if variable not in names:
                    raise UnknownNameError(f"state of population {population!r}:", variable, names)
                low = group.start[population]
                return states[:, names.index(variable), low : low + self.graph.node(population).n]
        raise UnknownNameError("population", population, [n.name for n in self.graph.nodes])

    def get_state(self, population: str, variable: str) -> NDArray[Any]:
        """Return a copy of a state, ``[samples, n]``."""
        return np.array(self._state_slice(population, variable))

    def set_state(self, population: str, variable: str, value: Any) -> None:
        """Replace a state by a number, ``[n]`` or ``[samples, n]``."""
        self._state_slice(population, variable)[...] = value

    def _edge(self, projection: str) -> Any:
        found = {e.name: e for e in self.graph.edges}
        if projection not in found:
            raise UnknownNameError("projection", projection, list(found))
        return found[projection]

    def get_weights(self, projection: str) -> NDArray[Any]:
        """Return the weights by source, then target: one per synapse, or ``[samples, synapses]`` if samples learn."""
        edge = self._edge(projection)
        if edge.learning is not None:
            self.learned.catch_up(self.first - 1)
            learned = self.learned.weights(edge)
            return learned[0] if self.samples == 1 else learned
        return np.asarray(self.changed.get(projection, edge).weights_of(0, edge.synapses))

    def set_weights(self, projection: str, weights: Any) -> None:
        """Replace the weights by one number or one per synapse; they are snapped to the port's grid."""
        edge = self._edge(projection)
        grid = grid_of_port(self.graph, edge.post, edge.port)
        values = checked_weights(edge, weights, grid)
        if edge.learning is not None:
            self.learned.catch_up(self.first - 1)
            self.learned.set_weights(edge, np.reshape(values, -1))
            return
        changed = with_weights(edge, values, grid)
        self.changed[projection] = changed
        self.layout.set_weights(changed)
        self._link()
        self._fix()
