"""Elastic weight consolidation (EWC): importance is the diagonal of the Fisher information.

``F_i = E[(d log p(y|x) / d w_i)^2]`` at the end of a task, over its samples. With the labels that the samples have it
is the *empirical* Fisher, with labels drawn from what the network answers the true one; the first is what published
code uses. Gradients pass spikes by the surrogate, so it is the Fisher information of the surrogate model.

References: Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 114 (2017),
arXiv 1612.00796 (one penalty per task: ``combine="separate"``); Schwarz et al., "Progress & Compress", ICML 2018,
arXiv 1805.06370 (one for all, decaying: ``"sum"``); the running mean is that of AFEC.
"""

from __future__ import annotations

from typing import Any

from spikesim.continual.consolidation import Consolidation, Teacher, Tensors, moments
from spikesim.continual.scenarios import Task
from spikesim.errors import InvalidValueError
from spikesim.network import Network

LABELS = ("given", "drawn")
SOFTMAX = ("rate_cross_entropy", "membrane_cross_entropy", "max_membrane_cross_entropy", "latency_cross_entropy")
"""Losses that are minus the logarithm of a softmax of the scores, so that there is something to draw labels from."""


class Ewc(Consolidation):
    """EWC as a penalty: ``FineTune(network, penalty=Ewc(1e3))``.

    Parameters
    ----------
    strength
        Factor of the pull. It belongs to the Fisher information as it is measured here, per sample.
    combine, decay
        See :class:`spikesim.continual.consolidation.Consolidation`.
    labels
        ``"given"``: empirical Fisher; ``"drawn"``: true Fisher, by one label drawn per sample.
    samples
        Samples that it is measured on.
    batch
        Samples whose gradients are averaged before squaring. 1 is the definition; more is faster and smaller, between
        ``F / batch`` (gradients that have nothing in common) and ``F`` (equal ones). AFEC's code has 20.
    """

    name = "ewc"

    def __init__(
        self,
        strength: float = 100.0,
        *,
        combine: str = "mean",
        decay: float = 1.0,
        labels: str = "given",
        samples: int = 300,
        batch: int = 1,
    ) -> None:
        self.labels, self.samples, self.batch = labels, samples, batch
        super().__init__(strength, combine=combine, decay=decay)

    def _problems(self) -> list[str]:
        problems = super()._problems()
        if self.labels not in LABELS:
            problems.append(f"labels must be 'given' or 'drawn', found {self.labels!r}")
        return problems + [
            f"{name} must be at least 1, found {value!r}"
            for name, value in (("samples", self.samples), ("batch", self.batch))
            if value < 1
        ]

    def measure(self, learner: Teacher, task: Task) -> tuple[Tensors, Tensors]:
        """Return the Fisher information and the weights at the end of a task."""
        return self.fisher(learner, learner.network, task)

    def fisher(
        self, learner: Teacher, network: Network, task: Task, at: Tensors | None = None
    ) -> tuple[Tensors, Tensors]:
        """Return the Fisher information of any network on a task, and its weights; ``at`` are others in their place.

        Raises
        ------
        InvalidValueError
            If labels are to be drawn, and the loss is not a softmax of scores.
        """
        return moments(
            learner, network, task, self._objective(learner), power=2, samples=self.samples, batch=self.batch, at=at
        )

    def _objective(self, learner: Teacher) -> Any:
        if self.labels == "given":
            return loss_of
        name = learner.settings.get("loss", "rate_cross_entropy")
        if name not in SOFTMAX:
            raise InvalidValueError(
                f"labels='drawn' needs a loss that is a softmax of scores ({', '.join(SOFTMAX)}), found {name!r}; "
                "use labels='given'"
            )
        scale = (learner.settings.get("loss_settings") or {}).get("scale", 1.0)
        import torch

        generator = torch.Generator().manual_seed(learner.seed + learner.learned)

        def objective(task: Any, values: Any, batch: Any) -> Any:
            odds = torch.softmax(task.reader.scores(values.detach(), batch.lengths) * scale, 1)
            drawn = torch.multinomial(odds.cpu(), 1, generator=generator)[:, 0]
            return loss_of(task, values, batch._replace(y=drawn.to(values.device)))

        return objective


def loss_of(task: Any, values: Any, batch: Any) -> Any:
    """Return the loss of a batch, without regularisers.

    Parameters
    ----------
    task
        See :class:`spikesim.train.rules.Rule`.
    values
        Spikes or membranes of the last population, ``[steps, samples, n]``.
    batch
        Samples and labels.
    """
    scores = task.reader.scores(values, batch.lengths)
    compared = values if task.loss.over_time or batch.y.ndim == 3 else scores
    return task.loss(compared, batch.y.to(values.device), len(values), batch.lengths)
