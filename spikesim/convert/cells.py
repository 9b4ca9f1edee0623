"""What readers of torch neurons share: parameters as people have them, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.connect.base import Shape, elements
from spikesim.convert.image_rules import array
from spikesim.errors import UnsupportedError


def parameter(value: Any, shape: Shape, what: str = "a parameter") -> Any:
    """Return a parameter as a number, or float64 ``[n]`` where neurons differ.

    Parameters
    ----------
    value
        A number, a tensor of any shape that broadcasts to the layer's, a learnable parameter.
    shape
        Shape of one sample's values.
    what
        For the message.

    Raises
    ------
    UnsupportedError
        If it does not fit the shape.

    Examples
    --------
    >>> parameter(np.array([[0.5], [0.25]]), (2, 2)).tolist(), parameter(0.5, (2, 2))
    ([0.5, 0.5, 0.25, 0.25], 0.5)
    """
    values = array(value)
    values = values.reshape(values.shape[next((k for k, d in enumerate(values.shape) if d != 1), values.ndim) :])
    if values.size == 1:
        return float(values.reshape(-1)[0])
    try:
        each = np.broadcast_to(values, shape).reshape(elements(shape))
    except ValueError:
        raise UnsupportedError([f"{what} has the shape {values.shape}, its layer {shape}"]) from None
    return float(each[0]) if (each == each[0]).all() else each.copy()


def refuse(*problems: tuple[Any, str]) -> None:
    """Raise if any condition holds; each comes with its sentence."""
    found = [sentence for condition, sentence in problems if condition]
    if found:
        raise UnsupportedError(found)
