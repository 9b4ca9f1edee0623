"""``spikesim demo``: the main job on real data, what ``make demo`` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikesim.cli.common import Json, console, print_json, print_table


def command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report and the recording.")] = Path("demo"),
    seeds: Annotated[int, typer.Option(help="How many seeds to train.")] = 3,
    epochs: Annotated[int, typer.Option(help="Passes over the training digits.")] = 80,
    json: Json = False,
) -> None:
    """Train, run, quantise, emulate, run in Lava and profile a network on handwritten digits; write a report."""
    from spikesim.demo import Settings, demo
    from spikesim.profile.tables import energy_table

    say = (lambda line: None) if json else print
    result = demo(out, Settings(seeds=tuple(range(seeds)), epochs=epochs), say)
    if json:
        print_json({"rows": result.rows, "seconds": result.seconds, "accuracies": result.accuracies, "folder": out})
        return
    print_table("digits, end to end", ("what", "figure", "how"), result.rows)
    console().print(energy_table(result.need("profile")))
    print(f"{sum(result.seconds.values()):.0f} s in all; open {out / 'report.html'}, recording {out / 'run.h5'}")
