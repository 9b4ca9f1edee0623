"""From a trained module back to a network, which is a plain value again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spikesim.lowering import lower
from spikesim.network import Network, Population, Projection


def with_learned(network: Network, module: Any, *, fold: bool = True) -> Network:
    """Return the network with what a module has learned.

    Weights are snapped to the grid of their port, so that lowering the result changes nothing more.

    Parameters
    ----------
    network
        The network that the module was made from.
    module
        Has ``learned_weights()``, ``learned_params()``, ``learned_norms()`` and ``learned_delays()``.
    fold
        Fold batch norms into weights and biases, and leave dropout out. False keeps both, to go on training; weights
        are then snapped only when the network is lowered.
    """
    weights, norms, delays = module.learned_weights(), module.learned_norms(), module.learned_delays()
    populations = [_population(network, name, values) for name, values in module.learned_params().items()]
    projections = []
    for found in network.projections:
        part = _with_weights(found, weights[found.name]) if found.name in weights else found
        part = replace(part, norm=norms.get(found.name, found.norm))
        steps = delays.get(found.name)
        projections.append(part if steps is None else replace(part, delay=steps * network.dt))
    learned = network.swap(*populations, *projections)
    if not fold:
        return learned
    plain = learned.folded()
    edges = {e.name: e for e in lower(plain).edges}
    snapped = [
        replace(p, rule=edges[p.name].rule) if p.weight is None else replace(p, weight=edges[p.name].weights)
        for p in plain.projections
        if p.name in weights
    ]
    return plain.swap(*snapped)


def _population(network: Network, name: str, values: dict[str, Any]) -> Population:
    found = network.population(name)
    return Population(name, found.shape, found.neuron(**values))


def _with_weights(projection: Projection, value: Any) -> Projection:
    return replace(projection, weight=value) if isinstance(value, np.ndarray) else replace(projection, rule=value)
