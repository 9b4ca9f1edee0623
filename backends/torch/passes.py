"""A population over some steps, forward and backward, without autograd: plain torch or printed kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from spikesim.backends.torch.ops import table
from spikesim.backends.torch.threads import over_columns
from spikesim.backends.torch.triton_passes import triton_backward, triton_forward, triton_serves
from spikesim.equations.expression import Expressions
from spikesim.equations.scan_source import Layout, Surrogate, backward_source, backward_step, forward_source, load
from spikesim.neuron import NeuronModel

Tensors = Mapping[str, torch.Tensor]
Work = Callable[[int, int, int, int], None]


@dataclass(frozen=True)
class Pass:
    """A population with the arrays that its steps read.

    Parameters
    ----------
    model, surrogate
        The neuron and the derivative of its spike.
    fused
        Use the printed kernels (numba on the CPU, Triton on a GPU), else plain torch operations.
    inputs
        Port to ``[steps, samples, n]``, or ``[1, samples, n]`` if the input is the same at every step; ports left out
        hold 0.
    constants
        Step constant to a tensor of no dimension or ``[n]``, for all that the step reads.
    size
        ``(samples, n)``.
    """

    model: NeuronModel
    surrogate: Surrogate
    fused: bool
    inputs: Tensors
    constants: Tensors
    size: tuple[int, int]

    def forward(self, spikes: torch.Tensor, states: Tensors, kept: Tensors) -> Walk:
        """Prepare the way through the steps.

        Parameters
        ----------
        spikes
            ``[steps, samples, n]``, filled.
        states
            Every state ``[samples, n]``, changed from step to step.
        kept
            States to keep, ``[steps + 1, samples, n]``; row ``t + 1`` gets the state after step ``t``.
        """
        if self.fused and triton_serves(spikes.device):
            return Walk(triton_forward(self, spikes, states, kept), self.size[0] * self.size[1], divisible=False)
        return (_fused_forward if self.fused else _plain_forward)(self, spikes, states, kept)

    def backward(self, arrays: Gradients) -> Walk:
        """Prepare the way back through the steps."""
        if self.fused and triton_serves(arrays.d_spikes.device):
            return Walk(triton_backward(self, arrays), self.size[0] * self.size[1], divisible=False)
        return (_fused_backward if self.fused else _plain_backward)(self, arrays)


@dataclass(frozen=True)
class Gradients:
    """What a backward walk reads and writes.

    Parameters
    ----------
    d_spikes
        ``[steps, samples, n]``.
    states
        Every state ``[1 or more, samples, n]``: row ``begin`` is read, the state before step ``begin``.
    cotangents
        For kept states that something was computed from, ``[steps + 1, samples, n]``.
    d_inputs
        By port, like the input: filled, or added to if the input is the same at every step.
    carry
        By state, ``[samples, n]``: gradient of the last state at first, of the first one in the end.
    d_learn
        By step constant, ``[samples, n]``: added to.
    """

    d_spikes: torch.Tensor
    states: Tensors
    cotangents: Tensors
    d_inputs: Tensors
    carry: Tensors
    d_learn: Tensors


@dataclass(frozen=True)
class Walk:
    """A prepared walk: nothing is looked up or converted any more from step to step.

    Parameters
    ----------
    work
        ``work(first, last, begin, end)``: steps ``begin .. end - 1`` of a range of columns (neurons of all samples).
    width
        How many columns there are.
    divisible
        Whether threads may take a range of columns each.
    """

    work: Work
    width: int
    divisible: bool = True

    def __call__(self, begin: int, end: int) -> None:
        """Walk some steps with all columns."""
        if not self.divisible:
            return self.work(0, self.width, begin, end)
        return over_columns(self.width, end - begin, lambda first, last: self.work(first, last, begin, end))


# ---------------------------------------------------------------------------------------------- plain torch
def _leaves(run: Pass, t: int, states: Tensors) -> dict[str, Any]:
    like = next(iter((states or run.inputs).values()))
    silent = {p: like.new_zeros(()) for p in run.model.inputs if p not in run.inputs}
    inputs = {p: x[t if len(x) > 1 else 0] for p, x in run.inputs.items()}
    return {"state": states, "input": silent | inputs, "param": run.constants}


def _plain_forward(run: Pass, spikes: torch.Tensor, states: Tensors, kept: Tensors) -> Walk:
    ops = table(spikes.dtype, spikes.device)

    def work(_first: int, _last: int, begin: int, end: int) -> None:
        for t in range(begin, end):
            results = run.model.dynamics.evaluate(_leaves(run, t, states), ops)
            spikes[t] = results["spike"]
            for name, state in states.items():
                state[:] = results[name]
                if name in kept:
                    kept[name][t + 1] = state

    return Walk(work, run.size[0] * run.size[1], divisible=False)


def _plain_backward(run: Pass, arrays: Gradients) -> Walk:
    ops = table(arrays.d_spikes.dtype, arrays.d_spikes.device)
    derived = _backward_step(run.model, tuple(run.inputs), tuple(arrays.d_learn), run.surrogate)

    def work(_first: int, _last: int, begin: int, end: int) -> None:
        before = {name: state[begin] for name, state in arrays.states.items()}
        for t, states in _again(run, before, begin, end, ops):
            cotangents = arrays.cotangents
            behind = {n: c + cotangents[n][t + 1] if n in cotangents else c for n, c in arrays.carry.items()}
            leaves = {**_leaves(run, t, states), "cotangent": {"spike": arrays.d_spikes[t], **behind}}
            results = derived.evaluate(leaves, ops)
            for port, gradient in arrays.d_inputs.items():
                if len(gradient) > 1 or len(arrays.d_spikes) == 1:
                    gradient[t] = results[f"d_input_{port}"]
                else:
                    gradient[0] += results[f"d_input_{port}"]
            for name, gradient in arrays.d_learn.items():
                gradient += results[f"d_param_{name}"]
            for name, gradient in arrays.carry.items():
                gradient[:] = results[f"d_state_{name}"]

    return Walk(work, run.size[0] * run.size[1], divisible=False)


def _again(run: Pass, states: Tensors, begin: int, end: int, ops: Any) -> Iterator[tuple[int, Tensors]]:
    """Run the steps forward again, then give them back from the last to the first, each with the states before it."""
    passed = [{name: state.clone() for name, state in states.items()}]
    for t in range(begin, end - 1):
        results = run.model.dynamics.evaluate(_leaves(run, t, passed[-1]), ops)
        passed.append({name: results[name].expand(run.size) for name in states})
    yield from zip(range(end - 1, begin - 1, -1), reversed(passed), strict=True)


# ---------------------------------------------------------------------------------------------- printed kernels
def _fused_forward(run: Pass, spikes: torch.Tensor, states: Tensors, kept: Tensors) -> Walk:
    kernel = _forward_kernel(_layout(run, spikes), tuple(kept))
    arrays = [_flat(x) for x in (spikes, *run.inputs.values())]
    arrays += [_column(x) for x in states.values()] + [_flat(x) for x in kept.values()]
    arrays += [_constant(c, run, spikes) for c in run.constants.values()]
    return Walk(lambda *where: kernel(*where, *arrays), run.size[0] * run.size[1])


def _fused_backward(run: Pass, given: Gradients) -> Walk:
    layout = _layout(run, given.d_spikes)
    kernel = _backward_kernel(layout, tuple(given.d_learn), tuple(given.cotangents), run.surrogate)
    arrays = [_flat(x) for x in (given.d_spikes, *run.inputs.values())]
    arrays += [_flat(x) for x in (*given.states.values(), *given.cotangents.values())]
    arrays += [_column(x) for x in given.carry.values()] + [_flat(x) for x in given.d_inputs.values()]
    arrays += [_column(x) for x in given.d_learn.values()]
    arrays += [_constant(c, run, given.d_spikes) for c in run.constants.values()]
    return Walk(lambda *where: kernel(*where, *arrays), run.size[0] * run.size[1])


def _layout(run: Pass, spikes: torch.Tensor) -> Layout:
    arrays = tuple(n for n, c in run.constants.items() if c.ndim)
    steady = tuple(p for p, x in run.inputs.items() if len(x) == 1 < len(spikes))
    return Layout(run.model, str(spikes.dtype).removeprefix("torch."), tuple(run.inputs), arrays, steady)


def _flat(tensor: torch.Tensor) -> Any:
    """View ``[steps, samples, n]`` as a numpy array ``[steps, samples * n]``."""
    array = tensor.detach().numpy()
    return array.reshape(len(array), -1)


def _column(tensor: torch.Tensor) -> Any:
    """View ``[samples, n]`` as a numpy array ``[samples * n]``; it is changed, so it must be no copy."""
    return tensor.detach().view(-1).numpy()


def _constant(constant: torch.Tensor, run: Pass, like: torch.Tensor) -> Any:
    """Return a number, or one value per column."""
    value = constant.detach().to(like.dtype).numpy()
    return value[()] if value.ndim == 0 else value.reshape(1, -1).repeat(run.size[0], 0).reshape(-1)


@cache
def _backward_step(
    model: NeuronModel, ports: tuple[str, ...], learn: tuple[str, ...], surrogate: Surrogate
) -> Expressions:
    return backward_step(model, ports, learn, surrogate)


@cache
def _forward_kernel(layout: Layout, kept: tuple[str, ...]) -> Callable[..., None]:
    return load(forward_source(layout, kept), "forward")


@cache
def _backward_kernel(
    layout: Layout, learn: Sequence[str], traced: Sequence[str], surrogate: Surrogate
) -> Callable[..., None]:
    return load(backward_source(layout, tuple(learn), tuple(traced), surrogate), "backward")
