"""The stored runs of continual learning, and the figures that page and pictures show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import machine
import numpy as np
from numpy.typing import NDArray

from spikesim.continual import figures
from spikesim.profile.text import engineering

STORED = machine.RESULTS / "continual"
EXPERIMENTS = {
    "digits": "Permuted digits, 5 tasks",
    "mnist": "Permuted MNIST, 10 tasks",
    "fashion": "Permuted Fashion-MNIST, 10 tasks",
    "conflict": "Relabelled digits, 5 tasks, told",
    "long": "Permuted digits, 2 tasks, binary synapses",
}
SHOWN = ("ACC", "BWT", "forgetting", "learning accuracy", "intransigence", "FWT", "AIA")
Row = dict[str, Any]


def stored(folder: Path = STORED) -> dict[str, dict[str, list[Row]]]:
    """Return the runs by experiment and label, sorted by seed."""
    found: dict[str, dict[str, list[Row]]] = {}
    for name in EXPERIMENTS:
        rows = [json.loads(path.read_text()) for path in sorted((folder / name).glob("*.json"))]
        for row in sorted(rows, key=lambda row: row["plan"]["seed"]):
            found.setdefault(name, {}).setdefault(row["label"], []).append(row)
    return found


def matrix(row: Row) -> NDArray[np.float64]:
    """Return the accuracy matrix of a run; NaN where nothing was measured."""
    return np.array(row["matrix"], np.float64)


def matrices(rows: list[Row]) -> NDArray[np.float64]:
    """Return the matrices of several seeds, ``[seeds, tasks, tasks]``."""
    return np.stack([matrix(row) for row in rows])


def of_run(row: Row, joint: Mapping[int, NDArray[np.float64]]) -> dict[str, float]:
    """Return the figures of a run, in percent; ``joint`` are the last rows of joint training by seed."""
    last = joint.get(row["plan"]["seed"])
    found = figures(matrix(row), np.array(row["untrained"], np.float64), last)
    return {name: 100 * value for name, value in found.items()}


def table_of(runs: dict[str, list[Row]]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return every figure of every method, one value per seed."""
    joint = {row["plan"]["seed"]: matrix(row)[-1] for row in runs.get("joint", [])}
    found = {}
    for label, rows in runs.items():
        each = [of_run(row, joint) for row in rows]
        found[label] = {name: np.array([one.get(name, np.nan) for one in each]) for name in SHOWN}
        found[label]["memory"] = np.array([float(row["memory"][-1]) for row in rows])
        found[label]["seconds"] = np.array([float(np.nansum(np.array(row["seconds"], float))) for row in rows])
        for name in rows[0]["costs"]:
            found[label][name] = np.array([float(row["costs"][name][-1] or np.nan) for row in rows])
    return found


def cell(name: str, values: NDArray[np.float64] | None) -> str:
    """Return mean and standard deviation as text."""
    if values is None or np.isnan(values).all():
        return ""
    mean = float(np.nanmean(values))
    if name not in SHOWN:
        return engineering(mean, {"memory": "B", "seconds": "s", "energy": "J"}.get(name, ""))
    spread = f" ± {float(np.nanstd(values, ddof=1)):.1f}" if (~np.isnan(values)).sum() > 1 else ""
    return f"{mean:.2f}{spread}"
