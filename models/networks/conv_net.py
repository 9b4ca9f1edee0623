"""A small convolutional network for images of 28 x 28, such as MNIST and Fashion-MNIST.

::

    image -> 16c3 -> norm -> neurons -> pool -> 32c3 -> norm -> neurons -> pool -> dense -> classes

The image itself is presented at every step; the read-out is the mean over time of one dense layer
(``readout="membrane_mean"``).

Reference: direct coding as in Rathi and Roy, "DIET-SNN", IEEE TNNLS 2021; norms after Zheng et al., AAAI 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikesim.layers import batch_norm, conv2d, dense, pool, sequential
from spikesim.models.networks._image import threshold_of
from spikesim.models.neurons import li, lif_soft
from spikesim.network import Network
from spikesim.neuron import Neuron
from spikesim.stimulus import Input


def conv_net(
    channels: Sequence[int] = (16, 32),
    shape: tuple[int, int, int] = (1, 28, 28),
    classes: int = 10,
    neuron: Neuron | None = None,
    norm: bool = True,
    seed: int = 0,
    dt: float = 1e-3,
) -> Network:
    """Build an untrained convolutional network.

    Parameters
    ----------
    channels
        Of each 3 x 3 convolution; every one is followed by neurons and an average pool over 2 x 2.
    shape
        Of the image: channels, height, width.
    classes
        Number of outputs.
    neuron
        ``lif_soft()`` by default: threshold 0.5, a spike subtracts 1, no leak.
    norm
        Whether convolutions have a threshold-dependent batch norm.
    seed
        Seed of the initial weights.
    dt
        Time step in seconds.

    Examples
    --------
    >>> [(p.name, p.shape) for p in conv_net().populations]
    [('layer1', (16, 28, 28)), ('layer2', (32, 14, 14)), ('layer3', (10,))]
    """
    cell = lif_soft() if neuron is None else neuron
    norms = (batch_norm(gain=threshold_of(cell)),) if norm else ()
    layers: list[Any] = [Input("image", shape, graded=True)]
    for number in channels:
        layers += [conv2d(number, 3, padding=1), *norms, cell, pool(2)]
    return sequential(*layers, dense(classes), li(beta=0.0), dt=dt, seed=seed, name="conv_net")
