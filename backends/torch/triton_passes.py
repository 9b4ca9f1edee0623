"""Scans on a GPU: the kernels that :mod:`spikesim.equations.triton_source` prints, put to work on tensors."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from spikesim.equations.scan_source import Layout, Surrogate
from spikesim.equations.triton_source import backward_triton, forward_triton, load_triton

if TYPE_CHECKING:
    from spikesim.backends.torch.passes import Pass

Tensors = Mapping[str, torch.Tensor]

# Not tuned on a GPU yet:
BLOCK = 128  # columns a program takes; with four warps one for each thread
STAGES = 1  # steps whose loads are under way at once; above 1 they pass through shared memory


@cache
def triton_serves(device: torch.device) -> bool:
    """Tell whether tensors on a device are scanned by Triton: CUDA, or the CPU under ``TRITON_INTERPRET=1``."""
    if importlib.util.find_spec("triton") is None:
        return False
    return device.type == "cuda" or (device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1")


def triton_forward(run: Pass, spikes: torch.Tensor) -> None:
    """Fill the spikes and traces of a pass; see :meth:`spikesim.backends.torch.passes.Pass.forward`."""
    constants = _constants(run)
    kernel = _forward_kernel(_layout(run, spikes, constants))
    _launch(kernel, spikes, [spikes, *run.inputs.values(), *run.traces.values(), *constants.values()])


def triton_backward(
    run: Pass, d_spikes: torch.Tensor, cotangents: Tensors, d_inputs: Tensors, carry: Tensors, d_learn: Tensors
) -> None:
    """Walk the steps of a pass backwards; see :meth:`spikesim.backends.torch.passes.Pass.backward`."""
    constants = _constants(run)
    layout = _layout(run, d_spikes, constants)
    kernel = _backward_kernel(layout, tuple(d_learn), tuple(cotangents), run.surrogate)
    tensors = [d_spikes, *run.inputs.values(), *run.traces.values(), *cotangents.values(), *carry.values()]
    _launch(kernel, d_spikes, [*tensors, *d_inputs.values(), *d_learn.values(), *constants.values()])


def _launch(kernel: Any, like: torch.Tensor, tensors: list[torch.Tensor]) -> None:
    width = like[0].numel()
    if not like.numel():
        return
    # products and sums stay apart, or a spike could differ from the other backends
    sizes = (len(like), width, like.shape[2])
    arguments = [x.detach() for x in tensors]
    with torch.cuda.device_of(like):  # Triton launches on the current device
        kernel[(-(-width // BLOCK),)](*arguments, *sizes, STAGES=STAGES, BLOCK=BLOCK, enable_fp_fusion=False)


def _constants(run: Pass) -> dict[str, torch.Tensor]:
    return {name: c.detach().contiguous() for name, c in run.constants.items()}


def _layout(run: Pass, like: torch.Tensor, constants: Tensors) -> Layout:
    arrays = tuple(name for name, c in constants.items() if c.ndim)
    return Layout(run.model, str(like.dtype).removeprefix("torch."), tuple(run.inputs), arrays)


@cache
def _forward_kernel(layout: Layout) -> Any:
    return load_triton(forward_triton(layout), "forward")


@cache
def _backward_kernel(layout: Layout, learn: tuple[str, ...], traced: tuple[str, ...], surrogate: Surrogate) -> Any:
    return load_triton(backward_triton(layout, learn, traced, surrogate), "backward")
