"""Memory aware synapses (MAS): importance is how much the outputs depend on a weight; labels are not needed.

``Omega_i = E[|d |f(x)|^2 / d w_i|]`` over samples of a task, with the scores ``f(x)`` that the network is read by.

Reference: Aljundi, Babiloni, Elhoseiny, Rohrbach and Tuytelaars, "Memory Aware Synapses: Learning what (not) to
forget", ECCV 2018, arXiv 1711.09601.
"""

from __future__ import annotations

from typing import Any

from spikesim.continual.consolidation import Consolidation, Teacher, Tensors, moments
from spikesim.continual.scenarios import Task


class Mas(Consolidation):
    """MAS as a penalty: ``FineTune(network, penalty=Mas(1.0))``.

    Parameters
    ----------
    strength
        Factor of the pull.
    combine, decay
        See :class:`spikesim.continual.consolidation.Consolidation`.
    samples
        Samples that it is measured on.
    batch
        Samples whose gradients are averaged before the absolute value is taken.
    """

    name = "mas"

    def __init__(
        self, strength: float = 0.1, *, combine: str = "sum", decay: float = 1.0, samples: int = 300, batch: int = 1
    ) -> None:
        self.samples, self.batch = samples, batch
        super().__init__(strength, combine=combine, decay=decay)

    def _problems(self) -> list[str]:
        return super()._problems() + [
            f"{name} must be at least 1, found {value!r}"
            for name, value in (("samples", self.samples), ("batch", self.batch))
            if value < 1
        ]

    def measure(self, learner: Teacher, task: Task) -> tuple[Tensors, Tensors]:
        """Return the sensitivities and the weights at the end of a task."""
        return moments(learner, learner.network, task, _size, power=1, samples=self.samples, batch=self.batch)


def _size(task: Any, values: Any, batch: Any) -> Any:
    """Return the squared length of the scores, averaged over the samples."""
    return task.reader.scores(values, batch.lengths).square().sum(1).mean()
