"""What each operation of a neuron's equations means for torch tensors: the bits of the other backends."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch

from spikesim.equations import elementary_torch
from spikesim.neuron import NeuronModel

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def _spike(x: Any) -> Any:
    return (x > 0).to(x.dtype)


def _where(condition: Any, a: Any, b: Any) -> Any:
    return torch.where(condition if condition.dtype == torch.bool else condition > 0, a, b)


@lru_cache(maxsize=64)
def table(dtype: torch.dtype, device: torch.device) -> Mapping[str, Callable[..., Any]]:
    """Return the operations for tensors of one type on one device.

    Numbers become tensors on the device: CUDA divides by a plain number by multiplying with its reciprocal, which is
    not the same.
    """

    @lru_cache(maxsize=4096)
    def const(value: float) -> Any:
        return torch.tensor(value, dtype=dtype, device=device)

    return {
        "const": const,
        "neg": operator.neg,
        "abs": torch.abs,
        "floor": torch.floor,
        "sqrt": elementary_torch.sqrt,
        "exp": elementary_torch.exp,
        "log": elementary_torch.log,
        "tanh": elementary_torch.tanh,
        "spike": _spike,
        "detach": torch.detach,
        "not": torch.logical_not,
        "add": operator.add,
        "sub": operator.sub,
        "mul": operator.mul,
        "div": operator.truediv,
        # written as the printed source does it, so that a NaN takes the same way everywhere
        "min": lambda a, b: torch.where(a < b, a, b),
        "max": lambda a, b: torch.where(a > b, a, b),
        "gt": torch.gt,
        "ge": torch.ge,
        "lt": torch.lt,
        "le": torch.le,
        "eq": torch.eq,
        "and": torch.logical_and,
        "or": torch.logical_or,
        "where": _where,
    }


def step_constants(model: NeuronModel, params: Mapping[str, Any], dt: float, device: torch.device) -> dict[str, Any]:
    """Turn parameters into step constants as :meth:`NeuronModel.step_constants` does, differentiably.

    Parameters
    ----------
    model
        The neuron.
    params
        Parameters by name: numbers, arrays or tensors of any type; gradients flow into the tensors.
    dt
        Time step in seconds.
    device
        Where to compute.

    Returns
    -------
    dict
        What the step reads, by name: float64 tensors, of no dimension or ``[n]``.
    """
    leaves = {name: torch.as_tensor(value, dtype=torch.float64, device=device) for name, value in params.items()}
    leaves["dt"] = torch.tensor(dt, dtype=torch.float64, device=device)
    derived = model.constants.evaluate({"param": leaves}, table(torch.float64, device))
    everything = {**leaves, **derived}
    return {name: everything[name] for name in model.used_constants()}
