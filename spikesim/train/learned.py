"""From a trained module back to a network, which is a plain value again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spikesim.lowering import lower
from spikesim.network import Network, Population, Projection


def with_learned(network: Network, module: Any) -> Network:
    """Return the network with a module's weights and parameters.

    Weights are snapped to the grid of their port, so that lowering the result changes nothing more.

    Parameters
    ----------
    network
        The network that the module was made from.
    module
        Has ``learned_weights()`` and ``learned_params()``.
    """
    populations = [_population(network, name, values) for name, values in module.learned_params().items()]
    projections = [_projection(network, name, value) for name, value in module.learned_weights().items()]
    plain = network.swap(*populations, *projections)
    edges = {e.name: e for e in lower(plain).edges}
    snapped = [
        replace(p, rule=edges[p.name].rule) if p.weight is None else replace(p, weight=edges[p.name].weights)
        for p in plain.projections
        if p.name in module.learned_weights()
    ]
    return plain.swap(*snapped)


def _population(network: Network, name: str, values: dict[str, Any]) -> Population:
    found = network.population(name)
    return Population(name, found.shape, found.neuron(**values))


def _projection(network: Network, name: str, value: Any) -> Projection:
    found = next(p for p in network.projections if p.name == name)
    if isinstance(value, np.ndarray):
        return replace(found, weight=value)
    return replace(found, rule=value)
