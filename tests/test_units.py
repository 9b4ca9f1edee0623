import numpy as np
import pytest

from spikesim import units
from spikesim.errors import InvalidValueError


def test_constants_are_plain_si_numbers():
    assert 20 * units.ms == 0.02
    assert units.mV * units.nS / units.pA == pytest.approx(1.0)
    assert units.MOhm * units.nF == pytest.approx(units.ms)
    assert all(isinstance(getattr(units, n), float) for n in ("ms", "us", "s", "mV", "V", "nS", "pF", "Hz", "kHz"))


def test_plain_numbers_pass():
    assert units.si(3, "s", "t") == 3.0 and isinstance(units.si(np.float32(2), "s", "t"), float)
    values = units.si([1, 2], "s", "t")
    assert values.dtype == np.float64 and values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("bad", ["10 ms", None, 1j, True, object(), [1, "a"]])
def test_what_is_not_numeric_is_refused(bad):
    with pytest.raises(InvalidValueError, match="tau_m"):
        units.si(bad, "s", "tau_m")


class DimensionalityError(Exception):
    """Named as pint names it."""


class Quantity:
    """What the library uses of a pint quantity."""

    def __init__(self, magnitude, unit, factor):
        self.magnitude, self.unit, self.factor = magnitude, unit, factor

    def to_base_units(self):
        return self

    def to(self, unit):
        if unit != self.unit:
            raise DimensionalityError
        return Quantity(self.magnitude * self.factor, unit, 1)

    def __str__(self):
        return f"{self.magnitude} x {self.factor} {self.unit}"


def test_quantities_are_converted_by_their_own_methods():
    assert units.si(Quantity(20, "s", 1e-3), "s", "tau_m") == 0.02
    assert units.si(Quantity(np.array([1.0, 2.0]), "V", 1e-3), "V", "v").tolist() == [0.001, 0.002]
    with pytest.raises(InvalidValueError, match=r"tau_m is 3 x 1 m, which cannot be converted to 's'"):
        units.si(Quantity(3, "m", 1), "s", "tau_m")


def test_real_pint():
    pint = pytest.importorskip("pint")
    registry = pint.UnitRegistry()
    assert units.si(20 * registry.ms, "s", "tau_m") == pytest.approx(0.02)
    assert units.si(5 * registry.nS, "siemens", "g") == pytest.approx(5e-9)
    assert units.si(np.array([1, 2]) * registry.mV, "V", "v") == pytest.approx([1e-3, 2e-3])
    with pytest.raises(InvalidValueError, match="tau_m"):
        units.si(3 * registry.metre, "s", "tau_m")
