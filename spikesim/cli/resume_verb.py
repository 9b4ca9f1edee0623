"""``spikesim resume``: go on with a run that was killed or stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikesim.cli.common import CheckpointEvery, Json, Threads, parse_seconds
from spikesim.cli.run_verb import show, summarise


def command(
    recording: Annotated[Path, typer.Argument(help="The recording (HDF5) of a run with --checkpoint-every.")],
    checkpoint_every: CheckpointEvery = None,
    threads: Threads = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "cpu",
    json: Json = False,
) -> None:
    """Go on with a killed run from its last checkpoint: `spikesim resume result.h5`."""
    from spikesim.engine import resume

    every = None if checkpoint_every is None else parse_seconds(checkpoint_every, "--checkpoint-every")
    done = resume(recording, checkpoint_every=every, threads=threads, device=device, progress=not json)
    show(summarise(done, str(done.meta.get("network", recording))), recording, json)
