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
        Mean over the training samples, as they were seen (varied, while the weights change). Accuracy is None for a
        regression.
    validation_loss, validation_accuracy
        On the validation samples after the epoch; None without any.
    learning_rate
        In its last batch.
    seconds
        Wall time.
    rmse, validation_rmse
        Root of the mean squared error, of a regression.
    """

    number: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    rmse: float | None = None
    validation_rmse: float | None = None

    def figures(self) -> str:
        """Say loss and accuracy in a few words."""
        parts = [f"loss {self.loss:.4g}", _figure("training", self.accuracy, self.rmse)]
        parts.append(_figure("validation", self.validation_accuracy, self.validation_rmse))
        return ", ".join(p for p in parts if p)


def _figure(what: str, accuracy: float | None, rmse: float | None) -> str:
    if accuracy is not None:
        return f"{what} accuracy {accuracy:.1%}"
    return "" if rmse is None else f"{what} RMSE {rmse:.4g}"


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and how it came about.

    Parameters
    ----------
    network
        The network with learned weights and parameters, weights on the grid on which sums are exact; the module itself
        where a ``torch.nn.Module`` was trained.
    history
        One entry per epoch.
    seed
        Of the split, shuffling and augmentation.
    config
        Everything that was asked for.
    interrupted
        Whether training was stopped by Ctrl-C before its end.
    products
        By projection, how its last product was computed: ``density`` of the input, ``crossover`` (the density below
        which going from event to event is faster, measured on this machine) and ``path``.
    upkeep
        What ``sparsity`` and ``cure`` did, by these names.
    """

    network: Network | Any
    history: tuple[Epoch, ...]
    seed: int
    config: Mapping[str, Any] = field(default_factory=dict)
    interrupted: bool = False
    products: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    upkeep: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(e.seconds for e in self.history)

    def __str__(self) -> str:
        """Say in one line how it went."""
        name = getattr(self.network, "name", type(self.network).__name__)
        said = f", {self.history[-1].figures()}" if self.history else ""
        return f"{name}: {len(self.history)} epochs in {self.seconds:.1f} s{said}"
