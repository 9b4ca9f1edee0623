"""Checkpoints of training in files: everything that it needs to go on with the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikesim.files.storage import read_value, write_value

KIND, VERSION = "spikesim training checkpoint", 1


@dataclass(frozen=True, eq=False)
class TrainingState:
    """A moment of training, between two batches.

    Parameters
    ----------
    identity
        What determines the training, and must be the same when it goes on.
    command
        Options of the command line that began it; empty if none did.
    history
        The figures of each epoch done (:class:`spikesim.train.Epoch`).
    batch
        Batches done in the epoch under way.
    sums
        Of the epoch under way: loss and score by samples, samples, seconds, checksum of a stream.
    module
        Parameters and buffers, by name.
    optimiser
        State of each parameter, by its number and name.
    best
        The module's state after the best epoch so far; empty if it is not kept.
    begun, random
        States of the random number generators when the epoch began, and now.
    """

    identity: Mapping[str, Any]
    command: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    batch: int
    sums: Mapping[str, float]
    module: Mapping[str, Any]
    optimiser: Mapping[str, Any]
    best: Mapping[str, Any]
    begun: Mapping[str, Any]
    random: Mapping[str, Any]


def save_training(state: TrainingState, path: str | Path) -> None:
    """Write a checkpoint; the one before stays until this one is whole.

    Raises
    ------
    FileAccessError
        If the file cannot be written.
    """
    write_value(state, path, KIND, VERSION)


def load_training(path: str | Path) -> TrainingState:
    """Read a checkpoint.

    Raises
    ------
    MissingFileError, FileAccessError
        If the file cannot be read.
    FileFormatError
        If it is foreign, damaged, truncated or newer.
    """
    return read_value(path, KIND, VERSION, TrainingState)
