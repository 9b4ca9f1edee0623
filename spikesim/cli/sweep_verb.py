"""``spikesim sweep``: a network over parameters and seeds, in processes side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spikesim.cli.common import (
    BackendName,
    Json,
    NetworkName,
    Settings,
    parse_seconds,
    parse_settings,
    parse_value,
    print_json,
    print_table,
)
from spikesim.errors import InvalidValueError, UnknownNameError


def command(
    network: NetworkName,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", help="g=4,5,6 or eta=1:3:5 (5 values from 1 to 3); repeatable."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="How many seeds (0, 1, ...), or which: 3,5,8.")] = "1",
    duration: Annotated[str, typer.Option("--duration", "-d", "--time", help="Biological time of a run: 1s.")] = "1s",
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes; 0: one per processor.")] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="HDF5 file for the results; one that is there goes on.")] = (
        Path("sweep.h5")
    ),
    csv: Annotated[Path | None, typer.Option(help="Write the table here too.")] = None,
    recordings: Annotated[Path | None, typer.Option(help="Folder for the recording of every run.")] = None,
    backend: BackendName = "numba",
    dtype: Annotated[str, typer.Option(help="float64 or float32 state.")] = "float64",
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Run a network over parameters and seeds: `spikesim sweep brunel -p g=4,5,6 --seeds 3 --out sweep.h5`."""
    from spikesim.sweeps import sweep

    table = sweep(
        _factory(network, parse_settings(settings)),
        dict(parse_parameter(p) for p in parameter or []),
        seeds=parse_seeds(seeds),
        duration=parse_seconds(duration, "--duration"),
        out=out,
        jobs=jobs,
        recordings=recordings,
        backend=backend,
        dtype=dtype,
        progress=not json,
    )
    if csv is not None:
        table.to_csv(csv)
    rows = table.averaged()
    if json:
        print_json({"points": list(table.rows()), "interrupted": table.interrupted})
    else:
        _print(network, table, rows)
        print(f"results are in {out}")
    if table.interrupted:
        print("stopped by Ctrl-C; the same command goes on with what is missing")
        raise typer.Exit(130)
    if (table["status"] == "failed").any():
        raise typer.Exit(1)


def parse_parameter(text: str) -> tuple[str, list[Any]]:
    """Turn ``"g=4,5"`` or ``"eta=1:3:5"`` into a name and values.

    >>> parse_parameter("g=4,5.5"), parse_parameter("eta=1:3:5")
    (('g', [4, 5.5]), ('eta', [1.0, 1.5, 2.0, 2.5, 3.0]))
    """
    name, sign, values = text.partition("=")
    if not sign or not name.strip() or not values.strip():
        raise InvalidValueError(f"--parameter takes name=value,value,... or name=first:last:number, found {text!r}")
    if values.count(":") != 2:
        return name.strip(), [parse_value(v.strip()) for v in values.split(",")]
    try:
        first, last, number = (kind(v) for kind, v in zip((float, float, int), values.split(":"), strict=True))
        if number < 1:
            raise ValueError
    except ValueError:
        raise InvalidValueError(
            f"--parameter {name}=first:last:number takes two numbers and how many values, found {values!r}"
        ) from None
    return name.strip(), np.linspace(first, last, number).tolist()


def parse_seeds(text: str) -> int | list[int]:
    """Turn ``"5"`` into how many seeds, ``"3,5,8"`` into which; ``"3,"`` is that one alone.

    >>> parse_seeds("5"), parse_seeds("3,5,8"), parse_seeds("3,")
    (5, [3, 5, 8], [3])
    """
    try:
        found = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError:
        raise InvalidValueError(f"--seeds takes how many seeds, or a list such as 3,5,8; found {text!r}") from None
    return found if "," in text else found[0]


def _factory(name: str, settings: dict[str, Any]) -> Any:
    """Return what a sweep takes for a network's name or file."""
    from spikesim.models.networks import NETWORKS

    if name in NETWORKS:
        return partial(NETWORKS[name], **settings) if settings else NETWORKS[name]
    if not Path(name).exists():
        raise UnknownNameError("network or file", name, list(NETWORKS))
    if settings:
        raise InvalidValueError(f"--set changes a named network; {name!r} is a file, which holds fixed values")
    return name


def _print(name: str, table: Any, rows: list[dict[str, Any]]) -> None:
    shown = [*table.parameters, "seeds", "spikes", "mean_rate_hz", "cv_isi", "synaptic_events", "sim_s"]
    labels = {"mean_rate_hz": "rate (Hz)", "cv_isi": "CV of ISI", "sim_s": "simulation (s)"}
    failed = [row for row in table.rows() if row["status"] == "failed"]
    title = f"{name}: {len(table)} points" + (f", {len(failed)} failed" if failed else "") + "; means over seeds"
    columns = [c for c in shown if all(c in row for row in rows)]
    print_table(
        title, [labels.get(c, c.replace("_", " ")) for c in columns], [[row[c] for c in columns] for row in rows]
    )
    for row in failed:
        where = ", ".join(f"{p}={row[p]}" for p in (*table.parameters, "seed"))
        print(f"failed: {where}: {row['error']}")
