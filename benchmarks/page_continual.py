"""The page on continual learning, from the stored results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from continual import EXPERIMENTS as PLANNED
from continual_effects import compared, synapses
from continual_speed_table import speed
from continual_summary import EXPERIMENTS, SHOWN, Row, cell, stored, table_of
from continual_tried_table import tried
from tables import about, table

TEXT = Path(__file__).with_name("page_continual.md")
PUBLISHED = {  # recalled, unverified: BWT and ACC in percent on permuted MNIST
    "fine-tune": (70.61, -28.88),
    "ewc": (91.45, -3.20),
    "gpm": (94.80, -1.62),
    "hlop, dsr": (95.15, -1.30),
}
GOALS = ("mnist", "fashion")
NO_REPLAY = ("replay", "hlop-replay", "joint")
COLUMNS = (*SHOWN[:6], "memory", "seconds")
HEADINGS = {"memory": "memory kept", "seconds": "time to learn"}
Table = dict[str, dict[str, np.ndarray]]


def continual() -> str:
    """Return the document: the text with what the results say."""
    found = stored()
    tables = {name: table_of(runs) for name, runs in found.items()}
    text = TEXT.read_text("utf-8")
    parts = {
        "sections": "\n\n".join(section(name, found[name], tables[name]) for name in found if name != "long"),
        "speed": speed(),
        "tried": tried(),
        "verdicts": verdicts(tables),
        "published": published(tables.get("mnist", {})),
        "afec": compared(found, "afec"),
        "binary": compared(found, "metaplastic"),
        "synapses": synapses(found.get("long", {})),
        "lengthy": lengthy(found.get("long", {})),
        "unfinished": unfinished(found),
        "about": about(newest(found)),
    }
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text.rstrip() + "\n"


def section(name: str, runs: dict[str, list[Row]], figures: Table) -> str:
    """Return the part of one experiment: configuration, table, pictures."""
    more = [n for found in figures.values() for n in found if n not in (*SHOWN, "memory", "seconds")]
    columns = [n for n in (*COLUMNS, *dict.fromkeys(more)) if any(cell(n, f.get(n)) for f in figures.values())]
    body = [(label, len(runs[label]), *(cell(n, found.get(n)) for n in columns)) for label, found in figures.items()]
    head = ("method", "seeds", *(HEADINGS.get(n, n) for n in columns))
    parts = [f"## {EXPERIMENTS[name]}", configuration(runs), table(head, body)]
    several = sum(not np.isnan(np.array(rows[0]["matrix"][0], float)).any() for rows in runs.values())
    if several > 1:
        of = "methods that are told no task, without single-task and binary" if name == "digits" else "by method"
        parts.append(f"![Mean accuracy on the tasks so far: {of}](../images/continual_{name}.png)")
        parts.append(f"![Accuracy matrices](../images/continual_{name}_matrices.png)")
    return "\n\n".join(parts)


def configuration(runs: dict[str, list[Row]]) -> str:
    """Say what was run."""
    label = next((m for m in ("fine-tune", "hlop") if m in runs), None)
    shown = [runs[label]] if label else runs.values()
    plans: list[dict[str, Any]] = [row["plan"] for rows in shown for row in rows]
    plan = plans[0]
    joint = [f" Joint training: {row['plan']['training']['epochs']} epochs." for row in runs.get("joint", [])[:1]]
    scenario = ", ".join(f"{k} {v}" for k, v in plan["scenario_settings"].items() if k != "kind")
    training = {"optimiser": "sgd with momentum 0.9", **plan["training"]}
    each = {k: list(dict.fromkeys(_plain(p["training"].get(k, v)) for p in plans)) for k, v in training.items()}
    said = ", ".join(f"{k} {' or '.join(values)}" for k, values in each.items() if k != "heads")
    layers, *more = plan["network"].split(",")
    network = f"{layers} ({', '.join(more)})" if more else layers
    return (
        f"`{plan['scenario']}` ({scenario}); hidden layers {network}, leaky neurons with soft reset, no "
        f"biases. Training: {said}. Settings of each method are in its file of "
        f"results.{''.join(joint)}"
    )


def _plain(value: Any) -> str:
    """Write a setting for people."""
    return ", ".join(f"{k} {v:g}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def verdicts(tables: dict[str, Table]) -> str:
    """Say which of the goals set for permuted MNIST are met."""
    said = [_verdict(EXPERIMENTS[name], tables[name]) for name in GOALS if name in tables]
    return "\n\n".join(text for text in said if text) or "Not run yet."


def _verdict(title: str, figures: Table) -> str:
    """Say how one experiment stands to the goals."""
    hlops = [m for m in figures if m.startswith("hlop") and "replay" not in m and "told" not in m]
    if not hlops or "joint" not in figures:
        return ""
    joint, lines = float(figures["joint"]["ACC"].mean()), []
    others = [m for m in figures if m not in (*hlops, *NO_REPLAY) and "told" not in m]
    for label in hlops:
        alike = [m for m in others if "epochs" in label or "epochs" not in m]  # more epochs are an advantage
        best = max(alike, key=lambda m: figures[m]["ACC"].mean(), default=None)
        acc, bwt = (float(figures[label][n].mean()) for n in ("ACC", "BWT"))
        said = [
            f"BWT {bwt:+.2f} points (goal: above -1.5, {_met(bwt > -1.5)})",
            f"{joint - acc:.2f} points below joint training (goal: at most 1.5, {_met(joint - acc <= 1.5)})",
        ]
        if best:
            ahead = acc - float(figures[best]["ACC"].mean())
            said.append(
                f"{ahead:+.2f} points against {best}, the best other method without replay and without being told the "
                f"task (goal: ahead, {_met(ahead > 0)})"
            )
        lines.append(f"- **{label}**: {'; '.join(said)}.")
    return f"{title}:\n\n" + "\n".join(lines)


def _met(yes: bool) -> str:
    return "met" if yes else "**not met**"


def published(figures: Table) -> str:
    """Return published and own figures side by side."""
    rows = [
        (
            label,
            f"{acc:.2f}",
            f"{bwt:+.2f}",
            cell("ACC", figures.get(label, {}).get("ACC")),
            cell("BWT", figures.get(label, {}).get("BWT")),
        )
        for label, (acc, bwt) in PUBLISHED.items()
    ]
    return table(("method", "ACC, recalled", "BWT, recalled", "ACC here", "BWT here"), rows)


def lengthy(runs: dict[str, list[Row]]) -> str:
    """Return configuration and picture of the experiment with long training."""
    if not runs:
        return ""
    picture = "![Accuracy on the old task against epochs on the new one](../images/continual_along.png)"
    return f"{configuration(runs)}\n\n{picture}\n\n"


def unfinished(found: dict[str, dict[str, list[Row]]]) -> str:
    """Say what was planned and is not stored."""
    lines = []
    for name, planned in PLANNED.items():
        left = [
            label + (f" ({there} of {planned.seeds})" if planned.seeds > 1 else "")
            for label in planned.ways
            if (there := len(found.get(name, {}).get(label, []))) < planned.seeds
        ]
        if left:
            lines.append(f"- {EXPERIMENTS[name]}: {', '.join(left)}")
    return "Not finished:\n\n" + "\n".join(lines) + "\n\n" if lines else ""


def newest(found: dict[str, dict[str, list[Row]]]) -> Row:
    """Return a run to take machine and versions from."""
    return next(rows[-1] for runs in found.values() for rows in runs.values())
