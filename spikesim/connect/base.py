"""Base of all connection rules, and the checks that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError
from spikesim.rng import Stream
from spikesim.value import Value

Shape = tuple[int, ...]
WeightMap = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Rows(NamedTuple):
    """Synapses sorted by source, then target; ``weights`` is None where the rule has none of its own."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Connection(Value):
    """Base of all rules."""

    @property
    def has_weights(self) -> bool:
        """Whether the rule brings weights of its own."""
        return False

    def rows(self, pre: Shape, post: Shape, stream: Stream) -> Rows:
        """Return the synapses between a source and a target of given shapes."""
        raise NotImplementedError

    def fits(self, pre: Shape, post: Shape) -> bool:
        """Refuse shapes that the rule cannot connect; False if only :meth:`rows` would tell."""
        return False

    def count(self, pre: Shape, post: Shape) -> int | None:
        """Return the number of synapses, or None where only drawing them would tell."""
        return None

    def most_inputs(self, pre: Shape, post: Shape) -> int | None:
        """Return what no target's number of synapses exceeds, or None where only drawing them would tell."""
        return None

    def map_weights(self, change: WeightMap) -> Connection:
        """Return the rule with its weights changed, element by element."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_brief(f.name, getattr(self, f.name)) for f in fields(self))})"


def _brief(name: str, value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{name}=<{' x '.join(map(str, shape))}>" if shape else f"{name}={value!r}"


def elements(shape: Shape) -> int:
    """Return the number of elements."""
    return int(np.prod(shape))


def check(condition: bool, sentence: str) -> None:
    """Refuse with a sentence unless a condition holds."""
    if not condition:
        raise InvalidValueError(sentence)


def check_count(what: str, value: Any, low: int = 0) -> None:
    """Refuse what is not a whole number of at least ``low``."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    check(whole and value >= low, f"{what} must be a whole number of at least {low}, found {value!r}")


def check_probability(what: str, value: Any) -> None:
    """Refuse what is not a number from 0 to 1."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    check(number and 0.0 <= value <= 1.0, f"{what} must be from 0 to 1, found {value!r}")


def check_equal_sizes(who: str, pre: Shape, post: Shape) -> None:
    """Refuse a source and a target of different sizes."""
    check(elements(pre) == elements(post), f"{who} needs equal sizes, found {elements(pre)} and {elements(post)}")


def full_rows(n_pre: int, n_post: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the rows of a full matrix: every source has every target."""
    return np.arange(n_pre + 1, dtype=np.int64) * n_post, np.tile(np.arange(n_post, dtype=np.int32), n_pre)
