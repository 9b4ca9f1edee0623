"""``spikesim install``: the packages that pip alone cannot put beside spikesim."""

from __future__ import annotations

from typing import Annotated

import typer

from spikesim import installer


def command(
    package: Annotated[str, typer.Argument(help="lava, lava-dl or norse")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be run")] = False,
) -> None:
    """Install lava, lava-dl or norse into this environment, and say what is done and why."""
    installer.run(installer.plan(package), dry_run=dry_run, echo=typer.echo)
