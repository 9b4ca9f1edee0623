"""A layered soft-reset network for the 8 x 8 digits, untrained.

::

    image (64 spike trains, or currents) -> dense -> soft-reset neurons -> ... -> dense -> 10 read-outs

Pixels enter as spikes (:func:`spikesim.encode.regular`), so that the network also fits a chip; or as graded values.
Hidden neurons subtract 1 per spike and fire above 1/2. The class is the read-out that fires most
(``readout="spikes"``), or whose membrane is highest in the end (``readout="membrane"``).

Reference: soft reset after Guo et al., ECCV 2022 (:mod:`spikesim.models.neurons.lif_soft`); He et al., "Delving Deep
into Rectifiers", ICCV 2015 (initial weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from spikesim.layers import dense, sequential
from spikesim.models.neurons import li, lif_soft
from spikesim.models.neurons._reset import check
from spikesim.network import Network
from spikesim.neuron import Neuron
from spikesim.stimulus import Input

Readout = Literal["spikes", "membrane"]


def digits_mlp(
    hidden: Sequence[int] = (128,),
    readout: Readout = "spikes",
    neuron: Neuron | None = None,
    graded: bool = False,
    seed: int = 0,
    dt: float = 1e-3,
) -> Network:
    """Build an untrained layered soft-reset network for the 8 x 8 digits.

    Parameters
    ----------
    hidden
        Neurons of each hidden layer.
    readout
        ``"spikes"``: ten more soft-reset neurons; ``"membrane"``: ten integrators without leak that never fire.
    neuron
        The hidden neuron, ``lif_soft()`` by default.
    graded
        Whether the input holds real values instead of spikes.
    seed
        Seed of the initial weights (normal, standard deviation ``sqrt(2 / inputs)``).
    dt
        Time step in seconds.

    Examples
    --------
    >>> [(p.name, p.n) for p in digits_mlp((128, 64)).populations]
    [('layer1', 128), ('layer2', 64), ('layer3', 10)]
    """
    check("read-out", readout, Readout)
    cell = lif_soft() if neuron is None else neuron
    sizes = (hidden,) if isinstance(hidden, int) else tuple(hidden)
    layers = [part for n in sizes for part in (dense(n), cell)]
    last = lif_soft() if readout == "spikes" else li(beta=1.0)
    image = Input("image", (64,), graded=graded)
    return sequential(image, *layers, dense(10), last, dt=dt, seed=seed, name="digits_mlp")
