"""A number of a device: what it is, where it was read, and how far to trust it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Nature = Literal["measured", "simulated", "fitted", "vendor", "estimate", "derived"]
Evidence = Literal["code", "quoted", "abstract", "derived", "secondary", "unverified"]
Scope = Literal["per_term", "all_in"]

EVIDENCE: tuple[Evidence, ...] = ("code", "quoted", "abstract", "derived", "secondary", "unverified")  # best first

ENERGY_UNITS = {"J": 0, "mJ": -3, "uJ": -6, "nJ": -9, "pJ": -12, "fJ": -15}  # powers of ten
POWER_UNITS = {"W": 0, "mW": -3, "uW": -6, "nW": -9}
TIME_UNITS = {"s": 0, "ms": -3, "us": -6, "ns": -9, "ps": -12}
CLOCK_UNITS = {"W/Hz": 0, "uW/MHz": -12, "pJ/cycle": -12}
COUNT_UNITS = dict.fromkeys(
    (
        "1 axon bit byte core cycle entry event event/s format hop input layer level MHz neuron output pixel "
        "population step synapse tile word"
    ).split(),
    0,
)
Text = Annotated[str, Field(min_length=1)]


class Record(BaseModel):
    """Base of all values of this room: frozen, nothing unknown, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Energy(Record):
    """An energy with its range.

    Parameters
    ----------
    low_j, nominal_j, high_j
        Joules, rising.
    """

    low_j: float
    nominal_j: float
    high_j: float

    def __add__(self, other: Energy) -> Energy:
        return Energy(
            low_j=self.low_j + other.low_j,
            nominal_j=self.nominal_j + other.nominal_j,
            high_j=self.high_j + other.high_j,
        )


NOTHING = Energy(low_j=0.0, nominal_j=0.0, high_j=0.0)


class Band(Record):
    """A number in SI units with its range: ``low <= nominal <= high``."""

    low: float
    nominal: float
    high: float

    def times(self, low: float, nominal: float, high: float) -> Energy:
        """Return the energy of so many events, if this is the price of one in joules."""
        return Energy(low_j=self.low * low, nominal_j=self.nominal * nominal, high_j=self.high * high)


class Provenance(Record):
    """Where a number comes from.

    Parameters
    ----------
    nature
        What the number is: ``measured`` on silicon, ``simulated`` before silicon, ``fitted`` to silicon, a ``vendor``
        claim or specification, an ``estimate``, or ``derived`` from other numbers.
    evidence
        How it came into the file: ``code`` of the vendor or the authors, a ``quoted`` table of the primary paper, its
        ``abstract``, ``derived`` by arithmetic, ``secondary`` (a third party only), ``unverified`` (nobody checked).
    source
        Paper and table, or file.
    conditions
        Voltage, clock, temperature, activity.
    note
        What a reader must know before using it.
    """

    nature: Nature
    evidence: Evidence
    source: Text
    conditions: dict[str, str | float] = Field(default_factory=dict)
    note: str = ""


class Quantity(Provenance):
    """A number with its unit, and its range where it is contested.

    Parameters
    ----------
    value
        The nominal value, in ``unit``.
    unit
        One of the units that the field allows.
    low, high
        The range; ``value`` where it is left out.
    """

    value: float
    unit: str
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Quantity:
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        if not 0 <= low <= self.value <= high:
            raise ValueError(f"needs 0 <= low <= value <= high, found low {low:g}, value {self.value:g}, high {high:g}")
        return self

    @property
    def _power_of_ten(self) -> int:
        return 0

    @property
    def si(self) -> Band:
        """The number and its range in SI units."""

        def scale(value: float | None) -> float:
            # Decimal: 23.6 pJ becomes the double nearest to 23.6e-12, not 23.6 * 1e-12
            return float(Decimal(repr(float(self.value if value is None else value))).scaleb(self._power_of_ten))

        return Band(low=scale(self.low), nominal=scale(self.value), high=scale(self.high))

    def __str__(self) -> str:
        low, high = (self.value if x is None else x for x in (self.low, self.high))
        span = f" ({low:g} to {high:g})" if low < high else ""
        return f"{self.value:g}{span} {self.unit}"


def _check_unit(unit: str, allowed: dict[str, int]) -> str:
    if unit not in allowed:
        raise ValueError(f"unit {unit!r} is not known here; allowed: {', '.join(allowed)}")
    return unit


class EnergyPrice(Quantity):
    """Energy of one event; ``scope`` says whether other costs of the chip are already inside.

    Parameters
    ----------
    scope
        ``per_term``: the cost of one more event. ``all_in``: power of the whole chip divided by its event rate, valid
        at that operating point only; nothing may be added to it.
    """

    scope: Scope

    @field_validator("unit")
    @classmethod
    def _unit(cls, unit: str) -> str:
        return _check_unit(unit, ENERGY_UNITS)

    @property
    def _power_of_ten(self) -> int:
        return ENERGY_UNITS[self.unit]


class PowerPrice(Quantity):
    """A power that is paid for as long as the device runs."""

    scope: Scope

    @field_validator("unit")
    @classmethod
    def _unit(cls, unit: str) -> str:
        return _check_unit(unit, POWER_UNITS)

    @property
    def _power_of_ten(self) -> int:
        return POWER_UNITS[self.unit]


class ClockPrice(Quantity):
    """Energy of one clock cycle (a power per clock frequency)."""

    scope: Scope

    @field_validator("unit")
    @classmethod
    def _unit(cls, unit: str) -> str:
        return _check_unit(unit, CLOCK_UNITS)

    @property
    def _power_of_ten(self) -> int:
        return CLOCK_UNITS[self.unit]


class Duration(Quantity):
    """A time."""

    @field_validator("unit")
    @classmethod
    def _unit(cls, unit: str) -> str:
        return _check_unit(unit, TIME_UNITS)

    @property
    def _power_of_ten(self) -> int:
        return TIME_UNITS[self.unit]


class Number(Quantity):
    """A plain number of things."""

    @field_validator("unit")
    @classmethod
    def _unit(cls, unit: str) -> str:
        return _check_unit(unit, COUNT_UNITS)


class Limit(Number):
    """What a device holds.

    Parameters
    ----------
    kind
        ``wall``: more cannot be loaded, the mapping refuses. ``budget``: more can be loaded, with a consequence.
    consequence
        What happens beyond a budget.
    """

    kind: Literal["wall", "budget"] = "wall"
    consequence: str = ""

    @model_validator(mode="after")
    def _says_what_happens(self) -> Limit:
        if self.kind == "budget" and not self.consequence:
            raise ValueError("a budget needs `consequence`: what happens beyond it")
        return self


def weakest(grades: list[Evidence]) -> Evidence | None:
    """Return the weakest evidence of several, or None for none."""
    return max(grades, key=EVIDENCE.index, default=None)
