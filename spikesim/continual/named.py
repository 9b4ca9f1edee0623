"""Scenarios by name, with plain settings, and what a network needs for them.

>>> found = named("split-digits", tasks=5)
>>> found.scenario.name, found.shape, found.scenario.outputs
('split digits, 5 tasks, class-incremental', (8, 8), 10)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.continual.changes import Corrupted, Rotated
from spikesim.continual.labels import Relabelled
from spikesim.continual.patterns import spike_patterns
from spikesim.continual.scenarios import Permuted, Scenario, Split
from spikesim.continual.sets import DataSets, stretched
from spikesim.continual.streams import ClassesAndConditions, Stream
from spikesim.data import load
from spikesim.data.dataset import Dataset
from spikesim.errors import InvalidValueError, UnknownNameError

IMAGES = ("digits", "mnist", "fashion-mnist")
FIVE = ("mnist", "fashion-mnist", "digits", "japanese-vowels", "basic-motions")


@dataclass(frozen=True, eq=False)
class Named:
    """A scenario, and what a network needs for it.

    Parameters
    ----------
    scenario
        Makes the tasks.
    shape
        Of a sample, in one step.
    graded
        Whether samples are currents; else spikes.
    training
        How samples are presented: settings of :func:`spikesim.train.train`.
    """

    scenario: Scenario
    shape: tuple[int, ...]
    graded: bool = True
    training: Mapping[str, Any] = field(default_factory=lambda: {"steps": 6})


def named(name: str, **settings: Any) -> Named:
    """Return a scenario by name.

    Parameters
    ----------
    name
        A name in :data:`SCENARIOS`.
    **settings
        Of the scenario, such as ``tasks``, ``kind``, ``seed`` (of permutations, orders and samples), ``samples`` and
        ``tests`` (so many of each task are used); ``piece`` makes a stream of pieces of that size.

    Raises
    ------
    UnknownNameError
        If there is no such scenario or setting.
    InvalidValueError
        If settings do not fit together.
    MissingDataError
        If its data are not on this machine.
    """
    if name not in SCENARIOS:
        raise UnknownNameError("scenario", name, list(SCENARIOS))
    make = SCENARIOS[name]
    allowed = [p for p in inspect.signature(make).parameters if p != "name"] + ["piece"]
    for key in settings:
        if key not in allowed:
            raise UnknownNameError(f"setting of scenario {name!r}:", key, allowed)
    piece = settings.pop("piece", None)
    found = make(name, **settings)
    seed = settings.get("seed", 0)
    return found if piece is None else replace(found, scenario=Stream(found.scenario, piece, seed))


def usual_kind(name: str) -> str | None:
    """Return the kind of a scenario where none is given; None if it has no choice of one."""
    kind = inspect.signature(SCENARIOS[name]).parameters.get("kind") if name in SCENARIOS else None
    return None if kind is None else str(kind.default)


def scenario_rows() -> list[tuple[str, str]]:
    """Return name and summary of each scenario, for a table."""
    return [(name, (make.__doc__ or "").partition("\n")[0].rstrip(".")) for name, make in SCENARIOS.items()]


# ------------------------------------------------------------------------------------------------------------- images
def _images(
    data: str, seed: int, samples: int | None, tests: int | None, size: int | None, normalised: bool
) -> Dataset:
    """Return a data set of images as a scenario begins with it."""
    found = load(data, seed=seed) if data == "digits" else load(data)
    found = some(found, samples, tests, seed)
    if size is not None:
        x = [stretched(np.asarray(part, np.float32), (size, size)) for part in (found.x_train, found.x_test)]
        found = replace(found, x_train=x[0], x_test=x[1])
    return found.normalised() if normalised else found


def some(data: Dataset, samples: int | None, tests: int | None, seed: int) -> Dataset:
    """Return so many training and test samples of a data set, drawn by a seed; all where None is given."""

    def drawn(count: int, wanted: int | None, part: int) -> NDArray[np.int64]:
        if wanted is None or wanted >= count:
            return np.arange(count)
        if wanted < 1:
            raise InvalidValueError(f"{('samples', 'tests')[part]} must be at least 1, found {wanted!r}")
        return np.sort(np.random.default_rng((seed, part)).permutation(count)[:wanted])

    train, test = drawn(len(data.y_train), samples, 0), drawn(len(data.y_test), tests, 1)
    return replace(
        data, x_train=data.x_train[train], y_train=data.y_train[train],
        x_test=data.x_test[test], y_test=data.y_test[test],
    )  # fmt: skip


def _permuted(
    name: str, tasks: int = 5, kind: str = "domain", seed: int = 0, samples: int | None = None,
    tests: int | None = None, size: int | None = None, normalised: bool = True,
) -> Named:  # fmt: skip
    """Put the pixels in another order in every task."""
    data = _images(name.partition("-")[2], seed, samples, tests, size, normalised)
    return Named(Permuted(data, tasks, kind, seed), data.x_train.shape[1:])


def _rotated(
    name: str, tasks: int = 5, kind: str = "domain", seed: int = 0, samples: int | None = None,
    tests: int | None = None, size: int | None = None, normalised: bool = True, degrees: float = 180.0,
) -> Named:  # fmt: skip
    """Turn the images further in every task."""
    data = _images(name.partition("-")[2], seed, samples, tests, size, normalised)
    return Named(Rotated(data, tasks, kind, seed, degrees), data.x_train.shape[1:])


def _split(
    name: str, tasks: int = 5, kind: str = "class", seed: int = 0, samples: int | None = None,
    tests: int | None = None, size: int | None = None, normalised: bool = True,
) -> Named:  # fmt: skip
    """Take some classes after the other, in an order that is drawn."""
    data = _images(name.partition("-")[2], seed, samples, tests, size, normalised)
    return Named(Split(data, tasks, kind, seed), data.x_train.shape[1:])


def _relabelled(
    name: str, tasks: int = 5, kind: str = "task", seed: int = 0, groups: int | None = None,
    samples: int | None = None, tests: int | None = None, size: int | None = None, normalised: bool = True,
) -> Named:  # fmt: skip
    """Give the classes other labels in every task (groups=2: the same for several), so tasks contradict each other."""
    data = _images(name.partition("-")[2], seed, samples, tests, size, normalised)
    return Named(Relabelled(data, tasks, kind, seed, groups), data.x_train.shape[1:])


def _corrupted(
    name: str, tasks: int = 5, kind: str = "domain", seed: int = 0, samples: int | None = None,
    tests: int | None = None, size: int | None = None, severity: int = 3,
) -> Named:  # fmt: skip
    """Show the images clean first, then spoilt in another way in every task."""
    data = _images(name.partition("-")[2], seed, samples, tests, size, False)
    return Named(Corrupted(data, tasks, kind, seed, severity=severity), data.x_train.shape[1:])


def _mixed(
    name: str, tasks: int = 10, conditions: int = 2, seed: int = 0, samples: int | None = None,
    tests: int | None = None, size: int | None = None, severity: int = 3,
) -> Named:  # fmt: skip
    """Bring new classes, or known ones spoilt in another way (class-incremental)."""
    data = _images(name.partition("-")[2], seed, samples, tests, size, False)
    if conditions < 1 or tasks % conditions:
        raise InvalidValueError(f"tasks must be a multiple of conditions ({conditions!r}), found {tasks!r}")
    groups = Split(data, tasks // conditions, "class", seed)
    spoilt = Corrupted(data, conditions, "domain", seed, severity=severity)
    return Named(ClassesAndConditions(groups, spoilt, seed), data.x_train.shape[1:])


# ------------------------------------------------------------------------------------------------------------- others
def _five(
    name: str, kind: str = "task", seed: int = 0, sets: str | Sequence[str] = FIVE, samples: int | None = None,
    tests: int | None = None, size: int = 28,
) -> Named:  # fmt: skip
    """Take five data sets one after the other, stretched to one size (sets=digits,mnist chooses)."""
    chosen = sets.split(",") if isinstance(sets, str) else list(sets)
    data = tuple(some(load(one), samples, tests, seed) for one in chosen)
    return Named(DataSets(data, kind, (size, size)), (size, size))


def _patterns(
    name: str, tasks: int = 5, kind: str = "class", seed: int = 0, classes: int | None = None,
    channels: int = 40, steps: int = 20, jitter: float = 1.0, noise: float = 0.02, samples: int = 60,
    tests: int = 30,
) -> Named:  # fmt: skip
    """Draw synthetic patterns of Poisson spikes with jitter, some classes after the other (two per task)."""
    data = spike_patterns(
        2 * tasks if classes is None else classes, channels=channels, steps=steps, jitter=jitter, noise=noise,
        samples=samples, test_samples=tests, seed=seed,
    )  # fmt: skip
    return Named(Split(data, tasks, kind, seed), (channels,), False, {"encode": "sequence"})


def _vowels(name: str, tasks: int = 3, kind: str = "class", seed: int = 0, steps: int = 16) -> Named:
    """Take Japanese Vowels, some speakers after the other; utterances stretched to one length."""
    data = load("japanese-vowels")
    parts = []
    for x, lengths in ((data.x_train, data.lengths_train), (data.x_test, data.lengths_test)):
        real = lengths if lengths is not None else np.full(len(x), x.shape[1])
        parts.append(
            np.concatenate([stretched(s[None, :n], (steps, s.shape[1])) for s, n in zip(x, real, strict=True)])
        )
    even = replace(data, x_train=parts[0], x_test=parts[1], lengths_train=None, lengths_test=None).normalised()
    return Named(Split(even, tasks, kind, seed), (even.x_train.shape[2],), True, {"encode": "sequence"})


SCENARIOS: dict[str, Callable[..., Named]] = {
    f"{change}-{data}": make
    for change, make in (
        ("permuted", _permuted),
        ("rotated", _rotated),
        ("split", _split),
        ("corrupted", _corrupted),
        ("relabelled", _relabelled),
        ("mixed", _mixed),
    )
    for data in IMAGES
} | {"five-sets": _five, "spike-patterns": _patterns, "vowels-by-speaker": _vowels}
"""Name to a function of its settings."""
