"""From an integer network to Lava processes. Imports Lava when called, which fixes the calling process to fork.

==================  ==============================================================
population          ``LIF``; ``LIFReset`` with an interval; `SoftLIF` (simulation only) for a soft reset or none
projection          ``Dense``; ``DelayDense`` with delays; ``Sparse`` if large and thin; ``Conv`` for a convolution;
                    ``LearningDense`` for what learns
==================  ==============================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikesim.backends.lava.parts import Images, parts_of
from spikesim.backends.lava.standalone.lava_network import LavaNetwork, import_lava
from spikesim.fixedpoint import IntNetwork


def soft_lif() -> Any:
    """Import the process with soft reset."""
    from spikesim.backends.lava._procs.soft_lif import SoftLIF

    return SoftLIF


def build_processes(
    network: IntNetwork,
    lags: Mapping[str, int] | None = None,
    images: Images | None = None,
    *,
    steps: int = 0,
    sample: int = 0,
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
    steps, sample
        How many steps it will run, and the number of the sample: for networks with a modulator.
    """
    populations, projections = parts_of(network, images)
    inputs = {i.name: i.n for i in network.inputs}
    made: dict[str, Any] = {}
    if any(p.learning is not None for p in network.projections):
        import_lava()
        from spikesim.backends.lava.learning import learning_connection

        sizes = {p.name: (network.size(p.pre), network.size(p.post)) for p in network.projections}
        made = {p.name: learning_connection(p, p.learning, *sizes[p.name]) for p in network.projections if p.learning}
    built = LavaNetwork(populations, projections, inputs, lags or {}, soft_lif=soft_lif, made=made)
    if made:
        from spikesim.backends.lava.learning import connect_learning

        built.listeners = connect_learning(network, built.populations, built.projections, steps, sample)
    return built
