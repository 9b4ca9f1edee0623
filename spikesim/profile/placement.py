"""A mapping as tables: for a terminal, as plain values, and as parts of a page."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table as Terminal
from rich.text import Text

from spikesim.profile.device import Device
from spikesim.profile.fit import Fit
from spikesim.profile.html import Figure, Heading, KeyNumbers, Prose, Section, Table
from spikesim.profile.mapping import Mapping

MOST_ROWS = 40  # cores that are listed one by one in a terminal or on a page
COLOURS = {"fits": "green", "fits under assumptions": "yellow", "does not fit": "red"}
NO_CORES = "the device does not say what a core holds, so cores are not counted"


def placement(mapping: Mapping) -> dict[str, Any]:
    """Return a mapping as plain values: verdict, every limit, every core, layouts, traffic.

    Parameters
    ----------
    mapping
        A placed network.
    """
    fit = mapping.fit
    return {
        "device": mapping.device,
        "network": mapping.network,
        "fit": fit.model_dump(mode="json"),
        "cores": fit.cores,
        "least_cores": fit.least_cores,
        "least_because": fit.least_because,
        "chips": fit.chips,
        "limits": [dict(zip(LIMIT_COLUMNS, row, strict=True)) for row in limit_rows(mapping)],
        "per_core": [dict(zip(core_columns(mapping), row, strict=True)) for row in core_rows(mapping)],
        "layouts": {edge: dict(kinds) for edge, kinds in mapping.layouts.items()},
        "packets_per_spike": {
            name: float(r.per_element().mean()) if r.n else 0.0 for name, r in mapping.routes.items()
        },
        "routers": mapping.routers,
        "hops": mapping.hops,
        "hops_in_filling_order": mapping.hops_before,
    }


LIMIT_COLUMNS = ("limit", "fullest core", "mean", "allowed", "share", "headroom")


def limit_rows(mapping: Mapping) -> list[tuple[str, int, float, float, float, float]]:
    """Return, for each limit of a core, what its fullest core uses; the fullest limit first."""
    rows = []
    for rule, load in mapping.loads.items():
        allowed, most = mapping.limits.get(rule), int(load.max(initial=0))
        if allowed:
            mean = float(load.mean()) if len(load) else 0.0
            rows.append((rule.replace("_", " "), most, mean, allowed, most / allowed, max(allowed - most, 0.0)))
    return sorted(rows, key=lambda row: -row[4])


def core_columns(mapping: Mapping) -> list[str]:
    """Return the names of the columns of :func:`core_rows`."""
    return ["core", "router", "holds", *(_short(rule) for rule in mapping.loads)]


def core_rows(mapping: Mapping) -> list[list[Any]]:
    """Return what each core holds and uses."""
    held: list[list[str]] = [[] for _ in range(mapping.cores)]
    for name, home in mapping.core_of.items():
        cores, numbers = np.unique(home, return_counts=True)
        for core, number in zip(cores.tolist(), numbers.tolist(), strict=True):
            held[core].append(f"{name} ({number} of {len(home)})" if number < len(home) else name)
    return [
        [core, int(mapping.router[core]) if mapping.has_mesh else "", ", ".join(held[core])]
        + [int(load[core]) for load in mapping.loads.values()]
        for core in range(mapping.cores)
    ]


def _short(rule: str) -> str:
    return rule.removesuffix("_per_core").replace("_", " ")


def headline(mapping: Mapping) -> str:
    """Return the number of cores in one sentence."""
    fit = mapping.fit
    if fit.cores is None:
        return NO_CORES
    if (fit.least_cores or 0) > fit.cores:  # cutting was given up
        return f"more than {fit.cores} cores; no placement needs fewer than {fit.least_cores}"
    least = f"at least {fit.least_cores} needed" + (f" ({_short(fit.least_because)})" if fit.least_because else "")
    proof = "no placement needs fewer" if fit.least_cores == fit.cores else f"found by a heuristic, {least}"
    chips = f"; {fit.chips} chips, whose links are not modelled" if (fit.chips or 1) > 1 else ""
    return f"{fit.cores} core{'s' if fit.cores != 1 else ''} ({proof}){chips}"


def sentences(fit: Fit) -> list[str]:
    """Return everything that a reader of the verdict must know, one sentence each."""
    parts = [("refused", [c.sentence for c in fit.binding]), ("warning", [c.sentence for c in fit.warnings])]
    parts += [("unchecked", list(fit.unchecked)), ("assumed", list(fit.assumptions)), ("note", list(fit.notes))]
    return [f"{kind}: {text}" for kind, texts in parts for text in texts]


# ---------------------------------------------------------------------------------------------------------- terminal
def placement_table(mapping: Mapping, device: Device) -> Group:
    """Return a mapping as tables for a terminal (``rich`` renderables)."""
    fit = mapping.fit
    title = Text.assemble(
        (f"{mapping.network} on {device.title}: ", "bold"),
        (fit.verdict, COLOURS[fit.verdict]),
        f"; {headline(mapping)}",
    )
    parts: list[Any] = [title]
    if fit.cores is not None:
        limits = _terminal("What the cores use", LIMIT_COLUMNS)
        for rule, most, mean, allowed, share, room in limit_rows(mapping):
            limits.add_row(rule, f"{most:,}", f"{mean:,.1f}", f"{allowed:,.0f}", f"{share:.1%}", f"{room:,.0f}")
        parts += [limits, _cores(mapping), Text(_traffic(mapping))]
    parts += [Text(f"- {text}") for text in sentences(fit)]
    return Group(*parts)


def _cores(mapping: Mapping) -> Terminal:
    table = _terminal("Cores", core_columns(mapping))
    for row in core_rows(mapping)[:MOST_ROWS]:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
    if mapping.cores > MOST_ROWS:
        table.caption = f"{mapping.cores - MOST_ROWS} more; --out FILE.json has all"
    return table


def _traffic(mapping: Mapping) -> str:
    if not mapping.has_mesh:
        return "The profile states no mesh: hops are not counted."
    change = f"{mapping.hops_before:,.4g} in the order of filling, {mapping.hops:,.4g} as placed"
    return f"Packets times hops of a step: {change}; {mapping.routers} routers in use."


def _terminal(title: str, columns: tuple[str, ...] | list[str]) -> Terminal:
    table = Terminal(
        title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False,
        caption_justify="left",
    )  # fmt: skip
    for name in columns:
        table.add_column(name, justify="left" if name in ("limit", "holds") else "right")
    return table


# -------------------------------------------------------------------------------------------------------------- page
def placement_sections(mapping: Mapping, device: Device) -> list[Section]:
    """Return a mapping as sections of a page (:func:`spikesim.profile.html.page`), with the picture of the cores."""
    from spikesim.plot.cores import core_figure

    fit = mapping.fit
    cores = "–" if fit.cores is None else str(fit.cores)
    parts: list[Section] = [
        Heading(f"Mapping on {device.title}"),
        KeyNumbers([("verdict", fit.verdict), ("cores", cores, headline(mapping))]),
    ]
    if fit.cores:
        rows = [
            [rule, f"{most:,}", f"{mean:,.1f}", f"{allowed:,.0f}", f"{share:.1%}", f"{room:,.0f}"]
            for rule, most, mean, allowed, share, room in limit_rows(mapping)
        ]
        alt = f"How full the {fit.cores} cores of {device.title} are, limit by limit and on the chip"
        parts += [
            Figure(core_figure(mapping, device.grid), alt, "White: an empty core. Red frame: more than it may hold."),
            Table(rows, LIMIT_COLUMNS, "What the cores use"),
            Table(core_rows(mapping)[:MOST_ROWS], core_columns(mapping), "Cores"),
            Prose(_traffic(mapping)),
        ]
    return [*parts, *(Prose(text, note=True) for text in sentences(fit))]
