"""A network by its units: neurons, or channels where kernels are shared; masks of the weights between them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Chain, Connection, Conv2d, Dense, Pool2d
from spikesim.errors import UnsupportedError
from spikesim.network import Network, Population, Projection

Mask = NDArray[np.bool_]
Masks = dict[str, Mask]


def matrix_of(rule: Connection) -> NDArray[np.float64]:
    """Return the weights of a dense rule, a convolution, or one behind pools: ``[post, pre]``, then kernel axes."""
    last: Any = rule.rules[-1] if isinstance(rule, Chain) else rule
    found: NDArray[np.float64] = last.weights
    return found


def with_matrix(rule: Connection, weights: NDArray[np.float64]) -> Connection:
    """Return the rule with other weights."""
    if isinstance(rule, Chain):
        return replace(rule, rules=(*rule.rules[:-1], with_matrix(rule.rules[-1], weights)))
    changed: Connection = replace(rule, weights=weights)  # type: ignore[call-arg]
    return changed


def projection(network: Network, name: str) -> Projection:
    """Return a projection by name."""
    return {p.name: p for p in network.projections}[name]


def dense(rule: Connection) -> bool:
    """Tell whether the weights are a matrix, which training holds transposed (by source)."""
    return isinstance(rule.rules[-1] if isinstance(rule, Chain) else rule, Dense)


def check_rules(network: Network, what: str) -> None:
    """Raise unless all projections are dense or convolutions, or one of them behind pools.

    Raises
    ------
    UnsupportedError
        Names every other projection.
    """
    problems = [
        f"projection {p.name!r} ({type(p.rule).__name__}) is neither dense nor a convolution (behind pools), "
        f"whose weights {what} could tell apart by neurons"
        for p in network.projections
        if not _plain(p.rule)
    ]
    if problems:
        raise UnsupportedError(problems, f"network {network.name!r} cannot be used:")


def _plain(rule: Connection) -> bool:
    if isinstance(rule, Chain):
        return all(isinstance(r, Pool2d) for r in rule.rules[:-1]) and isinstance(rule.rules[-1], Dense | Conv2d)
    return isinstance(rule, Dense | Conv2d)


def units(network: Network) -> dict[str, int]:
    """Return the number of units of each population but the last: channels if kernels or pools meet it, or neurons."""
    return {p.name: p.shape[0] if _by_channel(network, p) else p.n for p in network.populations[:-1]}


def _by_channel(network: Network, population: Population) -> bool:
    met = [p.rule for p in network.projections if population.name in (p.pre, p.post)]
    return len(population.shape) == 3 and any(isinstance(rule, Conv2d | Chain) for rule in met)


def spread(unit: Mask, size: int) -> Mask:
    """Return a mask of units as one of a weights' axis: ``size`` elements, those of a unit together."""
    return np.repeat(unit, size // len(unit))


def between(found: Projection, pre: Mask | None, post: Mask | None) -> Mask:
    """Return the weights from units to units as a mask shaped like the weights.

    Parameters
    ----------
    found
        Dense or a convolution, or one behind pools.
    pre, post
        Units; None for all.
    """
    weights = matrix_of(found.rule)
    rows = np.ones(len(weights), bool) if post is None else spread(post, weights.shape[0])
    columns = np.ones(weights.shape[1], bool) if pre is None else spread(pre, weights.shape[1])
    mask = (rows[:, None] & columns).reshape(*weights.shape[:2], *[1] * (weights.ndim - 2))
    return np.broadcast_to(mask, weights.shape)


def masked(network: Network, masks: Masks, values: Any = 0.0) -> Network:
    """Return the network with some weights set to values.

    Parameters
    ----------
    network
        The network.
    masks
        By projection.
    values
        A number, or by projection an array shaped like the weights.
    """
    changed = []
    for name, mask in masks.items():
        found = projection(network, name)
        value = values[name] if isinstance(values, dict) else values
        weights = np.where(mask, value, matrix_of(found.rule))
        changed.append(replace(found, rule=with_matrix(found.rule, weights)))
    return network.swap(*changed)
