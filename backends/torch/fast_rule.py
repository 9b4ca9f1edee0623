"""The parts of fast weights: a spike that is differentiable twice, the update, and what networks they fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from spikesim.backends.torch.linear import DenseMap
from spikesim.backends.torch.module import SpikingModule
from spikesim.backends.torch.ops import table
from spikesim.equations.expression import Expressions, Tape
from spikesim.equations.scan_source import Surrogate
from spikesim.models.synapses.fast_weights import FastWeights
from spikesim.stimulus import Input

TINY = 1e-24  # within the root, whose derivative at 0 is infinite: a silent sample must stay finite


def slopes(surrogate: Surrogate) -> Expressions:
    """Return a surrogate as expressions: input ``x``, output ``slope``."""
    tape = Tape()
    x = tape.symbol("input", "x")
    return tape.finish({"slope": x.lift(surrogate.function()(x))})


class Spike(torch.autograd.Function):  # type: ignore[misc]
    """A spike whose backward pass is made of differentiable operations."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, slope: Expressions) -> torch.Tensor:
        """Fire above 0."""
        ctx.save_for_backward(x)
        ctx.slope = slope
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Use the surrogate."""
        (x,) = ctx.saved_tensors
        found = ctx.slope.evaluate({"input": {"x": x}}, table(x.dtype, x.device))["slope"]
        return gradient * found, None


def updated(
    fast: torch.Tensor,
    change: torch.Tensor,
    alpha: torch.Tensor,
    pace: torch.Tensor | float,
    rule: FastWeights,
) -> torch.Tensor:
    """Return the fast weights after a trial step.

    Parameters
    ----------
    fast, change
        ``w`` and ``D``, ``[samples, synapses]``.
    alpha
        Rates of the synapses, ``[synapses]``.
    pace
        ``g / 2``, ``[samples, 1]`` or a number.
    rule
        Rates and clip.
    """
    norm = (change.square().sum(1, keepdim=True) + TINY).sqrt()
    scale = (rule.clip / norm).clamp(max=1.0)
    return (1.0 - rule.decay0 * pace) * fast + (rule.eta0 * pace * scale) * (alpha * change)


def psi(spikes: list[torch.Tensor], currents: list[torch.Tensor], graph: bool) -> torch.Tensor:
    """Return the mean slope of the spikes for the current of their own micro-step."""
    pairs = zip(spikes, currents, strict=True)
    found = [torch.autograd.grad(s.sum(), i, create_graph=graph, retain_graph=True)[0] for s, i in pairs]
    return torch.stack(found).mean(0)


def fast_problems(module: SpikingModule, outputs: int, gate: int | None) -> Iterator[str]:
    """Yield why a network cannot have fast weights."""
    graph = module.graph
    order = {n.name: k for k, n in enumerate(graph.nodes)}
    if len(graph.sources) != 1 or not isinstance(graph.sources[0], Input):
        yield f"it needs exactly one Input, found {len(graph.sources)} sources; feed all values through one"
    elif gate is not None and not (isinstance(gate, int) and 0 <= gate < graph.sources[0].n):
        yield f"gate must be the number of an input, 0 to {graph.sources[0].n - 1}, found {gate!r}"
    if not any(e.pre in order and order[e.pre] >= order[e.post] for e in graph.edges):
        yield "it has no recurrent projection, found layers only; add one, such as layers.recurrent()"
    last = graph.nodes[-1]
    if last.model.spiking or not last.model.states:
        yield f"its last population {last.name!r} must be a read-out with a membrane; end with li(beta=0)"
    if not (isinstance(outputs, int) and 1 <= outputs < last.n):
        yield f"outputs must be from 1 to {last.n - 1}, for the last of {last.n} neurons modulates; found {outputs!r}"
    for edge, linear in zip(graph.edges, module.maps, strict=True):
        if not isinstance(linear, DenseMap) or edge.norm is not None or edge.dropout:
            yield f"projection {edge.name!r} must be Dense, without norm or dropout; found {type(edge.rule).__name__}"
        elif edge.constant_delay not in (0, 1):
            yield f"projection {edge.name!r} must have a delay of 0 or 1 steps, found {edge.max_delay}"
        elif not edge.constant_delay and edge.pre in order and order[edge.pre] >= order[edge.post]:
            yield f"projection {edge.name!r} of delay 0 leads backwards; order the populations along the signal"
    if graph.drives:
        yield f"it has {len(graph.drives)} drives, which the module does not follow; leave them out"
