"""A population over many steps as one differentiable operation, forward and backward derived from its equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from spikesim.backends.torch.memory import room
from spikesim.backends.torch.passes import Gradients, Pass, Tensors
from spikesim.backends.torch.triton_passes import triton_serves
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
        Use the printed kernels where there are some for the device; else plain torch operations, step by step.
    """

    model: NeuronModel
    surrogate: Surrogate = Surrogate()  # noqa: RUF009  (a frozen value)
    fused: bool = True

    def __call__(
        self,
        inputs: Tensors,
        init: Tensors,
        constants: Tensors,
        shape: tuple[int, int, int],
        keep: Sequence[str] | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Run the population.

        Parameters
        ----------
        inputs
            Summed input of each port that has one, ``[steps, samples, n]``, all of one floating-point type. An input
            that is the same at every step (``expand``, stride 0) is read in place and never copied.
        init
            Initial value of every state, broadcast to ``[samples, n]``.
        constants
            Everything that the step reads from ``p``, of no dimension or ``[n]``.
        shape
            ``(steps, samples, n)``.
        keep
            States to return; all by default. The backward pass needs none of them.

        Returns
        -------
        spikes : Tensor
            ``[steps, samples, n]``.
        traces : dict of Tensor
            The states asked for, ``[steps + 1, samples, n]``; row 0 is the initial one.
        """
        ports = tuple(p for p in self.model.inputs if p in inputs)
        tensors = [_once(inputs[p]) for p in ports]
        dtype = tensors[0].dtype if tensors else next(iter(init.values())).dtype
        tensors += [init[n].to(dtype).expand(shape[1:]) for n in self.model.states]
        tensors += [constants[n].to(dtype) for n in self.model.used_constants()]
        kept = tuple(self.model.states) if keep is None else tuple(n for n in self.model.states if n in keep)
        spikes, *traces = _Run.apply(self, ports, kept, shape, *tensors)
        return spikes, dict(zip(kept, traces, strict=True))

    def over(self, inputs: Tensors, constants: Tensors, size: tuple[int, int]) -> Pass:
        """Return the pass over some arrays."""
        tensors = [*inputs.values(), *constants.values()]
        fused = self.fused and all(x.device.type == "cpu" or triton_serves(x.device) for x in tensors)
        return Pass(self.model, self.surrogate, fused, inputs, constants, size)


def _once(x: torch.Tensor) -> torch.Tensor:
    """Return one row of what is the same at every step, else all of it."""
    return x[:1].contiguous() if x.stride(0) == 0 else x.contiguous()


def reduced(gradient: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Sum a gradient ``[samples, n]`` over what its constant was broadcast to."""
    return gradient.sum() if like.ndim == 0 else gradient.sum(0).reshape(like.shape)


class _Run(torch.autograd.Function):  # type: ignore[misc]
    """The scan. Arguments after ``shape``: the ports' inputs, initial states, step constants."""

    @staticmethod
    def forward(
        ctx: Any,
        scan: Scan,
        ports: tuple[str, ...],
        kept: tuple[str, ...],
        shape: tuple[int, int, int],
        *tensors: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        inputs, init, constants = _split(scan, ports, tensors)
        spikes = room(shape, tensors[0])
        states = {name: start.detach().clone(memory_format=torch.contiguous_format) for name, start in init.items()}
        traces = {name: room((shape[0] + 1, *shape[1:]), spikes) for name in kept}
        for name, trace in traces.items():
            trace[0] = states[name]
        scan.over(inputs, constants, shape[1:]).forward(spikes, states, traces)(0, shape[0])
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        ctx.scan, ctx.ports, ctx.kept, ctx.shape = scan, ports, kept, shape
        return (spikes, *traces.values())

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, d_spikes: torch.Tensor | None, *d_traces: torch.Tensor | None) -> tuple[Any, ...]:
        inputs, init, constants = _split(ctx.scan, ctx.ports, ctx.saved_tensors)
        wanted = ctx.needs_input_grad[4 + len(inputs) + len(init) :]
        like, (steps, *size) = ctx.saved_tensors[0], ctx.shape
        blank = like.new_zeros(size)
        arrays = Gradients(
            d_spikes=like.new_zeros(ctx.shape) if d_spikes is None else d_spikes.contiguous(),
            states={name: x.detach().contiguous()[None] for name, x in init.items()},
            cotangents={n: d.contiguous() for n, d in zip(ctx.kept, d_traces, strict=True) if d is not None},
            d_inputs={p: room(x.shape, x) if len(x) == steps else torch.zeros_like(x) for p, x in inputs.items()},
            carry={name: blank.clone() for name in init},
            d_learn={name: blank.clone() for name, w in zip(constants, wanted, strict=True) if w},
        )
        ctx.scan.over(inputs, constants, (size[0], size[1])).backward(arrays)(0, steps)
        for name, gradient in arrays.cotangents.items():
            arrays.carry[name].add_(gradient[0])
        sums = {name: reduced(gradient, constants[name]) for name, gradient in arrays.d_learn.items()}
        learned = (sums.get(name) for name in constants)
        return (None, None, None, None, *arrays.d_inputs.values(), *arrays.carry.values(), *learned)


def _split(scan: Scan, ports: tuple[str, ...], tensors: tuple[torch.Tensor, ...]) -> tuple[Tensors, Tensors, Tensors]:
    """Name the tensors: the ports' inputs, initial states, step constants."""
    names = [*ports, *scan.model.states, *scan.model.used_constants()]
    values = list(zip(names, tensors, strict=True))
    low, high = len(ports), len(ports) + len(scan.model.states)
    return dict(values[:low]), dict(values[low:high]), dict(values[high:])
