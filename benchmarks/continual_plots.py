"""Pictures of continual learning: accuracies over the tasks, and accuracy matrices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from continual_effects import along, lengths
from continual_summary import Row, matrices, stored
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from spikesim.plot import style
from spikesim.plot.continual import accuracy_curves, accuracy_matrix

MATRICES = ("fine-tune", "ewc", "gpm", "hlop")
FAR_BELOW = ("binary", "single-task")
"""On permuted digits: they would press all other curves together."""


def draw(folder: Path) -> list[str]:
    """Write the pictures whose results are stored; return their names."""
    made = {}
    for name, runs in stored().items():
        if name == "long":
            made["continual_along"] = _along(runs)
            continue
        curves = {label: m for label, rows in runs.items() if not np.isnan((m := matrices(rows))[:, 0, 0]).any()}
        if len(curves) < 2:
            continue
        drawn = curves if name != "digits" else {k: v for k, v in curves.items() if _compared(k)}
        made[f"continual_{name}"] = accuracy_curves(drawn).get_figure(root=True)
        shown = {label: curves[label].mean(0) for label in MATRICES if label in curves}
        if shown:
            made[f"continual_{name}_matrices"] = _side_by_side(shown)
    for name, figure in made.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=110, facecolor="white")
        Image.open(path).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    return [f"{name}.png" for name in made]


def _compared(label: str) -> bool:
    return label not in FAR_BELOW and not label.endswith("told")


def _along(runs: Mapping[str, list[Row]]) -> Figure:
    """Draw how the old task is forgotten while the new one is learned, for each length of training."""
    by_length = lengths(runs)
    figure = Figure(figsize=(3.9 * len(by_length), 3.3), layout="constrained")
    FigureCanvasAgg(figure)
    for ax, (length, by_m) in zip(np.atleast_1d(figure.subplots(1, len(by_length))), by_length.items(), strict=True):
        ax = style.new_axes(ax)
        for colour, (m, rows) in zip(style.colours(len(by_m)), by_m.items(), strict=True):
            curves = along(rows)
            at = 1 + np.arange(curves.shape[1])
            ax.plot(at, curves.mean(0), color=colour, linewidth=1.4, label=m)
        ax.set_ylim(0, 100)
        style.label(ax, f"epochs on the new task ({length})", "accuracy on the old task (%)")
        style.legend(ax)
    return figure


def _side_by_side(shown: dict[str, np.ndarray]) -> Figure:
    size = max(len(m) for m in shown.values())
    side = 1.4 + 0.24 * size
    figure = Figure(figsize=(side * len(shown), side + 0.2), layout="constrained")
    FigureCanvasAgg(figure)
    for ax, (label, found) in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown.items(), strict=True):
        accuracy_matrix(found, title=label, ax=ax)
    return figure
