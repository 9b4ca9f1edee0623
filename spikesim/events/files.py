"""Reading and writing events, whatever the format: the content of a file decides, not its name."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileAccessError, FileFormatError, InvalidValueError
from spikesim.events import aedat
from spikesim.events.nmnist import nmnist_bytes, read_nmnist
from spikesim.events.prophesee import read_prophesee
from spikesim.events.value import NAMES, Events
from spikesim.files.envelope import HDF5_SIGNATURE, open_for_reading, write_atomically

KIND = "event file"
WRITES = (".npz", ".npy", ".h5", ".hdf5", ".bin")
_MAGIC = {
    ".npz": b"PK\x03\x04",
    ".npy": b"\x93NUMPY",
    ".h5": HDF5_SIGNATURE,
    ".hdf5": HDF5_SIGNATURE,
    ".raw or .dat": b"% ",
    ".aedat": aedat.MAGIC,
}
_GROUPS = ("/", "events", "CD/events")
"""Where the columns lie in HDF5 files: ours, DSEC's and tonic's, Prophesee's."""


def read_events(path: str | os.PathLike[str], shape: tuple[int, ...] | None = None) -> Events:
    """Read a recording.

    Parameters
    ----------
    path
        ``.npz`` or ``.npy`` with fields t, x, y, p; HDF5 with such datasets; ``.bin`` of N-MNIST; Prophesee ``.dat``
        and ``.raw`` (EVT 2 and 3); AEDAT 3.1 and 4 (compressed ones with ``pip install 'spikesim[events]'``).
    shape
        ``(polarities, height, width)`` or ``(channels,)``; needed where the file does not say it and the recording is
        to be compared with others.

    Returns
    -------
    Events

    Raises
    ------
    MissingFileError, FileAccessError
        If there is no such file, or it cannot be read.
    FileFormatError
        If it is damaged, foreign, or holds events outside ``shape``.

    Examples
    --------
    >>> import tempfile
    >>> file = tempfile.mkdtemp() + "/two.npz"
    >>> write_events(file, Events([3, 4], [0, 1], [0, 1], [1, 0], (2, 2, 2)))
    >>> read_events(file)
    <Events: 2 in 5 us, 2 x 2 x 2>
    """
    file = Path(path)
    with open_for_reading(file, KIND) as opened:
        content = opened.read()
    try:
        return _read(file, content, shape)
    except InvalidValueError as error:  # the events themselves cannot be: the file, or the shape given for it, is wrong
        raise FileFormatError(f"{file}: {error}") from error


def _read(file: Path, content: bytes, shape: tuple[int, ...] | None) -> Events:
    if content.startswith(aedat.MAGIC):
        return aedat.read_aedat(content, str(file), shape)
    if content.startswith(b"% "):
        return read_prophesee(content, str(file), shape)
    if content.startswith((_MAGIC[".npz"], _MAGIC[".npy"])):
        return _read_numpy(content, str(file), shape)
    if content.startswith(HDF5_SIGNATURE):
        return _read_hdf5(content, str(file), shape)
    if file.suffix == ".bin":
        return read_nmnist(content, str(file), shape)
    begins = f"begins with {content[:8].hex(' ')}" if content else "is empty"
    raise FileFormatError(f"{file}: {begins}; allowed are files of events: {', '.join(_MAGIC)}, and .bin of N-MNIST")


def _read_numpy(content: bytes, where: str, shape: tuple[int, ...] | None) -> Events:
    try:
        found = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = dict(found) if isinstance(found, np.lib.npyio.NpzFile) else {"events": found}
    except Exception as error:  # of a damaged file anything: from zip, zlib, tokenize, or memory that a size asks for
        raise FileFormatError(f"{where}: cannot be read ({error}); copy the file again") from error
    return _from_arrays(arrays, where, shape)


def _from_arrays(arrays: Mapping[str, NDArray[Any]], where: str, shape: tuple[int, ...] | None) -> Events:
    """Return events of columns by name, or of the only structured array."""
    stored = tuple(int(n) for n in np.atleast_1d(arrays["shape"])) if "shape" in arrays else None
    origin = int(arrays["origin"]) if "origin" in arrays else 0
    structured = [a for a in arrays.values() if a.dtype.names is not None]
    if len(structured) == 1:
        return Events.from_array(structured[0].reshape(-1), shape or stored, origin=origin)
    columns = {c: arrays[n] for c, names in NAMES.items() if (n := next((n for n in names if n in arrays), ""))}
    if not {"t", "x"} <= columns.keys():
        raise FileFormatError(
            f"{where}: holds {', '.join(arrays) or 'nothing'}; needed are columns t, x, y, p or one structured array"
        )
    return Events.from_columns(columns, shape or stored, origin=origin)


def _read_hdf5(content: bytes, where: str, shape: tuple[int, ...] | None) -> Events:
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            for name in _GROUPS:
                group = file.get(name)
                if isinstance(group, h5py.Dataset) and group.dtype.names:
                    return _from_arrays({"events": group[()]}, where, shape)
                if isinstance(group, h5py.Group) and any(n in group for n in NAMES["t"]):
                    return _from_arrays(_datasets(group, file), where, shape)
            found = ", ".join(file)
    except (FileFormatError, InvalidValueError):
        raise
    except Exception as error:  # h5py raises nearly anything on a damaged file
        raise FileFormatError(f"{where}: cannot be read ({error}); copy the file again") from error
    raise FileFormatError(
        f"{where}: holds {found or 'nothing'}; needed are datasets t, x, y, p at the top or in a group 'events'"
    )


def _datasets(group: h5py.Group, file: h5py.File) -> dict[str, NDArray[Any]]:
    """Return the columns of a group, with what the file says besides: shape and origin, or DSEC's ``t_offset``."""
    known = {n for names in NAMES.values() for n in names} | {"shape", "origin"}
    arrays = {n: np.asarray(d[()]) for n, d in group.items() if isinstance(d, h5py.Dataset) and n in known}
    if isinstance(file.get("t_offset"), h5py.Dataset):
        arrays["origin"] = np.asarray(file["t_offset"][()])
    return arrays


def write_events(path: str | os.PathLike[str], events: Events) -> None:
    """Write a recording.

    Parameters
    ----------
    path
        ``.npz`` or ``.h5`` keep everything; ``.npy`` is a structured array (without shape and origin), ``.bin`` the
        five bytes of N-MNIST (likewise). A file is written whole or not at all.
    events
        The recording.

    Raises
    ------
    InvalidValueError
        If the name says no format that can be written, or the events do not fit it.
    FileAccessError
        If the folder is missing, or a file of another kind is there.
    """
    target = Path(path)
    if target.suffix not in WRITES:
        raise InvalidValueError(f"{target}: ends in {target.suffix or 'nothing'!r}; allowed are {', '.join(WRITES)}")
    content = nmnist_bytes(events) if target.suffix == ".bin" else b""
    _check_target(target)

    def write(file: BinaryIO) -> None:
        columns: dict[str, Any] = {name: getattr(events, name) for name in "txyp"}
        extra: dict[str, Any] = {"shape": np.array(events.shape), "origin": np.array(events.origin)}
        if target.suffix == ".npz":
            np.savez_compressed(file, **columns, **extra)
        elif target.suffix == ".npy":
            np.save(file, events.to_array(), allow_pickle=False)
        elif target.suffix == ".bin":
            file.write(content)
        else:
            with h5py.File(file, "w") as hdf5:
                for name, column in columns.items():
                    hdf5.create_dataset(f"events/{name}", data=column, compression=1, shuffle=True)
                for name, value in extra.items():
                    hdf5[f"events/{name}"] = value

    write_atomically(target, write)


def _check_target(target: Path) -> None:
    """Refuse to write over a file of another kind, or into a folder that is missing."""
    if not target.parent.is_dir():
        raise FileAccessError(f"{target} cannot be written: there is no folder {target.parent}; create it first")
    if target.exists():
        with open_for_reading(target, KIND) as file:
            head = file.read(8)
        if head and not head.startswith(_MAGIC.get(target.suffix, b"")):
            raise FileAccessError(f"{target} exists and is no {target.suffix} file; choose another name, or delete it")
