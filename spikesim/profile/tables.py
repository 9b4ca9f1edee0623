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
from spikesim.profile.neurobench import NeuroBench
from spikesim.profile.text import beside, energy_text, engineering, outside, rests_on, span, why_brief

if TYPE_CHECKING:
    from spikesim.profile.compare import Difference, ProfileComparison
    from spikesim.profile.value import Profile

LAYER_COLUMNS = (
    "neurons",
    "synapses",
    "spikes ± sd",
    "p5 to p95",
    "rate",
    "events forward",
    "recurrent",
    "of dense",
    "MAC",
    "updates active",
    "idle",
)
COLOURS = {"fits": "green", "fits under assumptions": "yellow", "does not fit": "red"}


def tables(profile: Profile, long: bool = False) -> Group:
    """Return all tables of a profile; ``long`` with every reason and assumption in words."""
    parts = [layer_table(profile)]
    if long:
        parts += [projection_table(profile), memory_table(profile)]
    if profile.bills:
        parts += [energy_table(profile, long), fit_table(list(profile.fits.values()), long)]
    if profile.traffic and long:
        parts.append(traffic_table(profile))
    if profile.baselines is not None:
        parts.append(baseline_table(profile.baselines))
    if profile.neurobench_metrics is not None:
        parts.append(neurobench_table(profile.neurobench_metrics, long))
    return Group(*parts)


# ------------------------------------------------------------------------------------------------------------ counts
def layer_table(profile: Profile) -> Table:
    """Return the counts per layer, per sample."""
    caption = (
        f"{profile.samples} samples of {profile.steps} steps of {engineering(profile.dt_s, 's')} "
        f"({profile.origin}); counts per sample"
    )
    table = _table("What happened", caption)
    _columns(table, "layer", *LAYER_COLUMNS)
    for layer in profile.layers:
        events = layer.events_forward.mean + layer.events_recurrent.mean
        table.add_row(
            layer.name if layer.kind == "population" else f"{layer.name} (input)",
            f"{layer.neurons:,}",
            f"{layer.synapses:,}" if layer.synapses else "–",
            _spread(layer.spikes),
            f"{layer.spikes.p5:,.0f} to {layer.spikes.p95:,.0f}",
            f"{layer.rate_hz:.3g} Hz",
            f"{layer.events_forward.mean:,.0f}" if layer.synapses else "–",
            f"{layer.events_recurrent.mean:,.0f}" if layer.events_recurrent.mean else "–",
            f"{events / layer.operations_dense:.1%}" if layer.operations_dense else "–",
            f"{layer.multiply_accumulates.mean:,.0f}" if layer.multiply_accumulates.mean else "–",
            f"{layer.updates_active.mean:,.0f}" if layer.updates_dense else "–",
            f"{layer.updates_idle.mean:,.0f}" if layer.updates_dense else "–",
        )
    return table


def projection_table(profile: Profile) -> Table:
    """Return the counts per projection, per sample."""
    table = _table("Projections", "pending: emitted, but under way when the run ended")
    _columns(table, "projection", "kind", "synapses", "stored", "events ± sd", "p5 to p95", "pending", "weight reads")
    for p in profile.projections:
        table.add_row(
            p.name,
            f"{p.operation}{', recurrent' if p.recurrent else ''}",
            f"{p.synapses:,}",
            f"{p.synapses_stored:,}",
            _spread(p.events),
            f"{p.events.p5:,.0f} to {p.events.p95:,.0f}",
            "unknown" if p.events_pending is None else f"{p.events_pending.mean:,.1f}",
            "unknown" if p.weight_reads is None else _spread(p.weight_reads),
        )
    return table


def memory_table(profile: Profile) -> Table:
    """Return reads and writes of weights and states, per sample."""
    caption = (
        "event-driven: states of active neurons only; clocked: of every neuron in every step. As many writes as reads"
    )
    table = _table("Memory", caption)
    _columns(table, "layer", "weight reads", "states a neuron", "state reads, event-driven", "clocked")
    for layer in profile.layers:
        if layer.kind == "population":
            reads = "unknown" if layer.weight_reads is None else f"{layer.weight_reads.mean:,.0f}"
            clocked = f"{layer.state_reads_dense:,}"
            table.add_row(layer.name, reads, f"{layer.states}", f"{layer.state_reads.mean:,.0f}", clocked)
    return table


def traffic_table(profile: Profile) -> Table:
    """Return packets and hops per layer and device, per sample."""
    table = _table("Traffic", "~: which elements fired is not known; each is taken to fire equally often")
    _columns(table, "device", "layer", "packets", "hops east-west", "hops north-south", texts=2)
    for device, layers in profile.traffic.items():
        for t in layers:
            mark = "" if t.exact else "~"
            hops = ["–" if h is None else f"{mark}{h.mean:,.1f}" for h in (t.hops_x, t.hops_y)]
            table.add_row(device, t.name, f"{mark}{t.packets.mean:,.1f}", *hops)
    return table


def _spread(stat: Stat) -> str:
    return f"{stat.mean:,.1f} ± {stat.sd:,.1f}"


# ------------------------------------------------------------------------------------------------------------ energy
def energy_table(profile: Profile, long: bool = False) -> Table:
    """Return energy per sample and device, with what it rests on and the ordinary networks beside it."""
    base = profile.baselines
    caption = (
        "evidence: the weakest among the prices used. Not priced: outside the figure, so figures with and without\n"
        "static power cannot be compared with each other"
    )
    if base is not None:
        caption += f". Ordinary networks: on {base.device}, so the ratio holds the technology too"
    table = _table("Energy per sample", caption)
    _columns(table, "device", "energy", "low to high", "prices; evidence", "time", "not priced", texts=1)
    for column, side in ((1, "right"), (2, "left"), (3, "left"), (4, "right"), (5, "left")):
        table.columns[column].justify = side  # type: ignore[assignment]
    if base is not None:
        table.add_column("of fp32 ANN", justify="right")
        table.add_column(f"of {base.equivalent_bits}-bit ANN", justify="right")
    for bill in profile.bills.values():
        table.add_row(*_bill_row(bill, base, long))
    return table


def _bill_row(bill: Bill, base: Baselines | None, long: bool) -> list[str | Text]:
    ratios: list[str | Text] = [] if base is None else list(beside(bill, base))
    name = bill.title if long else bill.device
    if bill.total is None:
        reason = Text(bill.why_no_total if long else why_brief(bill), style="dim")
        left_out = outside(bill) if long else "–"
        return [
            name,
            Text(energy_text(bill), style="dim"),
            reason,
            rests_on(bill),
            _time(bill),
            left_out,
            *ratios,
        ]
    return [name, energy_text(bill), span(bill.total), rests_on(bill), _time(bill), outside(bill), *ratios]


def _time(bill: Bill) -> str:
    return "–" if bill.time_s is None else engineering(bill.time_s, "s")


def fit_table(fits: list[Fit], long: bool = False) -> Table:
    """Return whether the network fits, and on what."""
    table = _table("Does it fit?", "a limit that the maker does not publish is unchecked, never passed")
    for name in ("device", "verdict", "cores", "fullest limit", "unchecked or assumed"):
        table.add_column(name, justify="right" if name == "cores" else "left")
    for fit in fits:
        table.add_row(
            fit.device,
            Text(fit.verdict, style=COLOURS[fit.verdict]),
            "–" if fit.cores is None else f"{fit.cores:,}",
            fit.binding[0].sentence if fit.binding and long else _fullest(fit),
            (reservations(fit) if long else _number_of_reservations(fit)) or "–",
        )
    return table


def reservations(fit: Fit) -> str:
    """Say what a verdict leaves open: budgets exceeded, assumptions, and rules that could not be checked."""
    unchecked = ", ".join(text.split(":")[0] for text in fit.unchecked)
    parts = [*(w.sentence for w in fit.warnings), *fit.assumptions]
    return "; ".join([*parts, f"unchecked: {unchecked}"] if unchecked else parts)


def _number_of_reservations(fit: Fit) -> str:
    kinds = (("exceeded", fit.warnings), ("assumed", fit.assumptions), ("unchecked", fit.unchecked))
    return ", ".join(f"{len(found)} {word}" for word, found in kinds if found)


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


# ------------------------------------------------------------------------------------------- NeuroBench, comparisons
def neurobench_table(metrics: NeuroBench, long: bool = False) -> Table:
    """Return NeuroBench's metrics under its names."""
    table = _table("NeuroBench's metrics, per sample", "\n".join(metrics.notes) if long else "")
    _columns(table, "metric", "value")
    flat = metrics.as_dict()
    operations = flat.pop("SynapticOperations")
    flat.pop("ActivationSparsityByLayer")
    for name, value in {**flat, **{f"SynapticOperations {k}": v for k, v in operations.items()}}.items():
        if value is not None or long:
            shown = "not known" if value is None else f"{value:,.4f}" if "Sparsity" in name else f"{value:,.1f}"
            table.add_row(name, shown)
    return table


def comparison_tables(found: ProfileComparison) -> Group:
    """Return a comparison: one table, and what makes the two hard to compare."""
    table = _table(f"{found.first} against {found.second}", "\n".join(found.notes))
    _columns(table, "of", "what", found.first, found.second, "change", texts=2)
    for row in found.rows:
        item = row.item or row.part
        values = [_value(x, row) for x in (row.first, row.second)]
        table.add_row(item, row.quantity.replace("_", " "), *values, _change(row))
    return Group(table)


def _value(value: float | None, row: Difference) -> str:
    if value is None:
        return "–"
    if row.unit in ("J", "s"):
        return engineering(value, row.unit)
    return f"{value:,.4g} {row.unit}" if row.unit else f"{value:,.1f}".removesuffix(".0")


def _change(row: Difference) -> str:
    return "–" if row.change is None else "same" if row.change == 0 else f"{row.change:+.1%}"


def _columns(table: Table, *names: str, texts: int = 1) -> None:
    """Add columns: texts first, then numbers."""
    for k, name in enumerate(names):
        table.add_column(name, justify="left" if k < texts else "right")


def _table(title: str, caption: str) -> Table:
    return Table(
        title=title,
        caption=caption or None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        pad_edge=False,
    )
