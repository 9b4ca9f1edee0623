"""Checkpoints in files: everything that a run needs to go on exactly where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikesim.files.storage import read_value, write_value
from spikesim.network import Network

KIND, VERSION = "spikesim checkpoint", 1


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A moment of a run that writes a recording.

    Parameters
    ----------
    run
        What determines the run, and must be the same when it goes on (:func:`spikesim.checkpoint.identity`).
    network
        The network, with the seed of the run.
    every
        Seconds between checkpoints.
    seconds
        How long the run has taken so far.
    steps
        Steps done.
    rows
        Rows that each table of the recording has by then; what follows them is discarded.
    emitted, active
        The counts by then (:class:`spikesim.collect.Tally`).
    state
        Of the program (:meth:`spikesim.program.Program.snapshot`).
    """

    run: Mapping[str, Any]
    network: Network
    every: float
    seconds: float
    steps: int
    rows: Mapping[str, int]
    emitted: Mapping[str, Any]
    active: Mapping[str, Any]
    state: Mapping[str, Any]


def checkpoint_path(out: str | Path) -> Path:
    """Return where the checkpoint of a recording stands: beside it.

    >>> checkpoint_path("results/run.h5").name
    'run.checkpoint.h5'
    """
    path = Path(out)
    return path.with_name(f"{path.stem}.checkpoint{path.suffix}")


def save_checkpoint(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write a checkpoint; the one before stays until this one is whole.

    Raises
    ------
    FileAccessError
        If the file cannot be written.
    UnsupportedError
        If the network holds something that a file cannot.
    """
    write_value(checkpoint, path, KIND, VERSION)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    MissingFileError, FileAccessError
        If the file cannot be read.
    FileFormatError
        If it is foreign, damaged, truncated or newer.
    """
    return read_value(path, KIND, VERSION, Checkpoint)
