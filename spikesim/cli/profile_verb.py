"""``spikesim profile``: counts, fit and energy of a run on devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikesim.cli.common import (
    BackendName,
    Json,
    NetworkName,
    Seed,
    Settings,
    check_folder,
    console,
    find_network,
    parse_settings,
    print_json,
)
from spikesim.errors import InvalidValueError


def command(
    network: NetworkName,
    recording: Annotated[
        Path | None, typer.Option(help="A recording of this network; without it, the network runs.")
    ] = None,
    duration: Annotated[float | None, typer.Option("--duration", "-d", help="Biological seconds to run.")] = None,
    data: Annotated[str | None, typer.Option(help="Run on the test samples of this data set.")] = None,
    steps: Annotated[int, typer.Option(help="Time steps per sample, with --data.")] = 8,
    encode: Annotated[str, typer.Option(help="How samples become input, with --data.")] = "regular",
    device: Annotated[
        list[str] | None, typer.Option(help="Device name or TOML file; repeatable; all by default.")
    ] = None,
    weight_bits: Annotated[int | None, typer.Option(help="Bits of a weight on the device.")] = None,
    backend: BackendName = "numba",
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File for the profile: .json or .csv.")] = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Profile a run: `spikesim profile trained.h5 --data digits --device loihi1`."""
    from spikesim.profile import profile

    if out is not None and out.suffix not in (".json", ".csv"):
        raise InvalidValueError(f"--out takes a .json or .csv file, found {out.name!r}")
    check_folder(out)
    value = find_network(network, parse_settings(settings), seed)
    run = _recording(value, recording, duration, data, steps, encode, backend, seed)
    result = profile(run, value, device or "all", weight_bits=weight_bits)
    if out is not None:
        result.to_csv(out) if out.suffix == ".csv" else result.to_json(out)
    if json:
        print_json(result.to_dict())
        return
    console().print(result.table())
    if out is not None:
        print(f"profile written to {out}")


def _recording(
    network: Any,
    path: Path | None,
    duration: float | None,
    data: str | None,
    steps: int,
    encode: str,
    backend: str,
    seed: int | None,
) -> Any:
    """Load the recording, or make it."""
    if path is not None:
        from spikesim.recording import Recording

        return Recording.load(path)
    if data is not None:
        from spikesim.cli.train_verb import encoding, load_data
        from spikesim.train import evaluate

        values = load_data(data, seed or 0)
        options = {"steps": steps, "encode": encoding(encode, seed or 0), "backend": backend}
        return evaluate(network, values.x_test, values.y_test, **options).recording
    if duration is None:
        raise InvalidValueError("what is to be profiled? pass --recording FILE, --duration SECONDS or --data NAME")
    from spikesim.engine import run

    return run(network, duration, backend=backend)
