"""How spikes are distributed: rates, intervals, correlations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from spikesim import statistics
from spikesim.plot import style
from spikesim.plot.trains import SpikeData, one, trains
from spikesim.recording import Spikes

FILLED = 3  # histograms in one plot that are filled
MOST_NEURONS = 60  # rows of a correlation matrix


def rates(data: SpikeData, *, populations: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw how the rates of the neurons are distributed, with the mean of each population as a dashed line.

    Parameters
    ----------
    data
        A recording, the spikes of one population, or several by name.
    populations
        Which; all by default.
    ax
        Where to draw; a new figure by default.
    """
    shown = trains(data, populations)
    found = {name: statistics.rates(s) for name, s in shown.items()}
    edges = _rate_edges(list(shown.values()), max((float(r.max(initial=0.0)) for r in found.values()), default=0.0))
    ax = style.new_axes(ax, height=2.8)
    few = len(found) <= FILLED
    for (name, values), colour in zip(found.items(), style.colours(len(found)), strict=True):
        mean = float(values.mean())
        style.steps(ax, np.histogram(values, edges)[0], edges, colour, f"{name}  mean {mean:.3g} Hz".strip(), few)
        if few:
            ax.axvline(mean, color=colour, linewidth=1.0, linestyle=(0, (4, 3)))
    ax.set_xlim(max(0.0, edges[0]), edges[-1])
    ax.set_ylim(bottom=0)
    style.label(ax, "rate (Hz)", "neurons")
    style.legend(ax, least=1)
    return ax


def _rate_edges(shown: list[Spikes], highest: float) -> NDArray[np.float64]:
    """Return bins that hold equally many of the rates that are possible: multiples of one spike in the whole run."""
    quantum = 1.0 / max((s.steps * s.dt * s.samples for s in shown), default=1.0)
    width = quantum * max(1, round(highest / quantum / 30))
    return np.asarray(np.arange(int(highest / width) + 2) * width - quantum / 2)


def isi(data: SpikeData, *, populations: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw how long the neurons wait between spikes (on a logarithmic axis), and how irregularly (CV).

    Parameters
    ----------
    data
        A recording, the spikes of one population, or several by name.
    populations
        Which; all by default.
    ax
        Where to draw; a new figure by default.
    """
    shown = trains(data, populations)
    waits = {name: statistics.intervals(s).seconds * 1e3 for name, s in shown.items()}
    ax = style.new_axes(ax, height=2.8)
    style.label(ax, "inter-spike interval (ms)", "share of intervals (%)")
    together = np.concatenate([*waits.values(), np.zeros(0)])
    if not together.size:
        style.empty(ax, "no neuron fired twice")
        return ax
    low, high = together.min() / 1.3, together.max() * 1.3
    edges = np.geomspace(low, high, 41)
    for (name, values), colour in zip(waits.items(), style.colours(len(waits)), strict=True):
        cv = statistics.cv_isi(shown[name])
        share = 100.0 * np.histogram(values, edges)[0] / max(1, values.size)
        text = f"{name}  CV {cv:.2f}".strip() if np.isfinite(cv) else name
        style.steps(ax, share, edges, colour, text, filled=len(waits) <= FILLED)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(low, high)
    ax.set_ylim(bottom=0)
    style.legend(ax, least=1)
    return ax


def correlation(
    data: SpikeData,
    bin: float = 5e-3,
    *,
    population: str | None = None,
    neurons: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the correlation of binned spike counts of every pair of neurons.

    Parameters
    ----------
    data
        A recording, the spikes of one population, or several by name.
    bin
        Width in seconds.
    population
        Which; needed where there are several.
    neurons
        Which; the most active ones by default.
    ax
        Where to draw; a new figure by default.
    """
    name, spikes = one(data, population)
    if neurons is None:
        busiest = np.argsort(-statistics.rates(spikes), kind="stable")[:MOST_NEURONS]
        neurons = np.sort(busiest).tolist()
    matrix = statistics.correlation(spikes, bin, neurons)
    ax = style.new_axes(ax, width=4.8, height=4.2)
    ax.grid(False)
    others = matrix[~np.eye(len(matrix), dtype=bool)]
    strongest = float(np.nanmax(np.abs(others), initial=0.0)) if np.isfinite(others).any() else 0.0
    image = ax.imshow(
        np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix), cmap=style.DIVERGING, vmin=-max(strongest, 0.05),
        vmax=max(strongest, 0.05), interpolation="nearest",
    )  # fmt: skip
    ax.set_facecolor(style.GRID)  # shows where there is no correlation: the diagonal, silent neurons
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=style.FAINT, labelcolor=style.INK, labelsize=style.SMALL, length=0.0)
    bar.set_label("correlation", fontsize=style.NORMAL, color=style.INK)
    style.label(ax, f"neuron of {name}" if name else "neuron", "neuron")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
        axis.set_major_formatter(lambda k, _: str(neurons[int(k)]) if 0 <= k < len(neurons) else "")
    style.note(ax, f"bins of {bin * 1e3:g} ms, mean of all pairs {statistics.mean_correlation(spikes, bin):.3f}")
    return ax
