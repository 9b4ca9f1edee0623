"""Tasks for a recurrent network: a series to predict, or series to classify."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.data.catalogue import load
from spikesim.data.dataset import Dataset
from spikesim.data.series_generated import SERIES, Series
from spikesim.data.series_user import series_of
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.rng import Stream

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predict a series some values ahead.

    Parameters
    ----------
    series
        What is predicted.
    horizon
        How many values ahead.
    hold
        Steps for which a value is presented.
    discard
        First values, in which the network settles.
    train
        Part of the series to learn from, the discarded values included; the rest is for testing.

    Raises
    ------
    InvalidValueError
        If the numbers leave too few values to learn from or to test on.
    """

    series: Series
    horizon: int = 10
    hold: int = 5
    discard: int = 200
    train: float = 0.7

    def __post_init__(self) -> None:
        n = len(self.series.values)
        learned, tested = self.cut - self.discard, n - self.horizon - self.cut
        if min(self.horizon, self.hold) < 1 or self.discard < 0 or min(learned, tested) < 10:
            raise InvalidValueError(
                f"task {self.name!r}: {n} values with discard={self.discard}, train={self.train}, "
                f"horizon={self.horizon}, hold={self.hold} leave {learned} to learn from and {tested} to test on; at "
                "least 10 of each are needed, a horizon and a hold of at least 1; give a longer series or discard less"
            )

    @property
    def name(self) -> str:
        """Of the series."""
        return self.series.name

    @property
    def channels(self) -> int:
        """Values per time."""
        return self.series.channels

    @property
    def cut(self) -> int:
        """First value that is not learned from."""
        return round(self.train * len(self.series.values))

    def standardised(self) -> Floats:
        """Return the series with mean 0 and deviation 1 of the part that is learned from, ``[time, channels]``."""
        part = self.series.values[self.discard : self.cut]
        sd = part.std(axis=0)
        return np.asarray((self.series.values - part.mean(axis=0)) / np.where(sd > 0, sd, 1.0))


@dataclass(frozen=True, eq=False)
class Classification:
    """Tell series apart.

    Parameters
    ----------
    data
        Samples ``[samples, time, channels]`` with classes; training and test part.
    hold
        Steps for which a value is presented.
    """

    data: Dataset
    hold: int = 5

    def __post_init__(self) -> None:
        shape = self.data.x_train.shape
        if len(shape) != 3 or self.hold < 1:
            raise InvalidValueError(
                f"task {self.data.name!r}: needs samples [samples, time, channels] and a hold of at least 1, found "
                f"the shape {shape} and hold={self.hold}; images become series by .rows()"
            )

    @property
    def name(self) -> str:
        """Of the data."""
        return self.data.name

    @property
    def channels(self) -> int:
        """Values per time."""
        return int(self.data.x_train.shape[2])

    def standardised(self) -> tuple[Floats, Floats]:
        """Return training and test samples, each channel with mean 0 and deviation 1 over real training values.

        Values that pad a short sample stay 0.
        """
        d = self.data
        x_train, x_test = d.x_train.astype(np.float64), d.x_test.astype(np.float64)
        inside, tested = (_inside(x, lengths) for x, lengths in ((x_train, d.lengths_train), (x_test, d.lengths_test)))
        real = x_train[inside]
        sd = real.std(axis=0)
        mean, sd = real.mean(axis=0), np.where(sd > 0, sd, 1.0)
        return ((x_train - mean) / sd) * inside[:, :, None], ((x_test - mean) / sd) * tested[:, :, None]


def _inside(x: Floats, lengths: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    n, time = x.shape[:2]
    return np.arange(time) < (np.full(n, time) if lengths is None else lengths)[:, None]


Task = Prediction | Classification

TASKS = ("lorenz", "roessler", "mackey-glass", "japanese-vowels", "sequential-mnist", "basic-motions")
PREDICTION = {"lorenz": 10, "roessler": 10, "mackey-glass": 10}  # values ahead


def task(name: str, seed: int = 0, *, path: str | os.PathLike[str] | None = None, samples: int = 2000) -> Task:
    """Return a task by name.

    Parameters
    ----------
    name
        One of :data:`TASKS`; ``"sequential-digits"`` is the same with the small digits that are shipped.
    seed
        Of the start of a generated series, and of which images are taken.
    path
        Folder of a data set; see :func:`spikesim.data.load`.
    samples
        Of the images, how many are learned from and, half as many, tested on.

    Raises
    ------
    UnknownNameError
        If there is no such task.
    MissingDataError
        If its data are not on this machine.

    Examples
    --------
    >>> task("lorenz").channels, task("sequential-digits").channels
    (3, 8)
    """
    if name in PREDICTION:
        return Prediction(SERIES[name](seed=seed), PREDICTION[name])
    if name in ("japanese-vowels", "basic-motions"):
        return Classification(load(name, path=path), hold=5 if name == "japanese-vowels" else 2)
    if name in ("sequential-mnist", "sequential-digits"):
        images = load("mnist", path=path) if name == "sequential-mnist" else load("digits")
        return Classification(replace(_some(images.scaled(), samples, seed).rows(), name=name), hold=4)
    raise UnknownNameError("task", name, [*TASKS, "sequential-digits"])


def _some(data: Dataset, samples: int, seed: int) -> Dataset:
    """Take a seeded part of the training samples, and half as many of the test samples."""

    def part(n: int, wanted: int, which: str) -> NDArray[np.int64]:
        order = np.argsort(Stream(seed, f"{data.name}/{which}").wide(n), kind="stable")
        return np.sort(order[:wanted])

    train, test = part(len(data.y_train), samples, "train"), part(len(data.y_test), samples // 2, "test")
    return replace(
        data,
        x_train=data.x_train[train],
        y_train=data.y_train[train],
        x_test=data.x_test[test],
        y_test=data.y_test[test],
    )


def user_task(source: str | os.PathLike[str] | ArrayLike | Series, horizon: int = 1, hold: int = 5) -> Prediction:
    """Return the prediction of a series of the user's.

    Parameters
    ----------
    source
        A series, or what :func:`spikesim.data.series_user.series_of` takes: an array or a CSV file.
    horizon, hold
        See :class:`Prediction`; a tenth of the series is discarded.

    Examples
    --------
    >>> user_task(np.sin(np.arange(300) / 9)).name
    'series'
    """
    series = source if isinstance(source, Series) else series_of(source)
    return Prediction(series, horizon, hold, discard=len(series.values) // 10)
