"""``spikesim analyse``: what a network does, one figure at a time."""

from __future__ import annotations

from typing import Annotated

import typer

from spikesim.cli.common import Json, NetworkName, Settings, find_network, parse_settings, print_json, print_table

command = typer.Typer(no_args_is_help=True, help="Look into a network: which frequencies its first filters pass.")


@command.callback()
def _together() -> None:
    """Keep the name of the only sub-command."""


@command.command()
def filters(
    network: NetworkName,
    size: Annotated[int, typer.Option(help="Side to which filters are padded: that of the image, say.")] = 32,
    r0: Annotated[float | None, typer.Option(help="Radius of low frequencies in bins; a quarter of the side.")] = None,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Show the spatial frequencies of the first convolution's filters: `spikesim analyse filters trained.h5`."""
    from spikesim.analyse.filter_frequency import centroid, first_filters, frequency_proportion

    value = find_network(network, parse_settings(settings))
    name, weights = first_filters(value)
    found, middle = frequency_proportion(weights, size, r0), centroid(weights, size)
    if json:
        print_json({"projection": name, "low": found.low, "low_share": found.share, "shares": found.shares})
        return
    rows = [
        (k, float(share), float(c), "low" if share > 0.5 else "high")
        for k, (share, c) in enumerate(zip(found.shares, middle, strict=True))
    ]
    print_table(f"filters of {name}", ("filter", "low share", "centroid", "class"), rows)
    print(f"{found.low:.0%} of the filters are low-pass; mean low share {found.share:.3f}")
