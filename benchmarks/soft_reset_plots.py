"""Pictures of what soft reset and MPR do: rates, membranes, accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import machine
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from soft_reset_figures import EDGES
from soft_reset_summary import EFFECTS, EXPERIMENTS, STORED, effect, stored
from soft_reset_tables import CODERS, INPUTS, rates

from spikesim.plot.style import COLOURS, FAINT, INK, NORMAL, SMALL, label, legend, new_axes, steps

SHORT = {"digits-6": "digits", "digits-6-tdbn": "digits, tdBN", "fashion-tdbn": "Fashion, tdBN"}
RED, BLUE, GREEN = COLOURS[1], COLOURS[0], COLOURS[2]


def draw(folder: Path) -> list[str]:
    """Write the pictures whose results are stored; return their names."""
    made = {"soft_reset_rates": _rates()}
    if found := stored():
        made["soft_reset_effects"] = _effects(found)
    if (looked := machine.read("membranes", STORED)) and looked["runs"]:
        made["soft_reset_membranes"] = _membranes(looked["runs"])
    for name, figure in made.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=110, facecolor="white")
        Image.open(path).convert("RGB").quantize(48, dither=Image.Dither.NONE).save(path, optimize=True)
    return [f"{name}.png" for name in made]


def _axes(rows: int, columns: int, width: float, height: float, **grid: Any) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **grid)
    for ax in axes.flat:
        new_axes(ax)
    return figure, axes


def _rates() -> Figure:
    """Draw rate against constant input."""
    figure, axes = _axes(1, 1, 6.4, 3.4)
    ax = axes[0, 0]
    ax.plot(INPUTS, np.clip(INPUTS, 0.0, 1.0), color=FAINT, lw=1.0, ls=(0, (4, 3)), label="input, held in [0, 1]")
    for (name, neuron), colour in zip(CODERS.items(), (RED, BLUE, GREEN), strict=True):
        ax.plot(INPUTS, rates(neuron), color=colour, lw=1.5, label=name)
    label(ax, x="constant input per step", y="spikes per step, 8 steps")
    legend(ax)
    return figure


def _effects(found: dict[str, dict[str, Any]]) -> Figure:
    """Draw differences in accuracy with their intervals."""
    names = [n for n in EFFECTS if n != "both" and any(effect(e, n) for e in found.values())]
    figure, axes = _axes(1, len(names), 2.0 * len(names) + 1.6, 0.42 * len(found) + 1.3, sharex=True, sharey=True)
    for ax, name in zip(axes[0], names, strict=True):
        ax.axvline(0.0, color=INK, lw=0.9)
        for row, experiment in enumerate(found.values()):
            if seen := effect(experiment, name):
                colour = FAINT if not seen.clear else BLUE if seen.mean > 0 else RED
                ax.errorbar(seen.mean, -row, xerr=seen.half, fmt="o", color=colour, ms=5, capsize=3, lw=1.6)
        ax.set_yticks([-k for k in range(len(found))], [EXPERIMENTS[n] for n in found])
        ax.set_ylim(-len(found) + 0.4, 0.6)
        ax.set_title(name, loc="left", fontsize=NORMAL, color=INK)
        label(ax, x="points of accuracy")
    return figure


def _membranes(runs: list[dict[str, Any]]) -> Figure:
    """Draw membranes before the firing test, as they are and rectified: first, middle and last hidden layer."""
    titles = {"soft+rectangle": "rectangle", "soft+mpr": "MPR"}
    figure, axes = _axes(len(runs), 3, 8.4, 1.4 * len(runs) + 0.5, sharex=True)
    for row, run in zip(axes, runs, strict=True):
        layers = run["layers"]
        for ax, k in zip(row, (0, len(layers) // 2, len(layers) - 1), strict=True):
            for key, colour, name in (("u", BLUE, "u"), ("phi", RED, "phi(u)")):
                counts = np.array(layers[k][key], float)
                steps(ax, counts / counts.sum() / np.diff(EDGES), EDGES, colour, name)
            ax.axvline(0.5, color=INK, lw=0.8, ls=(0, (2, 2)))
            ax.set_yscale("log")
            name = f"{SHORT[run['experiment']]}, {titles[run['variant']]}, layer {k + 1}"
            ax.set_title(name, loc="left", fontsize=SMALL, color=INK)
    for ax in axes[-1]:
        label(ax, x="membrane before the firing test")
    for row in axes:
        label(row[0], y="density")
    lines = axes[0, 0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper right", ncols=2, frameon=False, fontsize=SMALL, labelcolor=INK)
    return figure
