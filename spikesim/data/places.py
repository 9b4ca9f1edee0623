"""Where data files are looked for and kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from spikesim.errors import MissingDataError

SYSTEM = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
"""Folders that a system package fills (Debian's dataset-fashion-mnist)."""

TORCHVISION = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw"}
"""Where torchvision keeps the same files below its root, so that a user's copy is found."""


def home() -> Path:
    """Return the folder that ``spikesim data fetch`` writes to: $SPIKESIM_DATA, or the user's cache."""
    chosen = os.environ.get("SPIKESIM_DATA")
    return Path(chosen).expanduser() if chosen else _user_cache() / "spikesim" / "data"


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def folders(name: str, path: str | os.PathLike[str] | None = None) -> list[Path]:
    """List the folders where the files of a data set are looked for, in order.

    Parameters
    ----------
    name
        The data set, such as ``"mnist"``.
    path
        The user's own folder. If given, no other is looked into: a wrong path must not be answered with other data.
    """
    if path is not None:
        return [Path(path).expanduser()]
    # $SPIKESIM_DATA replaces the cache for writing, but what was fetched into the cache before is still found.
    roots = dict.fromkeys([home(), _user_cache() / "spikesim" / "data"])
    places = [root / inner for root in roots for inner in (name, TORCHVISION.get(name)) if inner]
    return [*places, SYSTEM[name]] if name in SYSTEM else places


def find(
    name: str,
    stems: tuple[tuple[str, ...], ...],
    path: str | os.PathLike[str] | None = None,
    *,
    remedy: str = "",
) -> list[Path]:
    """Return one file for each entry, all from the first folder that has them all.

    Parameters
    ----------
    name
        The data set.
    stems
        For each file the names it may have; a name with a slash at its end is a folder's.
    path
        See :func:`folders`.
    remedy
        What to do if they are nowhere; by default to fetch them.

    Raises
    ------
    MissingDataError
        If no folder has them all; the message lists the folders.
    """
    places = folders(name, path)
    for folder in places:
        hits = [next((folder / n for n in names if _there(folder, n)), None) for names in stems]
        found = [hit for hit in hits if hit is not None]
        if len(found) == len(stems):
            return found
    wanted = ", ".join(names[0] for names in stems)
    default = f"run: spikesim data fetch {name}, or put {wanted} into one of them"
    raise MissingDataError(name, [str(p) for p in places], remedy or default)


def _there(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() if name.endswith("/") else (folder / name).is_file()
