"""Populations that feed back on each other, as one differentiable operation over all steps.

Forward and backward walk through the steps once. Gradients of the weights wait until the end and take one product each,
and autograd follows nothing step by step. What is kept for the way back are the summed inputs, and the states at every
:data:`SEGMENT`-th step: between those they are computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from spikesim.backends.torch.events import Events, find, known, remember
from spikesim.backends.torch.memory import room
from spikesim.backends.torch.passes import Gradients, Pass, Walk
from spikesim.backends.torch.scan import Scan, reduced
from spikesim.backends.torch.wire import Sums, Wire

SEGMENT = 16  # steps between the states that are kept


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
    kept
        States to return.
    """

    name: str
    n: int
    scan: Scan
    feeds: Sums
    drives: Sums
    init: Sums
    constants: Sums
    kept: tuple[str, ...]

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
        By population and kept state, ``[steps + 1, samples, n]``.
    """
    tensors = [t for m in members for t in m.tensors()] + [p for w in wires for p in w.linear.parameters()]
    events: dict[str, Events] = {}
    outputs = iter(_Cycle.apply(list(members), list(wires), (steps, samples), events, *tensors))
    found = {m.name: (next(outputs), {s: next(outputs) for s in m.kept}) for m in members}
    for name, (spikes, _) in found.items():
        remember(spikes, events.get(name))
    return {name: spikes for name, (spikes, _) in found.items()}, {name: traces for name, (_, traces) in found.items()}


@dataclass(eq=False)
class _Work:
    """Arrays of one population.

    Parameters
    ----------
    member, run
        The population, and its pass over the summed inputs ``[steps, samples, n]``.
    spikes
        ``[steps, samples, n]``.
    marks
        By state, ``[1 + (steps - 1) // SEGMENT, samples, n]``: before the steps 0, SEGMENT, ...
    """

    member: Member
    run: Pass
    spikes: torch.Tensor
    marks: Sums

    @classmethod
    def empty(cls, member: Member, wires: Sequence[Wire], steps: int, samples: int) -> _Work:
        """Make room."""
        like = next(iter((member.init or member.feeds).values()))
        inner = [w.edge.port for w in wires if w.edge.post == member.name]
        ports = [p for p in member.scan.model.inputs if p in member.feeds or p in member.drives or p in inner]
        inputs = {p: room((steps, samples, member.n), like) for p in ports}
        marks = {s: room((1 + (steps - 1) // SEGMENT, samples, member.n), like) for s in member.init}
        run = member.scan.over(inputs, {n: c.detach() for n, c in member.constants.items()}, (samples, member.n))
        return cls(member, run, room((steps, samples, member.n), like), marks)

    @cached_property
    def rows(self) -> tuple[torch.Tensor, ...]:
        """Spikes of each step, always the same tensors: products leave the events that they found on them."""
        return tuple(self.spikes.unbind(0))

    def events(self) -> list[Events]:
        """Return the events of all steps if those of most were found on the way, else nothing."""
        missing = sum(known(row) is None for row in self.rows)
        return [] if 2 * missing > len(self.rows) else [find(row, spikes=True) for row in self.rows]


class _Ahead:
    """The forward walk of one population."""

    def __init__(self, work: _Work, works: dict[str, _Work], wires: Sequence[Wire]) -> None:
        self.work, self.works = work, works
        self.wires = [w for w in wires if w.edge.post == work.member.name]
        self.states = {s: x.detach().clone(memory_format=torch.contiguous_format) for s, x in work.member.init.items()}
        steps, samples, n = work.spikes.shape
        self.traces = {s: room((steps + 1, samples, n), work.spikes) for s in work.member.kept}
        for name, trace in self.traces.items():
            trace[0] = self.states[name]
        self.walk: Walk = work.run.forward(work.spikes, self.states, self.traces)

    def step(self, t: int) -> None:
        """Sum the inputs of a step and take it."""
        if t % SEGMENT == 0:
            for name, mark in self.work.marks.items():
                mark[t // SEGMENT] = self.states[name]
        for port, inputs in self.work.run.inputs.items():
            self._gather(port, inputs[t], t)
        self.walk(t, t + 1)

    def _gather(self, port: str, total: torch.Tensor, t: int) -> None:
        """Sum what comes from outside, then over the cycle's projections, then drives."""
        member = self.work.member
        if port in member.feeds:
            total.copy_(member.feeds[port][t].detach())
        else:
            total.zero_()
        for wire in self.wires:
            if wire.edge.port == port:
                for group, delay in enumerate(wire.delays()):
                    if t >= delay:
                        total += wire.apply(self.works[wire.edge.pre].rows[t - delay], group)
        if port in member.drives:
            total += member.drives[port][t]


class _Cycle(torch.autograd.Function):  # type: ignore[misc]
    """The loop. ``events`` is filled; arguments after it: the members' tensors, then the wires' parameters."""

    @staticmethod
    def forward(
        ctx: Any,
        members: list[Member],
        wires: list[Wire],
        size: tuple[int, int],
        events: dict[str, Events],
        *tensors: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        works = {m.name: _Work.empty(m, wires, *size) for m in members}
        ahead = [_Ahead(work, works, wires) for work in works.values()]
        for t in range(size[0]):
            for one in ahead:
                one.step(t)
        events |= {name: Events.joined(found) for name, work in works.items() if (found := work.events())}
        saved = [x for w in works.values() for x in (w.spikes, *w.marks.values(), *w.run.inputs.values())]
        ctx.save_for_backward(*saved)
        ctx.set_materialize_grads(False)
        ctx.members, ctx.wires, ctx.size, ctx.events = members, wires, size, events
        ctx.ports = {name: list(work.run.inputs) for name, work in works.items()}
        return tuple(x for one in ahead for x in (one.work.spikes, *one.traces.values()))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[Any, ...]:
        members, wires = ctx.members, ctx.wires
        works = _restored(ctx)
        given = iter(gradients)
        backs: dict[str, _Back] = {}
        position = 4
        for member in members:
            spikes, traces = next(given), {s: next(given) for s in member.kept}
            wanted = ctx.needs_input_grad[position + len(member.feeds) + len(member.init) :]
            backs[member.name] = _Back(works[member.name], spikes, traces, wanted, wires)
            position += len(member.tensors())
        for t in range(ctx.size[0] - 1, -1, -1):
            for member in reversed(members):
                backs[member.name].step(t, backs)
        result = [g for m in members for g in backs[m.name].results()]
        for wire in wires:
            d_input = backs[wire.edge.post].d_inputs[wire.edge.port]
            spikes = works[wire.edge.pre].spikes
            remember(spikes, ctx.events.get(wire.edge.pre))
            result += wire.weight_gradients(spikes, d_input)
        return (None, None, None, None, *result)


def _restored(ctx: Any) -> dict[str, _Work]:
    """Put the saved tensors back in their places."""
    # detached: as outputs of the loop they would lead back into it when weight gradients are derived
    saved, works = iter([x.detach() for x in ctx.saved_tensors]), {}
    for member in ctx.members:
        spikes = next(saved)
        marks = {s: next(saved) for s in member.init}
        inputs = {p: next(saved) for p in ctx.ports[member.name]}
        constants = {name: c.detach() for name, c in member.constants.items()}
        works[member.name] = _Work(member, member.scan.over(inputs, constants, spikes.shape[1:]), spikes, marks)
    return works


class _Back:
    """The backward walk of one population."""

    def __init__(
        self,
        work: _Work,
        d_spikes: torch.Tensor | None,
        d_traces: dict[str, Any],
        wanted: Sequence[bool],
        wires: Sequence[Wire],
    ) -> None:
        self.work, self.given = work, d_spikes
        self.wires = [w for w in wires if w.edge.pre == work.member.name]
        self.cotangents = {s: d.contiguous() for s, d in d_traces.items() if d is not None}
        reach = max((d for w in wires if w.edge.post == work.member.name for d in w.delays()), default=0)
        self.d_inputs = {p: room((len(x) + reach, *x.shape[1:]), x) for p, x in work.run.inputs.items()}
        for gradient in self.d_inputs.values():
            gradient[len(work.spikes) :] = 0  # what arrives after the last step changes nothing
        blank = torch.zeros_like(work.spikes[0])
        self.carry = {s: blank.clone() for s in work.member.init}
        constants = work.member.constants
        self.d_learn = {c: blank.clone() for c, w in zip(constants, wanted, strict=False) if w}
        steps = min(SEGMENT, len(work.spikes))
        self.total = room((steps, *blank.shape), blank)  # gradients of a segment's spikes
        self.again = {s: room((steps + 1, *blank.shape), blank) for s in self.carry}  # and its states

    def step(self, t: int, backs: dict[str, _Back]) -> None:
        """Take one step back: collect what the spikes of this step led to, then undo the population's update."""
        steps, first = len(self.work.spikes), t - t % SEGMENT
        if t == min(first + SEGMENT, steps) - 1:
            self._enter(first, t + 1)
        total = self.total[t - first]
        if self.given is None:
            total.zero_()
        else:
            total.copy_(self.given[t])
        for wire in self.wires:
            later = backs[wire.edge.post].d_inputs[wire.edge.port]
            for group, delay in enumerate(wire.delays()):
                if t + delay < steps:
                    wire.add_transposed(later[t + delay], group, total)
        self.walk(t - first, t - first + 1)

    def _enter(self, first: int, end: int) -> None:
        """Run a segment forward again, which keeps its states, and prepare the way back through it."""
        work, n = self.work, end - first
        run = replace(work.run, inputs={p: x[first:end] for p, x in work.run.inputs.items()})
        states = {s: mark[first // SEGMENT].clone() for s, mark in work.marks.items()}
        for name, again in self.again.items():
            again[0] = states[name]
        run.forward(self.total[:n], states, {s: x[: n + 1] for s, x in self.again.items()})(0, n)
        arrays = Gradients(
            d_spikes=self.total[:n],
            states=self.again,
            cotangents={s: d[first : end + 1] for s, d in self.cotangents.items()},
            d_inputs={p: d[first:end] for p, d in self.d_inputs.items()},
            carry=self.carry,
            d_learn=self.d_learn,
        )
        self.walk: Walk = run.backward(arrays)

    def results(self) -> list[torch.Tensor | None]:
        """Return the gradients of the member's tensors, in their order."""
        member = self.work.member
        for name, gradient in self.cotangents.items():
            self.carry[name] += gradient[0]
        sums = {c: reduced(g, member.constants[c]) for c, g in self.d_learn.items()}
        feeds: list[torch.Tensor | None] = [self.d_inputs[p][: len(self.work.spikes)] for p in member.feeds]
        return [*feeds, *self.carry.values(), *(sums.get(c) for c in member.constants)]
