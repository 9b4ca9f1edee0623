"""Losses by the names of the field, and regularisers of firing rates."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.train.readout import within

if TYPE_CHECKING:
    import torch

MEMBRANE = ("membrane_mean", "membrane_max", "membrane_last")


@dataclass(frozen=True)
class Loss:
    """A loss, bound to its settings.

    Parameters
    ----------
    name
        A name in :data:`LOSSES`.
    function
        ``function(given, target, steps, lengths)``.
    readouts
        The read-outs that it fits; the first is the one it is made for.
    over_time
        Whether ``given`` is the last population over time and not its scores.
    regression
        Whether the target is made of values and not of class numbers.
    """

    name: str
    function: Callable[[Any, Any, Any, Any], Any]
    readouts: tuple[str, ...]
    over_time: bool = False
    regression: bool = False

    @property
    def readout(self) -> str:
        """The read-out that it is made for."""
        return self.readouts[0]

    def __call__(
        self, given: torch.Tensor, target: torch.Tensor, steps: int, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss, averaged over the samples.

        Parameters
        ----------
        given
            Scores ``[samples, n]``; for a loss over time, spikes or membranes ``[steps, samples, n]``.
        target
            Class numbers ``[samples]``, or values ``[samples, n]`` or ``[samples, steps, n]``.
        steps
            Steps per sample.
        lengths
            Steps of each sample that count, int64 ``[samples]``; all by default.
        """
        value: torch.Tensor = self.function(given, target, steps, lengths)
        return value


def _cross_entropy(scores: Any, labels: Any, steps: int, lengths: Any, scale: float = 1.0) -> Any:
    from torch.nn import functional

    return functional.cross_entropy(scores * scale, labels)


def rate_cross_entropy(scores: Any, labels: Any, steps: int, lengths: Any = None, scale: float = 1.0) -> Any:
    """Cross-entropy of the softmax of ``scale`` times the spike counts."""
    return _cross_entropy(scores, labels, steps, lengths, scale)


def membrane_cross_entropy(scores: Any, labels: Any, steps: int, lengths: Any = None, scale: float = 1.0) -> Any:
    """Cross-entropy of the softmax of ``scale`` times the membrane read-out (mean over time, maximum or last)."""
    return _cross_entropy(scores, labels, steps, lengths, scale)


def latency_cross_entropy(scores: Any, labels: Any, steps: int, lengths: Any = None, scale: float = 1.0) -> Any:
    """Cross-entropy of the softmax of minus ``scale`` times the first spike times: the class should fire first.

    See :func:`spikesim.train.readout.first_spike` for the derivative of a spike time. A network that never fires has no
    gradient towards firing other than the surrogate's.
    """
    return _cross_entropy(scores, labels, steps, lengths, scale)


def count_mse(
    scores: Any, labels: Any, steps: int, lengths: Any = None, correct: float = 0.8, wrong: float = 0.1
) -> Any:
    """Mean squared difference of the rates (spikes per step) from one target for the label, one for other classes."""
    from torch.nn import functional

    hot = functional.one_hot(labels, scores.shape[1]).to(scores.dtype)
    rates = scores / (steps if lengths is None else lengths[:, None])
    return functional.mse_loss(rates, wrong + (correct - wrong) * hot)


def step_cross_entropy(values: Any, labels: Any, steps: int, lengths: Any = None, scale: float = 1.0) -> Any:
    """Cross-entropy at every step, of ``scale`` times that step's spikes or membranes, averaged over the steps.

    As in online training through time (Xiao et al., NeurIPS 2022) and temporal efficient training.
    """
    from torch.nn import functional

    each = functional.cross_entropy((values * scale).flatten(0, 1), labels.repeat(len(values)), reduction="none")
    return _mean_over_time(each.view(values.shape[:2]), lengths)


def tet(
    values: Any,
    labels: Any,
    steps: int,
    lengths: Any = None,
    scale: float = 1.0,
    lam: float = 0.05,
    target: float = 1.0,
) -> Any:
    """Temporal efficient training: per-step cross-entropy, and a pull of all outputs towards one value.

    ``(1 - lam) mean_t CE(o[t]) + lam mean_t MSE(o[t], target)``, the target being the threshold (Deng et al., "Temporal
    Efficient Training of Spiking Neural Network via Gradient Re-weighting", ICLR 2022, equations 8 to 10). The default
    of ``lam`` is this library's.
    """
    pulled = _mean_over_time((values - target).square().mean(2), lengths)
    return (1.0 - lam) * step_cross_entropy(values, labels, steps, lengths, scale) + lam * pulled


def mse(given: Any, target: Any, steps: int, lengths: Any = None) -> Any:
    """Mean squared error: of the scores, or of every step where the targets go over time."""
    error = (given - aligned(target)).square().mean(-1)
    return _mean_over_time(error, lengths) if target.ndim == 3 else error.mean()


def aligned(target: Any) -> Any:
    """Return targets in the order of a module's outputs, ``[steps, samples, n]`` where they go over time."""
    return target.transpose(0, 1) if target.ndim == 3 else target


def _mean_over_time(each: Any, lengths: Any) -> Any:
    """Average ``[steps, samples]`` over the real steps of each sample, then over the samples."""
    if lengths is None:
        return each.mean()
    return ((each * within(lengths, len(each))[:, :, 0]).sum(0) / lengths).mean()


ANY = ("rate", *MEMBRANE)
LOSSES: dict[str, Loss] = {
    "rate_cross_entropy": Loss("rate_cross_entropy", rate_cross_entropy, ("rate",)),
    "membrane_cross_entropy": Loss("membrane_cross_entropy", membrane_cross_entropy, MEMBRANE),
    "max_membrane_cross_entropy": Loss("max_membrane_cross_entropy", membrane_cross_entropy, ("membrane_max",)),
    "step_cross_entropy": Loss("step_cross_entropy", step_cross_entropy, ANY, over_time=True),
    "tet": Loss("tet", tet, ANY, over_time=True),
    "latency_cross_entropy": Loss("latency_cross_entropy", latency_cross_entropy, ("latency",)),
    "count_mse": Loss("count_mse", count_mse, ("rate",)),
    "mse": Loss("mse", mse, (*MEMBRANE, "rate"), regression=True),
}
ALIASES = {  # the names that snnTorch has for them, and shorter ones
    "ce_count_loss": "rate_cross_entropy",
    "ce_rate_loss": "step_cross_entropy",
    "ce_max_membrane_loss": "max_membrane_cross_entropy",
    "ce_temporal_loss": "latency_cross_entropy",
    "latency": "latency_cross_entropy",
}


def loss(name: str, **settings: float) -> Loss:
    """Return a loss by name.

    Parameters
    ----------
    name
        A name in :data:`LOSSES` or :data:`ALIASES`.
    **settings
        Of the loss: ``scale``, ``correct``, ``wrong``, ``lam``, ``target``.

    Raises
    ------
    UnknownNameError
        If there is no such loss, or it has no such setting.
    """
    name = ALIASES.get(name, name)
    if name not in LOSSES:
        raise UnknownNameError("loss", name, list(LOSSES))
    found = LOSSES[name]
    allowed = list(inspect.signature(found.function).parameters)[4:]
    for key in settings:
        if key not in allowed:
            raise UnknownNameError(f"setting of loss {name!r}:", key, allowed)

    def function(given: Any, target: Any, steps: int, lengths: Any) -> Any:
        return found.function(given, target, steps, lengths, **settings)

    return Loss(name, function, found.readouts, found.over_time, found.regression)


# ------------------------------------------------------------------------------------------------ regularisers
@dataclass(frozen=True)
class RateRegulariser:
    """A cost of firing rates (spikes per step) outside a range, averaged over the neurons of each population.

    A neuron's rate is its mean over the steps and the samples of a batch.

    Parameters
    ----------
    strength
        Factor of the cost.
    upper, lower
        The range; None for no bound.
    norm
        2: the square of what is outside; 1: its absolute value.
    populations
        Which; by default all but the last.

    Raises
    ------
    InvalidValueError
        If no bound is given, the range is empty, or the norm is neither 1 nor 2.
    """

    strength: float = 1.0
    upper: float | None = 0.0
    lower: float | None = None
    norm: int = 2
    populations: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.upper is None and self.lower is None:
            problems.append("a rate regulariser needs an upper or a lower bound")
        if self.upper is not None and self.lower is not None and self.lower > self.upper:
            problems.append(f"lower ({self.lower}) must not be above upper ({self.upper})")
        if self.norm not in (1, 2):
            problems.append(f"norm must be 1 or 2, found {self.norm!r}")
        if not self.strength >= 0:
            problems.append(f"strength must be at least 0, found {self.strength!r}")
        if problems:
            raise InvalidValueError("\n".join(problems))

    def __call__(self, rasters: Mapping[str, torch.Tensor]) -> torch.Tensor | float:
        """Return the cost, averaged over the populations.

        Parameters
        ----------
        rasters
            Spikes ``[steps, samples, n]`` by population.
        """
        chosen = [r for name, r in rasters.items() if self.populations is None or name in self.populations]
        terms = [self._cost(r.flatten(2).mean((0, 1))) for r in chosen]
        return self.strength * sum(terms) / len(terms) if terms else 0.0

    def _cost(self, rates: torch.Tensor) -> torch.Tensor:
        import torch

        outside = torch.zeros_like(rates)
        if self.upper is not None:
            outside = outside + (rates - self.upper).clamp(min=0.0)
        if self.lower is not None:
            outside = outside + (self.lower - rates).clamp(min=0.0)
        return (outside if self.norm == 1 else outside.square()).mean()


def rate_penalty(rasters: Iterable[torch.Tensor], target: float = 0.0) -> torch.Tensor | float:
    """Return the mean squared excess of the neurons' firing rates (spikes per step) over a target.

    Parameters
    ----------
    rasters
        Spikes ``[steps, samples, n]``, one per population.
    target
        Rate up to which firing costs nothing.
    """
    return RateRegulariser(upper=target)({str(k): r for k, r in enumerate(rasters)})
