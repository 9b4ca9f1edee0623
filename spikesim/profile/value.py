"""The value that a profile is, and the forms in which it is written."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.profile.baseline import Baselines
from spikesim.profile.bill import Bill
from spikesim.profile.fit import Fit
from spikesim.profile.layers import LayerProfile, ProjectionProfile
from spikesim.profile.neurobench import NeuroBench
from spikesim.profile.quantity import Record
from spikesim.profile.traffic import LayerTraffic

if TYPE_CHECKING:
    from rich.console import Group

SUFFIXES = (".json", ".csv", ".h5", ".html")


class Origin(Record):
    """Where the spikes come from.

    Parameters
    ----------
    backend
        The engine, or what else ran.
    arithmetic
        ``float64``, ``float32``, ``fixed point``; ``""`` if not known.
    seed
        Of the run.
    """

    backend: str = ""
    arithmetic: str = ""
    seed: int | None = None

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.backend, self.arithmetic))) or "unknown"


class Series(Record):
    """One count of every sample.

    Parameters
    ----------
    part, item, quantity
        ``population``, ``source`` or ``projection``; its name; what was counted.
    values
        One whole number per sample.
    """

    part: str
    item: str
    quantity: str
    values: tuple[int, ...]


class Profile(Record):
    """What a run did and what it would cost; see :func:`spikesim.profile.profile`.

    Parameters
    ----------
    network, dt_s, steps, samples
        What ran.
    origin
        On what.
    layers, projections
        Counts.
    per_sample
        The counts of every sample.
    traffic
        Packets and hops of every layer, by device.
    fits, bills
        By device.
    baselines
        The network as spiking and ordinary, on digital logic.
    neurobench_metrics
        NeuroBench's metrics; :meth:`neurobench` gives them under its names.
    """

    network: str
    dt_s: float
    steps: int
    samples: int
    origin: Origin = Origin()
    layers: tuple[LayerProfile, ...]
    projections: tuple[ProjectionProfile, ...]
    per_sample: tuple[Series, ...] = ()
    traffic: dict[str, tuple[LayerTraffic, ...]] = Field(default_factory=dict)
    fits: dict[str, Fit] = Field(default_factory=dict)
    bills: dict[str, Bill] = Field(default_factory=dict)
    baselines: Baselines | None = None
    neurobench_metrics: NeuroBench | None = None

    def table(self, long: bool = False) -> Group:
        """Return tables for a terminal (``rich`` renderables); ``long`` with every reason and assumption."""
        from spikesim.profile.tables import tables

        return tables(self, long)

    def neurobench(self) -> dict[str, Any]:
        """Return the metrics that NeuroBench gives for the same network and data, under its names.

        Where its definitions and the profile's meet, the numbers are equal; ``neurobench_metrics.notes`` says where
        they do not.
        """
        if self.neurobench_metrics is None:
            raise InvalidValueError(
                "this profile was written before NeuroBench's metrics were part of it; profile again"
            )
        return self.neurobench_metrics.as_dict()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; units are in the names, counts and energies are per sample."""
        return self.model_dump(mode="json")

    def to_json(self, path: str | Path | None = None) -> str:
        """Return JSON, and write it to a file if a path is given."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False)
        text = re.sub(r"\[[-\d.,e+\s]+\]", lambda numbers: " ".join(numbers[0].split()), text)  # a series is a line
        if path is not None:
            Path(path).write_text(text + "\n", "utf-8")
        return text

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Read what :meth:`to_json` wrote."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the text"
            raise FileFormatError(f"not a profile of spikesim: {where}: {first['msg']}") from None

    def to_csv(self, path: str | Path, per_sample: bool = False) -> None:
        """Write one tidy table: a row per number, with unit, spread or range, and evidence.

        Parameters
        ----------
        path
            The file.
        per_sample
            Also a row per count and sample.
        """
        from spikesim.profile.tidy import COLUMNS, rows

        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(rows(self, per_sample))

    def to_hdf5(self, path: str | Path) -> None:
        """Write an HDF5 file: the counts of every sample as arrays, tables of counts and energies, and JSON."""
        from spikesim.profile.hdf5 import write_profile

        write_profile(self, path)

    def to_html(self, path: str | Path) -> None:
        """Write a self-contained HTML report with plots."""
        from spikesim.report import write_profile_report

        write_profile_report(self, path)

    def save(self, path: str | Path) -> None:
        """Write a file of the kind that its suffix says: .json, .csv, .h5 or .html."""
        writers: dict[str, Callable[[Path], Any]] = {
            ".json": self.to_json,
            ".csv": self.to_csv,
            ".h5": self.to_hdf5,
            ".html": self.to_html,
        }
        suffix = Path(path).suffix
        if suffix not in writers:
            raise InvalidValueError(f"a profile is written to {', '.join(SUFFIXES)}; found {Path(path).name!r}")
        writers[suffix](Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read a profile from a .json or .h5 file.

        Raises
        ------
        FileFormatError
            If it is something else.
        MissingFileError, FileAccessError
            If it cannot be read.
        """
        from spikesim.profile.hdf5 import read_profile

        return read_profile(path)
