"""A profile as one tidy table: a row per number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from spikesim.profile.baseline import Baselines
from spikesim.profile.bill import Bill
from spikesim.profile.layers import LayerProfile, Stat
from spikesim.profile.neurobench import NeuroBench
from spikesim.profile.quantity import Energy

if TYPE_CHECKING:
    from spikesim.profile.value import Profile

COLUMNS = (
    "part",
    "item",
    "sample",
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
    ("weight_reads", "reads per sample"),
    ("state_reads", "reads per sample"),
    ("state_writes", "writes per sample"),
)
LAYER_NUMBERS = (
    ("neurons", ""),
    ("synapses", ""),
    ("rate_hz", "Hz"),
    ("updates_dense", "updates per sample"),
    ("operations_dense", "operations per sample"),
    ("state_reads_dense", "reads per sample"),
    ("state_writes_dense", "writes per sample"),
)

Row = dict[str, Any]


def rows(profile: Profile, per_sample: bool = False) -> Iterator[Row]:
    """Return the rows, keyed by :data:`COLUMNS`; on request also one per count and sample."""
    for layer in profile.layers:
        yield from _layer(layer)
    for projection in profile.projections:
        item = {"part": "projection", "item": projection.name}
        yield {**item, "quantity": "synapses", "value": projection.synapses}
        events = _stat(projection.events, "events per sample")
        kind = f"{projection.operation}{', recurrent' if projection.recurrent else ''}"
        yield {**item, "quantity": "events", **events, "note": kind}
        for name in ("events_pending", "weight_reads"):
            if (stat := getattr(projection, name)) is not None:
                yield {**item, "quantity": name, **_stat(stat, "per sample")}
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
        yield from _break_even(profile.baselines)
    yield from _traffic(profile)
    if profile.neurobench_metrics is not None:
        yield from _neurobench(profile.neurobench_metrics)
    if per_sample:
        for series in profile.per_sample:
            item = {"part": series.part, "item": series.item, "quantity": series.quantity}
            yield from ({**item, "sample": k, "value": v} for k, v in enumerate(series.values))


def _stat(stat: Stat, unit: str) -> Row:
    return {"unit": unit, "value": stat.mean, "sd": stat.sd, "p5": stat.p5, "p95": stat.p95}


def _energy(energy: Energy) -> Row:
    return {"unit": "J per sample", "value": energy.nominal_j, "low": energy.low_j, "high": energy.high_j}


def _layer(layer: LayerProfile) -> Iterator[Row]:
    item = {"part": layer.kind, "item": layer.name}
    for name, unit in LAYER_NUMBERS:
        yield {**item, "quantity": name, "unit": unit, "value": getattr(layer, name)}
    for name, unit in LAYER_STATS:
        stat = getattr(layer, name)
        if stat is not None:
            yield {**item, "quantity": name, **_stat(stat, unit)}


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


def _break_even(base: Baselines) -> Iterator[Row]:
    for found in base.break_even:
        item = {"part": "baseline", "item": found.precision}
        unit, note = "share of source elements per step", found.sentence
        yield {**item, "quantity": "rate_per_step", "unit": unit, "value": found.actual_rate_per_step}
        rate = "" if found.rate_per_step is None else found.rate_per_step
        yield {**item, "quantity": "break_even_rate_per_step", "unit": unit, "value": rate, "note": note}


def _traffic(profile: Profile) -> Iterator[Row]:
    for device, layers in profile.traffic.items():
        for t in layers:
            note = "" if t.exact else "which elements fired is not known: each is taken to fire equally often"
            for name in ("packets", "hops_x", "hops_y"):
                if (stat := getattr(t, name)) is not None:
                    where = {"part": "traffic", "item": f"{device}/{t.name}", "quantity": name}
                    yield {**where, **_stat(stat, "per sample"), "note": note}


def _neurobench(metrics: NeuroBench) -> Iterator[Row]:
    item = {"part": "neurobench", "item": ""}
    for name, value in metrics.as_dict().items():
        parts = value if isinstance(value, dict) else {"": value}
        yield from (
            {**item, "item": key, "quantity": name, "value": "" if v is None else v} for key, v in parts.items()
        )
