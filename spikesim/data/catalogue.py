"""The data sets by name: what each is, and how it is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, overload

from spikesim.data import digits, images, nmnist, places, series, shd
from spikesim.data.dataset import Dataset
from spikesim.data.event_set import EventDataset
from spikesim.errors import InvalidValueError, MissingDataError, UnknownNameError

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Entry:
    """What is known of a data set without loading it.

    Parameters
    ----------
    name
        Name for :func:`load`.
    summary
        One line: what, how many, which shape.
    licence
        Terms.
    source
        Origin.
    shipped
        Whether it comes with spikesim.
    files
        The files it needs, each with its possible names; empty if shipped.
    remedy
        How to get it, if ``spikesim data fetch`` cannot.
    """

    name: str
    summary: str
    licence: str
    source: str
    shipped: bool = False
    files: tuple[tuple[str, ...], ...] = ()
    remedy: str = ""

    def where(self) -> str:
        """Return the folder that holds it, ``"shipped"``, or an empty string if it is not on this machine."""
        if self.shipped:
            return "shipped"
        try:
            return str(places.find(self.name, self.files)[0].parent)
        except MissingDataError:
            return ""

    def how(self) -> str:
        """Say in one sentence how to get it."""
        if not self.remedy:
            return f"run: spikesim data fetch {self.name}"
        return self.remedy.replace("one of them", str(places.folders(self.name)[0]))


def _idx(name: str, summary: str) -> Entry:
    files = tuple(images.file_names(part) for part in images.PARTS)
    return Entry(name, summary, images.LICENCES[name], images.SOURCES[name], files=files)


def _series(name: str, summary: str) -> Entry:
    files = tuple((file,) for file in series.FILES[name])
    return Entry(name, summary, series.LICENCES[name], series.SOURCES[name], files=files)


def _heidelberg(name: str, summary: str) -> Entry:
    files = tuple((f"{name}_{part}.h5",) for part in shd.PARTS[name])
    remedy = shd.REMEDY.format(files=", ".join(file for (file,) in files))
    return Entry(name, summary, shd.LICENCE, shd.SOURCE, files=files, remedy=remedy)


CATALOGUE = {
    entry.name: entry
    for entry in (
        Entry("digits", "1797 handwritten digits, 8x8, 0..16", digits.LICENCE, digits.SOURCE, shipped=True),
        _idx("mnist", "60000 + 10000 handwritten digits, 28x28, 0..255"),
        _idx("fashion-mnist", "60000 + 10000 pieces of clothing, 28x28, 0..255"),
        _series("japanese-vowels", "270 + 370 utterances of nine speakers, 12 coefficients, 7 to 29 steps"),
        _series("basic-motions", "40 + 40 movements of a smart watch in four classes, 6 channels, 100 steps"),
        _heidelberg("shd", "8156 + 2264 spoken digits in two languages, events of 700 channels, 20 classes"),
        _heidelberg("ssc", "75466 + 20382 spoken commands, and 9981 for choosing, events of 700 channels, 35 classes"),
        Entry(
            "n-mnist",
            "60000 + 10000 digits seen by a moving event camera, 2 x 34 x 34, 0.3 s",
            nmnist.LICENCE,
            nmnist.SOURCE,
            files=nmnist.FOLDERS,
            remedy=nmnist.REMEDY,
        ),
    )
}


def list_datasets() -> list[str]:
    """Return the names that :func:`load` knows.

    Examples
    --------
    >>> list_datasets()
    ['digits', 'mnist', 'fashion-mnist', 'japanese-vowels', 'basic-motions', 'shd', 'ssc', 'n-mnist']
    """
    return list(CATALOGUE)


def dataset_rows() -> list[tuple[str, str, str, str]]:
    """Return name, summary, licence and place (or how to fetch it) of each data set, for a table."""
    return [(e.name, e.summary, e.licence, e.where() or f"absent; {e.how()}") for e in CATALOGUE.values()]


def info(name: str) -> Entry:
    """Return what is known of a data set without loading it.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    """
    if name not in CATALOGUE:
        raise UnknownNameError("data set", name, list(CATALOGUE))
    return CATALOGUE[name]


@overload
def load(name: Literal["shd", "ssc", "n-mnist"], *, path: PathLike | None = None) -> EventDataset: ...  # type: ignore[overload-overlap]
@overload
def load(
    name: str,
    *,
    path: PathLike | None = None,
    split: str | None = None,
    seed: int | None = None,
    test_fraction: float | None = None,
) -> Dataset: ...
def load(
    name: str,
    *,
    path: PathLike | None = None,
    split: str | None = None,
    seed: int | None = None,
    test_fraction: float | None = None,
) -> Dataset | EventDataset:
    """Load a data set.

    Parameters
    ----------
    name
        One of :func:`list_datasets`.
    path
        Folder with the files of a set that is not shipped. Without it they are looked for in ``$SPIKESIM_DATA/<name>``,
        in the user's cache, in torchvision's layout below both, and where Debian's package puts them.
    split
        Digits only. ``"stratified"`` (default): a seeded test part with the same fraction of each class.
        ``"writers"``: tests on the file's last 360 samples, as is customary, and trains on the forms before them, which
        other people wrote; the 22 samples that one form has before the cut are in neither part. The other sets have
        an official split.
    seed, test_fraction
        Of the stratified split; 0 and 0.2 by default.

    Returns
    -------
    Dataset or EventDataset
        Fresh arrays; or, of the sets of events, recordings that are read when asked for.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    MissingDataError
        If it is not on this machine; says where it was looked for and how to get it.
    FileFormatError
        If a file is damaged or foreign.
    InvalidValueError
        If an option does not apply to the data set.

    Examples
    --------
    >>> load("digits", seed=1)
    <Dataset 'digits': 1438 training + 359 test samples of 8x8 uint8, 10 classes>
    >>> load("digits", split="writers")
    <Dataset 'digits': 1415 training + 360 test samples of 8x8 uint8, 10 classes>
    """
    if not info(name).shipped:
        _refuse(name, "has an official split", split=split, seed=seed, test_fraction=test_fraction)
        return _FROM_FILES[name](path)
    _refuse(name, "is shipped", path=path)
    if split == "writers":
        _refuse(name, "has one split by writers", seed=seed, test_fraction=test_fraction)
    return digits.load_digits(
        split or "stratified",
        seed=0 if seed is None else seed,
        test_fraction=0.2 if test_fraction is None else test_fraction,
    )


def _refuse(name: str, why: str, **options: object) -> None:
    """Refuse options that the data set cannot follow, rather than ignore them."""
    if found := [f"{option}={value!r}" for option, value in options.items() if value is not None]:
        raise InvalidValueError(f"load({name!r}): found {', '.join(found)}, but the set {why}; leave it out")


_FROM_FILES: dict[str, Callable[[PathLike | None], Dataset | EventDataset]] = {
    "mnist": lambda path: images.load_images("mnist", path),
    "fashion-mnist": lambda path: images.load_images("fashion-mnist", path),
    "japanese-vowels": lambda path: series.load_series("japanese-vowels", path),
    "basic-motions": lambda path: series.load_series("basic-motions", path),
    "shd": lambda path: shd.load_shd("shd", path),
    "ssc": lambda path: shd.load_shd("ssc", path),
    "n-mnist": nmnist.load_nmnist,
}
