"""The library's own ``exp``, ``log``, ``tanh`` and ``sigmoid``: the same bits on every backend.

Mathematics libraries differ by a unit in the last place in a few percent of all arguments, which is enough to make two
backends disagree about a spike. The functions here use only ``+ - * /``, comparisons, selects and integer operations on
the bits of a number, in one fixed order, so numpy, numba and torch give identical results.

Each algorithm is written once, below, in terms of a few names (``select``, ``to_bits``, ``from_bits`` and constants)
that :func:`bind` supplies for a target and a precision. There is no branch and no table, so that loops vectorise.

Accuracy, measured against extended precision: at most 1 unit in the last place for ``exp`` and ``log``,
3 for ``tanh`` and ``sigmoid``. ``nan`` stays ``nan``; overflow gives ``inf``; underflow is gradual.
"""

from __future__ import annotations

import builtins
import math
import types
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

# ---------------------------------------------------------------------------------------------- what a target supplies
# As written, the algorithms compute on numpy float64 arrays; ``bind`` replaces these names for the other targets.
select: Callable[[Any, Any, Any], Any] = np.where


def to_bits(x: Any) -> Any:
    """Reinterpret a floating-point number as an integer of the same width."""
    return x.view(np.int64)


def from_bits(i: Any) -> Any:
    """Reinterpret an integer as a floating-point number of the same width."""
    return i.view(np.float64)


E2, E3, E4, E5, E6, E7, E8, E9, E10, E11, E12, E13 = (1 / math.factorial(n) for n in range(2, 14))
L3, L5, L7, L9, L11, L13, L15, L17, L19, L21 = (2 / n for n in range(3, 22, 2))
ZERO, HALF, ONE, TWO, INFINITY, NAN = 0.0, 0.5, 1.0, 2.0, math.inf, math.nan
LOG2E = float.fromhex("0x1.71547652b82fep+0")
LN2_HI = float.fromhex("0x1.62e42feep-1")  # 32 bits: exact when multiplied by an integer below 2**21
LN2_LO = float.fromhex("0x1.a39ef35793c76p-33")
ROUND, ROUND_BITS = 1.5 * 2.0**52, 0x4338000000000000
EXP_LOW, EXP_HIGH, TANH_HIGH = -746.0, 710.0, 22.0
MIN_NORMAL, SUBNORMAL_SCALE, SUBNORMAL_SHIFT = 2.0**-1022, 2.0**54, 54.0
MANTISSA, BIAS, SIGN, SQRT_HALF_BITS = 52, 1023, -(2**63), 0x3FE6A09E667F3BCD

_DOUBLE: Final = {name: value for name, value in globals().items() if isinstance(value, (int, float))}
_SINGLE: Final = _DOUBLE | {
    "LN2_HI": float.fromhex("0x1.62e4p-1"),  # 15 bits: exact when multiplied by an integer below 2**9
    "LN2_LO": float.fromhex("0x1.7f7d1cp-20"),
    "ROUND": 1.5 * 2.0**23,
    "ROUND_BITS": 0x4B400000,
    "EXP_LOW": -105.0,
    "EXP_HIGH": 89.0,
    "TANH_HIGH": 10.0,
    "MIN_NORMAL": 2.0**-126,
    "SUBNORMAL_SCALE": 2.0**25,
    "SUBNORMAL_SHIFT": 25.0,
    "MANTISSA": 23,
    "BIAS": 127,
    "SIGN": -(2**31),
    "SQRT_HALF_BITS": 0x3F3504F3,
}


# ---------------------------------------------------------------------------------------------- the algorithms
def _exp_tail(r: Any) -> Any:
    """Compute (e**r - 1 - r) / r**2 for abs(r) <= ln(2)/2: the Taylor series up to r**13, by Horner's rule."""
    q = ((((E13 * r + E12) * r + E11) * r + E10) * r + E9) * r + E8
    return (((((q * r + E7) * r + E6) * r + E5) * r + E4) * r + E3) * r + E2


def _exp_tail_single(r: Any) -> Any:
    """Do the same for float32, up to r**7."""
    return ((((E7 * r + E6) * r + E5) * r + E4) * r + E3) * r + E2


def _log_tail(z: Any) -> Any:
    """Compute (2 atanh(s) - 2 s) / s**3 for z = s**2 <= 0.0295: the series up to z**9, by Horner's rule."""
    q = (((L21 * z + L19) * z + L17) * z + L15) * z + L13
    return ((((q * z + L11) * z + L9) * z + L7) * z + L5) * z + L3


def _log_tail_single(z: Any) -> Any:
    """Do the same for float32, up to z**4."""
    return (((L11 * z + L9) * z + L7) * z + L5) * z + L3


def _power_of_two(n: Any) -> Any:
    """Compute 2**n exactly, for n in the range of normal numbers."""
    return from_bits((n + BIAS) << MANTISSA)


def _exp_parts(x: Any) -> Any:
    """Find an integer n and p with e**x = 2**n (1 + p), abs(p) < 0.42.

    Adding ROUND (1.5 times the last power of two with unit spacing) rounds to an integer, which then also stands in
    the low bits: no conversion between float and int is needed. ln(2) in two parts makes ``k * LN2_HI`` exact.
    """
    shifted = x * LOG2E + ROUND
    k = shifted - ROUND
    r = (x - k * LN2_HI) - k * LN2_LO
    return to_bits(shifted) - ROUND_BITS, r + r * r * _exp_tail(r)


def _exp(x: Any) -> Any:
    """Compute e**x. The power of two is applied in two halves, so that neither overflows and subnormals round once."""
    x = select(x < EXP_LOW, EXP_LOW, x)
    x = select(x > EXP_HIGH, EXP_HIGH, x)
    n, p = _exp_parts(x)
    half = n >> 1
    return (ONE + p) * _power_of_two(half) * _power_of_two(n - half)


def _tanh(x: Any) -> Any:
    """Compute tanh(x) = m / (m + 2) with m = e**(2 abs(x)) - 1, formed without cancellation: precise near zero too."""
    y = abs(x)
    y = select(y > TANH_HIGH, TANH_HIGH, y)
    n, p = _exp_parts(y + y)
    scale = _power_of_two(n)
    m = scale * p + (scale - ONE)
    return from_bits(to_bits(m / (m + TWO)) | (to_bits(x) & SIGN))


def _sigmoid(x: Any) -> Any:
    """Compute 1 / (1 + e**-x)."""
    return ONE / (ONE + _exp(-x))


def _log(x: Any) -> Any:
    """Compute k ln(2) + log(1 + f), with 1 + f in [sqrt(1/2), sqrt(2)) and log(1 + f) = 2 atanh(f / (2 + f))."""
    small = x < MIN_NORMAL
    b = to_bits(select(small, x * SUBNORMAL_SCALE, x))
    e = (b - SQRT_HALF_BITS) >> MANTISSA
    f = from_bits(b - (e << MANTISSA)) - ONE
    k = from_bits(e + ROUND_BITS) - ROUND
    k = select(small, k - SUBNORMAL_SHIFT, k)
    s = f / (f + TWO)
    z = s * s
    h = HALF * f * f
    y = k * LN2_HI - ((h - (s * (h + z * _log_tail(z)) + k * LN2_LO)) - f)
    y = select(x < INFINITY, y, x)
    y = select(x == ZERO, -INFINITY, y)
    return select(x < ZERO, NAN, y)


def bind(
    width: int,
    operations: Mapping[str, Any],
    to_float: Callable[[float], Any],
    compile_function: Callable[[Any], Any] = lambda function: function,
) -> dict[str, Any]:
    """Make the algorithms for one target and one precision.

    Parameters
    ----------
    width
        32 or 64: the bits of the floating-point type.
    operations
        ``select``, ``to_bits`` and ``from_bits`` of the target.
    to_float
        Turns a Python float into the target's constant of that precision.
    compile_function
        Applied to every function, for example a compiler's decorator.

    Returns
    -------
    dict
        ``exp``, ``log``, ``tanh`` and ``sigmoid``, each a function of one argument of that precision.
    """
    names: dict[str, Any] = {"__name__": __name__, "__builtins__": builtins, **operations}
    for name, value in (_DOUBLE if width == 64 else _SINGLE).items():
        names[name] = to_float(value) if isinstance(value, float) else value

    def add(name: str, function: Any) -> Any:
        bound = types.FunctionType(function.__code__, names, function.__name__)
        bound.__module__, bound.__doc__ = __name__, function.__doc__
        names[name] = compile_function(bound)
        return names[name]

    add("_exp_tail", _exp_tail if width == 64 else _exp_tail_single)
    add("_log_tail", _log_tail if width == 64 else _log_tail_single)
    add("_power_of_two", _power_of_two)
    add("_exp_parts", _exp_parts)
    return {
        "exp": add("_exp", _exp),
        "log": add("_log", _log),
        "tanh": add("_tanh", _tanh),
        "sigmoid": add("_sigmoid", _sigmoid),
    }


# ---------------------------------------------------------------------------------------------- numpy
def _numpy_operations(real: Any, integer: Any) -> dict[str, Any]:
    return {"select": np.where, "to_bits": lambda x: x.view(integer), "from_bits": lambda i: i.view(real)}


_NUMPY = {
    np.dtype(np.float64): bind(64, _numpy_operations(np.float64, np.int64), np.float64),
    np.dtype(np.float32): bind(32, _numpy_operations(np.float32, np.int32), np.float32),
}


def _apply(name: str, x: ArrayLike) -> Any:
    given = np.asarray(x)
    values = np.atleast_1d(given if given.dtype == np.float32 else np.asarray(given, dtype=np.float64))
    with np.errstate(all="ignore"):  # overflow to inf and nan are results here, not accidents
        result: NDArray[Any] = _NUMPY[values.dtype][name](values)
    return result.reshape(given.shape)[()]


def exp(x: ArrayLike) -> Any:
    """Exponential function with the same bits on every backend.

    Parameters
    ----------
    x
        Number or array of any shape; float32 is computed in float32, all else in float64.

    Returns
    -------
    float or ndarray
        Shape of `x`, float32 or float64.

    Examples
    --------
    >>> float(exp(0.5))
    1.6487212707001282
    """
    return _apply("exp", x)


def log(x: ArrayLike) -> Any:
    """Natural logarithm with the same bits on every backend; see :func:`exp`.

    Examples
    --------
    >>> float(log(10.0)), float(log(0.0))
    (2.302585092994046, -inf)
    """
    return _apply("log", x)


def tanh(x: ArrayLike) -> Any:
    """Hyperbolic tangent with the same bits on every backend; see :func:`exp`.

    Examples
    --------
    >>> float(tanh(-1e-300)), float(tanh(30.0))
    (-1e-300, 1.0)
    """
    return _apply("tanh", x)


def sigmoid(x: ArrayLike) -> Any:
    """Logistic function 1 / (1 + e**-x) with the same bits on every backend; see :func:`exp`.

    Examples
    --------
    >>> float(sigmoid(0.0))
    0.5
    """
    return _apply("sigmoid", x)
