"""What every encoder asks of its input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError


def samples(x: ArrayLike, encoder: str, *, least_axes: int = 2) -> NDArray[Any]:
    """Return ``x`` as an array of finite numbers ``[samples, ...]``."""
    array = np.asarray(x)
    if array.dtype.kind not in "buif":
        raise InvalidValueError(f"{encoder}: x holds {array.dtype}; allowed are real numbers")
    if array.ndim < least_axes:
        axes = "[samples, features...]" if least_axes == 2 else "[samples, time, features...]"
        raise InvalidValueError(
            f"{encoder}: x has shape {array.shape}; allowed is {axes}, for one sample add an axis: x[None]"
        )
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))[0].tolist()
        raise InvalidValueError(f"{encoder}: x[{', '.join(map(str, bad))}] is not finite; replace such values first")
    return array


def within(array: NDArray[Any], low: float, high: float, what: str, remedy: str) -> None:
    """Refuse values outside ``low .. high``."""
    if array.size and not (array.min() >= low and array.max() <= high):  # NaN is refused too
        raise InvalidValueError(
            f"{what}: found {array.min():g} to {array.max():g}; allowed is {low:g} to {high:g}; {remedy}"
        )


def positive(value: float, what: str) -> float:
    """Refuse a number that is not above 0, NaN included."""
    if not (value > 0 and np.isfinite(value)):
        raise InvalidValueError(f"{what}: found {value!r}; allowed is a finite number above 0")
    return float(value)


def step_count(steps: int, encoder: str) -> int:
    """Refuse a number of steps that is not a whole number of at least 1."""
    if isinstance(steps, bool) or int(steps) != steps or steps < 1:
        raise InvalidValueError(f"{encoder}: steps is {steps!r}; allowed is a whole number of at least 1")
    return int(steps)
