"""Scenarios: a data set as a sequence of tasks, and who may know what.

| kind | what changes | outputs | told at test time |
|---|---|---|---|
| ``"task"`` | classes or inputs | labels count within a task | which task |
| ``"domain"`` | classes or inputs | labels count within a task | nothing |
| ``"class"`` | classes | all classes of the data set | nothing |

A learner is handed :class:`Task` values, one by one: copies of one task's training samples. It never sees the scenario.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.replay import Labelled
from spikesim.data.dataset import Dataset
from spikesim.errors import InvalidValueError, UnknownNameError

KINDS = ("task", "domain", "class")


@dataclass(frozen=True, eq=False)
class Task:
    """What a learner is given of a task.

    Parameters
    ----------
    x
        Training samples at full intensity 1, float32 ``[samples, ...]``, read-only.
    y
        Class numbers, int64 ``[samples]``, read-only.
    number
        Which task it is, from 0; None if the scenario hides that when it comes to testing.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    number: int | None


def handed(x: NDArray[Any], y: NDArray[Any]) -> Labelled:
    """Return copies that cannot be written to; from a view the whole data set could be reached."""
    copies = np.array(x, np.float32, order="C"), np.array(y, np.int64)
    for copy in copies:
        copy.setflags(write=False)
    return copies


@dataclass(frozen=True, eq=False)
class Experience:
    """A task, and the test samples that its learner does not see.

    Parameters
    ----------
    task
        For the learner.
    x_test, y_test
        Test samples and labels, as in :class:`Task`.
    """

    task: Task
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]


class Scenario(Protocol):
    """A sequence of tasks."""

    @property
    def name(self) -> str:
        """What it is, in a few words."""

    @property
    def outputs(self) -> int:
        """Output neurons that a network needs (per head)."""

    @property
    def told(self) -> bool:
        """Whether a learner is told, at test time, which task a sample belongs to."""

    @property
    def growing(self) -> bool:
        """Whether there are new classes, so tasks to come cannot be tested."""

    def __len__(self) -> int:
        """Return the number of tasks."""

    def experience(self, number: int) -> Experience:
        """Return a task and its test samples; the same ones every time."""


@dataclass(frozen=True, eq=False)
class OfDataset:
    """What scenarios of one data set share."""

    data: Dataset
    tasks: int
    kind: str
    seed: int | None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("kind of scenario", self.kind, KINDS)
        if self.data.lengths_train is not None:
            raise InvalidValueError(
                f"samples of {self.data.name!r} have lengths of their own, which scenarios do not keep; "
                "use samples of one length"
            )
        if problems := list(self._problems()):
            raise InvalidValueError("\n".join(problems))

    def _problems(self) -> Iterator[str]:
        if self.tasks < 1:
            yield f"tasks must be at least 1, found {self.tasks!r}"

    def __len__(self) -> int:
        """Return the number of tasks."""
        return self.tasks

    def __iter__(self) -> Iterator[Experience]:
        """Go through the tasks."""
        return (self.experience(k) for k in range(self.tasks))

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
        if not 0 <= number < self.tasks:
            raise InvalidValueError(f"task {number} of {self.tasks}; allowed are 0 to {self.tasks - 1}")
        train = handed(*self._part(self.data.x_train, self.data.y_train, number, 0))
        task = Task(*train, number if self.told else None)
        return Experience(task, *handed(*self._part(self.data.x_test, self.data.y_test, number, 1)))

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        raise NotImplementedError

    def _part(self, x: NDArray[Any], y: NDArray[np.int64], number: int, part: int) -> Labelled:
        """Return samples at full intensity 1 and labels of a task; part 0 is for training, 1 for testing."""
        raise NotImplementedError

    def _scaled(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return samples at full intensity 1."""
        if x.dtype.kind in "ui":  # small integers: rounded once or twice, the quotient is the same
            return np.asarray(np.divide(x, np.float32(self.data.full_scale), dtype=np.float32))
        return np.asarray(x / self.data.full_scale, np.float32)


@dataclass(frozen=True, eq=False)
class Permuted(OfDataset):
    """The same classes with the inputs in another order in every task, also in the first.

    Parameters
    ----------
    data
        A data set; the values of a sample are permuted, its shape stays.
    tasks
        How many.
    kind
        ``"domain"`` or ``"task"``.
    seed
        Of the permutations.

    Examples
    --------
    >>> from spikesim.data import load
    >>> scenario = Permuted(load("digits"), tasks=3)
    >>> len(scenario), scenario.outputs, scenario.experience(1).task.x.shape
    (3, 10, (1438, 8, 8))
    """

    tasks: int = 5
    kind: str = "domain"
    seed: int = 0

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        if self.kind == "class":
            yield "permuted tasks have no new classes; kind 'domain' or 'task' is allowed, found 'class'"

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"permuted {self.data.name}, {self.tasks} tasks, {self.kind}-incremental"

    @property
    def outputs(self) -> int:
        """Output neurons that a network needs."""
        return len(self.data.classes)

    def _part(self, x: NDArray[Any], y: NDArray[np.int64], number: int, part: int) -> Labelled:
        order = np.random.default_rng((self.seed, number)).permutation(int(np.prod(x.shape[1:])))
        return self._scaled(x.reshape(len(x), -1)[:, order].reshape(x.shape)), y


@dataclass(frozen=True, eq=False)
class Split(OfDataset):
    """Some classes after the other.

    Parameters
    ----------
    data
        A data set.
    tasks
        How many; must divide the number of classes.
    kind
        ``"class"`` keeps the labels of the data set; ``"task"`` and ``"domain"`` count them from 0 within each task.
    seed
        Of the order of the classes; None for the order of their numbers.

    Examples
    --------
    >>> from spikesim.data import load
    >>> Split(load("digits"), tasks=5).classes
    ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
    """

    tasks: int = 5
    kind: str = "class"
    seed: int | None = None

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        n = len(self.data.classes)
        if self.tasks >= 1 and n % self.tasks:
            allowed = ", ".join(str(k) for k in range(1, n + 1) if n % k == 0)
            yield f"{n} classes cannot be split into {self.tasks} equal tasks; allowed are {allowed}"

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        return f"split {self.data.name}, {self.tasks} tasks, {self.kind}-incremental"

    @cached_property
    def classes(self) -> tuple[tuple[int, ...], ...]:
        """The classes of each task."""
        n = len(self.data.classes)
        order = np.arange(n) if self.seed is None else np.random.default_rng(self.seed).permutation(n)
        return tuple(tuple(int(c) for c in part) for part in order.reshape(self.tasks, -1))

    @property
    def outputs(self) -> int:
        """Output neurons that a network needs (per head)."""
        return len(self.data.classes) // (1 if self.kind == "class" else self.tasks)

    def _part(self, x: NDArray[Any], y: NDArray[np.int64], number: int, part: int) -> Labelled:
        classes = np.array(self.classes[number])
        chosen = np.isin(y, classes)
        labels = y[chosen] if self.kind == "class" else np.argmax(y[chosen, None] == classes, axis=1)
        return self._scaled(x[chosen]), labels
