"""The handwritten digits that ship with spikesim: 1797 images of 8x8 pixels."""

from __future__ import annotations

import hashlib
import io
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from spikesim.data.dataset import Dataset, split
from spikesim.errors import FileFormatError, InvalidValueError

SHA256 = "b2dab7b501728c22e9119ad76740b2e17c77a231e42d1e592380d90886f1a05e"
LICENCE = "BSD-3-Clause as part of scikit-learn; see spikesim/data/LICENSE-digits.txt"
SOURCE = "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (its test set), by scikit-learn"

FORMS = (0, 130, 256, 386, 516, 646, 776, 905, 1029, 1157, 1287, 1415, 1545, 1667)
"""First sample of each form. Every writer copied the same sequence of about 130 digits, so the labels show where a new
form begins; the file itself does not name its writers (13 people, says its description, 14 forms)."""

CUSTOMARY_TEST = 360
"""Many examples test on the file's last 360 samples. They begin in the middle of form 12."""


def read() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return all images ``[1797, 8, 8]`` (0..16) and labels ``[1797]`` in the order of the file.

    Raises
    ------
    FileFormatError
        If the shipped file is not the one that belongs to this version.
    """
    content = (files("spikesim.data") / "digits.npz").read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise FileFormatError(
            f"spikesim/data/digits.npz: found sha256 {found[:12]}..., expected {SHA256[:12]}...; "
            "the installation is damaged: reinstall spikesim"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return archive["images"], archive["labels"].astype(np.int64)


def load_digits(split_by: str, seed: int, test_fraction: float) -> Dataset:
    """Load the digits with one of the two splits; see :func:`spikesim.data.load`."""
    images, labels = read()
    if split_by == "stratified":
        train, test = split(labels, seed=seed, test_fraction=test_fraction)
        how = f"stratified split, seed {seed}, test fraction {test_fraction}"
    elif split_by == "writers":
        first = len(labels) - CUSTOMARY_TEST
        # The form that the customary cut goes through is left out of training, or its writer would be in both parts.
        train, test = np.arange(max(f for f in FORMS if f <= first)), np.arange(first, len(labels))
        how = "test: the file's last 360 samples; training: all earlier forms"
    else:
        raise InvalidValueError(f"split of 'digits': found {split_by!r}; allowed are 'stratified' and 'writers'")
    return Dataset(
        name="digits",
        x_train=images[train],
        y_train=labels[train],
        x_test=images[test],
        y_test=labels[test],
        classes=tuple("0123456789"),
        licence=LICENCE,
        source=f"{SOURCE}; {how}",
        full_scale=16.0,
    )
