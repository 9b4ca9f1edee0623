"""The page on reconstructive neuron pruning and its picture, from the stored results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from tables import table

from spikesim.plot.style import COLOURS, FAINT, INK, NORMAL, SMALL, label, new_axes

RESULTS = Path(__file__).parent / "results/rnp"
TEXT = Path(__file__).with_name("page_rnp.md")
WAYS = {"rnp": "RNP", "magnitude": "magnitude", "random": "random", "by trigger": "by the trigger (bound)"}
TITLES = {
    "mnist": "MNIST, grid in the corner",
    "fashion-mnist": "Fashion-MNIST, grid in the corner",
    "events-moving": "Events, moving square",
    "events-static": "Events, static square",
    "events-polarity": "Events, polarities exchanged",
}
SUCCESS, LOSS = 10.0, 2.0  # per cent, points: what a defence that works is asked for
Run = dict[str, Any]


def rnp() -> str:
    """Return the document."""
    text, found = TEXT.read_text("utf-8"), stored()
    parts = {"tables": tables(), "verdict": "\n".join(verdict(name, runs) for name, runs in found.items())}
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def stored() -> dict[str, list[Run]]:
    """Return the runs by data set, in the order of seeds."""
    files = {name: sorted(RESULTS.glob(f"{name}-[0-9]*.json")) for name in TITLES}
    return {name: [json.loads(f.read_text("utf-8")) for f in each] for name, each in files.items() if each}


def figures(runs: list[Run], way: str, kind: str = "curves") -> dict[int, Any]:
    """Return clean accuracy and attack success in per cent, ``[seeds, 2]``, by the number of filters pruned."""
    found = [dict(map(tuple, r[kind][way])) for r in runs]
    return {n: 100 * np.array([f[n] for f in found]) for n in found[0]}


def tables() -> str:
    """Return all tables in Markdown."""
    return "\n\n".join(_tables(TITLES[name], runs) for name, runs in stored().items())


def _tables(title: str, runs: list[Run]) -> str:
    curves = {way: figures(runs, way) for way in WAYS}
    tuned = {way: figures(runs, way, "tuned") for way in WAYS}
    stages = [f"{s.replace('_', ' ')} {_pair([r[s] for r in runs])}" for s in ("attacked", "unlearned")]
    auto = "; ".join(f"{r['auto']['pruned']} pruned, {_pair([r['auto']['figures']])}" for r in runs)
    body = []
    for n in curves["rnp"]:
        after = _pair(tuned["rnp"][n] / 100) if n in tuned["rnp"] else ""
        body.append((n, *(_pair(curves[way][n] / 100) for way in WAYS), after))
    head = ("filters pruned", *WAYS.values(), "RNP, then fine-tuned")
    steps = ", ".join(str(r["steps_of_ascent"]) for r in runs)
    return (
        f"**{title}**, {len(runs)} seed{'s' * (len(runs) > 1)}; {', '.join(stages)}, after {steps} steps of ascent.\n\n"
        f"{table(head, body)}\n\nThreshold from clean samples, seed by seed: {auto}."
    )


def _pair(values: Any) -> str:
    clean, success = 100 * np.mean(values, axis=0)
    return f"{clean:.1f} / {success:.1f}"


def verdict(name: str, runs: list[Run]) -> str:
    """Say in one item what each order of filters achieves."""
    whole = float(np.mean([r["attacked"][0] for r in runs])) * 100
    parts = [
        f"{WAYS[way]} {_reached(figures(runs, way), whole)}" for way in ("rnp", "by trigger", "magnitude", "random")
    ]
    tuned = figures(runs, "rnp", "tuned")
    most = max(tuned)
    after = {f"{way} with {most} pruned": figures(runs, way, "tuned")[most] for way in ("rnp", "random")}
    ends = [f"{way.replace('rnp', 'RNP')} {_pair(f / 100)}" for way, f in {"alone": tuned[0], **after}.items()]
    seeds = f"{len(runs)} seed{'s' * (len(runs) > 1)}"
    return (
        f"- **{TITLES[name]}** ({seeds}, {_pair([r['attacked'] for r in runs])} attacked): "
        f"{'; '.join(parts)}. After fine-tuning: {', '.join(ends)}."
    )


def _reached(curve: dict[int, Any], whole: float) -> str:
    means = [(n, *f.mean(0)) for n, f in curve.items()]
    for n, clean, success in means:
        if success < SUCCESS:
            return f"needs {n} filters for an attack below {SUCCESS:.0f} % and costs {whole - clean:.1f} points"
    n, _, success = min(means, key=lambda m: m[2])
    return f"leaves the attack at {success:.0f} % or more"


# ------------------------------------------------------------------------------------------------------------- picture
def draw(folder: Path) -> list[str]:
    """Draw clean accuracy against attack success, one point for each number of filters pruned."""
    found = stored()
    if not found:
        return []
    columns, rows = min(3, len(found)), -(-len(found) // 3)
    figure = Figure(figsize=(max(5.6, 3.2 * columns), 0.7 + 3.0 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(found) :]:
        ax.remove()
    for k, (ax, (name, runs)) in enumerate(zip(axes, found.items(), strict=False)):
        new_axes(ax)
        ax.add_patch(_goal(100 * float(np.mean([r["attacked"][0] for r in runs]))))
        for way, colour in zip(WAYS, COLOURS, strict=False):
            _curve(ax, figures(runs, way), colour, WAYS[way])
        _curve(ax, figures(runs, "rnp", "tuned"), COLOURS[4], "RNP, then fine-tuned (0: fine-tuning alone)")
        label(ax, x="attack success, %", y="" if k % columns else "clean accuracy, %")
        ax.set_title(f"{TITLES[name]}, {len(runs)} seed{'s' * (len(runs) > 1)}", fontsize=NORMAL, color=INK, loc="left")
        ax.set_xlim(-4, 104)
        ax.set_ylim(60, 102)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=3, frameon=False, fontsize=SMALL, labelcolor=INK)
    path = folder / "rnp_trade_off.png"
    figure.savefig(path, dpi=110, facecolor="white")
    Image.open(path).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    return [path.name]


def _goal(whole: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((-4, whole - LOSS), SUCCESS + 4, 120, color=FAINT, alpha=0.18, linewidth=0)


def _curve(ax: Any, curve: dict[int, Any], colour: str, name: str) -> None:
    every = np.stack(list(curve.values()))  # [counts, seeds, 2]
    for seed in range(every.shape[1]):
        ax.plot(every[:, seed, 1], every[:, seed, 0], color=colour, lw=0.7, alpha=0.35)
    clean, success = every.mean(1).T
    ax.plot(success, clean, color=colour, lw=1.6, marker="o", ms=3.5, label=name)
