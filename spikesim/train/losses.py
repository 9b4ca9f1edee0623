"""Losses by name: functions of scores ``[samples, classes]``, labels ``[samples]`` and the number of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikesim.errors import UnknownNameError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Loss:
    """A loss, bound to its settings.

    Parameters
    ----------
    name
        A name in :data:`LOSSES`.
    function
        ``function(scores, labels, steps)``.
    readout
        The read-out that it is made for.
    """

    name: str
    function: Callable[[Any, Any, int], Any]
    readout: str

    def __call__(self, scores: torch.Tensor, labels: torch.Tensor, steps: int) -> torch.Tensor:
        """Return the loss, averaged over the samples."""
        value: torch.Tensor = self.function(scores, labels, steps)
        return value


def rate_cross_entropy(scores: Any, labels: Any, steps: int, scale: float = 1.0) -> Any:
    """Cross-entropy of the softmax of ``scale`` times the spike counts."""
    from torch.nn import functional

    return functional.cross_entropy(scores * scale, labels)


def membrane_cross_entropy(scores: Any, labels: Any, steps: int, scale: float = 1.0) -> Any:
    """Cross-entropy of the softmax of ``scale`` times the membrane read-out."""
    from torch.nn import functional

    return functional.cross_entropy(scores * scale, labels)


def count_mse(scores: Any, labels: Any, steps: int, correct: float = 0.8, wrong: float = 0.1) -> Any:
    """Mean squared difference of the rates (spikes per step) from one target for the label, one for other classes."""
    from torch.nn import functional

    hot = functional.one_hot(labels, scores.shape[1]).to(scores.dtype)
    return functional.mse_loss(scores / steps, wrong + (correct - wrong) * hot)


LOSSES: dict[str, tuple[Callable[..., Any], str]] = {
    "rate_cross_entropy": (rate_cross_entropy, "rate"),
    "membrane_cross_entropy": (membrane_cross_entropy, "membrane_mean"),
    "count_mse": (count_mse, "rate"),
}


def loss(name: str, **settings: float) -> Loss:
    """Return a loss by name.

    Raises
    ------
    UnknownNameError
        If there is no such loss.
    """
    if name not in LOSSES:
        raise UnknownNameError("loss", name, list(LOSSES))
    function, readout = LOSSES[name]
    return Loss(name, lambda scores, labels, steps: function(scores, labels, steps, **settings), readout)


def rate_penalty(rasters: Iterable[torch.Tensor], target: float = 0.0) -> torch.Tensor | float:
    """Return the mean squared excess of the neurons' firing rates (spikes per step) over a target.

    Parameters
    ----------
    rasters
        Spikes ``[steps, samples, n]``, one per population.
    target
        Rate up to which firing costs nothing.
    """
    terms = [(r.mean((0, 1)) - target).clamp(min=0.0).square().mean() for r in rasters]
    return sum(terms) / len(terms) if terms else 0.0
