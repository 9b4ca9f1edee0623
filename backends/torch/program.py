"""A network as tensors ``[samples, n]``: one step after the other, populations in the order of their level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.backends.torch.delivery import Delivery, Layered, Ring, Rows
from spikesim.backends.torch.linear import LinearMap, linear_map
from spikesim.backends.torch.ops import DTYPES
from spikesim.backends.torch.plastic import Plastic
from spikesim.backends.torch.unit import Unit
from spikesim.connect import Conv2d, Dense, Pool2d
from spikesim.drive import DriveState, source_values
from spikesim.engine import Chunk, Options, Stepping
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.graph import Edge, Graph
from spikesim.learning import check_weights
from spikesim.lowering import snap
from spikesim.snapshot import put_noise, saved_array, take_noise
from spikesim.stimulus import Source

LAYERED_SAMPLES = 8  # with fewer samples at once, going from spike to spike is faster than a product


class TorchProgram(Stepping):
    """See :class:`spikesim.program.Program`."""

    whole_run = False

    def __init__(self, graph: Graph, options: Options) -> None:
        self.graph, self.device, self.dtype = graph, torch.device(options.device), DTYPES[options.dtype]
        self.units = {n.name: Unit(n, self.dtype, self.device) for n in graph.nodes}
        for node in graph.nodes:
            for port in node.model.inputs:
                edges = [e for e in graph.edges if (e.post, e.port) == (node.name, port)]
                if edges:
                    slots = 1 + max(e.max_delay for e in edges)
                    self.units[node.name].rings[port] = Ring(slots, node.n, self.device)
        self.plastic = {e.name: self._plastic(e) for e in graph.edges if e.learning is not None}
        self.changed: dict[str, Any] = {}  # weights that replace the graph's
        self.layered: bool | None = None
        self.reset()

    def reset(self, samples: int = 1) -> None:
        """Go back to step 0 with initial states."""
        self.samples, self.first = samples, 0
        for unit in self.units.values():
            unit.reset(samples)
        for plastic in self.plastic.values():
            plastic.reset(samples)
        self.drives = [DriveState(self.graph, d, samples) for d in self.graph.drives]
        if self.layered is not (samples >= LAYERED_SAMPLES):
            self.layered = samples >= LAYERED_SAMPLES
            self._connect()

    def _connect(self) -> None:
        """Choose how each projection is delivered."""
        self.deliveries = {e.name: self._delivery(e) for e in self.graph.edges}
        self.leaving: dict[str, list[Delivery]] = {}
        for edge in self.graph.edges:
            self.leaving.setdefault(edge.pre, []).append(self.deliveries[edge.name])

    def _plastic(self, edge: Edge) -> Plastic:
        ring = self.units[edge.post].rings[edge.port]
        return Plastic(edge, ring, self.graph.exactness[edge.post, edge.port].grid)

    def _delivery(self, edge: Edge) -> Delivery:
        if edge.name in self.plastic:
            return self.plastic[edge.name]
        ring = self.units[edge.post].rings[edge.port]
        if edge.name in self.changed:
            return Rows(edge, ring, self.changed[edge.name])
        linear = self._linear(edge)
        return Rows(edge, ring) if linear is None else Layered(linear, edge.max_delay, ring)

    def _linear(self, edge: Edge) -> LinearMap | None:
        """Return the map of a projection that is delivered by one product for all samples, else None."""
        # chains are delivered by their rows: only the rows hold the product of the parts on the grid
        layered = isinstance(edge.rule, (Dense, Conv2d, Pool2d)) and self.layered
        if not layered or np.ndim(edge.delays) or (isinstance(edge.rule, Pool2d) and np.ptp(edge.weights)):
            return None
        linear = linear_map(edge.rule, self._shape(edge.pre), False, torch.float64, self.device)
        if linear is not None and isinstance(edge.rule, Pool2d):
            linear.factor = float(np.max(edge.weights))
        return linear

    def _shape(self, name: str) -> tuple[int, ...]:
        source = self.graph.source(name)
        return source.shape if source is not None else self.graph.node(name).shape

    # ------------------------------------------------------------------------------------------------ running
    def drain(self) -> list[Chunk]:
        """Nothing is under way after the last step."""
        return []

    def advance(self, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        """Run some steps."""
        first, samples = self.first, self.samples
        given = {s.name: self._given(s, first, steps, inputs.get(s.name)) for s in self.graph.sources}
        drives = self._drives(first, steps)
        raster = {
            n: torch.zeros((steps, samples, u.node.n), dtype=torch.bool, device=self.device)
            for n, u in self.units.items()
        }
        active = {n: torch.zeros(samples, dtype=torch.int64, device=self.device) for n in self.units}
        traces: dict[tuple[str, str], list[torch.Tensor]] = {
            (p.target, v): [] for p in self.graph.probes for v in p.variables
        }
        for k in range(steps):
            for name, values in given.items():
                self._emit(name, values[k], first + k)
            for name, unit in self.units.items():
                self._arrive(name, first + k)
                now = {port: v[k if len(v) > 1 else 0] for port, v in drives.get(name, {}).items()}
                spikes, busy = unit.step(first + k, now)
                raster[name][k] = spikes
                active[name] += busy.sum(1)
                self._emit(name, spikes, first + k)
            self._learn(first + k, {n: v[k] for n, v in given.items()}, {n: r[k] for n, r in raster.items()})
            self._record(first + k, traces)
        self.first += steps
        values = {key: torch.stack(rows, 1) if rows else None for key, rows in traces.items()}
        return self._chunk(first, steps, given, raster, active, values)

    def _chunk(
        self,
        first: int,
        steps: int,
        given: Mapping[str, torch.Tensor],
        raster: Mapping[str, torch.Tensor],
        active: Mapping[str, torch.Tensor],
        traces: Mapping[tuple[str, str], torch.Tensor | None],
    ) -> Chunk:
        """Bring what happened to the host: rasters ``[steps, samples, n]``, traces ``[samples, rows, n]``."""
        emitted = {n: (v != 0).sum(0).cpu().numpy() for n, v in given.items()}
        emitted |= {n: r.sum(0, dtype=torch.int64).cpu().numpy() for n, r in raster.items()}
        return Chunk(
            first,
            steps,
            {n: _events(r, first) for n, r in raster.items()},
            {key: self._trace(key, values, first, steps) for key, values in traces.items()},
            emitted,
            {n: a.cpu().numpy() for n, a in active.items()},
        )

    def _given(self, source: Source, first: int, steps: int, data: NDArray[Any] | None) -> torch.Tensor:
        values = source_values(self.graph, source, first, steps, self.samples, data)
        return torch.as_tensor(np.ascontiguousarray(values), device=self.device)

    def _drives(self, first: int, steps: int) -> dict[str, dict[str, torch.Tensor]]:
        """Sum the drives of each port over a stretch, ``[steps, samples or 1, n]``."""
        sums: dict[str, dict[str, NDArray[np.float64]]] = {}
        for state in self.drives:
            ports = sums.setdefault(state.drive.target, {})
            port, values = str(state.drive.port), state.values(first, steps)
            values = np.broadcast_to(values, (steps, *values.shape[1:])).copy()
            ports[port] = ports[port] + values if port in ports else values
        return {
            name: {port: torch.as_tensor(values, device=self.device) for port, values in ports.items()}
            for name, ports in sums.items()
        }

    def _emit(self, name: str, values: torch.Tensor, t: int) -> None:
        leaving = self.leaving.get(name)
        # looking at the values would make the host wait for another device
        if leaving and (self.device.type != "cpu" or bool(values.any())):
            values = values.to(torch.float64)
            for delivery in leaving:
                delivery(values, t)

    def _arrive(self, name: str, t: int) -> None:
        for plastic in self.plastic.values():
            if plastic.edge.post == name:
                plastic.arrive(t)

    def _learn(self, t: int, given: dict[str, torch.Tensor], fired: dict[str, torch.Tensor]) -> None:
        for plastic in self.plastic.values():
            plastic.fired(fired[plastic.edge.post], t)
            modulator = plastic.learning.modulator
            if modulator:
                plastic.reward((given | fired)[modulator].to(torch.float64).sum(1), t)

    def _record(self, t: int, traces: dict[tuple[str, str], list[torch.Tensor]]) -> None:
        for probe in self.graph.probes:
            if t % probe.every == 0:
                chosen = slice(None) if probe.neurons is None else list(probe.neurons)
                for variable in probe.variables:
                    traces[probe.target, variable].append(self.units[probe.target].state[variable][:, chosen])

    def _trace(
        self, key: tuple[str, str], values: torch.Tensor | None, first: int, steps: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        probe = next(p for p in self.graph.probes if p.target == key[0] and key[1] in p.variables)
        times = np.arange(-(-first // probe.every) * probe.every, first + steps, probe.every)
        n = self.graph.node(key[0]).n if probe.neurons is None else len(probe.neurons)
        empty = np.zeros((self.samples, 0, n))
        return times, empty if values is None else values.double().cpu().numpy()

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Return all tensors that change while running, by name."""
        found: dict[str, torch.Tensor] = {}
        for name, unit in self.units.items():
            found |= {f"state/{name}/{v}": tensor for v, tensor in unit.state.items()}
            found |= {f"ring/{name}/{port}": ring.sums for port, ring in unit.rings.items()}
        for name, plastic in self.plastic.items():
            found |= {f"plastic/{name}/{part}": tensor for part, tensor in plastic.tensors().items()}
        return found

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of everything that the steps to come depend on."""
        tensors = {name: tensor.detach().cpu().numpy().copy() for name, tensor in self._tensors().items()}
        weights = {f"weights/{name}": np.array(value) for name, value in self.changed.items()}
        where = {"first": np.array(self.first), "samples": np.array(self.samples)}
        return tensors | weights | where | take_noise(self.drives)

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a snapshot."""
        self.reset(int(saved_array(saved, "samples", np.int64, ())))
        self.first = int(saved_array(saved, "first", np.int64, ()))
        put_noise(self.drives, saved)
        for name, tensor in self._tensors().items():
            dtype = str(tensor.dtype).removeprefix("torch.")
            tensor.copy_(torch.tensor(saved_array(saved, name, dtype, tuple(tensor.shape))))
        for edge in self.graph.edges:
            if f"weights/{edge.name}" in saved:
                self.set_weights(edge.name, saved[f"weights/{edge.name}"])

    # ------------------------------------------------------------------------------------------------ reading, changing
    def _unit(self, population: str, variable: str) -> Unit:
        if population not in self.units:
            raise UnknownNameError("population", population, list(self.units))
        unit = self.units[population]
        if variable not in unit.state:
            raise UnknownNameError(f"state of population {population!r}:", variable, list(unit.state))
        return unit

    def get_state(self, population: str, variable: str) -> NDArray[Any]:
        """Return a copy of a state, ``[samples, n]``."""
        array: NDArray[Any] = self._unit(population, variable).state[variable].cpu().numpy().copy()
        return array

    def set_state(self, population: str, variable: str, value: Any) -> None:
        """Replace a state by a number, ``[n]`` or ``[samples, n]``."""
        unit = self._unit(population, variable)
        shape = (self.samples, unit.node.n)
        try:
            array = np.broadcast_to(np.asarray(value, np.float64), shape)
        except ValueError:
            found = list(np.shape(value))
            raise InvalidValueError(
                f"state {variable!r} of population {population!r} has shape {list(shape)}, found {found}"
            ) from None
        unit.state[variable].copy_(torch.tensor(array))

    def _edge(self, projection: str) -> Edge:
        found = {e.name: e for e in self.graph.edges}
        if projection not in found:
            raise UnknownNameError("projection", projection, list(found))
        return found[projection]

    def get_weights(self, projection: str) -> NDArray[Any]:
        """Return the weights by source, then target: one per synapse, or ``[samples, synapses]`` if samples learn."""
        edge = self._edge(projection)
        if projection in self.plastic:
            learned: NDArray[Any] = self.plastic[projection].weights.cpu().numpy().copy()
            return learned[0] if self.samples == 1 else learned
        return np.array(np.broadcast_to(self.changed.get(projection, edge.weights), (edge.synapses,)), np.float64)

    def set_weights(self, projection: str, weights: Any) -> None:
        """Replace the weights by one number or one per synapse; they are snapped to the port's grid."""
        edge = self._edge(projection)
        exact = self.graph.exactness.get((edge.post, edge.port))
        values = snap(weights, exact.grid) if exact and exact.grid else np.asarray(weights, np.float64)
        if not np.isfinite(values).all():
            raise InvalidValueError(f"projection {projection!r}: weights must be finite, found NaN or infinity")
        if np.ndim(values) and np.size(values) != edge.synapses:
            raise InvalidValueError(
                f"projection {projection!r} has {edge.synapses} synapses, found {np.size(values)} weights"
            )
        if projection in self.plastic:
            check_weights(edge, values)
            self.plastic[projection].set(values)
            return
        self.changed[projection] = np.reshape(values, -1) if np.ndim(values) else float(values)
        self._replace(edge)

    def _replace(self, edge: Edge) -> None:
        """Deliver the changed weights of a projection."""
        projection = edge.name
        replaced, old = self._delivery(edge), self.deliveries[projection]
        self.deliveries[projection] = replaced
        self.leaving[edge.pre] = [replaced if d is old else d for d in self.leaving[edge.pre]]


def _events(raster: torch.Tensor, first: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    step, sample, neuron = raster.nonzero().t().contiguous().cpu().numpy()
    return sample, step + first, neuron
