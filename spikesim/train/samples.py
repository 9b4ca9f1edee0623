"""Labelled samples: how they come in, how they are presented over time, how training samples are varied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network
from spikesim.stimulus import Input

if TYPE_CHECKING:
    import torch

Encode = str | Callable[[NDArray[Any], int], Any]
ENCODINGS = {
    "constant": "the sample as a current that is the same at every step (direct coding)",
    "regular": "evenly spaced spikes, as many as the value says (spikesim.encode.regular)",
    "latency": "one spike, the earlier the stronger (spikesim.encode.latency)",
    "sequence": "the samples are [samples, steps, ...] already",
}


@dataclass(frozen=True)
class Augment:
    """Random changes of training samples, drawn anew for every epoch. Never applied to validation or test samples.

    Parameters
    ----------
    noise
        Standard deviation of normal noise added to every value.
    shift
        Images ``[..., height, width]`` are moved by up to so many pixels along each axis, zeros come in.
    limits
        Smallest and largest value afterwards; an encoder that makes spikes needs 0 and 1.
    """

    noise: float = 0.0
    shift: int = 0
    limits: tuple[float, float] | None = None

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return varied samples, of the same shape."""
        import torch

        if self.shift:
            moves = torch.randint(-self.shift, self.shift + 1, (len(x), 2), generator=generator)
            x = _shifted(x, moves)
        if self.noise:
            x = x + self.noise * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return x if self.limits is None else x.clamp(*self.limits)


def _shifted(x: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
    """Move each image by its own number of rows and columns."""
    import torch

    height, width = x.shape[-2:]
    rows = torch.arange(height) - moves[:, :1]
    columns = torch.arange(width) - moves[:, 1:]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    flat = (rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]).flatten(1)
    images = x.reshape(len(x), -1, height * width)
    moved = images.gather(2, flat[:, None].expand(-1, images.shape[1], -1)) * inside.flatten(1)[:, None]
    return moved.reshape(x.shape)


def labelled(data: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return samples and labels of the training part of a data set, or of a pair ``(x, y)``.

    A :class:`spikesim.data.Dataset` is brought to full intensity 1.

    Raises
    ------
    InvalidValueError
        If there are no samples, as many labels as samples are missing, or a value is not finite.
    """
    if hasattr(data, "x_train"):
        scaled = data.scaled() if hasattr(data, "scaled") else data
        x, y = scaled.x_train, scaled.y_train
    else:
        try:
            x, y = data
        except (TypeError, ValueError):
            raise InvalidValueError(f"data must be a Dataset or a pair (x, y), found {type(data).__name__}") from None
    return checked(x, y)


def checked(x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return samples as float64 and labels as int64, or say everything that is wrong with them."""
    x, y = np.asarray(x, np.float64), np.asarray(y)
    problems = []
    if x.ndim < 2 or len(x) == 0:
        problems.append(f"samples need the shape [samples, ...], found {list(x.shape)}")
    elif not np.isfinite(x).all():
        problems.append("samples must be finite, found NaN or infinity")
    if y.ndim != 1 or len(y) != len(x):
        problems.append(f"one label is needed per sample: found labels {list(y.shape)} for samples {list(x.shape)}")
    if not np.issubdtype(y.dtype, np.integer) or (y.size and y.min() < 0):
        problems.append(
            f"labels must be whole class numbers from 0, found {y.dtype}{f' from {y.min()}' if y.size else ''}"
        )
    if problems:
        raise InvalidValueError("\n".join(problems))
    return x, y.astype(np.int64)


def the_input(network: Network) -> Input:
    """Return the only input of a network."""
    found = [s for s in network.stimuli if isinstance(s, Input)]
    if len(found) != 1:
        raise InvalidValueError(
            f"network {network.name!r} has {len(found)} inputs; labelled samples go to exactly one, "
            "for example Input('image', 64, graded=True)"
        )
    return found[0]


def check_encoding(encode: Encode, entry: Input) -> None:
    """Raise if samples cannot be presented in that way."""
    if not callable(encode) and encode not in ENCODINGS:
        raise UnknownNameError("encoding", str(encode), list(ENCODINGS))
    if encode == "constant" and not entry.graded:
        raise InvalidValueError(
            f"input {entry.name!r} takes spikes; for direct coding declare Input(..., graded=True), or pass an encoder"
        )


def present(x: NDArray[Any], encode: Encode, steps: int, entry: Input) -> NDArray[Any]:
    """Return samples over time, ``[steps, samples, *shape]``; a constant current is not copied for every step."""
    if callable(encode):
        over_time = np.asarray(encode(x, steps))
    elif encode in ("regular", "latency"):
        from spikesim import encode as encoders

        over_time = getattr(encoders, encode)(x, steps)
    elif encode == "sequence":
        over_time = np.moveaxis(x, 1, 0)
    else:
        over_time = np.broadcast_to(x, (steps, *x.shape))
    if int(np.prod(over_time.shape[2:])) != entry.n:
        raise InvalidValueError(
            f"a sample holds {int(np.prod(over_time.shape[2:]))} values a step, input {entry.name!r} takes {entry.n}"
        )
    if over_time.strides[0] == 0:
        return np.broadcast_to(over_time[0].reshape(-1, *entry.shape), (len(over_time), len(x), *entry.shape))
    return over_time.reshape(*over_time.shape[:2], *entry.shape)
