"""A network step by step, with what an online rule keeps of the past: states, traces, spikes under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import torch

from spikesim.backends.torch.events import weight_gradient
from spikesim.backends.torch.linear import DenseMap, SparseMap
from spikesim.backends.torch.module import SpikingModule
from spikesim.backends.torch.passes import Gradients
from spikesim.backends.torch.rules.membrane import Decay
from spikesim.backends.torch.rules.parts import Watcher
from spikesim.backends.torch.unroll import Cell, add
from spikesim.backends.torch.wire import Sums, Wire


class Trace:
    """The trace of what one projection passes on.

    Parameters
    ----------
    decay
        How it decays.
    like
        A tensor of the shape of one step, ``[samples, n_pre]``.
    """

    def __init__(self, decay: Decay, like: torch.Tensor) -> None:
        self.decay = decay
        self.states = [torch.zeros_like(like) for _ in decay.take]

    def __call__(self, x: torch.Tensor | None) -> torch.Tensor:
        """Take what passes in a step (None: nothing), and return the trace."""
        old, blank = self.states, torch.zeros_like(self.states[0])
        now = blank if x is None else x
        trace = _combined(self.decay.read, old, 1.0, now)
        if len(old) == 1:  # of one state, the state is the trace
            self.states = [trace]
            return trace
        rows = zip(self.decay.keep, self.decay.take, strict=True)
        self.states = [_combined(keep, old, float(take), now) for keep, take in rows]
        return trace


def _combined(factors: Iterable[float], states: Sequence[torch.Tensor], take: float, x: torch.Tensor) -> torch.Tensor:
    total = x * take
    for factor, state in zip(factors, states, strict=True):
        if factor:
            total = total.add(state, alpha=float(factor))
    return total


class _OneStep:
    """One population at one step, forward and backward."""

    def __init__(self, cell: Cell, ports: Sequence[str], samples: int, read: Sequence[str]) -> None:
        self.cell, node = cell, cell.node
        some = next(iter(cell.init.values()))
        shape = (samples, node.n)
        self.states = {s: start.expand(shape).clone() for s, start in cell.init.items()}
        self.before = {s: some.new_zeros((1, *shape)) for s in cell.init}
        self.spikes, self.d_spikes = some.new_zeros((1, *shape)), some.new_zeros((1, *shape))
        self.inputs, self.d_inputs = ({p: some.new_zeros((1, *shape)) for p in ports} for _ in range(2))
        self.d_states = {s: some.new_zeros((2, *shape)) for s in read}
        self.carry = {s: some.new_zeros(shape) for s in cell.init}
        run = cell.scan.over(self.inputs, cell.constants, shape)
        self.ahead = run.forward(self.spikes, self.states, {})
        self.back = run.backward(
            Gradients(self.d_spikes, self.before, self.d_states, self.d_inputs, self.carry, d_learn={})
        )

    def forward(self, sums: Sums) -> None:
        """Take a step."""
        for name, state in self.states.items():
            self.before[name][0] = state
        for port, value in self.inputs.items():
            value[0] = sums.get(port, 0)
        self.ahead(0, 1)

    def backward(self, d_spikes: torch.Tensor, d_states: Sums) -> None:
        """Fill the gradients of the inputs of this step, with the states before it taken as given."""
        for carry in self.carry.values():
            carry.zero_()
        self.d_spikes[0] = d_spikes
        for name, gradient in d_states.items():
            self.d_states[name][1] = gradient
        self.back(0, 1)


class Walk:
    """A network on its way through the steps of a batch.

    Parameters
    ----------
    module
        The network.
    given
        Its inputs, ``[steps, samples, *shape]``.
    record
        States that are read, as ``"population/state"``.
    decays
        Of the trace of each projection.
    watcher
        Shows traces and gradients.
    """

    def __init__(
        self,
        module: SpikingModule,
        given: Mapping[str, torch.Tensor],
        record: Sequence[str],
        decays: Mapping[str, Decay],
        watcher: Watcher,
    ) -> None:
        self.sources = module.emitted(given)
        self.steps, samples = next(iter(given.values())).shape[:2]
        self.drives = module.drives(self.steps, samples)
        self.record, self.wires, self.watcher = record, module.wires(samples), watcher
        self.cells = {
            n.name: _OneStep(module.cell(n, {}), self._ports(n.name), samples, self._read(n.name))
            for n in module.graph.nodes
        }
        blank = torch.zeros((), dtype=module.dtype, device=module.device)
        self.traces = {
            w.edge.name: [Trace(decays[w.edge.name], blank.expand(samples, w.edge.n_pre)) for _ in w.delays()]
            for w in self.wires
            if w.linear.learn
        }
        depth = 1 + max((max(w.delays()) for w in self.wires), default=0)
        self.past: dict[str, deque[torch.Tensor | None]] = {name: deque([None] * depth, depth) for name in self.cells}
        self.rows: dict[str, list[torch.Tensor]] = {}
        self.leaves: Sums = {}

    def _ports(self, name: str) -> list[str]:
        arriving = [w.edge.port for w in self.wires if w.edge.post == name]
        return list(dict.fromkeys([*arriving, *self.drives.get(name, {})]))

    def _read(self, name: str) -> list[str]:
        return [s.split("/")[1] for s in self.record if s.split("/")[0] == name]

    def forward(self, t: int) -> Sums:
        """Take step ``t``; return spikes by population and recorded states, ``[1, samples, n]``, as leaves."""
        with torch.no_grad():
            for past in self.past.values():
                past.appendleft(None)
            for name, cells in self.cells.items():
                sums: Sums = {}
                for wire in self.wires:
                    if wire.edge.post == name:
                        self._arrive(wire, t, sums)
                drives = {port: x[t] for port, x in self.drives.get(name, {}).items()}
                cells.forward(cells.cell.total(sums, drives))
                self.past[name][0] = cells.spikes[0].clone()
        found = {name: cells.spikes for name, cells in self.cells.items()}
        for name in self.record:
            population, state = name.split("/")
            found[name] = self.cells[population].states[state][None]
        self.leaves = {name: x.clone().requires_grad_() for name, x in found.items()}
        return self.leaves

    def _arrive(self, wire: Wire, t: int, sums: Sums) -> None:
        """Add what a projection delivers in a step to the sum of its port, and let its traces take it in."""
        rows = []
        for group, delay in enumerate(wire.delays()):
            x = self._emitted(wire.edge.pre, t, delay)
            if x is not None:
                add(sums, wire.edge.port, wire.apply(x, group))
            if wire.edge.name in self.traces:
                kept = None if x is None else wire.kept(x) * wire.gain
                rows.append(self.traces[wire.edge.name][group](kept))
        self.rows[wire.edge.name] = rows

    def _emitted(self, name: str, t: int, delay: int) -> torch.Tensor | None:
        """Return what a source or a population emitted some steps ago, or None before the first step."""
        if name in self.past:
            return self.past[name][delay]
        return self.sources[name][t - delay] if t >= delay else None

    def backward(self, *, total: bool) -> None:
        """Pass the errors of the step that was just taken back through the layers, and leave gradients of the weights.

        Parameters
        ----------
        total
            Add them to the gradients that are there; else replace these.
        """
        errors: dict[str, Sums] = {}
        for name in reversed(self.cells):
            cells = self.cells[name]
            d_spikes = _gradient(self.leaves[name])
            for wire in self.wires:
                if wire.edge.pre == name and wire.edge.post in errors:
                    for group, delay in enumerate(wire.delays()):
                        if delay == 0:
                            wire.add_transposed(errors[wire.edge.post][wire.edge.port], group, d_spikes)
            d_states = {state: _gradient(self.leaves[f"{name}/{state}"]) for state in self._read(name)}
            cells.backward(d_spikes, d_states)
            errors[name] = {port: d[0] for port, d in cells.d_inputs.items()}
        for wire in self.wires:
            if wire.linear.learn:
                self._learn(wire, errors[wire.edge.post][wire.edge.port], total)

    def _learn(self, wire: Wire, error: torch.Tensor, total: bool) -> None:
        rows = self.rows[wire.edge.name]
        parameters = list(wire.linear.parameters())
        before = [p.grad for p in parameters]
        for parameter, gradient in zip(parameters, _weight_gradients(wire, rows, error), strict=True):
            parameter.grad = gradient
        self.watcher(wire, torch.cat(rows) if len(rows) > 1 else rows[0], error if len(rows) == 1 else None)
        for parameter, earlier in zip(parameters, before, strict=True):
            if total and earlier is not None:
                parameter.grad = earlier if parameter.grad is None else earlier.add_(parameter.grad)


def _gradient(leaf: torch.Tensor) -> torch.Tensor:
    """Return the gradient of a leaf ``[1, samples, n]`` without its first dimension."""
    return torch.zeros_like(leaf[0]) if leaf.grad is None else leaf.grad[0]


def _weight_gradients(wire: Wire, rows: Sequence[torch.Tensor], error: torch.Tensor) -> list[torch.Tensor | None]:
    """Return the gradients of a map's parameters from the traces of each delay and the error of its target."""
    if isinstance(wire.linear, DenseMap):
        return [weight_gradient(rows[0], error)]
    with torch.enable_grad():
        arrived: Sums = {}
        for group, x in enumerate(rows):
            more = (group,) if isinstance(wire.linear, SparseMap) else ()
            add(arrived, "", wire.linear(x, *more))  # dropout is in the traces
        return list(torch.autograd.grad(arrived[""], list(wire.linear.parameters()), error, allow_unused=True))
