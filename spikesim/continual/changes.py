"""Scenarios whose tasks are the same classes seen otherwise: turned, or corrupted.

>>> from spikesim.data import load
>>> [Rotated(load("digits"), tasks=4).angle(k) for k in range(4)]
[0.0, 45.0, 90.0, 135.0]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spikesim.continual.replay import Labelled
from spikesim.continual.scenarios import OfDataset
from spikesim.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from spikesim.errors import UnknownNameError


@dataclass(frozen=True, eq=False)
class _SameClasses(OfDataset):
    """Images ``[samples, height, width]`` whose classes stay."""

    tasks: int = 5
    kind: str = "domain"
    seed: int = 0

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if self.kind == "class":
            yield "these tasks have no new classes; kind 'domain' or 'task' is allowed, found 'class'"
        if self.data.x_train.ndim != 3:
            shape = list(self.data.x_train.shape[1:])
            yield f"samples of {self.data.name!r} are {shape}; images [height, width] are needed"

    @property
    def outputs(self) -> int:
        """Output neurons that a network needs."""
        return len(self.data.classes)


@dataclass(frozen=True, eq=False)
class Rotated(_SameClasses):
    """The same images, turned further in every task.

    Parameters
    ----------
    data
        A data set of images.
    tasks
        How many.
    kind
        ``"domain"`` or ``"task"``.
    seed
        Not used: nothing is drawn.
    degrees
        The tasks are turned by ``0, degrees / tasks, 2 degrees / tasks, ...``, counter-clockwise, with bilinear
        interpolation; what comes in from outside is as dark as the darkest pixel.
    """

    degrees: float = 180.0

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"rotated {self.data.name}, {self.tasks} tasks, {self.kind}-incremental"

    def angle(self, number: int) -> float:
        """Return the angle of a task in degrees."""
        return self.degrees * number / self.tasks

    def _part(self, x: NDArray[Any], y: NDArray[np.int64], number: int, part: int) -> Labelled:
        images = self._scaled(x)
        if not number:
            return images, y
        around = float(images.min())  # 0, unless the data are normalised
        turned = ndimage.rotate(
            images, self.angle(number), axes=(2, 1), reshape=False, order=1, prefilter=False, cval=around
        )
        return np.asarray(turned, np.float32), y


CONDITIONS = ("clean", *(name for name in CORRUPTIONS if name != "lose_events"), "negative")
"""What :class:`Corrupted` does to images, in the order of the tasks: nothing, the corruptions of
:mod:`spikesim.data.corruptions`, and black for white."""


@dataclass(frozen=True, eq=False)
class Corrupted(_SameClasses):
    """The same images, spoilt in another way in every task; the first is clean.

    Parameters
    ----------
    data
        A data set of images.
    tasks
        How many; by default as many as there are ways.
    kind
        ``"domain"`` or ``"task"``.
    seed
        Of what is drawn; training and test samples have draws of their own.
    ways
        Names in :data:`CONDITIONS`, by task.
    severity
        1 to 5, see :func:`spikesim.data.corruptions.corrupt`.

    Examples
    --------
    >>> from spikesim.data import load
    >>> scenario = Corrupted(load("digits"), ways=("clean", "negative"), tasks=2)
    >>> clean, negative = (scenario.experience(k).x_test for k in range(2))
    >>> float(abs(1 - clean - negative).max())
    0.0
    """

    tasks: int = 5
    ways: tuple[str, ...] = CONDITIONS
    severity: int = 3

    def _problems(self) -> Iterator[str]:
        for way in self.ways:
            if way not in CONDITIONS:
                raise UnknownNameError("corruption", way, CONDITIONS)
        yield from super()._problems()
        if self.tasks > len(self.ways):
            yield f"there are {len(self.ways)} ways to corrupt, so at most so many tasks, found {self.tasks}"
        if self.severity not in SEVERITIES:
            yield f"severity must be a whole number from 1 to 5, found {self.severity!r}"

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"corrupted {self.data.name}, {self.tasks} tasks, {self.kind}-incremental"

    def _part(self, x: NDArray[Any], y: NDArray[np.int64], number: int, part: int) -> Labelled:
        images, way = self._scaled(x), self.ways[number]
        if way == "clean":
            return images, y
        if way == "negative":
            return 1 - images, y
        draw = int(np.random.SeedSequence((self.seed, number, part)).generate_state(1)[0])
        return np.asarray(corrupt(images, way, self.severity, seed=draw), np.float32), y
