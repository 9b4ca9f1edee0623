"""How full the cores of a chip are: on the mesh, and limit by limit."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from spikesim.errors import UnknownNameError
from spikesim.plot.style import ACCENT, FAINT, INK, SEQUENTIAL, SMALL, empty, label, new_axes

if TYPE_CHECKING:
    from spikesim.profile.mapping import Mapping
    from spikesim.profile.schema import Grid

MOST_WITH_TEXT = 160  # cores that have room for their number


def core_map(mapping: Mapping, rule: str | None = None, grid: Grid | None = None, ax: Axes | None = None) -> Axes:
    """Draw the cores as squares, darker where more of a limit is used.

    Parameters
    ----------
    mapping
        A placed network.
    rule
        The limit (``"synapse_words_per_core"``); the fullest one by default.
    grid
        The device's mesh (``load_device(...).grid``): routers then stand where they are, with their cores. Without it
        the cores stand in rows.
    ax
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        White: the core is empty; red frame: it holds more than it may.
    """
    ax = new_axes(ax, 6.4, 3.6)
    rules = shown_rules(mapping)
    if rule is not None and rule not in rules:
        raise UnknownNameError("limit", rule, rules)
    if not rules:
        empty(ax, "the device does not say what a core holds")
        return ax
    rule = rules[0] if rule is None else rule
    share = mapping.loads[rule] / mapping.limits[rule]
    x, y, width, height = _places(mapping, grid)
    image = np.full((height, width), np.nan)
    image[y, x] = share
    drawn = ax.imshow(image, cmap=SEQUENTIAL, vmin=0.0, vmax=1.0, aspect="equal", origin="upper")
    for k in np.flatnonzero(share > 1.0):
        corner = (float(x[k]) - 0.5, float(y[k]) - 0.5)
        ax.add_patch(Rectangle(corner, 1.0, 1.0, fill=False, edgecolor=ACCENT, linewidth=1.6))
    if mapping.cores <= MOST_WITH_TEXT:
        for k in range(mapping.cores):
            colour = "white" if share[k] > 0.55 else INK
            ax.text(x[k], y[k], str(k), ha="center", va="center", fontsize=SMALL - 2, color=colour)
    across, down = (1, 1) if grid is None else _side(grid.cores_per_router)
    ax.set_xticks(np.arange(0, width, across) - 0.5, [])
    ax.set_yticks(np.arange(0, height, down) - 0.5, [])
    ax.grid(True, color=FAINT, linewidth=0.6)
    ax.tick_params(length=0)
    label(ax, title=_title(rule))
    bar = ax.figure.colorbar(drawn, ax=ax, format=PercentFormatter(1.0), shrink=0.8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=FAINT, labelcolor=INK, labelsize=SMALL, length=0)
    return ax


def core_bars(mapping: Mapping, ax: Axes | None = None) -> Axes:
    """Draw a bar for each limit: how full the fullest core is, with a mark at the mean of all cores.

    Parameters
    ----------
    mapping
        A placed network.
    ax
        Where to draw; a new figure by default.
    """
    rules = shown_rules(mapping)
    ax = new_axes(ax, 6.4, 1.2 + 0.34 * max(len(rules), 1))
    if not rules:
        empty(ax, "the device does not say what a core holds")
        return ax
    shares = [mapping.loads[rule] / mapping.limits[rule] for rule in rules]
    most = [float(s.max()) for s in shares]
    colours = [ACCENT if m > 1.0 else "#7FA2CB" for m in most]
    ax.barh(range(len(rules)), most, height=0.55, color=colours, zorder=2)
    ax.plot([float(s.mean()) for s in shares], range(len(rules)), "|", color=INK, markersize=12, zorder=3)
    ax.axvline(1.0, color=INK, linewidth=1.0, zorder=3)
    ax.set_yticks(range(len(rules)), [_title(r) for r in rules])
    ax.set_ylim(len(rules) - 0.5, -0.5)
    ax.set_xlim(0.0, max(1.05, 1.05 * max(most)))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    label(ax, x="of the limit: bar, the fullest core; mark, the mean of all")
    return ax


def core_figure(mapping: Mapping, grid: Grid | None = None, most: int = 4) -> Figure:
    """Return one figure: the bars of all limits, and a map of the cores for each of the fullest.

    Parameters
    ----------
    mapping, grid
        As for :func:`core_map`.
    most
        Maps at most.
    """
    rules = shown_rules(mapping)[:most]
    rows = 1 + ceil(max(len(rules), 1) / 2)
    figure = Figure(figsize=(9.6, 2.2 + 2.6 * (rows - 1)), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    places = figure.add_gridspec(rows, 2)
    core_bars(mapping, figure.add_subplot(places[0, :]))
    for k, rule in enumerate(rules):
        core_map(mapping, rule, grid, figure.add_subplot(places[1 + k // 2, k % 2]))
    return figure


def shown_rules(mapping: Mapping) -> list[str]:
    """Return the limits of a core that are known and used, the fullest first."""
    known = [r for r, load in mapping.loads.items() if mapping.limits.get(r) and len(load) and load.any()]
    return sorted(known, key=lambda r: -float(mapping.loads[r].max()) / mapping.limits[r])


def _title(rule: str) -> str:
    return rule.removesuffix("_per_core").replace("_", " ")


def _side(cores: int) -> tuple[int, int]:
    """Return width and height of the rectangle that holds so many cores."""
    width = ceil(sqrt(cores))
    return width, ceil(cores / width)


def _places(mapping: Mapping, grid: Grid | None) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Return column and row of each core, and the size of the picture."""
    core = np.arange(mapping.cores)
    if grid is None:
        width, height = _side(max(mapping.cores, 1))
        return core % width, core // width, width, height
    router = mapping.router
    nth = np.zeros(mapping.cores, np.int64)  # of the cores at its router
    for r in np.unique(router):
        nth[router == r] = np.arange((router == r).sum())
    width, height = _side(grid.cores_per_router)
    rows = max(grid.rows, int(router.max(initial=0)) // grid.columns + 1)  # more rows than one chip has
    x = router % grid.columns * width + nth % width
    y = router // grid.columns * height + nth // width
    return x, y, grid.columns * width, rows * height
