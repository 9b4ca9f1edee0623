"""What the shipped profiles predict for measurements that were published: hits, misses, and what is no test.

Each case is a workload that a paper determines by its structure (sizes, rates, steps), priced like any run, beside the
number that the paper measured. A point that the profile was fitted to is marked, and proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikesim.counts import Counts, PopulationCounts, ProjectionCounts
from spikesim.profile.device import load_device
from spikesim.profile.energy import price

TRUENORTH = "Akopyan 2015, IEEE TCAD 34(10), Fig. 17 (0.8 V)"
ODIN = "Frenkel 2019, IEEE TBioCAS 13(1), Sec. IV-A (0.55 V)"
FRADY = "Frady 2020, NICE, arXiv:2004.12691, Table 2, column Neuro, k = 1 of 76 800"
PATTERNS, WINDOW = 76_800, 60  # Frady 2020: neurons (one per pattern), steps of a query
SENT = (667, 750)  # of 1000 input spikes of a query: "about one quarter to one third" are left out


@dataclass(frozen=True, eq=False)
class Case:
    """A published measurement.

    Parameters
    ----------
    name, device
        The workload; the profile that prices it.
    counts
        What the paper says that it does.
    published, unit
        What was measured, in ``W`` or ``J``.
    source
        Where it stands.
    role
        ``test``: the profile has never seen it. ``fitted``: its prices come from this point, or a free number was
        chosen to meet it. ``other scope``: the published number holds costs that the profile declares unpriced.
    note
        What a reader must know.
    """

    name: str
    device: str
    counts: Counts
    published: float
    unit: str
    source: str
    role: str
    note: str = ""

    @property
    def predicted(self) -> float:
        """The profile's number: the sum of what it prices, over the time if a power was published."""
        bill = price(self.counts, None, load_device(self.device))
        return bill.priced.nominal_j / (bill.time_s or 1.0) if self.unit == "W" else bill.priced.nominal_j

    @property
    def error(self) -> float:
        """Predicted over published, less one."""
        return self.predicted / self.published - 1.0


def workload(
    neurons: int, synapses: int, spikes: int, events: int, *, steps: int, dt: float = 1e-3, active: int = 0
) -> Counts:
    """Return the counts of one sample of one population, driven by itself."""

    def one(value: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([value], np.int64)

    population = PopulationCounts(neurons, one(spikes), one(active), one(neurons * steps - active))
    projection = ProjectionCounts("p", "p", synapses, one(events), False, False)
    return Counts(steps, 1, dt, {"p": population}, {"p->p": projection}, {}, {})


def _truenorth(rate_hz: float) -> Counts:
    """Count a second of 2^20 neurons with 128 active synapses each."""
    spikes = round(2**20 * rate_hz)
    return workload(2**20, 2**27, spikes, 128 * spikes, steps=1000)


def _odin(operations: float) -> Counts:
    """Count a second of so many operations; every spike makes 256."""
    spikes = round(operations / 256)
    return workload(256, 65_536, spikes, 256 * spikes, steps=1000)


def _frady(spikes: int, all_active: bool) -> Counts:
    """Count a query: each input spike reaches every neuron, and all are updated in every step."""
    updates = PATTERNS * WINDOW
    return workload(PATTERNS, 1000 * PATTERNS, 0, spikes * PATTERNS, steps=WINDOW, active=updates * all_active)


def cases() -> list[Case]:
    """Return all published measurements that can be priced from what their papers say."""
    found = []
    for rate, watts in ((11.58, 68e-3), (20.07, 71e-3), (95.93, 94e-3)):
        role = "test" if rate == 20.07 else "fitted"
        note = "" if role == "test" else "the line goes through this point by construction"
        found.append(Case(f"power at {rate} Hz", "truenorth", _truenorth(rate), watts, "W", TRUENORTH, role, note))
    for name, operations, watts in (("biological rate", 0.65e6, 35e-6), ("highest rate", 37.5e6, 477e-6)):
        note = "the paper's own power model; the clock was chosen to meet the paper's power"
        found.append(Case(f"power at {name}", "odin", _odin(operations), watts, "W", ODIN, "fitted", note))
    for device in ("loihi1", "loihi1_nahuku"):
        for spikes in SENT:
            for active in (False, True):
                updates = "active" if active else "inactive"
                name = f"query, {spikes} spikes, updates {updates}"
                note = "the paper does not say whether an update that only receives input is an active one"
                found.append(Case(name, device, _frady(spikes, active), 1.33e-3, "J", FRADY, "test", note))
    found.append(
        Case(
            "synaptic event, cortical microcircuit",
            "spinnaker1",
            workload(1, 1, 0, 1, steps=0),
            5.9e-6,
            "J",
            "van Albada 2018, Knight & Nowotny 2018 (secondary)",
            "other scope",
            "published: the whole system over its events; priced: what one more event costs",
        )
    )
    return found


def table() -> str:
    """Return the cases as a table in Markdown, for the documentation."""
    lines = [
        "| device | workload | measured | predicted | error | |",
        "|---|---|---:|---:|---:|---|",
    ]
    from spikesim.profile.text import engineering

    for c in cases():
        role = {"test": "test", "fitted": "no test: fitted", "other scope": "no test: other scope"}[c.role]
        error = round(c.error, 3) + 0.0  # no minus before a zero
        numbers = f"{engineering(c.published, c.unit)} | {engineering(c.predicted, c.unit)} | {error:+.1%}"
        lines.append(f"| `{c.device}` | {c.name} | {numbers} | {role} |")
    return "\n".join(lines)
