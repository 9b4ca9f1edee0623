"""The chip's rounding of weights in the forward pass of training, with gradients that pass straight through.

Bengio, Léonard and Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
Computation", arXiv:1308.3432, 2013 (the estimator); Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018 (float weights that are rounded in every pass).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from spikesim.errors import InvalidValueError
from spikesim.quantise.levels import Levels
from spikesim.quantise.plan import Plan, ProjectionPlan


class _Straight(torch.autograd.Function):  # type: ignore[misc]
    """Rounding and clipping; the gradient passes where nothing is clipped, or where it leads back into the range."""

    @staticmethod
    def forward(ctx: Any, scaled: torch.Tensor, levels: Levels) -> torch.Tensor:
        low, high = levels.low, levels.high
        ctx.save_for_backward(scaled > high, scaled < low)
        return (levels.step * torch.round(scaled / levels.step)).clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        above, below = ctx.saved_tensors
        stopped = (above & (gradient < 0)) | (below & (gradient > 0))
        return gradient.masked_fill(stopped, 0.0), None


class Rounded(nn.Module):  # type: ignore[misc]
    """Float weights of a projection as the integers that the chip holds.

    Parameters
    ----------
    plan
        How the projection becomes integers.
    factor
        Integer units per unit of weight, in the layout of the tensor.
    """

    def __init__(self, plan: ProjectionPlan, factor: torch.Tensor) -> None:
        super().__init__()
        self.levels = plan.levels
        self.register_buffer("factor", factor, persistent=False)

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """Return whole numbers."""
        return _Straight.apply(weights * self.factor, self.levels)


class ChipModule(nn.Module):  # type: ignore[misc]
    """An integer network whose float weights can be trained; samples over time in, spikes of the last population out.

    Parameters
    ----------
    module
        A :class:`spikesim.backends.torch.module.SpikingModule` of the integer network, float64.
    plan
        Where the integers come from.
    """

    def __init__(self, module: Any, plan: Plan) -> None:
        super().__init__()
        self.inner, self.plan = module, plan
        for edge, part in zip(module.graph.edges, module.maps, strict=True):
            if part.learn:
                _round(part, plan.projections[edge.name])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the integer network.

        Raises
        ------
        InvalidValueError
            If the samples are not spikes.
        """
        if not ((x == 0) | (x == 1)).all():
            raise InvalidValueError(
                "the chip takes spikes, 0 or 1; samples hold other values. Encode them, for example encode='regular'"
            )
        spikes: torch.Tensor = self.inner(x)[self.plan.order[-1]]
        return spikes

    def weights(self) -> Mapping[str, Any]:
        """Return the float weights of the learned projections, in the layout of :class:`ProjectionPlan`."""
        found = {}
        for edge, part in zip(self.inner.graph.edges, self.inner.maps, strict=True):
            if part.learn:
                array = part.master.detach().cpu().double().numpy()
                dense = self.plan.projections[edge.name].weights.ndim == 2
                found[edge.name] = np.ascontiguousarray(array.T) if dense else array.copy()
        return found


def _round(part: Any, plan: ProjectionPlan) -> None:
    """Put the float weights (``part.master``) behind a map's integers, which follow from them from now on.

    As ``torch.nn.utils.parametrize`` does, which cannot take the name ``values`` that some maps have for their weights.
    """
    name = "weight" if hasattr(part, "weight") else "values"
    held = getattr(part, name)
    factor, weights = np.asarray(plan.spread(), np.float64), np.asarray(plan.weights, np.float64)
    if weights.ndim == 2:  # a dense map holds its weights by source
        factor, weights = factor.T, weights.T

    def tensor(array: Any) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(array), dtype=held.dtype, device=held.device)

    delattr(part, name)
    part.master = nn.Parameter(tensor(weights))
    part.rounding = Rounded(plan, tensor(factor))
    own = type(part)
    part.__class__ = type(own.__name__, (own,), {name: property(lambda self: self.rounding(self.master))})
