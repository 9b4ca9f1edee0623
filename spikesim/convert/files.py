"""Where a conversion may write: a new name, or over a file of the same format."""

from __future__ import annotations

import os
from pathlib import Path

import h5py

from spikesim.errors import FileAccessError


def target(path: str | Path, format_name: str, group: str) -> Path:
    """Return where to write, links resolved.

    Parameters
    ----------
    path
        What the user asked for.
    format_name
        For messages.
    group
        HDF5 group by which a file of the same format is known; such a file is replaced.

    Raises
    ------
    FileAccessError
        If the folder is missing, or the file there is something else; it is left as it is.
    """
    found = Path(os.path.realpath(path))
    if not found.parent.is_dir():
        folder = str(found.parent)
        raise FileAccessError(f"{str(path)!r} cannot be written: there is no folder {folder!r}; create it first")
    if found.exists() and not _holds(found, group):
        raise FileAccessError(
            f"{str(path)!r} exists and is not a {format_name} file, so none is written over it; "
            "choose another name, or delete it"
        )
    return found


def _holds(path: Path, group: str) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return group in file
    except OSError:
        return False
