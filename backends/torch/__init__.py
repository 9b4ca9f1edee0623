"""Batched, differentiable simulation on CPU and CUDA."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spikesim.devices import Accelerator
from spikesim.engine import Availability, Options, Program
from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.learning import grid_problems
from spikesim.neuron import Neuron, NeuronModel

if TYPE_CHECKING:
    from spikesim.backends.torch.fast import FastModule
    from spikesim.backends.torch.layer import OverTime, SpikingLayer
    from spikesim.backends.torch.module import SpikingModule
    from spikesim.train.readout import Readout
    from spikesim.train.rules import Learning, Rule


class TorchBackend:
    """Samples side by side in tensors; the same spikes as ``numba`` in float64, and gradients."""

    name = "torch"

    def availability(self) -> Availability:
        """Tell whether torch is installed."""
        if importlib.util.find_spec("torch") is None:
            return Availability(False, "torch", "pip install 'spikesim[torch]'")
        return Availability(True)

    def capabilities(self) -> Mapping[str, str]:
        """Say what the engine can do."""
        return {
            "neurons": "any model, also the user's own",
            "synapses": "layered (dense, convolution, pooling) and event-driven; any delay",
            "precision": "float64 or float32 state, exact sums",
            "devices": "CPU and whatever torch has (device='cuda', ...)",
            "gradients": "derived from the equations; any surrogate",
        }

    def check(self, graph: Graph) -> list[str]:
        """Return what the engine cannot do: nothing, for a graph that was lowered with its grid."""
        return grid_problems(graph)

    def compile(self, graph: Graph, options: Options) -> Program:
        """Put a network on a device."""
        import torch

        from spikesim.backends.torch.program import TorchProgram
        from spikesim.backends.torch.triton_passes import triton_serves

        _check_device(options.device)
        if triton_serves(torch.device(options.device)):
            from spikesim.backends.torch.triton_program import TritonProgram

            return TritonProgram(graph, options)
        return TorchProgram(graph, options)

    def accelerator(self) -> Accelerator | str:
        """Return the GPU that torch would use first, or why there is none."""
        import torch

        if torch.version.cuda is None:
            return f"no CUDA device: torch {torch.__version__} is built without CUDA"
        if not torch.cuda.is_available():
            return "no CUDA device: torch sees none on this machine"
        return Accelerator(torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0])

    def module(self, graph: Graph, **settings: Any) -> SpikingModule:
        """Return the network as a ``torch.nn.Module``; see :class:`spikesim.backends.torch.module.SpikingModule`."""
        from spikesim.backends.torch.module import SpikingModule

        return SpikingModule(graph, **settings)

    def layer(self, neuron: Neuron | NeuronModel, shape: Any = None, **settings: Any) -> SpikingLayer:
        """Return neurons as a ``torch.nn.Module``; see :class:`spikesim.backends.torch.layer.SpikingLayer`."""
        from spikesim.backends.torch.layer import SpikingLayer

        return SpikingLayer(neuron, shape, **settings)

    def fast(self, graph: Graph, rule: Any, **settings: Any) -> FastModule:
        """Return the network with fast weights as a module; see :class:`spikesim.backends.torch.fast.FastModule`."""
        from spikesim.backends.torch.fast import FastModule

        return FastModule(graph, rule, **settings)

    def over_time(self, module: Any) -> OverTime:
        """Return a layer without time as one over all steps; see :class:`spikesim.backends.torch.layer.OverTime`."""
        from spikesim.backends.torch.layer import OverTime

        return OverTime(module)

    def product(self, x: Any, weight: Any) -> Any:
        """Return ``x @ weight``, from event to event where ``x`` is sparse enough for that to be faster.

        See :func:`spikesim.backends.torch.events.product`.
        """
        from spikesim.backends.torch.events import product

        return product(x, weight)

    def outer(self, x: Any, y: Any) -> Any:
        """Return ``x.T @ y``, likewise; see :func:`spikesim.backends.torch.events.weight_gradient`."""
        from spikesim.backends.torch.events import weight_gradient

        return weight_gradient(x, y)

    def rule(self, module: SpikingModule, learning: Learning, reader: Readout) -> Rule:
        """Return what learns from a batch; see :func:`spikesim.backends.torch.rules.make_rule`."""
        from spikesim.backends.torch.rules import make_rule

        return make_rule(module, learning, reader)


def _check_device(device: str) -> None:
    """Refuse a device that this torch does not have, before anything is put on it."""
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0]
        raise InvalidValueError(f"device {device!r} cannot be used here: {reason}; use device='cpu'") from None


__all__ = ["TorchBackend"]
