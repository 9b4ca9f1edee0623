"""Labelled samples: how they come in, how they are presented over time, how training samples are varied."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled samples in memory, as they came; batches are scaled and converted when they are needed.

    Parameters
    ----------
    x
        ``[samples, ...]``.
    y
        Class numbers int64 ``[samples]``, or targets float64 ``[samples, n]`` or ``[samples, steps, n]``.
    lengths
        Steps of each sample that are real, int64 ``[samples]``; None if all are.
    full_scale
        The value of ``x`` that means 1.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    lengths: NDArray[np.int64] | None = None
    full_scale: float = 1.0

    def __len__(self) -> int:
        return len(self.y)

    @property
    def classes(self) -> bool:
        """Whether ``y`` holds class numbers."""
        return self.y.ndim == 1

    def scaled(self, chosen: Any) -> NDArray[np.float64]:
        """Return some samples at full intensity 1, float64."""
        part = np.asarray(self.x[chosen], np.float64)
        return part if self.full_scale == 1 else part / self.full_scale


def samples_of(data: Any, part: str = "train") -> Samples:
    """Return one part of a data set, or the samples of a pair ``(x, y)``.

    Parameters
    ----------
    data
        A :class:`spikesim.data.Dataset`, or arrays or tensors ``(x, y)``, or ``(x, y, lengths)``.
    part
        ``"train"`` or ``"test"``, of a data set.

    Raises
    ------
    InvalidValueError
        If there are no samples, as many labels as samples are missing, or a value is not finite.
    """
    if hasattr(data, "x_train"):
        x, y, lengths = (getattr(data, f"{name}_{part}", None) for name in ("x", "y", "lengths"))
        return checked(x, y, lengths, getattr(data, "full_scale", 1.0))
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        return checked(*data)
    raise InvalidValueError(
        f"data must be a Dataset, a pair (x, y), or batches with a length, found {type(data).__name__}"
    )


def is_stream(data: Any) -> bool:
    """Tell whether data are batches, and not samples in memory."""
    if hasattr(data, "x_train") or not hasattr(data, "__iter__"):
        return False
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        return all(isinstance(part, (tuple, list)) and part and getattr(part[0], "ndim", 0) > 0 for part in data[:2])
    return True


def checked(x: Any, y: Any, lengths: Any = None, full_scale: float = 1.0) -> Samples:
    """Return samples and labels, or say everything that is wrong with them."""
    x, y = np.asarray(x), np.asarray(y)
    problems = []
    if x.ndim < 2 or len(x) == 0 or x.dtype.kind not in "biuf":
        problems.append(f"samples need numbers of the shape [samples, ...], found {x.dtype} {list(x.shape)}")
    elif x.dtype.kind == "f" and not np.isfinite(x).all():
        problems.append("samples must be finite, found NaN or infinity")
    if y.ndim not in (1, 2, 3) or len(y) != len(x):
        problems.append(f"one label is needed per sample: found labels {list(y.shape)} for samples {list(x.shape)}")
    if y.ndim == 1 and (not np.issubdtype(y.dtype, np.integer) or (y.size and y.min() < 0)):
        problems.append(
            f"labels must be whole class numbers from 0, found {y.dtype}{f' from {y.min()}' if y.size else ''}; "
            "targets of a regression need the shape [samples, outputs] or [samples, steps, outputs]"
        )
    if y.ndim in (2, 3) and (y.dtype.kind not in "iuf" or not np.isfinite(y).all()):
        problems.append(f"targets must be finite numbers, found {y.dtype} with NaN or infinity")
    lengths = None if lengths is None else np.asarray(lengths)
    if lengths is not None and (
        lengths.dtype.kind not in "iu" or lengths.shape != (len(x),) or (lengths.size and lengths.min() < 0)
    ):
        problems.append(f"lengths must be one whole number from 0 per sample, found {lengths.dtype} {lengths.shape}")
    if problems:
        raise InvalidValueError("\n".join(problems))
    y = y.astype(np.int64 if y.ndim == 1 else np.float64)
    # a recording without events is looked at for one step
    return Samples(x, y, None if lengths is None else np.maximum(lengths.astype(np.int64), 1), full_scale)


def the_input(network: Network) -> Input:
    """Return the only input of a network."""
    found = [s for s in network.stimuli if isinstance(s, Input)]
    if len(found) != 1:
        raise InvalidValueError(
            f"network {network.name!r} has {len(found)} inputs; labelled samples go to exactly one, "
            "for example Input('image', 64, graded=True)"
        )
    return found[0]


def check_encoding(encode: Encode, entry: Input | None) -> None:
    """Raise if samples cannot be presented in that way."""
    if not callable(encode) and encode not in ENCODINGS:
        raise UnknownNameError("encoding", str(encode), list(ENCODINGS))
    if encode == "constant" and entry is not None and not entry.graded:
        raise InvalidValueError(
            f"input {entry.name!r} takes spikes; for direct coding declare Input(..., graded=True), or pass an encoder"
        )


def present(x: NDArray[Any], encode: Encode, steps: int, entry: Input | None) -> NDArray[Any]:
    """Return samples over time, ``[steps, samples, *shape]``; a constant current is not copied for every step.

    Parameters
    ----------
    x
        ``[samples, ...]``.
    encode, steps
        How, and for how long.
    entry
        Where they go in; None for a module that takes them as they are.
    """
    if callable(encode):
        over_time = np.asarray(encode(x, steps))
    elif encode in ("regular", "latency"):
        from spikesim import encode as encoders

        over_time = getattr(encoders, encode)(x, steps)
    elif encode == "sequence":
        over_time = np.moveaxis(x, 1, 0)
    else:
        over_time = np.broadcast_to(x, (steps, *x.shape))
    if entry is None:
        return over_time
    check_width(over_time.shape[2:], encode, entry)
    if over_time.strides[0] == 0:
        return np.broadcast_to(over_time[0].reshape(-1, *entry.shape), (len(over_time), len(x), *entry.shape))
    return over_time.reshape(*over_time.shape[:2], *entry.shape)


def check_width(shape: Sequence[int], encode: Encode, entry: Input) -> None:
    """Raise if what a sample is in one step does not fit an input."""
    width = math.prod(shape)
    if width != entry.n:
        hint = "; sequences [samples, steps, ...] need encode='sequence'" if encode == "constant" else ""
        raise InvalidValueError(f"a sample holds {width} values a step, input {entry.name!r} takes {entry.n}{hint}")
