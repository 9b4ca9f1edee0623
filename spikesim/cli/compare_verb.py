"""``spikesim compare``: two recordings, or one network on two backends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikesim.cli.common import Json, print_json, print_table


def command(
    first: Annotated[Path, typer.Argument(help="A recording (HDF5).")],
    second: Annotated[Path, typer.Argument(help="Another recording of the same populations.")],
    json: Json = False,
) -> None:
    """Compare two recordings spike for spike; exit code 1 if they differ."""
    from spikesim.recording import Recording, differing_spikes

    a, b = Recording.load(first), Recording.load(second)
    differing = differing_spikes(a, b)
    rows = [_row(name, a, b) for name in sorted({*a.spikes, *b.spikes})]
    if json:
        keys = ("population", "spikes_first", "spikes_second", "rate_first_hz", "rate_second_hz")
        print_json({"differing_spikes": differing, "populations": [dict(zip(keys, r, strict=True)) for r in rows]})
    else:
        print_table("comparison", ("population", "spikes", "spikes", "rate (Hz)", "rate (Hz)"), rows)
        print("the spikes are identical" if differing == 0 else f"{differing} spikes are in one recording only")
    if differing:
        raise typer.Exit(1)


def _row(name: str, a: Any, b: Any) -> tuple[Any, ...]:
    found = [r.spikes.get(name) for r in (a, b)]
    return (
        name,
        *(len(s) if s is not None else 0 for s in found),
        *(s.rate() if s is not None else 0.0 for s in found),
    )
