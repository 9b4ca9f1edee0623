"""A network of its own for every task: what a task is worth by itself."""

from __future__ import annotations

from spikesim.continual.learners import FineTune
from spikesim.continual.scenarios import Task
from spikesim.continual.units import matrix_of
from spikesim.network import Network


class SingleTask(FineTune):
    """Trains a fresh network on every task, and keeps them all where the scenario tells the task.

    Where it does not, the network of the last task answers; the diagonal of the accuracy matrix is then the accuracy of
    each task learned alone. ``heads`` changes nothing: each network has its own.
    """

    def _problems(self) -> list[str]:
        return super()._problems() + [
            f"single-task: every task has a network of its own, so {name} must be left out"
            for name, given in (("protect", self.protect), ("penalty", self.penalty))
            if given
        ]

    @property
    def name(self) -> str:
        """What it does."""
        return "single-task"

    @property
    def memory(self) -> int:
        """Bytes of the weights, as float32, of all networks but one."""
        one = sum(4 * matrix_of(p.rule).size for p in self.first.projections if hasattr(p.rule, "weights"))
        return one * max(len(self.networks) - 1, 0)

    def begin(self, seed: int) -> None:
        """Forget everything and start with a seed."""
        super().begin(seed)
        self.networks: dict[int, Network] = {}

    def learn(self, task: Task) -> None:
        """Learn a task from the beginning."""
        self.network = self.first
        super().learn(task)
        if task.number is not None:
            self.networks[task.number] = self.network

    def network_for(self, number: int | None) -> Network:
        """Return the network of a task."""
        return self.network if number is None else self.networks.get(number, self.first)
