"""A population over many steps as one differentiable operation, forward and backward derived from its equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from spikesim.backends.torch.memory import room
from spikesim.backends.torch.passes import Pass, Tensors
from spikesim.equations.scan_source import Surrogate
from spikesim.neuron import NeuronModel


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

    def over(self, inputs: Tensors, traces: Tensors, constants: Tensors) -> Pass:
        """Return the pass over some arrays."""
        fused = self.fused and next(iter(traces.values())).device.type == "cpu"
        return Pass(self.model, self.surrogate, fused, inputs, traces, constants)


def reduced(gradient: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Sum a gradient ``[samples, n]`` over what its constant was broadcast to."""
    return gradient.sum() if like.ndim == 0 else gradient.sum(0).reshape(like.shape)


class _Run(torch.autograd.Function):  # type: ignore[misc]
    """The scan. Arguments after ``shape``: the ports' inputs, initial states, step constants."""

    @staticmethod
    def forward(
        ctx: Any, scan: Scan, ports: tuple[str, ...], shape: tuple[int, int, int], *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        steps, samples, n = shape
        inputs, init, constants = _split(scan, ports, tensors)
        spikes = room(shape, tensors[0])
        traces = {name: room((steps + 1, samples, n), spikes) for name in init}
        for name, start in init.items():
            traces[name][0] = start
        scan.over(inputs, traces, constants).forward(spikes)
        ctx.save_for_backward(*inputs.values(), *traces.values(), *constants.values())
        ctx.set_materialize_grads(False)
        ctx.scan, ctx.ports, ctx.shape = scan, ports, shape
        return (spikes, *traces.values())

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, d_spikes: torch.Tensor | None, *d_traces: torch.Tensor | None) -> tuple[Any, ...]:
        inputs, traces, constants = _split(ctx.scan, ctx.ports, ctx.saved_tensors)
        wanted = ctx.needs_input_grad[3 + len(inputs) + len(traces) :]
        first = next(iter(traces.values()))
        d_spikes = first.new_zeros(ctx.shape) if d_spikes is None else d_spikes.contiguous()
        cotangents = {n: d.contiguous() for n, d in zip(traces, d_traces, strict=True) if d is not None}
        d_inputs = {port: room(x.shape, x) for port, x in inputs.items()}
        carry = {name: torch.zeros_like(d_spikes[0]) for name in traces}
        d_learn = {name: torch.zeros_like(d_spikes[0]) for name, w in zip(constants, wanted, strict=True) if w}
        ctx.scan.over(inputs, traces, constants).backward(d_spikes, cotangents, d_inputs, carry, d_learn)
        for name, gradient in cotangents.items():
            carry[name] += gradient[0]
        sums = {name: reduced(gradient, constants[name]) for name, gradient in d_learn.items()}
        return (None, None, None, *d_inputs.values(), *carry.values(), *(sums.get(name) for name in constants))


def _split(scan: Scan, ports: tuple[str, ...], tensors: tuple[torch.Tensor, ...]) -> tuple[Tensors, Tensors, Tensors]:
    """Name the tensors: the ports' inputs, states (initial or over time), step constants."""
    names = [*ports, *scan.model.states, *scan.model.used_constants()]
    values = list(zip(names, tensors, strict=True))
    low, high = len(ports), len(ports) + len(scan.model.states)
    return dict(values[:low]), dict(values[low:high]), dict(values[high:])
