"""Numbers as people read them: three digits and a prefix, ranges, and evidence beside every energy."""

from __future__ import annotations

import math

from spikesim.profile.baseline import Baselines
from spikesim.profile.bill import Bill
from spikesim.profile.quantity import Energy

PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def engineering(value: float, unit: str = "", digits: int = 3) -> str:
    """Return a number with an SI prefix.

    >>> engineering(1.4009e-6, "J"), engineering(0, "J"), engineering(999.9e-9, "s")
    ('1.40 µJ', '0 J', '1.00 µs')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}".strip()
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = max(-15, min(12, 3 * math.floor(math.log10(abs(rounded)) / 3)))
    mantissa = rounded / 10.0**exponent
    places = max(0, digits - 1 - math.floor(math.log10(abs(mantissa)) + 1e-9))
    return f"{mantissa:.{places}f} {PREFIXES[exponent]}{unit}".strip()


def span(energy: Energy) -> str:
    """Return the range of an energy, or a dash if it has none."""
    low, high = engineering(energy.low_j, "J"), engineering(energy.high_j, "J")
    return "–" if low == high else f"{low} to {high}"


def energy_text(bill: Bill) -> str:
    """Return the nominal total of a bill, or why there is none."""
    return engineering(bill.total.nominal_j, "J") if bill.total else "no total"


def rests_on(bill: Bill) -> str:
    """Say what the prices of a bill are and how they were found: to be printed beside every energy."""
    used = [t for t in bill.terms if t.energy.high_j > 0]
    if not used:
        return "no published price"
    natures = sorted({t.nature for t in used})
    scope = "whole chip, " if any(t.scope == "all_in" for t in used) else ""
    task = "power of another task x time, " if bill.pricing == "time_based" else ""
    return f"{scope}{task}{'/'.join(natures)}; {bill.evidence}"


def outside(bill: Bill) -> str:
    """Name what the bill does not hold."""
    return ", ".join(m.name.replace("_", " ") for m in bill.unpriced) or "–"


def why_brief(bill: Bill) -> str:
    """Say in a few words why a bill has no total."""
    if bill.pricing == "none":
        return "no published price"
    if bill.why_no_total.startswith("the network does not fit"):
        return "does not fit"
    lacking = [m.name.replace("_", " ") for m in bill.unpriced if m.charged]
    return f"no price for {', '.join(lacking)}" if lacking else bill.why_no_total


def beside(bill: Bill, base: Baselines) -> tuple[str, str]:
    """Return what a bill is of the fp32 and of the quantised ordinary network, as times or a dash."""
    rivals = (base.ann_fp32.priced.nominal_j, base.ann_quantised.priced.nominal_j)
    if bill.total is None:
        return "–", "–"
    first, second = (_times(bill.total.nominal_j / rival) if rival else "–" for rival in rivals)
    return first, second


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} ×" if ratio >= 100 else f"{ratio:.3g} ×"
