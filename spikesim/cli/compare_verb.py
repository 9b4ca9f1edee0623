"""``spikesim compare``: two recordings, or two profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikesim.cli.common import Json, console, print_json, print_table
from spikesim.errors import InvalidValueError


def command(
    first: Annotated[Path, typer.Argument(help="A recording (HDF5), or a profile (.json, .h5).")],
    second: Annotated[
        Path | None, typer.Argument(help="Another of the same kind; may be left out for one profile on two devices.")
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="Profiles: a device of each; give it twice.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Profiles: .json or .csv file.")] = None,
    json: Json = False,
) -> None:
    """Compare two recordings spike for spike (exit code 1 if they differ), or two profiles number by number."""
    if first.is_file() and _is_profile(first):
        _profiles(first, second, device, out, json)
        return
    if second is None or device or out:
        raise InvalidValueError(f"{first.name!r} is no profile: compare takes two recordings, and no further options")
    _recordings(first, second, json)


def _is_profile(path: Path) -> bool:
    from spikesim.profile.hdf5 import holds_profile

    return holds_profile(path)


def _profiles(first: Path, second: Path | None, devices: list[str] | None, out: Path | None, json: bool) -> None:
    from spikesim.profile import Profile, compare_profiles

    if out is not None and out.suffix not in (".json", ".csv"):
        raise InvalidValueError(f"--out takes a .json or .csv file, found {out.name!r}")
    labels = None if second is None or devices else (first.stem, second.stem)
    other = None if second is None else Profile.load(second)
    found = compare_profiles(Profile.load(first), other, devices=devices or None, labels=labels)
    if out is not None:
        found.to_csv(out) if out.suffix == ".csv" else found.to_json(out)
    if json:
        print_json(found.to_dict())
        return
    console().print(found.table())
    if out is not None:
        print(f"comparison written to {out}")


def _recordings(first: Path, second: Path, json: bool) -> None:
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
