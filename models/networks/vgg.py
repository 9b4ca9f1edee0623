"""VGG-16 of soft-reset neurons.

::

    image -> [64, 64, pool, 128, 128, pool, 256 x 3, pool, 512 x 3, pool, 512 x 3, pool] -> dense -> classes

Every number is a 3 x 3 convolution with batch norm and neurons; pools are averages over 2 x 2. The image itself is
presented at every step (direct coding), so the first convolution is the encoder. The read-out is the mean over time
of one dense layer (``readout="membrane_mean"``).

Reference: Simonyan and Zisserman, "Very Deep Convolutional Networks", ICLR 2015, in the variant (average pooling, one
dense layer) that Guo et al., "Reducing Information Loss for Spiking Neural Networks", ECCV 2022, train.
"""

from __future__ import annotations

from typing import Any

from spikesim.layers import pool, sequential
from spikesim.models.networks._image import normed, read_out
from spikesim.models.neurons import lif_soft
from spikesim.network import Network
from spikesim.neuron import Neuron
from spikesim.stimulus import Input

BLOCKS = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))  # channels relative to the width, convolutions


def vgg16(
    width: int = 64,
    shape: tuple[int, int, int] = (3, 32, 32),
    classes: int = 10,
    neuron: Neuron | None = None,
    seed: int = 0,
    dt: float = 1e-3,
) -> Network:
    """Build an untrained spiking VGG-16.

    Parameters
    ----------
    width
        Channels of the first block; the last has eight times as many.
    shape
        Of the image: channels, height, width. A pool is left out where a side is 1 already.
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
    >>> net = vgg16(width=2, shape=(3, 16, 16))
    >>> [p.shape for p in net.populations][:3], len(net.populations)
    ([(2, 16, 16), (2, 16, 16), (4, 8, 8)], 14)
    """
    cell = lif_soft() if neuron is None else neuron
    _, height, side = shape
    layers: list[Any] = [Input("image", shape, graded=True)]
    for share, convolutions in BLOCKS:
        for _ in range(convolutions):
            layers += [*normed(share * width), cell]
        if min(height, side) > 1:
            layers.append(pool(2))
            height, side = height // 2, side // 2
    layers += read_out((BLOCKS[-1][0] * width, height, side), classes)
    return sequential(*layers, dt=dt, seed=seed, name="vgg16")
