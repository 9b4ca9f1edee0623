"""Projections as linear maps of tensors, differentiable: dense, convolution, pooling, chains of them, sparse rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn
from torch.nn import functional

from spikesim.backends.torch.events import Seen, product
from spikesim.backends.torch.reroute import Back, rerouted
from spikesim.connect import Chain, Connection, Conv2d, Dense, Pool2d, Sparse
from spikesim.graph import Edge

DENSE_LIMIT = 1 << 24  # sparse rows up to this many possible pairs are multiplied as a dense matrix


class LinearMap(nn.Module):  # type: ignore[misc]
    """Base of the maps ``[m, n_pre] -> [m, n_post]``.

    Parameters
    ----------
    learn
        Whether the weights are parameters, or stay as they are.
    """

    spikes = False  # whether everything that is projected is known to be 0 or 1
    back: Back | None = None  # how errors travel to the input, if not through the weights themselves

    def __init__(self, learn: bool) -> None:
        super().__init__()
        self.learn = learn
        self.seen = Seen()  # what its last product met

    def __call__(self, x: torch.Tensor, *group: int) -> torch.Tensor:
        """Project; the gradient for ``x`` takes the way of ``back`` if there is one."""
        back = self.back
        if back is None:
            result: torch.Tensor = super().__call__(x, *group)
            return result
        return rerouted(x, super().__call__(x.detach(), *group), lambda gradient: back(self, gradient, *group))

    def hold(self, name: str, values: Any, dtype: torch.dtype, device: torch.device) -> None:
        """Keep weights as a parameter or as a buffer."""
        tensor = torch.tensor(np.asarray(values), dtype=dtype, device=device)
        if self.learn:
            setattr(self, name, nn.Parameter(tensor))
        else:
            self.register_buffer(name, tensor)

    def rule(self) -> Connection | None:
        """Return the connection rule with the present weights, or None where the weights belong to the synapses."""
        return None


class DenseMap(LinearMap):
    """All-to-all weights, held by source (``[n_pre, n_post]``) so that a spike takes one row."""

    def __init__(self, weights: Any, learn: bool, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(learn)
        self.hold("weight", np.ascontiguousarray(np.asarray(weights).T), dtype, device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply."""
        return product(x, self.weight, self.spikes, self.seen)

    def rule(self) -> Connection:
        """Return the rule, weights ``[n_post, n_pre]``."""
        return Dense(_numpy(self.weight).T.copy())


class Conv2dMap(LinearMap):
    """A convolution (cross-correlation)."""

    def __init__(
        self, rule: Conv2d, shape: tuple[int, ...], learn: bool, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(learn)
        self.shape, self.stride, self.padding = shape, rule.stride, rule.padding
        self.hold("weight", rule.weights, dtype, device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve."""
        image = x.reshape(-1, *self.shape)
        # cuDNN may transform in ways that round; the plain product of patches keeps sums exact
        with torch.backends.cudnn.flags(enabled=image.dtype != torch.float64):
            return functional.conv2d(image, self.weight, stride=self.stride, padding=self.padding).flatten(1)

    def rule(self) -> Connection:
        """Return the rule."""
        return Conv2d(_numpy(self.weight), stride=self.stride, padding=self.padding)


class PoolMap(LinearMap):
    """Sum over windows, times one factor."""

    def __init__(self, rule: Pool2d, shape: tuple[int, ...], factor: float) -> None:
        super().__init__(False)
        self.pool, self.shape, self.factor = rule, shape, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool."""
        image, size, stride = x.reshape(-1, *self.shape), self.pool.size, self.pool.stride
        divisor = 1.0 / self.factor
        if divisor.is_integer() and divisor == 2.0 ** np.log2(divisor).round():  # then dividing is multiplying, exactly
            return functional.avg_pool2d(image, size, stride, divisor_override=int(divisor)).flatten(1)
        return functional.avg_pool2d(image, size, stride, divisor_override=1).flatten(1) * self.factor

    def rule(self) -> Connection:
        """Return the rule."""
        return self.pool


class ChainMap(LinearMap):
    """Maps one after the other."""

    def __init__(self, parts: list[LinearMap]) -> None:
        super().__init__(any(p.learn for p in parts))
        self.parts = nn.ModuleList(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply all parts."""
        for part in self.parts:
            x = part(x)
        return x

    def rule(self) -> Connection:
        """Return the chain of the parts' rules."""
        return Chain(tuple(part.rule() for part in self.parts))


class DiagonalMap(LinearMap):
    """One source to one target, a weight each."""

    def __init__(self, edge: Edge, learn: bool, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(learn)
        self.plain = not learn and edge.constant_weight == 1.0
        self.hold("values", np.broadcast_to(edge.weights, (edge.synapses,)), dtype, device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply; a weight of 1 hands over what comes in."""
        return x if self.plain else x * self.values


class SparseMap(LinearMap):
    """Synapses one by one, with one delay or one each.

    Parameters
    ----------
    edge
        The projection.
    """

    def __init__(self, edge: Edge, learn: bool, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(learn)
        self.edge, self.shape = edge, (edge.n_pre, edge.n_post)
        self.hold("values", np.broadcast_to(edge.weights, (edge.synapses,)), dtype, device)
        rows = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
        self.register_buffer("rows", torch.as_tensor(rows, device=device))
        self.register_buffer("columns", torch.as_tensor(edge.indices.astype(np.int64), device=device))
        delays = np.broadcast_to(edge.delays, (edge.synapses,))
        self.groups = [
            (int(d), None if np.ndim(edge.delays) == 0 else torch.as_tensor(np.nonzero(delays == d)[0], device=device))
            for d in np.unique(delays)
        ]
        self.dense = self.shape[0] * self.shape[1] <= DENSE_LIMIT
        self._held: dict[int, tuple[tuple[int, int], torch.Tensor]] = {}

    def forward(self, x: torch.Tensor, group: int = 0) -> torch.Tensor:
        """Multiply by the synapses of one delay."""
        if self.dense:
            return product(x, self.matrix(group), self.spikes, self.seen)
        values, rows, columns = self._synapses(group)
        transposed = torch.sparse_coo_tensor(torch.stack([columns, rows]), values, self.shape[::-1])
        return torch.sparse.mm(transposed, x.t()).t()

    def _synapses(self, group: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        chosen = self.groups[group][1]
        found = (self.values, self.rows, self.columns)
        return found if chosen is None else (found[0][chosen], found[1][chosen], found[2][chosen])

    def matrix(self, group: int) -> torch.Tensor:
        """Return the synapses of one delay as ``[n_pre, n_post]``, made once until the weights change.

        Where gradients are followed it is made anew, as part of what leads to the weights.
        """
        held = next(self.parameters(), self.values)  # what a parametrisation, such as rounding, makes values from
        state = (held._version, held.data_ptr())
        known = self._held.get(group)
        if known is not None and known[0] == state and not torch.is_grad_enabled():
            return known[1]
        values, rows, columns = self._synapses(group)
        made = values.new_zeros(self.shape).index_put((rows, columns), values, accumulate=True)
        if not torch.is_grad_enabled():
            self._held[group] = (state, made)
        return made

    def rule(self) -> Connection | None:
        """Return a sparse matrix if the weights belonged to the rule, else None."""
        if not self.edge.rule.has_weights:
            return None
        place = (self.edge.indices, np.repeat(np.arange(self.edge.n_pre), np.diff(self.edge.indptr)))
        return Sparse(sparse.coo_array((_numpy(self.values), place), shape=self.shape[::-1]))


def _numpy(tensor: torch.Tensor) -> Any:
    return tensor.detach().cpu().double().numpy()


def linear_map(
    rule: Connection, shape: tuple[int, ...], learn: bool, dtype: torch.dtype, device: torch.device
) -> LinearMap | None:
    """Return the map of a connection rule that has a layered form, else None.

    Parameters
    ----------
    rule
        The rule.
    shape
        Of the source.
    learn, dtype, device
        How to hold its weights.
    """
    match rule:
        case Dense():
            return DenseMap(rule.weights, learn, dtype, device)
        case Conv2d():
            return Conv2dMap(rule, shape, learn, dtype, device)
        case Pool2d():
            return PoolMap(rule, shape, 1.0 / rule.size**2 if rule.kind == "average" else 1.0)
        case Chain():
            parts = []
            for part in rule.rules:
                parts.append(linear_map(part, shape, learn, dtype, device))
                shape = part.output_shape(shape) if hasattr(part, "output_shape") else ()
            return None if None in parts else ChainMap([p for p in parts if p is not None])
    return None
