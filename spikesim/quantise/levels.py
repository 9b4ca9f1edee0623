"""The values that a weight may take on the chip: 8 bits, a sign mode, and an exponent that a projection shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.fixedpoint.weights import SignMode, sign_mode_of

WEIGHT_BITS = 8
MAX_EXPONENT = 7  # of a weight, 4 bits with a sign: Davies 2018


@dataclass(frozen=True)
class Levels:
    """Whole numbers ``step * k``: a mixed matrix spends one of its bits on the sign.

    Parameters
    ----------
    step
        Distance of neighbouring values, a power of two.
    bits
        Bits of a weight, 2 .. 8, the sign included.
    mode
        ``"mixed"``, ``"excitatory"`` or ``"inhibitory"``.

    Examples
    --------
    >>> levels = Levels(2)
    >>> levels.low, levels.high, levels.exponent
    (-256, 254, 0)
    >>> levels.round(np.array([0.9, 1.1, -1.2, 400.0, -400.0])).tolist()
    [0, 2, -2, 254, -256]
    """

    step: int
    bits: int = WEIGHT_BITS
    mode: SignMode = "mixed"

    @property
    def low(self) -> int:
        """The smallest value."""
        return -self.step * lowest(self.bits, self.mode)

    @property
    def high(self) -> int:
        """The largest value."""
        return self.step * highest(self.bits, self.mode)

    @property
    def exponent(self) -> int:
        """The chip's weight exponent: it stores the upper bits of 8, and shifts sums by this."""
        return int(math.log2(self.step)) - (WEIGHT_BITS - self.bits + (self.mode == "mixed"))

    def round(self, weights: Any) -> NDArray[np.int64]:
        """Return the nearest values, of equals the even multiple."""
        found = self.step * np.rint(np.asarray(weights, np.float64) / self.step)
        return np.clip(found, self.low, self.high).astype(np.int64)

    def outside(self, weights: Any) -> NDArray[np.bool_]:
        """Tell which weights the range cuts by more than rounding."""
        w = np.asarray(weights, np.float64)
        return (w > self.high + self.step / 2) | (w < self.low - self.step / 2)


def highest(bits: int, mode: SignMode) -> int:
    """Return the largest multiple of the step.

    >>> highest(8, "mixed"), highest(8, "excitatory"), highest(4, "inhibitory")
    (127, 255, 0)
    """
    if mode == "inhibitory":
        return 0
    return int(2 ** (bits - (mode == "mixed")) - 1)


def lowest(bits: int, mode: SignMode) -> int:
    """Return the size of the smallest multiple of the step.

    >>> lowest(8, "mixed"), lowest(8, "excitatory"), lowest(8, "inhibitory")
    (128, 0, 255)
    """
    if mode == "excitatory":
        return 0
    return int(2 ** (bits - 1)) if mode == "mixed" else int(2**bits - 1)


def top(bits: int, mode: SignMode) -> int:
    """Return the largest multiple of the step that exists with every sign that the mode has."""
    return max(highest(bits, mode), 1) if mode != "inhibitory" else lowest(bits, mode)


def largest_step(bits: int, mode: SignMode, exponent: int = MAX_EXPONENT) -> int:
    """Return the step that belongs to a weight exponent.

    >>> largest_step(8, "mixed"), largest_step(8, "excitatory"), largest_step(4, "mixed", 0)
    (256, 128, 32)
    """
    return int(2 ** max(exponent + WEIGHT_BITS - bits + (mode == "mixed"), 0))


def mode_of(weights: Any, wanted: str) -> SignMode:
    """Return the sign mode of a matrix: what was wanted, or with "auto" what its signs allow."""
    if wanted == "mixed":
        return "mixed"
    found = sign_mode_of(np.sign(np.asarray(weights)).astype(np.int64))
    return found


def choose(scaled: Any, bits: int, mode: SignMode, exponent: int = MAX_EXPONENT) -> tuple[Levels, float]:
    """Choose the step with the least squared error: the one that fits the largest weight, or half of it.

    Parameters
    ----------
    scaled
        Weights in the population's units.
    bits, mode
        Of the projection.
    exponent
        The largest weight exponent allowed.

    Returns
    -------
    levels : Levels
    error
        Sum of the squared errors.
    """
    w = np.asarray(scaled, np.float64)
    size = float(np.abs(w).max(initial=0.0))
    most = largest_step(bits, mode, exponent)
    fits = int(2 ** math.ceil(math.log2(max(size / top(bits, mode), 1.0))))
    steps = {min(max(s, 1), most) for s in (fits, fits // 2)}
    found = [(float(np.sum((Levels(s, bits, mode).round(w) - w) ** 2)), s) for s in steps]
    error, step = min(found)
    return Levels(step, bits, mode), error
