"""``exp``, ``log``, ``tanh`` and ``sigmoid`` for torch tensors: the bits of :mod:`spikesim.equations.elementary`.

``sqrt`` is here too: torch's own may come from a vector library that is off by one unit in the last place on the CPU.
float32 tensors are computed in float32, float64 tensors in float64. They are differentiable: the derivative is the
exact one, built from the value. ``torch.compile`` may contract multiplications and additions; call these eagerly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from spikesim.equations import elementary


def _operations(real: torch.dtype, integer: torch.dtype) -> dict[str, Any]:
    return {"select": torch.where, "to_bits": lambda x: x.view(integer), "from_bits": lambda i: i.view(real)}


_TABLE = {
    torch.float64: elementary.bind(64, _operations(torch.float64, torch.int64), float),
    torch.float32: elementary.bind(
        32, _operations(torch.float32, torch.int32), lambda value: torch.tensor(value, dtype=torch.float32).item()
    ),
}


def _sqrt(x: torch.Tensor) -> torch.Tensor:
    if x.device.type != "cpu":
        return torch.sqrt(x)  # CUDA's is correctly rounded
    with np.errstate(invalid="ignore"):  # a NaN is a result here, not an accident
        return torch.from_numpy(np.asarray(np.sqrt(x.numpy())))


for _functions in _TABLE.values():
    _functions["sqrt"] = _sqrt


_SLOPE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "exp": lambda y: y,
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
    "sqrt": lambda y: 0.5 / y,
}


class _Elementary(torch.autograd.Function):  # type: ignore[misc]
    """One elementary function and its derivative."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, name: str) -> torch.Tensor:
        y: torch.Tensor = _TABLE[x.dtype][name](x.detach())
        ctx.save_for_backward(x if name == "log" else y)
        ctx.name = name
        return y

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (saved,) = ctx.saved_tensors
        if ctx.name == "log":
            return grad / saved, None
        return grad * _SLOPE[ctx.name](saved), None


def _apply(name: str, x: Any) -> Any:
    tensor = torch.as_tensor(x)
    if tensor.dtype not in _TABLE:
        tensor = tensor.to(torch.float64 if not tensor.dtype.is_floating_point else torch.float32)
    return _Elementary.apply(tensor, name)


def exp(x: Any) -> torch.Tensor:
    """Exponential of a tensor; see :func:`spikesim.equations.elementary.exp`."""
    return _apply("exp", x)


def log(x: Any) -> torch.Tensor:
    """Natural logarithm of a tensor; see :func:`spikesim.equations.elementary.log`."""
    return _apply("log", x)


def tanh(x: Any) -> torch.Tensor:
    """Hyperbolic tangent of a tensor; see :func:`spikesim.equations.elementary.tanh`."""
    return _apply("tanh", x)


def sigmoid(x: Any) -> torch.Tensor:
    """Logistic function of a tensor; see :func:`spikesim.equations.elementary.sigmoid`."""
    return _apply("sigmoid", x)


def sqrt(x: Any) -> torch.Tensor:
    """Square root of a tensor, correctly rounded."""
    return _apply("sqrt", x)
