"""``spikesim report``: one self-contained HTML file about a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikesim.cli.common import find_network


def command(
    recording: Annotated[Path, typer.Argument(help="A recording (HDF5).")],
    network: Annotated[str | None, typer.Option(help="Its network, for fit and energy on devices.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file.")] = Path("report.html"),
) -> None:
    """Write a report: raster, rates, intervals, traces, and with --network the energy on every device."""
    from spikesim.recording import Recording
    from spikesim.report import write_report

    write_report(Recording.load(recording), find_network(network) if network else None, out)
    print(f"report written to {out}")
