"""Files of iniVation cameras, AEDAT 3.1; those of version 4 are in ``aedat4.py``.

It is written from the published description (docs.inivation.com, "AEDAT 3.1"). DVS128 Gesture is in that format.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileFormatError
from spikesim.events.aedat4 import read_aedat4
from spikesim.events.value import Events

MAGIC = b"#!AER-DAT"
_END = b"#!END-HEADER\r\n"
_HEADER = struct.Struct("<hhiiiiii")  # type, source, event size, place of time, overflows, capacity, number, valid
_POLARITY = 1
_SIZES = {"DVS128": (128, 128), "DAVIS240": (180, 240), "DAVIS346": (260, 346), "DAVIS640": (480, 640)}


def read_aedat(content: bytes, where: str, shape: tuple[int, ...] | None = None) -> Events:
    """Read an AEDAT 3.1 or 4 file.

    Parameters
    ----------
    content
        The whole file.
    where
        For messages.
    shape
        ``(2, height, width)``; by default that of the camera the file names.

    Returns
    -------
    Events
        Time counts from the first event; ``origin`` is that event on the camera's clock.

    Raises
    ------
    FileFormatError
        If the file is damaged, or of another version.
    MissingPackageError
        If a file of version 4 is compressed, and the package for that is not installed.
    """
    version = content[len(MAGIC) : len(MAGIC) + 3].decode("latin-1")
    columns: list[NDArray[np.int64]]
    found: tuple[int, ...] | None
    if version == "4.0":
        columns, found = read_aedat4(content, where)
    elif version == "3.1":
        columns, found = _version_3(content, where)
    else:
        raise FileFormatError(
            f"{where}: is AEDAT {version}; allowed are 3.1 and 4.0: convert it with iniVation's DV or dv-processing"
        )
    t, x, y, p = columns
    origin = int(t.min()) if t.size else 0
    return Events.from_columns({"t": t - origin, "x": x, "y": y, "p": p}, shape or found, origin=origin)


def _version_3(content: bytes, where: str) -> tuple[list[NDArray[np.int64]], tuple[int, ...] | None]:
    """Walk the packets, take the valid polarity events of each."""
    start = content.find(_END)
    if start < 0:
        raise FileFormatError(f"{where}: its header has no end ('#!END-HEADER'); copy the file again")
    text, at, parts = content[:start].decode("latin-1"), start + len(_END), [np.zeros((4, 0), np.int64)]
    while at < len(content):
        if at + _HEADER.size > len(content):
            raise FileFormatError(f"{where}: ends within a packet header at byte {at}; copy the file again")
        kind, _, size, offset, overflow, _, number, _ = _HEADER.unpack_from(content, at)
        at += _HEADER.size
        if size <= 0 or number < 0 or at + size * number > len(content):
            raise FileFormatError(
                f"{where}: a packet at byte {at} of {number} events of {size} bytes does not fit into the file of "
                f"{len(content)} bytes; copy the file again"
            )
        if kind == _POLARITY:
            if size < 8 or offset != 4:
                raise FileFormatError(
                    f"{where}: polarity events of {size} bytes, time at {offset}; allowed are 8 and 4"
                )
            parts.append(_polarity(content[at : at + size * number], size, overflow))
        at += size * number
    shape = next(((2, *sides) for name, sides in _SIZES.items() if name in text.upper()), None)
    return list(np.concatenate(parts, axis=1)), shape


def _polarity(packet: bytes, size: int, overflow: int) -> NDArray[np.int64]:
    """Return rows t, x, y, p: a word of valid bit, polarity, 15 bits of y and of x, and 31 bits of time."""
    words = np.frombuffer(packet, "<u4").reshape(-1, size // 4).astype(np.int64)
    word, t = words[:, 0], words[:, 1] + (overflow << 31)
    valid = (word & 1).astype(bool)
    return np.stack([t, word >> 17, (word >> 2) & 0x7FFF, (word >> 1) & 1])[:, valid]
