"""Where batches come from: arrays in memory, or any iterable of batches, such as a torch DataLoader."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.data.dataset import split
from spikesim.errors import InvalidValueError
from spikesim.files.storage import fingerprint
from spikesim.train.samples import Samples, checked, is_stream, samples_of

VALIDATION_FRACTION, VALIDATION_BATCH = 0.1, 256


class Batch(NamedTuple):
    """Some samples ``[samples, ...]``, their labels or targets, and their lengths in steps (None: all steps)."""

    x: torch.Tensor
    y: torch.Tensor
    lengths: torch.Tensor | None


class Feed(Protocol):
    """Batches, epoch after epoch."""

    classes: bool
    """Whether the samples have class numbers, not targets."""

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""

    def epoch(self, number: int, generator: torch.Generator, skip: int = 0) -> Iterator[Batch]:
        """Return the batches of an epoch (from 1) behind the first ``skip``; the order is drawn at once."""

    def first(self) -> Batch:
        """Return a batch to look at."""

    def identity(self) -> str:
        """Return what tells these data from others."""


class ArrayFeed:
    """Samples in memory, in a new order every epoch.

    Parameters
    ----------
    samples
        All of them.
    chosen
        Numbers of those that are used.
    batch_size
        Samples per batch; the last batch may have fewer.
    dtype
        Of the batches' samples and targets.
    shuffle
        Whether to draw an order.
    """

    def __init__(
        self, samples: Samples, chosen: NDArray[np.int64], batch_size: int, dtype: torch.dtype, shuffle: bool
    ) -> None:
        self.samples, self.chosen, self.batch_size = samples, torch.as_tensor(chosen), batch_size
        self.dtype, self.shuffle, self.classes = dtype, shuffle, samples.classes

    def __len__(self) -> int:
        return -(-len(self.chosen) // self.batch_size)

    def epoch(self, number: int, generator: torch.Generator, skip: int = 0) -> Iterator[Batch]:
        """Return the batches of an epoch behind the first ones."""
        order = self.chosen
        if self.shuffle:
            order = order[torch.randperm(len(order), generator=generator)]
        return map(self._batch, order.split(self.batch_size)[skip:])

    def first(self) -> Batch:
        """Return the first sample."""
        return self._batch(self.chosen[:1])

    def _batch(self, chosen: torch.Tensor) -> Batch:
        rows, samples = chosen.numpy(), self.samples
        y = torch.as_tensor(samples.y[rows])
        lengths = None if samples.lengths is None else torch.as_tensor(samples.lengths[rows])
        x = torch.as_tensor(samples.scaled(rows)).to(self.dtype)
        return Batch(x, y if self.classes else y.to(self.dtype), lengths)

    def identity(self) -> str:
        """Return a hash of all samples and labels."""
        return fingerprint((self.samples.x, self.samples.y, self.samples.lengths, self.samples.full_scale))


class StreamFeed:
    """An iterable of batches ``(x, y)`` or ``(x, y, lengths)`` with a length, gone through once per epoch.

    Where it has ``set_epoch``, that is called with the number of the epoch before.

    Parameters
    ----------
    source
        A ``torch.utils.data.DataLoader``, or whatever else can be iterated again and again.
    dtype
        Of the batches' samples and targets.
    what
        For messages.

    Raises
    ------
    InvalidValueError
        If it has no length, is used up by the first pass, or yields something else.
    """

    def __init__(self, source: Any, dtype: torch.dtype, what: str = "data") -> None:
        self.source, self.dtype, self.what, self.seal = source, dtype, what, 0
        if not hasattr(source, "__len__") or hasattr(source, "__next__"):
            raise InvalidValueError(
                f"{what} must be batches that can be gone through (__iter__) every epoch and have a length, found "
                f"{type(source).__name__}; put them into a list, a torch DataLoader, or a class with __len__"
            )
        if not len(source):
            raise InvalidValueError(f"{what} has no batches")
        first = self._read(next(iter(source)))
        self.classes, self._first = first.y.ndim == 1, first

    def __len__(self) -> int:
        return len(self.source)

    def epoch(self, number: int, generator: torch.Generator, skip: int = 0) -> Iterator[Batch]:
        """Return the batches of an epoch behind the first ones, which are gone through and checked."""
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(number)
        expected, self.seal, batches = self.seal, 0, iter(self.source)
        for _ in range(skip):
            self._sealed(next(batches, None))
        if skip and self.seal != expected:
            raise InvalidValueError(
                f"{self.what} comes in another order than before the interruption, so training cannot go on with the "
                "same bits; seed its order by set_epoch(), or by torch's or numpy's generator"
            )
        return (self._sealed(next(batches, None)) for _ in range(len(self) - skip))

    def first(self) -> Batch:
        """Return the first batch."""
        return self._first

    def identity(self) -> str:
        """Return the number of batches and the shape of the first: more is not known before they come."""
        return f"{len(self)} batches, the first {list(self._first.x.shape)}"

    def _sealed(self, found: Any) -> Batch:
        """Read a batch and take its labels and first sample into the checksum of the epoch."""
        batch = self._read(found)
        for part in (batch.y, batch.x[:1]):
            self.seal = zlib.crc32(part.contiguous().numpy().tobytes(), self.seal)
        return batch

    def _read(self, found: Any) -> Batch:
        if found is None:
            raise InvalidValueError(f"{self.what} yielded fewer batches than its length ({len(self)}) says")
        if not isinstance(found, (tuple, list)) or len(found) not in (2, 3):
            raise InvalidValueError(
                f"{self.what} must yield batches (x, y) or (x, y, lengths), found {type(found).__name__}"
            )
        samples = checked(*(_dense(part) for part in found))
        y = torch.as_tensor(samples.y)
        lengths = None if samples.lengths is None else torch.as_tensor(samples.lengths)
        return Batch(torch.as_tensor(samples.x).to(self.dtype), y if samples.classes else y.to(self.dtype), lengths)


def _dense(part: Any) -> Any:
    """Return a part of a batch as an array; events kept as a sparse tensor become dense here, batch by batch."""
    if isinstance(part, torch.Tensor):
        return (part.to_dense() if part.layout != torch.strided else part).detach().cpu().numpy()
    return part


def feeds(
    data: Any, validation: Any, config: Mapping[str, Any], dtype: torch.dtype, n: int
) -> tuple[Feed, Feed | None]:
    """Return the batches to learn from, and those to choose on.

    Parameters
    ----------
    data, validation, config
        As :func:`spikesim.train.train` takes them.
    dtype
        Of samples and targets.
    n
        Number of classes, as far as it is known; 0 if not.

    Raises
    ------
    InvalidValueError
        If samples and settings do not fit together.
    """
    fraction = config["validation_fraction"]
    if fraction and validation is not None:
        raise InvalidValueError(f"found validation samples and validation_fraction={fraction!r}; give one of both")
    held = None if validation is None else _feed(validation, "validation", VALIDATION_BATCH, dtype, n)
    if is_stream(data):
        if fraction:
            raise InvalidValueError(
                "no part can be held out of batches, so validation_fraction does not apply; pass validation"
            )
        return StreamFeed(data, dtype), held
    samples, size = _labelled(data, n), config["batch_size"]
    fraction = VALIDATION_FRACTION if fraction is None and held is None else fraction
    if not fraction:
        return ArrayFeed(samples, np.arange(len(samples)), size, dtype, shuffle=True), held
    strata = samples.y if samples.classes else np.zeros(len(samples), np.int64)
    known, chosen = split(strata, seed=config["seed"], test_fraction=fraction)
    if len(chosen):
        held = ArrayFeed(samples, chosen, VALIDATION_BATCH, dtype, shuffle=False)
    return ArrayFeed(samples, known, size, dtype, shuffle=True), held


def _feed(data: Any, what: str, batch_size: int, dtype: torch.dtype, n: int) -> Feed:
    if is_stream(data):
        return StreamFeed(data, dtype, what)
    samples = _labelled(data, n)
    return ArrayFeed(samples, np.arange(len(samples)), batch_size, dtype, shuffle=False)


def _labelled(data: Any, n: int) -> Samples:
    samples = samples_of(data)
    if samples.classes and n and samples.y.max() >= n:
        raise InvalidValueError(f"labels go up to {samples.y.max()}, but the last population has {n} neurons")
    return samples
