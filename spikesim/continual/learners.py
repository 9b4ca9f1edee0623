"""Learners: a network, the settings of training, and what is done about forgetting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.consolidation import Penalty
from spikesim.continual.heads import head, head_projections
from spikesim.continual.replay import Labelled
from spikesim.continual.scenarios import Task
from spikesim.continual.writes import Writes
from spikesim.errors import InvalidValueError
from spikesim.network import Network, Population, Projection
from spikesim.train.evaluation import Evaluation, evaluate
from spikesim.train.loop import train
from spikesim.train.losses import loss

FIRST_TASK_ONLY = ("params", "delays")
"""Settings that let something learn that has no presynaptic rows, so that no projection can protect it."""


class Learner(Protocol):
    """Learns task after task."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def memory(self) -> int:
        """Bytes kept from task to task besides the network."""

    def begin(self, seed: int) -> None:
        """Forget everything and start with a seed."""

    def learn(self, task: Task) -> None:
        """Learn a task."""

    def predict(self, x: NDArray[Any], task: int | None = None) -> NDArray[np.int64]:
        """Return class numbers, int64 ``[samples]``, for samples of a task; None where that is not told."""


class Protection(Protocol):
    """A hook of training that keeps what old tasks need: :class:`Hlop`, :class:`Gpm`, or a user's own."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def memory(self) -> int:
        """Bytes kept from task to task."""

    def begin(self, seed: int) -> None:
        """Forget everything and start with a seed."""

    def __call__(self, projection: str, rows: Any, gradient: Any) -> Any:
        """Return the gradient to use, or None; see :class:`spikesim.train.rules.Hook`."""

    def end_task(self, observe: Callable[[Any], None]) -> None:
        """Keep what matters of a task.

        Parameters
        ----------
        observe
            ``observe(hook)`` shows its samples to a hook without learning anything; so many of them, if the protection
            has an attribute ``most``.
        """


class FineTune:
    """Trains on one task after the other: by itself the lower bound, with a protection or a penalty more.

    Parameters
    ----------
    network
        Where learning starts; or a function that returns it for a seed, so that runs start with weights of their own.
    protect
        A :class:`Protection`, such as ``Hlop()``. It needs the optimiser ``"sgd"`` and no weight decay: others
        scale elements one by one and leave the span of the gradients. Neuron parameters, delays and batch norms, which
        it cannot protect, learn in the first task only.
    penalty
        A :class:`~spikesim.continual.consolidation.Penalty`, such as ``Ewc(1e3)``, which pulls weights towards old
        ones. Its pull is not projected: beside a protection, responses to old activity stay only nearly as they were.
    heads
        One last layer per task: its population and projections are set aside after a task and taken out for its
        samples. Needs scenarios that tell the task. A head is not protected, because no later task changes it.
    count_writes
        Count how often a weight was changed (:attr:`writes`); it takes a few percent of the time.
    backend
        Which engine predicts.
    predict_at_once
        Samples that it runs at once.
    **settings
        Of :func:`spikesim.train.train`. Without any, ``optimiser="sgd"`` and ``validation_fraction=0``; the optimiser
        is a new one for every task.

    Attributes
    ----------
    network
        As the last task left it.
    learned
        Tasks learned so far.
    """

    def __init__(
        self,
        network: Network | Callable[[int], Network],
        *,
        protect: Protection | None = None,
        penalty: Penalty | None = None,
        heads: bool = False,
        count_writes: bool = False,
        backend: str = "torch",
        predict_at_once: int = 512,
        **settings: Any,
    ) -> None:
        self.start, self.protect, self.penalty, self.with_heads = network, protect, penalty, heads
        self.count_writes = count_writes
        self.backend, self.predict_at_once = backend, predict_at_once
        self.settings = {"optimiser": "sgd", "validation_fraction": 0.0, **settings}
        if problems := self._problems():
            raise InvalidValueError("\n".join(problems))
        self.begin(0)

    def _problems(self) -> list[str]:
        settings = self.settings
        wrong = [
            ("optimiser", settings["optimiser"] != "sgd", "'sgd'"),
            ("weight_decay", settings.get("weight_decay", 0) != 0, "0"),
            ("fold", not settings.get("fold", True), "True, so that batch norms stay as the first task left them"),
        ]
        problems = [
            f"{self.protect.name}: {name} must be {allowed}, found {settings[name]!r}"
            for name, bad, allowed in wrong
            if bad and self.protect is not None
        ]
        return problems + [
            f"{name} is set by the learner; leave it out"
            for name in ("hook", "step_hook", "seed", "checkpoint", "resume")
            if name in settings
        ]

    @property
    def parts(self) -> list[Any]:
        """What is done about forgetting: the protection, and the penalty."""
        return [part for part in (self.protect, self.penalty) if part is not None]

    @property
    def name(self) -> str:
        """What it does."""
        return " and ".join(part.name for part in self.parts) or "fine-tune"

    @property
    def memory(self) -> int:
        """Bytes kept from task to task besides the network and its heads."""
        return sum(part.memory for part in self.parts)

    @property
    def writes(self) -> int | None:
        """How often a weight was changed since the beginning; None if that is not counted."""
        return self._writes.count if self.count_writes else None

    @property
    def frozen_neurons(self) -> bool:
        """Whether neuron parameters and delays learn in the first task only."""
        return self.protect is not None

    @property
    def spared(self) -> frozenset[str]:
        """Projections that belong to a head, so that no later task changes them."""
        return head_projections(self.first) if self.with_heads else frozenset()

    def begin(self, seed: int) -> None:
        """Forget everything and start with a seed."""
        self.seed, self.learned, self._writes = seed, 0, Writes()
        self.first = self.network = self.start if isinstance(self.start, Network) else self.start(seed)
        self.heads: dict[int, tuple[Population | Projection, ...]] = {}
        for part in self.parts:
            part.begin(seed)

    def learn(self, task: Task) -> None:
        """Learn a task.

        Raises
        ------
        InvalidValueError
            If the scenario hides the task that a head is for, and whatever :func:`spikesim.train.train` raises.
        """
        samples = self._samples(task)
        self.network = self._untaught(task)
        if self.penalty is not None:
            self.penalty.begin_task(self, self._shown(task), samples)
        self.network = self._taught(self.teach(self.network, samples, **self._hooks()), task)
        if self.protect is not None:
            some = _some(task, getattr(self.protect, "most", None))
            self.protect.end_task(lambda hook: self._observe(some, hook))
        if self.penalty is not None:
            self.penalty.end_task(self, task)
        if self.with_heads and task.number is not None:
            self.heads[task.number] = head(self.network)
        self.learned += 1

    def predict(self, x: NDArray[Any], task: int | None = None) -> NDArray[np.int64]:
        """Return class numbers for samples of a task; a head that has not learned is as it was at the start."""
        predicted: NDArray[np.int64] = self.run(self.network_for(task), x).predicted
        return predicted

    def run(
        self, network: Network, x: NDArray[Any], y: NDArray[np.int64] | None = None, *, at_once: int | None = None
    ) -> Evaluation:
        """Return how a network answers samples, presented as in training; without labels, as if all were of class 0."""
        names = {k: self.settings[k] for k in ("steps", "encode") if k in self.settings}
        return evaluate(
            network, x, np.zeros(len(x), np.int64) if y is None else y, readout=_readout(self.settings),
            backend=self.backend, batch_size=at_once or self.predict_at_once, **names,
        )  # fmt: skip

    def _samples(self, task: Task) -> Any:
        """Return what is trained on."""
        return task.x, task.y

    def _shown(self, task: Task) -> Task:
        """Return the task with the labels that it is trained with."""
        return task

    def _untaught(self, task: Task) -> Network:
        """Return the network that a task is to be taught to."""
        return self.network_for(task.number)

    def _taught(self, network: Network, task: Task) -> Network:
        """Return the network that a task was taught to, with the head of the task."""
        return network

    def network_for(self, number: int | None) -> Network:
        """Return the network with the head of a task."""
        if not self.with_heads:
            return self.network
        if number is None:
            raise InvalidValueError(
                "heads: the scenario does not tell which task a sample belongs to, so no head can be chosen; use a "
                "scenario of kind 'task', or leave heads out"
            )
        return self.network.swap(*self.heads.get(number, head(self.first)))

    def step_hook(self) -> Any:
        """Return what stands around the optimiser's steps; see :class:`spikesim.train.rules.StepHook`."""
        return self.penalty

    def _hooks(self) -> dict[str, Any]:
        """Return what looks on while a task is learned: the protection, which leaves heads alone, and the penalty."""
        hook = self._but_heads(self.protect) if self.protect is not None and self.with_heads else self.protect
        return {"hook": hook, "step_hook": self.counted(self.step_hook())}

    def counted(self, hook: Any) -> Any:
        """Return a step hook that counts writes too, if these are counted; ``hook`` may be None."""
        return self._writes.around(hook) if self.count_writes else hook

    def _but_heads(self, hook: Any, answer: Callable[[Any], Any] = lambda gradient: None) -> Any:
        """Return a hook that sees everything but the heads, whose gradients are answered otherwise."""
        heads = self.spared
        return lambda name, rows, gradient: (
            answer(gradient) if name.partition("/")[0] in heads else hook(name, rows, gradient)
        )

    def teach(self, network: Network, samples: Any, **changes: Any) -> Network:
        """Return a network trained on samples, with some settings changed; it does not become the learner's own."""
        # the seed is the same for every task: feedback weights, which are drawn from it, must stay
        settings = {**self.settings, "seed": self.seed, "step_hook": self.counted(None), **changes}
        if self.frozen_neurons and self.learned:
            settings = {k: v for k, v in settings.items() if k not in FIRST_TASK_ONLY}
        trained = train(network, samples, **settings)
        if trained.interrupted:
            raise KeyboardInterrupt
        learned: Network = trained.network
        return learned

    def _observe(self, samples: Labelled, hook: Any) -> None:
        """Show samples to a hook whose gradients are 0; what would come out as the network is dropped."""
        hook = self._but_heads(hook, lambda gradient: gradient * 0) if self.with_heads else hook
        free = {name: None for name in (*FIRST_TASK_ONLY, "log", "step_hook")}
        self.teach(self.network, samples, hook=hook, epochs=1, keep="last", **free)


def _some(task: Task, most: int | None) -> Labelled:
    """Return samples of a task, evenly from all of them if they are more than is wanted."""
    every = 1 if most is None else max(1, len(task.x) // most)
    return task.x[::every][:most], task.y[::every][:most]


def _readout(settings: Mapping[str, Any]) -> str:
    return settings.get("readout") or loss(settings.get("loss", "rate_cross_entropy")).readout
