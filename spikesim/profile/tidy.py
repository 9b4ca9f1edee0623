"""A profile as one tidy table: a row per number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from spikesim.profile.bill import Bill
from spikesim.profile.layers import LayerProfile, Stat
from spikesim.profile.quantity import Energy

if TYPE_CHECKING:
    from spikesim.profile.report import Profile

COLUMNS = (
    "part",
    "item",
    "quantity",
    "unit",
    "value",
    "sd",
    "p5",
    "p95",
    "low",
    "high",
    "nature",
    "evidence",
    "scope",
    "source",
    "note",
)
LAYER_STATS = (
    ("spikes", "spikes per sample"),
    ("events_forward", "events per sample"),
    ("events_recurrent", "events per sample"),
    ("accumulates", "operations per sample"),
    ("multiply_accumulates", "operations per sample"),
    ("updates_active", "updates per sample"),
    ("updates_idle", "updates per sample"),
)
LAYER_NUMBERS = (
    ("neurons", ""),
    ("synapses", ""),
    ("rate_hz", "Hz"),
    ("updates_dense", "updates per sample"),
    ("operations_dense", "operations per sample"),
)

Row = dict[str, Any]


def rows(profile: Profile) -> Iterator[Row]:
    """Return the rows, keyed by :data:`COLUMNS`."""
    for layer in profile.layers:
        yield from _layer(layer)
    for projection in profile.projections:
        item = {"part": "projection", "item": projection.name}
        yield {**item, "quantity": "synapses", "value": projection.synapses}
        events = _stat(projection.events, "events per sample")
        yield {**item, "quantity": "events", **events, "note": projection.operation}
    for fit in profile.fits.values():
        yield {"part": "fit", "item": fit.device, "quantity": "verdict", "value": fit.verdict}
        for c in (*fit.binding, *fit.warnings, *fit.headroom):
            checked = {"part": "fit", "item": fit.device, "quantity": c.rule, "unit": c.unit, "value": c.used}
            yield {**checked, "high": c.limit, "evidence": c.evidence, "source": c.source, "note": c.sentence}
        for text in fit.unchecked:
            yield {"part": "fit", "item": fit.device, "quantity": "unchecked", "note": text}
    for name, bill in profile.bills.items():
        yield from _bill(name, bill)
    if profile.baselines is not None:
        for bill in profile.baselines.bills:
            yield from _bill(bill.title, bill)


def _stat(stat: Stat, unit: str) -> Row:
    return {"unit": unit, "value": stat.mean, "sd": stat.sd, "p5": stat.p5, "p95": stat.p95}


def _energy(energy: Energy) -> Row:
    return {"unit": "J per sample", "value": energy.nominal_j, "low": energy.low_j, "high": energy.high_j}


def _layer(layer: LayerProfile) -> Iterator[Row]:
    item = {"part": layer.kind, "item": layer.name}
    for name, unit in LAYER_NUMBERS:
        yield {**item, "quantity": name, "unit": unit, "value": getattr(layer, name)}
    for name, unit in LAYER_STATS:
        yield {**item, "quantity": name, **_stat(getattr(layer, name), unit)}


def _bill(name: str, bill: Bill) -> Iterator[Row]:
    item = {"part": "energy", "item": name}
    for term in bill.terms:
        where = {"nature": term.nature, "evidence": term.evidence, "scope": term.scope, "source": term.source}
        yield {**item, "quantity": term.name, **_energy(term.energy), **where, "note": term.note}
    for missing in bill.unpriced:
        yield {**item, "quantity": missing.name, "note": f"not priced: {missing.reason}"}
    total: Row = {"quantity": "total", "evidence": bill.evidence or "", "note": bill.why_no_total}
    if bill.total is not None:
        total |= _energy(bill.total) | {"sd": "" if bill.total_sd_j is None else bill.total_sd_j}
    yield {**item, **total}
    if bill.time_s is not None:
        yield {**item, "quantity": "time", "unit": "s per sample", "value": bill.time_s, "note": bill.time_basis}
