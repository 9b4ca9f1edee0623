"""Simulation by fused kernels: a network whose projections all go from spike to spike, in stretches of steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.torch.program import TorchProgram
from spikesim.backends.torch.triton_network import Synapses
from spikesim.backends.torch.triton_stretch import Stretch
from spikesim.engine import Chunk, Options
from spikesim.graph import Edge, Graph


class TritonProgram(TorchProgram):
    """See :class:`spikesim.program.Program`. What is not purely event-driven runs as in :class:`TorchProgram`."""

    def __init__(self, graph: Graph, options: Options) -> None:
        self.synapses: Synapses | None = None
        super().__init__(graph, options)

    def reset(self, samples: int = 1) -> None:
        """Go back to step 0 with initial states."""
        super().reset(samples)
        self.stretch: Stretch | None = None  # its buffers and its recorded launches belong to the old tensors

    def _connect(self) -> None:
        graded = any(e.graded for e in self.graph.edges)
        self.fused = not self.plastic and not graded and all(self._linear(e) is None for e in self.graph.edges)
        if self.fused:
            self.deliveries, self.leaving = {}, {}
        else:
            super()._connect()

    def advance(self, steps: int, inputs: Mapping[str, NDArray[Any]]) -> Chunk:
        """Run some steps."""
        if not self.fused:
            return super().advance(steps, inputs)
        if self.synapses is None:
            self.synapses = Synapses(self.graph, self.changed, self.device)
        if self.stretch is None:
            self.stretch = Stretch(self, self.synapses)
        chunks: list[Chunk] = []
        done = 0
        while done < steps or not chunks:
            count = min(steps - done, self.stretch.steps)
            part = {name: array[done : done + count] for name, array in inputs.items()}
            chunks.append(self.stretch.run(self.first, count, part))
            self.first, done = self.first + count, done + count
        return joined(chunks)

    def _replace(self, edge: Edge) -> None:
        if self.fused:
            self.synapses = self.stretch = None
        else:
            super()._replace(edge)


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Return consecutive chunks as one."""
    if len(chunks) == 1:
        return chunks[0]
    start = chunks[0]

    def behind(parts: Iterable[NDArray[Any]], axis: int = 0) -> NDArray[Any]:
        return np.concatenate(list(parts), axis)

    spikes = {}
    for name in start.spikes:
        sample, step, neuron = (behind(c.spikes[name][k] for c in chunks) for k in range(3))
        spikes[name] = (sample, step, neuron)
    traces = {
        key: (behind(c.traces[key][0] for c in chunks), behind((c.traces[key][1] for c in chunks), 1))
        for key in start.traces
    }
    emitted = {name: np.sum([c.emitted[name] for c in chunks], 0) for name in start.emitted}
    active = {name: np.sum([c.active[name] for c in chunks], 0) for name in start.active}
    return Chunk(start.first, sum(c.steps for c in chunks), spikes, traces, emitted, active)
