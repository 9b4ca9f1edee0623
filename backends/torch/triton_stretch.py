"""A stretch of steps on a device: one launch per population and one per level for its spikes, no word to the host.

Its drives and inputs are put on the device before it, rasters and traces are read after it. On CUDA the launches of
some steps are recorded once and replayed as a graph, in which those that do not wait for each other run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.backends.torch.delivery import Ring
from spikesim.backends.torch.triton_drives import Drives, draw_spikes
from spikesim.backends.torch.triton_kernels import collect, deliver, record, tick
from spikesim.backends.torch.triton_network import Synapses
from spikesim.drive import DriveState, source_values
from spikesim.engine import Chunk
from spikesim.equations.scan_source import Layout
from spikesim.equations.triton_source import load_triton, update_triton
from spikesim.graph import Node
from spikesim.network import Probe
from spikesim.stimulus import Poisson

if TYPE_CHECKING:
    from spikesim.backends.torch.triton_program import TritonProgram

BLOCK = 128  # neurons or synapses a program takes at a time
# programs that share the spikes of a step, for each projection of their source; not tuned on a GPU yet, and the
# interpreter takes them one after the other
PROGRAMS = {"cuda": 64, "cpu": 1}
ROOM = 1 << 28  # bytes for what is drawn, given and recorded in a stretch
STRETCH = 4096  # steps at most
GRAPH_STEPS = 16  # recorded in one graph

Launch = Callable[[], Any]


class Stretch:
    """Buffers for some steps, and the launches that fill them.

    Parameters
    ----------
    program
        Whose states are advanced.
    synapses
        Of its network.
    """

    def __init__(self, program: TritonProgram, synapses: Synapses) -> None:
        self.program, self.synapses = program, synapses
        self.graph, self.device, self.samples = program.graph, program.device, program.samples
        ports: dict[tuple[str, str], list[DriveState]] = {}
        for state in program.drives:
            ports.setdefault((state.drive.target, str(state.drive.port)), []).append(state)
        self.steps = self._room(len(ports))
        self.drives = {key: Drives(states, self.steps, self.device) for key, states in ports.items()}
        self.given = {s.name: self._zeros((self.steps, s.n), torch.uint8) for s in self.graph.sources}
        self.raster = {n.name: self._zeros((self.steps, n.n), torch.uint8) for n in self.graph.nodes}
        self.active = {n.name: self._zeros((), torch.int64) for n in self.graph.nodes}
        self.clock = torch.zeros(2, dtype=torch.int64, device=self.device)
        self._lists()
        self._rings()
        self._probes()
        self.waves = self._waves()
        self.warm = False
        self.recorded: Any = None

    def _zeros(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return zeros ``[..., samples, n]``, or ``[samples]``."""
        full = (*shape[:-1], self.samples, *shape[-1:])
        return torch.zeros(full, dtype=dtype, device=self.device)

    def _room(self, ports: int) -> int:
        """Return how many steps the buffers hold."""
        wide = sum(n.n for n in self.graph.nodes) * self.samples
        wide = wide * (1 + 8 * bool(ports)) + sum(s.n for s in self.graph.sources) * self.samples
        return max(1, min(STRETCH, ROOM // max(wide, 1)))

    def _lists(self) -> None:
        """Make room for the lists of who fired: one per phase, the sources first, then each level."""
        self.levels = sorted({n.level for n in self.graph.nodes})
        sizes = [sum(s.n for s in self.graph.sources)]
        sizes += [sum(n.n for n in self.graph.nodes if n.level == level) for level in self.levels]
        self.listed = [torch.zeros(2 * max(1, n * self.samples), dtype=torch.int32, device=self.device) for n in sizes]
        phases = 1 << (len(sizes) - 1).bit_length()  # Triton counts in powers of two
        self.counts = torch.zeros(phases, dtype=torch.int32, device=self.device)

    def _rings(self) -> None:
        """Put all rings side by side, so that one launch can write to all; those of the program become views."""
        rings = {(u.node.name, port): ring for u in self.program.units.values() for port, ring in u.rings.items()}
        flat = torch.cat([torch.zeros(1, dtype=torch.float64, device=self.device), *_flat(rings.values())])
        places, start = {}, 1
        for key, ring in rings.items():
            size, shape = ring.sums.numel(), ring.sums.shape
            places[key], ring.sums = (start, ring.slots), flat[start : start + size].view(shape)
            start += size
        self.ring, self.edges, self.groups = flat, self.synapses.table(places), self.synapses.groups()

    def _probes(self) -> None:
        self.traces: dict[tuple[str, str], torch.Tensor] = {}
        self.base: dict[Probe, torch.Tensor] = {}
        for probe in self.graph.probes:
            n = self.graph.node(probe.target).n if probe.neurons is None else len(probe.neurons)
            self.base[probe] = torch.zeros(1, dtype=torch.int64, device=self.device)
            for variable in probe.variables:
                rows = self.steps // probe.every + 1
                self.traces[probe.target, variable] = self._zeros((rows, n), self.program.dtype)

    # ------------------------------------------------------------------------------------------------ one step
    def _waves(self) -> list[list[Launch]]:
        """Return the launches of one step in waves; those of a wave do not wait for each other."""
        emitting = {name: k for k, name in enumerate(self.synapses.sources)}
        waves = [[self._collect(s.name, emitting[s.name]) for s in self.graph.sources if s.name in emitting]]
        waves += [self._deliver(0, [s.name for s in self.graph.sources])]
        for phase, level in enumerate(self.levels, 1):
            nodes = [n for n in self.graph.nodes if n.level == level]
            waves += [[self._update(n, phase, emitting.get(n.name, 0)) for n in nodes]]
            waves += [self._deliver(phase, [n.name for n in nodes])]
        waves += [[self._record(p, v) for p in self.graph.probes for v in p.variables]]
        phases = len(self.counts)
        waves += [[lambda: tick[(1,)](self.clock, self.counts, PHASES=phases)]]
        return [wave for wave in waves if wave]

    def _collect(self, name: str, group: int) -> Launch:
        values = self.given[name]
        width = values[0].numel()
        arguments = (self.clock, values, self.counts[0:], self.listed[0], group, width)
        return lambda: collect[(-(-width // BLOCK),)](*arguments, BLOCK=BLOCK)

    def _deliver(self, phase: int, names: Sequence[str]) -> list[Launch]:
        most = max((sum(e.pre == name for e in self.synapses.edges) for name in names), default=0)
        if not most:
            return []
        arrays = self.synapses.arrays
        arguments: list[Any] = [self.clock, self.counts[phase:], self.listed[phase]]
        arguments += [self.groups, self.edges, self.synapses.scale]
        arguments += [arrays[name] for name in ("rows", "target", "weight", "delay")]
        programs = PROGRAMS[self.device.type]
        sizes = {"BLOCK": BLOCK, "PROGRAMS": programs, "EDGES": most}
        arguments += [self.ring, self.samples]
        return [lambda: deliver[(programs, most)](*arguments, **sizes, enable_fp_fusion=False)]

    def _update(self, node: Node, phase: int, group: int) -> Launch:
        unit = self.program.units[node.name]
        ports = tuple(p for p in node.model.inputs if p in unit.rings or (node.name, p) in self.drives)
        rings = tuple(p for p in ports if p in unit.rings)
        driven = tuple(p for p in ports if (node.name, p) in self.drives)
        names = node.model.used_constants()
        params = {name: unit.params[name].contiguous() for name in names}
        arrays = tuple(name for name, value in params.items() if value.ndim)
        dtype = str(self.program.dtype).removeprefix("torch.")
        kernel = _step_kernel(Layout(node.model, dtype, ports, arrays), rings, driven)
        drives = [self.drives[node.name, p] for p in driven]
        out = (self.raster[node.name], self.active[node.name], self.counts[phase:], self.listed[phase])
        sums = [*(unit.rings[p].sums for p in rings), *(unit.rings[p].slots for p in rings)]
        sums += [*(d.sums for d in drives), *(int(d.varies) for d in drives)]
        states = [unit.state[name] for name in node.model.states]
        arguments = [self.clock, *out, *sums, *states, *params.values(), group, node.n]
        grid = (-(-node.n // BLOCK), self.samples)
        return lambda: kernel[grid](*arguments, BLOCK=BLOCK, enable_fp_fusion=False)

    def _record(self, probe: Probe, variable: str) -> Launch:
        n = self.graph.node(probe.target).n
        chosen = np.arange(n) if probe.neurons is None else np.asarray(probe.neurons)
        which = torch.as_tensor(chosen.astype(np.int64), device=self.device)
        state, out = self.program.units[probe.target].state[variable], self.traces[probe.target, variable]
        arguments = (self.clock, state, which, out, self.base[probe], probe.every, n, len(chosen))
        return lambda: record[(-(-len(chosen) // BLOCK), self.samples)](*arguments, BLOCK=BLOCK)

    # ------------------------------------------------------------------------------------------------ many steps
    def run(self, first: int, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        """Run at most as many steps as there is room for."""
        with torch.cuda.device_of(self.clock):  # Triton launches on the current device
            return self._run(first, steps, inputs)

    def _run(self, first: int, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        for drive in self.drives.values():
            drive.fill(first, steps)
        for source in self.graph.sources:
            room = self.given[source.name][:steps]
            if isinstance(source, Poisson):
                draw_spikes(self.graph, source, room, first)
            else:
                values = source_values(self.graph, source, first, steps, self.samples, inputs.get(source.name))
                room.copy_(torch.as_tensor(np.ascontiguousarray(values)))
        self.clock.copy_(torch.tensor([first, 0]))
        for probe, base in self.base.items():
            base.fill_(-(-first // probe.every))
        for active in self.active.values():
            active.zero_()
        self._walk(steps)
        rows = {p.target: len(range(-(-first // p.every) * p.every, first + steps, p.every)) for p in self.base}
        # clones: the buffers are used again, a chunk belongs to whoever gets it
        traces = {key: values[: rows[key[0]]].transpose(0, 1).clone() for key, values in self.traces.items()}
        active = {name: values.clone() for name, values in self.active.items()}
        given = {name: values[:steps] for name, values in self.given.items()}
        raster = {name: values[:steps] for name, values in self.raster.items()}
        return self.program._chunk(first, steps, given, raster, active, traces)

    def _walk(self, steps: int) -> None:
        """Launch the steps: one by one until all is compiled, then recorded on CUDA."""
        if self.device.type == "cuda":
            if not self.warm and steps:
                self._step()
                steps, self.warm = steps - 1, True
            while steps >= GRAPH_STEPS:
                self._recorded().replay()
                steps -= GRAPH_STEPS
        for _ in range(steps):
            self._step()

    def _step(self) -> None:
        for wave in self.waves:
            for launch in wave:
                launch()

    def _recorded(self) -> Any:
        """Return the graph of some steps; it is recorded when first asked for, without running."""
        if self.recorded is None:
            self.recorded = torch.cuda.CUDAGraph()
            others = [torch.cuda.Stream(self.device) for _ in range(max(len(wave) for wave in self.waves) - 1)]
            with torch.cuda.graph(self.recorded):
                for _ in range(GRAPH_STEPS):
                    for wave in self.waves:
                        _side_by_side(wave, others)
        return self.recorded


def _side_by_side(wave: Sequence[Launch], others: Sequence[Any]) -> None:
    """Launch a wave on as many streams, which begin after what was launched before it and are waited for."""
    main = torch.cuda.current_stream()
    for launch, stream in zip(wave[1:], others, strict=False):
        stream.wait_stream(main)
        with torch.cuda.stream(stream):
            launch()
    wave[0]()
    for _, stream in zip(wave[1:], others, strict=False):
        main.wait_stream(stream)


def _flat(rings: Iterable[Ring]) -> list[torch.Tensor]:
    return [ring.sums.reshape(-1) for ring in rings]


@cache
def _step_kernel(layout: Layout, rings: tuple[str, ...], drives: tuple[str, ...]) -> Any:
    return load_triton(update_triton(layout, rings, drives), "step")
