"""``spikesim export``: write a network in another tool's format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikesim.cli.common import Json, NetworkName, Settings, find_network, parse_settings, print_json, print_table

FormatName = Annotated[
    str, typer.Option("--to", help="nir, netx (lava-dl, Loihi 2), lava (a folder that runs), or h5 (spikesim's own).")
]
OutPath = Annotated[
    Path | None, typer.Option("--out", "-o", help="File or folder to write; the network's name by default.")
]
Reset = Annotated[
    str | None,
    typer.Option(
        help="A soft reset where there is none. hard: to 0 (netx, lava: measured; nir). self_inhibition: a loop "
        "(netx, lava). custom_process: lava's simulation only."
    ),
]
OnLossy = Annotated[str, typer.Option(help="NIR: metadata keeps what NIR cannot say, error refuses it.")]
EulerDt = Annotated[float | None, typer.Option(help="NIR: step of the reader in seconds (snnTorch: 1e-4).")]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Read the file back (lava: run the folder) and compare spikes, on random input."),
]
VerifyOn = Annotated[
    str | None, typer.Option(help="Verify on this: an .npz with one array per input, or a data set's test samples.")
]
Quantise = Annotated[bool, typer.Option("--quantise", help="Lava: bring a float network to fixed point first.")]
Steps = Annotated[int | None, typer.Option(help="Lava, netx: length of the run on random input.")]
InOut = Annotated[str | None, typer.Option("--io", help="Lava: how spikes enter and leave, ringbuffer or injector.")]
SAMPLES, STEPS = 32, 32  # of a data set, for --verify-on


def command(
    network: NetworkName,
    to: FormatName,
    out: OutPath = None,
    reset: Reset = None,
    on_lossy: OnLossy = "metadata",
    euler_dt: EulerDt = None,
    verify: Verify = False,
    verify_on: VerifyOn = None,
    quantise: Quantise = False,
    steps: Steps = None,
    io: InOut = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Write a network for another tool: `spikesim export quantised.h5 --to netx --out model.net`."""
    value = find_network(network, parse_settings(settings))
    options = write_options(to, reset, on_lossy, euler_dt, quantise=quantise or None, steps=steps, io=io)
    target = out or default_target(value.name, to)
    report = write(value, to, target, options, verify, verify_on)
    show(report, target, json)


def default_target(name: str, to: str) -> Path:
    """Return a file name for a network."""
    from spikesim.convert import find_format

    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    return Path(plain).with_suffix(find_format(to).suffixes[0])


def write_options(to: str, reset: str | None, on_lossy: str, euler_dt: float | None, **more: Any) -> dict[str, Any]:
    """Return the options that a format takes; refuse those that it does not."""
    from spikesim.convert import find_format
    from spikesim.errors import InvalidValueError, UnknownNameError

    if to == "nir" and reset not in (None, "hard"):
        raise UnknownNameError("--reset", str(reset), ["hard"])
    wanted = {name: value for name, value in more.items() if value is not None}
    if reset:
        wanted[{"nir": "on_lossy", "lava": "on_soft_reset"}.get(to, "reset")] = reset
    if on_lossy != "metadata":
        wanted["on_lossy"] = on_lossy
    if euler_dt is not None:
        wanted["euler_dt"] = euler_dt
    allowed = find_format(to).write_options
    for name in wanted:
        if name not in allowed:
            raise InvalidValueError(f"the format {to!r} has no --{name.replace('_', '-')}; leave it out")
    return wanted


def write(
    network: Any, to: str, target: Path, options: dict[str, Any], verify: bool, verify_on: str | None = None
) -> Any:
    """Write a network, on request read it back and compare spikes; return the report."""
    from spikesim.convert import compare_spikes, find_format

    known = find_format(to)
    if known.check is not None:
        return _write_checked(known, network, target, options, verify, verify_on)
    report = known.write(network, target, **options)
    if verify_on is not None or (verify and report.verification is None):
        inputs = None if verify_on is None else real_inputs(network, verify_on)
        after, _ = known.read(target)
        report.verification = compare_spikes(network, after, inputs, data=verify_on or "")
        if "metadata" in known.read_options and report.status != "exact":
            report.notes.append(_plain_reader(network, target, options.get("euler_dt") or network.dt, inputs))
    return report


def _write_checked(
    known: Any, network: Any, target: Path, options: dict[str, Any], verify: bool, verify_on: str | None
) -> Any:
    """Write what holds its own check, with the input that was asked for; on request run the check."""
    inputs = {} if verify_on is None else {"inputs": real_inputs(network, verify_on)}
    report = known.write(network, target, **options, **inputs)
    if verify:
        found = known.check(target)
        report.notes.append(f"checked: {found}")
        if found.differing:
            report.warnings.append(f"{found.differing} spikes differ from those expected")
    return report


def real_inputs(network: Any, name: str) -> dict[str, Any]:
    """Return data for a network's inputs: from an NPZ file, or the first test samples of a data set.

    Raises
    ------
    MissingFileError, UnknownNameError
        If there is neither a file nor a data set of that name.
    """
    import numpy as np

    from spikesim.errors import MissingFileError

    if name.endswith(".npz"):
        if not Path(name).is_file():
            raise MissingFileError(f"there is no file {name!r}")
        with np.load(name, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    from spikesim.cli.train_verb import load_data
    from spikesim.train.samples import present, the_input

    entry = the_input(network)
    samples = load_data(name, 0).x_test[:SAMPLES]
    return {entry.name: present(samples, "constant" if entry.graded else "regular", STEPS, entry)}


def _plain_reader(network: Any, file: Path, dt: float, inputs: Any) -> str:
    """Say what a reader sees who has the plain nodes only."""
    from spikesim.convert import compare_spikes, from_nir
    from spikesim.stimulus import Input

    if not all(isinstance(s, Input) for s in network.stimuli):
        return "what a reader without the metadata sees was not measured: its stimuli are not in the file"
    plain, _ = from_nir(file, dt=dt, graded=any(s.graded for s in network.stimuli), metadata=False, repair=False)
    if {p.name for p in plain.populations} != {p.name for p in network.populations}:
        return "what a reader without the metadata sees was not measured: names are not the same"
    seen = compare_spikes(network, plain.with_(dt=network.dt), inputs)
    return f"an Euler reader without the metadata sees: {seen}"


def show(report: Any, target: Path, json: bool, read: Any = None) -> None:
    """Print what became of every part, on reading if there is a report of that, and on writing."""
    warnings = [*(read.warnings if read else ()), *report.warnings]
    if json:
        found = {"read": read.as_dict()} if read else {}
        print_json({"out": target, **report.as_dict(), "warnings": warnings, **found})
        return
    for each, action in ((read, "read"), (report, "written")):
        if each is not None:
            rows = [(r.part, r.written_as, r.status, r.detail) for r in each.rows]
            title = f"{each.format}, {action}: {each.status}"
            print_table(title, ("part", f"{action} as", "status", "detail"), rows)
    for warning in warnings:
        print(f"warning: {warning}")
    for note in (*(read.notes if read else ()), *report.notes):
        print(f"note: {note}")
    if report.verification:
        print(f"spikes: {report.verification}")
    print(f"written to {target}")
