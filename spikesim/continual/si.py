"""Synaptic intelligence (SI): importance is what a weight contributed to the fall of the loss while it was learned.

Along the way of a task, ``path_i = -sum_steps g_i (w_i after - w_i before)`` with the gradient ``g`` of the task's own
loss. At its end ``Omega_i += max(path_i, 0) / ((w_i - w_i at its start)^2 + damping)``. No samples are looked at again.
Here the pull is ``strength / 2``, in the paper ``c``; a path along which the loss rose counts as 0, because a negative
importance would push weights away without bound.

Reference: Zenke, Poole and Ganguli, "Continual Learning Through Synaptic Intelligence", ICML 2017, arXiv 1703.04200.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikesim.continual.consolidation import Consolidation, Step, Teacher, Tensors, weights_of
from spikesim.continual.scenarios import Task
from spikesim.errors import InvalidValueError


class SynapticIntelligence(Consolidation):
    """SI as a penalty: ``FineTune(network, penalty=SynapticIntelligence(1.0))``.

    Parameters
    ----------
    strength
        Factor of the pull.
    damping
        Keeps the importance of weights that hardly moved finite.
    combine, decay
        See :class:`spikesim.continual.consolidation.Consolidation`.
    """

    name = "si"

    def __init__(
        self, strength: float = 1.0, *, damping: float = 1e-3, combine: str = "sum", decay: float = 1.0
    ) -> None:
        self.damping = damping
        super().__init__(strength, combine=combine, decay=decay)

    def _problems(self) -> list[str]:
        return super()._problems() + ([] if self.damping > 0 else [f"damping must be above 0, found {self.damping!r}"])

    def begin_task(self, learner: Teacher, task: Task, samples: Any) -> None:
        """Begin a path.

        Raises
        ------
        InvalidValueError
            If the network has batch norms, which are folded after the task: its weights are others then.
        """
        if normed := [p.name for p in learner.network.projections if p.norm is not None]:
            raise InvalidValueError(
                f"si: batch norms ({', '.join(normed)}) are folded into the weights when a task ends, and the path of "
                "a weight means nothing then; leave batch norms out"
            )
        super().begin_task(learner, task, samples)
        self.spared = learner.spared
        self.path: Tensors = {}
        self.start: Tensors = {}
        self.parameters: Tensors = {}

    def __call__(self, parameters: Mapping[str, Any], step: Step) -> None:
        """Step, pulled, and see what it did to the loss of the task."""
        self.parameters = weights_of(parameters, self.spared)
        before = {n: (p.detach().clone(), p.grad.clone()) for n, p in self.parameters.items() if p.grad is not None}
        if not self.start:
            self.start = {n: p.detach().clone() for n, p in self.parameters.items()}
        super().__call__(parameters, step)
        for name, (weight, gradient) in before.items():
            done = gradient * (weight - self.parameters[name].detach())
            self.path[name] = self.path[name] + done if name in self.path else done

    def measure(self, learner: Teacher, task: Task) -> tuple[Tensors, Tensors]:
        """Return what the weights contributed, and the weights."""
        anchor = {n: p.detach().clone() for n, p in self.parameters.items()}
        importance = {
            name: path.clamp(min=0.0) / ((anchor[name] - self.start[name]).square() + self.damping)
            for name, path in self.path.items()
        }
        self.path, self.start, self.parameters = {}, {}, {}
        return importance, anchor
