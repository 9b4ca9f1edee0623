"""Reports: one self-contained HTML file about a run, made of sections that the demo's report uses too."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from spikesim.errors import InvalidValueError
from spikesim.files.versions import versions
from spikesim.network import Network
from spikesim.plot import activity, isi, psth, raster, rates, traces
from spikesim.plot.energy import energy_ranges, energy_terms
from spikesim.profile import Baselines, Bill, Profile, profile
from spikesim.profile.html import Figure, Heading, KeyNumbers, Prose, Section, Table, page
from spikesim.profile.tables import reservations
from spikesim.profile.text import beside, energy_text, engineering, outside, rests_on, span
from spikesim.recording import Recording


def write_report(recording: Recording, network: Network | None, path: str | Path) -> None:
    """Write a report about a recording.

    Parameters
    ----------
    recording
        What happened.
    network
        The network that ran, for fit and energy; without it the report ends with what happened.
    path
        The HTML file.
    """
    sections: list[Section] = [_numbers(recording), *what_happened(recording)]
    if network is not None:
        sections += costs(profile(recording, network))
    page(
        str(recording.meta.get("network", "A run")),
        sections,
        subtitle=f"on {recording.meta.get('backend', 'an unknown backend')}, seed {recording.meta.get('seed', '?')}",
        footer=made_by(),
        path=path,
    )


def write_profile_report(found: Profile, path: str | Path) -> None:
    """Write a report about a profile, without the recording that it was made from.

    Parameters
    ----------
    found
        The profile.
    path
        The HTML file.
    """
    spikes = sum(layer.spikes.mean for layer in found.layers if layer.kind == "population")
    events = sum(p.events.mean for p in found.projections)
    numbers = KeyNumbers(
        [
            ("neurons", f"{sum(x.neurons for x in found.layers if x.kind == 'population'):,}"),
            ("synapses", f"{sum(p.synapses for p in found.projections):,}", "whose weight is not 0"),
            ("spikes", f"{spikes:,.1f}", "per sample"),
            ("synaptic events", f"{events:,.0f}", "per sample"),
        ]
    )
    page(
        found.network,
        [numbers, *costs(found)],
        subtitle=f"{found.samples} samples of {found.steps} steps; {found.origin}",
        footer=made_by(),
        path=path,
    )


def _numbers(recording: Recording) -> Section:
    counts = recording.counts
    neurons = sum(p.neurons for p in counts.populations.values())
    seconds = recording.steps * recording.dt
    rate = counts.spikes / max(neurons * seconds * recording.samples, 1e-300)
    return KeyNumbers(
        [
            ("neurons", f"{neurons}"),
            ("time", engineering(seconds, "s"), f"{recording.samples} sample(s) of {recording.steps} steps"),
            ("spikes", f"{counts.spikes}"),
            ("mean rate", f"{rate:.3g} Hz"),
            ("synaptic events", f"{counts.synaptic_events}"),
        ]
    )


def what_happened(recording: Recording) -> list[Section]:
    """Return the raster, the activity of the layers and, where there are enough spikes, rates and intervals."""
    sections: list[Section] = [
        Heading("What happened"),
        drawing(raster(recording), "Every spike of the first sample, one row per neuron.", "Spikes, first sample."),
    ]
    if recording.steps >= 50:
        sections.append(drawing(psth(recording), "Firing rate over time.", "Rate over time."))
    sections.append(
        drawing(activity(recording), "Mean spikes per neuron of each layer.", "Spikes per neuron and sample.")
    )
    if recording.steps >= 200:
        sections.append(drawing(rates(recording), "Histogram of firing rates.", "How fast neurons fire."))
        sections.append(drawing(isi(recording), "Histogram of inter-spike intervals.", "Inter-spike intervals."))
    for population, states in recording.traces.items():
        for state in states:
            alt, caption = f"State {state} of {population} over time.", f"`{state}` of `{population}`."
            sections.append(drawing(traces(recording, population, state), alt, caption))
    return sections


def costs(found: Profile) -> list[Section]:
    """Return the counts per layer, the fit and the energy on every device, and the ordinary network beside it."""
    bills = list(found.bills.values())
    priced = [b for b in bills if b.total is not None]
    sections: list[Section] = [Heading("Counts"), layer_table(found), projection_table(found)]
    sections += [*traffic_sections(found), Heading("Does it fit?"), fit_table(found)]
    sections += [
        Heading("Energy per sample"),
        Prose(
            "Counts times published prices. Each row says what kind of number its prices are and what they leave out; "
            "rows that leave out different things cannot be ranked."
        ),
        Table(
            [_energy_row(b, found.baselines) for b in bills],
            _energy_header(found.baselines),
        ),
    ]
    if priced:
        caption = "Dot: nominal. Line: low to high. The axis is logarithmic."
        sections.append(drawing(energy_ranges(priced), "Energy per sample on each device, with ranges.", caption))
        sections.append(
            drawing(energy_terms(priced), "Shares of the terms in each energy.", "What the energy is made of.")
        )
    return [*sections, *baseline_sections(found), *neurobench_sections(found)]


def _energy_header(base: Baselines | None) -> list[str]:
    names = ["device", "energy", "low to high", "prices; evidence", "time", "not priced"]
    return names + ([] if base is None else ["of fp32 ANN", f"of {base.equivalent_bits}-bit ANN"])


def _energy_row(bill: Bill, base: Baselines | None) -> list[str]:
    width = span(bill.total) if bill.total else bill.why_no_total
    time = "–" if bill.time_s is None else engineering(bill.time_s, "s")
    row = [bill.title, energy_text(bill), width, rests_on(bill), time, outside(bill)]
    return row + ([] if base is None else list(beside(bill, base)))


def layer_table(found: Profile) -> Section:
    """Return the counts per layer and sample."""
    rows: Sequence[Sequence[object]] = [
        (
            layer.name,
            layer.neurons,
            layer.synapses or "–",
            f"{layer.spikes.mean:.1f} ± {layer.spikes.sd:.1f}",
            f"{layer.spikes.p5:.0f} to {layer.spikes.p95:.0f}",
            f"{layer.events_forward.mean:.0f}" if layer.synapses else "–",
            f"{layer.events_recurrent.mean:.0f}" if layer.events_recurrent.mean else "–",
            f"{layer.multiply_accumulates.mean:.0f}" if layer.multiply_accumulates.mean else "–",
            f"{layer.updates_active.mean:.0f}" if layer.updates_dense else "–",
            f"{layer.updates_idle.mean:.0f}" if layer.updates_dense else "–",
            "–" if layer.weight_reads is None or not layer.synapses else f"{layer.weight_reads.mean:.0f}",
            f"{layer.state_reads.mean:.0f}" if layer.states else "–",
        )
        for layer in found.layers
    ]
    header = ["layer", "neurons", "synapses", "spikes ± sd", "5 to 95 %", "events forward", "recurrent", "MAC"]
    header += ["active updates", "idle updates", "weight reads", "state reads"]
    caption = f"{found.samples} samples of {found.steps} steps ({found.origin}); counts per sample"
    return Table(rows, header, caption)


def projection_table(found: Profile) -> Section:
    """Return the counts per projection and sample."""
    rows = [
        (
            p.name,
            f"{p.operation}{', recurrent' if p.recurrent else ''}",
            p.synapses,
            p.synapses_stored,
            f"{p.events.mean:.1f} ± {p.events.sd:.1f}",
            "unknown" if p.events_pending is None else f"{p.events_pending.mean:.1f}",
        )
        for p in found.projections
    ]
    return Table(rows, ("projection", "operation", "synapses", "stored", "events ± sd", "pending"))


def traffic_sections(found: Profile) -> list[Section]:
    """Return packets and hops of every layer, on the devices that say what a core holds."""
    rows = [
        (
            device,
            t.name,
            f"{t.packets.mean:.1f}",
            "–" if t.hops_x is None else f"{t.hops_x.mean:.1f}",
            "–" if t.hops_y is None else f"{t.hops_y.mean:.1f}",
            "exact" if t.exact else "every element taken to fire equally often",
        )
        for device, layers in found.traffic.items()
        for t in layers
    ]
    header = ("device", "layer", "packets", "hops east-west", "north-south", "which elements fired")
    return [Heading("Traffic"), Table(rows, header, "per sample")] if rows else []


def neurobench_sections(found: Profile) -> list[Section]:
    """Return NeuroBench's metrics under its names."""
    metrics = found.neurobench_metrics
    if metrics is None:
        return []
    flat = metrics.as_dict()
    operations, _ = flat.pop("SynapticOperations"), flat.pop("ActivationSparsityByLayer")
    flat |= {f"SynapticOperations {name}": value for name, value in operations.items()}
    rows = [(name, "not known" if value is None else f"{value:.6g}") for name, value in flat.items()]
    return [
        Heading("NeuroBench's metrics"),
        Table(rows, ("metric", "value")),
        Prose("\n\n".join(metrics.notes), note=True),
    ]


def fit_table(found: Profile) -> Section:
    """Return whether the network fits each device, and what that rests on."""
    rows = [
        (
            f.device,
            f.verdict,
            "–" if f.cores is None else f.cores,
            (f.binding[0].sentence if f.binding else reservations(f)) or "–",
        )
        for f in found.fits.values()
    ]
    return Table(rows, ("device", "verdict", "cores", "binding limit, or what is assumed or unchecked"))


def baseline_sections(found: Profile) -> list[Section]:
    """Return the same network as an ordinary one on digital logic."""
    if found.baselines is None:
        return []
    rows = [(b.title, energy_text(b), span(b.priced), rests_on(b)) for b in found.baselines.bills]
    return [
        Heading("The same network without spikes"),
        Table(rows, ("network on digital logic", "energy", "low to high", "prices; evidence")),
        Prose("\n\n".join(b.sentence for b in found.baselines.break_even)),
    ]


def drawing(axes: Axes, alt: str, caption: str) -> Figure:
    """Return a drawing for a page, with a sentence for those who cannot see it."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise InvalidValueError(f"the drawing {alt!r} has no figure")
    return Figure(figure, alt, caption)


def made_by() -> str:
    """Say which software made a report, and when."""
    software = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"Made {datetime.date.today().isoformat()} by {software}."
