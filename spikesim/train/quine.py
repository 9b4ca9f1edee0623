"""Training a network to answer with its own weights: by gradients, by hill climbing, by regeneration, and in turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from spikesim.connect import Dense
from spikesim.engine import backend
from spikesim.errors import DivergedError, InvalidValueError, UnknownNameError
from spikesim.lowering import lower
from spikesim.models.networks import quine as spiking_quine
from spikesim.models.networks.quine import coordinates, rho, with_weights
from spikesim.network import Network
from spikesim.rng import Stream
from spikesim.train.feeds import Batch
from spikesim.train.loop import train
from spikesim.train.task import Outcome

METHODS = ("grad", "hill", "regen", "regen+grad", "regen+hill")
BATCH = 10
TEMPERATURE, SHARE = 0.01, 0.01  # of the softmax over classes, and lambda of the auxiliary loss, as published


@dataclass(frozen=True)
class Selfhood:
    """How well a quine knows itself; none of the figures says much without the others.

    Parameters
    ----------
    epoch
        Epochs or generations done.
    loss
        ``L_SR``, the sum of squared errors over all weights.
    norm2
        Sum of the squared weights.
    rho
        ``loss / norm2``: 1 is no better than to answer 0.
    accuracy
        Of the auxiliary task on its training images, None without one.
    """

    epoch: int
    loss: float
    norm2: float
    rho: float
    accuracy: float | None = None

    def margin(self, n: int) -> float:
        """Return the root of the mean squared error of a weight, of ``n``."""
        return math.sqrt(self.loss / n)

    def quotient(self, n: int) -> float:
        """Return the self-replicating quotient ``ln(n / L_SR)``; infinite for a perfect quine."""
        return math.log(n / self.loss) if self.loss else math.inf


class _Spiking(nn.Module):  # type: ignore[misc]
    """The network as a module from currents to the read-out's membrane."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.net = backend("torch").module(lower(network), surrogate="fast_sigmoid", settings={"slope": 4.0})  # type: ignore[attr-defined]

    def matrices(self) -> list[torch.Tensor]:
        return [m.weight for m in self.net.maps]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.net({"coordinate": x}, record=("out/v",))["out/v"]
        return found


class _Selu(nn.Module):  # type: ignore[misc]
    """The published form without spikes: ``w_out . phi(W2 phi(W1 phi(P)))``."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        rules = [p.rule for p in network.projections if isinstance(p.rule, Dense)]
        self.weights = nn.ParameterList(nn.Parameter(torch.tensor(r.weights.T.copy()).float()) for r in rules)

    def matrices(self) -> list[torch.Tensor]:
        return list(self.weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, two, out = self.weights
        first = functional.selu(functional.selu(functional.selu(x[:1]) @ one) @ two) @ out
        return first.expand(len(x), -1, -1)


@dataclass
class Quine:
    """A network that is trained to answer with its own weights.

    Parameters
    ----------
    network
        From :func:`spikesim.models.networks.quine`.
    steps
        Time steps that a coordinate is presented.
    selu
        Put SELU units in place of the spiking neurons.
    start
        Scale of the fixed currents, see :func:`spikesim.models.networks.quine.coordinates`.
    images, labels
        Of the auxiliary task, ``[images, ...]`` and ``[images]``, for a quine with classes: coordinate ``c`` always
        comes with image ``c mod images``.
    seed
        Of the order of coordinates and of hill climbing.

    Attributes
    ----------
    history
        A :class:`Selfhood` before training and after each epoch or generation.
    """

    network: Network
    steps: int = 8
    selu: bool = False
    start: str = "uniform"
    images: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    seed: int = 0
    history: list[Selfhood] = field(default_factory=list)

    def __post_init__(self) -> None:
        classes = self.network.populations[-1].n - 1
        if (classes > 0) != (self.images is not None) or (self.images is None) != (self.labels is None):
            raise InvalidValueError(
                f"a quine with {classes} classes {'needs' if classes else 'takes no'} images and labels; "
                "build it with classes=10 for digits, or with 0 for none"
            )
        self.module: Any = (_Selu if self.selu else _Spiking)(self.network)
        self.questions = coordinates(self.network, self.start)
        self.classes = np.zeros(len(self.questions), np.int64)
        if self.images is not None and self.labels is not None:
            which = np.arange(len(self.questions)) % len(self.images)
            self.questions += self._projected(self.images)[which]
            self.classes = np.asarray(self.labels)[which]
        self._note(0)

    def _projected(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """Return the currents of images: a fixed random projection onto the second half."""
        flat = np.asarray(images, np.float64).reshape(len(images), -1)
        hidden = self.network.populations[0].n
        random = Stream(self.network.seed, "quine/images").normal(flat.shape[1] * (hidden // 2))
        found = np.zeros((len(flat), hidden))
        found[:, hidden - hidden // 2 :] = flat @ random.reshape(flat.shape[1], -1) / math.sqrt(flat.shape[1])
        return found

    # ------------------------------------------------------------------------------------------------ what it is
    def theta(self) -> NDArray[np.float64]:
        """Return the present weights in the order of their coordinates."""
        found = [w.detach().T.reshape(-1).double().numpy() for w in self.module.matrices()]
        return np.concatenate(found)

    def become(self, theta: NDArray[np.float64]) -> None:
        """Take other weights."""
        first = 0
        with torch.no_grad():
            for matrix in self.module.matrices():
                part = torch.as_tensor(theta[first : first + matrix.numel()]).to(matrix.dtype)
                matrix.copy_(part.reshape(matrix.T.shape).T)
                first += matrix.numel()

    def _answers(self, chosen: Any = slice(None)) -> NDArray[np.float64]:
        x = torch.as_tensor(self.questions[chosen]).float()
        with torch.no_grad():
            values = self.module(x.expand(self.steps, *x.shape)).mean(0)
        return np.asarray(values.double().numpy())

    def predict_all(self) -> NDArray[np.float64]:
        """Return what the network says of every weight, ``[weights]``."""
        return self._answers()[:, 0]

    def loss(self) -> float:
        """Return ``L_SR``."""
        return float(np.square(self.predict_all() - self.theta()).sum())

    def rho(self) -> float:
        """Return ``L_SR`` over the sum of the squared weights."""
        return rho(self.predict_all(), self.theta())

    def accuracy(self, images: NDArray[Any], labels: NDArray[Any]) -> float:
        """Return the accuracy on images, without a coordinate."""
        x = torch.as_tensor(self._projected(images)).float()
        with torch.no_grad():
            values = self.module(x.expand(self.steps, *x.shape)).mean(0)[:, 1:]
        return float((values.argmax(1).numpy() == np.asarray(labels)).mean())

    def result(self) -> Network:
        """Return the spiking network with the present weights."""
        return with_weights(self.network, self.theta())

    def _note(self, epoch: int) -> None:
        answers, theta = self._answers(), self.theta()
        loss = float(np.square(answers[:, 0] - theta).sum())
        known = None if self.images is None else float((answers[:, 1:].argmax(1) == self.classes).mean())
        self.history.append(Selfhood(epoch, loss, float(np.square(theta).sum()), rho(answers[:, 0], theta), known))

    # ------------------------------------------------------------------------------------------------ training
    def train(
        self,
        method: str = "grad",
        epochs: int = 10,
        *,
        optimiser: str = "adamax",
        learning_rate: float = 2e-3,
        sigma: float = 1e-3,
        progress: Callable[[Selfhood], None] | None = None,
    ) -> list[Selfhood]:
        """Train for some epochs or generations.

        Parameters
        ----------
        method
            ``"grad"``: the targets are the weights at the beginning of an epoch. ``"hill"``: per mini-batch a random
            change of all weights, kept if the answers to it become better. ``"regen"``: all weights become what the
            network says of them. ``"regen+grad"``, ``"regen+hill"``: an epoch of the other, then regeneration.
        epochs
            Epochs, or generations.
        optimiser, learning_rate
            Of gradients, as :func:`spikesim.train.train` takes them. The mini-batch loss is a mean over 10 coordinates.
        sigma
            Standard deviation of a change in hill climbing.
        progress
            Told what has become of it after each epoch.

        Returns
        -------
        list of Selfhood
            The whole history.

        Raises
        ------
        UnknownNameError
            If there is no such method.
        InvalidValueError
            If a number is not allowed.
        DivergedError
            If regeneration grows beyond all bounds; the history ends with the generation before.
        """
        if method not in METHODS:
            raise UnknownNameError("method of a quine:", method, METHODS)
        if not (epochs >= 0 and sigma > 0):
            raise InvalidValueError(f"epochs must be at least 0 and sigma above 0, found {epochs!r} and {sigma!r}")
        tell = progress or (lambda found: None)
        if method == "grad" and epochs:
            self._gradients(epochs, optimiser, learning_rate, tell)
            return self.history
        for _ in range(epochs):
            if method.endswith("grad"):
                self._gradients(1, optimiser, learning_rate, None)
            elif method.endswith("hill"):
                self._climb(sigma)
            if method.startswith("regen"):
                self._regenerate()
            self._note(len(self.history))
            tell(self.history[-1])
        return self.history

    def _gradients(self, epochs: int, optimiser: str, rate: float, tell: Callable[[Selfhood], None] | None) -> None:
        def noted(_epoch: Any, _epochs: int) -> None:
            if tell is not None:
                self._note(len(self.history))
                tell(self.history[-1])

        train(
            self.module,
            _Questions(self, len(self.history)),
            epochs=epochs,
            optimiser=optimiser,
            learning_rate=rate,
            loss="mse",
            schedule="constant",
            steps=self.steps,
            seed=self.seed,
            rule="bptt" if self.images is None else _auxiliary,
            progress=noted,
        )

    def _climb(self, sigma: float) -> None:
        """Try one change per mini-batch of an epoch; judged against the weights at its beginning."""
        goal, random = self.theta(), np.random.default_rng([self.seed, len(self.history)])
        for chosen in _split(random, goal.size):
            before = self.theta()
            kept = np.square(self._answers(chosen)[:, 0] - goal[chosen]).sum()
            self.become(before + sigma * random.standard_normal(goal.size))
            if not np.square(self._answers(chosen)[:, 0] - goal[chosen]).sum() < kept:
                self.become(before)

    def _regenerate(self) -> None:
        answers = self.predict_all()
        if not np.isfinite(answers).all() or np.abs(answers).max(initial=0.0) > 1e6:
            raise DivergedError(
                f"regeneration diverged in generation {len(self.history)}; start with smaller weights (start='uniform')"
            )
        self.become(answers)


class _Questions:
    """Batches of coordinates in a new order every epoch; targets are the weights when it begins."""

    def __init__(self, quine: Quine, first: int) -> None:
        self.quine, self.first, self.number, self.goal = quine, first, 0, quine.theta()

    def __len__(self) -> int:
        return -(-self.goal.size // BATCH)

    def set_epoch(self, number: int) -> None:
        self.number, self.goal = number, self.quine.theta()

    def __iter__(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        random = np.random.default_rng([self.quine.seed, self.first, self.number])
        labels = self.quine.classes
        for chosen in _split(random, self.goal.size):
            y = self.goal[chosen, None]
            if self.quine.images is not None:  # the trained outputs are 1 + classes; the label travels in the second
                y = np.concatenate(
                    [y, labels[chosen, None], np.zeros((len(chosen), self.quine.network.populations[-1].n - 2))], 1
                )
            yield self.quine.questions[chosen], y


def _split(random: np.random.Generator, n: int) -> list[NDArray[np.int64]]:
    return np.array_split(random.permutation(n), range(BATCH, n, BATCH))


def _auxiliary(task: Any, batch: Batch, update: Callable[[], None]) -> tuple[torch.Tensor, float]:
    """Learn from a batch by ``L_SR + lambda L_task``."""
    values, _ = task.learner(task.over_time(batch.x))
    answers = values.mean(0)
    known = functional.cross_entropy(answers[:, 1:] / TEMPERATURE, batch.y[:, 1].long())
    loss = (answers[:, 0] - batch.y[:, 0]).square().mean() + SHARE * known
    loss.backward()
    update()
    return Outcome(loss.detach(), float(loss.detach()) * len(batch.y))


def quine_of(hidden: int = 24, steps: int = 8, *, start: str = "uniform", selu: bool = False, seed: int = 0) -> Quine:
    """Return an untrained quine; see :class:`Quine` and :func:`spikesim.models.networks.quine`."""
    return Quine(spiking_quine(hidden, start=start, seed=seed), steps, selu, start, seed=seed)


__all__ = ["METHODS", "Quine", "Selfhood", "quine_of"]
