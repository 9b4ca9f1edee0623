"""Torch modules that exported networks are made of, where torch, snnTorch and norse have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch


def no_reset(z: torch.Tensor, v: torch.Tensor, reset: torch.Tensor, th: torch.Tensor) -> torch.Tensor:
    """Leave the membrane as it is: a ``reset_method`` for norse."""
    return v


def subtract_quantum(z: torch.Tensor, v: torch.Tensor, reset: torch.Tensor, th: torch.Tensor) -> torch.Tensor:
    """Subtract ``v_reset`` where there is a spike: a ``reset_method`` for norse."""
    return v - reset * z


class Offset(torch.nn.Module):  # type: ignore[misc]
    """Adds one value per neuron, for biases that no layer has.

    Parameters
    ----------
    bias
        ``[*shape]``.
    """

    def __init__(self, bias: torch.Tensor) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add it."""
        return x + self.bias


class Wire(NamedTuple):
    """A projection: the module of its weights, from where to where, and its delay in steps."""

    layer: str
    pre: str
    post: str
    delay: int


class Stepped(torch.nn.Module):  # type: ignore[misc]
    """A network of any wiring that does one step when it is called, with explicit state as norse has it.

    Parameters
    ----------
    cells, layers
        Neurons and weights, by name.
    wires
        The projections.
    order
        Populations in the order of their update.
    inputs
        Names of the inputs.
    outputs
        The populations whose spikes (or membrane, for a read-out) are returned.
    silent
        Those that send their membrane.
    shapes
        Of the populations.
    """

    def __init__(
        self,
        cells: Mapping[str, torch.nn.Module],
        layers: Mapping[str, torch.nn.Module],
        wires: Sequence[Wire],
        order: Sequence[str],
        inputs: Sequence[str],
        outputs: Sequence[str],
        silent: Sequence[str],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        super().__init__()
        self.cells = torch.nn.ModuleDict(cells)
        self.layers = torch.nn.ModuleDict(layers)
        self.wires, self.order, self.inputs = tuple(wires), tuple(order), tuple(inputs)
        self.outputs, self.silent, self.shapes = tuple(outputs), frozenset(silent), dict(shapes)
        self.longest = max((w.delay for w in wires), default=0)

    def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        """Do one step.

        Parameters
        ----------
        x
            ``[samples, *shape]``; a dict of such, by name, where there are several inputs.
        state
            What the call before returned; None at the start.

        Returns
        -------
        spikes
            ``[samples, *shape]``, by name where there are several outputs.
        state
            For the next call.
        """
        states, past = ({}, ()) if state is None else state
        now = dict(x) if isinstance(x, dict) else {self.inputs[0]: x}
        result, after = {}, {}
        for name in self.order:
            result[name], after[name] = self._call(name, self._arriving(name, now, past), states.get(name))
            now[name] = result[name]
        sent = (now, *past[: self.longest - 1]) if self.longest else ()
        chosen = {name: result[name] for name in self.outputs}
        return (chosen if len(chosen) > 1 else chosen[self.outputs[0]]), (after, sent)

    def _arriving(self, name: str, now: Mapping[str, Any], past: Sequence[Mapping[str, Any]]) -> Any:
        """Add up what arrives at a population; what has not been sent yet is 0."""
        total: Any = None
        for wire in self.wires:
            if wire.post != name:
                continue
            sent = now if wire.delay == 0 else past[wire.delay - 1] if wire.delay <= len(past) else None
            value = self._nothing(wire.pre, now) if sent is None else sent[wire.pre]
            arriving = self.layers[wire.layer](value)
            total = arriving if total is None else total + arriving
        return total

    def _nothing(self, name: str, now: Mapping[str, Any]) -> Any:
        """Return what a population or an input had sent before the first step."""
        if name in now:
            return torch.zeros_like(now[name])
        like = next(iter(now.values()))
        return like.new_zeros((len(like), *self.shapes[name]))

    def _call(self, name: str, x: torch.Tensor, state: Any) -> tuple[Any, Any]:
        cell = self.cells[name]
        if not hasattr(cell, "reset_mem"):  # norse
            return cell(x, state)  # type: ignore[no-any-return]
        if state is None:  # snnTorch would go on with the state of its last call
            state = tuple(torch.zeros_like(x) for name in ("spk", "syn", "mem") if hasattr(cell, name))
        out = cell(x, *state)
        given = out if hasattr(cell, "recurrent") else out[1:]
        return (out[-1] if name in self.silent else out[0]), tuple(given)
