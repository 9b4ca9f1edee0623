"""The picture of what pruned networks reach, and what that costs: scores against operations and against energy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

LINES = {
    "lnp": "LNP",
    "activity": "activity",
    "noise": "noise",
    "random, half": "random",
    "magnitude, half": "magnitude",
}
SHARES = (", keep 5%", "", ", keep 30%")
COSTS = {"sops": "synaptic operations per value", "energy": "nJ per value (45 nm logic)"}
TASKS = {"lorenz": "nrmse", "roessler": "nrmse", "japanese-vowels": "accuracy"}


def draw(found: Mapping[tuple[str, str, str], Mapping[int, Mapping[str, Any]]], file: Path) -> None:
    """Draw one line per method through 5 %, 15 % and 30 % of the synapses, and the dense network.

    Parameters
    ----------
    found
        Rows by (family, task, variant), then seed.
    file
        The picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
    from PIL import Image

    figure = Figure(figsize=(10.5, 5.6), layout="constrained")
    grid = figure.subplots(len(COSTS), len(TASKS), squeeze=False)
    for row, cost in enumerate(COSTS):
        for column, (task, metric) in enumerate(TASKS.items()):
            ax = grid[row, column]
            for method, label in LINES.items():
                points = [found[key] for s in SHARES if (key := ("hrsnn", task, method + s)) in found]
                _line(ax, points, cost, metric, label=label, marker="o")
            _line(ax, [found["hrsnn", task, "dense"]], cost, metric, label="dense", marker="*", color="black")
            ax.set_xscale("log", subs=(2, 5))
            ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            ax.xaxis.set_major_formatter(ScalarFormatter())
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.set(xlabel=COSTS[cost], ylabel=metric.upper() if metric == "nrmse" else metric)
            ax.set_title(f"HRSNN, {task}", fontsize=9)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(LINES) + 1, fontsize=8)
    figure.savefig(file, dpi=80)
    Image.open(file).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(file, optimize=True)


def _line(ax: Any, points: list[Mapping[int, Mapping[str, Any]]], cost: str, metric: str, **style: Any) -> None:
    """Draw means over seeds, with the standard error of the score."""
    scale = 1000.0 if cost == "energy" else 1.0
    x = [scale * np.mean([r[cost] for r in p.values()]) for p in points]
    scores = [np.array([r[metric] for r in p.values()]) for p in points]
    errors = [s.std(ddof=1) / np.sqrt(len(s)) if len(s) > 1 else 0.0 for s in scores]
    ax.errorbar(x, [s.mean() for s in scores], errors, linewidth=1.2, markersize=4, capsize=2, **style)
