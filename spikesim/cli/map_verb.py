"""``spikesim map``: whether a network fits on a device, and where its neurons would be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikesim.cli.common import (
    Json,
    NetworkName,
    Seed,
    Settings,
    check_folder,
    console,
    find_network,
    parse_settings,
    print_json,
    print_table,
)
from spikesim.errors import InvalidValueError

KINDS = (".png", ".svg", ".json", ".html")


def command(
    network: NetworkName,
    device: Annotated[str, typer.Option(help="Device name or TOML file; `all` for one line each.")] = "loihi1",
    recording: Annotated[
        Path | None, typer.Option(help="A recording of this network: for traffic and for deadlines.")
    ] = None,
    weight_bits: Annotated[int | None, typer.Option(help="Bits of a weight on the device.")] = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture (.png, .svg), all numbers (.json), or a page (.html).")
    ] = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Place a network on a device's cores: `spikesim map cuba --device loihi1 --out cores.png`."""
    if out is not None and out.suffix not in KINDS:
        raise InvalidValueError(f"--out takes a file that ends in {', '.join(KINDS)}, found {out.name!r}")
    if out is not None and device == "all":
        raise InvalidValueError("--out shows one device; name it with --device")
    check_folder(out)
    from spikesim.lowering import lower
    from spikesim.profile import Activity, list_devices, load_device
    from spikesim.profile.mapping import place
    from spikesim.profile.partition import quantised

    graph = lower(find_network(network, parse_settings(settings), seed))
    activity = Activity.of(_load(recording)) if recording is not None else None
    bits = 8 if weight_bits is None and graph.nodes and quantised(graph) else weight_bits
    if device == "all":
        chips = [d for d in map(load_device, list_devices()) if d.kind == "chip"]
        _lines([place(graph, d, weight_bits=bits, activity=activity).fit for d in chips], graph.name, json)
        return
    chosen = load_device(device)
    if chosen.kind == "logic":
        raise InvalidValueError(f"{device} is a price list of digital logic and has no cores; name a chip")
    mapping = place(graph, chosen, weight_bits=bits, activity=activity)
    _write(mapping, chosen, out)
    _print(mapping, chosen, out, json)
    if mapping.fit.binding:
        raise typer.Exit(1)


def _load(path: Path) -> Any:
    from spikesim.recording import Recording

    return Recording.load(path)


def _lines(fits: list[Any], name: str, json: bool) -> None:
    if json:
        print_json({fit.device: fit.model_dump(mode="json") for fit in fits})
        return
    rows = []
    for fit in fits:
        fullest = fit.binding[0].sentence if fit.binding else ""
        if not fullest and fit.tightest is not None:
            fullest = f"{fit.tightest.rule.replace('_', ' ')}: {fit.tightest.share:.0%}"
        rows.append((fit.device, fit.verdict, "–" if fit.cores is None else str(fit.cores), fullest))
    print_table(f"{name} on every chip", ("device", "verdict", "cores", "fullest limit"), rows)


def _write(mapping: Any, device: Any, out: Path | None) -> None:
    from spikesim.profile.placement import placement, placement_sections

    if out is None:
        return
    if out.suffix == ".json":
        import json

        out.write_text(json.dumps(placement(mapping), indent=2, ensure_ascii=False) + "\n", "utf-8")
    elif out.suffix == ".html":
        from spikesim.profile.html import page

        page(f"{mapping.network} on {device.title}", placement_sections(mapping, device), path=out)
    else:
        from spikesim.plot.cores import core_figure

        core_figure(mapping, device.grid).savefig(out, dpi=160, facecolor="white")


def _print(mapping: Any, device: Any, out: Path | None, json: bool) -> None:
    from spikesim.profile.placement import placement, placement_table

    if json:
        print_json(placement(mapping))
        return
    console().print(placement_table(mapping, device))
    if out is not None:
        print(f"written to {out}")
