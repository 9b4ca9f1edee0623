"""Weights that are pulled back to where old tasks left them, each by how much it mattered: EWC, MAS, SI, and AFEC.

The loss of a task grows by ``strength / 2 sum_i importance_i (w_i - anchor_i)^2``. What differs is how importance is
measured. The pull acts on the gradients, so it goes with every training rule.

A step of SGD overshoots, and soon diverges, where ``strength * importance`` exceeds about 2 over the learning rate.
There it is limited to 1 over the learning rate, all pulls together: such a weight is put back whole in every step.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from spikesim.continual.scenarios import Task
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network
from spikesim.train.loop import train
from spikesim.train.rules import StepHook

Tensors = dict[str, Any]
Step = Callable[[], None]
Objective = Callable[[Any, Any, Any], Any]
LEARNING_RATE = float(inspect.signature(train).parameters["learning_rate"].default)
COMBINE = ("mean", "sum", "separate")


class Teacher(Protocol):
    """What a penalty needs of the learner that it is part of."""

    network: Network
    """The network: where a task begins, with its head; then as the task left it."""
    first: Network
    """The network before the first task."""
    learned: int
    """Tasks learned so far."""
    seed: int
    """Of the learner."""
    settings: dict[str, Any]
    """Of training."""

    @property
    def spared(self) -> frozenset[str]:
        """Projections to heads, which no later task changes."""

    def teach(self, network: Network, samples: Any, **changes: Any) -> Network:
        """Return a network trained on samples, with some settings changed."""

    def counted(self, hook: StepHook | None) -> StepHook | None:
        """Return a step hook that counts writes too, where the learner does."""


class Penalty(Protocol):
    """A :class:`spikesim.train.rules.StepHook` that keeps weights near those of old tasks: :class:`Ewc`, ..."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def memory(self) -> int:
        """Bytes kept from task to task."""

    def begin(self, seed: int) -> None:
        """Forget everything and start with a seed."""

    def begin_task(self, learner: Teacher, task: Task, samples: Any) -> None:
        """Prepare for a task; ``samples`` are what it is trained on, which may hold old ones too."""

    def __call__(self, parameters: Mapping[str, Any], step: Step) -> None:
        """Add to the gradients, then step; see :class:`spikesim.train.rules.StepHook`."""

    def end_task(self, learner: Teacher, task: Task) -> None:
        """Measure what mattered."""


@dataclass
class Pull:
    """A quadratic pull, ``strength / 2 sum_i importance_i (w_i - anchor_i)^2``.

    Parameters
    ----------
    strength
        Factor.
    importance, anchor
        By parameter, shaped like it.
    """

    strength: float
    importance: Tensors
    anchor: Tensors

    def add(self, parameters: Mapping[str, Any], limit: float = math.inf) -> None:
        """Add the slope of the pull to the gradients; ``strength * importance`` counts up to a limit."""
        for name, importance in self.importance.items():
            p = parameters[name]
            slope = (self.strength * importance).clamp(max=limit) * (p.detach() - self.anchor[name])
            p.grad = slope if p.grad is None else p.grad + slope

    @property
    def memory(self) -> int:
        """Bytes of both."""
        return sum(int(t.nbytes) for part in (self.importance, self.anchor) for t in part.values())


def weights_of(parameters: Mapping[str, Any], spared: frozenset[str]) -> Tensors:
    """Return the weights among learned parameters, without heads, biases, norms, neuron parameters and delays.

    Parameters
    ----------
    parameters
        As :class:`spikesim.train.rules.StepHook` is given them.
    spared
        Projections to leave out.
    """
    found = {}
    for name, p in parameters.items():
        projection, _, rest = name.partition("/")
        if projection not in spared and (not rest or rest.isdigit()):
            found[name] = p
    return found


class Consolidation:
    """What EWC, MAS and SI share.

    Parameters
    ----------
    strength
        Factor of the pull.
    combine
        What becomes of the importances of several tasks: ``"mean"`` and ``"sum"`` keep one, pulling to where the last
        task ended; ``"separate"`` keeps one per task, with where that task ended, so memory grows.
    decay
        Of ``"sum"``: what is left of the old sum when a task is added.
    """

    name = "consolidation"

    def __init__(self, strength: float, *, combine: str = "mean", decay: float = 1.0) -> None:
        self.strength, self.combine, self.decay = strength, combine, decay
        if combine not in COMBINE:
            raise UnknownNameError("way to combine tasks:", combine, COMBINE)
        if problems := self._problems():
            raise InvalidValueError("\n".join(problems))
        self.begin(0)

    def _problems(self) -> list[str]:
        problems = [] if self.strength >= 0 else [f"strength must be at least 0, found {self.strength!r}"]
        return problems + (
            [] if 0 < self.decay <= 1 else [f"decay must be above 0 and at most 1, found {self.decay!r}"]
        )

    def begin(self, seed: int) -> None:
        """Forget everything."""
        self.pulls: list[Pull] = []
        self.tasks = 0
        self.limit = math.inf

    def begin_task(self, learner: Teacher, task: Task, samples: Any) -> None:
        """Prepare for a task."""
        if learner.settings["optimiser"] == "sgd":  # others choose the length of their steps themselves
            pulls = len(self.pulls) + 1  # AFEC adds one
            self.limit = 1 / (pulls * learner.settings.get("learning_rate", LEARNING_RATE))

    def __call__(self, parameters: Mapping[str, Any], step: Step) -> None:
        """Pull, then step."""
        for pull in self.pulls:
            pull.add(parameters, self.limit)
        step()

    def end_task(self, learner: Teacher, task: Task) -> None:
        """Measure what mattered, and keep it."""
        self.keep(*self.measure(learner, task))

    def measure(self, learner: Teacher, task: Task) -> tuple[Tensors, Tensors]:
        """Return the importance of each weight for a task that has ended, and the weights."""
        raise NotImplementedError

    def keep(self, importance: Tensors, anchor: Tensors) -> None:
        """Add a task."""
        old = self.pulls[0].importance if self.pulls else {}
        self.tasks += 1
        if self.combine == "separate":
            self.pulls.append(Pull(self.strength, importance, anchor))
            return
        if self.combine == "mean":  # of all tasks so far
            share = 1 / self.tasks
            new = {n: old[n] * (1 - share) + v * share if n in old else v for n, v in importance.items()}
        else:
            new = {n: old[n] * self.decay + v if n in old else v for n, v in importance.items()}
        self.pulls = [Pull(self.strength, new, anchor)]

    @property
    def memory(self) -> int:
        """Bytes kept from task to task."""
        return sum(pull.memory for pull in self.pulls)


class Probe:
    """A training rule that learns nothing, and hands over the gradients of an objective, batch by batch.

    The gradients are those of the module with its surrogate, through all steps, whatever rule is trained by.

    Parameters
    ----------
    objective
        Function of (task, values, batch) to a scalar tensor; see :class:`spikesim.train.rules.Rule`.
    take
        Function of (parameters by name, samples in the batch).
    at
        Values of parameters to begin with, in place of those that are there.
    """

    def __init__(
        self,
        objective: Callable[[Any, Any, Any], Any],
        take: Callable[[Mapping[str, Any], int], None],
        at: Tensors | None = None,
    ) -> None:
        self.objective, self.take, self.at = objective, take, dict(at or {})

    def __call__(self, task: Any, batch: Any, update: Step) -> tuple[float, float]:
        """Go through a batch, without dropout and with the statistics that norms have."""
        task.module.eval()
        named = task.learner.named()
        while self.at:
            name, value = self.at.popitem()
            named[name].detach().copy_(value)
        values, _ = task.learner(task.over_time(batch.x))
        self.objective(task, values, batch).backward()
        self.take(named, len(batch.y))
        task.module.zero_grad(set_to_none=True)
        return 0.0, 0.0


PROBING: dict[str, Any] = {
    "rule_settings": None, "errors": "exact", "hook": None, "hook_rows": None, "step_hook": None, "epochs": 1,
    "augment": None, "regularise": (), "rate_penalty": 0.0, "validation": None, "validation_fraction": 0.0,
    "keep": "last", "patience": None, "monitor": None, "schedule": "constant", "schedule_settings": None, "warmup": 0,
    "log": None, "progress": None, "optimiser": "sgd", "weight_decay": 0.0, "mixed_precision": False,
}  # fmt: skip
"""Settings of training under which only a :class:`Probe` acts."""


def moments(
    learner: Teacher,
    network: Network,
    task: Task,
    objective: Objective,
    *,
    power: int,
    samples: int,
    batch: int,
    at: Tensors | None = None,
) -> tuple[Tensors, Tensors]:
    """Return the mean of ``|gradient|^power`` of an objective over samples of a task, and the weights.

    Parameters
    ----------
    learner
        Whose settings say how samples are presented.
    network
        Which network.
    task
        Where samples are drawn from.
    objective
        See :class:`Probe`.
    power
        1 or 2.
    samples
        How many are drawn, without repetition; at most all.
    batch
        Samples whose gradients are averaged before the power is taken; 1 for that of each sample.
    at
        Parameters of the network, in place of those that it has.
    """
    total: Tensors = {}
    weights: Tensors = {}
    seen = 0

    def take(parameters: Mapping[str, Any], count: int) -> None:
        nonlocal seen
        seen += count
        for name, p in weights_of(parameters, learner.spared).items():
            weights[name] = p.detach().clone() if name not in weights else weights[name]
            if p.grad is not None:
                found = p.grad.abs() if power == 1 else p.grad.square()
                total[name] = total[name] + count * found if name in total else count * found

    chosen = np.random.default_rng((learner.seed, learner.learned, 1)).permutation(len(task.y))[:samples]
    some = task.x[chosen], task.y[chosen]
    learner.teach(network, some, **{**PROBING, "rule": Probe(objective, take, at), "batch_size": batch})
    return {name: total[name] / seen if name in total else w * 0 for name, w in weights.items()}, weights
