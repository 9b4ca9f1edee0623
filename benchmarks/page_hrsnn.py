"""The page on heterogeneous recurrent networks, from the stored results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hrsnn import FILE, NEURONS, STARTS, compare, table

TEXT = Path(__file__).with_name("page_hrsnn.md")
HETEROGENEOUS, HOMOGENEOUS = "hrsnn, heterogeneous STDP", "hrsnn, homogeneous STDP"
TRAINED = "mrsnn, time constants trained"
CONTROLS = ("mrsnn", "mrsnn, 10 ms", "mrsnn, 40 ms", "mrsnn, bias 1.1")
CONTROLLED = (
    ("lorenz", "nrmse"),
    ("lorenz", "spikes"),
    ("roessler", "nrmse"),
    ("mackey-glass", "nrmse"),
    ("mackey-glass", "spikes"),
    ("memory-capacity", "capacity"),
)
P = 0.05


def hrsnn() -> str:
    """Return the document: the text with the tables that the results give."""
    rows = json.loads(FILE.read_text("utf-8"))
    parts = {
        "neurons": str(NEURONS),
        "starts": str(STARTS),
        "hrsnn_mrsnn": table(rows, "hrsnn", "mrsnn"),
        "controls": control_table(rows),
        "chrsnn_hrsnn": table(rows, "chrsnn", "hrsnn"),
        "stdp": table(rows, HETEROGENEOUS, HOMOGENEOUS),
        "trained": table(rows, TRAINED, "mrsnn"),
        "verdict": verdict(rows),
    }
    text = TEXT.read_text("utf-8")
    for name, value in parts.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def control_table(rows: list[dict[str, Any]]) -> str:
    """Return how the HRSNN compares with homogeneous networks of other constants."""
    lines = ["| task | measure | hrsnn | " + " | ".join(CONTROLS) + " |", "|---" * (3 + len(CONTROLS)) + "|"]
    for task, metric in CONTROLLED:
        found = [compare(rows, "hrsnn", name, task, metric) for name in CONTROLS]
        if all(found):
            cells = [f"{c['other']:.3f} (p {c['p']:.2g})" for c in found if c]
            lines.append(f"| {task} | {metric} | {found[0]['one']:.3f} | {' | '.join(cells)} |")  # type: ignore[index]
    return "\n".join(lines)


def verdict(rows: list[dict[str, Any]]) -> str:
    """Return what reproduces and what does not."""
    claims = (
        ("heterogeneous time constants predict Lorenz better", "hrsnn", "mrsnn", "lorenz", "nrmse"),
        ("heterogeneous time constants predict Roessler better", "hrsnn", "mrsnn", "roessler", "nrmse"),
        ("heterogeneous time constants predict Mackey-Glass better", "hrsnn", "mrsnn", "mackey-glass", "nrmse"),
        (
            "heterogeneous time constants classify Japanese Vowels better",
            "hrsnn",
            "mrsnn",
            "japanese-vowels",
            "accuracy",
        ),
        (
            "heterogeneous time constants classify rows of MNIST better",
            "hrsnn",
            "mrsnn",
            "sequential-mnist",
            "accuracy",
        ),
        ("heterogeneous time constants raise memory capacity", "hrsnn", "mrsnn", "memory-capacity", "capacity"),
        ("heterogeneous time constants cost fewer synaptic operations (Lorenz)", "hrsnn", "mrsnn", "lorenz", "sops"),
        ("heterogeneous STDP fires less (Lorenz)", HETEROGENEOUS, HOMOGENEOUS, "lorenz", "spikes"),
        ("heterogeneous STDP keeps memory capacity", HETEROGENEOUS, HOMOGENEOUS, "memory-capacity", "capacity"),
        ("trained time constants predict Lorenz better", TRAINED, "mrsnn", "lorenz", "nrmse"),
        ("trained time constants fire less (Lorenz)", TRAINED, "mrsnn", "lorenz", "spikes"),
    )
    lines = ["## What reproduces", "", "| claim | here | p |", "|---|---|---|"]
    for claim, one, other, task, metric in claims:
        if c := compare(rows, one, other, task, metric):
            clear = c["p"] < P
            said = ("yes" if 2 * c["wins"] > c["seeds"] else "no, the opposite") if clear else "no clear difference"
            lines.append(f"| {claim} | {said}: {c['one']:.3g} against {c['other']:.3g} | {c['p']:.2g} |")
    return "\n".join(lines)
