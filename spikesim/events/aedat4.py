"""AEDAT 4 files, as iniVation's DV writes them: packets of compressed flatbuffers.

Written from the published description (docs.inivation.com, "AEDAT 4.0") and that of flatbuffers (flatbuffers.dev,
"Internals"). Every offset is checked: a damaged file is refused, never followed. Compressed files need the package
``lz4`` or ``zstandard``.

A file is the line ``#!AER-DAT4.0``, a header, then packets of (stream, size, body). The header names the compression
and, in XML, what the streams are. A body of events is a vector of 16 bytes each: time, x, y, on.
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileFormatError
from spikesim.optional import require

START = 14  # behind the first line
_EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("pad", "V3")])
_COMPRESSION, _TABLE, _STREAMS = range(3)  # the fields of the header
_NONE, _LZ4, _ZSTD = (0,), (1, 2), (3, 4)


class _Damaged(Exception):
    """What is wrong with the bytes; becomes a :class:`FileFormatError` with the file's name."""


def read_aedat4(content: bytes, where: str) -> tuple[list[NDArray[np.int64]], tuple[int, int, int]]:
    """Return columns t, x, y, p of the first stream of events, and its shape.

    Raises
    ------
    FileFormatError
        If the file is damaged or has no stream of events.
    MissingPackageError
        If it is compressed and the package for that is not installed.
    """
    try:
        compression, end, streams = _header(content)
        if not streams:
            raise _Damaged("it names no stream of events")
        chosen = min(streams)
        parts = [_events(_plain(body, compression)) for number, body in _packets(content, end) if number == chosen]
    except _Damaged as error:
        raise FileFormatError(f"{where}: cannot be decoded ({error}); copy the file again") from None
    columns = [np.concatenate([p[name] for p in parts] or [np.zeros(0)]).astype(np.int64) for name in "txyp"]
    return columns, (2, *streams[chosen])


def _header(content: bytes) -> tuple[int, int, dict[int, tuple[int, int]]]:
    """Return the compression, where packets end, and (height, width) of each stream of events."""
    size = _number(content, "<I", START)
    header = content[START + 4 : START + 4 + size]
    if len(header) != size:
        raise _Damaged("it ends within its header")
    table = _number(header, "<I", 0)
    places = [_field(header, table, slot) for slot in (_COMPRESSION, _TABLE, _STREAMS)]
    compression = 0 if places[0] is None else _number(header, "<i", places[0])
    end = -1 if places[1] is None else _number(header, "<q", places[1])
    if not _NONE[0] <= compression <= _ZSTD[-1]:
        raise _Damaged(f"compression {compression}; allowed are 0 to {_ZSTD[-1]}")
    text = b"" if places[2] is None else bytes(_vector(header, places[2], np.dtype("u1")))
    return compression, len(content) if end < 0 else min(end, len(content)), _streams(text)


def _streams(text: bytes) -> dict[int, tuple[int, int]]:
    """Return (height, width) of the streams of events that the XML of a header names."""
    try:
        root = ElementTree.fromstring(text)
        found = {}
        for node in root.iterfind("./node[@name='outInfo']/node"):
            kind = node.findtext("./attr[@key='typeIdentifier']")
            if kind == "EVTS":
                sides = (node.findtext(f"./node[@name='info']/attr[@key='size{axis}']", "") for axis in "YX")
                height, width = (int(side) for side in sides)
                found[int(node.get("name", ""))] = (height, width)
    except (ElementTree.ParseError, ValueError) as error:
        raise _Damaged(f"its list of streams: {error}") from None
    return found


def _packets(content: bytes, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield stream and body of each packet."""
    at = START + 4 + _number(content, "<I", START)
    while at < end:
        stream, size = _number(content, "<i", at), _number(content, "<i", at + 4)
        at += 8
        if size < 0 or at + size > len(content):
            raise _Damaged(f"a packet of {size} bytes at byte {at} does not fit into {len(content)} bytes")
        yield stream, content[at : at + size]
        at += size


def _plain(body: bytes, compression: int) -> bytes:
    """Return a body without its compression."""
    if compression in _NONE:
        return body
    try:
        if compression in _LZ4:
            return bytes(require("lz4.frame", "reading AEDAT 4 files with LZ4").decompress(body))
        package = require("zstandard", "reading AEDAT 4 files with Zstandard")
        return bytes(package.ZstdDecompressor().decompressobj().decompress(body))
    except ImportError:
        raise
    except Exception as error:  # the packages' own errors are of no common class
        raise _Damaged(str(error)) from None


def _events(body: bytes) -> NDArray[np.void]:
    """Return the events of a packet's flatbuffer, which begins with its size."""
    buffer = body[4:]
    if buffer[4:8] != b"EVTS":
        raise _Damaged(f"a packet of events is marked {buffer[4:8]!r}")
    place = _field(buffer, _number(buffer, "<I", 0), 0)
    return np.zeros(0, _EVENT) if place is None else _vector(buffer, place, _EVENT)


def _number(buffer: bytes, kind: str, at: int) -> int:
    if not 0 <= at <= len(buffer) - struct.calcsize(kind):
        raise _Damaged(f"an offset {at} leads out of {len(buffer)} bytes")
    return int(struct.unpack_from(kind, buffer, at)[0])


def _field(buffer: bytes, table: int, slot: int) -> int | None:
    """Return where a field of a flatbuffer's table is, or None if it has its default."""
    layout = table - _number(buffer, "<i", table)
    if 4 + 2 * slot >= _number(buffer, "<H", layout):
        return None
    offset = _number(buffer, "<H", layout + 4 + 2 * slot)
    return table + offset if offset else None


def _vector(buffer: bytes, place: int, dtype: np.dtype[np.void] | np.dtype[np.uint8]) -> NDArray[np.void]:
    """Return the vector that a field points to."""
    at = place + _number(buffer, "<I", place)
    count = _number(buffer, "<I", at)
    if at + 4 + count * dtype.itemsize > len(buffer):
        raise _Damaged(f"{count} entries at byte {at} do not fit into {len(buffer)} bytes")
    return np.frombuffer(buffer, dtype, count, at + 4)
