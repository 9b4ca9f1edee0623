"""Spiking Heidelberg Digits and Spiking Speech Commands, in their HDF5 layout.

A file holds ``spikes/times`` (seconds) and ``spikes/units`` (channel, 0 to 699), a list of each for every recording,
``labels``, and in ``extra/keys`` what they mean (B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke, "The Heidelberg
spiking data sets for the systematic evaluation of spiking neural networks", IEEE TNNLS 33:2744, 2022, and its page).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.data import places
from spikesim.data.event_set import EventDataset, EventSamples
from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.events.value import Events
from spikesim.files.envelope import open_for_reading, write_atomically
from spikesim.rng import Stream

CHANNELS = 700
PARTS = {"shd": ("train", "test"), "ssc": ("train", "test", "valid")}
LICENCE = "CC BY 4.0"
SOURCE = "B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke, The Heidelberg spiking data sets, IEEE TNNLS 33 (2022) 2744"
REMEDY = "download {files} from https://zenkelab.org/datasets (unpack .gz), and put them into one of them"
SYNTHETIC = "SYNTHETIC: moving tones made by spikesim in the layout of SHD; no recording of speech"


def load_shd(name: str, path: str | os.PathLike[str] | None) -> EventDataset:
    """Load SHD or SSC; see :func:`spikesim.data.load`."""
    names = tuple((f"{name}_{part}.h5",) for part in PARTS[name])
    found = places.find(name, names, path, remedy=REMEDY.format(files=", ".join(n for (n,) in names)))
    parts: list[EventSamples] = []
    classes: tuple[str, ...] = ()
    synthetic = False
    for file in found:
        samples, named, made = _open(file)
        parts.append(samples)
        classes, synthetic = max(classes, named, key=len), synthetic or made
    return EventDataset(
        name, parts[0], parts[1], classes, LICENCE if not synthetic else "none needed",
        SYNTHETIC if synthetic else f"{SOURCE}; official split, read from {found[0].parent}",
        validation=parts[2] if len(parts) > 2 else None,
    )  # fmt: skip


def read_shd(path: str | os.PathLike[str]) -> EventSamples:
    """Open one file in the layout of SHD.

    Parameters
    ----------
    path
        The file; it stays open, recordings are read when asked for.

    Returns
    -------
    EventSamples
        Of 700 channels, times rounded to microseconds (SHD keeps seconds in half precision, steps of 0.5 to 1 ms).

    Raises
    ------
    MissingFileError, FileFormatError
        If the file is missing, damaged or something else.
    """
    return _open(Path(path))[0]


def _open(path: Path) -> tuple[EventSamples, tuple[str, ...], bool]:
    with open_for_reading(path, "SHD file"):
        pass  # says what is wrong if it cannot be read
    try:
        file = h5py.File(path, "r")
        times, units, labels = (file[name] for name in ("spikes/times", "spikes/units", "labels"))
        numbers = np.asarray(labels[()], np.int64)
        keys = [_text(k) for k in file["extra/keys"][()]] if "extra/keys" in file else []
    except Exception as error:  # h5py raises nearly anything on a damaged file
        raise FileFormatError(
            f"{path}: cannot be read ({error}); needed is HDF5 with spikes/times, spikes/units and labels, unpacked"
        ) from error
    if not len(times) == len(units) == len(numbers):
        raise FileFormatError(
            f"{path}: holds {len(times)} times, {len(units)} units, {len(numbers)} labels; must agree"
        )
    highest = int(numbers.max()) if len(numbers) else -1
    classes = tuple(keys) if len(keys) > highest else tuple(str(k) for k in range(highest + 1))
    samples = EventSamples(lambda k: _recording(path, k, times, units), numbers, (CHANNELS,))
    return samples, classes, bool(file.attrs.get("synthetic", False))


def _recording(path: Path, k: int, times: Any, units: Any) -> Events:
    try:
        t = np.asarray(times[k], np.float64)
        if not np.isfinite(t).all():
            raise InvalidValueError("a time is not finite")
        return Events.channels(np.rint(t * 1e6).astype(np.int64), np.asarray(units[k], np.int64), CHANNELS)
    except Exception as error:  # see above
        raise FileFormatError(f"{path}, recording {k}: {error}; download the file again") from error


def _text(key: Any) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def write_shd(
    path: str | os.PathLike[str], recordings: Iterable[Events], labels: Iterable[int], classes: Iterable[str] = (),
    *, synthetic: bool = True,
) -> None:  # fmt: skip
    """Write recordings in the layout of SHD.

    Parameters
    ----------
    path
        The file, written whole or not at all.
    recordings
        Events of 700 channels; times are stored in half precision, as SHD has them.
    labels
        Class of each.
    classes
        Names of the classes.
    synthetic
        Kept as an attribute, so that no reader takes the file for the published data.
    """
    all_events, numbers = list(recordings), np.asarray(list(labels), np.uint64)
    if len(all_events) != len(numbers) or any(e.shape != (CHANNELS,) for e in all_events):
        raise InvalidValueError(
            f"write_shd: found {len(all_events)} recordings and {len(numbers)} labels; allowed are as many of both, "
            f"recordings of {CHANNELS} channels"
        )

    def write(file: Any) -> None:
        with h5py.File(file, "w") as hdf5:
            for name, kind in (("times", np.float16), ("units", np.uint16)):
                column = hdf5.create_dataset(f"spikes/{name}", (len(numbers),), h5py.vlen_dtype(kind))
                for k, events in enumerate(all_events):
                    column[k] = (events.t * 1e-6 if name == "times" else events.x).astype(kind)
            hdf5["labels"] = numbers
            hdf5["extra/keys"] = np.array([c.encode() for c in classes], "S")
            hdf5.attrs["synthetic"] = synthetic

    write_atomically(Path(path), write)


def synthetic_shd(
    folder: str | os.PathLike[str], *, train: int = 200, test: int = 100, classes: int = 20, seed: int = 0
) -> Path:
    """Write ``shd_train.h5`` and ``shd_test.h5`` with made-up recordings: they are not speech.

    Each class is a few tones that move over the channels in its own way; a recording varies tempo, pitch and spikes.

    Parameters
    ----------
    folder
        Where; it must exist.
    train, test
        Number of recordings in each part.
    classes
        Number of classes, at most as many as recordings in a part.
    seed
        The same seed gives the same files' contents.

    Returns
    -------
    pathlib.Path
        The folder, for ``load("shd", path=...)``.
    """
    target = Path(folder)
    for part, n, first in (("train", train, 0), ("test", test, train)):
        numbers = first + np.arange(n)
        write_shd(
            target / f"shd_{part}.h5", [_tones(int(k) % classes, int(k), seed) for k in numbers],
            (numbers % classes).tolist(), [f"synthetic {k}" for k in range(classes)],
        )  # fmt: skip
    return target


def _tones(label: int, number: int, seed: int, tones: int = 4, spikes: int = 300) -> Events:
    """Return one made-up recording: each tone goes from one channel to another, with scatter."""
    kind = Stream(seed, "data/synthetic_shd/class").uniform(2 * tones, step=label).reshape(2, tones)
    stream = Stream(seed, "data/synthetic_shd/recording")
    tempo, pitch = stream.uniform(2, step=number)
    share = stream.uniform(tones * spikes, step=number, offset=64).reshape(tones, spikes)
    scatter = stream.child("scatter").normal(tones * spikes, step=number).reshape(tones, spikes)
    start, end = kind * 600 + 50
    channel = start[:, None] + (end - start)[:, None] * share + 40 * (pitch - 0.5) + 8 * scatter
    t = (0.6 + 0.4 * tempo) * (share + 0.1 * kind[:1].T) * 1e6
    x: NDArray[np.int64] = np.clip(np.rint(channel), 0, CHANNELS - 1).astype(np.int64)
    return Events.channels(np.rint(t).astype(np.int64).ravel(), x.ravel(), CHANNELS)
