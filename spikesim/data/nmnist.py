"""N-MNIST from its folders of ``.bin`` files, and a synthetic stand-in made of any set of images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikesim.data import places
from spikesim.data.dataset import Dataset
from spikesim.data.event_set import EventDataset, EventSamples
from spikesim.errors import FileAccessError, FileFormatError, InvalidValueError
from spikesim.events.dvs import saccades
from spikesim.events.files import read_events, write_events
from spikesim.events.nmnist import SHAPE
from spikesim.events.value import Events

FOLDERS = (("Train/",), ("Test/",))
LICENCE = "CC BY-SA 4.0"
SOURCE = "G. Orchard, A. Jayawant, G. Cohen, N. Thakor, Converting static image datasets, Front. Neurosci. 9:437 (2015)"
REMEDY = (
    "download and unpack Train.zip and Test.zip of N-MNIST (https://www.garrickorchard.com/datasets/n-mnist) into one "
    "of them; data.synthetic_nmnist() makes a stand-in"
)


def load_nmnist(path: str | os.PathLike[str] | None) -> EventDataset:
    """Load N-MNIST from ``Train/0..9/*.bin`` and ``Test/0..9/*.bin``; see :func:`spikesim.data.load`."""
    train, test = places.find("n-mnist", FOLDERS, path, remedy=REMEDY)
    source = f"{SOURCE}; official split, read from {train.parent}"
    return EventDataset("n-mnist", _part(train), _part(test), tuple("0123456789"), LICENCE, source)


def _part(folder: Path) -> EventSamples:
    files = [file for k in range(10) for file in sorted((folder / str(k)).glob("*.bin"))]
    if not files:
        raise FileFormatError(f"{folder}: holds no file 0/*.bin to 9/*.bin; unpack the archive of N-MNIST there")
    labels = np.array([int(file.parent.name) for file in files])
    return EventSamples(lambda k: read_events(files[k], SHAPE), labels, SHAPE)


def synthetic_nmnist(images: Dataset | None = None, *, seed: int = 0, **settings: float) -> EventDataset:
    """Make recordings of images as a moving camera would see them: synthetic, not recorded.

    Parameters
    ----------
    images
        Such as ``load("mnist")``; the shipped digits by default. Smaller images are enlarged to about 28 pixels.
    seed
        Of the camera.
    **settings
        See :func:`spikesim.events.saccades`.

    Returns
    -------
    EventDataset
        Of the shape of N-MNIST; a recording is made when it is asked for (some milliseconds).

    Examples
    --------
    >>> made = synthetic_nmnist()
    >>> made
    <EventDataset 'synthetic n-mnist of digits': 1438 training + 359 test recordings of 2 x 34 x 34, 10 classes>
    >>> events, label = made.train[0]
    >>> len(events) > 1000
    True
    """
    if images is None:
        from spikesim.data.catalogue import load

        images = load("digits")
    if images.x_train.ndim != 3 or max(images.x_train.shape[1:]) > SHAPE[1]:
        raise InvalidValueError(
            f"synthetic_nmnist: samples of {images.name!r} are {list(images.x_train.shape[1:])}; allowed are "
            f"images of at most {SHAPE[1]} x {SHAPE[2]}"
        )
    scaled = images.scaled()

    def part(x: NDArray[np.float64], y: NDArray[np.int64]) -> EventSamples:
        def read(k: int) -> Events:
            return saccades(_enlarged(x[k]), seed=seed, **settings)  # type: ignore[arg-type]

        return EventSamples(read, y, SHAPE)

    return EventDataset(
        f"synthetic n-mnist of {images.name}", part(scaled.x_train, images.y_train),
        part(scaled.x_test, images.y_test), images.classes, images.licence,
        f"SYNTHETIC: a model of a moving event camera looks at images; no recording. Images: {images.source}",
    )  # fmt: skip


def _enlarged(image: NDArray[np.float64]) -> NDArray[np.float64]:
    factor = max(1, 28 // max(image.shape))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def write_nmnist(folder: str | os.PathLike[str], dataset: EventDataset) -> Path:
    """Write an event data set as folders and files of N-MNIST.

    Parameters
    ----------
    folder
        Gets ``Train`` and ``Test``; what is there already is refused.
    dataset
        Recordings that fit the format: 34 x 34 pixels, at most 8 s.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    target = Path(folder)
    for name, samples in (("Train", dataset.train), ("Test", dataset.test)):
        if (target / name).exists():
            raise FileAccessError(f"{target / name} exists already; choose another folder, or delete it")
        for k in range(len(samples)):
            events, label = samples[k]
            place = target / name / str(label)
            place.mkdir(parents=True, exist_ok=True)
            write_events(place / f"{k + 1:05d}.bin", events)
    return target
