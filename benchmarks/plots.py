"""Pictures of cost against neurons, synapses, rate and threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import summary
from PIL import Image
from tables import NAMES

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

SERIES = (  # who, threads, colour, marker
    ("spikesim", 2, "#0b6e99", "o"),
    ("spikesim", 1, "#6cb6d6", "s"),
    ("nest", 1, "#c8571b", "^"),
    ("brian2", 1, "#6b6b6b", "D"),
)
CURVES = ("#0b6e99", "#c8571b", "#4f8f2f", "#8a5aa8")


def draw(folder: Path) -> list[str]:
    """Write the pictures; return their names."""
    results = summary.stored()
    sections: dict[str, list[dict[str, Any]]] = {}
    for result in results.values():
        sections.setdefault(result["section"], []).append(result)
    brunel = [results[k] for k in ("brunel_1250", "brunel_12500", "brunel_50000") if k in results]
    figure, axes = plt.subplots(2, 2, figsize=(9.0, 6.6), layout="constrained")
    _curve(axes[0, 0], [*brunel, *sections.get("neurons", [])], _neurons, "neurons (Brunel)")
    _curve(axes[0, 1], sections.get("synapses", []), _synapses, "synapses per neuron (10 000 neurons)")
    _curve(axes[1, 0], sections.get("rate", []), _rate, "rate (Hz), 12 500 neurons with 1250 synapses each")
    _threads(axes[1, 1], sections.get("threads", []))
    path = folder / "bench_scaling.png"
    figure.savefig(path, dpi=90)
    plt.close(figure)
    Image.open(path).convert("RGB").quantize(48).save(path, optimize=True)  # a few colours: a third of the bytes
    return ["bench_scaling.png"]


def _neurons(row: dict[str, Any], name: str) -> float:
    return float(name.rpartition("_")[2])


_synapses = _neurons


def _rate(row: dict[str, Any], name: str) -> float:
    found = summary.figure(row, "rate_hz")
    return found.median if found else float("nan")


def _curve(axes: Any, results: list[dict[str, Any]], where: Any, label: str) -> None:
    for who, threads, colour, marker in SERIES:
        points = []
        for result in results:
            row = summary.of(result, who, threads)
            found = summary.figure(row, "sim_s") if row else None
            if row and found:
                points.append((where(row, result["workload"]), found.median))
        if points:
            name = f"{NAMES[who]}, {threads} thread{'s' * (threads > 1)}"
            axes.plot(*zip(*sorted(points), strict=True), color=colour, marker=marker, ms=5, lw=1.5, label=name)
    axes.axhline(1.0, color="#999999", lw=0.8, ls=":")
    axes.annotate(
        "real time", (0.01, 1.0), xycoords=("axes fraction", "data"), fontsize=7, color="#666666", va="bottom"
    )
    axes.set(xscale="linear" if where is _rate else "log", yscale="log", xlabel=label)
    _finish(axes)


def _finish(axes: Any) -> None:
    axes.set_ylabel("seconds per biological second")
    axes.grid(alpha=0.25)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axis.set_minor_formatter(NullFormatter())
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, framealpha=0.85, edgecolor="none")


def _threads(axes: Any, results: list[dict[str, Any]]) -> None:
    for result, colour in zip(results, CURVES, strict=False):
        found = {r["threads"]: summary.figure(r, "sim_s") for r in summary.measured(result)}
        points = sorted((n, f.median) for n, f in found.items() if f)
        if points:
            label = result["workload"].removeprefix("threads_")
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", ms=5, lw=1.5, label=label)
    axes.set(yscale="log", xlabel="threads given (at most)", xticks=[1, 2, 3])
    _finish(axes)
