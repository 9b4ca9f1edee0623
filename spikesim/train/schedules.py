"""Learning-rate schedules: which share of the learning rate is used when. Pure functions of how far training is."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spikesim.errors import InvalidValueError, UnknownNameError


def constant(done: float, epochs: float) -> float:
    """Return 1."""
    return 1.0


def cosine(done: float, epochs: float, final: float = 0.0) -> float:
    """Fall from 1 to ``final`` along half a cosine (Loshchilov & Hutter, ICLR 2017, without restarts)."""
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done / epochs))


def linear(done: float, epochs: float, final: float = 0.0) -> float:
    """Fall from 1 to ``final`` along a line."""
    return 1.0 - (1.0 - final) * done / epochs


def step(done: float, epochs: float, every: float = 10.0, factor: float = 0.1) -> float:
    """Multiply by ``factor`` after every so many epochs."""
    return float(factor ** math.floor(done / every))


def one_cycle(done: float, epochs: float, rise: float = 0.3, start: float = 0.04, final: float = 4e-6) -> float:
    """Rise from ``start`` to 1 over the share ``rise`` of training, then fall to ``final``, both along half a cosine.

    After Smith & Topin, arXiv 1708.07120; the optimiser's momentum stays as it is.
    """
    part = done / epochs
    if part < rise:
        return start + (1.0 - start) * 0.5 * (1.0 - math.cos(math.pi * part / rise))
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * (part - rise) / (1.0 - rise)))


def plateau(monitored: Sequence[float], factor: float = 0.5, wait: int = 5) -> float:
    """Multiply by ``factor`` when the monitored figure has not improved for more than ``wait`` epochs.

    Parameters
    ----------
    monitored
        What was monitored after each epoch so far; smaller is better.
    factor, wait
        Counting begins anew after each reduction.
    """
    share, best, bad = 1.0, math.inf, 0
    for value in monitored:
        best, bad = (value, 0) if value < best else (best, bad + 1)
        if bad > wait:
            share, bad = share * factor, 0
    return share


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "step": step,
    "one_cycle": one_cycle,
    "plateau": plateau,
}
ENDLESS = ("constant", "step", "plateau")  # do not depend on the number of epochs
POSITIONAL = ("done", "epochs", "monitored")


@dataclass(frozen=True)
class Schedule:
    """A schedule with its settings.

    Parameters
    ----------
    name
        A name in :data:`SCHEDULES`.
    epochs
        In all.
    warmup
        Epochs at the beginning over which the learning rate rises along a line; the schedule begins after them.
    settings
        Of the schedule.

    Raises
    ------
    UnknownNameError
        If there is no such schedule or setting.
    InvalidValueError
        If a setting is out of range.

    Examples
    --------
    >>> halving = Schedule("step", epochs=4, settings={"every": 2, "factor": 0.5})
    >>> [halving(done) for done in (0.0, 1.9, 2.0)]
    [1.0, 1.0, 0.5]
    """

    name: str
    epochs: int
    warmup: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise UnknownNameError("schedule", self.name, list(SCHEDULES))
        allowed = [p for p in inspect.signature(SCHEDULES[self.name]).parameters if p not in POSITIONAL]
        for key in self.settings:
            if key not in allowed:
                raise UnknownNameError(f"setting of schedule {self.name!r}:", key, allowed)
        if problems := list(self._problems()):
            raise InvalidValueError("\n".join(problems))

    def _problems(self) -> list[str]:
        found = []
        if not 0.0 <= self.warmup < self.epochs:
            found.append(f"warmup must be from 0 to below epochs ({self.epochs}), found {self.warmup!r}")
        if self.warmup and self.name == "one_cycle":
            found.append("schedule 'one_cycle' has a warm-up of its own; set its setting 'rise' in place of warmup")
        for key, value in self.settings.items():
            number = isinstance(value, (int, float))
            if not number or not (value >= 0 if key == "wait" else value > 0 if key != "final" else 0 <= value <= 1):
                found.append(f"{key} of schedule {self.name!r} must be a number above 0, found {value!r}")
            elif key == "rise" and not value < 1:
                found.append(f"rise of schedule {self.name!r} must be below 1, found {value!r}")
        return found

    def __call__(self, done: float, batch: float = 0.0, monitored: Sequence[float] = ()) -> float:
        """Return the share of the learning rate for a batch.

        Parameters
        ----------
        done
            Epochs done, with fractions, at the beginning of the batch.
        batch
            The batch's share of an epoch; the warm-up counts it as done, so that the first rate is not 0.
        monitored
            The monitored figure after each epoch so far; smaller is better.
        """
        if done < self.warmup:
            return min(1.0, (done + batch) / self.warmup)
        if self.name == "plateau":
            return plateau(monitored, **self.settings)
        return SCHEDULES[self.name](done - self.warmup, self.epochs - self.warmup, **self.settings)


def without_improvement(monitored: Sequence[float]) -> int:
    """Return how many epochs have passed since the best one (the first of equals).

    >>> without_improvement([0.9, 0.5, 0.7, 0.5])
    2
    """
    return len(monitored) - 1 - min(range(len(monitored)), key=monitored.__getitem__) if monitored else 0
