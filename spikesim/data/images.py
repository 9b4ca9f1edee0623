"""MNIST and Fashion-MNIST from the standard four IDX files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.data import places
from spikesim.data.dataset import Dataset
from spikesim.data.idx import read_idx
from spikesim.errors import FileFormatError

PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")

CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
}
LICENCES = {
    "mnist": "none stated with the files; commonly given as CC BY-SA 3.0; not shipped with spikesim",
    "fashion-mnist": "MIT, Zalando SE 2017",
}
SOURCES = {
    "mnist": "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits",
    "fashion-mnist": "H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv:1708.07747",
}


def file_names(part: str) -> tuple[str, ...]:
    """Return the names under which one of the four files occurs: ``-ubyte`` or ``.idx3-ubyte``, plain or gzipped."""
    dotted = part.replace("-idx", ".idx")
    return (f"{part}-ubyte.gz", f"{part}-ubyte", f"{dotted}-ubyte.gz", f"{dotted}-ubyte")


def load_images(name: str, path: str | os.PathLike[str] | None) -> Dataset:
    """Load one of the two sets; see :func:`spikesim.data.load`."""
    found = places.find(name, tuple(file_names(part) for part in PARTS), path)
    x_train, y_train = _pair(name, found[0], found[1])
    x_test, y_test = _pair(name, found[2], found[3])
    return Dataset(
        name=name,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=CLASSES[name],
        licence=LICENCES[name],
        source=f"{SOURCES[name]}; official split, read from {found[0].parent}",
        full_scale=255.0,
    )


def _pair(name: str, image_file: Path, label_file: Path) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Read images and labels, and refuse files that do not belong together."""
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.ndim != 3:
        raise FileFormatError(f"{image_file}: found {images.ndim} axes; images have 3 (samples, rows, columns)")
    if labels.shape != images.shape[:1]:
        raise FileFormatError(
            f"{label_file}: found labels of shape {labels.shape} for {len(images)} images in {image_file.name}; "
            "the two files do not belong together"
        )
    if labels.size and labels.max() >= len(CLASSES[name]):
        raise FileFormatError(f"{label_file}: found label {labels.max()}; allowed are 0 to {len(CLASSES[name]) - 1}")
    return images, labels.astype(np.int64)
