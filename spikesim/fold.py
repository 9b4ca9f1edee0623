"""Fold batch norms into weights and biases: what training needs leaves the network, what it computes stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import NetworkError
from spikesim.neuron import NeuronModel
from spikesim.norm import channels_of, scaled

if TYPE_CHECKING:
    from spikesim.network import Network, Population, Projection

BIAS = "bias"


def fold(network: Network) -> Network:
    """Return the network without batch norms and dropout.

    With ``factor`` and ``offset`` of :meth:`spikesim.norm.BatchNorm.affine`, weights become ``factor * w`` and the
    target's bias grows by ``offset``. Exact but for the rounding of these products.

    Raises
    ------
    NetworkError
        If a target's neuron has no bias that is added to that input; all are listed.
    """
    carriers = [p for p in network.projections if p.norm is not None or p.dropout]
    if not carriers:
        return network
    if problems := [s for p in carriers if p.norm is not None for s in _problems(network, p)]:
        raise NetworkError(problems, f"network {network.name!r}: a batch norm cannot be folded:")
    offsets: dict[str, NDArray[np.float64]] = {}
    projections = []
    for projection in carriers:
        plain = replace(projection, norm=None, dropout=0.0)
        if projection.norm is not None:
            channels = int(channels_of(projection.rule) or 0)
            factor, offset = projection.norm.affine(channels)
            n = network.population(projection.post).n
            offsets[projection.post] = offsets.get(projection.post, 0.0) + np.repeat(offset, n // channels)
            plain = replace(plain, rule=scaled(projection.rule, factor))
        projections.append(plain)
    populations = [_with_bias(network, network.population(name), offset) for name, offset in offsets.items()]
    return network.swap(*populations, *projections)


def _with_bias(network: Network, population: Population, offset: NDArray[np.float64]) -> Population:
    from spikesim.lowering import values
    from spikesim.rng import Stream

    # a bias that is a distribution is drawn here as it would be when the network is lowered
    stream = Stream(network.seed, f"{population.name}/param/{BIAS}")
    bias: Any = values(population.neuron.value(BIAS), population.n, stream) + offset
    return replace(population, neuron=population.neuron(**{BIAS: bias}))


def _problems(network: Network, projection: Projection) -> Iterable[str]:
    population, channels = network.population(projection.post), channels_of(projection.rule)
    if channels and population.n % channels:
        yield f"projection {projection.name!r} has {channels} output channels, its target {population.n} neurons"
    port = projection.port or population.model.inputs[0]
    if not adds_bias(population.model, port):
        yield (
            f"projection {projection.name!r} carries a batch norm, but neuron {population.model.name!r} of "
            f"{population.name!r} does not add a parameter {BIAS!r} to its input {port!r}; these do: "
            f"{', '.join(_with_one())}, and any neuron whose step reads `{port} + p.{BIAS}`"
        )


def adds_bias(model: NeuronModel, port: str) -> bool:
    """Tell whether a step reads an input port and the parameter ``bias`` only as their sum.

    >>> from spikesim.models.neurons import cuba_lif, lif
    >>> adds_bias(lif().model, "i"), adds_bias(cuba_lif().model, "i")
    (True, False)
    """
    nodes, live = model.dynamics.nodes, model.dynamics.live()
    leaves = {k for k in live if (nodes[k].op, nodes[k].value) in (("input", port), ("param", BIAS))}
    users = [k for k in live if leaves & set(nodes[k].args)]
    outputs = set(model.dynamics.outputs.values())
    return len(leaves) == 2 and not leaves & outputs and all(_adds(nodes[k], leaves) for k in users)


def _adds(node: Any, leaves: set[int]) -> bool:
    return node.op == "add" and set(node.args) == leaves


def _with_one() -> list[str]:
    from spikesim.models.neurons import NEURONS

    models = {name: make().model for name, make in NEURONS.items()}
    return [name for name, model in models.items() if model.inputs and adds_bias(model, model.inputs[0])]


__all__ = ["adds_bias", "fold"]
