"""Learners that keep samples of old tasks: joint training and replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spikesim.continual.learners import FineTune
from spikesim.continual.replay import Labelled, Mixed, Reservoir
from spikesim.continual.scenarios import Task
from spikesim.network import Network


class Joint(FineTune):
    """Keeps all samples and trains anew on them for every task: the upper bound."""

    def _problems(self) -> list[str]:
        problems = super()._problems()
        if self.with_heads:
            problems.append("joint: samples of several tasks are trained together, so heads must be left out")
        problems += [
            f"joint: nothing is forgotten, so {name} must be left out"
            for name, part in (("protect", self.protect), ("penalty", self.penalty))
            if part is not None
        ]
        return problems

    @property
    def name(self) -> str:
        """What it does."""
        return "joint"

    @property
    def memory(self) -> int:
        """Bytes of all samples."""
        return sum(part.nbytes for samples in self.kept for part in samples)

    def begin(self, seed: int) -> None:
        """Forget everything and start with a seed."""
        super().begin(seed)
        self.kept: list[Labelled] = []

    def _samples(self, task: Task) -> Any:
        self.kept.append((task.x, task.y))
        self.network = self.first
        x, y = (np.concatenate(parts) for parts in zip(*self.kept, strict=True))
        return x, y


class Replay(FineTune):
    """Trains every batch with as many old samples beside the new ones, drawn from a reservoir.

    Parameters
    ----------
    network
        See :class:`FineTune`.
    size
        Samples of all old tasks that are kept.
    **settings
        See :class:`FineTune`; ``protect=Hlop(...)`` is HLOP with replay, ``penalty=Ewc(...)`` EWC with
        replay. ``batch_size`` counts new and old samples.
    """

    def __init__(self, network: Network | Callable[[int], Network], *, size: int = 200, **settings: Any) -> None:
        self.size = size
        super().__init__(network, **settings)

    def _problems(self) -> list[str]:
        problems = super()._problems()
        if self.with_heads:
            problems.append("replay: samples of several tasks are trained together, so heads must be left out")
        return problems

    @property
    def name(self) -> str:
        """What it does."""
        return f"{super().name} with replay" if self.parts else "replay"

    @property
    def memory(self) -> int:
        """Bytes of the samples, and of the protection."""
        return self.reservoir.memory + super().memory

    def begin(self, seed: int) -> None:
        """Forget everything and start with a seed."""
        super().begin(seed)
        self.reservoir = Reservoir(self.size, seed)

    def learn(self, task: Task) -> None:
        """Learn a task beside old samples; its own samples pass the reservoir afterwards."""
        super().learn(task)
        order = np.random.default_rng((self.seed, self.learned)).permutation(len(task.y))
        self.reservoir.add(task.x[order], task.y[order])

    def _samples(self, task: Task) -> Any:
        if not len(self.reservoir):
            return task.x, task.y
        old = self.reservoir.x, self.reservoir.y
        return Mixed((task.x, task.y), old, self.settings.get("batch_size", 64), self.seed)
