"""``spikesim prune``: take synapses and neurons out of a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from spikesim.cli.common import (
    Json,
    NetworkName,
    Settings,
    check_folder,
    find_network,
    parse_settings,
    print_json,
    print_table,
)
from spikesim.errors import InvalidValueError


def command(
    network: NetworkName,
    method: Annotated[
        str, typer.Option(help="lnp, noise, weight, random, magnitude, activity or sparse_init.")
    ] = "lnp",
    keep: Annotated[float, typer.Option(help="Share of the synapses that is left.")] = 0.15,
    keep_neurons: Annotated[
        float | None, typer.Option(help="Share of the neurons; half for lnp and activity, else all.")
    ] = None,
    projection: Annotated[
        list[str] | None, typer.Option(help="Prune this projection; repeatable; all on a cycle by default.")
    ] = None,
    protect: Annotated[
        list[str] | None, typer.Option(help="Population that keeps its neurons; repeatable; outputs by default.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds; 3 for lnp, else 1.")] = None,
    steps: Annotated[str, typer.Option(help="Steps of lnp.")] = "1,2,3,4",
    factor: Annotated[str, typer.Option(help="Of lnp's probability: L, w or wL.")] = "L",
    device: Annotated[str | None, typer.Option(help="Price both networks under noise on this device.")] = None,
    picture: Annotated[Path | None, typer.Option(help="PNG or SVG file for connectivity and spectra.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the pruned network.")] = Path("pruned.h5"),
    seed: Annotated[int, typer.Option(help="Of noise and draws.")] = 0,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Prune a network without its task: `spikesim prune trained.h5 --keep 0.15 --keep-neurons 0.5`."""
    from spikesim.sparsify import prune

    check_folder(out)
    check_folder(picture)
    value = find_network(network, parse_settings(settings))
    found = prune(
        value, method, keep=keep, keep_neurons=keep_neurons, projections=projection, protect=protect, rounds=rounds,
        steps=_steps(steps), factor=factor, seed=seed, progress=lambda line: print(line, file=sys.stderr),
    )  # fmt: skip
    bills = None if device is None else found.report.energy(device)
    found.network.save(out)
    if picture is not None:
        figure = found.report.plot()[0].get_figure(root=True)
        if figure is not None:
            figure.savefig(picture, dpi=130)
    energies = {} if bills is None else {"energy": [b.total.nominal_j if b.total else None for b in bills]}
    if json:
        print_json({"out": out, **found.report.to_dict(), **energies})
        return
    print(found.report)
    if bills is not None:
        rows = [
            (x, b.total.nominal_j if b.total else b.why_no_total)
            for x, b in zip(("before", "after"), bills, strict=True)
        ]
        print_table(f"energy of half a second of noise on {bills[0].title}", ("", "joules"), rows)
    print(f"pruned network written to {out}")


def _steps(text: str) -> tuple[int, ...]:
    """Turn ``"1,2"`` into numbers.

    >>> _steps("1,2")
    (1, 2)
    """
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InvalidValueError(f"--steps takes numbers such as 1,2,4, found {text!r}") from None
