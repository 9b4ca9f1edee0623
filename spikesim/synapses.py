"""What the synapses of a projection are, before they are drawn: a pattern of connections, and numbers for each synapse.

Nothing here keeps one entry per synapse unless it is asked for, so that a backend may draw the synapses straight into
its own tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Connection, Rows
from spikesim.connect.base import Shape, elements
from spikesim.rng import Stream, compiled

Ints = NDArray[np.int64]

PART = 1 << 16  # synapses at a time where all are visited: their numbers stay in the cache


@dataclass(frozen=True, eq=False)
class Pattern:
    """Who is connected to whom.

    Parameters
    ----------
    rule
        The connection rule.
    pre, post
        Shapes of source and target.
    stream
        Where the rule's random numbers come from.
    """

    rule: Connection
    pre: Shape
    post: Shape
    stream: Stream

    @cached_property
    def rows(self) -> Rows:
        """The synapses, drawn when first asked for."""
        return self.rule.rows(self.pre, self.post, self.stream)

    @property
    def drawn(self) -> Rows | None:
        """The rows if they have been drawn."""
        return self.__dict__.get("rows")

    @cached_property
    def count(self) -> int:
        """Number of synapses."""
        known = self.rule.count(self.pre, self.post)
        return int(self.out_degree.sum()) if known is None else known

    @cached_property
    def out_degree(self) -> Ints:
        """Synapses of each source."""
        pairs = elements(self.pre) * elements(self.post)
        if self.drawn is not None or not compiled(min(pairs, self.rule.count(self.pre, self.post) or pairs)):
            return np.diff(self.rows.indptr)
        from spikesim.connect.walks import out_degrees

        return out_degrees(self.rule, self.pre, self.post, self.stream)

    def remember(self, out_degree: Ints) -> None:
        """Take the number of synapses of each source from somebody who has drawn them all."""
        self.__dict__["out_degree"] = out_degree

    def in_degree(self) -> Ints:
        """Count the synapses of each target."""
        if self.drawn is not None or not compiled(self.count):
            return np.bincount(self.rows.indices, minlength=elements(self.post)).astype(np.int64)
        from spikesim.connect.walks import in_degrees

        return in_degrees(self.rule, self.pre, self.post, self.stream)

    def forget(self) -> None:
        """Give the memory of the rows back; they are drawn again when asked for."""
        self.__dict__.pop("rows", None)


class Numbers(Protocol):
    """One number for each synapse, in the order of the rows."""

    @property
    def constant(self) -> float | None:
        """The number that all synapses have, or None."""

    @property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest number; (0, 0) if there are no synapses."""

    def part(self, first: int, n: int) -> NDArray[np.float64]:
        """Return the numbers of the synapses ``first ... first + n - 1``."""


@dataclass(frozen=True)
class Constant:
    """The same number for all; see :class:`Numbers`."""

    constant: float

    @property
    def extremes(self) -> tuple[float, float]:
        """Twice the number."""
        return self.constant, self.constant

    def part(self, first: int, n: int) -> NDArray[np.float64]:
        """Repeat the number."""
        return np.full(n, self.constant)


@dataclass(frozen=True, eq=False)
class Given:
    """Numbers that somebody has written down, float64; see :class:`Numbers`."""

    values: NDArray[np.float64]
    constant: None = None

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest number."""
        return (float(self.values.min()), float(self.values.max())) if self.values.size else (0.0, 0.0)

    def part(self, first: int, n: int) -> NDArray[np.float64]:
        """Return some of the numbers."""
        return self.values[first : first + n]


@dataclass(frozen=True, eq=False)
class Shared:
    """Numbers that many synapses have in common, such as the kernel of a convolution; see :class:`Numbers`.

    Parameters
    ----------
    values
        The numbers that occur.
    pattern
        Whose rows hold one for each synapse.
    """

    values: NDArray[np.float64]
    pattern: Pattern
    constant: None = None

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest number."""
        return (float(self.values.min()), float(self.values.max())) if self.values.size else (0.0, 0.0)

    def part(self, first: int, n: int) -> NDArray[np.float64]:
        """Draw the rows and return some of the numbers."""
        return np.asarray(self.pattern.rows.weights)[first : first + n]


@dataclass(frozen=True, eq=False)
class Drawn:
    """``count`` draws from a distribution; see :class:`Numbers`."""

    distribution: Any
    stream: Stream
    count: int
    fan_in: int | None = None
    constant: None = None

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest number."""
        found: tuple[float, float] = (0.0, 0.0)
        return self.distribution.extremes(self.count, self.stream, self.fan_in) if self.count else found

    def part(self, first: int, n: int) -> NDArray[np.float64]:
        """Draw some of the numbers."""
        values: NDArray[np.float64] = self.distribution.sample(n, self.stream, self.fan_in, first)
        return values


@dataclass(frozen=True, eq=False)
class Steps:
    """Delays in steps of ``dt`` seconds, from seconds; see :class:`Numbers`.

    They are rounded, and none is 0 unless a delay in seconds is 0 or below.
    """

    seconds: Drawn
    dt: float
    constant: None = None

    @cached_property
    def extremes(self) -> tuple[int, int]:
        """Smallest and largest number of steps."""
        if not self.seconds.count:
            return 0, 0
        least, most = self.seconds.extremes
        floor = 0 if least <= 0 else 1
        return max(round(least / self.dt), floor), max(round(most / self.dt), floor)

    def part(self, first: int, n: int) -> NDArray[np.float64]:
        """Draw some of the delays."""
        return np.clip(np.rint(self.seconds.part(first, n) / self.dt), *self.extremes)


def snap(values: Any, grid: float) -> Any:
    """Round to whole multiples of a power of two."""
    return np.rint(np.asarray(values) / grid)[()] * grid


@dataclass(frozen=True, eq=False)
class Snapped:
    """Numbers rounded to whole multiples of a power of two; see :class:`Numbers`."""

    numbers: Numbers
    grid: float

    @property
    def constant(self) -> float | None:
        """The number that all synapses have, or None."""
        return None if self.numbers.constant is None else float(snap(self.numbers.constant, self.grid))

    @property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest number."""
        least, most = self.numbers.extremes
        return float(snap(least, self.grid)), float(snap(most, self.grid))

    @property
    def most_change(self) -> float:
        """What rounding changes no number by more than; drawn ones are not looked at one by one."""
        values = self.numbers.values if isinstance(self.numbers, (Given, Shared)) else self.numbers.constant
        if values is None:
            return self.grid / 2
        return float(np.abs(snap(values, self.grid) - values).max(initial=0.0))

    def part(self, first: int, n: int) -> NDArray[np.float64]:
        """Return some of the numbers."""
        values: NDArray[np.float64] = snap(self.numbers.part(first, n), self.grid)
        return values
