"""A scenario of several data sets, one after the other, as in the sequences of five that papers use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.replay import Labelled
from spikesim.continual.scenarios import KINDS, Experience, Task, handed
from spikesim.data.dataset import Dataset
from spikesim.errors import InvalidValueError, UnknownNameError


@dataclass(frozen=True, eq=False)
class DataSets:
    """One data set after the other, all brought to one shape and to values from 0 to 1.

    Parameters
    ----------
    data
        The data sets, by task. Their samples have two axes: images, or series ``[time, channels]``; what is padded
        behind a series stays a part of the picture.
    kind
        ``"task"`` and ``"domain"`` count the labels from 0 within each set; ``"class"`` gives every set classes of its
        own.
    shape
        Of all samples: the others are stretched, with linear interpolation.

    Examples
    --------
    >>> from spikesim.data import load
    >>> scenario = DataSets((load("digits"), load("digits", seed=1)), kind="class", shape=(12, 12))
    >>> len(scenario), scenario.outputs, scenario.experience(1).task.x.shape, scenario.experience(1).y_test.min()
    (2, 20, (1438, 12, 12), np.int64(10))
    """

    data: tuple[Dataset, ...]
    kind: str = "task"
    shape: tuple[int, int] = (28, 28)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("kind of scenario", self.kind, KINDS)
        problems = [] if self.data else ["a sequence needs at least one data set"]
        problems += [
            f"samples of {d.name!r} are {list(d.x_train.shape[1:])}; two axes are needed"
            for d in self.data
            if d.x_train.ndim != 3
        ]
        if problems:
            raise InvalidValueError("\n".join(problems))

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self.data)

    def __iter__(self) -> Iterator[Experience]:
        """Go through the tasks."""
        return (self.experience(k) for k in range(len(self)))

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"{', '.join(d.name for d in self.data)}, {self.kind}-incremental"

    @property
    def outputs(self) -> int:
        """Output neurons that a network needs (per head)."""
        sizes = [len(d.classes) for d in self.data]
        return sum(sizes) if self.kind == "class" else max(sizes)

    @property
    def told(self) -> bool:
        """Whether a learner is told, at test time, which task a sample belongs to."""
        return self.kind == "task"

    @property
    def growing(self) -> bool:
        """Whether there are new classes, so tasks to come cannot be tested."""
        return self.kind == "class"

    def experience(self, number: int) -> Experience:
        """Return a task and its test samples; the same ones every time."""
        if not 0 <= number < len(self):
            raise InvalidValueError(f"task {number} of {len(self)}; allowed are 0 to {len(self) - 1}")
        data = self.data[number]
        first = sum(len(d.classes) for d in self.data[:number]) if self.kind == "class" else 0
        low, high = float(data.x_train.min()), float(data.x_train.max())

        def part(x: NDArray[Any], y: NDArray[np.int64]) -> Labelled:
            scaled = (np.asarray(x, np.float32) - low) / max(high - low, 1e-30)
            return handed(stretched(scaled.clip(0.0, 1.0), self.shape), y + first)

        task = Task(*part(data.x_train, data.y_train), number if self.told else None)
        return Experience(task, *part(data.x_test, data.y_test))


def stretched(x: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return samples ``[samples, a, b]`` in another size: linear interpolation, corners on corners."""
    for axis, size in zip((1, 2), shape, strict=True):
        if x.shape[axis] == size:
            continue
        places = np.linspace(0, x.shape[axis] - 1, size)
        below = np.minimum(places.astype(int), max(x.shape[axis] - 2, 0))
        weight = (places - below).astype(np.float32).reshape((-1, 1) if axis == 1 else (-1,))
        above = np.minimum(below + 1, x.shape[axis] - 1)
        x = np.take(x, below, axis) * (1 - weight) + np.take(x, above, axis) * weight
    return np.asarray(x, np.float32)
