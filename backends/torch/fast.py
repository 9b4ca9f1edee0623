"""A recurrent network with fast weights as a ``torch.nn.Module``, differentiable twice.

The inner gradient is a part of the forward pass, and learning differentiates through it. So the neurons' steps are
evaluated with torch operations, and the spike's surrogate is itself differentiable; the fused scans have no second
derivative. All fast weights and biases of a sample lie in one row, so that an update is a handful of operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from spikesim.backends.torch.fast_rule import Spike, fast_problems, psi, slopes, updated
from spikesim.backends.torch.module import SpikingModule
from spikesim.backends.torch.ops import table
from spikesim.equations.scan_source import Surrogate
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.graph import Graph
from spikesim.models.synapses.fast_weights import FastWeights


@dataclass
class FastState:
    """Where a batch of episodes is.

    Parameters
    ----------
    membranes, spikes
        By population: its states, and what it emitted in the last micro-step, ``[samples, n]``.
    fast
        Fast weights and biases, ``[samples, synapses + biases]``.
    """

    membranes: dict[str, dict[str, torch.Tensor]]
    spikes: dict[str, torch.Tensor]
    fast: torch.Tensor


@dataclass
class _Trace:
    """What a trial step leaves for the rules: per population currents and spikes of each micro-step."""

    currents: dict[str, list[torch.Tensor]]
    spikes: dict[str, list[torch.Tensor]]
    inputs: dict[str, torch.Tensor]  # per projection, summed over micro-steps


class FastModule(nn.Module):  # type: ignore[misc]
    """A recurrent network whose synapses also have fast weights.

    Parameters
    ----------
    graph
        The lowered network: one input, dense projections of delay 0 or 1 step, a read-out that never fires as the last
        population, and at least one loop.
    fast
        The rule.
    outputs
        How many of the last population's neurons are answers; its last neuron modulates.
    rate
        Replace every spiking population by rectified linear units, one micro-step per trial step.
    gate
        Number of the input that is 1 where an answer counts; outputs are 0 elsewhere. None: all count.
    surrogate, settings
        Derivative of the spike; it must have a derivative itself for the rule ``"gradient"``.
    seed
        Of ``alpha``.
    dtype
        Of weights and states.
    """

    def __init__(
        self,
        graph: Graph,
        fast: FastWeights,
        *,
        outputs: int,
        rate: bool = False,
        gate: int | None = None,
        surrogate: str = "fast_sigmoid",
        settings: Mapping[str, float] | None = None,
        seed: int = 0,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        chosen = Surrogate(surrogate, tuple(sorted((settings or {"slope": 4.0}).items())))
        biased = {n.name: {"bias": "neuron"} for n in graph.nodes if "bias" in n.params}
        self.slow = SpikingModule(graph, surrogate=surrogate, params=biased, dtype=dtype, fused=False)
        problems = list(fast_problems(self.slow, outputs, gate))
        if problems:
            raise UnsupportedError(problems, f"network {graph.name!r} cannot have fast weights:")
        self.graph, self.rule, self.outputs, self.rate, self.gate = graph, fast, outputs, rate, gate
        self.micro_steps = 1 if rate else fast.micro_steps
        self.slope = slopes(chosen)
        self.last, self.entry = graph.nodes[-1].name, graph.sources[0].name
        sizes = [e.n_pre * e.n_post for e in graph.edges] + [n.n for n in graph.nodes]
        self.sizes = sizes
        generator = torch.Generator().manual_seed(seed)
        start = {
            "random": lambda: 2.0 * torch.rand(sum(sizes), generator=generator) - 1.0,
            "minus": lambda: -torch.ones(sum(sizes)),
        }.get(fast.alpha, lambda: torch.ones(sum(sizes)))()
        learned = fast.rule != "none" and fast.alpha != "fixed"
        self.alpha = nn.Parameter(start.to(self.slow.dtype), requires_grad=learned)
        own = fast.rule in ("gradient", "three_factor")
        self.v = nn.Parameter(torch.ones(graph.nodes[-1].n, dtype=self.slow.dtype), requires_grad=own)

    # ------------------------------------------------------------------------------------------------ running
    def reset(self, samples: int) -> FastState:
        """Return the state in which every episode begins: initial membranes, no fast weights."""
        like = self.alpha
        membranes, spikes = {}, {}
        for node in self.graph.nodes:
            init = {s: torch.as_tensor(v, dtype=like.dtype, device=like.device) for s, v in node.init.items()}
            membranes[node.name] = {s: x.expand(samples, node.n) for s, x in init.items()}
            spikes[node.name] = like.new_zeros(samples, node.n)
        return FastState(membranes, spikes, like.new_zeros(samples, sum(self.sizes)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run episodes from their beginning.

        Parameters
        ----------
        x
            ``[trial steps, samples, inputs]``.

        Returns
        -------
        Tensor
            Answers, ``[trial steps, samples, outputs]``.
        """
        wanted = sum(s.n for s in self.graph.sources)
        if not isinstance(x, torch.Tensor):
            raise InvalidValueError(f"episodes must be a tensor, found {type(x).__name__}; use torch.as_tensor")
        if x.ndim != 3 or x.shape[2] != wanted or not len(x):
            raise InvalidValueError(f"episodes need the shape [trial steps, samples, {wanted}], found {list(x.shape)}")
        x = x.to(self.alpha.dtype)
        state, answers = self.reset(x.shape[1]), []
        constants = self.constants()
        for row in x:
            y, state = self.step(row, state, constants)
            y = y[:, : self.outputs]
            answers.append(y if self.gate is None else y * row[:, self.gate, None])
        return torch.stack(answers)

    def constants(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return the step constants by population; biases are learned."""
        cells = {n.name: self.slow.constants(n) for n in self.graph.nodes}
        return {name: {k: c.to(self.alpha.dtype) for k, c in found.items()} for name, found in cells.items()}

    def step(
        self, x: torch.Tensor, state: FastState, constants: dict[str, dict[str, torch.Tensor]] | None = None
    ) -> tuple[torch.Tensor, FastState]:
        """Take a trial step.

        Parameters
        ----------
        x
            ``[samples, inputs]``, held for all micro-steps.
        state
            Where the episodes are.
        constants
            What :meth:`constants` returned.

        Returns
        -------
        y : Tensor
            All outputs, ``[samples, n]``.
        state : FastState
            After the fast weights have changed.
        """
        constants = self.constants() if constants is None else constants
        rule = self.rule.rule
        if rule in ("none", "hebbian"):
            y, membranes, trace = self._answer(x, state, constants, state.fast)
            fast = state.fast if rule == "none" else self._update(state.fast, self._hebbian(trace, y), y)
            return y, FastState(membranes, {n: s[-1] for n, s in trace.spikes.items()}, fast)
        outer = torch.is_grad_enabled()
        with torch.enable_grad():  # evaluation needs the inner gradient too
            fast = state.fast if state.fast.requires_grad else state.fast.detach().requires_grad_()
            y, membranes, trace = self._answer(x, state, constants, fast)
            if rule == "gradient":
                own = (self.v * y).square().mean(1).sum()
                (change,) = torch.autograd.grad(own, fast, create_graph=outer)
            else:
                change = self._three_factor(trace, y, fast, outer)
            after = self._update(fast, change, y)
        found = FastState(membranes, {n: s[-1] for n, s in trace.spikes.items()}, after)
        return (y, found) if outer else (y.detach(), _detached(found))

    def _answer(
        self, x: torch.Tensor, state: FastState, constants: dict[str, dict[str, torch.Tensor]], fast: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, dict[str, torch.Tensor]], _Trace]:
        """Run the micro-steps with the present weights."""
        edges, nodes = self.graph.edges, self.graph.nodes
        views = self._views(fast)
        membranes, before = dict(state.membranes), dict(state.spikes)
        trace = _Trace({n.name: [] for n in nodes}, {n.name: [] for n in nodes}, {})
        held = {e.name: self._project(k, x, views[k]) for k, e in enumerate(edges) if e.pre == self.entry}
        trace.inputs = {name: x * self.micro_steps for name in held}
        y: torch.Tensor | None = None
        for _ in range(self.micro_steps):
            now: dict[str, torch.Tensor] = {}
            for number, node in enumerate(nodes):
                current = None if self.rule.rule == "none" else views[len(edges) + number]
                for k, edge in enumerate(edges):
                    if edge.post != node.name:
                        continue
                    part = held.get(edge.name)
                    if part is None:
                        given = before[edge.pre] if edge.constant_delay else now[edge.pre]
                        part = self._project(k, given, views[k])
                        seen = trace.inputs.get(edge.name)
                        trace.inputs[edge.name] = given if seen is None else seen + given
                    current = part if current is None else current + part
                if current is None:
                    current = torch.zeros_like(before[node.name])
                emitted, membranes[node.name] = self._advance(node, current, membranes[node.name], constants[node.name])
                trace.currents[node.name].append(current)
                trace.spikes[node.name].append(emitted)
                now[node.name] = emitted
            read = next(iter(membranes[self.last].values()))
            y = read if y is None else y + read
            before = now
        if y is None:
            raise InvalidValueError("a trial step needs at least one micro-step")
        return y / self.micro_steps, membranes, trace

    def _advance(
        self, node: Any, current: torch.Tensor, membranes: dict[str, torch.Tensor], constants: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Step a population: what it emits, and its states."""
        if self.rate and node.name != self.last:
            return torch.relu(current + constants.get("bias", 0.0)), membranes
        ops = {**table(current.dtype, current.device), "spike": lambda x: Spike.apply(x, self.slope)}
        port, *others = node.model.inputs
        inputs = {port: current, **{p: current.new_zeros(()) for p in others}}
        found = node.model.dynamics.evaluate({"state": membranes, "input": inputs, "param": constants}, ops)
        return found["spike"], {name: found[name] for name in membranes}

    def _project(self, k: int, x: torch.Tensor, fast: torch.Tensor) -> torch.Tensor:
        """Return what arrives over a projection; without fast weights exactly what the plain network computes."""
        slow: torch.Tensor = x @ self.slow.maps[k].weight
        return slow if self.rule.rule == "none" else slow + torch.bmm(x[:, None], fast)[:, 0]

    def _views(self, fast: torch.Tensor) -> list[torch.Tensor]:
        """Cut a row of fast weights into matrices ``[samples, pre, post]``, then biases ``[samples, n]``."""
        parts = fast.split(self.sizes, 1)
        edges = self.graph.edges
        matrices = [p.view(-1, e.n_pre, e.n_post) for p, e in zip(parts, edges, strict=False)]
        return [*matrices, *parts[len(edges) :]]

    # ------------------------------------------------------------------------------------------------ the rules
    def _update(self, fast: torch.Tensor, change: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        pace: torch.Tensor | float = torch.sigmoid(y[:, -1:]) if self.rule.modulated else 0.5
        return updated(fast, change, self.alpha, pace, self.rule)

    def _joined(self, trace: _Trace, post: Mapping[str, torch.Tensor], biases: bool) -> torch.Tensor:
        """Return pre (x) post of every projection, and post (or 0) for every bias, in one row per sample."""
        parts = []
        for edge in self.graph.edges:
            pre = trace.inputs[edge.name] / self.micro_steps
            parts.append((pre[:, :, None] * post[edge.post][:, None]).flatten(1))
        parts += [post[n.name] if biases else torch.zeros_like(post[n.name]) for n in self.graph.nodes]
        return torch.cat(parts, 1)

    def _hebbian(self, trace: _Trace, y: torch.Tensor) -> torch.Tensor:
        rates = {name: sum(spikes) / self.micro_steps for name, spikes in trace.spikes.items()}
        return self._joined(trace, rates | {self.last: y}, biases=False)

    def _three_factor(self, trace: _Trace, y: torch.Tensor, fast: torch.Tensor, graph: bool) -> torch.Tensor:
        """Return pre (x) (psi L): the gradient with time averages, and no way back over micro-steps."""
        views = self._views(fast)
        errors = {self.last: self.v.square() * y * (2.0 / y.shape[1])}
        for node in reversed(self.graph.nodes[:-1]):
            error = torch.zeros_like(trace.spikes[node.name][0])
            for k, edge in enumerate(self.graph.edges):
                if edge.pre == node.name and not edge.constant_delay:
                    back = self.slow.maps[k].weight.T + views[k].transpose(1, 2)
                    error = error + torch.bmm(errors[edge.post][:, None], back)[:, 0]
            errors[node.name] = error * psi(trace.spikes[node.name], trace.currents[node.name], graph)
        return self._joined(trace, errors, biases=True)

    # ------------------------------------------------------------------------------------------------ results
    def constrain_(self) -> None:
        """Bring learned parameters back into the range that they may have."""
        self.slow.constrain_()


def _detached(state: FastState) -> FastState:
    membranes = {n: {s: x.detach() for s, x in found.items()} for n, found in state.membranes.items()}
    return FastState(membranes, {n: x.detach() for n, x in state.spikes.items()}, state.fast.detach())
