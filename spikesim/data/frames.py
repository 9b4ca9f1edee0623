"""Transforms of images and frames ``[samples, ..., height, width]``: pure functions, chance from a seed.

For training samples, a function of one's own may draw anew for each epoch: ``random_crop(x, 2, seed=0, epoch=3)``.

>>> import numpy as np
>>> from spikesim.data import frames
>>> frames.pad(np.ones((1, 2, 2)), 1)[0]
array([[0., 0., 0., 0.],
       [0., 1., 1., 0.],
       [0., 1., 1., 0.],
       [0., 0., 0., 0.]])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError
from spikesim.rng import Stream


def normalise(
    x: ArrayLike, mean: float | None = None, sd: float | None = None, *, axis: int | None = None
) -> NDArray[np.float64]:
    """Subtract the mean and divide by the standard deviation.

    Parameters
    ----------
    x
        Samples.
    mean, sd
        Those of the training samples, say; by default those of ``x``, and 1 where nothing varies.
    axis
        Axis that has a mean and deviation of its own for each entry, such as 1 for channels; by default there is one.

    Raises
    ------
    InvalidValueError
        If ``sd`` is not above 0.
    """
    array = np.asarray(x, np.float64)
    others = None if axis is None else tuple(k for k in range(array.ndim) if k != axis % array.ndim)
    middle = array.mean(others, keepdims=True) if mean is None else mean
    if sd is not None and not 0 < sd < np.inf:
        raise InvalidValueError(f"normalise: sd: found {sd!r}; allowed is a finite number above 0")
    spread = array.std(others, keepdims=True) if sd is None else np.asarray(sd)
    result: NDArray[np.float64] = (array - middle) / np.where(spread > 0, spread, 1.0)
    return result


def crop(x: ArrayLike, height: int, width: int, *, top: int | None = None, left: int | None = None) -> NDArray[Any]:
    """Cut out a rectangle, by default the middle.

    Raises
    ------
    InvalidValueError
        If it does not lie within the frame.
    """
    array = _frames(x, "crop")
    rows, columns = array.shape[-2:]
    y = (rows - height) // 2 if top is None else top
    z = (columns - width) // 2 if left is None else left
    if min(height, width) < 1 or min(y, z) < 0 or y + height > rows or z + width > columns:
        raise InvalidValueError(
            f"crop: found {height} x {width} from row {y}, column {z}; allowed is within {rows} x {columns}"
        )
    return array[..., y : y + height, z : z + width]


def pad(x: ArrayLike, n: int) -> NDArray[Any]:
    """Put ``n`` rows and columns of zeros on every side."""
    array = _frames(x, "pad")
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + [(_count(n, "pad"),) * 2] * 2)


def flip(x: ArrayLike) -> NDArray[Any]:
    """Mirror left and right."""
    return _frames(x, "flip")[..., ::-1]


def random_crop(x: ArrayLike, n: int, *, seed: int, epoch: int = 0, first_sample: int = 0) -> NDArray[Any]:
    """Move each sample by up to ``n`` rows and columns, zeros come in: the usual pad and crop.

    Parameters
    ----------
    x
        Frames.
    n
        Largest move; all are equally likely.
    seed, epoch
        Which draw.
    first_sample
        Number of ``x[0]`` in the whole set: a part gets what it gets in the whole.
    """
    array, most = _frames(x, "random_crop"), _count(n, "random_crop")
    rows, columns = array.shape[-2:]
    draws = Stream(seed, "data/random_crop").integers(2 * len(array), 2 * most + 1, epoch, 2 * first_sample)
    wide, out = pad(array, most), np.empty_like(array)
    for k, (y, z) in enumerate(draws.reshape(-1, 2)):
        out[k] = wide[k, ..., y : y + rows, z : z + columns]
    return out


def random_flip(
    x: ArrayLike, probability: float = 0.5, *, seed: int, epoch: int = 0, first_sample: int = 0
) -> NDArray[Any]:
    """Mirror each sample with a probability; see :func:`random_crop` for seed, epoch and first sample."""
    array = _frames(x, "random_flip")
    turned = Stream(seed, "data/random_flip").bernoulli(len(array), probability, epoch, first_sample)
    return np.where(turned.reshape(-1, *[1] * (array.ndim - 1)), array[..., ::-1], array)


def _frames(x: ArrayLike, what: str) -> NDArray[Any]:
    array = np.asarray(x)
    if array.ndim < 3:
        raise InvalidValueError(f"{what}: x is {list(array.shape)}; allowed is [samples, ..., height, width]")
    return array


def _count(n: int, what: str) -> int:
    if isinstance(n, bool) or int(n) != n or n < 0:
        raise InvalidValueError(f"{what}: n is {n!r}; allowed is a whole number from 0")
    return int(n)
