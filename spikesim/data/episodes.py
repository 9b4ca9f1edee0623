"""Episodes: short tasks drawn anew every time, on which a network must learn while it answers.

A generator is a function of (random numbers, samples) to sequences ``[samples, steps, values]`` and targets
``[samples, steps, outputs]``. :class:`Episodes` makes batches of it for
:func:`spikesim.train.train`, others in every epoch, the same ones for the same seed.

Reference: the tasks of Duan et al., ICLR 2023, arXiv 2302.03235; sizes can be chosen. All of them are SYNTHETIC but the
images of :class:`OneShot`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError, UnknownNameError

Array = NDArray[Any]


class Generator(Protocol):
    """A kind of episode."""

    @property
    def inputs(self) -> int:
        """Values of a step."""

    @property
    def outputs(self) -> int:
        """Values of an answer."""

    @property
    def gate(self) -> int | None:
        """Number of the input that is 1 where an answer counts; None: every answer counts."""

    @property
    def scored(self) -> slice:
        """The steps at which the answer is not in the input: report these."""

    def __call__(self, random: np.random.Generator, samples: int) -> tuple[Array, Array]:
        """Draw episodes."""


@dataclass(frozen=True)
class Copying:
    """A sequence is shown, ``delay`` blank steps pass, then it is to be told in order.

    Input ``[value in U(-1, 1), shown now, tell now]``; only the telling counts.
    """

    length: int = 5
    delay: int = 0
    inputs: int = field(default=3, init=False)
    outputs: int = field(default=1, init=False)
    gate: int | None = field(default=2, init=False)

    def __post_init__(self) -> None:
        _at_least("copying", {"length": (self.length, 1), "delay": (self.delay, 0)})

    @property
    def scored(self) -> slice:
        """The steps of telling."""
        return slice(self.length + self.delay, None)

    def __call__(self, random: np.random.Generator, samples: int) -> tuple[Array, Array]:
        """Draw episodes."""
        values, steps = random.uniform(-1.0, 1.0, (samples, self.length)), 2 * self.length + self.delay
        x, y = np.zeros((samples, steps, 3)), np.zeros((samples, steps, 1))
        x[:, : self.length, 0], x[:, : self.length, 1] = values, 1.0
        x[:, self.scored, 2], y[:, self.scored, 0] = 1.0, values
        return x, y


@dataclass(frozen=True)
class CueReward:
    """Cues come with rewards; later a cue comes alone, and its reward is to be told.

    Input ``[cue + noise, reward, test now]``. Cues are drawn from ``U(0, 1)`` for every episode, or with ``one_hot``
    fixed axes of length 2, shown once each.

    Parameters
    ----------
    cues, width
        How many, and their number of values (``one_hot``: the number of cues).
    shown, tested
        Steps with rewards and without.
    noise
        Standard deviation added to each value of a cue.
    one_hot
        See above.
    """

    cues: int = 4
    width: int = 4
    shown: int = 4
    tested: int = 8
    noise: float = 0.05
    one_hot: bool = True
    outputs: int = field(default=1, init=False)
    gate: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        sizes = {"cues": self.cues, "width": self.width, "shown": self.shown, "tested": self.tested}
        _at_least("cue-reward", {name: (value, 1) for name, value in sizes.items()})
        _no_less_than_0("cue-reward", self.noise)
        if self.one_hot and (self.width != self.cues or self.shown != self.cues):
            raise InvalidValueError(
                f"one-hot cues need width and shown equal to cues {self.cues}, found {self.width} and {self.shown}"
            )

    @property
    def inputs(self) -> int:
        """Values of a step."""
        return self.width + 2

    @property
    def scored(self) -> slice:
        """The steps without reward."""
        return slice(self.shown, None)

    def __call__(self, random: np.random.Generator, samples: int) -> tuple[Array, Array]:
        """Draw episodes."""
        steps, rows = self.shown + self.tested, np.arange(samples)[:, None]
        if self.one_hot:
            cues = np.broadcast_to(2.0 * np.eye(self.cues), (samples, self.cues, self.cues))
            first = np.argsort(random.random((samples, self.cues)), 1)
        else:
            cues = random.random((samples, self.cues, self.width))
            first = random.integers(0, self.cues, (samples, self.shown))
        order = np.concatenate([first, random.integers(0, self.cues, (samples, self.tested))], 1)
        rewards = random.uniform(-1.0, 1.0, (samples, self.cues))[rows, order]
        x = np.zeros((samples, steps, self.inputs))
        x[:, :, : self.width] = cues[rows, order] + self.noise * random.standard_normal((samples, steps, self.width))
        x[:, : self.shown, -2], x[:, self.shown :, -1] = rewards[:, : self.shown], 1.0
        return x, rewards[:, :, None]


@dataclass(frozen=True)
class Regression:
    """Points of a function are shown, then values at other points are to be told.

    Input ``[x in U(-1, 1), y + N(0, noise), shown now]``; target the clean ``y``, of mean 0 and standard deviation 1
    over the episode. ``kind`` is ``"linear"``, or ``"mlp"``: two hidden tanh units with weights from ``N(0, 1)``.
    """

    kind: str = "linear"
    width: int = 4
    shown: int = 10
    tested: int = 10
    noise: float = 0.1
    outputs: int = field(default=1, init=False)
    gate: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "mlp"):
            raise UnknownNameError("kind of regression:", self.kind, ["linear", "mlp"])
        _at_least("regression", {n: (getattr(self, n), 1) for n in ("width", "shown", "tested")})
        _no_less_than_0("regression", self.noise)

    @property
    def inputs(self) -> int:
        """Values of a step."""
        return self.width + 2

    @property
    def scored(self) -> slice:
        """The steps without ``y``."""
        return slice(self.shown, None)

    def __call__(self, random: np.random.Generator, samples: int) -> tuple[Array, Array]:
        """Draw episodes."""
        steps = self.shown + self.tested
        points = random.uniform(-1.0, 1.0, (samples, steps, self.width))
        if self.kind == "linear":
            y = points @ random.standard_normal((samples, self.width, 1))
        else:
            hidden = np.tanh(points @ random.standard_normal((samples, self.width, 2)))
            y = hidden @ random.standard_normal((samples, 2, 1))
        y = (y - y.mean(1, keepdims=True)) / y.std(1, keepdims=True)
        x = np.zeros((samples, steps, self.inputs))
        x[:, :, : self.width] = points
        x[:, : self.shown, -2] = (y + self.noise * random.standard_normal(y.shape))[:, : self.shown, 0]
        x[:, : self.shown, -1] = 1.0
        return x, y


class OneShot:
    """One image of each of some classes with its label, then one more whose class is to be told.

    Input ``[pixels - their mean, one-hot label]``, target the one-hot label at every step; in the last step it is left
    out of the input. Which class has which number is drawn for each episode.

    Parameters
    ----------
    images
        ``[images, ...]``.
    labels
        Classes, int ``[images]``; give disjoint classes to training and test.
    ways
        Classes per episode.
    """

    gate: int | None = None
    scored = slice(-1, None)

    def __init__(self, images: Array, labels: Array, ways: int = 3) -> None:
        if not len(images) or len(images) != len(labels):
            raise InvalidValueError(
                f"one-shot episodes need a label per image, found {len(images)} images and {len(labels)} labels"
            )
        flat = np.asarray(images, np.float64).reshape(len(images), -1)
        self.images, self.ways = flat - flat.mean(), ways  # pixels of one sign make all images alike to a product
        self.groups = [np.flatnonzero(labels == c) for c in np.unique(labels)]
        fewest = min((len(g) for g in self.groups), default=0)
        if not 2 <= ways <= len(self.groups) or fewest < 2:
            raise InvalidValueError(
                f"one-shot episodes need 2 to {len(self.groups)} ways and two images per class, found {ways} ways and "
                f"{fewest} images in the smallest class"
            )
        self.inputs, self.outputs = self.images.shape[1] + ways, ways

    def __call__(self, random: np.random.Generator, samples: int) -> tuple[Array, Array]:
        """Draw episodes."""
        x, asked = np.zeros((samples, self.ways + 1, self.inputs)), random.integers(0, self.ways, samples)
        pixels = self.images.shape[1]
        for sample in range(samples):
            classes = random.permutation(len(self.groups))[: self.ways]
            for step, way in enumerate(random.permutation(self.ways)):
                pair = random.choice(self.groups[classes[way]], 2, replace=False)
                x[sample, step, :pixels], x[sample, step, pixels + way] = self.images[pair[0]], 1.0
                if way == asked[sample]:
                    x[sample, -1, :pixels] = self.images[pair[1]]
        y = x[:, :, pixels:].copy()
        y[np.arange(samples), -1, asked] = 1.0
        return x, y


class Episodes:
    """Batches of fresh episodes, for :func:`spikesim.train.train`.

    Parameters
    ----------
    generator
        The task.
    samples
        Episodes per batch.
    batches
        Batches per epoch.
    seed
        Everything drawn is a function of seed, epoch and batch.

    Examples
    --------
    >>> x, y = next(iter(Episodes(Copying(3), samples=2)))
    >>> x.shape, y.shape, bool((x[:, :3, 0] == y[:, 3:, 0]).all())
    ((2, 6, 3), (2, 6, 1), True)
    """

    def __init__(self, generator: Generator, samples: int = 32, batches: int = 100, seed: int = 0) -> None:
        _at_least("episodes", {"samples": (samples, 1), "batches": (batches, 1), "seed": (seed, 0)})
        self.generator, self.samples, self.batches, self.seed, self.number = generator, samples, batches, seed, 0

    def __len__(self) -> int:
        return self.batches

    def set_epoch(self, number: int) -> None:
        """Choose the epoch."""
        self.number = number

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        for batch in range(self.batches):
            yield self.generator(np.random.default_rng([self.seed, self.number, batch]), self.samples)


TASKS = ("cue_reward", "one_shot", "copying", "regression_linear", "regression_mlp")


def episode_task(name: str) -> tuple[Any, Any]:
    """Return the generators of training and of test episodes of a small task.

    Parameters
    ----------
    name
        One of :data:`TASKS`. ``"one_shot"`` has scikit-learn's digits: classes 0 to 6 to learn on, 7 to 9 for the test;
        the others draw from the same distribution for both.

    Raises
    ------
    UnknownNameError
        If there is no such task.
    """
    if name not in TASKS:
        raise UnknownNameError("task:", name, TASKS)
    if name == "one_shot":
        from spikesim.data import load

        digits = load("digits").scaled()
        x, y = np.concatenate([digits.x_train, digits.x_test]), np.concatenate([digits.y_train, digits.y_test])
        return OneShot(x[y < 7], y[y < 7]), OneShot(x[y >= 7], y[y >= 7])
    made: Any = {
        "copying": Copying(12),
        "cue_reward": CueReward(),
        "regression_linear": Regression("linear", 4, 8, 4),
        "regression_mlp": Regression("mlp", 3, 8, 4),
    }[name]
    return made, made


def _at_least(what: str, values: dict[str, tuple[Any, int]]) -> None:
    problems = [
        f"{what}: {n} must be a whole number of at least {low}, found {v!r}"
        for n, (v, low) in values.items()
        if not (isinstance(v, int | np.integer) and v >= low)
    ]
    if problems:
        raise InvalidValueError("\n".join(problems))


def _no_less_than_0(what: str, noise: float) -> None:
    if not noise >= 0:
        raise InvalidValueError(f"{what}: noise must be at least 0, found {noise!r}")
