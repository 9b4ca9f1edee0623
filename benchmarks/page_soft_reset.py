"""The page on soft reset and MPR, from the stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import machine
import numpy as np
from soft_reset_summary import (
    EFFECTS,
    EXPERIMENTS,
    STORED,
    VARIANTS,
    Estimate,
    by_seed,
    effect,
    estimate,
    steepness,
    stored,
    values,
    variants,
)
from tables import about, table

WATCHED = ("hard+rectangle", "soft+rectangle", "soft+mpr", "half+rectangle")
TEXT = Path(__file__).with_name("page_soft_reset.md")


def soft_reset() -> str:
    """Return the document: the text with the tables that the results give."""
    found, tables = stored(), machine.read("tables", STORED)
    text = TEXT.read_text("utf-8")
    parts = {
        "rates": rate_table(tables["rates"]),
        "quantisation": quantisation_table(tables["quantisation"]),
        "accuracy": accuracy_table(found),
        "effects": effect_table(found),
        "membranes": membrane_table(found),
        "gradients": gradient_table(found),
        "steepness": steepness_table(),
        "verdicts": verdicts(found),
        "intervals": str(sum(effect(e, name) is not None for e in found.values() for name in EFFECTS)),
        "trainings": str(sum(len(by_seed(e)) * len(variants(e)) for e in found.values())),
        "unfinished": unfinished(found),
        "about": about(next(iter(found.values()))),
    }
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def rate_table(rows: list[dict[str, Any]]) -> str:
    """Return what rate coding loses."""
    body = [(r["neuron"], r["rates"], f"{r['mean']:.3f}", f"{r['max']:.4g}") for r in rows]
    return table(("neuron", "distinct rates", "mean error", "largest error"), body)


def quantisation_table(rows: list[dict[str, Any]]) -> str:
    """Return what a spike leaves out of a membrane."""
    body = [(r["membrane"], f"{r['raw']:.4f}", f"{r['mpr']:.4f}", f"{r['mpr'] / r['raw']:.3f}") for r in rows]
    return table(("membrane", "Q_raw", "Q_mpr", "ratio"), body)


def accuracy_table(found: dict[str, dict[str, Any]]) -> str:
    """Return mean accuracy and its standard error."""
    shown = [v for v in VARIANTS if any(v in variants(e) for e in found.values())]
    rows = []
    for name, experiment in found.items():
        cells = [_accuracy(experiment, v) if v in variants(experiment) else "" for v in shown]
        rows.append((EXPERIMENTS[name], len(by_seed(experiment)), *cells))
    return table(("network", "seeds", *(VARIANTS[v] for v in shown)), rows)


def _accuracy(experiment: dict[str, Any], variant: str) -> str:
    seen = estimate(values(experiment, variant))
    return f"{seen.mean:.2f} ± {seen.error:.2f}"


def effect_table(found: dict[str, dict[str, Any]]) -> str:
    """Return differences in accuracy with their intervals."""
    rows = [(EXPERIMENTS[name], *(_points(effect(e, what)) for what in EFFECTS)) for name, e in found.items()]
    return table(("network", *EFFECTS), rows)


def _points(seen: Estimate | None) -> str:
    if seen is None:
        return ""
    text = f"{seen.mean:+.2f} ± {seen.half:.2f}"
    return f"**{text}**" if seen.clear else text


def membrane_table(found: dict[str, dict[str, Any]]) -> str:
    """Return the quantisation error of membranes after training: median over layers, mean over seeds."""
    rows = []
    for name, experiment in found.items():
        for variant in (v for v in WATCHED if v in variants(experiment)):
            raw, mpr, outside, rate = (
                float(np.median(values(experiment, variant, key), axis=1).mean())
                for key in ("q_raw", "q_mpr", "outside", "rate")
            )
            figures = (f"{raw:.2f}", f"{mpr:.3f}", f"{mpr / raw:.3f}", f"{outside:.0%}", f"{rate:.0%}")
            rows.append((EXPERIMENTS[name], VARIANTS[variant], *figures))
    return table(("network", "trained with", "Q_raw", "Q_mpr", "ratio", "outside [0, 1]", "fires"), rows)


def gradient_table(found: dict[str, dict[str, Any]]) -> str:
    """Return norms of gradients of the first layer's weights before training, relative to the hard reset's."""
    rows = []
    for name, experiment in found.items():
        base = values(experiment, "hard+rectangle", "gradients")[:, 0]
        cells = [
            f"{np.median(values(experiment, v, 'gradients')[:, 0] / base):.2f}" if v in variants(experiment) else ""
            for v in VARIANTS
        ]
        rows.append((EXPERIMENTS[name], *cells))
    return table(("network", *VARIANTS.values()), rows)


def steepness_table() -> str:
    """Return accuracy over the steepness of MPR."""
    rows = steepness()
    flat = rows[0][1]
    means = [estimate(x) for _, x in rows]
    gains = ["", *(_points(estimate(x - flat)) for _, x in rows[1:])]
    body = [
        (f"{k:g}", seen.seeds, f"{seen.mean:.2f} ± {seen.error:.2f}", gain)
        for (k, _), seen, gain in zip(rows, means, gains, strict=True)
    ]
    return table(("k", "seeds", "accuracy", "against k = 0"), body)


def verdicts(found: dict[str, dict[str, Any]]) -> str:
    """Say by effect where accuracy rose, fell, or cannot be told from before."""
    lines = []
    for what in EFFECTS:
        seen = {name: e for name, experiment in found.items() if (e := effect(experiment, what))}
        said = [
            f"{word} in {len(names)} ({'; '.join(names)})"
            for word, names in (
                ("higher", [_said(n, e) for n, e in seen.items() if e.clear and e.mean > 0]),
                ("lower", [_said(n, e) for n, e in seen.items() if e.clear and e.mean < 0]),
                ("no difference seen", [_said(n, e) for n, e in seen.items() if not e.clear]),
            )
            if names
        ]
        lines.append(f"- **{what}**: {', '.join(said)}.")
    return "\n".join(lines)


def unfinished(found: dict[str, dict[str, Any]]) -> str:
    """Say which experiments have too few seeds to be shown."""
    left = [label for name, label in EXPERIMENTS.items() if name not in found]
    return f"Not finished, and therefore not shown: {'; '.join(left)}.\n\n" if left else ""


def _said(name: str, seen: Estimate) -> str:
    return f"{EXPERIMENTS[name]}: {seen.mean:+.1f}"
