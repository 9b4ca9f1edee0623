"""What HLOP adds to the time of training, as a table from what ``continual_speed.py`` stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tables import table

STORED = Path(__file__).parent / "results" / "continual_speed.json"


def speed(stored: Path = STORED) -> str:
    """Return the table: a row for each rule and number of rows that circuits are shown."""
    found: dict[tuple[str, int | None], dict[int, Mapping[str, Any]]] = {}
    for run in json.loads(stored.read_text("utf-8"))["runs"]:
        found.setdefault((run["rule"], run["hook_rows"]), {})[run["task"]] = run
    tasks = sorted({task for runs in found.values() for task in runs})
    head = ("rule", "rows shown", *(f"task {task + 1}: plain, with HLOP (ms), added" for task in tasks))
    body = [(rule, rows or "all", *(_cell(runs.get(task)) for task in tasks)) for (rule, rows), runs in found.items()]
    return table(head, body)


def _cell(run: Mapping[str, Any] | None) -> str:
    return "" if run is None else f"{run['plain_ms']:.1f}, {run['hlop_ms']:.1f}, {100 * run['added']:.0f} %"
