"""What the verbs share: options, finding a network by name or file, printing a table or JSON."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from spikesim.errors import InvalidValueError, UnknownNameError

NetworkName = Annotated[
    str, typer.Argument(help="A network's name (`spikesim list networks`), an HDF5 file of one, or a SONATA circuit.")
]
BACKEND_OPTION = typer.Option("--backend", "-b", help="numba, torch, loihi, lava, or another registered one.")
BackendName = Annotated[str, BACKEND_OPTION]
Seed = Annotated[int | None, typer.Option(help="Replaces the network's seed.")]
Threads = Annotated[int, typer.Option(help="At most so many threads; 0: one per processor.")]
Represent = Annotated[
    list[str] | None,
    typer.Option("--represent", help="projection=representation, in place of the engine's choice; repeatable."),
]
OutFile = Annotated[Path | None, typer.Option("--out", "-o", help="HDF5 file for the result.")]
CheckpointEvery = Annotated[
    str | None,
    typer.Option(help="Wall time between checkpoints: 30s, 10min, 1h. A killed run goes on with `spikesim resume`."),
]
Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value, a setting of the network; repeatable.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def parse_settings(settings: Sequence[str] | None) -> dict[str, Any]:
    """Turn ``["scale=0.1", "name=x"]`` into a dictionary with numbers where they are numbers.

    >>> parse_settings(["scale=0.1", "n=4000", "kind=soft", "fast=true"])
    {'scale': 0.1, 'n': 4000, 'kind': 'soft', 'fast': True}
    """
    result: dict[str, Any] = {}
    for setting in settings or []:
        key, sign, text = setting.partition("=")
        if not sign or not key:
            raise InvalidValueError(f"--set takes key=value, found {setting!r}")
        result[key.strip()] = parse_value(text.strip())
    return result


def parse_pairs(pairs: Sequence[str] | None, option: str) -> dict[str, str]:
    """Turn ``["a->b=rows"]`` into a dictionary; the value follows the last equals sign.

    >>> parse_pairs(["a->b=rows"], "--represent")
    {'a->b': 'rows'}
    """
    found = {}
    for pair in pairs or []:
        key, sign, text = pair.rpartition("=")
        if not sign or not key:
            raise InvalidValueError(f"{option} takes name=value, found {pair!r}")
        found[key.strip()] = text.strip()
    return found


def parse_value(text: str) -> Any:
    """Turn text into a number or a truth value where it is one."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def parse_seconds(text: str, option: str) -> float:
    """Turn ``"30s"``, ``"10min"``, ``"1h"``, ``"500ms"`` or plain seconds into seconds.

    >>> parse_seconds("30s", "--timeout"), parse_seconds("1.5 min", "--timeout"), parse_seconds("2", "--timeout")
    (30.0, 90.0, 2.0)
    """
    found = re.fullmatch(r"\s*([0-9.]+)\s*(ms|s|min|h|)\s*", text)
    factors = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "": 1.0}
    try:
        if found is None:
            raise ValueError
        return float(found[1]) * factors[found[2]]
    except ValueError:
        raise InvalidValueError(f"{option} takes a time such as 30s, 10min or 1h, found {text!r}") from None


def check_folder(path: str | Path | None) -> None:
    """Refuse a file in a folder that is missing, before work that would be lost begins."""
    if path is not None and not Path(path).resolve().parent.is_dir():
        raise InvalidValueError(f"{str(path)!r} cannot be written: its folder does not exist; create it first")


def find_network(name: str, settings: Mapping[str, Any] | None = None, seed: int | None = None) -> Any:
    """Return a network by the name of a published one, or from a file.

    Raises
    ------
    UnknownNameError
        If neither a network nor a file has that name, or a setting is not known.
    """
    from spikesim.models.networks import NETWORKS
    from spikesim.network import Network

    settings = dict(settings or {})
    if name in NETWORKS:
        factory = NETWORKS[name]
        allowed = list(inspect.signature(factory).parameters)
        for key in settings:
            if key not in allowed:
                raise UnknownNameError(f"setting of network {name!r}:", key, allowed)
        if seed is not None and "seed" in allowed:
            settings["seed"] = seed
        return factory(**settings)
    if Path(name).suffix in (".h5", ".hdf5", ".json") or Path(name).exists():
        if settings:
            raise InvalidValueError(f"--set changes a named network; {name!r} is a file, which holds fixed values")
        network = _circuit(name) if Path(name).suffix == ".json" else Network.load(name)
        return network if seed is None else network.with_(seed=seed)
    raise UnknownNameError("network or file", name, list(NETWORKS))


def _circuit(path: str) -> Any:
    from spikesim.convert import from_sonata

    return from_sonata(path)[0]


def plain(value: Any) -> Any:
    """Turn numpy values into what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def print_json(value: Any) -> None:
    """Print one JSON object on one line."""
    print(json.dumps(plain(value), allow_nan=False))


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table for people."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for k, name in enumerate(header):
        numbers = rows and all(isinstance(row[k], (int, float, np.number)) for row in rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(v) for v in row))
    console().print(table)


def console() -> Any:
    """Return where tables are printed: as wide as the terminal, or 160 columns in a file."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}".replace(",", " ")
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    return str(value)
