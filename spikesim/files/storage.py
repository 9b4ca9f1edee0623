"""Networks in HDF5 files: everything comes back exactly, nothing in a file is ever executed.

::

    (user block)   what the file is, its length, and a checksum of the rest (spikesim.files.envelope)
    (attributes)   format, version, spikesim: what wrote it
    structure      JSON: the network; {"$array": k} stands for arrays/k (spikesim.files.codec)
    arrays/0, ...  parameter values, weights, connection rules, stimuli

A neuron is stored as its traced expressions, a closed grammar, so the file runs without the script that made it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileFormatError
from spikesim.files.codec import Arrays, decode, encode
from spikesim.files.envelope import BLOCK, check_target, open_for_reading, read_user_block, user_block, write_atomically
from spikesim.files.versions import versions

if TYPE_CHECKING:
    from spikesim.network import Network

KIND, VERSION = "spikesim network", 1
T = TypeVar("T")


def save_network(network: Network, path: str | Path) -> None:
    """Write a network to a file, which appears when it is whole.

    Parameters
    ----------
    network
        What to write.
    path
        Where. Another network there is replaced; anything else is not overwritten.

    Raises
    ------
    FileAccessError
        If the file cannot be written.
    UnsupportedError
        If the network holds something that a file cannot, such as a connection rule that is not registered.
    """
    write_value(network, path, KIND, VERSION)


def load_network(path: str | Path) -> Network:
    """Read a network.

    Raises
    ------
    MissingFileError, FileAccessError
        If the file cannot be read.
    FileFormatError
        If it is foreign, damaged, truncated or newer.
    """
    from spikesim.network import Network

    return read_value(path, KIND, VERSION, Network)


def write_value(value: Any, path: str | Path, kind: str, version: int) -> None:
    """Write anything that :mod:`spikesim.files.codec` knows to a file, which appears when it is whole and on the disk.

    Parameters
    ----------
    value
        What to write.
    path
        Where. A file of the same kind there is replaced; anything else is not overwritten.
    kind, version
        What the file is (:mod:`spikesim.files.envelope`).
    """
    target = check_target(path, kind)
    arrays: Arrays = []
    structure = json.dumps(encode(value, arrays))

    def write(file: BinaryIO) -> None:
        with h5py.File(file, "w", userblock_size=BLOCK) as hdf5:
            hdf5.attrs.update(format=kind, version=version, spikesim=json.dumps(versions()))
            hdf5["structure"] = structure
            for number, array in enumerate(arrays):
                hdf5[f"arrays/{number}"] = array
        size, seal = _checksum(file)
        file.seek(0)
        file.write(user_block(kind, version, bytes=size, checksum=seal))
        os.fsync(file.fileno())

    write_atomically(target, write)


def read_value(path: str | Path, kind: str, version: int, expected: type[T]) -> T:
    """Read what :func:`write_value` wrote, checked before the HDF5 library sees it."""
    with open_for_reading(path, kind) as file:
        described = read_user_block(file.read(BLOCK), Path(path), kind, version)
        size, seal = _checksum(file)
        if size != described.get("bytes"):
            wrong = f"it has {size + BLOCK} bytes, expected {described.get('bytes', 0) + BLOCK}"
            raise FileFormatError(f"{str(path)!r} is damaged: {wrong}; restore it from a copy")
        if seal != described.get("checksum"):
            raise FileFormatError(
                f"{str(path)!r} is damaged: its contents do not match its checksum; restore it from a copy"
            )
        try:
            return _value(file, expected)
        except Exception as error:  # whatever a file that someone has forged may lead to
            raise FileFormatError(f"{str(path)!r} cannot be read: {error}") from None


def _value(file: BinaryIO, expected: type[T]) -> T:
    with h5py.File(file, "r") as hdf5:
        structure = json.loads(_contents(hdf5, "structure"))
        count = len(hdf5["arrays"]) if "arrays" in hdf5 else 0
        arrays = [np.asarray(_contents(hdf5, f"arrays/{k}")) for k in range(count)]
    value = decode(structure, arrays)
    if not isinstance(value, expected):
        raise FileFormatError(f"it holds a {type(value).__name__}, expected a {expected.__name__}")
    return value


def _contents(hdf5: h5py.File, path: str) -> Any:
    """Return a dataset of this very file; links and datasets that lead to other files are not followed."""
    link, dataset = hdf5.get(path, getlink=True), None
    if isinstance(link, h5py.HardLink):
        dataset = hdf5[path]
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual or dataset.dtype.kind == "V":
        raise FileFormatError(f"its part {path!r} is missing or of an unexpected kind")
    return dataset[()]


def _checksum(file: BinaryIO) -> tuple[int, str]:
    """Return the number and the checksum of the bytes behind the user block."""
    file.seek(BLOCK)
    seal, size = hashlib.blake2b(digest_size=16), 0
    while part := file.read(2**20):
        seal.update(part)
        size += len(part)
    return size, seal.hexdigest()


def fingerprint(value: Any) -> str:
    """Return a hash of the content of a network or of a part of one: equal if and only if everything is.

    Parameters
    ----------
    value
        A network, population, projection, connection rule, stimulus, ...

    Returns
    -------
    str
        32 hexadecimal digits; the same on every machine.

    Examples
    --------
    >>> from spikesim import Network, Population
    >>> from spikesim.models.neurons import lif
    >>> fingerprint(Network([Population("a", 3, lif())])) == fingerprint(Network([Population("a", 3, lif())]))
    True
    """
    arrays: Arrays = []
    content = hashlib.blake2b(json.dumps(encode(value, arrays, closed=False)).encode(), digest_size=16)
    for array in arrays:
        content.update(repr((array.dtype.newbyteorder("<").str, array.shape)).encode())
        content.update(_little_endian(array))
    return content.hexdigest()


def _little_endian(array: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


__all__ = ["fingerprint", "load_network", "read_value", "save_network", "write_value"]
