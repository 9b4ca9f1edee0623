"""``spikesim convert``: from one file format to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikesim.cli.common import Json
from spikesim.cli.export_verb import (
    EulerDt,
    FormatName,
    OnLossy,
    OutPath,
    Reset,
    Verify,
    VerifyOn,
    show,
    write,
    write_options,
)


def command(
    file: Annotated[Path, typer.Argument(help="A file: .nir, .net (netx) or .h5.")],
    to: FormatName,
    out: OutPath = None,
    dt: Annotated[float | None, typer.Option(help="Time step in seconds; foreign NIR files hold none.")] = None,
    integrator: Annotated[str, typer.Option(help="How NIR's membranes decay in a step: euler or exact.")] = "euler",
    graded: Annotated[
        bool, typer.Option("--graded", help="NIR: the inputs take real values instead of spikes.")
    ] = False,
    reset: Reset = None,
    on_lossy: OnLossy = "metadata",
    euler_dt: EulerDt = None,
    verify: Verify = False,
    verify_on: VerifyOn = None,
    json: Json = False,
) -> None:
    """Convert a network file: `spikesim convert model.nir --to h5 --dt 1e-4`."""
    from spikesim.convert import find_format, format_of
    from spikesim.errors import InvalidValueError

    source, target_format = find_format(format_of(file)), find_format(to)
    given = {"dt": dt, "integrator": integrator if integrator != "euler" else None, "graded": graded or None}
    options = {k: v for k, v in given.items() if v is not None}
    for name in options:
        if name not in source.read_options:
            raise InvalidValueError(f"files such as {file.name!r} take no --{name}; leave it out")
    target = out or file.with_suffix(target_format.suffixes[0])
    if target.resolve() == file.resolve():
        raise InvalidValueError(f"{str(file)!r} would be written over itself; give --out another name")
    network, read = source.read(file, **options)
    report = write(network, to, target, write_options(to, reset, on_lossy, euler_dt), verify, verify_on)
    show(report, target, json, read)
