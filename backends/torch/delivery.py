"""How spikes of a step reach the inputs of later steps: exact float64 sums in a ring of slots, whatever the order."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch

from spikesim.backends.torch.linear import LinearMap
from spikesim.graph import Edge


class Ring:
    """Sums that will act on one port: slot ``t % slots`` acts at step ``t``.

    Parameters
    ----------
    slots
        One more than the largest delay.
    n
        Neurons.
    device
        Where to hold it.
    """

    def __init__(self, slots: int, n: int, device: torch.device) -> None:
        self.slots, self.n, self.device = slots, n, device
        self.sums = torch.zeros((slots, 0, n), dtype=torch.float64, device=device)

    def reset(self, samples: int) -> None:
        """Empty the ring, for so many samples."""
        self.sums = torch.zeros((self.slots, samples, self.n), dtype=torch.float64, device=self.device)

    def now(self, step: int) -> torch.Tensor:
        """Return the slot of a step, ``[samples, n]``; the caller empties it."""
        return self.sums[step % self.slots]


class Delivery(Protocol):
    """Carries what one source emits at a step into a ring."""

    def __call__(self, values: torch.Tensor, step: int) -> None:
        """Deliver ``values`` ``[samples, n_pre]`` (float64) emitted at ``step``."""


class Layered:
    """One product for all samples: dense layers, convolutions, pooling, all with a single delay."""

    def __init__(self, linear: LinearMap, delay: int, ring: Ring) -> None:
        self.linear, self.delay, self.ring = linear, delay, ring

    def __call__(self, values: torch.Tensor, step: int) -> None:
        """Multiply and add."""
        with torch.no_grad():
            self.ring.now(step + self.delay).add_(self.linear(values))


class Rows:
    """Event-driven: the rows of the sources that fired, each synapse with its weight and delay.

    Parameters
    ----------
    edge
        The projection.
    ring
        Where its target's sums are held.
    weights
        In place of the edge's own, one per synapse.
    """

    def __init__(self, edge: Edge, ring: Ring, weights: Any = None) -> None:
        self.edge, self.ring = edge, ring

        def tensor(array: Any, dtype: Any) -> torch.Tensor:
            return torch.as_tensor(np.array(array), device=ring.device).to(dtype)

        self.begin = tensor(edge.indptr[:-1], torch.int64)
        self.count = tensor(np.diff(edge.indptr), torch.int64)
        self.target = tensor(edge.indices, torch.int32)
        self.weight = tensor(edge.weights if weights is None else weights, torch.float64)
        self.delay = int(edge.delays) if np.ndim(edge.delays) == 0 else tensor(edge.delays, torch.int32)
        edge.forget()  # a large network is held once

    def __call__(self, values: torch.Tensor, step: int) -> None:
        """Gather the synapses of what fired and add them where they arrive."""
        sample, source = values.nonzero(as_tuple=True)
        count = self.count[source]
        before = count.cumsum(0) - count
        event = torch.repeat_interleave(torch.arange(len(source), device=count.device), count)
        synapse = torch.arange(len(event), device=count.device) - (before - self.begin[source])[event]
        delay = self.delay if isinstance(self.delay, int) else self.delay[synapse]
        slot = (step % self.ring.slots + delay) % self.ring.slots
        samples = self.ring.sums.shape[1]
        position = (slot * samples + sample[event]) * self.ring.n + self.target[synapse]
        amount = self.weight[synapse] if self.weight.ndim else self.weight.expand(len(event))
        if self.edge.graded:
            amount = amount * values[sample, source][event]
        self.ring.sums.view(-1).index_add_(0, position, amount)
