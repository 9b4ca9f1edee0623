"""Classified time series: Japanese Vowels, BasicMotions, and a reader for their ``.ts`` format."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.data import places
from spikesim.data.dataset import Dataset
from spikesim.errors import FileFormatError

FILES = {
    "japanese-vowels": ("JapaneseVowels_TRAIN.ts", "JapaneseVowels_TEST.ts"),
    "basic-motions": ("BasicMotions_TRAIN.ts", "BasicMotions_TEST.ts"),
}
LICENCES = {
    "japanese-vowels": "BSD-3-Clause as part of aeon; the data are from the UCI Machine Learning Repository",
    "basic-motions": "BSD-3-Clause as part of aeon; the data are from the UEA archive",
}
SOURCES = {
    "japanese-vowels": (
        "M. Kudo, J. Toyama, M. Shimbo, Multidimensional curve classification using passing-through regions, "
        "Pattern Recognition Letters 20 (1999) 1103; one step is 6.4 ms; official split"
    ),
    "basic-motions": (
        "A. Bagnall et al., The UEA multivariate time series classification archive, arXiv:1811.00075; accelerometer "
        "and gyroscope of a smart watch, one step is 100 ms; official split"
    ),
}
CLASS_NAMES = {"japanese-vowels": "speaker {}"}


def read_ts(path: str | os.PathLike[str]) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Read a ``.ts`` file of classified time series.

    Parameters
    ----------
    path
        Text file: ``#`` comments, ``@`` header lines, ``@data``, then one sample a line, its channels separated by
        colons, the values of a channel by commas, the class after the last colon.

    Returns
    -------
    series, labels
        One array ``[time, channels]`` and one label for each sample.

    Raises
    ------
    FileFormatError
        If the file is not of that form, has time stamps, or misses values.
    """
    header, body = _parts(Path(path))
    if header.get("timestamps", "false") != "false":
        raise FileFormatError(f"{path}: has time stamps; allowed are equally spaced series (@timeStamps false)")
    series, labels = [], []
    for number, line in body:
        *channels, label = line.split(":")
        try:
            values = [np.array(c.split(","), dtype=np.float64) for c in channels]
            sample = np.stack(values, axis=1)
            if not np.isfinite(sample).all():
                raise ValueError("a value is missing or not finite")
        except ValueError as error:
            raise FileFormatError(
                f"{path}, line {number}: {error}; allowed are channels of equal length, numbers separated by commas"
            ) from error
        series.append(sample)
        labels.append(label.strip())
    if not series:
        raise FileFormatError(f"{path}: holds no sample; fetch or copy the file again")
    return series, labels


def _parts(path: Path) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """Split a file into its header (keys in lower case) and its numbered data lines."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: is not text ({error}); a .ts file is") from error
    header: dict[str, str] = {}
    for at, line in enumerate(lines):
        if line.strip().lower() == "@data":
            return header, [(n, row) for n, row in enumerate(lines[at + 1 :], start=at + 2) if row.strip()]
        if line.startswith("@"):
            key, _, value = line[1:].partition(" ")
            header[key.lower()] = value.strip()
    raise FileFormatError(f"{path}: has no line '@data'; a .ts file has one before its samples")


def load_series(name: str, path: str | os.PathLike[str] | None) -> Dataset:
    """Load one of the sets, every sample padded with zeros to the longest; see :func:`spikesim.data.load`."""
    train_file, test_file = places.find(name, tuple((file,) for file in FILES[name]), path)
    train, train_labels = read_ts(train_file)
    test, test_labels = read_ts(test_file)
    channels = {s.shape[1] for s in (*train, *test)}
    if len(channels) != 1:
        raise FileFormatError(f"{train_file.parent}: samples have {sorted(channels)} channels; all must have the same")
    classes = tuple(sorted(set(train_labels)))
    if foreign := set(test_labels) - set(classes):
        raise FileFormatError(f"{test_file}: class {min(foreign)!r} does not occur in {train_file.name}")
    longest = max(len(s) for s in (*train, *test))
    return Dataset(
        name=name,
        x_train=_padded(train, longest),
        y_train=np.array([classes.index(label) for label in train_labels], dtype=np.int64),
        x_test=_padded(test, longest),
        y_test=np.array([classes.index(label) for label in test_labels], dtype=np.int64),
        classes=tuple(CLASS_NAMES.get(name, "{}").format(c) for c in classes),
        licence=LICENCES[name],
        source=SOURCES[name],
        lengths_train=_lengths(train, longest),
        lengths_test=_lengths(test, longest),
    )


def _lengths(series: list[NDArray[np.float64]], longest: int) -> NDArray[np.int64] | None:
    """Return the lengths, or None if all are the longest."""
    found = np.array([len(s) for s in series], dtype=np.int64)
    return None if (found == longest).all() else found


def _padded(series: list[NDArray[np.float64]], longest: int) -> NDArray[np.float64]:
    out = np.zeros((len(series), longest, series[0].shape[1]))
    for row, values in zip(out, series, strict=True):
        row[: len(values)] = values
    return out
