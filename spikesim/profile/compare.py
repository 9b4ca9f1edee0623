"""Two profiles in one table: before and after pruning, two devices, float and fixed point."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.profile.bill import Bill
from spikesim.profile.layers import LayerProfile, Stat
from spikesim.profile.quantity import Record
from spikesim.profile.value import Profile

if TYPE_CHECKING:
    from rich.console import Group

TOTALS = ("neurons", "synapses", "spikes", "events_forward", "events_recurrent", "accumulates", "multiply_accumulates")
UPDATES = ("updates_active", "updates_idle", "weight_reads", "state_reads")
PER_LAYER = ("neurons", "synapses", "spikes", "rate_hz", "events_forward", "events_recurrent", "updates_active")


class Difference(Record):
    """One number of two profiles.

    Parameters
    ----------
    part, item, quantity, unit
        What it is: ``network``, ``layer``, ``projection`` or ``device``; its name; the number.
    first, second
        The values, None where it is not known or not there.
    note
        What the numbers rest on.
    """

    part: str
    item: str
    quantity: str
    unit: str = ""
    first: float | None
    second: float | None
    note: str = ""

    @property
    def change(self) -> float | None:
        """Second over first, less one; None where there is none."""
        if self.first is None or self.second is None or (self.first == 0 and self.second != 0):
            return None
        return self.second / self.first - 1.0 if self.first else 0.0


class ProfileComparison(Record):
    """Two profiles beside each other; see :func:`compare_profiles`.

    Parameters
    ----------
    first, second
        What to call them.
    rows
        The numbers.
    notes
        What makes them hard to compare.
    """

    first: str
    second: str
    rows: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    def value(self, quantity: str, item: str = "") -> Difference:
        """Return a row by quantity and item; the network's by default."""
        for row in self.rows:
            if row.quantity == quantity and (row.item == item or (not item and row.part == "network")):
                return row
        raise UnknownNameError("row", f"{item} {quantity}".strip(), [f"{r.item} {r.quantity}" for r in self.rows])

    def table(self) -> Group:
        """Return tables for a terminal (``rich`` renderables)."""
        from spikesim.profile.tables import comparison_tables

        return comparison_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with the changes."""
        found = self.model_dump(mode="json")
        for row, plain in zip(self.rows, found["rows"], strict=True):
            plain["change"] = row.change
        return found

    def to_json(self, path: str | Path | None = None) -> str:
        """Return JSON, and write it to a file if a path is given."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False)
        if path is not None:
            Path(path).write_text(text + "\n", "utf-8")
        return text

    def to_csv(self, path: str | Path) -> None:
        """Write one row per number."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("part", "item", "quantity", "unit", self.first, self.second, "change", "note"))
            for r in self.rows:
                writer.writerow((r.part, r.item, r.quantity, r.unit, r.first, r.second, r.change, r.note))


def compare_profiles(
    first: Profile,
    second: Profile | None = None,
    *,
    devices: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
) -> ProfileComparison:
    """Put two profiles into one table; counts and energies are per sample.

    Parameters
    ----------
    first, second
        The profiles; without the second, ``first`` on two devices.
    devices
        One device of each, to be compared with each other. By default devices of the same name are compared, or the
        only one of each.
    labels
        What to call the profiles; their networks (and what they ran on) by default.

    Raises
    ------
    UnknownNameError
        A profile has no such device.
    InvalidValueError
        Not two devices or labels; or one profile and no devices.
    """
    if second is None and devices is None:
        raise InvalidValueError("a profile is compared with another one, or on two devices; pass devices=(a, b)")
    pair = (first, first if second is None else second)
    for what, given in (("devices", devices), ("labels", labels)):
        if given is not None and len(given) != 2:
            raise InvalidValueError(f"{what} takes two names, found {list(given)}")
    names = _labels(pair, devices, labels)
    rows = [] if second is None else [*_totals(*pair), *_layers(*pair)]
    rows += _devices(*pair, devices)
    notes = [] if second is None else _notes(*pair)
    notes += _unequal_scope(*pair, devices)
    return ProfileComparison(first=names[0], second=names[1], rows=tuple(rows), notes=tuple(notes))


def _labels(
    pair: tuple[Profile, Profile], devices: Sequence[str] | None, labels: Sequence[str] | None
) -> tuple[str, str]:
    if labels is not None:
        return labels[0], labels[1]
    candidates = [(a.network, b.network) for a, b in (pair,)]
    candidates += [(f"{a.network} on {a.origin}", f"{b.network} on {b.origin}") for a, b in (pair,)]
    if devices is not None:
        candidates.insert(0, (devices[0], devices[1]))
    return next((c for c in candidates if c[0] != c[1]), ("first", "second"))


def _number(value: Any) -> float | None:
    return value.mean if isinstance(value, Stat) else value if value is None else float(value)


def _totals(a: Profile, b: Profile) -> Iterator[Difference]:
    def total(profile: Profile, field: str) -> float | None:
        values = [_number(getattr(layer, field)) for layer in profile.layers if layer.kind == "population"]
        return None if any(v is None for v in values) else float(sum(v for v in values if v is not None))

    for field in (*TOTALS, *UPDATES):
        yield _row("network", "", field, total(a, field), total(b, field))
    stored = [float(sum(p.synapses_stored for p in x.projections)) for x in (a, b)]
    yield _row("network", "", "synapses_stored", *stored)


def _row(part: str, item: str, quantity: str, first: float | None, second: float | None, **more: str) -> Difference:
    return Difference(part=part, item=item, quantity=quantity, first=first, second=second, **more)


def _layers(a: Profile, b: Profile) -> Iterator[Difference]:
    theirs = {layer.name: layer for layer in b.layers}
    for mine in a.layers:
        other: LayerProfile | None = theirs.get(mine.name)
        if other is None:
            continue
        for field in PER_LAYER:
            values = [_number(getattr(x, field)) for x in (mine, other)]
            if any(values) and (mine.kind == "population" or field in ("neurons", "spikes", "rate_hz")):
                yield _row("layer", mine.name, field, *values, unit="Hz" if field == "rate_hz" else "")


def _pairs(a: Profile, b: Profile, devices: Sequence[str] | None) -> list[tuple[str, str]]:
    if devices is not None:
        for profile, name in ((a, devices[0]), (b, devices[1])):
            if name not in profile.bills:
                raise UnknownNameError("device of the profile", name, list(profile.bills))
        return [(devices[0], devices[1])]
    same = [(name, name) for name in a.bills if name in b.bills]
    return same or ([(next(iter(a.bills)), next(iter(b.bills)))] if len(a.bills) == len(b.bills) == 1 else [])


def _devices(a: Profile, b: Profile, devices: Sequence[str] | None) -> Iterator[Difference]:
    for mine, theirs in _pairs(a, b, devices):
        item = mine if mine == theirs else f"{mine}, {theirs}"
        bills = a.bills[mine], b.bills[theirs]
        yield from _bills(item, *bills)
        fits = a.fits.get(mine), b.fits.get(theirs)
        if any(f is not None and f.cores for f in fits):
            yield _row(
                "device", item, "cores", *(None if f is None or f.cores is None else float(f.cores) for f in fits)
            )
        packets = [p.traffic.get(n) for p, n in ((a, mine), (b, theirs))]
        if any(packets):
            sums = [None if t is None else sum(x.packets.mean for x in t) for t in packets]
            yield _row("device", item, "packets", *sums)
    if a.baselines is not None and b.baselines is not None and devices is None:
        for field in ("spiking_fp32", "ann_fp32", "spiking_quantised", "ann_quantised"):
            energies = [getattr(x, field).priced.nominal_j for x in (a.baselines, b.baselines)]
            yield _row("baseline", field, "energy", *energies, unit="J", note=a.baselines.device)


def _bills(item: str, a: Bill, b: Bill) -> Iterator[Difference]:
    notes = [bill.why_no_total or f"{bill.evidence}" for bill in (a, b)]
    note = notes[0] if notes[0] == notes[1] else " | ".join(notes)
    for quantity, field in (("energy", "nominal_j"), ("energy low", "low_j"), ("energy high", "high_j")):
        values = [None if bill.total is None else float(getattr(bill.total, field)) for bill in (a, b)]
        yield _row("device", item, quantity, *values, unit="J", note=note)
    groups = [bill.by_group for bill in (a, b)]
    for group in dict.fromkeys([*groups[0], *groups[1]]):
        parts = [found[group].nominal_j if group in found else None for found in groups]
        yield _row("device", item, f"energy: {group}", *parts, unit="J")
    yield _row("device", item, "time", a.time_s, b.time_s, unit="s")


# -------------------------------------------------------------------------------------------------------- statements
def _notes(a: Profile, b: Profile) -> list[str]:
    found = []
    if a.samples != b.samples or a.steps != b.steps:
        found.append(
            f"the first ran {a.samples} samples of {a.steps} steps, the second {b.samples} of {b.steps}: per-sample "
            "numbers of different samples"
        )
    if a.origin.arithmetic != b.origin.arithmetic:
        spikes = [sum(x.spikes.mean for x in p.layers if x.kind == "population") for p in (a, b)]
        found.append(
            f"the first ran in {a.origin.arithmetic or 'unknown arithmetic'}, the second in "
            f"{b.origin.arithmetic or 'unknown arithmetic'}: {spikes[0]:g} and {spikes[1]:g} spikes per sample, so "
            "every difference below holds the rounding too"
        )
    only = [{layer.name for layer in p.layers} for p in (a, b)]
    for which, names in (("first", only[0] - only[1]), ("second", only[1] - only[0])):
        if names:
            found.append(
                f"only the {which} has {', '.join(sorted(names))}; it is in the totals, not in the rows by layer"
            )
    return found


def _unequal_scope(a: Profile, b: Profile, devices: Sequence[str] | None) -> list[str]:
    found = []
    for mine, theirs in _pairs(a, b, devices):
        left_out = [{m.name for m in p.bills[name].unpriced} for p, name in ((a, mine), (b, theirs))]
        if mine != theirs and left_out[0] != left_out[1]:
            words = [", ".join(sorted(x)).replace("_", " ") or "nothing" for x in left_out]
            found.append(f"{mine} leaves out {words[0]}, {theirs} {words[1]}: their totals do not hold the same things")
    return found
