"""What training yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikesim.network import Network


@dataclass(frozen=True)
class Epoch:
    """Figures of one pass over the training samples.

    Parameters
    ----------
    number
        From 1.
    loss, accuracy
        Mean over the training samples, as they were seen (varied, while the weights change).
    validation_loss, validation_accuracy
        On the validation samples after the epoch; None without any.
    learning_rate
        In this epoch.
    seconds
        Wall time.
    """

    number: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and how it came about.

    Parameters
    ----------
    network
        The network with learned weights and parameters, weights on the grid on which sums are exact.
    history
        One entry per epoch.
    seed
        Of shuffling and augmentation.
    config
        Everything that was asked for.
    """

    network: Network
    history: tuple[Epoch, ...]
    seed: int
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(e.seconds for e in self.history)

    def __str__(self) -> str:
        """Say in one line how it went."""
        last = self.history[-1]
        held = "" if last.validation_accuracy is None else f", validation accuracy {last.validation_accuracy:.1%}"
        return (
            f"{self.network.name}: {len(self.history)} epochs in {self.seconds:.1f} s, "
            f"loss {last.loss:.3g}, training accuracy {last.accuracy:.1%}{held}"
        )
