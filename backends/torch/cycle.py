"""Populations that feed back on each other, as one differentiable operation over all steps.

Forward and backward walk through the steps once. Gradients of the weights wait until the end and take one product each,
so a loop costs no more memory than its spikes and states, and autograd follows nothing step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from spikesim.backends.torch.memory import room
from spikesim.backends.torch.passes import Pass
from spikesim.backends.torch.scan import Scan, reduced
from spikesim.backends.torch.wire import Sums, Wire


@dataclass(frozen=True, eq=False)
class Member:
    """A population of a cycle.

    Parameters
    ----------
    name, n
        Its name and number of neurons.
    scan
        How to step it.
    feeds
        What reaches its ports over all steps from outside the cycle, ``[steps, samples, n]``.
    drives
        What is added last, ``[steps, samples or 1, n]``; never differentiated.
    init, constants
        Initial states ``[samples, n]`` and step constants.
    """

    name: str
    n: int
    scan: Scan
    feeds: Sums
    drives: Sums
    init: Sums
    constants: Sums

    def tensors(self) -> list[torch.Tensor]:
        """Return what gradients are wanted for."""
        return [*self.feeds.values(), *self.init.values(), *self.constants.values()]


def run_cycle(
    members: Sequence[Member], wires: Sequence[Wire], steps: int, samples: int
) -> tuple[dict[str, torch.Tensor], dict[str, Sums]]:
    """Compute a cycle over all steps.

    Parameters
    ----------
    members
        The populations, in the order of their levels.
    wires
        The projections between them.
    steps, samples
        How many.

    Returns
    -------
    spikes
        By population, ``[steps, samples, n]``.
    traces
        By population and state, ``[steps + 1, samples, n]``.
    """
    tensors = [t for m in members for t in m.tensors()] + [p for w in wires for p in w.linear.parameters()]
    outputs = iter(_Cycle.apply(list(members), list(wires), (steps, samples), *tensors))
    found = {m.name: (next(outputs), {s: next(outputs) for s in m.init}) for m in members}
    return {name: spikes for name, (spikes, _) in found.items()}, {name: traces for name, (_, traces) in found.items()}


@dataclass(eq=False)
class _Work:
    """Arrays of one population: summed inputs, states, spikes, over all steps."""

    member: Member
    run: Pass
    spikes: torch.Tensor

    @classmethod
    def empty(cls, member: Member, wires: Sequence[Wire], steps: int, samples: int) -> _Work:
        """Make room, with the initial states in place."""
        like = next(iter(member.init.values()))
        inner = [w.edge.port for w in wires if w.edge.post == member.name]
        ports = [p for p in member.scan.model.inputs if p in member.feeds or p in member.drives or p in inner]
        inputs = {p: room((steps, samples, member.n), like) for p in ports}
        traces = {s: room((steps + 1, samples, member.n), like) for s in member.init}
        for name, start in member.init.items():
            traces[name][0] = start.detach()
        constants = {name: c.detach() for name, c in member.constants.items()}
        run = member.scan.over(inputs, traces, constants)
        return cls(member, run, room((steps, samples, member.n), like))


class _Cycle(torch.autograd.Function):  # type: ignore[misc]
    """The loop. Arguments after ``size``: the members' tensors, then the wires' parameters."""

    @staticmethod
    def forward(
        ctx: Any, members: list[Member], wires: list[Wire], size: tuple[int, int], *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        works = {m.name: _Work.empty(m, wires, *size) for m in members}
        for t in range(size[0]):
            for work in works.values():
                _gather(work, works, wires, t)
                work.run.at(t).forward(work.spikes[t : t + 1])
        saved = [x for w in works.values() for x in (w.spikes, *w.run.traces.values(), *w.run.inputs.values())]
        ctx.save_for_backward(*saved)
        ctx.set_materialize_grads(False)
        ctx.members, ctx.wires, ctx.size = members, wires, size
        ctx.ports = {name: list(work.run.inputs) for name, work in works.items()}
        return tuple(x for w in works.values() for x in (w.spikes, *w.run.traces.values()))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[Any, ...]:
        members, wires = ctx.members, ctx.wires
        works = _restored(ctx)
        given = iter(gradients)
        backs = {}
        position = 3
        for member in members:
            spikes, traces = next(given), {s: next(given) for s in member.init}
            wanted = ctx.needs_input_grad[position + len(member.feeds) + len(member.init) :]
            backs[member.name] = _Back(works[member.name], spikes, traces, wanted)
            position += len(member.tensors())
        for t in range(ctx.size[0] - 1, -1, -1):
            for member in reversed(members):
                backs[member.name].step(t, backs, wires)
        result = [g for m in members for g in backs[m.name].results()]
        for wire in wires:
            d_input = backs[wire.edge.post].d_inputs[wire.edge.port]
            result += wire.weight_gradients(works[wire.edge.pre].spikes, d_input)
        return (None, None, None, *result)


def _gather(work: _Work, works: dict[str, _Work], wires: Sequence[Wire], t: int) -> None:
    """Sum the inputs of one population at one step: from outside, over the cycle's projections, then drives."""
    member = work.member
    for port, inputs in work.run.inputs.items():
        total = member.feeds[port][t].detach() if port in member.feeds else None
        for wire in wires:
            if (wire.edge.post, wire.edge.port) == (member.name, port):
                for group, delay in enumerate(wire.delays()):
                    if t >= delay:
                        arrived = wire.apply(works[wire.edge.pre].spikes[t - delay], group)
                        total = arrived if total is None else total + arrived
        if port in member.drives:
            drive = member.drives[port][t]
            total = drive if total is None else total + drive
        inputs[t] = 0 if total is None else total


def _restored(ctx: Any) -> dict[str, _Work]:
    """Put the saved tensors back in their places."""
    # detached: as outputs of the loop they would lead back into it when weight gradients are derived
    saved, works = iter([x.detach() for x in ctx.saved_tensors]), {}
    for member in ctx.members:
        spikes = next(saved)
        traces = {s: next(saved) for s in member.init}
        inputs = {p: next(saved) for p in ctx.ports[member.name]}
        constants = {name: c.detach() for name, c in member.constants.items()}
        works[member.name] = _Work(member, member.scan.over(inputs, traces, constants), spikes)
    return works


class _Back:
    """The backward walk of one population."""

    def __init__(
        self, work: _Work, d_spikes: torch.Tensor | None, d_traces: dict[str, Any], wanted: Sequence[bool]
    ) -> None:
        self.work, self.d_spikes = work, d_spikes
        self.cotangents = {s: d.contiguous() for s, d in d_traces.items() if d is not None}
        self.d_inputs = {p: room(x.shape, x) for p, x in work.run.inputs.items()}
        blank = torch.zeros_like(work.spikes[0])
        self.carry = {s: blank.clone() for s in work.member.init}
        constants = work.member.constants
        self.d_learn = {c: blank.clone() for c, w in zip(constants, wanted, strict=False) if w}

    def step(self, t: int, backs: dict[str, _Back], wires: Sequence[Wire]) -> None:
        """Take one step back: collect what the spikes of this step led to, then undo the population's update."""
        spikes = self.work.spikes
        total = torch.zeros_like(spikes[t]) if self.d_spikes is None else self.d_spikes[t].clone()
        for wire in wires:
            if wire.edge.pre == self.work.member.name:
                later = backs[wire.edge.post].d_inputs[wire.edge.port]
                for group, delay in enumerate(wire.delays()):
                    if t + delay < len(spikes):
                        total += wire.transposed(later[t + delay], group)
        self.work.run.at(t).backward(
            total[None],
            {s: d[t : t + 2] for s, d in self.cotangents.items()},
            {p: d[t : t + 1] for p, d in self.d_inputs.items()},
            self.carry,
            self.d_learn,
        )

    def results(self) -> list[torch.Tensor | None]:
        """Return the gradients of the member's tensors, in their order."""
        member = self.work.member
        for name, gradient in self.cotangents.items():
            self.carry[name] += gradient[0]
        sums = {c: reduced(g, member.constants[c]) for c, g in self.d_learn.items()}
        feeds: list[torch.Tensor | None] = [self.d_inputs[p] for p in member.feeds]
        return [*feeds, *self.carry.values(), *(sums.get(c) for c in member.constants)]
