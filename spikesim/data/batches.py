"""Batches of labelled samples over time, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from spikesim.errors import InvalidValueError
from spikesim.events.binning import bins, fill
from spikesim.events.chain import apply
from spikesim.rng import Stream

Batch = tuple[NDArray[Any], ...]


class Batches:
    """Go through samples in batches: an iterable with a length, of ``(x, y)`` or ``(x, y, lengths)``.

    Each pass over it is the next epoch, in another order if there is a seed. Only one batch of frames exists at a time.

    Parameters
    ----------
    samples
        :class:`~spikesim.data.EventSamples`; or arrays ``(x, y)`` or ``(x, y, lengths)`` with ``x`` of
        ``[samples, steps, ...]``.
    batch_size
        Samples in a batch; the last one may be smaller.
    seed
        Of the order; without it samples come as they stand. Epoch ``k`` has the same order whatever came before.
    dt, steps, binary
        How recordings become frames, see :func:`spikesim.events.frames`. Without ``steps`` a batch is as long as its
        longest sample; what is shorter is padded with zeros.
    transforms
        Applied to every recording, in this order: :func:`spikesim.events.transform`, or functions of your own. Random
        ones draw anew in every epoch.
    lengths
        Whether batches come with the number of real steps of each sample.
    dtype
        Of ``x``.

    Raises
    ------
    InvalidValueError
        If sizes do not fit, or an option has no meaning for arrays.

    Examples
    --------
    >>> x, y = np.zeros((5, 7, 3)), np.arange(5)
    >>> batches = Batches((x, y, [2, 7, 1, 3, 3]), 2, lengths=True)
    >>> [(x.shape, y.tolist(), n.tolist()) for x, y, n in batches]
    [((2, 7, 3), [0, 1], [2, 7]), ((2, 3, 3), [2, 3], [1, 3]), ((1, 3, 3), [4], [3])]
    """

    def __init__(
        self,
        samples: Any,
        batch_size: int,
        *,
        seed: int | None = None,
        dt: float | None = None,
        steps: int | None = None,
        binary: bool = False,
        transforms: Sequence[Any] = (),
        lengths: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if isinstance(batch_size, bool) or int(batch_size) != batch_size or batch_size < 1:
            raise InvalidValueError(f"batch_size is {batch_size!r}; allowed is a whole number from 1")
        self.batch_size, self.seed, self.lengths = int(batch_size), seed, lengths
        self._order = None if seed is None else Stream(seed, "data/batches")
        self._source: _Arrays | _Recordings
        if hasattr(samples, "read"):
            if dt is None and steps is None:
                raise InvalidValueError("batches: recordings need dt or steps, or both; for example dt=1 * ms")
            self._source = _Recordings(samples, dt, steps, binary, tuple(transforms), np.dtype(dtype))
        else:
            if dt is not None or binary or transforms:
                raise InvalidValueError("batches: dt, binary and transforms are for recordings, these are arrays")
            self._source = _Arrays(samples, steps, np.dtype(dtype))
        self._next = 0

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.samples // self.batch_size)

    @property
    def samples(self) -> int:
        """Number of samples in an epoch."""
        return len(self._source.labels)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers of all samples, in the order in which they stand."""
        return self._source.labels

    def set_epoch(self, number: int) -> None:
        """Say which epoch the next pass is, as training that goes on in the middle of a run does."""
        if isinstance(number, bool) or int(number) != number or number < 0:
            raise InvalidValueError(f"epoch is {number!r}; allowed is a whole number from 0")
        self._next = int(number)

    def __iter__(self) -> Iterator[Batch]:
        """Go through the next epoch; the first one is 0."""
        self._next += 1
        return self._pass(self._next - 1)

    def _pass(self, number: int) -> Iterator[Batch]:
        order = np.arange(self.samples) if self._order is None else self._order.permutation(self.samples, step=number)
        for start in range(0, self.samples, self.batch_size):
            chosen = order[start : start + self.batch_size]
            x, lengths = self._source.take(chosen, number)
            y = self._source.labels[chosen]
            yield (x, y, lengths) if self.lengths else (x, y)


def mask(lengths: ArrayLike, steps: int) -> NDArray[np.bool_]:
    """Return which steps are real, ``[samples, steps]``: True before the length of each sample.

    >>> mask([1, 3], 3).astype(int)
    array([[1, 0, 0],
           [1, 1, 1]])
    """
    return np.arange(steps) < np.asarray(lengths)[:, None]


class _Arrays:
    """Samples that are arrays over time already."""

    def __init__(self, samples: Any, steps: int | None, dtype: np.dtype[Any]) -> None:
        try:
            x, y, *rest = samples
            self.x, self.labels = np.asarray(x), np.asarray(y)
        except (TypeError, ValueError):
            raise InvalidValueError(
                f"batches: samples are {type(samples).__name__}; allowed are EventSamples, (x, y) or (x, y, lengths)"
            ) from None
        n = len(self.labels)
        self.real = np.asarray(rest[0]) if rest and rest[0] is not None else None
        if self.x.ndim < 2 or len(self.x) != n or (self.real is not None and self.real.shape != (n,)):
            raise InvalidValueError(
                f"batches: x is {list(self.x.shape)} for {n} labels"
                f"{'' if self.real is None else f' and {self.real.size} lengths'}; allowed is x of "
                "[samples, steps, ...] with as many of each"
            )
        self.steps, self.dtype = steps, dtype

    def take(self, chosen: NDArray[np.int64], epoch: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return some samples, cut to the longest of them, and their lengths."""
        full = self.x.shape[1] if self.steps is None else min(self.x.shape[1], self.steps)
        lengths = np.full(len(chosen), full) if self.real is None else np.minimum(self.real[chosen], full)
        longest = self.steps if self.steps is not None else int(lengths.max())
        out = np.zeros((len(chosen), longest, *self.x.shape[2:]), self.dtype)
        out[:, : min(longest, full)] = self.x[chosen, : min(longest, full)]
        return out, lengths


class _Recordings:
    """Samples that are events: frames are made here."""

    def __init__(
        self,
        samples: Any,
        dt: float | None,
        steps: int | None,
        binary: bool,
        transforms: tuple[Any, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.samples, self.labels = samples, samples.labels
        self.dt, self.steps, self.binary, self.transforms, self.dtype = dt, steps, binary, transforms, dtype

    def take(self, chosen: NDArray[np.int64], epoch: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return frames of some recordings, and how many steps each really has."""
        numbers = epoch * len(self.labels) + chosen
        recordings = [
            apply(self.samples[int(k)][0], self.transforms, int(n)) for k, n in zip(chosen, numbers, strict=True)
        ]
        placed = [bins(events, self.dt, self.steps) for events in recordings]
        real = np.array([int(step[-1]) + 1 if step.size else 0 for step, _ in placed])
        longest = self.steps if self.steps is not None else max(1, *(count for _, count in placed))
        shapes = {events.shape for events in recordings}
        if len(shapes) != 1:
            raise InvalidValueError(f"batches: transforms leave recordings of shapes {sorted(shapes)}; allowed is one")
        out = np.zeros((len(chosen), longest, *recordings[0].shape), self.dtype)
        for frames, events, (step, _) in zip(out, recordings, placed, strict=True):
            fill(frames, events, step, binary=self.binary)
        return out, np.minimum(real, longest)
