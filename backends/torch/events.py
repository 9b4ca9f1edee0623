"""Products with matrices that are mostly zero, such as spikes: only the rows that fired are added.

Forward and weight gradient go from event to event; the gradient for the input is dense and stays a matrix product.
Which is faster depends on the density, on the sizes and on the machine: see :mod:`spikesim.backends.torch.crossover`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.autograd.function import once_differentiable

from spikesim.backends.torch.crossover import crossover
from spikesim.backends.torch.memory import room
from spikesim.backends.torch.threads import over_columns

SMALL = 1 << 14  # values of ``x`` below which it is not worth looking
SAMPLE = 16  # rows of which every so manieth is looked at first
_EVENTS = "spikesim_events"


@dataclass
class Seen:
    """What a product met last: for reports.

    Parameters
    ----------
    density
        Share of non-zeros in the input.
    crossover
        Density below which going from event to event is faster, as measured for these sizes; not a number if the
        product was too small to look at.
    path
        ``"events"`` or ``"dense"``.
    """

    density: float = float("nan")
    crossover: float = float("nan")
    path: str = "dense"


def product(x: torch.Tensor, weight: torch.Tensor, spikes: bool = False, seen: Seen | None = None) -> torch.Tensor:
    """Return ``x @ weight``, differentiable.

    Parameters
    ----------
    x
        ``[m, n_pre]``, spikes or values.
    weight
        ``[n_pre, n_post]``.
    spikes
        Whether all values of ``x`` are known to be 0 or 1.
    seen
        Takes what was found.
    """
    seen = seen if seen is not None else Seen()
    events = _sparse(x, weight.shape[1], spikes, seen)
    seen.path = "dense" if events is None else "events"
    result: torch.Tensor = x @ weight if events is None else _Product.apply(x, weight, events)
    return result


def weight_gradient(x: torch.Tensor, gradient: torch.Tensor, spikes: bool = False) -> torch.Tensor:
    """Return ``x.T @ gradient``, the gradient of the weights of :func:`product`."""
    events = _sparse(x, gradient.shape[1], spikes, Seen())
    return x.t() @ gradient if events is None else events.weight_gradient(gradient.contiguous())


def known(x: torch.Tensor) -> Events | None:
    """Return the events of a tensor if they were found before; they travel with the tensor until it is changed."""
    found: tuple[int, Events] | None = getattr(x, _EVENTS, None)
    return None if found is None or found[0] != x._version else found[1]


def find(x: torch.Tensor, spikes: bool) -> Events:
    """Return the events of a matrix, and remember them."""
    events = known(x)
    if events is None:
        events = Events.of(x.detach().numpy(), spikes)
        remember(x, events)
    return events


def remember(x: torch.Tensor, events: Events | None) -> None:
    """Attach events to a tensor (not in inference mode, where changes leave no trace)."""
    if events is not None and not x.is_inference():
        setattr(x, _EVENTS, (x._version, events))


def _sparse(x: torch.Tensor, n_post: int, spikes: bool, seen: Seen) -> Events | None:
    """Return the events of a matrix if going through them is faster than a product, else None."""
    if x.device.type != "cpu" or x.numel() < SMALL or x.shape[1] < 32 or not x.is_contiguous():
        return None
    events = known(x)
    seen.crossover = crossover(x.shape[1], n_post, str(x.dtype).removeprefix("torch."))
    seen.density = _density(x.detach()) if events is None else len(events.ids) / x.numel()
    if seen.density > seen.crossover:
        return None
    return find(x, spikes)


def _density(x: torch.Tensor) -> float:
    looked = x[::SAMPLE]
    return int(torch.count_nonzero(looked)) / int(looked.numel())


@dataclass(frozen=True, eq=False)
class Events:
    """The non-zeros of a matrix.

    Parameters
    ----------
    shape
        Of the matrix.
    start, ids
        The columns of the non-zeros of row m: ``ids[start[m] : start[m + 1]]``; int64 and int32.
    value
        Their values, of length 0 if all are 1.
    """

    shape: tuple[int, int]
    start: NDArray[np.int64]
    ids: NDArray[np.int32]
    value: NDArray[Any]

    @classmethod
    def of(cls, x: NDArray[Any], spikes: bool) -> Events:
        """Find the non-zeros of a contiguous matrix; ``spikes``: all values are known to be 0 or 1."""
        from spikesim.backends.torch import event_kernels as kernels

        (rows, columns), flat = x.shape, x.reshape(-1)
        words = np.empty((rows, -(-columns // 64)), np.uint64)
        start = np.zeros(rows + 1, np.int64)
        over_columns(rows, columns, lambda a, b: kernels.mark(a, b, flat, columns, words, start[1:]))
        np.cumsum(start, out=start)
        ids = np.empty(start[-1], np.int32)
        over_columns(rows, columns // 4, lambda a, b: kernels.list_rows(a, b, words, start, ids))
        value = np.empty(0 if spikes else len(ids), x.dtype)
        ones = np.ones(1, np.bool_)
        if not spikes:
            copy = kernels.list_values
            over_columns(rows, columns // 4, lambda a, b: copy(a, b, flat, columns, start, ids, value, ones))
        return cls((rows, columns), start, ids, value[:0] if ones[0] else value)

    @classmethod
    def joined(cls, parts: Sequence[Events]) -> Events:
        """Return the events of matrices one below the other."""
        rows, columns = sum(p.shape[0] for p in parts), parts[0].shape[1]
        counts = [np.diff(p.start) for p in parts]
        start = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        ids = np.concatenate([p.ids for p in parts])
        if not any(len(p.value) for p in parts):
            return cls((rows, columns), start, ids, parts[0].value)
        ones = (np.ones(len(p.ids), p.value.dtype) for p in parts)
        return cls(
            (rows, columns), start, ids, np.concatenate([p.value if len(p.value) else next(ones) for p in parts])
        )

    def first(self, rows: int) -> Events:
        """Return the events of the first rows."""
        if rows == self.shape[0]:
            return self
        end = self.start[rows]
        return Events((rows, self.shape[1]), self.start[: rows + 1], self.ids[:end], self.value[:end])

    @cached_property
    def by_column(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        """Return the same by column, in blocks of rows: ``begin``, ``order`` and values in that order."""
        from spikesim.backends.torch import event_kernels as kernels

        rows, columns = self.shape
        begin = np.empty((-(-rows // kernels.ROWS), columns + 1), np.int64)
        order, moved = np.empty_like(self.ids), np.empty_like(self.value)
        over_columns(
            len(begin),
            len(self.ids) // max(len(begin), 1),
            lambda a, b: kernels.list_columns(a, b, self.start, self.ids, self.value, begin, order, moved),
            align=1,
        )
        return begin, order, moved

    def product(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the matrix times ``weight`` ``[columns, n]``."""
        from spikesim.backends.torch import event_kernels as kernels

        n = weight.shape[1]
        out = room((self.shape[0], n), weight)
        w, y = weight.detach().contiguous().numpy().reshape(-1), out.numpy().reshape(-1)
        over_columns(n, self.shape[0], lambda a, b: kernels.gather(a, b, self.start, self.ids, self.value, w, n, y))
        return out

    def weight_gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the transposed matrix times ``gradient`` ``[rows, n]`` (contiguous)."""
        from spikesim.backends.torch import event_kernels as kernels

        n = gradient.shape[1]
        out = gradient.new_zeros((self.shape[1], n))
        g, y = gradient.numpy().reshape(-1), out.numpy().reshape(-1)
        begin, order, value = self.by_column
        over_columns(n, self.shape[0], lambda a, b: kernels.scatter(a, b, begin, order, value, g, n, y))
        return out


class _Product(torch.autograd.Function):  # type: ignore[misc]
    """``x @ weight`` from the events of ``x``."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, events: Events) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.events, ctx.mixed = events, torch.is_autocast_enabled("cpu")
        return events.product(weight)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        (weight,) = ctx.saved_tensors
        grad = grad.contiguous()
        d_x = None
        if ctx.needs_input_grad[0]:  # the dense product is what mixed precision may round, as in the forward pass
            with torch.autocast("cpu", torch.bfloat16, enabled=ctx.mixed):
                d_x = (grad @ weight.t()).to(grad.dtype)
        d_w = ctx.events.weight_gradient(grad) if ctx.needs_input_grad[1] else None
        return d_x, d_w, None
