"""From an integer network to Lava processes. Imports Lava when called, which fixes the calling process to fork.

==================  ==============================================================
population          ``LIF``; ``LIFReset`` with an interval; `SoftLIF` (simulation only) for a soft reset or none
projection          ``Dense``; ``DelayDense`` with delays; ``Sparse`` if large and thin; ``Conv`` for a convolution
==================  ==============================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikesim.backends.lava.parts import Images, parts_of
from spikesim.backends.lava.standalone.lava_network import LavaNetwork
from spikesim.fixedpoint import IntNetwork


def soft_lif() -> Any:
    """Import the process with soft reset."""
    from spikesim.backends.lava._procs.soft_lif import SoftLIF

    return SoftLIF


def build_processes(
    network: IntNetwork, lags: Mapping[str, int] | None = None, images: Images | None = None
) -> LavaNetwork:
    """Make and connect the processes of a network that `find_unsupported` has nothing against.

    Parameters
    ----------
    network
        The network.
    lags
        How many columns late each population is.
    images
        Projections that become convolutions (see `parts_of`).
    """
    populations, projections = parts_of(network, images)
    inputs = {i.name: i.n for i in network.inputs}
    return LavaNetwork(populations, projections, inputs, lags or {}, soft_lif=soft_lif)
