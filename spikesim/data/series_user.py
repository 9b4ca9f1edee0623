"""A real-valued series of the user's: from an array, or from a text file of numbers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from spikesim.data.series_generated import Series
from spikesim.errors import FileFormatError, MissingFileError


def series_of(
    source: str | os.PathLike[str] | ArrayLike, *, name: str = "", interval: float = 1.0, lyapunov: float = float("nan")
) -> Series:
    """Return a series from an array or a CSV file.

    Parameters
    ----------
    source
        ``[time]`` or ``[time, channels]``; or a text file with one time a line, numbers separated by commas,
        semicolons, tabs or blanks. A first line that is no numbers is taken for the names of the columns.
    name
        For tables; the file's by default.
    interval, lyapunov
        See :class:`~spikesim.data.series_generated.Series`.

    Raises
    ------
    MissingFileError, FileFormatError
        If the file is not there, or a line does not hold as many numbers as the others.
    InvalidValueError
        If values are missing or not finite.

    Examples
    --------
    >>> series_of([[1.0, 2.0], [3.0, 4.0]]).channels
    2
    """
    if not isinstance(source, (str, os.PathLike)):
        return Series(name or "series", np.asarray(source, np.float64), interval, lyapunov)
    path = Path(source)
    return Series(name or path.stem, np.array(_rows(path)), interval, lyapunov)


def _rows(path: Path) -> list[list[float]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise MissingFileError(f"{path}: there is no such file; give a text file with one time a line") from None
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: is not text ({error}); a series is a text file of numbers") from error
    numbered = [(k, line) for k, line in enumerate(lines, start=1) if line.strip() and not line.startswith("#")]
    if numbered and not _is_numbers(numbered[0][1]):
        numbered = numbered[1:]
    if not numbered:
        raise FileFormatError(f"{path}: holds no numbers; a series has one time a line")
    rows, width = [], len(_cells(numbered[0][1]))
    for number, line in numbered:
        if not _is_numbers(line) or len(_cells(line)) != width:
            raise FileFormatError(f"{path}, line {number}: needs {width} numbers, found {line.strip()[:60]!r}")
        rows.append([float(cell) for cell in _cells(line)])
    return rows


def _cells(line: str) -> list[str]:
    for mark in (",", ";", "\t"):
        if mark in line:
            return line.split(mark)
    return line.split()


def _is_numbers(line: str) -> bool:
    try:
        return bool([float(cell) for cell in _cells(line)])
    except ValueError:
        return False
