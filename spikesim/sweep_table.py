"""The results of a sweep as a table: one row per point, sorted by parameters, then seed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import UnknownNameError

OK, FAILED = "ok", "failed"


@dataclass(frozen=True, eq=False)
class SweepTable:
    """What a sweep found.

    Parameters
    ----------
    about
        What was swept: network, parameters, duration, backend, versions.
    columns
        By name, one value per point: the parameters, ``seed``, ``status`` (``"ok"`` or ``"failed"``), ``error``,
        ``spikes``, ``mean_rate_hz``, ``cv_isi``, ``synaptic_events``, ``sim_s`` (seconds),
        ``rate_<population>`` (Hz), ``cv_<population>``, what was measured, ``recording``. What a failed point lacks is
        NaN.
    interrupted
        Whether Ctrl-C ended the sweep before all points were done.
    """

    about: Mapping[str, Any]
    columns: Mapping[str, NDArray[Any]]
    interrupted: bool = False

    def __len__(self) -> int:
        return len(self.columns["seed"])

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return a column."""
        if column not in self.columns:
            raise UnknownNameError("column", column, list(self.columns))
        return self.columns[column]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that vary."""
        return tuple(self.about["parameters"])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the points as dictionaries of plain values."""
        for k in range(len(self)):
            yield {name: column[k].tolist() for name, column in self.columns.items()}

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns as lists of plain values: ``pandas.DataFrame(table.to_dict())`` works."""
        return {name: column.tolist() for name, column in self.columns.items()}

    def to_csv(self, path: str | Path) -> None:
        """Write the table as comma-separated values; arrays become JSON lists, what is missing stays empty."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            for row in self.rows():
                writer.writerow([_cell(value) for value in row.values()])

    def averaged(self) -> list[dict[str, Any]]:
        """Return one row per combination of parameters: the means over its seeds, leaving out failed points.

        ``seeds`` says how many have been averaged, ``failed`` how many failed.
        """
        groups: dict[tuple[Any, ...], list[int]] = {}
        for k in range(len(self)):
            groups.setdefault(tuple(self.columns[p][k].tolist() for p in self.parameters), []).append(k)
        numbers = [n for n, c in self.columns.items() if c.dtype.kind in "iuf" and c.ndim == 1]
        numbers = [n for n in numbers if n not in (*self.parameters, "seed")]
        return [self._mean(key, members, numbers) for key, members in groups.items()]

    def _mean(self, key: tuple[Any, ...], members: Sequence[int], numbers: Sequence[str]) -> dict[str, Any]:
        good = [k for k in members if self.columns["status"][k] == OK]
        found = {**dict(zip(self.parameters, key, strict=True)), "seeds": len(good), "failed": len(members) - len(good)}
        return found | {name: _mean(self.columns[name][good]) for name in numbers}


def _mean(values: NDArray[Any]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps(value)
    if isinstance(value, float):
        return "" if np.isnan(value) else repr(int(value) if value.is_integer() and abs(value) < 2**53 else value)
    return value
