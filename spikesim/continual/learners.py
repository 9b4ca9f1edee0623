"""Learners: a network, the settings of training, and what is done about forgetting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.replay import Labelled, Mixed, Reservoir
from spikesim.continual.scenarios import Task
from spikesim.errors import InvalidValueError
from spikesim.network import Network, Population, Projection
from spikesim.train.evaluation import evaluate
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
        """Keep what matters of a task. ``observe(hook)`` shows its samples to a hook without learning anything."""


class FineTune:
    """Trains on one task after the other: by itself the lower bound, with a protection HLOP or GPM.

    Parameters
    ----------
    network
        Where learning starts; or a function that returns it for a seed, so that runs start with weights of their own.
    protect
        A :class:`Protection`, such as ``Hlop(rows=20)``. It needs the optimiser ``"sgd"`` and no weight decay: others
        scale elements one by one and leave the span of the gradients. Neuron parameters, delays and batch norms, which
        it cannot protect, learn in the first task only.
    heads
        One last layer per task: its population and projections are set aside after a task and taken out for its
        samples. Needs scenarios that tell the task. A head is not protected, because no later task changes it.
    backend
        Which engine predicts.
    predict_at_once
        Samples that it runs at once.
    **settings
        Of :func:`spikesim.train.train`. Without any, ``optimiser="sgd"`` and ``validation_fraction=0``; the optimiser
        is a new one for every task.
    """

    def __init__(
        self,
        network: Network | Callable[[int], Network],
        *,
        protect: Protection | None = None,
        heads: bool = False,
        backend: str = "torch",
        predict_at_once: int = 512,
        **settings: Any,
    ) -> None:
        self.start, self.protect, self.with_heads = network, protect, heads
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
            for name in ("hook", "seed", "checkpoint", "resume")
            if name in settings
        ]

    @property
    def name(self) -> str:
        """What it does."""
        return "fine-tune" if self.protect is None else self.protect.name

    @property
    def memory(self) -> int:
        """Bytes kept from task to task besides the network and its heads."""
        return 0 if self.protect is None else self.protect.memory

    def begin(self, seed: int) -> None:
        """Forget everything and start with a seed."""
        self.seed, self.learned = seed, 0
        self.first = self.network = self.start if isinstance(self.start, Network) else self.start(seed)
        self.heads: dict[int, tuple[Population | Projection, ...]] = {}
        if self.protect is not None:
            self.protect.begin(seed)

    def learn(self, task: Task) -> None:
        """Learn a task.

        Raises
        ------
        InvalidValueError
            If the scenario hides the task that a head is for, and whatever :func:`spikesim.train.train` raises.
        """
        samples = self._samples(task)
        self.network = self._train(self._with_head(task.number), samples, self._hook())
        if self.protect is not None:
            self.protect.end_task(lambda hook: self._observe((task.x, task.y), hook))
        if self.with_heads and task.number is not None:
            self.heads[task.number] = _head(self.network)
        self.learned += 1

    def predict(self, x: NDArray[Any], task: int | None = None) -> NDArray[np.int64]:
        """Return class numbers for samples of a task; a head that has not learned is as it was at the start."""
        names = {k: self.settings[k] for k in ("steps", "encode") if k in self.settings}
        found = evaluate(
            self._with_head(task), x, np.zeros(len(x), np.int64), readout=_readout(self.settings),
            backend=self.backend, batch_size=self.predict_at_once, **names,
        )  # fmt: skip
        predicted: NDArray[np.int64] = found.predicted
        return predicted

    def _samples(self, task: Task) -> Any:
        """Return what is trained on."""
        return task.x, task.y

    def _with_head(self, number: int | None) -> Network:
        """Return the network with the head of a task."""
        if not self.with_heads:
            return self.network
        if number is None:
            raise InvalidValueError(
                "heads: the scenario does not tell which task a sample belongs to, so no head can be chosen; use a "
                "scenario of kind 'task', or leave heads out"
            )
        return self.network.swap(*self.heads.get(number, _head(self.first)))

    def _hook(self) -> Any:
        """Return the protection as a hook that leaves heads alone."""
        if self.protect is None or not self.with_heads:
            return self.protect
        return self._but_heads(self.protect)

    def _but_heads(self, hook: Any, answer: Callable[[Any], Any] = lambda gradient: None) -> Any:
        """Return a hook that sees everything but the heads, whose gradients are answered otherwise."""
        heads = {part.name for part in _head(self.first) if isinstance(part, Projection)}
        return lambda name, rows, gradient: (
            answer(gradient) if name.partition("/")[0] in heads else hook(name, rows, gradient)
        )

    def _train(self, network: Network, samples: Any, hook: Any, **changes: Any) -> Network:
        # the seed is the same for every task: feedback weights, which are drawn from it, must stay
        settings = {**self.settings, "hook": hook, "seed": self.seed, **changes}
        if self.protect is not None and self.learned:
            settings = {k: v for k, v in settings.items() if k not in FIRST_TASK_ONLY}
        trained = train(network, samples, **settings)
        if trained.interrupted:
            raise KeyboardInterrupt
        learned: Network = trained.network
        return learned

    def _observe(self, samples: Labelled, hook: Any) -> None:
        """Show samples to a hook whose gradients are 0; what would come out as the network is dropped."""
        hook = self._but_heads(hook, lambda gradient: gradient * 0) if self.with_heads else hook
        free = {name: None for name in FIRST_TASK_ONLY}
        self._train(self.network, samples, hook, epochs=1, keep="last", checkpoint=None, log=None, **free)


class Joint(FineTune):
    """Keeps all samples and trains anew on them for every task: the upper bound."""

    def _problems(self) -> list[str]:
        problems = super()._problems()
        if self.with_heads:
            problems.append("joint: samples of several tasks are trained together, so heads must be left out")
        if self.protect is not None:
            problems.append("joint: nothing is forgotten, so protect must be left out")
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
        See :class:`FineTune`; ``protect=Hlop(...)`` is HLOP with replay. ``batch_size`` counts new and old samples.
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
        return "replay" if self.protect is None else f"{self.protect.name} with replay"

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


def _head(network: Network) -> tuple[Population | Projection, ...]:
    """Return the last population and the projections to it."""
    last = network.populations[-1]
    return (last, *(p for p in network.projections if p.post == last.name))


def _readout(settings: Mapping[str, Any]) -> str:
    return settings.get("readout") or loss(settings.get("loss", "rate_cross_entropy")).readout
