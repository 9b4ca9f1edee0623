"""Connection rules as torch layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.connect import Chain, Conv2d, Dense, Pool2d
from spikesim.connect.base import Shape
from spikesim.graph import Edge


class Weights:
    """Makes torch layers of one precision.

    Parameters
    ----------
    torch
        The package.
    dtype
        ``"float32"`` or ``"float64"``.
    """

    def __init__(self, torch: Any, dtype: str) -> None:
        self.torch, self.real = torch, getattr(torch, dtype)

    def tensor(self, values: Any) -> Any:
        """Return an array as a tensor of the precision asked for."""
        return self.torch.as_tensor(np.array(values, np.float64)).to(self.real)

    def layers(self, edge: Edge, rule: Any, before: Shape, after: Shape, bias: Any) -> list[Any]:
        """Return the layers of a projection.

        Parameters
        ----------
        edge
            Lowered; its synapses become a matrix where no layer is like the rule.
        rule
            Of the projection.
        before, after
            Shapes of source and target.
        bias
            What the layers are to add, ``[n]``.
        """
        nn, here = self.torch.nn, before
        stages = list(rule.rules) if isinstance(rule, Chain) else [rule]
        if not all(isinstance(s, (Dense, Conv2d, Pool2d)) for s in stages):
            stages = [Dense(_matrix(edge))]
        parts: list[Any] = []
        for stage in stages:
            if isinstance(stage, Dense):
                parts += [nn.Flatten()] if len(here) > 1 else []
                parts.append(self.linear(stage.weights))
                here = (stage.weights.shape[0],)
            else:
                parts.append(self._convolution(stage) if isinstance(stage, Conv2d) else self._pool(stage))
                here = stage.output_shape(here)
        if here != after:
            parts.append(nn.Unflatten(1, after) if len(here) == 1 else nn.Flatten())
        return self._biased(parts, bias, after)

    def _biased(self, parts: list[Any], bias: Any, shape: Shape) -> list[Any]:
        from spikesim.convert.torch_stepped import Offset

        if not np.any(bias):
            return parts
        nn, last = self.torch.nn, parts[-1]
        if isinstance(last, nn.Linear):
            last.bias = nn.Parameter(self.tensor(bias))
        elif isinstance(last, nn.Conv2d) and _by_channel(bias, shape[0]) is not None:
            last.bias = nn.Parameter(self.tensor(_by_channel(bias, shape[0])))
        else:
            parts.append(Offset(self.tensor(bias).reshape(shape)))
        return parts

    def linear(self, weights: Any) -> Any:
        """Return a full matrix ``[targets, sources]`` as a layer."""
        layer = self.torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False, dtype=self.real)
        layer.weight = self.torch.nn.Parameter(self.tensor(weights))
        return layer

    def _convolution(self, rule: Conv2d) -> Any:
        out, into, *kernel = rule.weights.shape
        layer = self.torch.nn.Conv2d(
            into, out, tuple(kernel), stride=rule.stride, padding=rule.padding, bias=False, dtype=self.real
        )
        layer.weight = self.torch.nn.Parameter(self.tensor(rule.weights))
        return layer

    def _pool(self, rule: Pool2d) -> Any:
        if rule.kind == "average":
            return self.torch.nn.AvgPool2d(rule.size, rule.stride)
        return self.torch.nn.LPPool2d(1, rule.size, rule.stride)


def _matrix(edge: Edge) -> Any:
    matrix = np.zeros((edge.n_post, edge.n_pre))
    source = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    np.add.at(matrix, (edge.indices, source), np.broadcast_to(edge.weights, (edge.synapses,)))
    return matrix


def _by_channel(bias: Any, channels: int) -> Any:
    rows = np.asarray(bias).reshape(channels, -1)
    return rows[:, 0] if (rows == rows[:, :1]).all() else None
