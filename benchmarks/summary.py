"""Medians and ranges of stored benchmarks."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from machine import RESULTS

FEW = 3  # undisturbed runs with which the disturbed ones are left out
MARK = "†"


def stored() -> dict[str, dict[str, Any]]:
    """Return all results by workload."""
    return {p.stem: json.loads(p.read_text()) for p in sorted((RESULTS / "bench").glob("*.json"))}


@dataclass(frozen=True)
class Figure:
    """Values of one quantity over the runs of a row.

    Parameters
    ----------
    values
        Those that count.
    disturbed
        Whether they had to be taken from disturbed runs, too.
    """

    values: tuple[float, ...]
    disturbed: bool

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    def text(self, digits: int = 3) -> str:
        """Return median and range, marked if disturbed."""
        form = f".{digits}g"
        mark = MARK if self.disturbed else ""
        if len(self.values) == 1:
            return f"{self.median:{form}}{mark}"
        return f"{self.median:{form}}{mark} ({min(self.values):{form}}-{max(self.values):{form}})"


def runs(row: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """Return the runs that count, and whether disturbed ones are among them."""
    done = [r for r in row["runs"] if "skipped" not in r]
    quiet = [r for r in done if not r["disturbed"]]
    enough = len(quiet) >= min(FEW, len(done))
    return (quiet if enough else done), not enough


def figure(row: dict[str, Any], key: str) -> Figure | None:
    """Return a quantity of a row; simulations of another length are brought to one second."""
    counted, disturbed = runs(row)
    values: list[float] = []
    for run in counted:
        found = run.get(key)
        scale = 1.0 / run.get("duration", 1.0) if key in ("sim_s", "file_s") else 1.0
        many = found if isinstance(found, list) else [] if found is None else [found]
        values += [x * scale for x in many]
    return Figure(tuple(values), disturbed) if values else None


def measured(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that have runs."""
    return [row for row in result["rows"] if any("skipped" not in r for r in row["runs"])]


def best_peer(result: dict[str, Any], key: str) -> tuple[dict[str, Any], Figure] | None:
    """Return the fastest row of another program."""
    found = [(r, f) for r in measured(result) if not r["who"].startswith("spikesim") and (f := figure(r, key))]
    return min(found, key=lambda pair: pair[1].median) if found else None


def of(result: dict[str, Any], who: str, threads: int | None = None) -> dict[str, Any] | None:
    """Return the row of a program, with so many threads if given."""
    return next((r for r in measured(result) if r["who"] == who and threads in (None, r["threads"])), None)


def disturbance(results: dict[str, dict[str, Any]]) -> tuple[int, int]:
    """Return how many runs were disturbed, and how many there are."""
    everything = [r for result in results.values() for row in result["rows"] for r in row["runs"] if "skipped" not in r]
    return sum(bool(r["disturbed"]) for r in everything), len(everything)


def missing(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each row that could not be measured."""
    for name, result in results.items():
        for row in result["rows"]:
            for why in dict.fromkeys(r["skipped"] for r in row["runs"] if "skipped" in r):
                yield f"- {name}, {row['who']} on {row['threads']} threads: {why}"
