"""Active forgetting with synaptic expansion and convergence (AFEC), on top of EWC, MAS or SI.

A pull towards old weights keeps a network from learning what contradicts them. Before each task but the first, a copy
of the parameters (the expansion) learns the task alone; its Fisher information says which of its weights matter. The
network itself then learns with a second pull, towards the expanded weights::

    loss + strength / 2 sum_i importance_i (w_i - old_i)^2 + forgetting / 2 sum_i F_e,i (w_i - w_e,i)^2

The expansion is discarded after the task. ``forgetting = 0`` is the method below, bit by bit.

Reference: Wang et al., "AFEC: Active Forgetting of Negative Transfer in Continual Learning", NeurIPS 2021,
arXiv 2110.12187, algorithm 1. Where the authors' code differs (github.com/lywang3081/AFEC): the expansion goes on from
the one of the task before (``start="continue"``), is trained one epoch at a time between those of the network, and
Fisher information is that of mini-batches of 20 (``Ewc(batch=20)``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikesim.continual.consolidation import Consolidation, Pull, Step, Teacher
from spikesim.continual.ewc import Ewc
from spikesim.continual.heads import head
from spikesim.continual.scenarios import Task
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network

STARTS = ("fresh", "main", "continue")


class Afec:
    """AFEC as a penalty: ``FineTune(network, penalty=Afec(Ewc(1e3), forgetting=100))``.

    Parameters
    ----------
    base
        Pulls towards the old weights: :class:`Ewc`, :class:`Mas` or :class:`SynapticIntelligence`.
    forgetting
        Factor of the pull towards the expanded weights. About 1/30 to 1/3 of EWC's strength has an effect; the more,
        the better new tasks are learned and the more is forgotten.
    start
        Where an expansion starts: ``"fresh"`` from the weights of the beginning, ``"main"`` from the network's present
        ones, ``"continue"`` from the expansion of the task before, which is then kept.
    fisher
        How its Fisher information is measured (its strength does not count).
    """

    def __init__(
        self, base: Consolidation, forgetting: float = 10.0, *, start: str = "fresh", fisher: Ewc | None = None
    ) -> None:
        if start not in STARTS:
            raise UnknownNameError("start of an expansion:", start, STARTS)
        if not forgetting >= 0:
            raise InvalidValueError(f"forgetting must be at least 0, found {forgetting!r}")
        self.base, self.forgetting, self.start = base, forgetting, start
        self.fisher = fisher if fisher is not None else base if isinstance(base, Ewc) else Ewc()
        self.begin(0)

    @property
    def name(self) -> str:
        """For people."""
        return f"afec on {self.base.name}"

    def begin(self, seed: int) -> None:
        """Forget everything."""
        self.base.begin(seed)
        self.expanded: Network | None = None
        self.pull: Pull | None = None

    def begin_task(self, learner: Teacher, task: Task, samples: Any) -> None:
        """Let the expansion learn the task, and measure what matters to it."""
        self.base.begin_task(learner, task, samples)
        if learner.learned and self.forgetting:
            expanded = learner.teach(self._start(learner), samples, hook=None)
            self.pull = Pull(self.forgetting, *self.fisher.fisher(learner, expanded, task))
            self.expanded = expanded if self.start == "continue" else None

    def _start(self, learner: Teacher) -> Network:
        if self.start == "main":
            return learner.network
        found = learner.first if self.expanded is None else self.expanded
        return found.swap(*head(learner.network)) if learner.spared else found

    def __call__(self, parameters: Mapping[str, Any], step: Step) -> None:
        """Pull to both, then step."""

        def pulled() -> None:
            if self.pull is not None:
                self.pull.add(parameters, self.base.limit)
            step()

        self.base(parameters, pulled)  # SI must see the gradient before any pull

    def end_task(self, learner: Teacher, task: Task) -> None:
        """Discard the expansion, and measure what mattered to the network."""
        self.pull = None
        self.base.end_task(learner, task)

    @property
    def memory(self) -> int:
        """Bytes kept from task to task: nothing but the base's, unless expansions continue."""
        kept = 0 if self.expanded is None else sum(_weights(p) for p in self.expanded.projections) * 4
        return self.base.memory + kept


def _weights(projection: Any) -> int:
    """Return how many weights a projection holds."""
    return int(getattr(getattr(projection.rule, "weights", None), "size", 0))
