"""Masks: which weights of a network there are while it learns, and a network without those that there are not.

A weight that a mask leaves out is 0, and so are its gradient and all that an optimiser remembers of it: a momentum that
went on would bring it back. Whoever decides about masks (:mod:`spikesim.sparsify.granet`) only calls :meth:`Masks.set`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Dense
from spikesim.lowering import lower
from spikesim.network import Network, Projection
from spikesim.sparsify.surgery import Synapses, cut, synapses_of

if TYPE_CHECKING:
    import torch

    from spikesim.train.upkeep import Ground

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

DENSER = 2 / 3
"""A full matrix with more than this share of synapses stays one: it takes 4 bytes a pair, a synapse of its own 6."""


class Masks:
    """Masks over the weights of one training.

    Parameters
    ----------
    ground
        The training.
    exempt
        Names of matrices without a mask.

    Attributes
    ----------
    matrices
        The matrices that have a mask.
    kept
        By name, a tensor of the type and shape of the weights: 1 where there is one, else 0.
    """

    def __init__(self, ground: Ground, exempt: frozenset[str] = frozenset()) -> None:
        self.matrices = tuple(m for m in ground.matrices if m.name not in exempt)
        self.kept = {m.name: m.weight.new_ones(m.weight.shape) for m in self.matrices}
        self.optimiser = ground.optimiser

    def gradients(self) -> None:
        """Take the gradients of what is masked away."""
        for matrix in self.matrices:
            if matrix.weight.grad is not None:
                matrix.weight.grad.mul_(self.kept[matrix.name])

    def weights(self) -> None:
        """Set weights and moments to 0 where they are masked."""
        for name, weight, *_ in self.matrices:
            weight.mul_(self.kept[name])
            moments(self.optimiser, weight, lambda moment, by=self.kept[name]: moment.mul_(by))

    def mask(self, name: str) -> Mask:
        """Return a mask, bool of the shape of the weights as they are held."""
        return np.asarray(self.kept[name].detach().cpu().numpy() > 0)

    def weight(self, name: str) -> Floats:
        """Return weights as they are held, float64."""
        (found,) = (m.weight for m in self.matrices if m.name == name)
        return np.asarray(found.detach().cpu().double().numpy())

    def set(self, masks: Mapping[str, Mask]) -> None:
        """Change masks, and set what they leave out to 0."""
        for name, mask in masks.items():
            kept = self.kept[name]
            kept.copy_(kept.new_tensor(mask))
        self.weights()

    def zero(self, name: str, entries: Mask) -> None:
        """Set some weights and their moments to 0; the mask stays."""
        (weight,) = (m.weight for m in self.matrices if m.name == name)
        chosen = self.kept[name].new_tensor(entries).bool()
        weight.masked_fill_(chosen, 0.0)
        moments(self.optimiser, weight, lambda moment: moment.masked_fill_(chosen, 0.0))

    def density(self) -> dict[str, float]:
        """Return the share of weights that there are, by name."""
        return {name: float(self.mask(name).mean()) for name in self.kept}


def moments(optimiser: torch.optim.Optimizer, weight: Any, change: Any) -> None:
    """Change in place all that an optimiser remembers of each entry of a parameter."""
    for value in optimiser.state.get(weight, {}).values():
        if getattr(value, "shape", None) == weight.shape:
            change(value)


def without_masked(network: Network, masks: Mapping[str, Mask]) -> Network:
    """Return a network in which masked weights are missing synapses, where that helps.

    A kernel keeps its zeros, and so does a full matrix with more than two thirds of its synapses, and one with a batch
    norm. Synaptic events are the same either way, as a weight of 0 is none.

    Parameters
    ----------
    network
        The network that was trained.
    masks
        By the names of matrices, bool as they are held while they learn: ``[n_pre, n_post]``, or ``[synapses]`` by
        source, then target.
    """
    edges = {e.name: e for e in lower(network, folded=False).edges}
    wanted: dict[str, Synapses] = {}
    for projection in network.projections:
        mask = masks.get(projection.name)
        if mask is not None and _helps(projection, mask):
            wanted[projection.name] = synapses_of(edges[projection.name]).only(mask.reshape(-1))
    return cut(network, {}, wanted) if wanted and not any(p.norm for p in network.projections) else network


def _helps(projection: Projection, mask: Mask) -> bool:
    if isinstance(projection.rule, Dense):
        return bool(mask.mean() <= DENSER)
    return mask.ndim == 1 and not mask.all()
