"""Last layers that are set aside, one per task; and several of them side by side, to be trained together.

Where samples of several tasks are trained at once, the heads become one wide layer, and labels are counted through all
of them. The loss compares the outputs of all heads, so each comes to the odds of its own task, up to a factor, and the
largest output within a head is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikesim.connect import Dense
from spikesim.errors import UnsupportedError
from spikesim.network import Network, Population, Projection

Head = tuple[Any, ...]
"""The last population, then the projections to it."""


def head(network: Network) -> tuple[Population | Projection, ...]:
    """Return the last population and the projections to it."""
    last = network.populations[-1]
    return (last, *(p for p in network.projections if p.post == last.name))


def head_projections(network: Network) -> frozenset[str]:
    """Return the names of the projections to the last population."""
    return frozenset(part.name for part in head(network) if isinstance(part, Projection))


def joined(network: Network, heads: Sequence[Head]) -> Network:
    """Return the network with several heads side by side as its last layer.

    Parameters
    ----------
    network
        The network.
    heads
        Of networks of the same form.

    Raises
    ------
    UnsupportedError
        If a projection to the last population is not dense, comes from itself, or has a batch norm.
    """
    projections: list[Any] = [p for p in network.projections if p.post == network.populations[-1].name]
    _check(network.name, projections)
    wide: list[Any] = [_of_all(tuple(h[0] for h in heads))]
    for k, p in enumerate(projections, 1):
        wide.append(replace(p, rule=Dense(np.concatenate([h[k].rule.weights for h in heads]))))
    return network.swap(*wide)


def parted(network: Network, like: Sequence[Head]) -> list[Head]:
    """Return the heads of a network of :func:`joined`; ``like`` are those that were joined."""
    whole, found = network.populations[-1], []
    projections: list[Any] = [p for p in network.projections if p.post == whole.name]
    for k, (last, *_) in enumerate(like):
        part = slice(k * last.n, (k + 1) * last.n)
        found.append((_some(whole, last, part), *(replace(p, rule=Dense(p.rule.weights[part])) for p in projections)))
    return found


def _check(name: str, projections: Sequence[Any]) -> None:
    problems = [
        f"projection {p.name!r} to the last population must be dense, not recurrent and without a batch norm"
        for p in projections
        if not isinstance(p.rule, Dense) or p.pre == p.post or p.norm is not None or np.ndim(p.delay)
    ]
    if problems:
        raise UnsupportedError(problems, f"heads of network {name!r} cannot be trained together:")


def _of_all(some: Sequence[Any]) -> Population:
    """Return populations side by side."""
    n, first = some[0].n, some[0]

    def together(values: Sequence[Any]) -> Any:
        if all(np.ndim(v) == 0 and v == values[0] for v in values):
            return values[0]
        return np.concatenate([np.broadcast_to(v, n) for v in values])

    def all_of(which: str) -> Mapping[str, Any]:
        return {k: together([getattr(p.neuron, which)[k] for p in some]) for k in getattr(first.neuron, which)}

    neuron = replace(first.neuron, params=all_of("params"), init=all_of("init"))
    return Population(first.name, n * len(some), neuron)


def _some(whole: Population, like: Population, part: slice) -> Population:
    """Return some neurons of a population, in the shape of another."""

    def cut(values: Mapping[str, Any]) -> Mapping[str, Any]:
        return {k: v[part] if np.ndim(v) else v for k, v in values.items()}

    neuron = replace(whole.neuron, params=cut(whole.neuron.params), init=cut(whole.neuron.init))
    return Population(like.name, like.shape, neuron)
