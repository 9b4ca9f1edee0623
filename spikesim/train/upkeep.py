"""What looks after a network while it learns: it sees gradients and spikes, and may change weights after a step.

Masks and the cures of dormant neurons (:mod:`spikesim.sparsify`) are such. All that one remembers are tensors which it
changes in place; they travel in the module's ``state_dict``, so training that is resumed goes on with the same bits,
and the best weights come back with the masks that they had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

PLACE = "spikesim_upkeep"
"""What the names of the buffers that hold their tensors begin with."""


class Matrix(NamedTuple):
    """Weights that are learned.

    Parameters
    ----------
    name
        Of the projection, ``name/k`` in a chain of several; of a user's module the parameter's.
    weight
        As it is held: ``[n_pre, n_post]``, ``[synapses]``, a kernel of four dimensions.
    dims
        Of the matrix or kernel that they are part of.
    readout
        Whether it leads to the last population.
    """

    name: str
    weight: nn.Parameter
    dims: tuple[int, ...]
    readout: bool


@dataclass(frozen=True, eq=False)
class Ground:
    """What there is to look after.

    Parameters
    ----------
    module
        What learns.
    matrices
        Its learned weights.
    optimiser
        With the moments of every parameter in its ``state``.
    batches
        Of the whole training.
    seed
        Of the training.
    hidden
        Neurons of each spiking population before the last one, by name.
    """

    module: nn.Module
    matrices: tuple[Matrix, ...]
    optimiser: torch.optim.Optimizer
    batches: int
    seed: int
    hidden: Mapping[str, int] = field(default_factory=dict)


class Attendant(Protocol):
    """Looks after one training. Gradients are not followed while it is called."""

    @property
    def settled(self) -> float:
        """Share of training after which weights may be chosen as the best ones, 0 to 1."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all that it remembers, to be changed in place only."""

    def watch(self, rasters: Mapping[str, torch.Tensor]) -> None:
        """See the spikes of the populations before the last one, ``[steps, samples, n]``, of a training batch."""

    def gradients(self) -> None:
        """See the gradients, before they are clipped and the optimiser takes its step."""

    def stepped(self) -> None:
        """Act after an optimiser's step."""

    def batch(self) -> None:
        """Act after a batch, which is one step of the optimiser or several."""

    def report(self) -> dict[str, Any]:
        """Return what happened, as plain values."""


class Upkeep(Protocol):
    """The plan of an attendant, a frozen value."""

    def attend(self, ground: Ground) -> Attendant:
        """Begin with a training."""
        ...


class Attendants:
    """All who look after one training; nobody is a choice too.

    Parameters
    ----------
    plans
        By the name of the setting that asked for it, in the order in which they act; None for nobody.
    ground
        What there is to look after.
    """

    def __init__(self, plans: Mapping[str, Upkeep | None], ground: Ground) -> None:
        self.module = ground.module
        with torch.no_grad():
            self.all = {name: plan.attend(ground) for name, plan in plans.items() if plan is not None}
        for name, attendant in self.all.items():
            for key, tensor in attendant.tensors().items():
                self.module.register_buffer(f"{PLACE}_{name}_{key}", tensor)

    @property
    def settled(self) -> float:
        """Share of training after which weights may be chosen as the best ones."""
        return max((a.settled for a in self.all.values()), default=0.0)

    def watch(self, rasters: Mapping[str, torch.Tensor]) -> None:
        """Show spikes, those of training only."""
        if self.module.training:
            with torch.no_grad():
                for attendant in self.all.values():
                    attendant.watch(rasters)

    def call(self, moment: str) -> None:
        """Call a method of each."""
        with torch.no_grad():
            for attendant in self.all.values():
                getattr(attendant, moment)()

    def masks(self) -> dict[str, Any]:
        """Return which weights there are, bool by the name of their matrix and as that is held, where some are not."""
        return {k: v for a in self.all.values() for k, v in getattr(a, "masks", dict)().items()}

    def leave(self) -> dict[str, dict[str, Any]]:
        """Take their tensors out of the module, and return what happened, by the name of the setting."""
        for name in [n for n, _ in self.module.named_buffers(recurse=False) if n.startswith(PLACE)]:
            delattr(self.module, name)
        return {name: attendant.report() for name, attendant in self.all.items()}
