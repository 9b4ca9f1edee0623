"""A learner goes through a scenario, and is tested on all tasks after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.costs import costs
from spikesim.continual.learners import FineTune, Learner
from spikesim.continual.metrics import figures
from spikesim.continual.replay import Labelled
from spikesim.continual.scenarios import Scenario, Task
from spikesim.continual.state import restore, state_of
from spikesim.errors import InvalidValueError
from spikesim.files.continual import STATE_KIND, ContinualState, load_state, save_state
from spikesim.files.envelope import check_target
from spikesim.files.storage import fingerprint

Row = NDArray[np.float64]
DEVICE = "cmos45"
ANSWERS = 32  # samples on which spikes and energy are measured


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
    costs
        By name, ``[tasks]``: ``"weight writes"`` since the beginning, as far as they are counted, and of an answer at
        the end ``"spikes"`` and ``"energy"`` (joules, on 45 nm digital logic, see :func:`spikesim.continual.costs`);
        NaN where they were not measured.
    """

    scenario: str
    learner: str
    seed: int
    matrix: Row
    untrained: Row
    memory: NDArray[np.int64]
    seconds: Row
    costs: Mapping[str, Row] = field(default_factory=dict)

    def metrics(self, joint: Result | None = None) -> dict[str, float]:
        """Return the figures of :mod:`spikesim.continual.metrics` by name.

        Parameters
        ----------
        joint
            Result of joint training on the same scenario, for the intransigence.
        """
        return figures(self.matrix, self.untrained, None if joint is None else joint.matrix[-1])

    @property
    def arrays(self) -> dict[str, Any]:
        """Everything but names and seed, for a file."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("scenario", "learner", "seed")}

    def __str__(self) -> str:
        """Show figures and matrix in percent."""
        figures = ", ".join(f"{k} {v:.1%}" for k, v in self.metrics().items() if not np.isnan(v))
        rows = ["  ".join("    -" if np.isnan(v) else f"{v:5.1%}" for v in row) for row in self.matrix]
        return "\n".join([f"{self.learner}, {self.scenario}, seed {self.seed}: {figures}", *rows])


def run(
    scenario: Scenario,
    learner: Learner,
    seed: int = 0,
    *,
    progress: Callable[[int, Row], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Result:
    """Let a learner learn the tasks of a scenario one after the other.

    Parameters
    ----------
    scenario
        Makes the tasks. The learner sees the training samples of one task at a time.
    learner
        Begins anew, with the seed.
    seed
        Of the learner.
    progress
        Told the number of a task that was learned, and the accuracies after it.
    checkpoint
        A file (HDF5) to which everything is written after each task. If it is there, the run goes on from it, and ends
        with the numbers of a run that was never interrupted. It stays when the run is over.

    Returns
    -------
    Result

    Raises
    ------
    InvalidValueError
        If the checkpoint belongs to another run.
    UnsupportedError
        If the learner keeps something that a checkpoint cannot hold.
    """
    learner.begin(seed)
    tests = [_tests(scenario, k) for k in range(len(scenario))]
    path = None if checkpoint is None else check_target(checkpoint, STATE_KIND)
    identity = {} if path is None else _identity(scenario, learner, seed, tests)
    rows = _Rows()
    if path is not None and path.exists():
        rows = _Rows(**_resumed(path, identity, learner))
    else:
        blank = np.full(len(tests), np.nan)
        rows.untrained = blank if scenario.growing else _accuracies(scenario, learner, tests)
    for number in range(len(rows.matrix), len(tests)):
        begin = time.perf_counter()
        for task in _pieces(scenario, number):
            learner.learn(task)
        rows.add(time.perf_counter() - begin, learner, _row(scenario, learner, tests, number))
        if path is not None:
            save_state(ContinualState(identity, vars(rows), state_of(learner)), path)
        if progress is not None:
            progress(number, rows.matrix[-1])
    rows.of_an_answer(learner, tests[-1][0], len(tests) - 1 if scenario.told else None)
    return Result(scenario.name, learner.name, seed, **vars(rows))


class _Rows:
    """What grows with every task."""

    def __init__(self, **given: Any) -> None:
        self.matrix, self.untrained = np.zeros((0, 0)), np.zeros(0)
        self.memory, self.seconds = np.zeros(0, np.int64), np.zeros(0)
        self.costs: dict[str, Row] = {}
        vars(self).update(given)

    def add(self, seconds: float, learner: Learner, row: Row) -> None:
        before = len(self.matrix)
        self.matrix = np.concatenate([self.matrix.reshape(before, len(row)), row[None]])
        self.memory = np.append(self.memory, np.int64(learner.memory))
        self.seconds = np.append(self.seconds, seconds)
        writes = getattr(learner, "writes", None)
        if writes is not None:
            before_it = self.costs.get("weight writes", np.full(before, np.nan))
            self.costs["weight writes"] = np.append(before_it, float(writes))

    def of_an_answer(self, learner: Learner, x: NDArray[Any], task: int | None) -> None:
        """Measure spikes and energy of an answer after the last task."""
        if not isinstance(learner, FineTune):
            return
        found = costs(learner, x[:ANSWERS], task, devices=DEVICE)
        energy = found.energy[DEVICE]
        last = {"spikes": found.spikes, "energy": np.nan if energy is None else energy.nominal_j}
        for name, value in last.items():
            self.costs[name] = np.append(np.full(len(self.matrix) - 1, np.nan), value)


def _identity(scenario: Scenario, learner: Learner, seed: int, tests: list[Labelled]) -> dict[str, Any]:
    """Return what decides the numbers, as far as it can be told from outside."""
    return {
        "scenario": scenario.name,
        "samples": fingerprint(tests),
        "learner": learner.name,
        "settings": fingerprint(_plain(getattr(learner, "settings", {}))),
        "seed": seed,
    }


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the names of functions, whose contents cannot be compared."""
    return {k: getattr(v, "__qualname__", type(v).__name__) if callable(v) else v for k, v in settings.items()}


def _resumed(path: Path, identity: Mapping[str, Any], learner: Learner) -> Mapping[str, Any]:
    """Bring a learner to where it was, and return the rows of the tasks that are done."""
    found = load_state(path)
    different = [
        f"another {name}" if name in ("samples", "settings") else f"{name} {found.identity.get(name)!r}, not {value!r}"
        for name, value in identity.items()
        if found.identity.get(name) != value
    ]
    if different:
        raise InvalidValueError(
            f"{str(path)!r} belongs to a run with {', '.join(different)}; go on with the same, or delete it"
        )
    restore(learner, found.learner)
    return found.arrays


def _pieces(scenario: Scenario, number: int) -> Iterable[Task]:
    """Return what is learned: a task, or of a stream the pieces that end within one."""
    pieces = getattr(scenario, "pieces", None)
    return [scenario.experience(number).task] if pieces is None else pieces(number)


def _tests(scenario: Scenario, number: int) -> Labelled:
    experience = scenario.experience(number)
    return experience.x_test, experience.y_test


def _row(scenario: Scenario, learner: Learner, tests: list[Labelled], number: int) -> Row:
    """Return the accuracies after a task; NaN for classes to come."""
    found = _accuracies(scenario, learner, tests[: number + 1] if scenario.growing else tests)
    return np.concatenate([found, np.full(len(tests) - len(found), np.nan)])


def _accuracies(scenario: Scenario, learner: Learner, tests: list[Labelled]) -> Row:
    if scenario.told:
        return np.array([np.mean(learner.predict(x, k) == y) for k, (x, y) in enumerate(tests)])
    # in one call and shuffled, so that a task cannot be guessed from samples that come together; in an order that no
    # seed gives, for a learner knows its seed
    xs, ys = zip(*tests, strict=True)
    x, y = np.concatenate(xs), np.concatenate(ys)
    owner = np.repeat(np.arange(len(tests)), [len(part) for part in ys])
    order = np.random.default_rng().permutation(len(y))
    right = np.empty(len(y), bool)
    right[order] = learner.predict(x[order]) == y[order]
    return np.bincount(owner, right, len(tests)) / np.bincount(owner, minlength=len(tests))
