"""Active forgetting with synaptic expansion and convergence (AFEC), on top of EWC, MAS or SI.

A pull towards old weights keeps a network from learning what contradicts them. Before each task but the first, a copy
of the parameters (the expansion) learns the task alone; its Fisher information says which of its weights matter. The
network itself then learns with a second pull, towards the expanded weights::

    loss + strength / 2 sum_i importance_i (w_i - old_i)^2 + forgetting / 2 sum_i F_e,i (w_i - w_e,i)^2

The expansion is discarded after the task. ``forgetting = 0`` is the method below, bit by bit.

The pulls need not wait for the end of the expansion's training: ``mode="interleaved"`` pulls, in each epoch, to the
expansion as it was after as many epochs of its own, with the Fisher information that it had then. An expansion does not
depend on the network meanwhile, so it is trained first all the same, and looked at after each of its epochs.

Reference: Wang et al., "AFEC: Active Forgetting of Negative Transfer in Continual Learning", NeurIPS 2021,
arXiv 2110.12187, algorithm 1. Where the authors' code differs (github.com/lywang3081/AFEC): the expansion goes on from
the one of the task before (``start="continue"``), the two take turns (``mode="interleaved"``), and Fisher information
is that of mini-batches of 20 (``Ewc(batch=20)``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikesim.continual.consolidation import Consolidation, Pull, Step, Teacher, Tensors
from spikesim.continual.ewc import Ewc
from spikesim.continual.heads import head
from spikesim.continual.scenarios import Task
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network

STARTS = ("fresh", "main", "continue")
MODES = ("sequential", "interleaved")


class Afec:
    """AFEC as a penalty: ``FineTune(network, penalty=Afec(Ewc(1e3), forgetting=100))``.

    Parameters
    ----------
    base
        Pulls towards the old weights: :class:`Ewc`, :class:`Mas` or :class:`SynapticIntelligence`; None for no such
        pull.
    forgetting
        Factor of the pull towards the expanded weights. About 1/30 to 1/3 of EWC's strength has an effect; the more,
        the better new tasks are learned and the more is forgotten.
    start
        Where an expansion starts: ``"fresh"`` from the weights of the beginning, ``"main"`` from the network's present
        ones, ``"continue"`` from the expansion of the task before, which is then kept.
    mode
        ``"sequential"``: pulls to the expansion that has learned the task; ``"interleaved"``: to the one that has
        learned as long as the network, at the price of one measurement per epoch.
    fisher
        How its Fisher information is measured (its strength does not count).
    """

    def __init__(
        self,
        base: Consolidation | None,
        forgetting: float = 10.0,
        *,
        start: str = "fresh",
        mode: str = "sequential",
        fisher: Ewc | None = None,
    ) -> None:
        if start not in STARTS:
            raise UnknownNameError("start of an expansion:", start, STARTS)
        if mode not in MODES:
            raise UnknownNameError("mode of AFEC:", mode, MODES)
        if not forgetting >= 0:
            raise InvalidValueError(f"forgetting must be at least 0, found {forgetting!r}")
        self.base = Unpulled() if base is None else base
        self.forgetting, self.start, self.mode = forgetting, start, mode
        self.fisher = fisher if fisher is not None else base if isinstance(base, Ewc) else Ewc()
        self.begin(0)

    @property
    def name(self) -> str:
        """For people."""
        return "afec" if isinstance(self.base, Unpulled) else f"afec on {self.base.name}"

    def begin(self, seed: int) -> None:
        """Forget everything."""
        self.base.begin(seed)
        self.expanded: Network | None = None
        self.pulls: list[Pull] = []
        self.steps, self.per_pull = 0, 1

    def begin_task(self, learner: Teacher, task: Task, samples: Any) -> None:
        """Let the expansion learn the task, and measure what matters to it.

        Raises
        ------
        InvalidValueError
            If batch norms of the first network stand between what an expansion learns and its weights.
        """
        self.base.begin_task(learner, task, samples)
        if not (learner.learned and self.forgetting):
            return
        first, self.steps = self._start(learner), 0
        if self.mode == "sequential":
            expanded = learner.teach(first, samples, hook=None)
            self.pulls, self.per_pull = [self._pull(learner, expanded, task)], 1
        else:
            _check_norms(first)
            seen = _Epochs()
            expanded = learner.teach(first, samples, hook=None, step_hook=learner.counted(seen), progress=seen.ended)
            self.pulls = [self._pull(learner, first, task, weights) for weights in seen.weights]
            self.per_pull = max(seen.steps // len(seen.weights), 1)
        self.expanded = expanded if self.start == "continue" else None

    def _pull(self, learner: Teacher, network: Network, task: Task, weights: Tensors | None = None) -> Pull:
        return Pull(self.forgetting, *self.fisher.fisher(learner, network, task, weights))

    def _start(self, learner: Teacher) -> Network:
        if self.start == "main":
            return learner.network
        found = learner.first if self.expanded is None else self.expanded
        return found.swap(*head(learner.network)) if learner.spared else found

    def __call__(self, parameters: Mapping[str, Any], step: Step) -> None:
        """Pull to both, then step."""

        def pulled() -> None:
            if self.pulls:
                self.pulls[min(self.steps // self.per_pull, len(self.pulls) - 1)].add(parameters, self.base.limit)
            step()

        self.base(parameters, pulled)  # SI must see the gradient before any pull
        self.steps += 1

    def end_task(self, learner: Teacher, task: Task) -> None:
        """Discard the expansion, and measure what mattered to the network."""
        self.pulls = []
        self.base.end_task(learner, task)

    @property
    def memory(self) -> int:
        """Bytes kept from task to task: nothing but the base's, unless expansions continue."""
        kept = 0 if self.expanded is None else sum(_weights(p) for p in self.expanded.projections) * 4
        return self.base.memory + kept


class Unpulled(Consolidation):
    """No pull towards old weights."""

    name = "nothing"

    def __init__(self) -> None:
        super().__init__(0.0)

    def end_task(self, learner: Teacher, task: Task) -> None:
        """Measure nothing."""


class _Epochs:
    """Stands around the steps of an expansion, and keeps its parameters after each epoch."""

    def __init__(self) -> None:
        self.steps = 0
        self.weights: list[Tensors] = []
        self.parameters: Mapping[str, Any] = {}

    def __call__(self, parameters: Mapping[str, Any], step: Step) -> None:
        self.parameters = parameters
        self.steps += 1
        step()

    def ended(self, epoch: Any, epochs: int) -> None:
        self.weights.append({name: p.detach().clone() for name, p in self.parameters.items()})


def _check_norms(network: Network) -> None:
    """Refuse norms, which are folded into the weights at the end and not after each epoch."""
    if normed := [p.name for p in network.projections if p.norm is not None]:
        raise InvalidValueError(
            f"afec: batch norms ({', '.join(normed)}) are folded into the weights when training ends, so weights after "
            "an epoch mean something else; use mode='sequential', start='main', or leave batch norms out"
        )


def _weights(projection: Any) -> int:
    """Return how many weights a projection holds."""
    return int(getattr(getattr(projection.rule, "weights", None), "size", 0))
