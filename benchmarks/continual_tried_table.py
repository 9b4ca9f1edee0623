"""What was tried on permuted MNIST to forget less, as a table from ``results/continual_tried.json``.

The runs were made once, by hand, with a seed that is not reported; the file holds their settings and accuracies.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tables import table

STORED = Path(__file__).parent / "results" / "continual_tried.json"


def tried(stored: Path = STORED) -> str:
    """Return the table: a row for each change, beside what is reported after as many tasks."""
    found = json.loads(stored.read_text("utf-8"))
    reported = found["reported"]
    body = [
        (run["change"], n := len(run["accuracies"]), _figures(run["accuracies"]), _figures(reported[:n]))
        for run in found["runs"]
    ]
    return table(("change", "tasks", "ACC, BWT", "settings as below: ACC, BWT"), body)


def _figures(accuracies: list[list[float]]) -> str:
    """Write ACC and BWT of the tasks so far."""
    last, first = np.array(accuracies[-1]), np.array([row[-1] for row in accuracies])
    return f"{last.mean():.1f}, {(last - first)[:-1].mean():+.1f}"
