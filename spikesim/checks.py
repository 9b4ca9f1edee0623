"""Checks of arguments: they return the value as a plain Python number, or raise one clear sentence."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError


def _range(low: float | None, high: float | None, above: bool = False) -> str:
    if low is None:
        return "any finite number" if high is None else f"numbers up to {high:g}"
    start = f"numbers above {low:g}" if above else f"numbers from {low:g}"
    return start if high is None else f"{start} to {high:g}"


def real(what: str, value: Any, low: float | None = None, high: float | None = None, above: bool = False) -> float:
    """Check a finite number.

    Parameters
    ----------
    what
        Name of the value in the message.
    value
        What the user gave.
    low, high
        Smallest and largest value that are allowed.
    above
        The value `low` itself is not allowed.

    Raises
    ------
    InvalidValueError
        Not a finite number, or outside the range.

    Examples
    --------
    >>> real("p", np.float32(0.5), 0, 1)
    0.5
    """
    allowed = f"allowed are {_range(low, high, above)}"
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise InvalidValueError(f"{what} is {value!r}; {allowed}; give a plain number")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidValueError(f"{what} is {value!r}; {allowed}; give a plain number") from None
    too_low = low is not None and (number < low or (above and number == low))
    if not math.isfinite(number) or too_low or (high is not None and number > high):
        raise InvalidValueError(f"{what} is {number!r}; {allowed}")
    return number


def integer(what: str, value: Any, low: int = 0, high: int | None = None, remedy: str = "") -> int:
    """Check an integer; `remedy` ends the message of a value outside the range.

    Examples
    --------
    >>> integer("k", np.int64(3))
    3
    """
    allowed = f"allowed are integers from {low}" + ("" if high is None else f" to {high}")
    if isinstance(value, (bool, np.bool_)):
        raise InvalidValueError(f"{what} is {value!r}; {allowed}")
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidValueError(f"{what} is {value!r}; {allowed}") from None
    if number < low or (high is not None and number > high):
        raise InvalidValueError(f"{what} is {number}; {allowed}" + (f"; {remedy}" if remedy else ""))
    return number


def weights(what: str, values: Any, dimensions: int) -> NDArray[np.float64]:
    """Check an array of finite numbers; returns a float64 copy that cannot be written to.

    Examples
    --------
    >>> weights("w", [[1, 2]], 2).tolist()
    [[1.0, 2.0]]
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidValueError(f"{what} cannot be read as an array of numbers; give a numpy array") from None
    if array.ndim != dimensions:
        raise InvalidValueError(f"{what} has shape {array.shape}; it needs {dimensions} dimensions")
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise InvalidValueError(
            f"{what} has {bad} of {array.size} entries that are NaN or infinite; only finite weights are allowed; "
            "look for the step that produced them"
        )
    array.setflags(write=False)
    return array


def flag(what: str, value: Any) -> bool:
    """Check a truth value.

    Examples
    --------
    >>> flag("autapses", True)
    True
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidValueError(f"{what} is {value!r}; allowed are True and False")
    return bool(value)
