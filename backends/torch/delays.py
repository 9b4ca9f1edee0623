"""Delays that are learned: a synapse acts through a Gaussian over time whose centre moves and whose width shrinks.

While training, a delay ``d`` (in steps) is the kernel ``exp(-((k - d) / sigma)^2 / 2)`` over ``k = 0 .. longest``,
brought to the sum 1; outside training it is ``d`` rounded, which is also what the network gets.

Reference: Hammouamri, Khalfaoui-Hassani and Masquelier, "Learning Delays in Spiking Neural Networks using Dilated
Convolutions with Learnable Spacings", ICLR 2024, arXiv 2306.17670. There too the width falls exponentially to half a
step within the first quarter of training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from spikesim.backends.torch.linear import DenseMap, LinearMap
from spikesim.connect import Connection
from spikesim.errors import InvalidValueError
from spikesim.graph import Edge

SIGMA_END = 0.5  # steps
SHRINKING = 0.25  # share of training in which the width falls


class DelayedMap(LinearMap):
    """A linear map with learned delays, of ``[steps, samples, n_pre]``.

    Parameters
    ----------
    linear
        The map without delays.
    start
        Delays in steps: ``[n_pre, n_post]`` of a dense map, or ``[n_pre]``.
    longest
        Largest delay in steps.
    dtype, device
        Of the delays, which are held relative to the longest: a step of an optimiser then means the same for any.
    """

    def __init__(
        self, linear: LinearMap, start: NDArray[np.float64], longest: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(linear.learn)
        self.linear, self.longest = linear, longest
        self.delay = nn.Parameter(torch.tensor(start / longest, dtype=dtype, device=device))
        self.register_buffer("sigma", torch.tensor(float(longest) / 2, dtype=dtype, device=device))

    def anneal_(self, done: float) -> None:
        """Set the width for a share of training that is done."""
        share = min(done / SHRINKING, 1.0)
        first = max(self.longest / 2, SIGMA_END)
        self.sigma.fill_(first * (SIGMA_END / first) ** share)

    def constrain_(self) -> None:
        """Keep the delays between 0 and the longest."""
        with torch.no_grad():
            self.delay.clamp_(0.0, 1.0)

    def steps(self) -> NDArray[np.int64]:
        """Return the delays in whole steps, as they will be in the network."""
        return np.asarray(np.rint(self.delay.detach().cpu().double().numpy() * self.longest), np.int64)

    def kernel(self) -> torch.Tensor:
        """Return what part of a spike arrives after ``0 .. longest`` steps, in a last dimension."""
        at = torch.arange(self.longest + 1, dtype=self.delay.dtype, device=self.delay.device)
        centre = self.delay[..., None] * self.longest
        if not self.training:
            return (at == centre.round()).to(at.dtype)
        # a softmax: the normalised Gaussian, and no 0/0 however narrow it is
        return torch.softmax(-0.5 * ((at - centre) / self.sigma) ** 2, -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Project ``[steps, samples, n_pre]`` to ``[steps, samples, n_post]``."""
        series = functional.pad(x.permute(1, 2, 0), (self.longest, 0))
        kernel = self.kernel().flip(-1)  # torch correlates
        if kernel.ndim == 3 and isinstance(self.linear, DenseMap):
            weights = (kernel * self.linear.weight[..., None]).transpose(0, 1)
            return functional.conv1d(series, weights).permute(2, 0, 1)
        late = functional.conv1d(series, kernel[:, None], groups=len(kernel)).permute(2, 0, 1)
        result: torch.Tensor = self.linear(late.reshape(-1, x.shape[2]))
        return result.view(*x.shape[:2], -1)

    def rule(self) -> Connection | None:
        """Return the rule with the present weights."""
        return self.linear.rule()


def delayed(edge: Edge, linear: LinearMap, longest: int, per: str, dtype: torch.dtype, device: Any) -> DelayedMap:
    """Return a map with learned delays that start from those of a projection.

    Parameters
    ----------
    edge, linear
        The projection and its map.
    longest
        In steps.
    per
        ``"synapse"`` (dense rules) or ``"source"``.

    Raises
    ------
    InvalidValueError
        If the projection cannot have such delays.
    """
    subject = f"projection {edge.name!r}"
    if longest < 1:
        raise InvalidValueError(f"{subject}: the longest delay to learn must be at least one step")
    if edge.max_delay > longest:
        raise InvalidValueError(f"{subject} has delays of {edge.max_delay} steps, more than {longest}, the longest")
    if per == "synapse" and not isinstance(linear, DenseMap):
        raise InvalidValueError(f"{subject}: a delay per synapse needs the rule Dense; use delay_per='source'")
    each = np.broadcast_to(np.asarray(edge.delays, np.float64), (edge.synapses,))
    if per == "synapse":
        return DelayedMap(linear, each.reshape(edge.n_pre, edge.n_post), longest, dtype, device)
    source = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    start = np.zeros(edge.n_pre)
    start[source] = each
    if (start[source] != each).any():
        raise InvalidValueError(f"{subject}: synapses of one source have different delays; use delay_per='synapse'")
    return DelayedMap(linear, start, longest, dtype, device)
