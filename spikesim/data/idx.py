"""The IDX format of MNIST: a big-endian header, then bytes; plain or gzipped."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileFormatError

_UBYTE = 0x08


def read_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    path
        File, gzipped or not; its content decides, not its name.

    Returns
    -------
    array
        ``uint8``, with the shape that the header states.

    Raises
    ------
    FileFormatError
        If it is not such a file, or is shorter or longer than its header says.
    """
    content = _decompressed(Path(path))
    if len(content) < 4 or content[:2] != b"\0\0":
        raise FileFormatError(f"{path}: begins with {content[:4].hex(' ') or 'nothing'}; an IDX file begins with 00 00")
    kind, axes = content[2], content[3]
    if kind != _UBYTE or not 1 <= axes <= 4:
        raise FileFormatError(
            f"{path}: IDX of type 0x{kind:02x} with {axes} axes; allowed is type 0x08 (unsigned bytes) with 1 to 4 axes"
        )
    header = 4 + 4 * axes
    if len(content) < header:
        raise FileFormatError(f"{path}: ends within its header of {header} bytes; fetch or copy the file again")
    shape = struct.unpack_from(f">{axes}I", content, 4)
    if len(content) - header != prod(shape):
        raise FileFormatError(
            f"{path}: holds {len(content) - header} values, its header says {shape} = {prod(shape)}; "
            "fetch or copy the file again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()


def idx_bytes(array: NDArray[Any]) -> bytes:
    """Return an array of small whole numbers as the content of an IDX file."""
    header = bytes((0, 0, _UBYTE, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def _decompressed(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise FileFormatError(f"{path}: damaged gzip file ({error}); fetch or copy the file again") from error
