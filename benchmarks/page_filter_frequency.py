"""The page on filter frequency and its picture, from the stored results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats
from tables import table

from spikesim.data.corruptions import CORRUPTIONS
from spikesim.plot.style import COLOURS, FAINT, INK, NORMAL, SMALL, label, new_axes

RESULTS = Path(__file__).parent / "results/filter_frequency"
TEXT = Path(__file__).with_name("page_filter_frequency.md")
NAMES = ("digits", "fashion-mnist")
FIXED = {"q = 0": 0.0, "q = 0.25": 0.25, "q = 0.5": 0.5, "q = 0.75": 0.75, "q = 1": 1.0}
ORDER = ("free", *FIXED, "modulation", "modulation, perturbed", "modulation, perturbed, n = 3", "penalty")
OTHERS = {"modulation, perturbed, n = 3": COLOURS[1], "penalty": COLOURS[2]}
SEVERITIES = (1, 3, 5)
KINDS = ("clean", *(k for k in CORRUPTIONS if k != "lose_events"), "mean", "lose_events")
Runs = dict[str, dict[int, dict[str, Any]]]


def filter_frequency() -> str:
    """Return the document."""
    text, found = TEXT.read_text("utf-8"), {name: runs for name in NAMES if (runs := stored(name))}
    several = [(v, name) for name, runs in found.items() for v in runs if v != "free" and gained(runs, v).size > 1]
    parts = {
        "tables": tables(),
        "verdict": "\n".join(line for name, runs in found.items() for line in verdict(name, runs)),
        "tests": str(len(several)),
    }
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def stored(name: str) -> Runs:
    """Return the runs of a data set by variant and seed."""
    runs = [r for f in RESULTS.glob(f"{name}-[0-9]*.json") for r in json.loads(f.read_text("utf-8"))["runs"]]
    found = {v: {r["seed"]: r for r in sorted(runs, key=lambda r: r["seed"]) if r["variant"] == v} for v in ORDER}
    return {variant: by_seed for variant, by_seed in found.items() if by_seed}


def mean_of(run: dict[str, Any], kind: str) -> float:
    """Return a run's accuracy of one kind in per cent, over severities; ``"mean"``: over the corruptions of images."""
    if kind == "mean":
        return float(np.mean([mean_of(run, k) for k in CORRUPTIONS if k != "lose_events"]))
    names = [kind] if kind == "clean" else [f"{kind} {s}" for s in SEVERITIES]
    return 100 * float(np.mean([run["accuracy"][n] for n in names]))


def gained(runs: Runs, variant: str, over: str = "free", kind: str = "mean") -> Any:
    """Return the differences between two variants in points, of the seeds that both have."""
    a, b = runs.get(variant, {}), runs.get(over, {})
    return np.array([mean_of(a[s], kind) - mean_of(b[s], kind) for s in a if s in b])


def interval(values: Any) -> tuple[float, float]:
    """Return the mean and half of its 95 % interval (Student)."""
    return float(values.mean()), float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1))


def said(values: Any) -> str:
    """Return a difference with its interval; bold where 0 is outside; nothing of a single seed."""
    if len(values) < 2 or not np.any(values):
        return ""
    middle, half = interval(values)
    text = f"{middle:+.1f} ± {half:.1f}"
    return f"**{text}**" if abs(middle) > half else text


def tables() -> str:
    """Return all tables in Markdown."""
    return "\n\n".join(f"{name}:\n\n{_table(runs)}" for name in NAMES if (runs := stored(name)))


def _table(runs: Runs) -> str:
    body = []
    for variant, by_seed in runs.items():
        share = np.mean([r["low_share"] for r in by_seed.values()])
        cells = [f"{np.mean([mean_of(r, k) for r in by_seed.values()]):.1f}" for k in KINDS]
        body.append((variant, len(by_seed), f"{share:.2f}", *cells, said(gained(runs, variant))))
    return table(("first filters", "seeds", "low share", *KINDS, "mean - free"), body)


# ------------------------------------------------------------------------------------------------------------- verdict
def verdict(name: str, runs: Runs) -> list[str]:
    """Say what the runs of a data set show."""
    shares = {v: np.mean([r["low_share"] for r in by_seed.values()]) for v, by_seed in runs.items()}
    fixed = [shares[v] for v in runs if v in FIXED]
    lines = [
        f"- **{name}: the proportion is controllable.** The mean low share goes from {min(fixed):.2f} to "
        f"{max(fixed):.2f}; the free network chooses {shares['free']:.2f}."
    ]
    tested = [v for v in runs if v in FIXED and gained(runs, v).size > 1]
    signs = {v: _seen(gained(runs, v)) for v in tested}
    worse, better = (
        [f"{v} ({_plain(gained(runs, v))})" for v, found in signs.items() if found == sign] for sign in (-1, 1)
    )
    lines.append(
        f"- **{name}, robustness against proportion**, mean over corruptions: worse than the free network is seen for "
        f"{', '.join(worse) or 'none'}; better for {', '.join(better) or 'none'}, of {', '.join(tested)}."
    )
    for variant in ("modulation, perturbed", "modulation, perturbed, n = 3"):
        lines += _way(name, runs, variant, "modulation")
    return lines + _way(name, runs, "penalty", "")


def _way(name: str, runs: Runs, variant: str, without: str) -> list[str]:
    values = gained(runs, variant)
    if values.size < 2:
        return []
    clean = _plain(gained(runs, variant, kind="clean"))
    kinds = [f"{k} {_plain(g)}" for k in KINDS[1:-2] if _seen(g := gained(runs, variant, kind=k))]
    word = {1: "a gain is seen", -1: "a loss is seen", 0: "no difference is seen"}[_seen(values)]
    line = (
        f"- **{name}, {variant}**: {word} in the mean over corruptions ({_plain(values)} points, "
        f"{values.size} seeds); clean accuracy {clean}; by kind, seen are {', '.join(kinds) or 'none'}."
    )
    if without and (own := gained(runs, variant, without)).size > 1:
        line += f" Against modulation without perturbation it is {_plain(own)}."
    return [line]


def _plain(values: Any) -> str:
    return said(values).strip("*") or "0"


def _seen(values: Any) -> int:
    middle, half = interval(values)
    return 0 if not abs(middle) > half else 1 if middle > 0 else -1


# ------------------------------------------------------------------------------------------------------------- picture
def draw(folder: Path) -> list[str]:
    """Draw the differences to the free network against the proportion, with intervals."""
    found = {n: r for n in NAMES if (r := stored(n)) and sum(gained(r, v).size > 1 for v in FIXED) > 1}
    if not found:
        return []
    figure = Figure(figsize=(max(5.8, 4.4 * len(found)), 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    for k, (ax, (name, runs)) in enumerate(
        zip(np.atleast_1d(figure.subplots(1, len(found))), found.items(), strict=True)
    ):
        new_axes(ax)
        ax.axhline(0.0, color=FAINT, lw=1.0)
        for variant, colour in OTHERS.items():
            if (values := gained(runs, variant)).size > 1:
                middle, half = interval(values)
                ax.axhspan(middle - half, middle + half, color=colour, alpha=0.13, lw=0)
                ax.axhline(middle, color=colour, lw=1.3, ls=(0, (4, 3)), label=variant)
        points = [(q, *interval(g)) for v, q in FIXED.items() if (g := gained(runs, v)).size > 1]
        q, middle, half = np.array(points).T
        ax.errorbar(
            q, middle, half, color=COLOURS[0], marker="o", ms=4.5, lw=1.4, capsize=3, label="fixed proportion q"
        )
        label(ax, x="share of low-pass filters", y="" if k else "accuracy on corrupted - free, points")
        ax.set_title(f"{name}, {len(runs['free'])} seeds", fontsize=NORMAL, color=INK, loc="left")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=3, frameon=False, fontsize=SMALL, labelcolor=INK)
    path = folder / "filter_frequency.png"
    figure.savefig(path, dpi=110, facecolor="white")
    Image.open(path).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    return [path.name]
