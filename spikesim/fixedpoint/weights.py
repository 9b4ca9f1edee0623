"""How Loihi stores a weight: 8 bits, shared sign mode, shared exponent.

The rules are those of lava-nc 0.10.0 (``lava.utils.weightutils``), which its CPU models ``Dense``, ``Sparse`` and
``DelayDense`` apply on their first step.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import DeviceLimitError, InvalidValueError

SignMode = Literal["auto", "mixed", "excitatory", "inhibitory"]
SIGN_MODES: tuple[SignMode, ...] = ("auto", "mixed", "excitatory", "inhibitory")
WEIGHT_BITS = 8


class OptimizedWeights(NamedTuple):
    """Weights moved into the upper bits of the synapse memory; see `optimize_weight_bits`."""

    weights: NDArray[np.int32]
    num_weight_bits: int
    weight_exp: int


def sign_mode_of(weights: ArrayLike) -> SignMode:
    """Name the sign mode that Lava would choose for a whole weight matrix.

    Parameters
    ----------
    weights
        Integers of any shape. Absent synapses count as 0, so it makes no difference whether they are listed.

    Returns
    -------
    str
        ``"excitatory"`` if no weight is negative (an all-zero or empty matrix too), ``"inhibitory"`` if none is
        positive, else ``"mixed"``.

    Examples
    --------
    >>> sign_mode_of([3, 0]), sign_mode_of([-3, 0]), sign_mode_of([-3, 3])
    ('excitatory', 'inhibitory', 'mixed')
    """
    w = np.asarray(weights)
    if w.size == 0 or w.min() >= 0:
        return "excitatory"
    return "inhibitory" if w.max() <= 0 else "mixed"


def truncate_weights(
    weights: ArrayLike, num_weight_bits: int = WEIGHT_BITS, sign_mode: SignMode = "auto"
) -> NDArray[np.int32]:
    """Clip weights to the range of the sign mode and drop the bits that are not stored.

    Parameters
    ----------
    weights
        Integers of any shape.
    num_weight_bits
        Bits kept, 0..8. A mixed matrix spends one of them on the sign, so with 8 bits only even weights remain.
    sign_mode
        One of ``"mixed"`` (-256..255), ``"excitatory"`` (0..255), ``"inhibitory"`` (-255..0), or ``"auto"`` for
        `sign_mode_of`. A weight of the wrong sign becomes 0.

    Returns
    -------
    numpy.ndarray
        int32, same shape. Mixed weights are rounded down (-47 becomes -48), the others towards zero.

    Raises
    ------
    InvalidValueError
        If the sign mode is unknown or the bits are not 0..8.

    Notes
    -----
    brian2-loihi rounds odd mixed weights towards zero instead; on even weights in -256..254 all emulators agree.

    Examples
    --------
    >>> truncate_weights([27, -47, 300]).tolist()
    [26, -48, 254]
    >>> truncate_weights([27, 47, 300], 7).tolist()
    [26, 46, 254]
    """
    if sign_mode not in SIGN_MODES:
        raise InvalidValueError(f"sign_mode is {sign_mode!r}; use one of {', '.join(SIGN_MODES)}")
    if not 0 <= num_weight_bits <= WEIGHT_BITS:
        raise InvalidValueError(f"num_weight_bits is {num_weight_bits}; a Loihi synapse stores 0..{WEIGHT_BITS}")
    w = np.asarray(weights, dtype=np.int64)
    mode = sign_mode_of(w) if sign_mode == "auto" else sign_mode
    mixed = mode == "mixed"
    sign = -1 if mode == "inhibitory" else 1
    drop = WEIGHT_BITS - num_weight_bits + mixed
    clipped = np.clip(sign * w, -256 if mixed else 0, 255)
    return (sign * (clipped >> drop << drop)).astype(np.int32)


def optimize_weight_bits(weights: ArrayLike, sign_mode: SignMode = "auto") -> OptimizedWeights:
    """Shift small weights to the top of the 8 bits, so that odd ones survive the truncation.

    Parameters
    ----------
    weights
        Integers of any shape, -256..255 (mixed), 0..255 (excitatory), -255..0 (inhibitory).
    sign_mode
        As in `truncate_weights`.

    Returns
    -------
    OptimizedWeights
        ``weights << -weight_exp`` as int32, the bits they need and the exponent (<= 0) that undoes the shift.

    Raises
    ------
    DeviceLimitError
        If a weight is out of range, or if a mixed matrix has both an odd weight and one above 127: that would need
        9 bits, which Lava's CPU model accepts in silence and no chip can hold.

    Notes
    -----
    Same results as ``lava.utils.weightutils.optimize_weight_bits`` of lava-nc 0.10.0, apart from the refusal.

    Examples
    --------
    >>> optimize_weight_bits([61, -61])
    OptimizedWeights(weights=array([ 244, -244], dtype=int32), num_weight_bits=7, weight_exp=-2)
    """
    w = np.asarray(weights, dtype=np.int64)
    mode = sign_mode_of(w) if sign_mode == "auto" else sign_mode
    low, high = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}[mode]
    if w.size and not low <= w.min() <= w.max() <= high:
        raise DeviceLimitError(
            [f"weights are {w.min()}..{w.max()}; {mode} weights on Loihi are {low}..{high}; rescale"]
        )
    if not w.any():
        return OptimizedWeights(w.astype(np.int32), 0, 0)
    shift = _spare_bits(w, mode)
    # The lowest bit that any weight uses decides how many of the stored ones are needed.
    unused = _trailing_zeros(w) - (mode == "mixed")
    bits = WEIGHT_BITS - shift - unused
    if bits > WEIGHT_BITS:
        raise DeviceLimitError(
            [f"odd mixed weights up to {abs(w).max()} need {bits} bits, Loihi stores {WEIGHT_BITS}; use even weights"]
        )
    return OptimizedWeights((w << shift).astype(np.int32), bits, -shift)


def _spare_bits(w: NDArray[np.int64], mode: SignMode) -> int:
    """Count the doublings that keep every weight in range."""
    if mode != "mixed":
        return math.floor(math.log2(255 / abs(w).max()))
    positive, negative = w.max(), w.min()
    scale = min(127 / positive if positive > 0 else math.inf, -128 / negative if negative < 0 else math.inf)
    return math.floor(math.log2(scale)) + 1


def _trailing_zeros(w: NDArray[np.int64]) -> int:
    """Count the low bits that are 0 in every weight, at most 8."""
    used = int(np.bitwise_or.reduce(abs(w), axis=None))
    return min(WEIGHT_BITS, (used & -used).bit_length() - 1)
