"""Errors that travel back another way than the signals came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

Back = Callable[..., torch.Tensor]
"""``back(linear, gradient, group=0)``: from the gradient of what a map returned to that of its input."""


def rerouted(x: torch.Tensor, y: torch.Tensor, back: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return ``y``; in the backward pass ``x`` gets ``back(gradient of y)``.

    Parameters
    ----------
    x
        What ``y`` was computed from, cut off from it.
    y
        The result; its own gradient goes on to what else it was computed from.
    back
        From the gradient of ``y`` to that of ``x``.
    """
    result: torch.Tensor = _Reroute.apply(x, y, back)
    return result


class _Reroute(torch.autograd.Function):  # type: ignore[misc]
    """Passes ``y`` on."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor, back: Callable[[torch.Tensor], torch.Tensor]) -> Any:
        ctx.back = back
        return y.view_as(y)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor, None]:
        return ctx.back(gradient) if ctx.needs_input_grad[0] else None, gradient, None
