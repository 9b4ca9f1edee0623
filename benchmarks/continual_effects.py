"""What AFEC and metaplasticity do, said from the stored runs: paired differences between methods, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from continual_summary import EXPERIMENTS, Row, matrix, of_run
from numpy.typing import NDArray
from tables import table

Runs = Mapping[str, list[Row]]
BASES = {"afec": "ewc", "metaplastic": "binary"}
KEPT = 0.8  # of what was known of the old task


@dataclass(frozen=True)
class Change:
    """What a method changes in a figure, in points.

    Parameters
    ----------
    each
        Differences, one per seed.
    """

    each: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Standard error of the mean; NaN for a single seed."""
        return float(self.each.std(ddof=1) / np.sqrt(len(self.each))) if len(self.each) > 1 else float("nan")

    @property
    def sign(self) -> int:
        """1 or -1 where the mean is more than two standard errors from 0; else 0."""
        mean = float(self.each.mean())
        return int(np.sign(mean)) if abs(mean) > 2 * self.error else 0

    def __str__(self) -> str:
        spread = "" if np.isnan(self.error) else f" ± {self.error:.2f}"
        return f"{self.each.mean():+.2f}{spread}"


def paired(one: list[Row], other: list[Row]) -> dict[str, Change]:
    """Return what the first of two methods changes, over the seeds that both have."""
    base = {row["plan"]["seed"]: of_run(row, {}) for row in other}
    both = [(of_run(row, {}), base[row["plan"]["seed"]]) for row in one if row["plan"]["seed"] in base]
    names = ("ACC", "learning accuracy", "BWT")
    return {name: Change(np.array([a[name] - b[name] for a, b in both])) for name in names} if both else {}


def base_of(label: str) -> str:
    """Return what a method is compared with, or nothing.

    >>> base_of("afec, told"), base_of("afec on si"), base_of("afec on ewc, in turns"), base_of("hlop")
    ('ewc, told', 'si', 'ewc', '')
    """
    name, comma, rest = label.partition(", ")
    if name.startswith("afec on "):
        return name.removeprefix("afec on ")
    return f"{BASES[name]}{comma}{rest}" if name in BASES else ""


def comparisons(found: Mapping[str, Runs], which: str) -> dict[tuple[str, str], dict[str, Change]]:
    """Return the changes by experiment and method, for methods whose name begins so."""
    pairs = {
        (name, label): paired(rows, runs[base_of(label)])
        for name, runs in found.items()
        for label, rows in runs.items()
        if label.startswith(which) and base_of(label) in runs
    }
    return {key: changes for key, changes in pairs.items() if changes}


def compared(found: Mapping[str, Runs], which: str) -> str:
    """Return a table of paired differences, and what is beyond two standard errors in words."""
    pairs = comparisons(found, which)
    if not pairs:
        return "Not run yet."
    rows = [
        (EXPERIMENTS[name], label, base_of(label), len(c["ACC"].each), c["learning accuracy"], c["BWT"], c["ACC"])
        for (name, label), c in pairs.items()
    ]
    head = ("experiment", "method", "against", "seeds", "learning accuracy", "BWT", "ACC")
    said = [
        _in_words(pairs, "learning accuracy", "New tasks are learned"),
        _in_words(pairs, "ACC", "All tasks together are known, at the end,"),
    ]
    words = " ".join(filter(None, said)) or "One seed each, so nothing follows."
    return f"{table(head, rows)}\n\n{words}"


def _in_words(pairs: Mapping[tuple[str, str], dict[str, Change]], figure: str, what: str) -> str:
    """Say in how many comparisons a figure is better, worse, or neither."""
    several = {key: c[figure].sign for key, c in pairs.items() if len(c[figure].each) > 1}
    if not several:
        return ""
    parts = []
    for sign, word in ((1, "better"), (-1, "worse")):
        if keys := [key for key, s in several.items() if s == sign]:
            parts.append(f"{word} in {len(keys)} ({'; '.join(f'{EXPERIMENTS[n]}: {m}' for n, m in keys)})")
    rest = sum(s == 0 for s in several.values())
    parts += [f"neither beyond two standard errors in {rest}"] if rest else []
    return f"{what} {', '.join(parts)} of {len(several)} with several seeds."


# ------------------------------------------------------------------------------------------------ long training
def lengths(runs: Runs) -> dict[str, dict[str, list[Row]]]:
    """Return the runs of the experiment with long training by length, the shortest first, then by ``m``."""
    found: dict[str, dict[str, list[Row]]] = {}
    for label, rows in sorted(runs.items(), key=lambda item: (len(item[1][0]["curve"]), " per " in item[0], item[0])):
        m, _, length = label.rpartition(", ")
        found.setdefault(length, {})[m] = rows
    return found


def along(rows: list[Row]) -> NDArray[np.float64]:
    """Return the accuracies on the old task after each epoch on the new one, percent, ``[seeds, epochs]``."""
    return 100 * np.array([row["curve"] for row in rows])[:, :, 0]


def synapses(runs: Runs) -> str:
    """Return a table of what metaplastic synapses keep of the old task, and what it says of each length in words."""
    if not runs:
        return "Not run yet."
    rows, said = [], []
    for length, by_m in lengths(runs).items():
        for m, some in by_m.items():
            rows.append(_kept(length, m, some, by_m.get("m 0", [])))
        said.append(_best(length, by_m))
    head = (
        "training", "synapses", "seeds", "old task, learned", "old task, at the end", "new task", "against m 0: old",
        "new", f"epochs until the old task is below {100 * KEPT:.0f} %",
    )  # fmt: skip
    return f"{table(head, rows)}\n\n{' '.join(part for part in said if part)}"


def _kept(length: str, m: str, rows: list[Row], plain: list[Row]) -> tuple[object, ...]:
    ends = 100 * np.array([matrix(row) for row in rows])
    changes = [_change(rows, plain, task) for task in (0, 1)]
    epochs = rows[0]["plan"]["training"]["epochs"]
    return (
        f"{length}, {epochs} epochs per task", m, len(rows), _spread(ends[:, 0, 0]), _spread(ends[:, 1, 0]),
        _spread(ends[:, 1, 1]), *(("" if m == "m 0" or c is None else str(c)) for c in changes), _until(along(rows)),
    )  # fmt: skip


def _change(rows: list[Row], plain: list[Row], task: int) -> Change | None:
    base = {row["plan"]["seed"]: matrix(row)[1, task] for row in plain}
    each = [100 * (matrix(row)[1, task] - base[row["plan"]["seed"]]) for row in rows if row["plan"]["seed"] in base]
    return Change(np.array(each)) if each else None


def _spread(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.1f}" + (f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else "")


def _until(curves: NDArray[np.float64]) -> str:
    below = np.flatnonzero(curves.mean(0) < 100 * KEPT)
    return str(below[0] + 1) if len(below) else f"more than {curves.shape[1]}"


def _best(length: str, by_m: Mapping[str, list[Row]]) -> str:
    """Say which ``m`` keeps most of the old task, and what it costs the new one."""
    changes = {m: [_change(rows, by_m.get("m 0", []), k) for k in (0, 1)] for m, rows in by_m.items() if m != "m 0"}
    known = {m: (old, new) for m, (old, new) in changes.items() if old is not None and new is not None}
    if not known:
        return ""
    m = max(known, key=lambda key: known[key][0].each.mean())
    old, new = known[m]
    word = {1: "keeps more of it", 0: "makes no difference beyond two standard errors"}.get(old.sign, "keeps less")
    own = known.get("m 1.35 per weight")
    authors = "" if own is None else f"; the authors' m 1.35, per weight, changes the old task by {own[0]} points"
    return (
        f"With {length} training {m} is the best for the old task and {word} ({old} points against m 0, the new task "
        f"{new}){authors}."
    )
