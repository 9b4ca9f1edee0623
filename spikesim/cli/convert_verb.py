"""``spikesim convert``: from one file format to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikesim.cli.common import Json, print_json
from spikesim.cli.export_verb import (
    EulerDt,
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
    file: Annotated[Path, typer.Argument(help="Network: .nir, .net, .h5, SONATA's .json. Recording: .h5, NIRData.")],
    to: Annotated[
        str, typer.Option("--to", help="Networks: nir, netx, lava (a folder), h5. Recordings: nirdata, sonata, h5.")
    ],
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
    """Convert a network or a recording: `spikesim convert model.nir --to h5 --dt 1e-4`."""
    from spikesim.convert import FORMATS, find_format, format_of, from_sonata
    from spikesim.convert.nir_data import holds_nirdata
    from spikesim.errors import InvalidValueError

    if to not in FORMATS or holds_nirdata(file):
        _recording(file, to, out, dt, json)
        return
    target_format = find_format(to)
    reader: Any
    allowed: tuple[str, ...]
    if file.suffix == ".json":
        reader, allowed = from_sonata, ("dt",)
    else:
        source = find_format(format_of(file))
        reader, allowed = source.read, source.read_options
    given = {"dt": dt, "integrator": integrator if integrator != "euler" else None, "graded": graded or None}
    options = {k: v for k, v in given.items() if v is not None}
    for name in options:
        if name not in allowed:
            raise InvalidValueError(f"files such as {file.name!r} take no --{name}; leave it out")
    target = out or file.with_suffix(target_format.suffixes[0])
    if target.resolve() == file.resolve():
        raise InvalidValueError(f"{str(file)!r} would be written over itself; give --out another name")
    network, read = reader(file, **options)
    report = write(network, to, target, write_options(to, reset, on_lossy, euler_dt), verify, verify_on)
    show(report, target, json, read)


def _recording(file: Path, to: str, out: Path | None, dt: float | None, json: bool) -> None:
    """Convert a recording."""
    from spikesim.convert import FORMATS, RECORDING_FORMATS, from_nirdata
    from spikesim.convert.nir_data import holds_nirdata
    from spikesim.errors import InvalidValueError, UnknownNameError
    from spikesim.recording import Recording

    if to not in RECORDING_FORMATS:
        raise UnknownNameError("format", to, list(dict.fromkeys((*FORMATS, *RECORDING_FORMATS))))
    target = out or file.with_suffix(RECORDING_FORMATS[to].suffix)
    if target.resolve() == file.resolve():
        raise InvalidValueError(f"{str(file)!r} would be written over itself; give --out another name")
    recording = from_nirdata(file, dt=dt) if holds_nirdata(file) else Recording.load(file)
    RECORDING_FORMATS[to].write(recording, target)
    if json:
        print_json({"out": target, "spikes": recording.counts.spikes, "populations": list(recording.spikes)})
    else:
        print(f"{recording}\nwritten to {target}")
