"""A profile as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from spikesim.profile.baseline import Baselines
from spikesim.profile.bill import Bill
from spikesim.profile.fit import Fit
from spikesim.profile.layers import Stat
from spikesim.profile.text import energy_text, engineering, outside, rests_on, span

if TYPE_CHECKING:
    from spikesim.profile.report import Profile

LAYER_COLUMNS = (
    "neurons",
    "synapses",
    "spikes ± sd",
    "p5 to p95",
    "rate",
    "events",
    "of dense",
    "MAC",
    "updates active",
    "idle",
)
COLOURS = {"fits": "green", "fits under assumptions": "yellow", "does not fit": "red"}


def tables(profile: Profile) -> Group:
    """Return all tables of a profile."""
    parts = [layer_table(profile)]
    if profile.bills:
        parts += [energy_table(profile), fit_table(list(profile.fits.values()))]
    if profile.baselines is not None:
        parts.append(baseline_table(profile.baselines))
    return Group(*parts)


def layer_table(profile: Profile) -> Table:
    """Return the counts per layer, per sample."""
    caption = (
        f"{profile.samples} samples of {profile.steps} steps of {engineering(profile.dt_s, 's')}; counts per sample"
    )
    table = _table("What happened", caption)
    table.add_column("layer")
    for name in LAYER_COLUMNS:
        table.add_column(name, justify="right")
    for layer in profile.layers:
        events = layer.events_forward.mean + layer.events_recurrent.mean
        table.add_row(
            layer.name if layer.kind == "population" else f"{layer.name} (input)",
            f"{layer.neurons:,}",
            f"{layer.synapses:,}" if layer.synapses else "–",
            _spread(layer.spikes),
            f"{layer.spikes.p5:,.0f} to {layer.spikes.p95:,.0f}",
            f"{layer.rate_hz:.3g} Hz",
            f"{events:,.0f}" if layer.synapses else "–",
            f"{events / layer.operations_dense:.1%}" if layer.operations_dense else "–",
            f"{layer.multiply_accumulates.mean:,.0f}" if layer.multiply_accumulates.mean else "–",
            f"{layer.updates_active.mean:,.0f}" if layer.updates_dense else "–",
            f"{layer.updates_idle.mean:,.0f}" if layer.updates_dense else "–",
        )
    return table


def _spread(stat: Stat) -> str:
    return f"{stat.mean:,.1f} ± {stat.sd:,.1f}"


def energy_table(profile: Profile) -> Table:
    """Return energy per sample and device, with what it rests on."""
    table = _table(
        "Energy per sample",
        "evidence: the weakest among the prices used. Not priced: outside the figure, so figures with and without\n"
        "static power cannot be compared with each other",
    )
    for name in ("device", "energy", "low to high", "prices; evidence", "time", "not priced"):
        table.add_column(name, justify="right" if name in ("energy", "time") else "left")
    for bill in profile.bills.values():
        table.add_row(*_bill_row(bill))
    return table


def _bill_row(bill: Bill) -> list[str | Text]:
    if bill.total is None:
        reason = Text(bill.why_no_total, style="dim")
        return [bill.title, Text(energy_text(bill), style="dim"), reason, rests_on(bill), _time(bill), outside(bill)]
    return [bill.title, energy_text(bill), span(bill.total), rests_on(bill), _time(bill), outside(bill)]


def _time(bill: Bill) -> str:
    return "–" if bill.time_s is None else engineering(bill.time_s, "s")


def fit_table(fits: list[Fit]) -> Table:
    """Return whether the network fits, and on what."""
    table = _table("Does it fit?", "a limit that the maker does not publish is unchecked, never passed")
    for name in ("device", "verdict", "cores", "fullest limit", "unchecked or assumed"):
        table.add_column(name, justify="right" if name == "cores" else "left")
    for fit in fits:
        fullest = fit.binding[0].sentence if fit.binding else _fullest(fit)
        table.add_row(
            fit.device,
            Text(fit.verdict, style=COLOURS[fit.verdict]),
            "–" if fit.cores is None else f"{fit.cores:,}",
            fullest,
            reservations(fit) or "–",
        )
    return table


def reservations(fit: Fit) -> str:
    """Say what a verdict leaves open: budgets exceeded, assumptions, and rules that could not be checked."""
    unchecked = ", ".join(text.split(":")[0] for text in fit.unchecked)
    parts = [*(w.sentence for w in fit.warnings), *fit.assumptions]
    return "; ".join([*parts, f"unchecked: {unchecked}"] if unchecked else parts)


def _fullest(fit: Fit) -> str:
    tightest = fit.tightest
    return "–" if tightest is None else f"{tightest.rule.replace('_', ' ')}: {tightest.share:.0%}"


def baseline_table(base: Baselines) -> Table:
    """Return the network as spiking and as ordinary, and the break-even."""
    table = _table("The same network on digital logic", "\n".join(b.sentence for b in base.break_even))
    for name in ("network", "energy", "low to high", "prices; evidence", "operations", "weight memory"):
        table.add_column(name, justify="left" if name in ("network", "low to high", "prices; evidence") else "right")
    for bill in base.bills:
        shares = [f"{_share(bill, group):.0%}" for group in ("compute", "weight memory")]
        table.add_row(bill.title, energy_text(bill), span(bill.priced), rests_on(bill), *shares)
    return table


def _share(bill: Bill, group: str) -> float:
    part = sum(t.energy.nominal_j for t in bill.terms if t.group == group)
    return part / bill.priced.nominal_j if part else 0.0


def _table(title: str, caption: str) -> Table:
    return Table(
        title=title,
        caption=caption,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        pad_edge=False,
    )
