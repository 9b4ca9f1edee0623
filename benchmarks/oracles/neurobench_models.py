"""Networks of snnTorch for NeuroBench and for us: the same modules, weights and data, made from whole numbers.

Weights are multiples of 1/64 and inputs of 1/8, so that sums are exact and no spike depends on the order of addition.
A quarter of the weights is 0. Each model does one step per call and keeps its states hidden, as NeuroBench calls it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn

STEPS, SAMPLES = 20, 6


def _weights(rng: np.random.Generator, shape: Any) -> torch.Tensor:
    values = rng.integers(-20, 30, tuple(shape)) * (rng.random(tuple(shape)) > 0.25)
    return torch.tensor(values / 64.0, dtype=torch.float32)


class Feedforward(nn.Module):
    """20-30-10 of Leaky, with biases."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(20, 30), snn.Leaky(beta=0.75, init_hidden=True)
        self.fc2, self.lif2 = nn.Linear(30, 10), snn.Leaky(beta=0.5, init_hidden=True, output=True)

    def forward(self, x: Any) -> Any:
        """Do one step."""
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class Recurrent(nn.Module):
    """20-12-5: RLeaky, whose inner Linear carries its spikes of the step before, then Synaptic."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(20, 12), snn.RLeaky(beta=0.75, linear_features=12, init_hidden=True)
        self.fc2 = nn.Linear(12, 5)
        self.lif2 = snn.Synaptic(alpha=0.5, beta=0.75, init_hidden=True, output=True)

    def forward(self, x: Any) -> Any:
        """Do one step."""
        spikes, _, mem = self.lif2(self.fc2(self.lif1(self.fc1(x))))
        return spikes, mem


class Convolutional(nn.Module):
    """Two convolutions (with padding and stride) and a read-out layer of spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(2, 4, 3, padding=1), snn.Leaky(beta=0.5, init_hidden=True)
        self.conv2, self.lif2 = nn.Conv2d(4, 6, 3, stride=2), snn.Leaky(beta=0.5, init_hidden=True)
        self.fc, self.lif3 = nn.Linear(6 * 3 * 3, 10), snn.Leaky(beta=0.5, init_hidden=True, output=True)

    def forward(self, x: Any) -> Any:
        """Do one step."""
        x = self.lif2(self.conv2(self.lif1(self.conv1(x))))
        return self.lif3(self.fc(x.flatten(1)))


class Pooled(nn.Module):
    """A convolution, an average pool, and a full matrix without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif1, self.pool = nn.Conv2d(1, 3, 3), snn.Leaky(beta=0.5, init_hidden=True), nn.AvgPool2d(2)
        self.fc, self.lif2 = nn.Linear(27, 5, bias=False), snn.Leaky(beta=0.5, init_hidden=True, output=True)

    def forward(self, x: Any) -> Any:
        """Do one step."""
        return self.lif2(self.fc(self.pool(self.lif1(self.conv(x))).flatten(1)))


def cases() -> dict[str, tuple[nn.Module, torch.Tensor]]:
    """Return module and data ``[samples, steps, ...]``; graded: real values come in, bipolar: -1, 0 and 1."""
    makers: dict[str, tuple[Any, tuple[int, ...]]] = {
        "feedforward": (Feedforward, (20,)),
        "graded": (Feedforward, (20,)),
        "bipolar": (Feedforward, (20,)),
        "recurrent": (Recurrent, (20,)),
        "convolutional": (Convolutional, (2, 8, 8)),
        "pooled": (Pooled, (1, 8, 8)),
    }
    found = {}
    for k, (name, (make, shape)) in enumerate(makers.items()):
        rng = np.random.default_rng(100 + k)
        module = make()
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.dim() > 0:
                    parameter.copy_(_weights(rng, parameter.shape))
        data = (rng.random((SAMPLES, STEPS, *shape)) < 0.3).astype(np.float32)
        if name == "graded":
            data *= rng.integers(1, 16, data.shape) / 8.0
        if name == "bipolar":
            data *= rng.choice((-1.0, 1.0), data.shape)
        found[name] = (module.eval(), torch.tensor(data, dtype=torch.float32))
    return found
