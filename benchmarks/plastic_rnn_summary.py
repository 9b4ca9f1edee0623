"""What the runs of ``plastic_rnn.py`` say: tables, paired comparisons, sentences that follow from them, a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import binomtest, ttest_rel

from spikesim.data.episodes import TASKS
from spikesim.plot import learning_curves
from spikesim.plot.style import FAINT, SMALL

NETS, RULES = ("rate", "spiking"), ("none", "hebbian", "gradient")
GROUPS = {
    "Association and memory": ("cue_reward", "one_shot", "copying"),
    "Regression": ("regression_linear", "regression_mlp"),
}
CLEAR = 0.05  # of a paired t-test
MOVING = 0.05  # of the value: what changed in the last quarter of a run
CHANCE = {"cue_reward": 1 / 3, "copying": 1 / 3, "one_shot": 1 / 3, "regression_linear": 1.0, "regression_mlp": 1.0}

Run = dict[str, Any]


def stored(folder: Path) -> list[Run]:
    """Return all runs that have a file."""
    return [json.loads(p.read_text()) for p in sorted(folder.glob("*.json"))]


def _curves(runs: list[Run], steps: int, task: str, net: str, rule: str) -> dict[int, list[float]]:
    """Return the scores by seed: before training and after each part."""
    which = (task, net, rule, steps)
    return {r["seed"]: [r["start"], *r["curve"]] for r in runs if _of(r) == which}


def _times(task: str) -> int:
    """Return how many batches a step of the settings is: an episode of one-shot images is short, so it has two."""
    return 2 if task == "one_shot" else 1


def _of(run: Run) -> tuple[str, str, str, int]:
    return run["task"], run["net"], run["rule"], run["steps"]


def _last_quarter(curves: dict[int, list[float]]) -> float:
    """Return by how much of its value the mean score changed in the last quarter."""
    values = np.mean(list(curves.values()), axis=0)
    return float(values[-1] / values[-1 - (len(values) - 1) // 4] - 1)


def text(runs: list[Run], steps: int) -> str:
    """Return everything between the comments of the page."""
    parts = [_scores(runs, steps), _pairs(runs, steps), "\n".join(_sentences(runs, steps)), _longer(runs, steps)]
    return "\n\n".join(part for part in parts if part)


def _scores(runs: list[Run], steps: int) -> str:
    lines = ["| task | network | " + " | ".join(RULES) + " |", "|---|---|---|---|---|"]
    for task, net in product(TASKS, NETS):
        cells = []
        for rule in RULES:
            found = _curves(runs, steps, task, net, rule)
            last = [c[-1] for c in found.values()]
            spread = f" ± {np.std(last, ddof=1):.3f}" if len(last) > 1 else ""
            moved = f", {100 * _last_quarter(found):+.0f} %" if found else ""
            cells.append(f"{np.mean(last):.3f}{spread} ({len(last)}{moved})" if last else "–")
        lines.append(f"| {task} | {net} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _pair(runs: list[Run], steps: int, task: str, net: str, rules: tuple[str, str]) -> tuple[Any, float]:
    """Return by how much the first rule is better than the second, seed by seed, and p of a paired t-test."""
    first, second = (_curves(runs, steps, task, net, rule) for rule in rules)
    sign = -1.0 if task == "one_shot" else 1.0  # an accuracy; the others are errors
    better = np.array([sign * (second[s][-1] - first[s][-1]) for s in sorted({*first} & {*second})])
    if len(better) < 2:
        return better, float("nan")
    return better, float(ttest_rel(better, np.zeros_like(better)).pvalue)


def _pairs(runs: list[Run], steps: int) -> str:
    lines = ["| task | network | hebbian over none | gradient over none | hebbian over gradient |"]
    lines += ["|---|---|---|---|---|"]
    for task, net in product(TASKS, NETS):
        cells = []
        for rules in (("hebbian", "none"), ("gradient", "none"), ("hebbian", "gradient")):
            better, p = _pair(runs, steps, task, net, rules)
            wins = f"{int((better > 0).sum())} of {len(better)}"
            cells.append(f"{better.mean():+.3f} ({wins}, p = {p:.2g})" if len(better) > 1 else "–")
        lines.append(f"| {task} | {net} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _sentences(runs: list[Run], steps: int) -> Iterator[str]:
    """Yield what follows for the paper's conclusion, and which curves have not settled."""
    for group, tasks in GROUPS.items():
        found: dict[str, list[str]] = {"hebbian": [], "gradient": [], "": []}
        pairs: list[float] = []
        for task, net in product(tasks, NETS):
            better, p = _pair(runs, steps, task, net, ("hebbian", "gradient"))
            if len(better) > 1:
                ahead = "" if not p < CLEAR else "hebbian" if better.mean() > 0 else "gradient"
                found[ahead].append(f"{task} {net}")
                pairs += [float(b) for b in better if b]
        shown = [f"Hebbian ahead in {_list(found['hebbian'])}", f"gradient ahead in {_list(found['gradient'])}"]
        wins = sum(b > 0 for b in pairs)
        sign = binomtest(wins, len(pairs)).pvalue if pairs else float("nan")
        yield (
            f"- **{group}** (p < {CLEAR}): {'; '.join(shown)}; not decided: {_list(found[''])}. Hebbian ahead in "
            f"{wins} of {len(pairs)} pairs of runs (sign test, p = {sign:.2g})."
        )
    moving = [
        f"{task} {net} {rule}"
        for task, net, rule in product(TASKS, NETS, RULES[1:])
        if (c := _curves(runs, steps, task, net, rule)) and abs(_last_quarter(c)) > MOVING
    ]
    yield f"- **Not settled** (more than {100 * MOVING:.0f} % in the last quarter): {_list(moving)}."


def _list(names: list[str]) -> str:
    return ", ".join(names) if names else "none"


def _longer(runs: list[Run], steps: int) -> str:
    """Return a table of runs with more batches; their beginning is the shorter run itself."""
    cells = sorted({_of(r) for r in runs if r["steps"] > steps}, key=lambda c: (TASKS.index(c[0]), *c[1:]))
    if not cells:
        return ""
    lines = [
        "| task | network | rule | as above | after half | at the end | batches | runs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task, net, rule, long in cells:
        curves = np.array(list(_curves(runs, long, task, net, rule).values()))
        last = curves.shape[1] - 1
        shown = [f"{curves[:, k].mean():.3f}" for k in (last * steps // long, last // 2, last)]
        lines.append(f"| {task} | {net} | {rule} | {' | '.join(shown)} | {long * _times(task)} | {len(curves)} |")
    return "\n".join(lines)


def draw(runs: list[Run], steps: int, path: Path) -> None:
    """Draw the test score over the batches, a place per task."""
    figure = Figure(figsize=(11.0, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3).flat
    for task, ax in zip(TASKS, axes, strict=False):
        curves: dict[str, Any] = {}
        for net, rule in product(NETS, RULES):
            found = _curves(runs, steps, task, net, rule)
            if found:
                curves[f"{rule}, {net}"] = np.array(list(found.values()))
        dashed = [name for name in curves if name.endswith("rate")]
        parts = max(c.shape[1] for c in curves.values()) - 1
        at = np.arange(parts + 1) * _times(task) * steps / parts
        score = "accuracy" if task == "one_shot" else "test error"
        learning_curves(curves, at, x="batches", y=score, log=task == "cue_reward", dashed=dashed, ax=ax)
        if task != "one_shot":
            ax.set_ylim(top=2 * CHANCE[task])
        ax.axhline(CHANCE[task], color=FAINT, lw=1.0, ls=":")
        ax.set_title(task, fontsize=SMALL + 1.5, loc="right")
        handles, labels = ax.get_legend_handles_labels()
        ax.get_legend().remove()
    last = list(figure.axes)[-1]
    last.axis("off")
    last.legend(handles, labels, loc="center left", frameon=False, fontsize=SMALL + 1.5)
    figure.savefig(path, dpi=110, facecolor="white")
    Image.open(path).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
