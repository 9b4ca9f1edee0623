"""Units: plain SI floats inside, helper constants and pint quantities at the border.

>>> from spikesim.units import ms, mV
>>> 20 * ms, -70 * mV
(0.02, -0.07)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.errors import InvalidValueError

s, ms, us, ns = 1.0, 1e-3, 1e-6, 1e-9
V, mV, uV = 1.0, 1e-3, 1e-6
A, mA, uA, nA, pA = 1.0, 1e-3, 1e-6, 1e-9, 1e-12
S, mS, uS, nS = 1.0, 1e-3, 1e-6, 1e-9
F, uF, nF, pF = 1.0, 1e-6, 1e-9, 1e-12
Ohm, kOhm, MOhm, GOhm = 1.0, 1e3, 1e6, 1e9
Hz, kHz = 1.0, 1e3


def si(value: Any, unit: str, what: str) -> Any:
    """Return a value as plain SI numbers.

    Parameters
    ----------
    value
        A number, an array, a distribution (returned as it is), or a pint quantity.
    unit
        The SI unit it must have; ``""`` for a pure number.
    what
        What it is, for the error message.

    Returns
    -------
    float or ndarray

    Raises
    ------
    InvalidValueError
        If a quantity has another dimension, or the value is not a number.
    """
    if hasattr(value, "sample") or hasattr(value, "times"):  # a distribution, a rate that varies
        return value
    if hasattr(value, "to") and hasattr(value, "magnitude"):
        try:
            value = value.to(unit or "dimensionless").magnitude
        except Exception as error:  # pint's own error types are not known here
            raise InvalidValueError(f"{what} needs the unit {unit or '1'}, found {value}; {error}") from None
    try:
        if value is None or isinstance(value, (str, bytes, bool)):  # numpy would read None as NaN, True and "1" as 1
            raise TypeError
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise InvalidValueError(f"{what} must be a number or an array of numbers, found {value!r}") from None
    return float(array) if array.ndim == 0 else array
