"""A network compiled for the CPU: owns the state, prints and caches the kernel, runs it in threads over samples."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

import spikesim
from spikesim.backends.numba import loop
from spikesim.backends.numba.layout import Block, blocks, layout
from spikesim.drive import DriveState, source_values
from spikesim.engine import Chunk, Options, Stepping
from spikesim.equations import elementary, elementary_numba, random_kernels
from spikesim.equations.numba_source import print_loop
from spikesim.equations.source import import_source
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.graph import Graph
from spikesim.lowering import snap
from spikesim.rng import Stream, poisson_parts, poisson_thresholds
from spikesim.snapshot import put_noise, saved_array, take_noise
from spikesim.stimulus import PoissonDrive

BUFFER_BYTES = 64 * 2**20  # input and drive arrays of one stretch stay below this
EVENTS_PER_SAMPLE = 2**16

_MARK = "# --- copied into the printed module from here on ---\n"


def kernel_source(groups: list[Block], dtype: str) -> str:
    """Return the module printed for a set of models."""
    models = []
    for block in groups:
        vectors = frozenset(n for n in block.model.used_constants() if np.ndim(block.constant(n)))
        models.append((block.model, vectors))
    imports = "from spikesim.equations.random_kernels import add_poisson\n"
    return print_loop(models, dtype, imports) + "\n\n" + inspect.getsource(loop).split(_MARK)[1]


def compiled_loop(groups: list[Block], dtype: str) -> Any:
    """Return the compiled simulation loop for a set of models."""
    called = "".join(inspect.getsource(m) for m in (elementary, elementary_numba, random_kernels))
    depends = f"{spikesim.__version__} numba {numba.__version__}\n{called}"
    return import_source(kernel_source(groups, dtype), "loop", depends).simulate


class NumbaProgram(Stepping):
    """See :class:`spikesim.engine.Program`."""

    whole_run = False

    def __init__(self, graph: Graph, options: Options) -> None:
        self.graph = graph
        self.dtype: Any = {"float64": np.float64, "float32": np.float32}[options.dtype]
        self.threads = options.threads or os.cpu_count() or 1
        self.groups = blocks(graph)
        self.layout = layout(graph, self.groups)
        self.graph_weights = self.layout.weights
        self.loop = compiled_loop(self.groups, options.dtype)
        self.key = np.array([graph.seed & 0xFFFFFFFF, graph.seed >> 32], np.uint32)
        self.scalars, self.vectors = self._constants()
        self.poisson, self.thresholds, self.poisson_weights, fast = self._poisson_tables()
        self.slow_drives = [d for d in graph.drives if d.name not in fast]
        self.reset()
        self._stretch(0, {s.name: np.zeros((0, 1, s.n)) for s in graph.sources})  # compiles, or reads the cache

    # ------------------------------------------------------------------------------------------------ preparation
    def _constants(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        scalars, vectors = [], []
        for block in self.groups:
            values = [block.constant(n) for n in block.model.used_constants()]
            scalars.append(np.array([v for v in values if np.ndim(v) == 0], self.dtype))
            vectors.append(np.array([v for v in values if np.ndim(v)], self.dtype).reshape(-1, block.n))
        return tuple(scalars), tuple(vectors)

    def _poisson_tables(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], set[str]]:
        """Prepare the Poisson drives that the kernel can draw itself: one constant rate, alone on its port."""
        rows, weights, fast = [], [], set()
        thresholds: list[NDArray[np.uint32]] = []
        ports = [(d.target, d.port) for d in self.graph.drives]
        for drive in self.graph.drives:
            alone = ports.count((drive.target, drive.port)) == 1
            if not (isinstance(drive, PoissonDrive) and alone and isinstance(drive.rate, float)):
                continue
            parts, mean = poisson_parts(drive.rate * self.graph.dt)
            table = poisson_thresholds(mean)
            first = sum(len(t) for t in thresholds)
            port = self.graph.node(drive.target).model.inputs.index(str(drive.port))
            unit = self.layout.unit_names.index(drive.target)
            stream = Stream(self.graph.seed, drive.name).id
            rows.append([unit, port, stream, first, first + len(table), parts])
            thresholds.append(table)
            weights.append(drive.weight)
            fast.add(drive.name)
        flat = np.concatenate([*thresholds, np.zeros(1, np.uint32)])
        return np.array(rows, np.int64).reshape(-1, 6), flat, np.array(weights, np.float64), fast

    # ------------------------------------------------------------------------------------------------ running
    def reset(self, samples: int = 1) -> None:
        """Go back to step 0 with initial states."""
        self.samples, self.first = samples, 0
        # order "C": a copy of a broadcast array would put the samples innermost, for one model and not for another
        self.states = tuple(
            np.array(np.broadcast_to(b.initial().astype(self.dtype), (samples, len(b.model.states), b.n)), order="C")
            for b in self.groups
        )
        self.rings = np.zeros((samples, self.layout.ring_size))
        self.drives = [DriveState(self.graph, d, samples) for d in self.slow_drives]

    def drain(self) -> list[Chunk]:
        """Nothing is under way after the last step."""
        return []

    def advance(self, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        """Run some steps."""
        per_step = self.samples * (self.layout.spike_width + 8 * self.layout.value_width + 8 * self.layout.drive_size)
        stretch = max(1, min(steps, BUFFER_BYTES // max(per_step, 1)))
        parts = []
        for start in range(0, steps, stretch):
            number = min(stretch, steps - start)
            parts.append(self._stretch(number, {k: v[start : start + number] for k, v in inputs.items()}))
        return parts[0] if len(parts) == 1 else _join(parts)

    def _stretch(self, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        first, samples, plan = self.first, self.samples, self.layout
        given = {
            s.name: source_values(self.graph, s, first, steps, samples, inputs.get(s.name)) for s in self.graph.sources
        }
        spikes_in = _side_by_side([given[n] for n in plan.spike_sources], (steps, samples), np.uint8)
        values_in = _side_by_side([given[n] for n in plan.value_sources], (steps, samples), np.float64)
        probes, chosen, trace, shapes = self._probe_tables(first, steps)
        capacity = max(plan.neurons * 2, EVENTS_PER_SAMPLE // max(1, samples // 16))
        event_step = np.empty((samples, capacity), np.int64)
        event_id = np.empty((samples, capacity), np.int32)
        events = np.zeros(samples, np.int64)
        emitted = np.zeros((samples, plan.neurons), np.int64)
        active = np.zeros((samples, len(plan.units)), np.int64)
        done = np.zeros(samples, np.int64)
        drive_values = self._drive_values(first, steps)
        collected: list[Any] = []
        while not collected or (done < steps).any():
            events[:] = 0
            self._in_threads(
                first, steps, done, plan.units, plan.ports, plan.edges, plan.edge_weights, plan.indptr, plan.indices,
                plan.weights, plan.delays, self.states, self.scalars, self.vectors, self.rings, spikes_in, values_in,
                drive_values, self.poisson, self.thresholds, self.poisson_weights, self.key, probes, chosen, trace,
                event_step, event_id, events, emitted, active,
            )  # fmt: skip
            filled = np.arange(capacity) < events[:, None]
            collected.append((np.nonzero(filled)[0], event_step[filled], event_id[filled]))
        self.first += steps
        return self._chunk(first, steps, given, collected, emitted, active, trace, shapes)

    def _in_threads(self, *args: Any) -> None:
        """Run the samples in contiguous ranges, one a thread; the kernel releases the interpreter lock."""
        count = min(self.threads, self.samples)
        if count == 1:
            self.loop(0, self.samples, *args)
            return
        bounds = np.linspace(0, self.samples, count + 1).astype(int).tolist()
        with ThreadPoolExecutor(count) as pool:
            for future in [pool.submit(self.loop, a, b, *args) for a, b in pairwise(bounds)]:
                future.result()

    def _drive_values(self, first: int, steps: int) -> NDArray[np.float64]:
        if not self.layout.drive_size:
            return np.zeros((1, 1, 0))
        varying = bool(self.drives)
        out = np.zeros((steps if varying else 1, self.samples if varying else 1, self.layout.drive_size))
        for state in self.drives:
            base = self.layout.drive_base[state.drive.target, str(state.drive.port)]
            out[:, :, base : base + state.n] += state.values(first, steps)
        return out

    def _probe_tables(self, first: int, steps: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], dict[Any, Any]]:
        rows, chosen, size, shapes = [], [], 0, {}
        picked = 0
        for probe in self.graph.probes:
            number = next(k for k, g in enumerate(self.groups) if probe.target in g.start)
            block = self.groups[number]
            n = self.graph.node(probe.target).n
            neurons = np.arange(n) if probe.neurons is None else np.asarray(probe.neurons, np.int64)
            times = np.arange(-(-first // probe.every), (first + steps - 1) // probe.every + 1) * probe.every
            for variable in probe.variables:
                state = list(block.model.states).index(variable)
                before = -(-first // probe.every) * len(neurons)
                rows.append([number, state, probe.every, picked, picked + len(neurons), size - before])
                shapes[probe.target, variable] = (size, times, len(neurons))
                chosen.append(neurons + block.start[probe.target])
                picked += len(neurons)
                size += len(neurons) * len(times)
        table = np.array(rows, np.int64).reshape(-1, 6)
        flat = np.concatenate(chosen) if chosen else np.zeros(0, np.int64)
        return table, flat, np.zeros((self.samples, size), self.dtype), shapes

    def _chunk(
        self, first: int, steps: int, given: Any, collected: Any, emitted: Any, active: Any, trace: Any, shapes: Any
    ) -> Chunk:
        sample, step, identity = (np.concatenate([c[k] for c in collected]) for k in range(3))
        spikes, totals, updates = {}, {}, {}
        for row, name in zip(self.layout.units, self.layout.unit_names, strict=True):
            if row[0] != 2:
                totals[name] = (given[name] != 0).sum(axis=0).astype(np.int64)
                continue
            low, high = row[4], row[4] + row[3] - row[2]
            mine = (identity >= low) & (identity < high)
            spikes[name] = (sample[mine], step[mine], identity[mine] - low)
            totals[name] = emitted[:, low:high]
            updates[name] = active[:, self.layout.unit_names.index(name)]
        traces = {
            key: (times, trace[:, at : at + len(times) * n].reshape(self.samples, len(times), n).astype(np.float64))
            for key, (at, times, n) in shapes.items()
        }
        return Chunk(first, steps, spikes, traces, totals, updates)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of everything that the steps to come depend on."""
        own = {f"states/{k}": array for k, array in enumerate(self.states)}
        own |= {"rings": self.rings, "edge weights": self.layout.edge_weights}
        if self.layout.weights is not self.graph_weights:
            own["weights"] = self.layout.weights
        return {name: a.copy() for name, a in own.items()} | {"first": np.array(self.first)} | take_noise(self.drives)

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a snapshot."""
        self.reset(len(saved_array(saved, "rings", np.float64)))
        self.first = int(saved_array(saved, "first", np.int64, ()))
        put_noise(self.drives, saved)
        self.layout.weights = self.graph_weights
        if "weights" in saved:
            self.layout.weights = saved_array(saved, "weights", np.float64, self.graph_weights.shape).copy()
        for k, array in enumerate(self.states):
            array[...] = saved_array(saved, f"states/{k}", self.dtype, array.shape)
        self.rings[...] = saved_array(saved, "rings", np.float64, self.rings.shape)
        self.layout.edge_weights[...] = saved_array(saved, "edge weights", np.float64, self.layout.edge_weights.shape)

    # ------------------------------------------------------------------------------------------------ reading, changing
    def _state_slice(self, population: str, variable: str) -> Any:
        for block, states in zip(self.groups, self.states, strict=True):
            if population in block.start:
                names = list(block.model.states)
                if variable not in names:
                    raise UnknownNameError(f"state of population {population!r}:", variable, names)
                low = block.start[population]
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
        """Return the weights, one per synapse, sorted by source, then target."""
        edge = self._edge(projection)
        if projection in self.layout.weight_slices:
            return np.array(self.layout.weights[self.layout.weight_slices[projection]])
        return np.full(edge.synapses, self.layout.edge_weights[self.layout.edge_rows[projection]])

    def set_weights(self, projection: str, weights: Any) -> None:
        """Replace the weights by one number or one per synapse; they are snapped to the port's grid."""
        edge = self._edge(projection)
        exact = self.graph.exactness.get((edge.post, edge.port))
        values = snap(weights, exact.grid) if exact else np.asarray(weights, np.float64)
        if not np.isfinite(values).all():
            raise InvalidValueError(f"projection {projection!r}: weights must be finite, found NaN or infinity")
        if projection in self.layout.weight_slices:
            if self.layout.weights is self.graph_weights:  # the graph keeps its own
                self.layout.weights = self.layout.weights.copy()
            if np.ndim(values) and np.size(values) != edge.synapses:
                raise InvalidValueError(
                    f"projection {projection!r} has {edge.synapses} synapses, found {np.size(values)} weights"
                )
            self.layout.weights[self.layout.weight_slices[projection]] = values
        elif np.ndim(values) == 0:
            self.layout.edge_weights[self.layout.edge_rows[projection]] = values
        else:
            raise InvalidValueError(
                f"projection {projection!r} was built with one weight for all synapses; give one number, or "
                "build it with an array"
            )


def _side_by_side(arrays: list[NDArray[Any]], shape: tuple[int, int], dtype: Any) -> NDArray[Any]:
    if not arrays:
        return np.zeros((*shape, 0), dtype)
    return np.ascontiguousarray(np.concatenate([a.astype(dtype, copy=False) for a in arrays], axis=2))


def _join(parts: list[Chunk]) -> Chunk:
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
