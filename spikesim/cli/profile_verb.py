"""``spikesim profile``: counts, fit and energy of a run on devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spikesim.cli.common import (
    BackendName,
    Json,
    Seed,
    Settings,
    check_folder,
    console,
    find_network,
    parse_seconds,
    parse_settings,
    print_json,
)
from spikesim.errors import InvalidValueError

NETWORK = typer.Argument(help="A network: a name (`spikesim list networks`) or a file (HDF5, .nir, SONATA's .json).")


def command(
    network: Annotated[str, NETWORK],
    recording: Annotated[
        Path | None, typer.Option(help="A recording of this network; without it, the network runs.")
    ] = None,
    duration: Annotated[float | None, typer.Option("--duration", "-d", help="Biological seconds to run.")] = None,
    data: Annotated[str | None, typer.Option(help="Run on the test samples of this data set.")] = None,
    data_file: Annotated[
        Path | None,
        typer.Option(
            help="Arrays by input (.npz, .npy, NIRData): the network runs on them. With those of all "
            "populations too, they are counted as they are."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Time steps per sample, with --data.")] = 8,
    encode: Annotated[str, typer.Option(help="How samples become input, with --data.")] = "regular",
    device: Annotated[
        list[str] | None, typer.Option(help="Device name or TOML file; repeatable; all by default.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="A profile (.json, .h5), or a network that runs likewise, to compare with.")
    ] = None,
    weight_bits: Annotated[int | None, typer.Option(help="Bits of a weight on the device.")] = None,
    graded_as_events: Annotated[
        bool, typer.Option("--graded-as-events", help="Price a graded value like one spike: a lower bound.")
    ] = False,
    dt: Annotated[str | None, typer.Option(help="Time step of a .nir file, such as 1ms.")] = None,
    backend: BackendName = "numba",
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File: .json, .csv, .h5 or .html.")] = None,
    settings: Settings = None,
    long: Annotated[bool, typer.Option("--long", help="All tables, with every reason and assumption.")] = False,
    json: Json = False,
) -> None:
    """Profile a run: `spikesim profile trained.h5 --data digits --device loihi1`."""
    from spikesim.profile import Profile, compare_profiles, profile
    from spikesim.profile.rasters import read_rasters
    from spikesim.profile.value import SUFFIXES

    if out is not None and out.suffix not in SUFFIXES:
        raise InvalidValueError(f"--out takes a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, found {out.name!r}")
    check_folder(out)

    arrays = None if data_file is None else read_rasters(data_file, None if dt is None else parse_seconds(dt, "--dt"))

    def made(name: str, path: Path | None) -> Profile:
        value = _network(name, settings, seed, dt, arrays)
        if arrays is not None:
            run, inputs = _on_arrays(value, arrays, data_file, duration, backend)
        else:
            run, inputs = _run(value, path, duration, data, steps, encode, backend, seed), None
        options: Any = {"inputs": inputs, "weight_bits": weight_bits, "graded_as_events": graded_as_events}
        return profile(run, value, device or "all", **options)

    result = made(network, recording)
    other = None if against is None else _loaded(against) or made(against, None)
    comparison = None if other is None else compare_profiles(result, other)
    if out is not None:
        result.save(out)
    if json:
        print_json(comparison.to_dict() if comparison else result.to_dict())
        return
    console().print(comparison.table() if comparison else result.table(long))
    if out is not None:
        print(f"profile written to {out}")


def _loaded(name: str) -> Any:
    """Return the profile in a file, or None if it is a network's name or file."""
    from spikesim.profile import Profile
    from spikesim.profile.hdf5 import holds_profile

    return Profile.load(name) if Path(name).is_file() and holds_profile(name) else None


def _network(name: str, settings: list[str] | None, seed: int | None, dt: str | None, arrays: Any) -> Any:
    if Path(name).suffix != ".nir":
        if dt is not None:
            raise InvalidValueError(f"--dt is for .nir files, which hold no time step; {name!r} has one")
        return find_network(name, parse_settings(settings), seed)
    from spikesim.convert import from_nir

    graded = any(not np.isin(values, (0, 1)).all() for values in (arrays or {}).values())
    network, report = from_nir(name, dt=None if dt is None else parse_seconds(dt, "--dt"), graded=graded)
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return network if seed is None else network.with_(seed=seed)


def _run(
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
        raise InvalidValueError(
            "what is to be profiled? pass --recording FILE, --duration SECONDS, --data NAME or --data-file FILE"
        )
    from spikesim.engine import run

    return run(network, duration, backend=backend)


def _on_arrays(network: Any, arrays: Any, path: Any, duration: float | None, backend: str) -> tuple[Any, Any]:
    """Run on the arrays of a file, or count them where they hold the spikes of all populations."""
    from spikesim.engine import run
    from spikesim.profile.rasters import recording_of_rasters
    from spikesim.stimulus import Input

    inputs = [s.name for s in network.stimuli if isinstance(s, Input)]
    if "" in arrays:
        if len(inputs) != 1:
            raise InvalidValueError(f"{path.name!r} holds one array, the network has the inputs {inputs}; pass an .npz")
        arrays = {inputs[0]: arrays[""]}
    given = {name: arrays[name] for name in inputs if name in arrays}
    if set(arrays) <= set(inputs):
        return run(network, duration, inputs=given, backend=backend), given
    return recording_of_rasters(network, arrays, origin=f"the spikes in {path.name}"), given or None
