"""Scans on a GPU: the kernels that :mod:`spikesim.equations.triton_source` prints, put to work on tensors."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from spikesim.equations.scan_source import Layout, Surrogate
from spikesim.equations.triton_source import backward_triton, forward_triton, load_triton

if TYPE_CHECKING:
    from spikesim.backends.torch.passes import Gradients, Pass

Tensors = Mapping[str, torch.Tensor]
Work = Callable[[int, int, int, int], None]

# Not tuned on a GPU yet:
BLOCK = 128  # columns a program takes; with four warps one for each thread
STAGES = 1  # steps whose loads are under way at once; above 1 they pass through shared memory


@cache
def triton_serves(device: torch.device) -> bool:
    """Tell whether tensors on a device are scanned by Triton: CUDA, or the CPU under ``TRITON_INTERPRET=1``."""
    if importlib.util.find_spec("triton") is None:
        return False
    return device.type == "cuda" or (device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1")


def triton_forward(run: Pass, spikes: torch.Tensor, states: Tensors, kept: Tensors) -> Work:
    """Prepare what :meth:`spikesim.backends.torch.passes.Pass.forward` walks with."""
    constants = _constants(run, spikes)
    kernel = _forward_kernel(_layout(run, spikes, constants), tuple(kept))
    tensors = [spikes, *run.inputs.values(), *states.values(), *kept.values(), *constants.values()]
    return _launcher(kernel, run, [x.detach() for x in tensors])


def triton_backward(run: Pass, arrays: Gradients) -> Work:
    """Prepare what :meth:`spikesim.backends.torch.passes.Pass.backward` walks with."""
    constants = _constants(run, arrays.d_spikes)
    layout = _layout(run, arrays.d_spikes, constants)
    kernel = _backward_kernel(layout, tuple(arrays.d_learn), tuple(arrays.cotangents), run.surrogate)
    before = [x.detach() for x in (arrays.d_spikes, *run.inputs.values(), *arrays.states.values())]
    after = [*arrays.cotangents.values(), *arrays.carry.values(), *arrays.d_inputs.values()]
    after += [*arrays.d_learn.values(), *constants.values()]

    def work(first: int, last: int, begin: int, end: int) -> None:
        again = [x.new_empty((end - begin, *run.size)) for x in arrays.states.values()]
        _launcher(kernel, run, [*before, *again, *after])(first, last, begin, end)

    return work


def _launcher(kernel: Any, run: Pass, tensors: Sequence[torch.Tensor]) -> Work:
    width = run.size[0] * run.size[1]
    grid, like = (-(-width // BLOCK),), tensors[0]

    def work(_first: int, _last: int, begin: int, end: int) -> None:
        if begin < end and width:
            sizes = (begin, end - begin, width, run.size[1])
            with torch.cuda.device_of(like):  # Triton launches on the current device
                # products and sums stay apart, or a spike could differ from the other backends
                kernel[grid](*tensors, *sizes, STAGES=STAGES, BLOCK=BLOCK, enable_fp_fusion=False)

    return work


def _constants(run: Pass, like: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: c.detach().to(like.device, like.dtype).contiguous() for name, c in run.constants.items()}


def _layout(run: Pass, spikes: torch.Tensor, constants: Tensors) -> Layout:
    arrays = tuple(name for name, c in constants.items() if c.ndim)
    steady = tuple(port for port, x in run.inputs.items() if len(x) == 1 < len(spikes))
    return Layout(run.model, str(spikes.dtype).removeprefix("torch."), tuple(run.inputs), arrays, steady)


@cache
def _forward_kernel(layout: Layout, kept: tuple[str, ...]) -> Any:
    return load_triton(forward_triton(layout, kept), "forward")


@cache
def _backward_kernel(layout: Layout, learn: tuple[str, ...], traced: tuple[str, ...], surrogate: Surrogate) -> Any:
    return load_triton(backward_triton(layout, learn, traced, surrogate), "backward")
