"""Spikes over time: every one of them, or how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spikesim import statistics
from spikesim.plot import style
from spikesim.plot.trains import SpikeData, of_sample, trains
from spikesim.recording import Spikes

MOST_EVENTS = 100_000  # drawn; above, every k-th neuron is shown
FILLED = 3  # histograms in one plot that are filled
TICK_ROWS = 60  # up to so many rows spikes are ticks, above dots


def raster(
    data: SpikeData,
    sample: int = 0,
    *,
    populations: Sequence[str] | None = None,
    start: float = 0.0,
    stop: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw every spike: time to the right, neurons upwards, populations above one another.

    Parameters
    ----------
    data
        A recording, the spikes of one population, or several by name.
    sample
        Which sample.
    populations
        Which; all by default, the first one at the bottom.
    start, stop
        Seconds; the whole sample by default.
    ax
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    shown = {name: _within(of_sample(s, sample), start, stop) for name, s in trains(data, populations).items()}
    length = max((s.steps * s.dt for s in shown.values()), default=1.0)
    stop = length if stop is None else stop
    factor, unit = style.time_unit(stop - start)
    every = max(1, -(-sum(len(s) for s in shown.values()) // MOST_EVENTS))
    ax = style.new_axes(ax, height=3.6)
    ax.grid(False)
    heights = _heights([s.n for s in shown.values()])
    bases = np.concatenate([[0.0], np.cumsum(heights)])
    for spikes, base, height, colour in zip(shown.values(), bases, heights, style.colours(len(shown)), strict=False):
        kept = spikes.neuron % every == 0
        y = base + (spikes.neuron[kept] + 0.5) * height / spikes.n - 0.5
        _draw(ax, spikes.times[kept] * factor, y, height / spikes.n * every, float(bases[-1]) / every, colour)
    for line in bases[1:-1]:
        ax.axhline(line - 0.5, color=style.GRID, linewidth=1.0, zorder=1)
    ax.set_xlim(start * factor, stop * factor)
    ax.set_ylim(-0.5, max(float(bases[-1]), 1.0) - 0.5)
    if len(shown) > 1:
        _name_rows(ax, list(shown), bases)
    else:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    style.label(ax, f"time ({unit})", "neuron" if len(shown) == 1 else "")
    if every > 1:
        style.note(ax, f"1 in {every} neurons shown")
    return ax


def _heights(sizes: list[int]) -> NDArray[np.float64]:
    """Return the height of each population: its number of neurons, but enough for its name."""
    total = sum(sizes)
    return np.array([max(n, total / 18) if len(sizes) > 1 else n for n in sizes], np.float64)


def _within(spikes: Spikes, start: float, stop: float | None) -> Spikes:
    times = spikes.times
    part = slice(np.searchsorted(times, start), None if stop is None else np.searchsorted(times, stop))
    return Spikes(
        spikes.sample[part], spikes.step[part], spikes.neuron[part], spikes.n, spikes.steps, spikes.samples, spikes.dt
    )


def _draw(ax: Axes, x: NDArray[Any], y: NDArray[Any], pitch: float, rows: float, colour: str) -> None:
    """Draw spikes as ticks where there are few rows, else as dots; very many as pixels, or the file would be huge."""
    many = len(x) > 20_000
    if rows <= TICK_ROWS:
        ax.vlines(x, y - 0.4 * pitch, y + 0.4 * pitch, color=colour, linewidth=1.1, rasterized=many)
    else:
        size = float(np.clip(400.0 / rows, 1.6, 3.0))
        ax.plot(x, y, ".", color=colour, markersize=size, markeredgewidth=0.0, rasterized=many)


def _name_rows(ax: Axes, names: list[str], bases: NDArray[np.float64]) -> None:
    ax.set_yticks((bases[:-1] + bases[1:]) / 2 - 0.5, names)
    ax.tick_params(axis="y", length=0.0)
    for tick, colour in zip(ax.get_yticklabels(), style.colours(len(names)), strict=True):
        tick.set_color(colour)


def psth(
    data: SpikeData,
    bin: float = 5e-3,
    *,
    populations: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the rate over time, the mean over neurons and samples.

    Parameters
    ----------
    data
        A recording, the spikes of one population, or several by name.
    bin
        Width in seconds.
    populations
        Which; all by default.
    ax
        Where to draw; a new figure by default.
    """
    shown = trains(data, populations)
    factor, unit = style.time_unit(max((s.steps * s.dt for s in shown.values()), default=1.0))
    ax = style.new_axes(ax, height=2.8)
    for (name, spikes), colour in zip(shown.items(), style.colours(len(shown)), strict=True):
        edges, values = statistics.psth(spikes, bin)
        style.steps(ax, values, edges * factor, colour, name, filled=len(shown) <= FILLED)
    ax.set_xlim(0, max((s.steps * s.dt for s in shown.values()), default=1.0) * factor)
    ax.set_ylim(bottom=0)
    style.label(ax, f"time ({unit})", "rate (Hz)")
    style.legend(ax)
    style.note(ax, f"bins of {bin * 1e3:g} ms")
    return ax
