"""A profile as an HDF5 file, for whoever reads numbers with other tools.

::

    (attributes)                                        format, version, network, steps, samples, dt_s
    profile                                             JSON: everything; what is read back
    per_sample/<part>/<item>/<quantity>                 int64 [samples]
    layers/<field>, projections/<field>                 one row per layer or projection; statistics as [rows, 4]:
                                                        mean, sd, p5, p95; NaN where not known
    energy/<device>/joules                              [terms + 1, 3]: low, nominal, high of each term and the total
    energy/<device>/terms                               their names, JSON
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileFormatError, MissingFileError
from spikesim.files.hdf5_snapshot import Snapshot
from spikesim.files.hdf5_stream import Stream
from spikesim.profile.bill import Bill
from spikesim.profile.layers import Stat
from spikesim.profile.quantity import Energy, Record
from spikesim.profile.value import Profile

KIND, VERSION = "spikesim profile", 1


def write_profile(profile: Profile, path: str | Path) -> None:
    """Write a profile; another profile there is replaced, anything else is not overwritten.

    Raises
    ------
    FileAccessError
        If the file cannot be written.
    """
    stream = Stream(path, KIND, VERSION)
    try:
        stream.attributes |= {"network": profile.network, "steps": profile.steps, "samples": profile.samples}
        stream.attributes["dt_s"] = profile.dt_s
        stream.values["profile"] = profile.to_json()
        for s in profile.per_sample:
            stream.values[f"per_sample/{s.part}/{_safe(s.item)}/{s.quantity}"] = np.array(s.values, np.int64)
        stream.values |= _columns("layers", profile.layers) | _columns("projections", profile.projections)
        for name, bill in profile.bills.items():
            stream.values[f"energy/{name}/joules"] = _joules(bill)
            stream.values[f"energy/{name}/terms"] = json.dumps([*(t.name for t in bill.terms), "total"])
    except BaseException:
        stream.abandon()
        raise
    stream.close()


def _safe(name: str) -> str:
    return name.replace("/", "_")  # HDF5's separator


def _columns(group: str, rows: Sequence[Record]) -> dict[str, NDArray[Any] | str]:
    columns: dict[str, NDArray[Any] | str] = {}
    for field in type(rows[0]).model_fields if rows else ():
        values = [getattr(row, field) for row in rows]
        if any(isinstance(v, Stat) for v in values):
            columns[f"{group}/{field}"] = np.array([_four(v) for v in values])
        elif all(isinstance(v, (int, float)) for v in values):
            columns[f"{group}/{field}"] = np.array(values, np.float64)
        elif all(isinstance(v, str) for v in values):
            columns[f"{group}/{field}"] = json.dumps(values)
    return columns


def _four(value: Stat | None) -> list[float]:
    return [np.nan] * 4 if value is None else [value.mean, value.sd, value.p5, value.p95]


def _joules(bill: Bill) -> NDArray[np.float64]:
    def three(energy: Energy | None) -> list[float]:
        return [np.nan] * 3 if energy is None else [energy.low_j, energy.nominal_j, energy.high_j]

    return np.array([*(three(t.energy) for t in bill.terms), three(bill.total)])


def read_profile(path: str | Path) -> Profile:
    """Read a profile from an HDF5 or JSON file.

    Raises
    ------
    FileFormatError
        If it is something else.
    MissingFileError, FileAccessError
        If it cannot be read.
    """
    path = Path(path)
    if path.suffix == ".json":
        if not path.is_file():
            raise MissingFileError(f"no profile at {str(path)!r}: the file does not exist")
        return Profile.from_json(path.read_text("utf-8", errors="replace"))
    with Snapshot(path, KIND, VERSION) as snapshot:
        try:
            with h5py.File(snapshot, "r") as file:
                text = file["profile"][()]
        except (OSError, RuntimeError, KeyError) as error:
            raise FileFormatError(f"{str(path)!r} is damaged: {error}; restore it from a copy") from None
    return Profile.from_json(text.decode("utf-8") if isinstance(text, bytes) else str(text))


def holds_profile(path: str | Path) -> bool:
    """Tell whether a file holds a profile, by its first bytes."""
    with Path(path).open("rb") as file:
        return file.read(64).lstrip().startswith((b"{\n", b'{"network"', b'{"format": "spikesim profile"'))
