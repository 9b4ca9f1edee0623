"""Scenarios whose tasks are the same classes seen otherwise: turned, or corrupted.

>>> from spikesim.data import load
>>> [Rotated(load("digits"), tasks=4).angle(k) for k in range(4)]
[0.0, 45.0, 90.0, 135.0]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spikesim.continual.replay import Labelled
from spikesim.continual.scenarios import OfDataset
from spikesim.errors import UnknownNameError

Images = NDArray[np.float32]


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


def _noise(x: Images, generator: np.random.Generator, severity: float) -> Images:
    return np.clip(x + generator.normal(0.0, 0.3 * severity, x.shape).astype(np.float32), 0.0, 1.0)


def _specks(x: Images, generator: np.random.Generator, severity: float) -> Images:
    hit = generator.random(x.shape) < 0.15 * severity
    return np.where(hit, generator.integers(0, 2, x.shape).astype(np.float32), x)


def _blur(x: Images, generator: np.random.Generator, severity: float) -> Images:
    width = severity * x.shape[-1] / 20
    return np.asarray(ndimage.gaussian_filter(x, (0, width, width)), np.float32)


def _occlusion(x: Images, generator: np.random.Generator, severity: float) -> Images:
    height, width = x.shape[1:]
    side = max(1, round(min(height, width) * min(0.35 * severity, 1.0)))
    top, left = generator.integers(0, height - side + 1, len(x)), generator.integers(0, width - side + 1, len(x))
    rows, columns = np.arange(height) - top[:, None], np.arange(width) - left[:, None]
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    return np.where(inside, np.float32(0), x)


def _contrast(x: Images, generator: np.random.Generator, severity: float) -> Images:
    return np.asarray(x * np.float32(1 / (1 + 1.5 * severity)), np.float32)


def _stripes(x: Images, generator: np.random.Generator, severity: float) -> Images:
    lit = np.arange(x.shape[1])[:, None] % 4 == 0
    return np.where(lit, np.maximum(x, np.float32(min(0.6 * severity, 1.0))), x)


CORRUPTIONS: dict[str, Callable[[Images, np.random.Generator, float], Images]] = {
    "clean": lambda x, generator, severity: x,
    "noise": _noise,
    "blur": _blur,
    "occlusion": _occlusion,
    "specks": _specks,
    "contrast": _contrast,
    "stripes": _stripes,
    "negative": lambda x, generator, severity: 1 - x,
}
"""Changes of images in [0, 1], in the order of the tasks: nothing, normal noise (standard deviation 0.3), a Gaussian
blur (a twentieth of the width), a black square (35 % of a side), black and white specks (15 %), contrast divided by
2.5, bright lines, black for white; all for severity 1."""


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
        Names in :data:`CORRUPTIONS`, by task.
    severity
        1 as described there.

    Examples
    --------
    >>> from spikesim.data import load
    >>> scenario = Corrupted(load("digits"), ways=("clean", "negative"), tasks=2)
    >>> clean, negative = (scenario.experience(k).x_test for k in range(2))
    >>> float(abs(1 - clean - negative).max())
    0.0
    """

    tasks: int = 5
    ways: tuple[str, ...] = tuple(CORRUPTIONS)
    severity: float = 1.0

    def _problems(self) -> Iterator[str]:
        for way in self.ways:
            if way not in CORRUPTIONS:
                raise UnknownNameError("corruption", way, list(CORRUPTIONS))
        yield from super()._problems()
        if self.tasks > len(self.ways):
            yield f"there are {len(self.ways)} ways to corrupt, so at most so many tasks, found {self.tasks}"
        if not self.severity > 0:
            yield f"severity must be above 0, found {self.severity!r}"

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"corrupted {self.data.name}, {self.tasks} tasks, {self.kind}-incremental"

    def _part(self, x: NDArray[Any], y: NDArray[np.int64], number: int, part: int) -> Labelled:
        generator = np.random.default_rng((self.seed, number, part))
        return CORRUPTIONS[self.ways[number]](self._scaled(x), generator, self.severity), y
