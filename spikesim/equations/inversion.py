"""From random words to numbers of a distribution, with the same bits on every platform.

Sources: inverse normal: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
Statistics 37 (1988), routine PPND16, about 16 digits. Logarithm and exponential are the library's own; the square root
is exact in IEEE arithmetic.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikesim.equations.elementary import exp, log
from spikesim.errors import InvalidValueError

#: Largest Poisson mean that one word is inverted for; larger ones are sums of equal parts.
POISSON_MAX_MEAN: Final = 6.0
#: Most parts of a Poisson mean (as many as a step has sub-draws).
POISSON_MAX_PARTS: Final = 2**15

# Numerator and denominator, highest power first, of: the centre, the tails, the far tails.
_CENTRE: Final = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.387132872796366608,
    ),
    (
        5226.495278852854561,
        28729.085735721942674,
        39307.89580009271061,
        21213.794301586595867,
        5394.1960214247511077,
        687.1870074920579083,
        42.313330701600911252,
        1.0,
    ),
)
_TAIL: Final = (
    (
        7.7454501427834140764e-4,
        0.0227238449892691845833,
        0.24178072517745061177,
        1.27045825245236838258,
        3.64784832476320460504,
        5.7694972214606914055,
        4.6303378461565452959,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.475938084995344946e-4,
        0.0151986665636164571966,
        0.14810397642748007459,
        0.68976733498510000455,
        1.6763848301838038494,
        2.05319162663775882187,
        1.0,
    ),
)
_FAR: Final = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        0.0012426609473880784386,
        0.026532189526576123093,
        0.29656057182850489123,
        1.7848265399172913358,
        5.4637849111641143699,
        6.6579046435011037772,
    ),
    (
        2.04426310338993978564e-15,
        1.4215117583164458887e-7,
        1.8463183175100546818e-5,
        7.868691311456132591e-4,
        0.0148753612908506148525,
        0.13692988092273580531,
        0.59983220655588793769,
        1.0,
    ),
)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: NDArray[Any]) -> NDArray[Any]:
    """Quotient of two polynomials by Horner's rule."""
    above, below = (np.full_like(x, row[0]) for row in coefficients)
    for a, b in zip(coefficients[0][1:], coefficients[1][1:], strict=True):
        above = above * x + a
        below = below * x + b
    quotient: NDArray[Any] = above / below
    return quotient


def inverse_normal(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the standard normal numbers with the given cumulative probabilities.

    Parameters
    ----------
    u
        float64[n], strictly between 0 and 1.

    Returns
    -------
    float64[n]

    Examples
    --------
    >>> inverse_normal(np.array([0.5, 0.975])).round(6).tolist()
    [0.0, 1.959964]
    """
    q = u - 0.5
    out: NDArray[np.float64] = q * _ratio(_CENTRE, 0.180625 - q * q)
    outer = np.flatnonzero(np.abs(q) > 0.425)
    v = u[outer]
    r = np.sqrt(-log(np.minimum(v, 1.0 - v)))
    tails = np.where(r <= 5.0, _ratio(_TAIL, r - 1.6), _ratio(_FAR, r - 5.0))
    out[outer] = np.where(q[outer] < 0, -tails, tails)
    return out


def below(words: NDArray[np.uint64], high: int) -> NDArray[np.int64]:
    """Turn 64-bit words into integers in [0, high): floor(word * high / 2**64).

    Examples
    --------
    >>> below(np.array([0, 2**63, 2**64 - 1], np.uint64), 10).tolist()
    [0, 5, 9]
    """
    if not 0 < high <= 2**62:
        raise InvalidValueError(f"the bound of random integers is {high!r}; allowed are 1 to 2**62")
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    upper, lower = words >> half, words & mask
    high_upper, high_lower = np.uint64(high >> 32), np.uint64(high & 0xFFFFFFFF)
    middle = upper * high_lower + ((lower * high_lower) >> half)
    if high < 2**32:
        return np.asarray(middle >> half, dtype=np.int64)
    rest = lower * high_upper + (middle & mask)
    return np.asarray(upper * high_upper + (middle >> half) + (rest >> half), dtype=np.int64)


def open_uniform(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers strictly between 0 and 1, symmetric about 1/2: (upper 52 bits + 1/2) * 2**-52, exact in float64.

    Examples
    --------
    >>> float(open_uniform(np.zeros(1, np.uint64))[0]) == 2.0**-53
    True
    """
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def poisson_parts(mean: float) -> tuple[int, float]:
    """Split a Poisson mean into ceil(mean / 6) equal parts; returns their number and the mean of one.

    Examples
    --------
    >>> poisson_parts(2.0), poisson_parts(9.0)
    ((1, 2.0), (2, 4.5))
    """
    limit = POISSON_MAX_MEAN * POISSON_MAX_PARTS
    if not 0 <= mean < limit:
        raise InvalidValueError(f"Poisson mean {mean!r} is not allowed; give a number from 0 to below {limit:g}")
    parts = max(1, int(np.ceil(mean / POISSON_MAX_MEAN)))
    return parts, mean / parts


def poisson_thresholds(mean: float) -> NDArray[np.uint32]:
    """Thresholds for Poisson counts by inversion: the count is the number of thresholds that a random word exceeds.

    Parameters
    ----------
    mean
        Mean of the distribution, 0 to 6.

    Returns
    -------
    uint32[m]
        Ascending, ``round(2**32 P(count <= k)) - 1`` for all k where that is below 2**32 - 1, so that the neglected
        tail is less likely than 2**-32. Filled up with 2**32 - 1, which no word exceeds, to a multiple of four.

    Raises
    ------
    InvalidValueError
        The mean is negative, not a number, or above 6; split it with :func:`poisson_parts`.

    Examples
    --------
    >>> int((np.uint32(2**31) > poisson_thresholds(1.0)).sum())
    1
    """
    if not 0 <= mean <= POISSON_MAX_MEAN:
        raise InvalidValueError(
            f"Poisson mean {mean!r} cannot be inverted from one word; allowed are 0 to {POISSON_MAX_MEAN:g}; "
            "split larger ones with poisson_parts"
        )
    found: list[int] = []
    probability = cumulative = float(exp(-mean))
    while (threshold := round(cumulative * 2.0**32) - 1) < 2**32 - 1:
        found.append(threshold)
        probability *= mean / len(found)
        cumulative += probability
    found += [2**32 - 1] * (-len(found) % 4)
    return np.array(found, dtype=np.uint32)
