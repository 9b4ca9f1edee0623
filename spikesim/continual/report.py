"""A study for people: tables on the terminal, and one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table as TerminalTable

from spikesim.continual.results import FIGURES, Study
from spikesim.plot.continual import BANDS, accuracy_curves, accuracy_matrix
from spikesim.profile.html import Heading, KeyNumbers, Prose, Section, Table, page
from spikesim.profile.text import engineering
from spikesim.report import drawing, made_by

SHADES = ("on #f7fbff", "on #deebf7", "on #c6dbef", "on #9ecae1", "on #6baed6", "on #4292c6", "on #2171b5")
MEANING = (
    "ACC: mean accuracy on all tasks at the end. AIA: the same after every task, averaged. BWT: how much a task "
    "changed since it was learned. FWT: how much better than untrained a task is before it is learned. Forgetting: "
    "from the best to the end. Learning accuracy: right after learning. Intransigence: how much worse that is than "
    "joint training."
)


def tables(study: Study) -> list[Any]:
    """Return what a terminal shows (``rich`` renderables): the table of methods, and a matrix for each."""
    title = _title(study)
    found: list[Any] = [_terminal(f"{title}: {what}", *_cells(study, names)) for what, names in _columns(study).items()]
    return [*found, *(_terminal_matrix(name, study.matrix(name)) for name in study.methods)]


def write_report(study: Study, path: str | Path) -> None:
    """Write a report: the table of methods, curves over the tasks, and the accuracy matrix of each method.

    Parameters
    ----------
    study
        What was found.
    path
        The HTML file.
    """
    columns = _columns(study)
    (header, rows), (costs, spent) = (_cells(study, names) for names in columns.values())
    curves = {name: np.stack([r.matrix for r in study.of(name)]) for name in study.methods}
    first = accuracy_curves(curves, task=0)
    bands = len(curves) <= BANDS and any(len(c) > 1 for c in curves.values())
    spread = " The band reaches from the worst seed to the best." if bands else ""
    sections: list[Section] = [
        _numbers(study),
        Heading("Methods"),
        Table(rows, header, "means over seeds ± standard deviations; accuracies in percent"),
        Prose(MEANING, note=True),
        Table(spent, costs, "what it costs: of learning as a whole, and spikes and energy of one answer at the end"),
        Heading("Over the tasks"),
        drawing(
            accuracy_curves(curves),
            "Mean accuracy on the tasks so far, after each task, by method.",
            f"Mean accuracy on the tasks so far.{spread}",
        ),
        drawing(first, "Accuracy on the first task, after each task, by method.", f"The first task.{spread}"),
        Heading("Accuracy matrices"),
        Prose("Each row is measured after a task, each column on a task; percent, mean over seeds."),
    ]
    for name in study.methods:
        alt = f"Accuracy matrix of {name}: tasks learned by tasks tested."
        sections.append(drawing(accuracy_matrix(study.matrix(name), title=name), alt, f"`{name}`"))
    sections += [Heading("What was run"), Table(_settings(study), ("what", "value"))]
    page(_title(study), sections, subtitle="continual learning", footer=made_by(), path=path)


def _title(study: Study) -> str:
    return study.runs[0].result.scenario if study.runs else str(study.about.get("scenario", "nothing was run"))


def _numbers(study: Study) -> Section:
    best = max(study.methods, key=lambda name: study.figures(name)["ACC"].mean())
    size = len(study.matrix(best))
    return KeyNumbers(
        [
            ("tasks", f"{size}"),
            ("methods", f"{len(study.methods)}"),
            ("runs", f"{len(study.runs)}"),
            ("best at the end", f"{100 * study.figures(best)['ACC'].mean():.1f} %", best),
        ]
    )


def _columns(study: Study) -> dict[str, list[str]]:
    """Return the figures of the two tables: accuracies, and costs."""
    known = list(dict.fromkeys(n for name in study.methods for n in study.figures(name)))
    return {"accuracies": [n for n in FIGURES if n in known], "costs": [n for n in known if n not in FIGURES]}


def _cells(study: Study, names: list[str]) -> tuple[list[str], list[list[str]]]:
    """Return a table of methods, as text."""
    figures = {name: study.figures(name) for name in study.methods}
    rows = [
        [name, str(len(study.of(name))), *(_cell(n, found.get(n)) for n in names)] for name, found in figures.items()
    ]
    return ["method", "seeds", *(_heading(n) for n in names)], rows


def _heading(name: str) -> str:
    return {"memory": "memory kept", "seconds": "time to learn"}.get(name, name)


def _cell(name: str, values: NDArray[np.float64] | None) -> str:
    if values is None or np.isnan(values).all():
        return "–"
    mean = float(np.nanmean(values))
    if name in FIGURES:
        spread = f"\u00a0±\u00a0{100 * float(np.nanstd(values, ddof=1)):.1f}" if (~np.isnan(values)).sum() > 1 else ""
        return f"{100 * mean:.1f}{spread}"
    return engineering(mean, {"memory": "B", "seconds": "s", "energy": "J"}.get(name, ""))


def _settings(study: Study) -> list[tuple[str, str]]:
    rows = [(name, str(value)) for name, value in study.about.items()]
    for name in study.methods:
        run = next(r for r in study.runs if r.plan.method == name)
        rows.append((name, str(dict(run.plan.settings)) if run.plan.settings else "as it comes"))
    seeds = sorted({r.plan.seed for r in study.runs})
    versions = dict((study.runs[0].about or study.runs[0].plan.about())["versions"])
    return [*rows, ("seeds", str(seeds)), ("versions", ", ".join(f"{k} {v}" for k, v in versions.items()))]


# ----------------------------------------------------------------------------------------------------------- terminal
def _terminal(title: str, header: list[str], rows: list[list[str]]) -> TerminalTable:
    table = TerminalTable(title=title, title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD)
    for k, name in enumerate(header):
        table.add_column(name, justify="right" if k else "left", overflow="fold", no_wrap=not k)
    for row in rows:
        table.add_row(*row)
    return table


def _terminal_matrix(name: str, matrix: NDArray[np.float64]) -> TerminalTable:
    """Return a matrix in percent, shaded."""
    table = TerminalTable(title=name, title_justify="left", title_style="bold", box=None)
    table.add_column("", justify="right", style="bold")
    for k in range(len(matrix)):
        table.add_column(str(k + 1), justify="right")
    for k, row in enumerate(matrix):
        table.add_row(str(k + 1), *(_shaded(value) for value in row))
    return table


def _shaded(value: float) -> str:
    if np.isnan(value):
        return ""
    shade = SHADES[min(int(value * len(SHADES)), len(SHADES) - 1)]
    ink = "white" if value > 0.7 else "black"
    return f"[{ink} {shade}]{100 * value:5.1f}[/]"
