"""What the image networks have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.distributions import Normal
from spikesim.layers import batch_norm, conv2d, dense, pool
from spikesim.models.neurons import li
from spikesim.neuron import Neuron
from spikesim.norm import BatchNorm

Layers = tuple[Any, ...]


def normed(channels: int, kernel: int = 3, stride: int = 1, norm: BatchNorm | None = None) -> Layers:
    """Return a convolution that keeps the size (but for its stride) with its batch norm."""
    weights = Normal(0.0, (2.0 / (kernel * kernel * channels)) ** 0.5)
    return conv2d(channels, kernel, stride, kernel // 2, weights), norm or batch_norm()


def threshold_of(neuron: Neuron) -> float:
    """Return a neuron's threshold, the factor of threshold-dependent norms; 1 where it has none of a known name."""
    for name in ("th", "v_th"):
        if name in neuron.model.params and np.ndim(neuron.value(name)) == 0:
            return float(neuron.value(name))
    return 1.0


def read_out(shape: tuple[int, int, int], classes: int) -> Layers:
    """Return a dense layer after global average pooling, read as its mean over time: neurons that keep nothing."""
    channels, height, width = shape
    weights = dense(classes, Normal(0.0, 1.0 / channels))
    if height != width:
        return dense(classes, Normal(0.0, 1.0 / int(np.prod(shape)))), li(beta=0.0)
    return (*((pool(height),) if height > 1 else ()), weights, li(beta=0.0))
