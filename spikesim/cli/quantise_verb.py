"""``spikesim quantise``: bring a network to fixed point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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


def command(
    network: NetworkName,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the integer network.")] = Path("quantised.h5"),
    data: Annotated[str | None, typer.Option(help="Measure the accuracy before and after on this data set.")] = None,
    steps: Annotated[int, typer.Option(help="Time steps per sample.")] = 8,
    encode: Annotated[str, typer.Option(help="How samples become input.")] = "regular",
    seed: Annotated[int, typer.Option(help="Of the data set's split.")] = 0,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Quantise to Loihi's fixed point and report what it costs: `spikesim quantise trained.h5 --data digits`."""
    from spikesim.quantise import quantise

    check_folder(out)
    value = find_network(network, parse_settings(settings))
    result = quantise(value)
    accuracy = measure(value, result.network, data, steps, encode, seed) if data else {}
    result.network.save(out)
    if json:
        print_json({"out": out, "parts": result.rows(), "notes": result.notes, **accuracy})
        return
    rows = [(r["part"], r["what"], r["error"], r["detail"]) for r in result.rows()]
    print_table("fixed point", ("part", "what", "relative error", "detail"), rows)
    for note in result.notes:
        print(f"note: {note}")
    for name, figure in accuracy.items():
        print(f"{name}: {figure}")
    print(f"integer network written to {out}")


def measure(before: Any, after: Any, data: str, steps: int, encode: str, seed: int) -> dict[str, Any]:
    """Return the accuracy of a network before and after quantisation, and the spikes that differ."""
    from spikesim.cli.train_verb import encoding, load_data
    from spikesim.recording import differing_spikes
    from spikesim.train import evaluate

    values = load_data(data, seed)
    options = {"steps": steps, "encode": encoding(encode, seed)}
    floating = evaluate(before, values.x_test, values.y_test, **options)
    fixed = evaluate(after, values.x_test, values.y_test, backend="loihi", **options)
    return {
        "accuracy_float": floating.accuracy,
        "accuracy_fixed": fixed.accuracy,
        "spikes_float": floating.recording.counts.spikes,
        "spikes_differing": differing_spikes(floating.recording, fixed.recording),
    }
