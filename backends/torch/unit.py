"""A population while it runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from spikesim.backends.torch.delivery import Ring
from spikesim.backends.torch.ops import table
from spikesim.graph import Node


class Unit:
    """A population with its states and what is on its way to it.

    Parameters
    ----------
    node
        The population.
    dtype, device
        Of its states.
    """

    def __init__(self, node: Node, dtype: torch.dtype, device: torch.device) -> None:
        self.node, self.dtype, self.device = node, dtype, device
        self.ops = table(dtype, device)
        self.params = {n: torch.as_tensor(np.asarray(c), device=device).to(dtype) for n, c in node.constants.items()}
        self.zero = torch.zeros((), dtype=dtype, device=device)
        self.rings: dict[str, Ring] = {}
        self.state: dict[str, torch.Tensor] = {}
        self.samples = 0

    def reset(self, samples: int) -> None:
        """Go back to the initial states."""
        self.samples = samples
        self.state = {
            name: torch.tensor(values, device=self.device).to(self.dtype).expand(samples, -1).clone()
            for name, values in self.node.init.items()
        }
        for ring in self.rings.values():
            ring.reset(samples)

    def step(self, t: int, drives: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Update the population; return its spikes and which neurons were active, bool ``[samples, n]``."""
        active = torch.zeros((self.samples, self.node.n), dtype=torch.bool, device=self.device)
        inputs = {}
        for port in self.node.model.inputs:
            total = None
            if port in self.rings:
                total = self.rings[port].now(t)
                active |= total != 0
            if port in drives:
                total = drives[port] if total is None else total + drives[port]
            inputs[port] = self.zero if total is None else total.to(self.dtype, copy=True)
            if port in self.rings:
                self.rings[port].now(t).zero_()
        results = self.node.model.dynamics.evaluate(
            {"state": self.state, "input": inputs, "param": self.params}, self.ops
        )
        shape = active.shape
        self.state = {name: results[name].to(self.dtype).expand(shape) for name in self.state}
        spikes = (results["spike"] > 0).expand(shape)
        return spikes, active | spikes
