"""Scenarios made of scenarios: classes under conditions, and a stream whose tasks have no visible end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.replay import Labelled
from spikesim.continual.scenarios import Experience, OfDataset, Scenario, Split, Task, handed
from spikesim.errors import InvalidValueError


@dataclass(frozen=True, eq=False)
class ClassesAndConditions:
    """Mixed: a task brings new classes, or known ones under another condition (the "NIC" of CORe50).

    Every group of classes occurs under every condition, once, in an order that is drawn. Nothing is told at test time.

    Reference: Lomonaco and Maltoni, "CORe50: a new dataset and benchmark for continuous object recognition", CoRL 2017,
    arXiv 1705.03550.

    Parameters
    ----------
    classes
        A split of kind ``"class"``.
    conditions
        A scenario of the same data that keeps labels, of kind ``"domain"``: permuted, rotated, corrupted.
    seed
        Of the order.

    Examples
    --------
    >>> from spikesim.continual.changes import Corrupted
    >>> from spikesim.data import load
    >>> digits = load("digits")
    >>> mixed = ClassesAndConditions(Split(digits, tasks=2), Corrupted(digits, tasks=2))
    >>> len(mixed), sorted(mixed.order)
    (4, [(0, 0), (0, 1), (1, 0), (1, 1)])
    """

    classes: Split
    conditions: OfDataset
    seed: int = 0

    def __post_init__(self) -> None:
        problems = []
        if self.classes.kind != "class":
            problems.append(f"classes must be a split of kind 'class', found {self.classes.kind!r}")
        if self.conditions.kind != "domain":
            problems.append(f"conditions must be a scenario of kind 'domain', found {self.conditions.kind!r}")
        if self.classes.data is not self.conditions.data:
            problems.append("classes and conditions must be of the same data set, one value")
        if problems:
            raise InvalidValueError("\n".join(problems))

    told, growing = False, True

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"mixed: {self.classes.name} under {self.conditions.name}"

    @property
    def outputs(self) -> int:
        """Output neurons that a network needs."""
        return self.classes.outputs

    @cached_property
    def order(self) -> tuple[tuple[int, int], ...]:
        """Group of classes and condition of each task."""
        pairs = [(g, c) for g in range(len(self.classes)) for c in range(len(self.conditions))]
        drawn = np.random.default_rng(self.seed).permutation(len(pairs))
        return tuple(pairs[k] for k in drawn)

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self.classes) * len(self.conditions)

    def experience(self, number: int) -> Experience:
        """Return a task and its test samples; the same ones every time."""
        if not 0 <= number < len(self):
            raise InvalidValueError(f"task {number} of {len(self)}; allowed are 0 to {len(self) - 1}")
        group, condition = self.order[number]
        found, classes = self.conditions.experience(condition), self.classes.classes[group]

        def of_group(x: NDArray[np.float32], y: NDArray[np.int64]) -> Labelled:
            chosen = np.isin(y, classes)
            return handed(x[chosen], y[chosen])

        task = Task(*of_group(found.task.x, found.task.y), None)
        return Experience(task, *of_group(found.x_test, found.y_test))


@dataclass(frozen=True, eq=False)
class Stream:
    """Task-free: the samples of a scenario in pieces of one size, each sample once, and no sign of where a task ends.

    The learner learns one piece after the other, as if it were a task; whatever it does at the end of a task it does
    after every piece. Pieces may reach over the end of a task. It is tested as in the scenario, after the piece with
    which a task ends, and told nothing.

    Parameters
    ----------
    scenario
        Its samples come task by task, shuffled within each.
    piece
        Samples in a piece; only the last one may have fewer.
    seed
        Of the order within a task.

    Examples
    --------
    >>> from spikesim.continual import Permuted
    >>> from spikesim.data import load
    >>> stream = Stream(Permuted(load("digits"), tasks=2), piece=1000)
    >>> [len(piece.y) for k in range(2) for piece in stream.pieces(k)]
    [1000, 1000, 876]
    """

    scenario: Scenario
    piece: int = 100
    seed: int = 0

    told = False

    def __post_init__(self) -> None:
        if self.piece < 1:
            raise InvalidValueError(f"piece must be at least 1 sample, found {self.piece!r}")
        if self.scenario.told:
            raise InvalidValueError("a stream tells no task; use a scenario of kind 'domain' or 'class'")

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"stream of {self.scenario.name}, {self.piece} samples at a time"

    @property
    def outputs(self) -> int:
        """Output neurons that a network needs."""
        return self.scenario.outputs

    @property
    def growing(self) -> bool:
        """Whether there are new classes, so tasks to come cannot be tested."""
        return self.scenario.growing

    def __len__(self) -> int:
        """Return the number of tasks, which the learner is not told."""
        return len(self.scenario)

    def experience(self, number: int) -> Experience:
        """Return a task and its test samples; the same ones every time."""
        found = self.scenario.experience(number)
        order = np.random.default_rng((self.seed, number)).permutation(len(found.task.y))
        return Experience(Task(*handed(found.task.x[order], found.task.y[order]), None), found.x_test, found.y_test)

    def pieces(self, number: int) -> Iterator[Task]:
        """Yield the pieces that end within a task; the last task has the rest of the stream too."""
        ends = self._ends
        first = ends[number - 1] // self.piece * self.piece if number else 0
        x, y = self._between(first, ends[number])
        last = number == len(self) - 1
        for begin in range(0, len(y), self.piece):
            if begin + self.piece <= len(y) or last:
                yield Task(*handed(x[begin : begin + self.piece], y[begin : begin + self.piece]), None)

    @cached_property
    def _ends(self) -> list[int]:
        """Samples of the stream up to the end of each task."""
        sizes = [len(self.scenario.experience(k).task.y) for k in range(len(self))]
        return [int(n) for n in np.cumsum(sizes)]

    def _between(self, first: int, end: int) -> Labelled:
        """Return the samples of the stream from one number to another."""
        parts, ends = [], self._ends
        for number, stop in enumerate(ends):
            start = ends[number - 1] if number else 0
            if start < end and first < stop:
                task = self.experience(number).task
                parts.append((task.x[max(first - start, 0) : end - start], task.y[max(first - start, 0) : end - start]))
        xs, ys = zip(*parts, strict=True)
        return np.concatenate(xs), np.concatenate(ys)
