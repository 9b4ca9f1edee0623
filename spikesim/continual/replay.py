"""Samples of old tasks: a reservoir, and batches that mix them with new ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError

Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]


class Reservoir:
    """A uniform draw from a stream of unknown length, in bounded memory.

    Reference: Vitter, "Random sampling with a reservoir", ACM Transactions on Mathematical Software 11 (1985),
    algorithm R.

    Parameters
    ----------
    size
        Samples that are kept at most.
    seed
        Of the draw.

    Examples
    --------
    >>> memory = Reservoir(3)
    >>> memory.add(np.arange(100.0), np.arange(100))
    >>> len(memory), memory.seen
    (3, 100)
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        if not size >= 1:
            raise InvalidValueError(f"size of the memory must be at least 1 sample, found {size!r}")
        self.size, self.seen, self.generator = size, 0, np.random.default_rng(seed)
        self.x: NDArray[Any] = np.zeros(0)
        self.y: NDArray[np.int64] = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.y)

    def add(self, x: NDArray[Any], y: NDArray[np.int64]) -> None:
        """Let samples ``[samples, ...]`` and labels pass by; each replaces a kept one by chance."""
        room = max(self.size - len(self), 0)
        self.x = np.concatenate([self.x, x[:room]]) if len(self) else np.array(x[:room])
        self.y = np.concatenate([self.y, y[:room]])
        self.seen += min(room, len(y))
        for k in range(room, len(y)):
            self.seen += 1
            place = int(self.generator.integers(self.seen))
            if place < self.size:
                self.x[place], self.y[place] = x[k], y[k]

    @property
    def memory(self) -> int:
        """Bytes that are kept."""
        return self.x.nbytes + self.y.nbytes


class Mixed:
    """Batches of new samples, each with as many old ones beside them, for :func:`spikesim.train.train`.

    Parameters
    ----------
    new, old
        Samples and labels.
    batch_size
        Samples in a batch, half of them old.
    seed
        Of the order, which is another one in every epoch.
    """

    def __init__(self, new: Labelled, old: Labelled, batch_size: int, seed: int) -> None:
        self.new, self.old, self.half, self.seed = new, old, max(batch_size // 2, 1), seed
        self.number = 0

    def __len__(self) -> int:
        return -(-len(self.new[1]) // self.half)

    def set_epoch(self, number: int) -> None:
        """Choose the order of an epoch."""
        self.number = number

    def __iter__(self) -> Iterator[Labelled]:
        """Go through the new samples once."""
        generator = np.random.default_rng((self.seed, self.number))
        order = generator.permutation(len(self.new[1]))
        for start in range(0, len(order), self.half):
            some = order[start : start + self.half]
            beside = generator.integers(len(self.old[1]), size=len(some))
            yield (
                np.concatenate([self.new[0][some], self.old[0][beside]]),
                np.concatenate([self.new[1][some], self.old[1][beside]]),
            )
