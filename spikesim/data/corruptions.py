"""Corrupted test samples: noise, blur, contrast, occlusion, lost events; five severities each, chance from a seed.

After Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR
2019 (CIFAR-10-C); the kinds and strengths here are this library's, for small grey images such as digits and
Fashion-MNIST. Images are ``[samples, ..., height, width]`` with full intensity 1.

>>> import numpy as np
>>> corrupt(np.full((1, 4, 4), 0.9), "contrast", 3)[0, 0]
array([0.66, 0.66, 0.66, 0.66])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.rng import Stream

Images = NDArray[np.float64]
SEVERITIES = (1, 2, 3, 4, 5)
BINOMIAL = (0.25, 0.5, 0.25)


def noise(x: ArrayLike, sd: float, *, seed: int = 0) -> Images:
    """Add normal noise; results stay from 0 to 1.

    Parameters
    ----------
    x
        Images.
    sd
        Standard deviation.
    seed
        Which draw.
    """
    images = _images(x, "noise")
    draws = Stream(seed, "data/corrupt/noise").normal(images.size).reshape(images.shape)
    return np.clip(images + sd * draws, 0.0, 1.0)


def salt_and_pepper(x: ArrayLike, share: float, *, seed: int = 0) -> Images:
    """Set a share of the pixels to 0, and as many to 1."""
    images = _images(x, "salt_and_pepper")
    draws = Stream(seed, "data/corrupt/salt_and_pepper").uniform(images.size).reshape(images.shape)
    return np.where(draws < share, 0.0, np.where(draws < 2 * share, 1.0, images))


def blur(x: ArrayLike, times: int) -> Images:
    """Average over 3 x 3 pixels with binomial weights, so many times; beyond the border is 0."""
    images = _images(x, "blur")
    for axis in (-2, -1) * times:
        wide = np.pad(images, [(0, 0)] * (images.ndim + axis) + [(1, 1)] + [(0, 0)] * (-1 - axis))
        n = images.shape[axis]
        images = sum((w * np.take(wide, range(k, k + n), axis) for k, w in enumerate(BINOMIAL)), np.zeros_like(images))
    return images


def contrast(x: ArrayLike, factor: float) -> Images:
    """Shrink the distance of every pixel to 1/2."""
    return 0.5 + factor * (_images(x, "contrast") - 0.5)


def occlusion(x: ArrayLike, share: float, *, seed: int = 0) -> Images:
    """Set a square at a random place to 0.

    Parameters
    ----------
    x
        Images.
    share
        Side of the square over that of the image, rounded to pixels.
    seed
        Which draw; every image has its own place.
    """
    images = _images(x, "occlusion").copy()
    rows, columns = images.shape[-2:]
    side = round(share * min(rows, columns))
    stream = Stream(seed, "data/corrupt/occlusion")
    top = stream.integers(len(images), rows - side + 1)
    left = stream.child("left").integers(len(images), columns - side + 1)
    for image, y, z in zip(images, top, left, strict=True):
        image[..., y : y + side, z : z + side] = 0.0
    return images


def lose_events(x: ArrayLike, probability: float, *, seed: int = 0) -> NDArray[Any]:
    """Lose each spike or event with a probability.

    Parameters
    ----------
    x
        Numbers of spikes or events, such as ``[steps, samples, ...]`` or the frames of a camera. Whole numbers from 0.
    probability
        From 0 to 1.
    seed
        Which draw.

    Raises
    ------
    InvalidValueError
        If there are other numbers.
    """
    counts = np.asarray(x)
    if counts.size and (counts.min() < 0 or (counts != np.rint(counts)).any()):
        raise InvalidValueError("lose_events: x holds other numbers than 0, 1, 2, ...; encode samples as spikes first")
    stream, left = Stream(seed, "data/corrupt/lose_events"), np.zeros(counts.size, counts.dtype)
    flat = counts.ravel()
    for k in range(int(flat.max()) if flat.size else 0):  # the events of a bin, one after the other
        left += ((flat > k) & ~stream.bernoulli(flat.size, probability, step=k)).astype(counts.dtype)
    return left.reshape(counts.shape)


def losing(encode: str, probability: float, *, seed: int = 0) -> Callable[[Any, int], NDArray[Any]]:
    """Return an encoder whose spikes are lost with a probability, for ``encode=`` of training and evaluation.

    Parameters
    ----------
    encode
        ``"regular"`` or ``"latency"``.
    probability, seed
        See :func:`lose_events`.
    """
    if encode not in ("regular", "latency"):
        raise UnknownNameError("encoder of spikes", encode, ["regular", "latency"])
    from spikesim import encode as encoders

    return lambda x, steps: lose_events(getattr(encoders, encode)(x, steps), probability, seed=seed)


CORRUPTIONS: dict[str, tuple[Callable[..., Any], Sequence[float]]] = {
    "noise": (noise, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "salt_and_pepper": (salt_and_pepper, (0.02, 0.04, 0.06, 0.08, 0.12)),
    "blur": (blur, (1, 2, 3, 4, 6)),
    "contrast": (contrast, (0.8, 0.6, 0.4, 0.3, 0.2)),
    "occlusion": (occlusion, (0.15, 0.25, 0.35, 0.45, 0.55)),
    "lose_events": (lose_events, (0.1, 0.2, 0.3, 0.5, 0.7)),
}
"""By name: function, and strength at severities 1 to 5. ``lose_events`` is for spikes, the others for images."""


def corrupt(x: ArrayLike, name: str, severity: int, *, seed: int = 0) -> NDArray[Any]:
    """Return samples with a corruption of one of five severities.

    Parameters
    ----------
    x
        Images with full intensity 1; for ``"lose_events"`` numbers of spikes.
    name
        One of :data:`CORRUPTIONS`.
    severity
        1 to 5.
    seed
        Which draw.

    Raises
    ------
    UnknownNameError
        If there is no such corruption.
    InvalidValueError
        If the severity is none of 1 to 5, or samples are not what the corruption is for.
    """
    if name not in CORRUPTIONS:
        raise UnknownNameError("corruption", name, list(CORRUPTIONS))
    if severity not in SEVERITIES:
        raise InvalidValueError(f"corruption {name!r}: severity is {severity!r}; allowed is 1 to 5")
    function, strengths = CORRUPTIONS[name]
    chance = {} if name in ("blur", "contrast") else {"seed": seed}
    result: NDArray[Any] = function(x, strengths[severity - 1], **chance)
    return result


def _images(x: ArrayLike, what: str) -> Images:
    array = np.asarray(x, np.float64)
    if array.ndim < 3:
        raise InvalidValueError(f"{what}: x is {list(array.shape)}; allowed is [samples, ..., height, width]")
    if array.size and (array.min() < 0 or array.max() > 1):
        raise InvalidValueError(
            f"{what}: values go from {array.min():g} to {array.max():g}; allowed is 0 to 1, see Dataset.scaled()"
        )
    return array


__all__ = [
    "CORRUPTIONS", "SEVERITIES", "blur", "contrast", "corrupt", "lose_events", "losing", "noise", "occlusion",
    "salt_and_pepper",
]  # fmt: skip
