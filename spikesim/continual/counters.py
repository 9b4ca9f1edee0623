"""Integer hidden counters of metaplastic binarised synapses, as a chip could hold them.

A synapse is a counter of a few bits in two's complement; its sign bit is the weight (0: +1, 1: -1). How far it is from
turning is ``c`` or ``-1 - c``, so both signs have the same numbers of levels. A step is an integer in 2^-16 of a count.
Steps towards turning are multiplied with an entry of a small table, chosen by the place of that distance's highest bit;
what is below a count becomes one with its probability, by a draw of 16 bits. So the mean of a step is exact::

    p = |step| entry / 256  (rounded down)       c moves by p / 65536 on average, in whole counts

Reference: the learning rule is that of :mod:`spikesim.continual.metaplastic`; the table in place of the tanh, and the
rounding by chance, are this library's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass
class Counters:
    """Saturating counters.

    Parameters
    ----------
    value
        int16, any shape.
    bits
        From 2 to 16; values lie from ``-2^(bits - 1)`` to ``2^(bits - 1) - 1``.

    Examples
    --------
    A step of half a count towards turning, met by the draws 0 and 40000 of 65536:

    >>> counters = Counters(np.array([5, 5], np.int16), bits=8)
    >>> counters.update(np.array([-32768, -32768]), np.array([0, 40000]), np.full(8, 256))
    1
    >>> counters.value.tolist(), counters.signs.tolist()
    ([4, 5], [1, 1])
    """

    value: NDArray[np.int16]
    bits: int

    @classmethod
    def near(cls, values: ArrayLike, bits: int) -> Counters:
        """Return the counters nearest to real values in counts: 0 and above are positive weights."""
        limit = 2 ** (bits - 1)
        return cls(np.clip(np.floor(np.asarray(values, np.float64)), -limit, limit - 1).astype(np.int16), bits)

    @staticmethod
    def table(m: float, bits: int) -> NDArray[np.int64]:
        """Return ``256 (1 - tanh(m d)^2)`` for each place of the highest bit, rounded, ``[bits]``.

        ``d`` is 0, then 1, the middle of 2 and 3, that of 4 to 7, and so on.

        Parameters
        ----------
        m
            Per count.
        bits
            Of a counter.
        """
        middle = np.array([0.0, *(1.5 * 2**k - 0.5 for k in range(bits - 1))])
        return np.asarray(np.rint(256 * (1 - np.tanh(m * middle) ** 2)), np.int64)

    @property
    def signs(self) -> NDArray[np.int8]:
        """The weights, -1 or 1."""
        return np.where(self.value >= 0, np.int8(1), np.int8(-1))

    @property
    def distance(self) -> NDArray[np.int64]:
        """Counts that may still be lost before a weight turns, from 0 to ``2^(bits - 1) - 1``."""
        value = self.value.astype(np.int64)
        return np.where(value >= 0, value, -1 - value)

    def update(self, step: NDArray[Any], draws: NDArray[Any], table: NDArray[np.int64]) -> int:
        """Take a step.

        Parameters
        ----------
        step
            Integers in 2^-16 of a count, to be added.
        draws
            Integers from 0 to 65535.
        table
            Entries from 0 to 256 by the place of the highest bit of the distance.

        Returns
        -------
        int
            How many counters changed.
        """
        value = self.value.astype(np.int64)
        towards = (value >= 0) == (step < 0)
        entry = np.where(towards, table[np.frexp(self.distance)[1]], 256)
        size = np.abs(step) * entry >> 8
        moved = (size >> 16) + (draws < (size & 0xFFFF))
        limit = 2 ** (self.bits - 1)
        new = np.clip(value + np.where(step < 0, -moved, moved), -limit, limit - 1)
        self.value = new.astype(np.int16)
        return int((new != value).sum())
