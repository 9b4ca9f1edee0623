"""The data sets by name: what each is, and how it is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from spikesim.data import digits, images, places, vowels
from spikesim.data.dataset import Dataset
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
        Whether it comes with spikesim; otherwise ``spikesim data fetch`` brings it.
    files
        The files it needs, each with its possible names; empty if shipped.
    """

    name: str
    summary: str
    licence: str
    source: str
    shipped: bool = False
    files: tuple[tuple[str, ...], ...] = ()

    def where(self) -> str:
        """Return the folder that holds it, ``"shipped"``, or an empty string if it is not on this machine."""
        if self.shipped:
            return "shipped"
        try:
            return str(places.find(self.name, self.files)[0].parent)
        except MissingDataError:
            return ""


def _idx(name: str, summary: str) -> Entry:
    files = tuple(images.file_names(part) for part in images.PARTS)
    return Entry(name, summary, images.LICENCES[name], images.SOURCES[name], files=files)


CATALOGUE = {
    entry.name: entry
    for entry in (
        Entry("digits", "1797 handwritten digits, 8x8, 0..16", digits.LICENCE, digits.SOURCE, shipped=True),
        _idx("mnist", "60000 + 10000 handwritten digits, 28x28, 0..255"),
        _idx("fashion-mnist", "60000 + 10000 pieces of clothing, 28x28, 0..255"),
        Entry(
            "japanese-vowels",
            "270 + 370 utterances of nine speakers, 12 coefficients, 7 to 29 steps",
            vowels.LICENCE,
            vowels.SOURCE,
            files=tuple((file,) for file in vowels.FILES),
        ),
    )
}


def list_datasets() -> list[str]:
    """Return the names that :func:`load` knows.

    Examples
    --------
    >>> list_datasets()
    ['digits', 'mnist', 'fashion-mnist', 'japanese-vowels']
    """
    return list(CATALOGUE)


def dataset_rows() -> list[tuple[str, str, str, str]]:
    """Return name, summary, licence and place (or how to fetch it) of each data set, for a table."""
    return [
        (e.name, e.summary, e.licence, e.where() or f"absent; run: spikesim data fetch {e.name}")
        for e in CATALOGUE.values()
    ]


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


def load(
    name: str,
    *,
    path: PathLike | None = None,
    split: str | None = None,
    seed: int | None = None,
    test_fraction: float | None = None,
) -> Dataset:
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
    Dataset
        Fresh arrays.

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


_FROM_FILES: dict[str, Callable[[PathLike | None], Dataset]] = {
    "mnist": lambda path: images.load_images("mnist", path),
    "fashion-mnist": lambda path: images.load_images("fashion-mnist", path),
    "japanese-vowels": vowels.load_vowels,
}
