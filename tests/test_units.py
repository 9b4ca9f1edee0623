"""Units at the border."""

import numpy as np
import pytest

from spikesim.errors import InvalidValueError
from spikesim.units import MOhm, ms, mV, nF, nS, si


def test_constants_are_si() -> None:
    assert (ms, mV, nF, nS, MOhm) == (1e-3, 1e-3, 1e-9, 1e-9, 1e6)


def test_plain_values_pass() -> None:
    assert si(3, "s", "x") == 3.0 and isinstance(si(3, "s", "x"), float)
    assert si([1, 2], "", "x").tolist() == [1.0, 2.0]


def test_quantities_are_converted_and_dimensions_checked() -> None:
    unit = pytest.importorskip("pint").UnitRegistry()
    assert si(np.array([5.0]) * unit.mV, "V", "v").tolist() == [0.005]
    with pytest.raises(InvalidValueError, match="tau needs the unit s"):
        si(1 * unit.metre, "s", "tau")


@pytest.mark.parametrize("value", ["fast", "1", None, True, 1j])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError, match="must be a number"):
        si(value, "s", "tau")
