"""Error propagation without the transposed weights: feedback alignment and sign-symmetric feedback.

- ``"feedback"``: a fixed random matrix per projection, drawn Kaiming-uniform (Lillicrap et al., "Random synaptic
  feedback weights support error backpropagation for deep learning", Nat. Commun. 7:13276, 2016).
- ``"sign"``: the signs of the present weights times one size (Xiao et al., "Biologically-Plausible Learning Algorithms
  Can Scale to Large Datasets", ICLR 2019): ``1 / sqrt(inputs)`` of a dense layer,
  ``sqrt(2 / (kernel height * kernel width * output channels))`` of a convolution.

Only the gradient for a projection's input changes; that of its weights keeps its form ``error^T x``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from spikesim.backends.torch.linear import DENSE_LIMIT, Conv2dMap, DenseMap, DiagonalMap, LinearMap, SparseMap
from spikesim.backends.torch.rules.parts import Part, weight_of
from spikesim.distributions import KaimingUniform
from spikesim.rng import Stream


@dataclass(frozen=True, eq=False)
class Feedback:
    """How errors pass a map backwards.

    Parameters
    ----------
    fixed
        Weights in the shape of the map's own, or None for the signs of the present ones.
    size
        What signs are multiplied with.
    """

    fixed: torch.Tensor | None
    size: float

    def weight(self, linear: LinearMap) -> torch.Tensor:
        """Return the weights that errors pass."""
        return torch.sign(weight_of(linear).detach()) * self.size if self.fixed is None else self.fixed

    def __call__(self, linear: LinearMap, gradient: torch.Tensor, group: int = 0) -> torch.Tensor:
        """Return the gradient for the map's input ``[m, n_pre]`` from that of its output ``[m, n_post]``."""
        weight = self.weight(linear)
        if isinstance(linear, Conv2dMap):
            return _conv_back(linear, weight, gradient)
        if isinstance(linear, SparseMap):
            return _sparse_back(linear, weight, gradient, group)
        if isinstance(linear, DiagonalMap):
            return gradient * weight
        return gradient @ weight.t()


def set_feedback(part: Part, kind: str, seed: int) -> None:
    """Let the errors of a matrix travel as ``kind`` says: ``"feedback"`` or ``"sign"``."""
    linear, weight = part.linear, part.weight
    fan_in = _fan_in(linear)
    if kind == "sign":
        size = 1.0 / math.sqrt(fan_in)
        if isinstance(linear, Conv2dMap):
            channels, _, *kernel = weight.shape
            size = math.sqrt(2.0 / (int(np.prod(kernel)) * channels))
        linear.back = Feedback(None, size)
        return
    drawn = KaimingUniform().sample(weight.numel(), Stream(seed, f"{part.name}/feedback"), fan_in=fan_in)
    fixed = torch.as_tensor(drawn, device=weight.device).to(weight.dtype).reshape(weight.shape)
    linear.back = Feedback(fixed, 1.0)


def _fan_in(linear: LinearMap) -> int:
    """Return the inputs per target, of sparse rows on average."""
    if isinstance(linear, DiagonalMap):
        return 1
    if isinstance(linear, DenseMap):
        return len(linear.weight)
    if isinstance(linear, SparseMap):
        return max(1, round(len(linear.values) / linear.shape[1]))
    return int(np.prod(linear.weight.shape[1:]))


def _conv_back(linear: Conv2dMap, weight: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    size = (len(gradient), *linear.shape)
    height, width = (
        (side + 2 * linear.padding - k) // linear.stride + 1
        for side, k in zip(linear.shape[1:], weight.shape[2:], strict=True)
    )
    image = gradient.reshape(len(gradient), -1, height, width)
    back = torch.nn.grad.conv2d_input(size, weight, image, stride=linear.stride, padding=linear.padding)
    return back.flatten(1)


def _sparse_back(linear: SparseMap, values: torch.Tensor, gradient: torch.Tensor, group: int) -> torch.Tensor:
    chosen = linear.groups[group][1]
    rows, columns = linear.rows, linear.columns
    if chosen is not None:
        values, rows, columns = values[chosen], rows[chosen], columns[chosen]
    if linear.shape[0] * linear.shape[1] <= DENSE_LIMIT:
        matrix = values.new_zeros(linear.shape).index_put((rows, columns), values, accumulate=True)
        return gradient @ matrix.t()
    matrix = torch.sparse_coo_tensor(torch.stack([rows, columns]), values, linear.shape)
    return torch.sparse.mm(matrix, gradient.t()).t()
