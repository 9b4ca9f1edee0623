"""A population over consecutive steps, forward and backward, without autograd: plain torch or printed kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from spikesim.backends.torch.ops import table
from spikesim.backends.torch.threads import over_columns
from spikesim.equations.expression import Expressions
from spikesim.equations.scan_source import Layout, Surrogate, backward_source, backward_step, forward_source, load
from spikesim.neuron import NeuronModel

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Pass:
    """A population with the arrays of some steps.

    Parameters
    ----------
    model, surrogate
        The neuron and the derivative of its spike.
    fused
        Use the printed kernels (tensors on the CPU), else plain torch operations.
    inputs
        Port to ``[steps, samples, n]``; ports left out hold 0.
    traces
        State to ``[steps + 1, samples, n]``; row 0 is given, the others are filled.
    constants
        Step constant to a tensor of no dimension or ``[n]``, for all that the step reads.
    """

    model: NeuronModel
    surrogate: Surrogate
    fused: bool
    inputs: Tensors
    traces: Tensors
    constants: Tensors

    def at(self, t: int) -> Pass:
        """Return the pass over one of the steps; its arrays are views."""
        inputs = {n: x[t : t + 1] for n, x in self.inputs.items()}
        return replace(self, inputs=inputs, traces={n: x[t : t + 2] for n, x in self.traces.items()})

    def forward(self, spikes: torch.Tensor) -> None:
        """Fill ``spikes`` ``[steps, samples, n]`` and the traces."""
        (_fused_forward if self.fused else _plain_forward)(self, spikes)

    def backward(
        self, d_spikes: torch.Tensor, cotangents: Tensors, d_inputs: Tensors, carry: Tensors, d_learn: Tensors
    ) -> None:
        """Walk the steps backwards.

        Parameters
        ----------
        d_spikes
            Gradient of the spikes, ``[steps, samples, n]``.
        cotangents
            Gradients of some traces, ``[steps + 1, samples, n]``; row 0 is not read.
        d_inputs
            By port; filled with the gradients of the inputs.
        carry
            By state, ``[samples, n]``; the gradient of the last state is replaced by that of the first.
        d_learn
            By step constant, ``[samples, n]``; added to.
        """
        backward = _fused_backward if self.fused else _plain_backward
        backward(self, d_spikes, cotangents, d_inputs, carry, d_learn)


# ---------------------------------------------------------------------------------------------- plain torch
def _leaves(run: Pass, t: int, like: torch.Tensor) -> dict[str, Any]:
    silent = {p: like.new_zeros(()) for p in run.model.inputs if p not in run.inputs}
    return {
        "state": {n: x[t] for n, x in run.traces.items()},
        "input": {**silent, **{p: x[t] for p, x in run.inputs.items()}},
        "param": run.constants,
    }


def _plain_forward(run: Pass, spikes: torch.Tensor) -> None:
    ops = table(spikes.dtype, spikes.device)
    for t in range(len(spikes)):
        results = run.model.dynamics.evaluate(_leaves(run, t, spikes), ops)
        spikes[t] = results["spike"]
        for name, trace in run.traces.items():
            trace[t + 1] = results[name]


def _plain_backward(
    run: Pass, d_spikes: torch.Tensor, cotangents: Tensors, d_inputs: Tensors, carry: Tensors, d_learn: Tensors
) -> None:
    ops = table(d_spikes.dtype, d_spikes.device)
    derived = _backward_step(run.model, tuple(run.inputs), tuple(d_learn), run.surrogate)
    for t in range(len(d_spikes) - 1, -1, -1):
        behind = {n: c + cotangents[n][t + 1] if n in cotangents else c for n, c in carry.items()}
        leaves = {**_leaves(run, t, d_spikes), "cotangent": {"spike": d_spikes[t], **behind}}
        results = derived.evaluate(leaves, ops)
        for port, gradient in d_inputs.items():
            gradient[t] = results[f"d_input_{port}"]
        for name, gradient in d_learn.items():
            gradient += results[f"d_param_{name}"]
        for name, gradient in carry.items():
            gradient[:] = results[f"d_state_{name}"]


# ---------------------------------------------------------------------------------------------- printed kernels
def _fused_forward(run: Pass, spikes: torch.Tensor) -> None:
    kernel = _forward_kernel(_layout(run, spikes))
    arrays = [_flat(x) for x in (spikes, *run.inputs.values(), *run.traces.values())]
    arrays += [_column(c, spikes) for c in run.constants.values()]
    over_columns(arrays[0].shape[1], len(spikes), lambda first, last: kernel(first, last, *arrays))


def _fused_backward(
    run: Pass, d_spikes: torch.Tensor, cotangents: Tensors, d_inputs: Tensors, carry: Tensors, d_learn: Tensors
) -> None:
    kernel = _backward_kernel(_layout(run, d_spikes), tuple(d_learn), tuple(cotangents), run.surrogate)
    given = (d_spikes, *run.inputs.values(), *run.traces.values(), *cotangents.values())
    arrays = [_flat(x) for x in given]
    arrays += [c.numpy().reshape(-1) for c in carry.values()] + [_flat(x) for x in d_inputs.values()]
    arrays += [g.numpy().reshape(-1) for g in d_learn.values()]
    arrays += [_column(c, d_spikes) for c in run.constants.values()]
    over_columns(arrays[0].shape[1], len(d_spikes), lambda first, last: kernel(first, last, *arrays))


def _layout(run: Pass, like: torch.Tensor) -> Layout:
    arrays = tuple(n for n, c in run.constants.items() if c.ndim)
    return Layout(run.model, str(like.dtype).removeprefix("torch."), tuple(run.inputs), arrays)


def _flat(tensor: torch.Tensor) -> Any:
    """View ``[steps, samples, n]`` as a numpy array ``[steps, samples * n]``."""
    array = tensor.detach().numpy()
    return array.reshape(len(array), -1)


def _column(constant: torch.Tensor, like: torch.Tensor) -> Any:
    """Return a number, or one value per column."""
    value = constant.detach().numpy()
    return value[()] if value.ndim == 0 else value.reshape(1, -1).repeat(like.shape[1], 0).reshape(-1)


@cache
def _backward_step(
    model: NeuronModel, ports: tuple[str, ...], learn: tuple[str, ...], surrogate: Surrogate
) -> Expressions:
    return backward_step(model, ports, learn, surrogate)


@cache
def _forward_kernel(layout: Layout) -> Callable[..., None]:
    return load(forward_source(layout), "forward")


@cache
def _backward_kernel(
    layout: Layout, learn: Sequence[str], traced: Sequence[str], surrogate: Surrogate
) -> Callable[..., None]:
    return load(backward_source(layout, tuple(learn), tuple(traced), surrogate), "backward")
