"""Learners that keep samples of old tasks: joint training and replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from spikesim.continual.heads import head, joined, parted
from spikesim.continual.learners import FineTune
from spikesim.continual.replay import Labelled, Mixed, Reservoir
from spikesim.continual.scenarios import Task
from spikesim.network import Network


class Rehearsal(FineTune):
    """Trains samples of several tasks together; with heads, these are one wide layer meanwhile (:func:`joined`)."""

    def begin(self, seed: int) -> None:
        """Forget everything and start with a seed."""
        super().begin(seed)
        self.numbers: list[int] = []

    def _shown(self, task: Task) -> Task:
        """Return the task with labels counted through all heads."""
        if not self.with_heads:
            return task
        self.network_for(task.number)  # refuses a scenario that does not tell the task
        number = int(task.number or 0)
        if number not in self.numbers:
            self.numbers.append(number)
        return replace(task, y=task.y + self.numbers.index(number) * self.first.populations[-1].n)

    def _untaught(self, task: Task) -> Network:
        if not self.with_heads:
            return super()._untaught(task)
        return joined(self.network_for(task.number), [self.heads.get(k, head(self.first)) for k in self.numbers])

    def _taught(self, network: Network, task: Task) -> Network:
        if not self.with_heads:
            return network
        parts = parted(network, [head(self.first)] * len(self.numbers))
        self.heads.update(zip(self.numbers, parts, strict=True))
        return network.swap(*self.heads[int(task.number or 0)])


class Joint(Rehearsal):
    """Keeps all samples and trains anew on them for every task: the upper bound."""

    def _problems(self) -> list[str]:
        return super()._problems() + [
            f"joint: nothing is forgotten, so {name} must be left out"
            for name, part in (("protect", self.protect), ("penalty", self.penalty))
            if part is not None
        ]

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
        self.kept.append((task.x, self._shown(task).y))
        self.network, self.heads = self.first, {}
        x, y = (np.concatenate(parts) for parts in zip(*self.kept, strict=True))
        return x, y


class Replay(Rehearsal):
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
        self.reservoir.add(task.x[order], self._shown(task).y[order])

    def _samples(self, task: Task) -> Any:
        new = task.x, self._shown(task).y
        if not len(self.reservoir):
            return new
        old = self.reservoir.x, self.reservoir.y
        return Mixed(new, old, self.settings.get("batch_size", 64), self.seed)
