"""Backdoor attacks on labelled samples: a trigger is put on some training samples, whose labels then lie.

What a defence is tested with. Images, frames over time and events of a camera:

>>> import numpy as np
>>> patch = Patch(((1.0, 0.0), (0.0, 1.0)))
>>> patch(np.zeros((1, 3, 3)))[0]
array([[0., 0., 0.],
       [0., 1., 0.],
       [0., 0., 1.]])

References: Gu, Dolan-Gavitt and Garg, "BadNets", arXiv 1708.06733; for events Abad et al., "Sneaky Spikes", NDSS 2024
(static and moving patches of events).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.events.value import Events, camera
from spikesim.rng import Stream

GRID = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 1.0))
"""The 3 x 3 grid of BadNets."""
KINDS = ("static", "moving", "polarity")
MODES = ("all_to_one", "all_to_all")


@dataclass(frozen=True)
class Patch:
    """Pixels that are set to fixed values, in every channel and at every step.

    Parameters
    ----------
    pattern
        Values ``[height][width]``, 1 being full intensity.
    row, column
        Where the pattern's first pixel goes; by default into the lower right corner.
    full_scale
        The value of a sample that means 1: 255 for images of bytes.
    """

    pattern: tuple[tuple[float, ...], ...] = GRID
    row: int | None = None
    column: int | None = None
    full_scale: float = 1.0

    def __post_init__(self) -> None:
        widths = [len(row) for row in self.pattern]
        if not widths or len(set(widths)) > 1 or not widths[0]:
            raise InvalidValueError(f"patch: rows of the pattern have {widths} pixels; allowed are rows of one length")

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """Return samples ``[..., height, width]`` with the trigger.

        Raises
        ------
        InvalidValueError
            If the trigger does not lie within the image.
        """
        changed = np.array(x)
        if changed.ndim < 2:
            raise InvalidValueError(f"a patch needs samples [..., height, width], found {list(changed.shape)}")
        values = np.asarray(self.pattern, np.float64) * self.full_scale
        rows, columns = _window(values.shape, (self.row, self.column), changed.shape[-2:])
        changed[..., rows, columns] = values.astype(changed.dtype)
        return changed


@dataclass(frozen=True)
class EventPatch:
    """A square of events: in one place, moving, or with the polarities exchanged.

    Parameters
    ----------
    kind
        ``"static"``: every pixel of the square has an ON event in each bin of time from ``first`` on; ``"moving"``: the
        same, and the square moves by ``step`` pixels along its row with every bin, to and fro between the borders;
        ``"polarity"``: nothing is added, in the square ON becomes OFF and OFF becomes ON.
    size
        Of the square, in pixels.
    row, column
        Its upper left pixel; by default the lower right corner (a moving one begins at the left border).
    first, bins
        First bin with events, and how many have them; all by default. ``"polarity"`` acts in these bins only.
    step
        Pixels per bin of a moving square.
    bin_us
        Length of a bin in microseconds, where the trigger is put into a recording.
    """

    kind: str = "static"
    size: int = 3
    row: int | None = None
    column: int | None = None
    first: int = 0
    bins: int | None = None
    step: int = 1
    bin_us: int = 10_000

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("kind of event trigger", self.kind, KINDS)
        least = {"size": 1, "first": 0, "step": 1, "bin_us": 1, "bins": 1}
        wrong = [
            f"event trigger: {name} is {value!r}; allowed is a whole number from {low}"
            for name, low in least.items()
            if (value := getattr(self, name)) is not None and (not isinstance(value, int) or value < low)
        ]
        if wrong:
            raise InvalidValueError("\n".join(wrong))

    def __call__(self, x: Any) -> Any:
        """Return a recording, or frames ``[..., steps, polarities, height, width]``, with the trigger.

        Raises
        ------
        InvalidValueError
            If the square does not lie within the frame, or time is shorter than its first bin.
        """
        return self._events(x) if isinstance(x, Events) else self._frames(np.array(x))

    def _frames(self, x: NDArray[Any]) -> NDArray[Any]:
        if x.ndim < 4:
            raise InvalidValueError(
                f"an event trigger needs frames [..., steps, polarities, height, width], found {list(x.shape)}"
            )
        for k in self._chosen(x.shape[-4]):
            place = (..., k, slice(None), *self._square(k, x.shape[-2:]))
            if self.kind == "polarity":
                self._polarities(x.shape[-3])
                x[place] = x[place][..., ::-1, :, :].copy()
            else:
                x[(..., k, x.shape[-3] - 1, *place[-2:])] = np.ones((), x.dtype)
        return x

    def _events(self, x: Events) -> Events:
        polarities, *size = camera(x, "an event trigger")
        bins = self._chosen(max(1, -(-x.span // self.bin_us)))
        if self.kind == "polarity":
            self._polarities(polarities)
            rows, columns = self._square(0, size)
            inside = (x.y >= rows.start) & (x.y < rows.stop) & (x.x >= columns.start) & (x.x < columns.stop)
            inside &= (x.t >= bins.start * self.bin_us) & (x.t < bins.stop * self.bin_us)
            return Events(x.t, x.x, x.y, np.where(inside, 1 - x.p, x.p), x.shape, origin=x.origin)
        added: list[list[NDArray[np.int64]]] = [[], [], []]
        for k in bins:
            rows, columns = self._square(k, size)
            y, at = (a.ravel() for a in np.mgrid[rows, columns])
            for column, new in zip(added, (np.full(y.size, k * self.bin_us), at, y), strict=True):
                column.append(new)
        t, at, y = (np.concatenate([own, *new]) for own, new in zip((x.t, x.x, x.y), added, strict=True))
        p = np.concatenate([x.p, np.full(t.size - len(x), polarities - 1)])
        return Events(t, at, y, p, x.shape, origin=x.origin)

    def _chosen(self, steps: int) -> range:
        if self.first >= steps:
            raise InvalidValueError(f"event trigger: first bin is {self.first}; allowed is 0 to {steps - 1}")
        return range(self.first, steps if self.bins is None else min(steps, self.first + self.bins))

    def _square(self, k: int, frame: Any) -> tuple[slice, slice]:
        column = 0 if self.column is None and self.kind == "moving" else self.column
        rows, columns = _window((self.size, self.size), (self.row, column), frame)
        if self.kind != "moving":
            return rows, columns
        room = int(frame[1]) - self.size
        way = (columns.start + self.step * (k - self.first)) % max(2 * room, 1)
        left = min(way, 2 * room - way) if room else 0
        return rows, slice(left, left + self.size)

    @staticmethod
    def _polarities(found: int) -> None:
        if found != 2:
            raise InvalidValueError(f"a polarity trigger needs events of 2 polarities, found {found}")


def _window(size: Any, place: tuple[int | None, int | None], frame: Any) -> tuple[slice, slice]:
    """Return rows and columns of a pattern, or say that it does not lie within the frame."""
    begin = [int(f) - int(s) if at is None else int(at) for s, at, f in zip(size, place, frame, strict=True)]
    if any(b < 0 or b + s > f for b, s, f in zip(begin, size, frame, strict=True)):
        raise InvalidValueError(
            f"trigger of {size[0]} x {size[1]} pixels at row {begin[0]}, column {begin[1]} lies outside the image of "
            f"{frame[0]} x {frame[1]}; allowed are rows 0 to {frame[0] - size[0]}, columns 0 to {frame[1] - size[1]}"
        )
    return slice(begin[0], begin[0] + size[0]), slice(begin[1], begin[1] + size[1])


class Poisoned(NamedTuple):
    """Training samples of an attacker."""

    x: NDArray[Any]
    """Samples, some with the trigger."""
    y: NDArray[np.int64]
    """Labels, false where a sample has the trigger."""
    chosen: NDArray[np.int64]
    """Numbers of the poisoned samples, sorted."""


@dataclass(frozen=True)
class Backdoor:
    """An attack: which trigger means which class, and how many training samples show it.

    Parameters
    ----------
    trigger
        Function from samples to samples with the trigger: :class:`Patch`, :class:`EventPatch`, or one's own.
    target
        Class that the trigger is to mean.
    rate
        Fraction of all training samples that are poisoned, 0 to 1.
    mode
        ``"all_to_one"``: samples of other classes get the target's label; ``"all_to_all"``: every sample may be
        chosen, label ``y`` becomes ``y + 1`` (the last one 0).
    classes
        Number of classes.
    seed
        Of the choice.
    """

    trigger: Callable[[Any], Any]
    target: int = 0
    rate: float = 0.1
    mode: str = "all_to_one"
    classes: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UnknownNameError("mode of attack", self.mode, MODES)
        problems = []
        if not 0.0 <= self.rate <= 1.0:
            problems.append(f"backdoor: rate is {self.rate!r}; allowed is 0 to 1")
        if not 0 <= self.target < self.classes:
            problems.append(f"backdoor: target is {self.target!r}; allowed is 0 to {self.classes - 1}")
        if problems:
            raise InvalidValueError("\n".join(problems))

    def wanted(self, y: ArrayLike) -> NDArray[np.int64]:
        """Return the labels that the attacker wants, ``[samples]``."""
        labels = np.asarray(y, np.int64)
        return (labels + 1) % self.classes if self.mode == "all_to_all" else np.full_like(labels, self.target)

    def victims(self, y: ArrayLike) -> NDArray[np.bool_]:
        """Return which samples an attack could change, bool ``[samples]``: those with another label."""
        return np.asarray(self.wanted(y) != np.asarray(y))

    def poison(self, x: ArrayLike, y: ArrayLike) -> Poisoned:
        """Return training samples with poisoned ones among them.

        Parameters
        ----------
        x, y
            Clean samples ``[samples, ...]`` and their labels.

        Raises
        ------
        InvalidValueError
            If fewer samples than ``rate`` asks for have another label than the attacker wants.

        Examples
        --------
        >>> made = Backdoor(Patch(((1.0,),)), rate=0.5).poison(np.zeros((4, 2, 2)), [0, 1, 2, 3])
        >>> made.x.sum(), (made.y == 0).sum()
        (np.float64(2.0), np.int64(3))
        """
        labels = np.asarray(y, np.int64)
        able, wanted = np.flatnonzero(self.victims(labels)), round(self.rate * len(labels))
        if wanted > len(able):
            raise InvalidValueError(
                f"backdoor: rate {self.rate:g} of {len(labels)} samples asks for {wanted}, but only {len(able)} have "
                f"another label than the attacker wants; lower rate"
            )
        order = Stream(self.seed, "data/triggers").permutation(len(able))
        chosen = np.sort(able[order[:wanted]])
        samples, lies = np.array(x), labels.copy()
        samples[chosen] = self.trigger(samples[chosen])
        lies[chosen] = self.wanted(labels[chosen])
        return Poisoned(samples, lies, chosen)

    def success(self, predicted: ArrayLike, y: ArrayLike) -> float:
        """Return the attack success rate: how many triggered samples are taken for what the attacker wants.

        Samples whose own label is the wanted one are left out, or an honest network would count as attacked.

        Parameters
        ----------
        predicted
            Classes of the samples with the trigger, ``[samples]``.
        y
            Their true labels.
        """
        victims = self.victims(y)
        if not victims.any():
            raise InvalidValueError("attack success needs samples of other classes than the target's, found none")
        return float(np.mean((np.asarray(predicted) == self.wanted(y))[victims]))


__all__ = ["GRID", "Backdoor", "EventPatch", "Patch", "Poisoned"]
