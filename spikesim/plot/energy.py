"""Energy bars: ranges per device, and what each bill is made of."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

from spikesim.profile.bill import Bill, Group
from spikesim.profile.text import engineering, rests_on

COLOURS: dict[Group, str] = {
    "compute": "#31688e",
    "weight memory": "#35b779",
    "neurons": "#b5a642",
    "communication": "#8c5a9e",
    "static": "#9aa0a6",
}
INK, FAINT = "#2f5d8a", "#c9d6e3"


def energy_ranges(bills: Sequence[Bill], ax: Axes | None = None) -> Axes:
    """Draw one bar from low to high for each bill, on a logarithmic axis, with a dot at the nominal value.

    Parameters
    ----------
    bills
        Bills; one without a total gets a row that says so.
    ax
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        A filled mark: all prices were measured on silicon; a hollow one: at least one was not. A square: static power
        is in the figure; a dot: it is not, so do not compare it with a square. What the prices rest on is at the right.
    """
    ax = _new_axes(len(bills)) if ax is None else ax
    priced = [(row, bill, bill.total) for row, bill in enumerate(bills) if bill.total is not None]
    for row, bill, total in priced:
        ax.barh(row, total.high_j - total.low_j, left=total.low_j, height=0.5, color=FAINT, zorder=2)
        ax.plot([total.low_j, total.high_j], [row, row], "|", color=INK, markersize=9, zorder=3)
        face = INK if bill.measured else "white"
        mark = "s" if _holds_static(bill) else "o"
        ax.plot(total.nominal_j, row, mark, color=INK, markerfacecolor=face, markersize=7, zorder=4)
    for row, bill in enumerate(bills):
        text = f"{engineering(bill.total.nominal_j, 'J')}  ({rests_on(bill)})" if bill.total else _short(bill)
        style = "normal" if bill.total else "italic"
        ax.text(1.01, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize="small", style=style)
    bounds = [x for _, _, t in priced for x in (t.low_j, t.high_j) if x > 0]
    if bounds:
        ax.set_xscale("log")
        ax.set_xlim(min(bounds) / 2, max(bounds) * 2)
    ax.xaxis.set_major_formatter(EngFormatter("J"))
    ax.set_xlabel("energy per sample (filled: every price measured; square: with static power; bar: low to high)")
    _rows(ax, [b.title for b in bills])
    return ax


def energy_terms(bills: Sequence[Bill], ax: Axes | None = None) -> Axes:
    """Draw what each bill is made of: shares of the nominal energy, stacked (shares, for stacks on a log axis mislead).

    Parameters
    ----------
    bills
        Bills; those without a total are left out.
    ax
        Where to draw; a new figure by default.
    """
    shown = [b for b in bills if b.total is not None and b.priced.nominal_j > 0]
    ax = _new_axes(len(shown)) if ax is None else ax
    left = [0.0] * len(shown)
    for group, colour in COLOURS.items():
        width = [sum(t.energy.nominal_j for t in b.terms if t.group == group) / b.priced.nominal_j for b in shown]
        if any(width):
            ax.barh(range(len(shown)), width, left=left, height=0.6, color=colour, label=group, zorder=2)
        left = [a + w for a, w in zip(left, width, strict=True)]
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("share of the nominal energy")
    _rows(ax, [b.title for b in shown])
    if shown:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(COLOURS), frameon=False, fontsize="small")
    return ax


def _holds_static(bill: Bill) -> bool:
    return any(t.group == "static" or t.scope == "all_in" for t in bill.terms)


def _short(bill: Bill) -> str:
    reason = bill.why_no_total.split(":")[0]
    return f"no total: {reason}"


def _new_axes(rows: int) -> Axes:
    figure = Figure(figsize=(9.0, 1.2 + 0.36 * max(rows, 1)), layout="constrained")
    return figure.add_subplot()


def _rows(ax: Axes, names: list[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(max(len(names), 1) - 0.5, -0.5)  # the first on top
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="0.9", zorder=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
