"""How plots look, in one place: colours that colour-blind people can tell apart, light grid, quiet axes.

Nothing here touches pyplot or the global settings of matplotlib: plots work without a display, in threads, and never
change how the user's own figures look.
"""

from __future__ import annotations

from itertools import cycle, islice

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike

# Paul Tol, "bright" (SRON/EPS/TN/09-002), in an order in which neighbours differ most
COLOURS = ("#4477AA", "#EE6677", "#228833", "#AA3377", "#CCBB44", "#66CCEE", "#777777", "#222222")
INK, FAINT, GRID, ACCENT = "#333333", "#8A8F98", "#E8EAED", "#EE6677"
SMALL, NORMAL = 8.5, 10.0
SEQUENTIAL: Colormap = LinearSegmentedColormap.from_list(
    "spikesim", ["#FFFFFF", "#C6D5E6", "#7FA2CB", "#4477AA", "#264B75"]
)
DIVERGING: Colormap = LinearSegmentedColormap.from_list(
    "spikesim_two", ["#264B75", "#7FA2CB", "#FFFFFF", "#F3A3AD", "#B8364A"]
)


def colours(number: int) -> list[str]:
    """Return so many colours, repeated after the eighth."""
    return list(islice(cycle(COLOURS), number))


def new_axes(ax: Axes | None = None, width: float = 6.4, height: float = 3.4) -> Axes:
    """Return axes in this style: the given ones, or those of a new figure.

    Parameters
    ----------
    ax
        Where to draw.
    width, height
        Of a new figure, in inches.
    """
    if ax is None:
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
        FigureCanvasAgg(figure)
        ax = figure.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FAINT)
    ax.tick_params(colors=FAINT, labelcolor=INK, labelsize=SMALL, length=3.0, width=0.8)
    ax.set_axisbelow(True)
    ax.grid(True, color=GRID, linewidth=0.8)
    return ax


def label(ax: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Set the labels of the axes and the title."""
    ax.set_xlabel(x, fontsize=NORMAL, color=INK)
    ax.set_ylabel(y, fontsize=NORMAL, color=INK)
    if title:
        ax.set_title(title, fontsize=NORMAL, color=INK, loc="left")


def legend(ax: Axes, least: int = 2) -> None:
    """Add a legend outside of the data, if there are at least so many things to tell apart."""
    handles, labels = ax.get_legend_handles_labels()
    if len(handles) >= least and any(labels):
        columns = max(1, min(4, 64 // max(map(len, labels))))
        ax.legend(
            handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False, fontsize=SMALL,
            labelcolor=INK, handlelength=1.2, columnspacing=1.4, borderaxespad=0.2,
        )  # fmt: skip


def steps(ax: Axes, values: ArrayLike, edges: ArrayLike, colour: str, name: str, filled: bool = True) -> None:
    """Draw a histogram as an outline, lightly filled."""
    if filled:
        ax.stairs(values, edges, fill=True, color=colour, alpha=0.16, linewidth=0.0)
    ax.stairs(values, edges, color=colour, linewidth=1.4 if filled else 1.1, label=name)


def note(ax: Axes, text: str) -> None:
    """Put a short remark at the top right, above the data."""
    ax.text(1.0, 1.02, text, transform=ax.transAxes, ha="right", va="bottom", fontsize=SMALL, color=FAINT)


def empty(ax: Axes, text: str) -> None:
    """Say in the middle why there is nothing to see."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=NORMAL, color=FAINT)


def time_unit(seconds: float) -> tuple[float, str]:
    """Return the factor and the unit in which a length of time is easy to read.

    >>> time_unit(0.25), time_unit(12.0)
    ((1000.0, 'ms'), (1.0, 's'))
    """
    return (1000.0, "ms") if seconds < 2.0 else (1.0, "s")
