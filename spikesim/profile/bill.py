"""The bill: what a run costs on a device, term by term, and what could not be priced."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import computed_field, model_validator

from spikesim.profile.quantity import NOTHING, Energy, Evidence, Nature, Quantity, Record, Scope, weakest
from spikesim.profile.schema import Pricing

Group = Literal["compute", "weight memory", "neurons", "communication", "static"]


class Term(Record):
    """One line of a bill, per sample.

    Parameters
    ----------
    name, group
        The term, and the part of the machine that it belongs to.
    count
        Mean number of events per sample; seconds for a power.
    energy
        Joules per sample.
    price
        The price as text, with its unit.
    nature, evidence, scope, source, note
        Of the price.
    """

    name: str
    group: Group
    count: float
    energy: Energy
    price: str
    nature: Nature
    evidence: Evidence
    scope: Scope
    source: str
    note: str = ""


class Missing(Record):
    """A cost without a price.

    Parameters
    ----------
    name
        The term.
    count
        Mean number of events per sample, None if not known.
    reason
        Why there is no price.
    charged
        Whether the bill has no total for lack of it.
    """

    name: str
    count: float | None
    reason: str
    charged: bool


class Comparison(Record):
    """A published figure applied to the same counts; printed beside the bill, never part of it."""

    name: str
    energy: Energy
    per: str
    scope: Scope
    nature: Nature
    evidence: Evidence
    source: str
    note: str = ""


class Bill(Record):
    """Energy and time of one sample on one device.

    Parameters
    ----------
    device, title, pricing
        Of the device.
    terms
        What was priced.
    unpriced
        What was not.
    total
        Joules per sample, or None: see ``why_no_total``.
    total_sd_j
        Standard deviation of the nominal total over the samples.
    time_s, time_basis
        Seconds per sample, and what they rest on.
    assumptions
        What had to be assumed.
    comparisons
        Published figures beside the bill.
    """

    device: str
    title: str
    pricing: Pricing
    terms: tuple[Term, ...] = ()
    unpriced: tuple[Missing, ...] = ()
    total: Energy | None = None
    why_no_total: str = ""
    total_sd_j: float | None = None
    time_s: float | None = None
    time_basis: str = ""
    assumptions: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _drop_what_follows(cls, data: Any) -> Any:
        follows = ("evidence", "measured")  # written for other readers, computed here
        return {k: v for k, v in data.items() if k not in follows} if isinstance(data, dict) else data

    @property
    def priced(self) -> Energy:
        """Sum of what was priced; less than the total if that is absent."""
        return sum((t.energy for t in self.terms), NOTHING)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def evidence(self) -> Evidence | None:
        """The weakest evidence among the prices used."""
        return weakest([t.evidence for t in self.terms if t.energy.high_j > 0])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def measured(self) -> bool:
        """Whether every price used was measured on silicon."""
        used = [t for t in self.terms if t.energy.high_j > 0]
        return bool(used) and all(t.nature == "measured" for t in used)

    @property
    def by_group(self) -> dict[Group, Energy]:
        """Joules per part of the machine."""
        groups: dict[Group, Energy] = {}
        for term in self.terms:
            groups[term.group] = groups.get(term.group, NOTHING) + term.energy
        return groups

    @property
    def mean_power_w(self) -> float | None:
        """Nominal total over time, in watts."""
        return self.total.nominal_j / self.time_s if self.total and self.time_s else None


def line(name: str, group: Group, count: float, energy: Energy, price: Quantity, scope: Scope, note: str = "") -> Term:
    """Make a line of a bill from a price of a device."""
    return Term(
        name=name,
        group=group,
        count=count,
        energy=energy,
        price=str(price),
        nature=price.nature,
        evidence=price.evidence,
        scope=scope,
        source=price.source,
        note=" ".join(filter(None, (price.note, note))),
    )
