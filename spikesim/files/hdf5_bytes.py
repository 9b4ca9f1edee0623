"""The few structures of an HDF5 file, as bytes: enough for groups, attributes and compressed tables.

Only the oldest variant of each structure is written (superblock 0, object header 1, B-tree 1), because every HDF5
library reads it and because it has no "open for writing" flag that a killed process would leave behind. Names follow
the HDF5 File Format Specification, version 3.0 (The HDF Group); section numbers in comments are its own.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

UNDEFINED = 2**64 - 1
CHILDREN = 64  # entries of a chunk B-tree node: 2 K with K = 32, the value that superblock 0 implies


class Area:
    """Blocks that will be written one after the other, from an address on.

    Parameters
    ----------
    start
        Address of the first block, a multiple of 8.
    """

    def __init__(self, start: int) -> None:
        self.next = start
        self._blocks: list[bytes] = []

    def add(self, block: bytes) -> int:
        """Append a block and return its address."""
        address, block = self.next, _padded(block)
        self._blocks.append(block)
        self.next += len(block)
        return address

    def join(self) -> bytes:
        """Return everything."""
        return b"".join(self._blocks)


def superblock(base: int, end: int, root: int) -> bytes:
    """Return the 96 bytes that begin an HDF5 file (II.A).

    Parameters
    ----------
    base
        Where in the file the superblock stands; addresses count from there.
    end
        Length of the file in bytes.
    root
        Address of the root group's header.
    """
    head = struct.pack("<8s8BHHI", b"\x89HDF\r\n\x1a\n", 0, 0, 0, 0, 0, 8, 8, 0, 4, 16, 0)
    return head + struct.pack("<4Q", base, UNDEFINED, end, UNDEFINED) + struct.pack("<QQIIQQ", 0, root, 0, 0, 0, 0)


def group(members: Mapping[str, int], attributes: Mapping[str, str | int | float], area: Area) -> int:
    """Write a group, links by name to the headers of other things (IV.A.2.c, g); return the address of its header."""
    messages = [(0x02, struct.pack("<BBQQ", 0, 0, UNDEFINED, UNDEFINED)), (0x0A, bytes(2))]
    for name, address in members.items():
        raw = name.encode()
        messages.append((0x06, struct.pack("<BBBBH", 1, 0x19, 0, 1, len(raw)) + raw + struct.pack("<Q", address)))
    return area.add(_header([*messages, *(_attribute(k, v, area) for k, v in attributes.items())]))


def dataset(value: NDArray[Any] | str, area: Area) -> int:
    """Write an array, or a text, in one piece; return the address of its header."""
    if isinstance(value, str):
        data, kind, shape = value.encode() or b"\0", _text_type(value), ()
    else:
        data, kind, shape = np.ascontiguousarray(value).tobytes(), _number_type(value.dtype), value.shape
    layout = struct.pack("<BBQQ", 3, 1, area.add(data) if data else UNDEFINED, len(data))
    return area.add(_header([(0x01, _space(shape, shape)), (0x03, kind), (0x05, _FILL), (0x08, layout)]))


def table(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    chunk_rows: int,
    chunks: NDArray[np.int64],
    level: int,
    area: Area,
) -> int:
    """Write the B-tree and the header of a table that grows by rows; its chunks are stored already.

    Parameters
    ----------
    dtype, shape
        Of the whole table.
    chunk_rows
        Rows in a chunk; a chunk spans whole rows, shuffled and then deflated.
    chunks
        ``[number of chunks, 3]``: address, stored bytes and filter mask (bit k: filter k was left out) of each.
    level
        Of the deflate compression.
    area
        Where to write.

    Returns
    -------
    int
        Address of the header.
    """
    filters = struct.pack("<BB6x", 1, 2)
    filters += struct.pack("<4HII", 2, 0, 1, 1, dtype.itemsize, 0)  # shuffle; the last four bytes are padding
    filters += struct.pack("<4HII", 1, 0, 1, 1, level, 0)  # deflate
    tree = _chunk_tree(chunks, chunk_rows, len(shape), area)
    dims = (chunk_rows, *shape[1:], dtype.itemsize)
    layout = struct.pack(f"<BBBQ{len(dims)}I", 3, 2, len(dims), tree, *dims)
    space = _space(shape, (UNDEFINED, *shape[1:]))
    kind = _number_type(dtype)
    return area.add(_header([(0x01, space), (0x03, kind), (0x05, _FILL), (0x0B, filters), (0x08, layout)]))


# Space is allocated as needed, no fill value is defined (IV.A.2.f, version 2).
_FILL = struct.pack("<4BI", 2, 3, 2, 1, 0)
# UTF-8 text of variable length: class 9 over characters, which are one byte each (IV.A.2.d).
_TEXT = bytes.fromhex("19010100 10000000 10000000 01000000 0000 0800")


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 8)


def _header(messages: Sequence[tuple[int, bytes]]) -> bytes:
    """Return an object header of version 1 (IV.A.1.a)."""
    body = b"".join(struct.pack("<HHB3x", kind, len(_padded(raw)), 0) + _padded(raw) for kind, raw in messages)
    return struct.pack("<BxHII4x", 1, len(messages), 1, len(body)) + body


def _space(shape: Sequence[int], limit: Sequence[int]) -> bytes:
    """Return a dataspace message of version 1 (IV.A.2.b)."""
    rank = len(shape)
    return struct.pack(f"<BBB5x{2 * rank}Q", 1, rank, 1 if rank else 0, *shape, *(limit if rank else ()))


@cache
def _number_type(dtype: np.dtype[Any]) -> bytes:
    return bytes(h5py.h5t.py_create(dtype.newbyteorder("<")).encode()[2:])  # after two bytes of H5Tencode itself


def _text_type(text: str) -> bytes:
    return struct.pack("<B3BI", 0x13, 0x11, 0, 0, len(text.encode()) or 1)  # of fixed length, null-padded, UTF-8


def _attribute(name: str, value: str | int | float, area: Area) -> tuple[int, bytes]:
    """Return an attribute message of version 1 (IV.A.2.m)."""
    if isinstance(value, str):
        kind, data = _TEXT, _heap_text(value, area)
    else:
        number = np.array(value)
        kind, data = _number_type(number.dtype), number.tobytes()
    label, space = name.encode() + b"\0", _space((), ())
    sizes = struct.pack("<BxHHH", 1, len(label), len(kind), len(space))
    return 0x0C, sizes + _padded(label) + _padded(kind) + _padded(space) + data


def _heap_text(text: str, area: Area) -> bytes:
    """Put a text of variable length on a global heap of its own (III.E) and return the reference to it."""
    raw = text.encode()
    size = max(4096, 32 + len(_padded(raw)) + 16)  # libraries expect a heap of at least 4096 bytes
    used = struct.pack("<4sB3xQHH4xQ", b"GCOL", 1, size, 1, 0, len(raw)) + _padded(raw)
    free = struct.pack("<HH4xQ", 0, 0, size - len(used))
    return struct.pack("<IQI", len(raw), area.add((used + free).ljust(size, b"\0")), 1)


def _chunk_tree(chunks: NDArray[np.int64], chunk_rows: int, rank: int, area: Area) -> int:
    """Write a version 1 B-tree over chunks (III.A.1) and return the address of its root."""
    count = len(chunks)
    if not count:
        return UNDEFINED
    keys = np.zeros(count + 1, [("bytes", "<u4"), ("mask", "<u4"), ("offset", "<u8", (rank + 1,))])
    keys["bytes"][:-1], keys["mask"][:-1] = chunks[:, 1], chunks[:, 2]
    keys["offset"][:, 0] = np.arange(count + 1) * chunk_rows  # the key after the last one lies behind every chunk
    children, level = chunks[:, 0].astype(np.uint64), 0
    while level == 0 or len(children) > 1:
        children, keys = _tree_level(children, keys, level, area)
        level += 1
    return int(children[0])


def _tree_level(
    children: NDArray[np.uint64], keys: NDArray[np.void], level: int, area: Area
) -> tuple[NDArray[np.uint64], NDArray[np.void]]:
    """Write the nodes of one level; return their addresses and the keys around them."""
    count = len(children)
    entry = np.dtype([("key", keys.dtype), ("child", "<u8")])
    head = [("sign", "S4"), ("type", "u1"), ("level", "u1"), ("used", "<u2"), ("left", "<u8"), ("right", "<u8")]
    nodes = np.zeros(-(-count // CHILDREN), np.dtype([*head, ("entry", entry, (CHILDREN,)), ("last", keys.dtype)]))
    entries = np.zeros(len(nodes) * CHILDREN + 1, entry)
    entries["key"][: count + 1] = keys
    entries["child"][:count] = children
    nodes["entry"] = entries[:-1].reshape(len(nodes), CHILDREN)
    nodes["last"] = entries["key"][CHILDREN::CHILDREN]
    addresses = area.next + nodes.itemsize * np.arange(len(nodes), dtype=np.uint64)
    nodes["sign"], nodes["type"], nodes["level"] = b"TREE", 1, level
    nodes["used"] = np.diff(np.minimum(np.arange(len(nodes) + 1) * CHILDREN, count))
    nodes["left"] = np.concatenate([[np.uint64(UNDEFINED)], addresses[:-1]])
    nodes["right"] = np.concatenate([addresses[1:], [np.uint64(UNDEFINED)]])
    area.add(nodes.tobytes())
    return addresses, np.concatenate([keys[:-1][::CHILDREN], keys[-1:]])
