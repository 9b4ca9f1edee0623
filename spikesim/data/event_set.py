"""Labelled recordings: read when asked for, made dense a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.data.batches import Batches
from spikesim.data.dataset import Dataset, split
from spikesim.errors import InvalidValueError
from spikesim.events.value import Events


@dataclass(frozen=True, eq=False, repr=False)
class EventSamples:
    """Recordings with their class numbers. Nothing is kept in memory but the labels.

    Parameters
    ----------
    read
        Function from a number to the recording.
    labels
        Class of each recording, ``int64`` ``[samples]``.
    shape
        Shape of every recording, hence of a frame; see :class:`spikesim.events.Events`.
    numbers
        What is passed to ``read`` for each sample; 0, 1, 2, ... by default.

    Examples
    --------
    >>> samples = EventSamples(lambda k: Events.channels([k], [0], 2), [1, 0, 1], (2,))
    >>> samples
    <EventSamples: 3 recordings of 2, 2 classes>
    >>> samples[2]
    (<Events: 1 in 3 us, 2>, 1)
    >>> samples[1:].labels
    array([0, 1])
    """

    read: Callable[[int], Events]
    labels: NDArray[np.int64]
    shape: tuple[int, ...]
    numbers: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Check labels and numbers."""
        labels = np.asarray(self.labels)
        if labels.ndim != 1 or (labels.size and (labels.dtype.kind not in "iu" or labels.min() < 0)):
            raise InvalidValueError(
                f"labels: found {labels.dtype} {list(labels.shape)}; allowed is one axis of class numbers from 0"
            )
        numbers = np.arange(labels.size) if self.numbers is None else np.asarray(self.numbers, np.int64)
        if numbers.shape != labels.shape:
            raise InvalidValueError(f"recordings: found {numbers.size} for {labels.size} labels; as many are needed")
        object.__setattr__(self, "labels", labels.astype(np.int64))
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    def __len__(self) -> int:
        """Return the number of recordings."""
        return int(self.labels.size)

    def __repr__(self) -> str:
        """Describe instead of printing labels."""
        shape = " x ".join(map(str, self.shape))
        return f"<EventSamples: {len(self)} recordings of {shape}, {len(np.unique(self.labels))} classes>"

    def __getitem__(self, which: Any) -> Any:
        """Return one recording with its label, or the samples that a slice, mask or list of numbers chooses."""
        numbers = self.numbers
        if not isinstance(which, (int, np.integer)):
            return replace(self, labels=self.labels[which], numbers=numbers[which])  # type: ignore[index]
        events = self.read(int(numbers[which]))  # type: ignore[index]
        if events.shape != self.shape:
            raise InvalidValueError(
                f"recording {int(which)}: has the shape {events.shape}; allowed is {self.shape}, that of the whole set"
            )
        return events, int(self.labels[which])

    def split(self, *, seed: int, fraction: float = 0.1) -> tuple[EventSamples, EventSamples]:
        """Hold out a fraction of each class; see :func:`spikesim.data.split`."""
        rest, held = split(self.labels, seed=seed, test_fraction=fraction)
        return self[rest], self[held]

    def batches(self, batch_size: int, **options: Any) -> Batches:
        """Return batches of frames; see :class:`spikesim.data.Batches`."""
        return Batches(self, batch_size, **options)


@dataclass(frozen=True, eq=False, repr=False)
class EventDataset:
    """Labelled recordings in parts.

    Parameters
    ----------
    name
        Name of the data set.
    train, test
        Its parts.
    classes
        What each class number means.
    licence, source
        Terms under which the data are used; where they come from.
    validation
        The official part for choosing, if the data set has one.
    """

    name: str
    train: EventSamples
    test: EventSamples
    classes: tuple[str, ...]
    licence: str
    source: str
    validation: EventSamples | None = None

    def __repr__(self) -> str:
        """Describe the parts."""
        shape = " x ".join(map(str, self.train.shape))
        return (
            f"<EventDataset {self.name!r}: {len(self.train)} training + {len(self.test)} test recordings of {shape}, "
            f"{len(self.classes)} classes>"
        )

    def dense(
        self, *, steps: int, dt: float | None = None, binary: bool = False, transforms: Sequence[Any] = ()
    ) -> Dataset:
        """Return all recordings as frames ``[samples, steps, *shape]``, ``uint8`` (counts stop at 255).

        For sets that fit into memory so; otherwise use :meth:`EventSamples.batches`.

        Parameters
        ----------
        steps, dt, binary, transforms
            See :class:`spikesim.data.Batches`.
        """
        parts: dict[str, Any] = {}
        for part, samples in (("train", self.train), ("test", self.test)):
            batches = Batches(
                samples, max(1, len(samples)), steps=steps, dt=dt, binary=binary, transforms=transforms, lengths=True
            )
            x, _, lengths = next(iter(batches))
            parts[f"x_{part}"], parts[f"lengths_{part}"] = np.minimum(x, 255).astype(np.uint8), lengths
        about: dict[str, Any] = {name: getattr(self, name) for name in ("name", "classes", "licence", "source")}
        return Dataset(y_train=self.train.labels, y_test=self.test.labels, **about, **parts)


def from_tonic(dataset: Any, *, shape: Sequence[int] | None = None) -> EventSamples:
    """Take a data set of the package tonic, or any other whose items are ``(events, label)``.

    Parameters
    ----------
    dataset
        Has ``len`` and numbers; an item is a structured array with fields t (microseconds), x and mostly y and p, and a
        label. Its attribute ``targets``, if it has one, gives all labels; otherwise every item is read once for them.
    shape
        ``(polarities, height, width)`` or ``(channels,)``; by default from the attribute ``sensor_size`` of tonic's
        sets, which is width, height, polarities.

    Returns
    -------
    EventSamples
        Labels that are no numbers are numbered in the order of the alphabet.

    Raises
    ------
    InvalidValueError
        If no shape is known, or an item is something else.

    Examples
    --------
    >>> recording = np.array([(5, 0, 1, True)], [("t", int), ("x", int), ("y", int), ("p", bool)])
    >>> from_tonic([(recording, "up"), (recording, "down")], shape=(2, 2, 2)).labels
    array([1, 0])
    """
    size = shape if shape is not None else getattr(dataset, "sensor_size", None)
    if size is None:
        raise InvalidValueError("from_tonic: the data set has no sensor_size; pass shape=(polarities, height, width)")
    if shape is None:
        size = size[:1] if tuple(size[1:]) == (1, 1) else size[::-1]
    found = tuple(int(n) for n in size)
    targets = getattr(dataset, "targets", None)
    if targets is None or len(targets) != len(dataset):
        targets = [_item(dataset, k)[1] for k in range(len(dataset))]
    return EventSamples(
        lambda k: Events.from_array(np.asarray(_item(dataset, k)[0]), found), _class_numbers(targets), found
    )


def _item(dataset: Any, k: int) -> tuple[Any, Any]:
    item = dataset[k]
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise InvalidValueError(f"from_tonic: item {k} is {type(item).__name__}; allowed is a pair (events, label)")
    return item[0], item[1]


def _class_numbers(labels: Any) -> NDArray[Any]:
    found = np.asarray(labels)
    return found if found.dtype.kind in "iu" else np.unique(found, return_inverse=True)[1]
