"""Sweeps in files: every finished point is added at once, and a kill at any moment leaves all that were added.

::

    (attributes)    format, version
    about           JSON: network, parameters, duration, backend, versions
    errors          JSON: the row of a failed point, and why it failed
    columns/<name>  one value per point, in the order in which they were finished: the parameters, seed,
                    failed (0 or 1), then what was found (float64, NaN where there is nothing)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.files.hdf5_snapshot import Snapshot
from spikesim.files.hdf5_stream import Stream, Table
from spikesim.sweep_table import FAILED, OK, SweepTable

KIND, VERSION = "spikesim sweep", 1
CHUNK_BYTES = 2**11  # few points, many columns
TEXT_BYTES = 64
Row = Mapping[str, Any]


class Results:
    """The file of a sweep while it grows.

    Parameters
    ----------
    path
        Where.
    about
        What is swept.
    kinds
        Type of each column that every point has (parameters, seed), by name.
    rows, errors
        Points that are there already, and why some of them failed.
    """

    def __init__(
        self,
        path: str | Path,
        about: Mapping[str, Any],
        kinds: Mapping[str, Any],
        rows: Sequence[Row],
        errors: Sequence[str],
    ) -> None:
        self.stream = Stream(path, KIND, VERSION)
        self.stream.values["about"] = json.dumps(dict(about))
        self._kinds, self._number = dict(kinds), 0
        self._errors: dict[int, str] = {}
        self._intact = True
        for row, error in zip(rows, errors, strict=True):
            self._append(row, error)
        self._commit()

    def add(self, row: Row, error: str = "") -> None:
        """Add a point; when this returns it is in the file, whatever happens to the process."""
        self._intact = False
        self._append(row, error)
        self._intact = True
        self._commit()

    def _append(self, row: Row, error: str) -> None:
        if error:
            self._errors[self._number] = error
        everything = {**row, "failed": int(bool(error))}
        tables = self.stream.tables
        for name in everything:
            if f"columns/{name}" not in tables:
                self._new_column(name, everything[name])
        for path, table in tables.items():
            value = everything.get(path.removeprefix("columns/"))
            table.append(_missing(table, 1) if value is None else _stored(value, table))
        self._number += 1

    def _new_column(self, name: str, value: Any) -> None:
        dtype = np.dtype(self._kinds.get(name, np.int8 if name == "failed" else kind_of([value])))
        table = self.stream.table(f"columns/{name}", dtype, np.shape(value), chunk_bytes=CHUNK_BYTES)
        table.append(_missing(table, self._number))  # the points before had none

    def _commit(self) -> None:
        self.stream.values["errors"] = json.dumps(self._errors)
        self.stream.commit()

    def close(self) -> None:
        """Commit for the last time and close; a point that was added half is left out."""
        self.stream.close() if self._intact else self.stream.abandon()


def kind_of(values: Sequence[Any]) -> Any:
    """Return the type of a column that holds some values: numbers if all of them are, otherwise text.

    >>> kind_of([1, 2]), kind_of([1, 2.5]), kind_of(["soft", 1])
    (<class 'numpy.int64'>, <class 'numpy.float64'>, 'S64')
    """
    if any(isinstance(v, (bool, str)) for v in values):
        return f"S{TEXT_BYTES}"
    whole = all(isinstance(v, (int, np.integer)) for v in values)
    return np.int64 if whole else np.float64


def _missing(table: Table, rows: int) -> NDArray[Any]:
    return np.full((rows, *table.row_shape), b"" if table.dtype.kind == "S" else np.nan, table.dtype)


def _stored(value: Any, table: Table) -> NDArray[Any]:
    if np.shape(value) != table.row_shape:
        raise InvalidValueError(
            f"measure must return arrays of one shape, found {list(np.shape(value))} after {list(table.row_shape)}"
        )
    if table.dtype.kind != "S":
        return np.asarray(value, table.dtype)[None]
    raw = str(value).encode()
    if len(raw) > TEXT_BYTES:
        raise InvalidValueError(f"text in a sweep may have {TEXT_BYTES} bytes, found {value!r}; give it a shorter name")
    return np.array([raw], table.dtype)


def read_sweep(path: str | Path) -> SweepTable:
    """Read the results of a sweep; see :func:`spikesim.load_sweep`."""
    snapshot = Snapshot(path, KIND, VERSION)
    try:
        with snapshot, h5py.File(snapshot, "r") as file:
            about, errors = json.loads(file["about"][()]), json.loads(file["errors"][()])
            columns = {name: _read(values) for name, values in file["columns"].items()} if "columns" in file else {}
            return _table(about, errors, columns)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise FileFormatError(f"{str(path)!r} is damaged: {error}; restore it from a copy") from None


def _read(values: h5py.Dataset) -> NDArray[Any]:
    found: NDArray[Any] = values[()]
    return np.char.decode(found, "utf-8") if found.dtype.kind == "S" else found


def _table(about: dict[str, Any], errors: dict[str, str], columns: dict[str, NDArray[Any]]) -> SweepTable:
    failed = columns.pop("failed", np.zeros(0, np.int8))
    first = [*about["parameters"], "seed"]
    keys = [columns.pop(name, np.zeros(0, np.int64)) for name in first]
    order = np.lexsort(keys[::-1])
    why = np.array([errors.get(str(k), "") for k in range(len(failed))], dtype=str).reshape(len(failed))
    found = dict(zip(first, keys, strict=True))
    found |= {"status": np.where(failed, FAILED, OK), "error": why}
    found |= {name: columns[name] for name in _in_order(columns)}
    return SweepTable(about, {name: values[order] for name, values in found.items()})


def _in_order(names: Mapping[str, Any]) -> list[str]:
    """Return the columns in the order of :class:`SweepTable`; a file gives them in that of the alphabet."""
    known = ["spikes", "mean_rate_hz", "cv_isi", "synaptic_events", "sim_s"]
    groups = [known, *([n for n in names if n.startswith(prefix)] for prefix in ("rate_", "cv_"))]
    first = list(dict.fromkeys(n for group in groups for n in group if n in names))
    return [*first, *(n for n in names if n not in first)]
