"""The report of the demo: one HTML file with figures and the table that the terminal shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikesim.demo import Result
from spikesim.plot import activity, confusion, raster, traces
from spikesim.profile.html import Heading, KeyNumbers, Prose, Section, Table, page
from spikesim.report import costs, drawing, made_by


def write_report(result: Result, path: Path) -> None:
    """Write the report of a finished demo.

    Parameters
    ----------
    result
        What the demo found.
    path
        The HTML file.
    """
    sections = [*_summary(result), *_behaviour(result), *_fixed_point(result), *costs(result.need("profile"))]
    page(
        "Handwritten digits, from training to hardware",
        sections,
        subtitle="spikesim: a soft-reset spiking network, trained, run on four engines, quantised and profiled",
        footer=f"{made_by()} Settings: {result.settings}.",
        path=path,
    )


def _summary(result: Result) -> list[Section]:
    figures = {what: (figure, how) for what, figure, how in result.rows}
    shown = ("test accuracy, float", "accuracy, fixed point", "numba against torch", "emulator against Lava")
    return [
        KeyNumbers([(what, *_short(*figures[what])) for what in shown if what in figures]),
        Heading("Results"),
        Table(result.rows, ("what", "figure", "how")),
    ]


def _short(figure: str, how: str) -> tuple[str, str]:
    """Split ``0 of 500 spikes differ`` into a number and the rest, which goes into the note."""
    number, _, rest = figure.partition(" ")
    return (number, f"{rest}; {how}") if number.isdigit() else (figure, how)


def _behaviour(result: Result) -> list[Section]:
    traced: Any = result.need("traced")
    evaluation: Any = result.need("float_run")
    data: Any = result.need("data")
    last = list(traced.spikes)[-1]
    return [
        Heading("One digit in the network"),
        Prose(
            "Each pixel becomes evenly spaced spikes; hidden neurons add weights, fire above a half and subtract one "
            "per spike (soft reset); the output neuron that fires most names the digit."
        ),
        drawing(raster(traced), "Spikes of one test digit, one row per neuron.", "Every spike of one test digit."),
        drawing(
            traces(traced, last, "v", neurons=range(3), threshold=0.5),
            "Membranes of three output neurons over time.",
            "Membranes of three output neurons; the dashed line is the threshold, marks are spikes.",
        ),
        Heading("All test digits"),
        drawing(
            activity(evaluation.recording),
            "Mean spikes per neuron of each layer.",
            "Spikes per neuron and digit.",
        ),
        drawing(
            confusion(evaluation.labels, evaluation.predicted, data.classes),
            "Which digit was taken for which.",
            "Rows: the digit. Columns: what the network said.",
        ),
    ]


def _fixed_point(result: Result) -> list[Section]:
    quantised: Any = result.need("quantised")
    rows = [(r["part"], r["what"], f"{r['error']:.2e}", r["detail"]) for r in quantised.rows()]
    return [
        Heading("Fixed point"),
        Prose(
            "Weights become even numbers from -256 to 254, thresholds and quanta integers on the same scale. The "
            "integer network runs on numba, in the emulator and in Lava with the same spikes."
        ),
        Table(rows, ("part", "what", "relative error", "detail")),
    ]
