"""Units as plain SI numbers: ``20 * ms`` is ``0.02``.

The library computes with plain floats in SI units. Quantities of the package ``pint`` are accepted wherever a unit is
known and are converted by :func:`si`; pint itself is never imported.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError

s: Final = 1.0  #: second
ms: Final = 1e-3
us: Final = 1e-6
ns: Final = 1e-9
minute: Final = 60.0
Hz: Final = 1.0  #: hertz
kHz: Final = 1e3
MHz: Final = 1e6
V: Final = 1.0  #: volt
mV: Final = 1e-3
uV: Final = 1e-6
A: Final = 1.0  #: ampere
mA: Final = 1e-3
uA: Final = 1e-6
nA: Final = 1e-9
pA: Final = 1e-12
S: Final = 1.0  #: siemens
mS: Final = 1e-3
uS: Final = 1e-6
nS: Final = 1e-9
pS: Final = 1e-12
F: Final = 1.0  #: farad
mF: Final = 1e-3
uF: Final = 1e-6
nF: Final = 1e-9
pF: Final = 1e-12
Ohm: Final = 1.0
kOhm: Final = 1e3
MOhm: Final = 1e6
GOhm: Final = 1e9
J: Final = 1.0  #: joule
mJ: Final = 1e-3
uJ: Final = 1e-6
nJ: Final = 1e-9
pJ: Final = 1e-12
W: Final = 1.0  #: watt
mW: Final = 1e-3
uW: Final = 1e-6


def _is_quantity(value: Any) -> bool:
    return hasattr(value, "to_base_units") and hasattr(value, "to") and hasattr(value, "magnitude")


def _magnitude(quantity: Any, unit: str, what: str) -> Any:
    try:
        return quantity.to(unit).magnitude
    except Exception as error:  # pint's own classes cannot be named without importing it
        if type(error).__name__ in ("DimensionalityError", "OffsetUnitCalculusError", "UndefinedUnitError"):
            raise InvalidValueError(
                f"{what} is {quantity}, which cannot be converted to {unit!r}; give a quantity of that dimension or a "
                f"plain number in {unit!r}"
            ) from error
        raise


def si(value: Any, unit: str, what: str) -> float | NDArray[np.float64]:
    """Turn a plain number, an array or a pint quantity into plain SI numbers.

    Parameters
    ----------
    value
        Plain numbers are taken to be in `unit` already; a pint quantity (number or array) is converted.
    unit
        SI unit without prefix in pint's spelling: ``"s"``, ``"V"``, ``"A"``, ``"siemens"``, ``"F"``, ``"ohm"``, ...;
        ``""`` is dimensionless.
    what
        Name of the value in error messages.

    Returns
    -------
    float or float64 ndarray

    Raises
    ------
    InvalidValueError
        A quantity of another dimension, or something that is not numeric.

    Examples
    --------
    >>> si(20 * ms, "s", "tau_m")
    0.02
    """
    plain = _magnitude(value, unit or "dimensionless", what) if _is_quantity(value) else value
    try:
        if plain is None or isinstance(plain, (str, bytes, bool)) or np.iscomplexobj(plain):
            raise TypeError
        array = np.asarray(plain, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidValueError(
            f"{what} is {value!r}; allowed are numbers in {unit or 'no unit'!r}, arrays of them, and pint quantities; "
            "write for example 20 * ms with spikesim.units.ms"
        ) from None
    return float(array) if array.ndim == 0 else array
