"""What the snapshots of programs have in common: arrays by name, and the memory of noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.drive import DriveState
from spikesim.errors import InvalidValueError

Saved = Mapping[str, NDArray[Any]]


def saved_array(saved: Saved, name: str, dtype: Any, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Return one array of a snapshot.

    Parameters
    ----------
    saved
        The snapshot.
    name
        Of the array.
    dtype, shape
        What it must have; any shape without one.

    Raises
    ------
    InvalidValueError
        If it is missing or has another type or shape.
    """
    found = saved.get(name)
    if found is None or found.dtype != dtype or (shape is not None and found.shape != shape):
        what = "nothing" if found is None else f"{found.dtype} {list(found.shape)}"
        wanted = f"{np.dtype(dtype)} {list(shape) if shape is not None else ''}".rstrip()
        raise InvalidValueError(
            f"the snapshot does not fit this program: {name!r} must be {wanted}, found {what}; "
            "restore it into the network, backend and precision that it was taken from"
        )
    return found


def take_noise(drives: Iterable[DriveState]) -> dict[str, NDArray[Any]]:
    """Return what drives remember between steps."""
    return {f"noise/{d.drive.name}": d.noise.copy() for d in drives if d.noise is not None}


def put_noise(drives: Iterable[DriveState], saved: Saved) -> None:
    """Give drives back what they remembered."""
    for drive in drives:
        drive.noise = saved.get(f"noise/{drive.drive.name}")
