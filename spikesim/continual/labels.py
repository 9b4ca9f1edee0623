"""A scenario whose tasks contradict each other: the same samples, other labels in every task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.replay import Labelled
from spikesim.continual.scenarios import OfDataset


@dataclass(frozen=True, eq=False)
class Relabelled(OfDataset):
    """The same samples, whose classes are put in other groups in every task; the group is the label.

    What one task must tell apart the next may have to treat alike. Told the task (``"task"``) a network with heads can
    learn all of them; not told (``"domain"``) none can, because one sample has several right answers.

    Parameters
    ----------
    data
        A data set.
    tasks
        How many.
    kind
        ``"task"`` or ``"domain"``.
    seed
        Of the groups.
    groups
        How many, as equal as possible; None for as many as there are classes, so labels are permuted.

    Examples
    --------
    >>> from spikesim.data import load
    >>> scenario = Relabelled(load("digits"), tasks=3, groups=2, seed=1)
    >>> scenario.outputs, scenario.of_classes[0]
    (2, (0, 0, 1, 0, 1, 0, 1, 1, 0, 1))
    """

    tasks: int = 5
    kind: str = "task"
    seed: int = 0
    groups: int | None = None

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if self.kind == "class":
            yield "relabelled tasks have no new classes; kind 'task' or 'domain' is allowed, found 'class'"
        if self.groups is not None and not 2 <= self.groups <= len(self.data.classes):
            yield f"groups must be from 2 to {len(self.data.classes)}, found {self.groups!r}"

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"relabelled {self.data.name}, {self.outputs} groups, {self.tasks} tasks, {self.kind}-incremental"

    @property
    def outputs(self) -> int:
        """Output neurons that a network needs (per head)."""
        return len(self.data.classes) if self.groups is None else self.groups

    @cached_property
    def of_classes(self) -> tuple[tuple[int, ...], ...]:
        """The group of each class, by task."""
        even = np.arange(len(self.data.classes)) % self.outputs
        drawn = (np.random.default_rng((self.seed, k)).permutation(even) for k in range(self.tasks))
        return tuple(tuple(int(group) for group in groups) for groups in drawn)

    def _part(self, x: NDArray[Any], y: NDArray[np.int64], number: int, part: int) -> Labelled:
        return self._scaled(x), np.array(self.of_classes[number])[y]
