"""Products with matrices that are mostly zero, such as spikes: only the rows that fired are added.

Forward and weight gradient go from event to event; the gradient for the input is dense and stays a matrix product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from spikesim.backends.torch.memory import room
from spikesim.backends.torch.threads import over_columns

DENSITY = 0.12  # of non-zeros, above which a dense product is faster (measured: 512 columns, one and two cores)
SMALL = 1 << 14  # values of ``x`` below which it is not worth looking
SAMPLE = 16  # rows of which every so manieth is looked at to estimate the density


def product(x: torch.Tensor, weight: torch.Tensor, spikes: bool = False) -> torch.Tensor:
    """Return ``x @ weight``, differentiable.

    Parameters
    ----------
    x
        ``[m, n_pre]``, spikes or values.
    weight
        ``[n_pre, n_post]``.
    spikes
        Whether all values of ``x`` are known to be 0 or 1.
    """
    events = _sparse(x, spikes)
    result: torch.Tensor = x @ weight if events is None else _Product.apply(x, weight, events)
    return result


def weight_gradient(x: torch.Tensor, gradient: torch.Tensor, spikes: bool = False) -> torch.Tensor:
    """Return ``x.T @ gradient``, the gradient of the weights of :func:`product`."""
    events = _sparse(x, spikes)
    if events is None:
        return x.t() @ gradient
    result = gradient.new_zeros((x.shape[1], gradient.shape[1]))
    _scatter(events, gradient.contiguous(), result)
    return result


def _sparse(x: torch.Tensor, spikes: bool) -> Events | None:
    """Return the events of a matrix if going through them is faster than a product, else None."""
    if x.device.type != "cpu" or x.numel() < SMALL or x.shape[1] < 32 or not x.is_contiguous():
        return None
    looked = x.detach()[::SAMPLE]
    if int(torch.count_nonzero(looked)) > DENSITY * looked.numel():
        return None
    return _find(x, spikes)


class Events:
    """The non-zeros of a matrix, row by row.

    Parameters
    ----------
    index
        int32 ``[m, room]``: columns of the non-zeros of each row.
    count
        int32 ``[m]``: how many there are.
    value
        Their values like ``index``, or None if all are 1.
    """

    def __init__(self, index: Any, count: Any, value: Any) -> None:
        self.index, self.count, self.value = index, count, value


def _find(x: torch.Tensor, spikes: bool) -> Events | None:
    """Collect the non-zeros; None if some row has too many."""
    from spikesim.backends.torch import event_kernels as kernels

    array = x.detach().numpy()
    rows, columns = array.shape
    index = np.empty((rows, max(16, columns // 4)), np.int32)
    count = np.empty(rows, np.int32)
    words = array.view(np.int64) if columns % 2 == 0 else array
    over_columns(rows, columns, lambda a, b: kernels.find(a, b, array, words, index, count))
    if count.max(initial=0) > index.shape[1]:
        return None
    if spikes:
        return Events(index, count, None)
    value = np.empty(index.shape, array.dtype)
    ones = np.ones(1, np.bool_)
    over_columns(rows, columns // 4, lambda a, b: kernels.values(a, b, array, index, count, value, ones))
    return Events(index, count, None if ones[0] else value)


class _Product(torch.autograd.Function):  # type: ignore[misc]
    """``x @ weight`` from the events of ``x``."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, events: Events) -> torch.Tensor:
        from spikesim.backends.torch import event_kernels as kernels

        out = room((x.shape[0], weight.shape[1]), x)
        ctx.save_for_backward(weight)
        ctx.events = events
        w, y = weight.detach().contiguous().numpy(), out.numpy()
        gather = kernels.gather if events.value is None else kernels.gather_values
        value = events.index if events.value is None else events.value
        over_columns(w.shape[1], len(y), lambda a, b: gather(a, b, events.index, events.count, value, w, y))
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        (weight,) = ctx.saved_tensors
        events, grad = ctx.events, grad.contiguous()
        d_x = grad @ weight.t() if ctx.needs_input_grad[0] else None
        d_w = None
        if ctx.needs_input_grad[1]:
            d_w = torch.zeros_like(weight)
            _scatter(events, grad, d_w)
        return d_x, d_w, None


def _scatter(events: Events, grad: torch.Tensor, out: torch.Tensor) -> None:
    """Add each row of ``grad`` to the rows of ``out`` that its events name."""
    from spikesim.backends.torch import event_kernels as kernels

    g, y = grad.numpy(), out.numpy()
    scatter = kernels.scatter if events.value is None else kernels.scatter_values
    value = events.index if events.value is None else events.value
    over_columns(g.shape[1], len(g), lambda a, b: scatter(a, b, events.index, events.count, value, g, y))
