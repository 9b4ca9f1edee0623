"""A data set as a value, and the split into training and test part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError

if TYPE_CHECKING:
    from spikesim.data.batches import Batches


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples and labels, in a training and a test part.

    Parameters
    ----------
    name
        Name of the data set.
    x_train, x_test
        Samples, shape ``[samples, ...]``; images are ``uint8`` and ``[samples, height, width]``, time series are
        ``float64`` and ``[samples, time, channels]``.
    y_train, y_test
        Class numbers from 0, ``int64``, shape ``[samples]``.
    classes
        What each class number means.
    licence
        Terms under which the data are used.
    source
        Where they come from and how they were split.
    full_scale
        The value of ``x`` that means full intensity: 16 for digits, 255 for MNIST, 1 where there is no such value.
    lengths_train, lengths_test
        Number of time steps of each sample that are real; the rest is zero. None where all samples are equally long.
    """

    name: str
    x_train: NDArray[Any]
    y_train: NDArray[np.int64]
    x_test: NDArray[Any]
    y_test: NDArray[np.int64]
    classes: tuple[str, ...]
    licence: str
    source: str
    full_scale: float = 1.0
    lengths_train: NDArray[np.int64] | None = None
    lengths_test: NDArray[np.int64] | None = None

    def __repr__(self) -> str:
        """Describe shapes instead of printing arrays."""
        shape = "x".join(str(n) for n in self.x_train.shape[1:])
        parts = f"{len(self.y_train)} training + {len(self.y_test)} test samples of {shape} {self.x_train.dtype}"
        return f"<Dataset {self.name!r}: {parts}, {len(self.classes)} classes>"

    def scaled(self) -> Dataset:
        """Return the same data with full intensity at 1, as ``float64``.

        Examples
        --------
        >>> from spikesim.data import load
        >>> load("digits").scaled().x_train.max()
        np.float64(1.0)
        """
        return replace(
            self, x_train=self.x_train / self.full_scale, x_test=self.x_test / self.full_scale, full_scale=1.0
        )

    def flat(self) -> Dataset:
        """Return the same data with one axis of features, shape ``[samples, features]``.

        Examples
        --------
        >>> from spikesim.data import load
        >>> load("digits").flat().x_test.shape
        (359, 64)
        """
        return replace(
            self,
            x_train=self.x_train.reshape(len(self.x_train), -1),
            x_test=self.x_test.reshape(len(self.x_test), -1),
        )

    def normalised(self) -> Dataset:
        """Return the same data with mean 0 and standard deviation 1, as found on the training part (one number each).

        Examples
        --------
        >>> from spikesim.data import load
        >>> load("digits").normalised().x_train.std().round(6)
        np.float64(1.0)
        """
        from spikesim.data.frames import normalise

        x = self.x_train.astype(np.float64)
        mean, sd = float(x.mean()), float(x.std())
        return replace(self._each(lambda x: normalise(x, mean, sd)), full_scale=1.0)

    def rows(self, n: int = 1) -> Dataset:
        """Return images as sequences, ``n`` rows in a step: sequential (row-wise) MNIST.

        Parameters
        ----------
        n
            Rows per step; must divide the height.

        Returns
        -------
        Dataset
            Samples ``[samples, steps, features]``.

        Examples
        --------
        >>> from spikesim.data import load
        >>> load("digits").rows().x_train.shape, load("digits").rows(2).x_train.shape
        ((1438, 8, 8), (1438, 4, 16))
        """
        height, width = self._images("rows")
        if n < 1 or height % n:
            raise InvalidValueError(f"rows: n is {n!r}; allowed are the divisors of the height {height}")
        return self._each(lambda x: x.reshape(len(x), height // n, n * width))

    def pixels(self, n: int = 1) -> Dataset:
        """Return images as sequences, ``n`` pixels in a step, row after row: sequential (pixel-wise) MNIST.

        Parameters
        ----------
        n
            Pixels per step; must divide their number.

        Examples
        --------
        >>> from spikesim.data import load
        >>> load("digits").pixels().x_train.shape
        (1438, 64, 1)
        """
        height, width = self._images("pixels")
        if n < 1 or (height * width) % n:
            raise InvalidValueError(f"pixels: n is {n!r}; allowed are the divisors of {height * width}")
        return self._each(lambda x: x.reshape(len(x), height * width // n, n))

    def batches(self, batch_size: int, part: str = "train", **options: Any) -> Batches:
        """Return batches of samples that are sequences; see :class:`spikesim.data.Batches`.

        Parameters
        ----------
        batch_size
            Samples in a batch.
        part
            ``"train"`` or ``"test"``.
        **options
            Such as ``seed`` and ``lengths``.

        Examples
        --------
        >>> from spikesim.data import load
        >>> x, y = next(iter(load("digits").rows().batches(32, seed=0)))
        >>> x.shape, y.shape
        ((32, 8, 8), (32,))
        """
        from spikesim.data.batches import Batches

        if part not in ("train", "test"):
            raise InvalidValueError(f"part is {part!r}; allowed are 'train' and 'test'")
        found = (getattr(self, f"{name}_{part}") for name in ("x", "y", "lengths"))
        return Batches(tuple(found), batch_size, **options)

    def _images(self, what: str) -> tuple[int, int]:
        if self.x_train.ndim != 3 or self.lengths_train is not None:
            raise InvalidValueError(
                f"{what}: samples of {self.name!r} are {list(self.x_train.shape[1:])}"
                f"{'' if self.lengths_train is None else ' sequences'}; allowed are images [height, width]"
            )
        return self.x_train.shape[1], self.x_train.shape[2]

    def _each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Dataset:
        return replace(self, x_train=change(self.x_train), x_test=change(self.x_test))


def split(y: ArrayLike, *, seed: int, test_fraction: float = 0.2) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose a stratified test part: the same fraction of each class.

    Parameters
    ----------
    y
        Class numbers, shape ``[samples]``.
    seed
        The same seed gives the same split on every platform and every numpy version.
    test_fraction
        Fraction of each class, rounded to whole samples.

    Returns
    -------
    train, test
        Sorted sample numbers; together each sample once.

    Raises
    ------
    InvalidValueError
        If the fraction is not between 0 and 1, the labels are not one axis of whole numbers, or the seed is negative.

    Examples
    --------
    >>> train, test = split([0, 0, 0, 0, 1, 1, 1, 1], seed=1, test_fraction=0.25)
    >>> len(train), len(test)
    (6, 2)
    """
    labels = np.asarray(y)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidValueError(
            f"labels y: found shape {labels.shape} of {labels.dtype}; allowed is one axis of whole class numbers"
        )
    if not 0.0 < test_fraction < 1.0:
        raise InvalidValueError(f"test_fraction: found {test_fraction!r}; allowed is between 0 and 1, for example 0.2")
    if seed < 0:
        raise InvalidValueError(f"seed: found {seed}; allowed is a whole number from 0")
    # numpy promises the raw stream of PCG64 for ever, but not what Generator.permutation makes of it.
    key = np.random.PCG64(seed).random_raw(labels.size)
    test = np.zeros(labels.size, dtype=bool)
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        chosen = members[np.argsort(key[members], kind="stable")[: round(test_fraction * members.size)]]
        test[chosen] = True
    return np.flatnonzero(~test), np.flatnonzero(test)
