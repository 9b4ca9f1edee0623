"""A learner goes through a scenario, and is tested on all tasks after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.learners import Learner
from spikesim.continual.metrics import figures
from spikesim.continual.scenarios import Scenario

Row = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Result:
    """What a learner could do after each task.

    Parameters
    ----------
    scenario, learner
        Their names.
    seed
        Of the learner.
    matrix
        ``matrix[i, j]`` is the accuracy on task j after task i, float64 ``[tasks, tasks]``; NaN where there was nothing
        to test, because the classes were still new.
    untrained
        Accuracy before the first task, ``[tasks]``; NaN where classes are new.
    memory
        Bytes that the learner kept besides the network after each task, int64 ``[tasks]``.
    seconds
        Wall time of learning, ``[tasks]``.
    """

    scenario: str
    learner: str
    seed: int
    matrix: Row
    untrained: Row
    memory: NDArray[np.int64]
    seconds: Row

    def metrics(self, joint: Result | None = None) -> dict[str, float]:
        """Return the figures of :mod:`spikesim.continual.metrics` by name.

        Parameters
        ----------
        joint
            Result of joint training on the same scenario, for the intransigence.
        """
        return figures(self.matrix, self.untrained, None if joint is None else joint.matrix[-1])

    def __str__(self) -> str:
        """Show figures and matrix in percent."""
        figures = ", ".join(f"{k} {v:.1%}" for k, v in self.metrics().items() if not np.isnan(v))
        rows = ["  ".join("    -" if np.isnan(v) else f"{v:5.1%}" for v in row) for row in self.matrix]
        return "\n".join([f"{self.learner}, {self.scenario}, seed {self.seed}: {figures}", *rows])


def run(
    scenario: Scenario, learner: Learner, seed: int = 0, *, progress: Callable[[int, Row], None] | None = None
) -> Result:
    """Let a learner learn the tasks of a scenario one after the other.

    Parameters
    ----------
    scenario
        Makes the tasks. The learner sees the training samples of one task at a time.
    learner
        Begins anew, with the seed.
    seed
        Of the learner, and of the order of test samples.
    progress
        Told the number of a task that was learned, and the accuracies after it.

    Returns
    -------
    Result
    """
    learner.begin(seed)
    count = len(scenario)
    blank = np.full(count, np.nan)
    untrained = blank if scenario.growing else _accuracies(scenario, learner, count, seed)
    rows, memory, seconds = [], [], []
    for number in range(count):
        task, begin = scenario.experience(number).task, time.perf_counter()
        learner.learn(task)
        seconds.append(time.perf_counter() - begin)
        memory.append(learner.memory)
        found = _accuracies(scenario, learner, number + 1 if scenario.growing else count, seed)
        rows.append(np.concatenate([found, blank[len(found) :]]))
        if progress is not None:
            progress(number, rows[-1])
    matrix = np.array(rows)
    return Result(scenario.name, learner.name, seed, matrix, untrained, np.array(memory), np.array(seconds))


def _accuracies(scenario: Scenario, learner: Learner, count: int, seed: int) -> Row:
    """Return the accuracies on the first tasks."""
    tests = _tests(scenario, count)
    if scenario.told:
        return np.array([np.mean(learner.predict(x, k) == y) for k, (x, y) in enumerate(tests)])
    # in one call and shuffled, so that a task cannot be guessed from samples that come together
    xs, ys = zip(*tests, strict=True)
    x, y = np.concatenate(xs), np.concatenate(ys)
    owner = np.repeat(np.arange(count), [len(part) for part in ys])
    order = np.random.default_rng((seed, count)).permutation(len(y))
    right = np.empty(len(y), bool)
    right[order] = learner.predict(x[order]) == y[order]
    return np.bincount(owner, right, count) / np.bincount(owner, minlength=count)


def _tests(scenario: Scenario, count: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    for number in range(count):
        experience = scenario.experience(number)
        yield experience.x_test, experience.y_test
