"""Modules of torch neurons: the table by class that readers fill, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikesim.connect.base import Shape, elements
from spikesim.convert.image_rules import array
from spikesim.errors import UnsupportedError
from spikesim.neuron import Neuron


@dataclass(frozen=True)
class Cell:
    """What a module of neurons is here.

    Parameters
    ----------
    neuron
        Without its bias.
    gain
        What a unit of its input adds, one number or one per neuron.
    front
        Weights of its own in front, ``[n, inputs]``, or None.
    loop
        Rule (and weight, for a rule without) from its spikes to itself, a step later, or None.
    loop_bias
        What the loop adds in every step.
    many
        Whether one call takes all steps, the first dimension of its input.
    silent
        Whether it sends its membrane instead of spikes.
    dt
        Time step in seconds, if the module has one.
    notes
        What a user must know.
    """

    neuron: Neuron
    gain: Any = 1.0
    front: Any = None
    loop: Any = None
    loop_bias: Any = 0.0
    many: bool = False
    silent: bool = False
    dt: float | None = None
    notes: tuple[str, ...] = ()


Reader = Callable[[Any, Shape], Cell]
CELLS: dict[str, Reader] = {}
"""Modules of neurons by ``"package.Class"``; a reader takes the module and the shape of one sample's values."""
MANY: set[str] = set()
"""Those of them whose one call takes all steps."""


def class_key(module: Any, table: Any) -> str:
    """Return the name under which a module's class, or one that it does not change, is in a table; else ``""``."""
    overrides: set[str] = set()
    for cls in type(module).__mro__:
        key = f"{cls.__module__.partition('.')[0]}.{cls.__name__}"
        if key in table:
            return "" if any(hasattr(cls, name) for name in overrides - {"extra_repr"}) else key
        overrides |= {name for name in vars(cls) if not name.startswith("__")}
    return ""


def changed_base(module: Any) -> str:
    """Return the class of neurons that a module's class extends and changes, or ``""``."""
    names = [f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(module).__mro__]
    return next((name for name in names if name in CELLS), "") if not class_key(module, CELLS) else ""


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
