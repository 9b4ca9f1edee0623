"""A population over many steps as one differentiable operation, forward and backward derived from its equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from spikesim.backends.torch.ops import table
from spikesim.backends.torch.threads import over_columns
from spikesim.equations.scan_source import Layout, Surrogate, backward_source, backward_step, forward_source, load
from spikesim.neuron import NeuronModel

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Scan:
    """How to scan a population.

    Parameters
    ----------
    model
        The neuron.
    surrogate
        Derivative of its spike.
    fused
        Use the printed kernels where the tensors are on the CPU; else plain torch operations, step by step.
    """

    model: NeuronModel
    surrogate: Surrogate = Surrogate()  # noqa: RUF009  (a frozen value)
    fused: bool = True

    def __call__(
        self, inputs: Tensors, init: Tensors, constants: Tensors, shape: tuple[int, int, int]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Run the population.

        Parameters
        ----------
        inputs
            Summed input of each port that has one, ``[steps, samples, n]``, all of one floating-point type.
        init
            Initial value of every state, broadcast to ``[samples, n]``.
        constants
            Everything that the step reads from ``p``, of no dimension or ``[n]``.
        shape
            ``(steps, samples, n)``.

        Returns
        -------
        spikes : Tensor
            ``[steps, samples, n]``.
        traces : dict of Tensor
            Every state, ``[steps + 1, samples, n]``; row 0 is the initial one.
        """
        ports = tuple(p for p in self.model.inputs if p in inputs)
        tensors = [inputs[p].contiguous() for p in ports]
        dtype = tensors[0].dtype if tensors else next(iter(init.values())).dtype
        tensors += [init[n].to(dtype).expand(shape[1:]) for n in self.model.states]
        tensors += [constants[n].to(dtype) for n in self.model.used_constants()]
        spikes, *traces = _Run.apply(self, ports, shape, *tensors)
        return spikes, dict(zip(self.model.states, traces, strict=True))

    def step(
        self, inputs: Tensors, states: Tensors, constants: Tensors, shape: tuple[int, int]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Run one step; everything is ``[samples, n]``. Returns the spikes and the next states."""
        full = {port: x.expand(shape)[None] for port, x in inputs.items()}
        spikes, traces = self(full, states, constants, (1, *shape))
        return spikes[0], {name: trace[1] for name, trace in traces.items()}


class _Run(torch.autograd.Function):  # type: ignore[misc]
    """The scan. Arguments after ``shape``: the ports' inputs, initial states, step constants."""

    @staticmethod
    def forward(
        ctx: Any, scan: Scan, ports: tuple[str, ...], shape: tuple[int, int, int], *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        steps, samples, n = shape
        names = list(scan.model.states)
        inputs = tensors[: len(ports)]
        init = tensors[len(ports) : len(ports) + len(names)]
        constants = tensors[len(ports) + len(names) :]
        spikes = inputs[0].new_empty(shape) if inputs else init[0].new_empty(shape)
        traces = [spikes.new_empty((steps + 1, samples, n)) for _ in names]
        for trace, start in zip(traces, init, strict=True):
            trace[0] = start
        forward = _fused_forward if _fused(scan, spikes) else _plain_forward
        forward(scan, ports, inputs, traces, constants, spikes)
        ctx.save_for_backward(*inputs, *traces, *constants)
        ctx.set_materialize_grads(False)
        ctx.scan, ctx.ports, ctx.shape = scan, ports, shape
        return (spikes, *traces)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, d_spikes: torch.Tensor | None, *d_traces: torch.Tensor | None) -> tuple[Any, ...]:
        scan, ports, names = ctx.scan, ctx.ports, list(ctx.scan.model.states)
        saved = ctx.saved_tensors
        inputs, traces = saved[: len(ports)], saved[len(ports) : len(ports) + len(names)]
        constants = saved[len(ports) + len(names) :]
        wanted = ctx.needs_input_grad[3 + len(ports) + len(names) :]
        learn = tuple(c for c, w in zip(scan.model.used_constants(), wanted, strict=True) if w)
        d_spikes = traces[0].new_zeros(ctx.shape) if d_spikes is None else d_spikes.contiguous()
        cotangents = {n: d.contiguous() for n, d in zip(names, d_traces, strict=True) if d is not None}
        backward = _fused_backward if _fused(scan, d_spikes) else _plain_backward
        d_inputs, d_init, d_learn = backward(scan, ports, learn, inputs, traces, constants, d_spikes, cotangents)
        for name, d in cotangents.items():
            d_init[names.index(name)] += d[0]
        of = dict(zip(scan.model.used_constants(), constants, strict=True))
        sums = {c: _reduce(d, of[c]) for c, d in zip(learn, d_learn, strict=True)}
        return (None, None, None, *d_inputs, *d_init, *(sums.get(c) for c in of))


def _reduce(gradient: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Sum a gradient ``[samples, n]`` over what its constant was broadcast to."""
    return gradient.sum() if like.ndim == 0 else gradient.sum(0).reshape(like.shape)


def _fused(scan: Scan, tensor: torch.Tensor) -> bool:
    return scan.fused and tensor.device.type == "cpu"


# ---------------------------------------------------------------------------------------------- plain torch
def _plain_forward(
    scan: Scan,
    ports: Sequence[str],
    inputs: Sequence[torch.Tensor],
    traces: Sequence[torch.Tensor],
    constants: Sequence[torch.Tensor],
    spikes: torch.Tensor,
) -> None:
    model, ops = scan.model, table(spikes.dtype, spikes.device)
    params = dict(zip(model.used_constants(), constants, strict=True))
    nothing = {p: spikes.new_zeros(()) for p in model.inputs}
    for t in range(len(spikes)):
        leaves = {
            "state": {n: x[t] for n, x in zip(model.states, traces, strict=True)},
            "input": {**nothing, **{p: x[t] for p, x in zip(ports, inputs, strict=True)}},
            "param": params,
        }
        results = model.dynamics.evaluate(leaves, ops)
        spikes[t] = results["spike"]
        for name, trace in zip(model.states, traces, strict=True):
            trace[t + 1] = results[name]


def _plain_backward(
    scan: Scan,
    ports: tuple[str, ...],
    learn: tuple[str, ...],
    inputs: Sequence[torch.Tensor],
    traces: Sequence[torch.Tensor],
    constants: Sequence[torch.Tensor],
    d_spikes: torch.Tensor,
    cotangents: Tensors,
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    model, ops = scan.model, table(d_spikes.dtype, d_spikes.device)
    derived = _backward_step(model, ports, learn, scan.surrogate)
    params = dict(zip(model.used_constants(), constants, strict=True))
    nothing = {p: d_spikes.new_zeros(()) for p in model.inputs}
    d_inputs = [torch.empty_like(x) for x in inputs]
    d_state = {n: torch.zeros_like(d_spikes[0]) for n in model.states}
    d_learn = {c: torch.zeros_like(d_spikes[0]) for c in learn}
    for t in range(len(d_spikes) - 1, -1, -1):
        leaves = {
            "state": {n: x[t] for n, x in zip(model.states, traces, strict=True)},
            "input": {**nothing, **{p: x[t] for p, x in zip(ports, inputs, strict=True)}},
            "param": params,
            "cotangent": {"spike": d_spikes[t]}
            | {n: d + cotangents[n][t + 1] if n in cotangents else d for n, d in d_state.items()},
        }
        results = derived.evaluate(leaves, ops)
        for port, d_input in zip(ports, d_inputs, strict=True):
            d_input[t] = results[f"d_input_{port}"]
        d_state = {n: results[f"d_state_{n}"] for n in model.states}
        for name in learn:
            d_learn[name] = d_learn[name] + results[f"d_param_{name}"]
    d_init = [d.expand(d_spikes.shape[1:]).clone() for d in d_state.values()]
    return d_inputs, d_init, list(d_learn.values())


# ---------------------------------------------------------------------------------------------- printed kernels
def _fused_forward(
    scan: Scan,
    ports: tuple[str, ...],
    inputs: Sequence[torch.Tensor],
    traces: Sequence[torch.Tensor],
    constants: Sequence[torch.Tensor],
    spikes: torch.Tensor,
) -> None:
    kernel = _forward_kernel(_layout(scan, ports, constants, spikes))
    arrays = [_flat(spikes), *map(_flat, inputs), *map(_flat, traces)]
    values = [_column(c, spikes) for c in constants]
    over_columns(arrays[0].shape[1], len(spikes), lambda first, last: kernel(first, last, *arrays, *values))


def _fused_backward(
    scan: Scan,
    ports: tuple[str, ...],
    learn: tuple[str, ...],
    inputs: Sequence[torch.Tensor],
    traces: Sequence[torch.Tensor],
    constants: Sequence[torch.Tensor],
    d_spikes: torch.Tensor,
    cotangents: Tensors,
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    layout = _layout(scan, ports, constants, d_spikes)
    kernel = _backward_kernel(layout, learn, tuple(cotangents), scan.surrogate)
    d_inputs = [torch.empty_like(x) for x in inputs]
    d_init = [torch.zeros_like(d_spikes[0]) for _ in scan.model.states]
    d_learn = [torch.zeros_like(d_spikes[0]) for _ in learn]
    arrays = [_flat(x) for x in (d_spikes, *inputs, *traces, *cotangents.values())]
    arrays += [x.detach().numpy().reshape(-1) for x in d_init] + [_flat(x) for x in d_inputs]
    arrays += [x.detach().numpy().reshape(-1) for x in d_learn] + [_column(c, d_spikes) for c in constants]
    width = d_spikes[0].numel()
    over_columns(width, len(d_spikes), lambda first, last: kernel(first, last, *arrays))
    return d_inputs, d_init, d_learn


def _layout(scan: Scan, ports: tuple[str, ...], constants: Sequence[torch.Tensor], like: torch.Tensor) -> Layout:
    arrays = tuple(n for n, c in zip(scan.model.used_constants(), constants, strict=True) if c.ndim)
    return Layout(scan.model, str(like.dtype).removeprefix("torch."), ports, arrays)


def _flat(tensor: torch.Tensor) -> Any:
    """View ``[steps, samples, n]`` as a numpy array ``[steps, samples * n]``."""
    array = tensor.detach().numpy()
    return array.reshape(len(array), -1)


def _column(constant: torch.Tensor, like: torch.Tensor) -> Any:
    """Return a number, or one value per column."""
    value = constant.detach().numpy()
    return value[()] if value.ndim == 0 else value.reshape(1, -1).repeat(like.shape[1], 0).reshape(-1)


@cache
def _backward_step(model: NeuronModel, ports: tuple[str, ...], learn: tuple[str, ...], with_: Surrogate) -> Any:
    return backward_step(model, ports, learn, with_)


@cache
def _forward_kernel(layout: Layout) -> Callable[..., None]:
    return load(forward_source(layout), "forward")


@cache
def _backward_kernel(
    layout: Layout, learn: tuple[str, ...], traced: tuple[str, ...], with_: Surrogate
) -> Callable[..., None]:
    return load(backward_source(layout, learn, traced, with_), "backward")
