"""The learned weights that lead to some neurons, and those that lead away from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from spikesim.backends.torch.delays import DelayedMap
from spikesim.backends.torch.linear import ChainMap, Conv2dMap, DiagonalMap, LinearMap, SparseMap

if TYPE_CHECKING:
    from spikesim.backends.torch.module import SpikingModule

Entries = list[tuple[nn.Parameter, torch.Tensor]]


class Touching(NamedTuple):
    """Pairs of a parameter and a bool tensor of its shape: which of its entries."""

    incoming: Entries
    outgoing: Entries


def touching(module: SpikingModule, population: str, chosen: torch.Tensor) -> Touching:
    """Return the entries of weights that touch chosen neurons.

    A kernel is shared by a channel, so only channels count there all of whose neurons are chosen.

    Parameters
    ----------
    module
        The network.
    population
        Whose neurons.
    chosen
        bool ``[n]``.
    """
    found = Touching([], [])
    for edge, linear in zip(module.graph.edges, module.maps, strict=True):
        if not linear.learn:
            continue
        if edge.post == population:
            last, _ = list(_leaves(linear, ()))[-1]
            found.incoming.append((_held(last), _to(last, chosen)))
        if edge.pre == population:
            first, before = next(_leaves(linear, ()))
            alive = (~chosen).to(module.dtype)[None]
            for part in before:  # a pooled value is dead if all that it is made of is
                alive = part(alive)
            found.outgoing.append((_held(first), _from(first, alive[0] == 0)))
    return found


def _leaves(linear: LinearMap, before: tuple[LinearMap, ...]) -> Iterator[tuple[LinearMap, tuple[LinearMap, ...]]]:
    """Yield the maps that hold weights to learn, each with those before it in its chain."""
    if isinstance(linear, DelayedMap):
        yield from _leaves(linear.linear, before)
    elif isinstance(linear, ChainMap):
        for part in linear.parts:
            yield from _leaves(part, before)
            before = (*before, part)
    elif linear.learn:
        yield linear, before


def _held(linear: LinearMap) -> nn.Parameter:
    found: nn.Parameter = next(linear.parameters())
    return found


def _to(linear: LinearMap, chosen: torch.Tensor) -> torch.Tensor:
    """Return which weights of a map lead to chosen targets."""
    if isinstance(linear, SparseMap):
        return chosen[linear.columns]
    if isinstance(linear, DiagonalMap):
        return chosen
    weight = _held(linear)
    if isinstance(linear, Conv2dMap):
        return chosen.view(len(weight), -1).all(1)[:, None, None, None].expand(weight.shape)
    return chosen.expand(weight.shape)


def _from(linear: LinearMap, chosen: torch.Tensor) -> torch.Tensor:
    """Return which weights of a map lead away from chosen sources."""
    if isinstance(linear, SparseMap):
        return chosen[linear.rows]
    if isinstance(linear, DiagonalMap):
        return chosen
    weight = _held(linear)
    if isinstance(linear, Conv2dMap):
        return chosen.view(weight.shape[1], -1).all(1)[None, :, None, None].expand(weight.shape)
    return chosen[:, None].expand(weight.shape)


__all__ = ["Touching", "touching"]
