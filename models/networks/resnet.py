"""Residual networks of soft-reset neurons.

::

    block:      x -> 3 x 3 -> norm -> neurons -> 3 x 3 -> norm -> (+) -> neurons
                x ------------------------------------------------^
    smaller:    the first convolution has stride 2, and x takes: average pool -> 1 x 1 -> norm

The two ways of a block meet as two projections into the same neurons. Norms inside blocks are threshold-dependent
(tdBN, Zheng et al. 2021): a factor ``v_th``, and ``v_th / sqrt(2)`` for both ways where the block gets smaller. The
last norm of each block starts with scale 0, so that a block begins as the identity. The image itself is presented at
every step; the read-out is the mean over time of one dense layer after global average pooling
(``readout="membrane_mean"``).

Reference: Guo et al., "Reducing Information Loss for Spiking Neural Networks", ECCV 2022, and the authors' code
``yfguo91/Re-Loss`` (``res19``, ``res20m``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikesim.layers import batch_norm, pool, sequential, skip
from spikesim.models.networks._image import Layers, normed, read_out, threshold_of
from spikesim.models.neurons import lif_soft
from spikesim.network import Network
from spikesim.neuron import Neuron
from spikesim.stimulus import Input


def resnet19(
    width: int = 128,
    shape: tuple[int, int, int] = (3, 32, 32),
    classes: int = 10,
    neuron: Neuron | None = None,
    seed: int = 0,
    dt: float = 1e-3,
) -> Network:
    """Build an untrained spiking ResNet-19: a stem of one convolution, then 3, 3 and 2 blocks.

    Parameters
    ----------
    width
        Channels of the first stage; each further one has twice as many.
    shape
        Of the image: channels, height, width.
    classes
        Number of outputs.
    neuron
        ``lif_soft()`` by default: threshold 0.5, a spike subtracts 1, no leak.
    seed
        Seed of the initial weights.
    dt
        Time step in seconds.

    Examples
    --------
    >>> net = resnet19(width=2, shape=(3, 8, 8))
    >>> len(net.populations), sum(p.name.startswith("layer1->") for p in net.projections)
    (18, 2)
    """
    cell = lif_soft() if neuron is None else neuron
    layers = [Input("image", shape, graded=True), *normed(width), cell]
    layers += _stages(width, (3, 3, 2), shape[1:], (), cell, classes)
    return sequential(*layers, dt=dt, seed=seed, name="resnet19")


def resnet20(
    width: int = 64,
    shape: tuple[int, int, int] = (3, 32, 32),
    classes: int = 10,
    neuron: Neuron | None = None,
    seed: int = 0,
    dt: float = 1e-3,
) -> Network:
    """Build an untrained spiking ResNet-20: a stem of three convolutions and a pool, then four stages of two blocks.

    Parameters are those of :func:`resnet19`.

    Examples
    --------
    >>> net = resnet20(width=2, shape=(3, 16, 16))
    >>> len(net.populations), net.populations[-2].shape
    (20, (16, 1, 1))
    """
    cell = lif_soft() if neuron is None else neuron
    layers = [Input("image", shape, graded=True), *3 * (*normed(width), cell)]
    layers += _stages(width, (2, 2, 2, 2), (shape[1] // 2, shape[2] // 2), (pool(2),), cell, classes)
    return sequential(*layers, dt=dt, seed=seed, name="resnet20")


def _stages(
    width: int, blocks: Sequence[int], size: tuple[int, ...], before: Layers, cell: Neuron, classes: int
) -> list[Any]:
    """Return the blocks and the read-out; ``before`` is what stands between the stem and the first block."""
    layers: list[Any] = []
    height, side = size
    for stage, number in enumerate(blocks):
        channels = width * 2**stage
        # a side that is odd stays as it is: a strided convolution and a pool would round it in different ways
        smaller = stage > 0 and height % 2 == side % 2 == 0
        if smaller:
            height, side = height // 2, side // 2
        layers += _block(channels, cell, before, wider=stage > 0, smaller=smaller)
        for _ in range(1, number):
            layers += _block(channels, cell)
        before = ()
    return [*layers, *read_out((channels, height, side), classes)]


def _block(channels: int, cell: Neuron, before: Layers = (), *, wider: bool = False, smaller: bool = False) -> Layers:
    threshold = threshold_of(cell)
    gain = threshold / 2**0.5 if wider else threshold
    first = normed(channels, stride=2 if smaller else 1, norm=batch_norm(gain=threshold))
    second = normed(channels, norm=batch_norm(scale=0.0, gain=gain))
    shortcut = (*((pool(2),) if smaller else ()), *normed(channels, 1, norm=batch_norm(gain=gain))) if wider else before
    return (*before, *first, cell, *second, skip(*shortcut), cell)
