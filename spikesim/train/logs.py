"""Logs of training: one row per epoch, in CSV, JSON lines, or for TensorBoard."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Protocol

from spikesim.errors import FileAccessError, InvalidValueError
from spikesim.optional import require
from spikesim.train.result import Epoch

COLUMNS = [f.name for f in fields(Epoch)]


class Log(Protocol):
    """Somewhere to write epochs to."""

    def begin(self, history: Sequence[Epoch]) -> None:
        """Start with the epochs that a resumed run has had already."""

    def add(self, epoch: Epoch) -> None:
        """Write an epoch."""

    def close(self) -> None:
        """Write nothing more."""


class TextLog:
    """A file with one line per epoch, written as soon as the epoch is over; CSV, or JSON objects.

    Parameters
    ----------
    path
        ``.csv``, ``.jsonl`` or ``.ndjson``. A log of an earlier training there is replaced, other files are not.

    Raises
    ------
    FileAccessError
        If the folder is missing or cannot be written to, or the file there is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.csv = path, path.suffix == ".csv"
        if not path.parent.is_dir():
            raise FileAccessError(f"{str(path)!r} cannot be written: there is no folder {str(path.parent)!r}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise FileAccessError(f"{str(path)!r} cannot be written: permission denied; choose another folder")
        if path.exists() and path.stat().st_size and not self._ours():
            raise FileAccessError(
                f"{str(path)!r} exists and is no log of a training, so none is written over it; choose another name"
            )

    def _ours(self) -> bool:
        with self.path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline()
        if self.csv:
            return first.strip() == ",".join(COLUMNS)
        try:
            row = json.loads(first)
        except ValueError:
            return False
        return isinstance(row, dict) and set(row) == set(COLUMNS)

    def begin(self, history: Sequence[Epoch]) -> None:
        """Write the header and the epochs so far."""
        header = ",".join(COLUMNS) + "\n" if self.csv else ""
        self.path.write_text(header + "".join(self._line(e) for e in history), encoding="utf-8")

    def add(self, epoch: Epoch) -> None:
        """Append an epoch."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self._line(epoch))

    def close(self) -> None:
        """Do nothing: every line is in the file."""

    def _line(self, epoch: Epoch) -> str:
        row = asdict(epoch)
        if not self.csv:
            return json.dumps(row) + "\n"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow("" if row[c] is None else row[c] for c in COLUMNS)
        return text.getvalue()


class TensorBoardLog:
    """Scalars for TensorBoard: every figure of an epoch, by its name.

    Parameters
    ----------
    folder
        Made if it does not exist.

    Raises
    ------
    MissingPackageError
        If tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        require("tensorboard", "a log for TensorBoard")
        if folder.exists() and not folder.is_dir():
            raise FileAccessError(f"{str(folder)!r} cannot be written: it is a file; name a folder for TensorBoard")
        self.folder = folder
        self._writer: Any = None

    def begin(self, history: Sequence[Epoch]) -> None:
        """Open a file of events; TensorBoard drops what an interrupted run wrote after the epochs so far."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self.folder), purge_step=len(history) + 1)

    def add(self, epoch: Epoch) -> None:
        """Write all figures of an epoch."""
        for name, value in asdict(epoch).items():
            if name != "number" and value is not None:
                self._writer.add_scalar(name.replace("validation_", "validation/"), value, epoch.number)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def logs(wanted: str | Path | Sequence[str | Path] | None) -> list[Log]:
    """Return the logs that were asked for: ``.csv``, ``.jsonl``, or a folder for TensorBoard (a name without suffix).

    Raises
    ------
    InvalidValueError
        If a name has another suffix.
    """
    given: Sequence[str | Path] = () if wanted is None else [wanted] if isinstance(wanted, (str, Path)) else wanted
    return [_log(Path(w)) for w in given]


def _log(path: Path) -> Log:
    if path.suffix in (".csv", ".jsonl", ".ndjson"):
        return TextLog(path)
    if path.suffix == "" or path.is_dir():
        return TensorBoardLog(path)
    raise InvalidValueError(
        f"log: found {path.name!r}; allowed are .csv, .jsonl, and a folder for TensorBoard (a name without suffix)"
    )
