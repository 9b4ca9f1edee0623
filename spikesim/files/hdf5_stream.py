"""An HDF5 file that grows and is whole at every moment, even if the process is killed between two instructions.

The HDF5 library changes a file in place, in many small writes: a process killed among them leaves a file that cannot
be read, or reads wrongly. This writer never changes what a reader can reach::

    0      user block and superblock, 608 bytes, written in one piece
    608    areas: everything about the tables (headers, B-trees, the rows of unfinished chunks, small values)
    ...    finished chunks, each written once

A *commit* writes a complete new area into room that nothing points to, and then the first 608 bytes, which point to
it. They lie within one page, which the system writes as a whole: a reader sees either the old state or the new one.
Two areas take turns; one that has become too small is left behind for one of twice the size.
"""

from __future__ import annotations

import itertools
import os
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileAccessError
from spikesim.files import hdf5_bytes as hdf5
from spikesim.files.envelope import (
    BLOCK,
    check_target,
    checksum,
    temporary,
    user_block,
)

CHUNK_BYTES = 2**17  # of a table, before compression
LEVEL = 1  # of deflate: the fastest
HEAD = BLOCK + 96
WORTH, RAW_CHUNKS = 0.75, 15  # a chunk that deflates to more than that: the next ones are stored as they are
STORED, RAW = 0, 3  # filter masks of a chunk: shuffled and deflated; both left out


class Table:
    """Rows of one type that are appended.

    Parameters
    ----------
    stream
        The file.
    dtype, row_shape
        Of a row.
    chunk_bytes
        Of a chunk, before compression.
    """

    def __init__(self, stream: Stream, dtype: np.dtype[Any], row_shape: tuple[int, ...], chunk_bytes: int) -> None:
        self._stream, self.dtype, self.row_shape = stream, dtype, row_shape
        row_bytes = max(1, dtype.itemsize * int(np.prod(row_shape)))
        self.chunk_rows = max(1, chunk_bytes // row_bytes)
        self.rows = 0
        self._chunks = np.zeros((16, 3), np.int64)  # address, bytes, filter mask
        self._full = 0  # finished chunks
        self._tail: list[NDArray[Any]] = []  # rows of the unfinished chunk
        self._tail_rows = 0
        self._raw_chunks = 0  # so many more are stored as they are

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows, ``[k, *row_shape]``; whole chunks go to the file at once."""
        self._tail.append(np.ascontiguousarray(rows, self.dtype))
        self._tail_rows += len(rows)
        self.rows += len(rows)
        if self._tail_rows >= self.chunk_rows:
            joined = np.concatenate(self._tail)
            whole = len(joined) - len(joined) % self.chunk_rows
            for first in range(0, whole, self.chunk_rows):
                stored, mask = self._stored(joined[first : first + self.chunk_rows])
                self._add_chunk(self._stream.log(stored), len(stored), mask)
            self._tail, self._tail_rows = [joined[whole:].copy()], len(joined) - whole

    def _stored(self, rows: NDArray[Any]) -> tuple[bytes, int]:
        """Return a chunk as it is stored, and its filter mask; what does not shrink is not deflated for a while."""
        self._raw_chunks -= 1
        if self._raw_chunks >= 0:
            return rows.tobytes(), RAW
        stored = deflated(rows)
        if len(stored) > WORTH * rows.nbytes:
            self._raw_chunks = RAW_CHUNKS
        return stored, STORED

    def take_over(self, source: h5py.Dataset, rows: int) -> None:
        """Begin with the first rows of a table of another file; its finished chunks are copied as they are stored."""
        whole = rows // self.chunk_rows if source.chunks[0] == self.chunk_rows else 0
        for k in range(whole):
            mask, stored = source.id.read_direct_chunk((k * self.chunk_rows, *(0 for _ in self.row_shape)))
            self._add_chunk(self._stream.log(stored), len(stored), mask)
        self.rows = whole * self.chunk_rows
        for first in range(self.rows, rows, self.chunk_rows):
            self.append(source[first : min(first + self.chunk_rows, rows)])

    def _add_chunk(self, address: int, size: int, mask: int) -> None:
        if self._full == len(self._chunks):
            self._chunks = np.concatenate([self._chunks, np.zeros_like(self._chunks)])
        self._chunks[self._full] = address, size, mask
        self._full += 1

    @property
    def chunks(self) -> NDArray[np.int64]:
        """Finished chunks, ``[number, 3]``: address, bytes, filter mask."""
        return self._chunks[: self._full]

    def move(self, addresses: NDArray[np.int64]) -> None:
        """Say where the finished chunks are now."""
        self._chunks[: self._full, 0] = addresses

    def write(self, area: hdf5.Area, compress: bool) -> int:
        """Write what leads to the chunks, the unfinished one included; return the address of the header."""
        chunks, chunk_rows = self.chunks, self.chunk_rows
        if compress and not self._full:  # for good, and nothing fixes the length of a chunk: none of it is left empty
            chunk_rows = max(1, self.rows)
        if self._tail_rows:
            last = np.zeros((chunk_rows, *self.row_shape), self.dtype)
            last[: self._tail_rows] = np.concatenate(self._tail)
            stored = deflated(last) if compress else last.tobytes()
            mask = STORED if compress else RAW
            chunks = np.concatenate([chunks, [[area.add(stored), len(stored), mask]]])
        return hdf5.table(self.dtype, (self.rows, *self.row_shape), chunk_rows, chunks, LEVEL, area)


def free_name(path: Path) -> Path:
    """Return a name beside a path that no file has: ``run-1.h5``, ``run-2.h5``, ..."""
    names = (path.with_stem(f"{path.stem}-{k}") for k in itertools.count(1))
    return next(name for name in names if not name.exists())


def deflated(rows: NDArray[Any]) -> bytes:
    """Return a chunk as HDF5 stores it: bytes shuffled by significance, then deflated.

    Shuffled rows are long runs of equal bytes beside bytes that nothing compresses: looking for runs only takes half
    the time of looking for repeated strings, and loses little. Both calls release the interpreter lock.
    """
    raw = np.ascontiguousarray(rows).view(np.uint8).reshape(-1, rows.itemsize)
    deflate = zlib.compressobj(LEVEL, strategy=zlib.Z_RLE)
    return deflate.compress(np.ascontiguousarray(raw.T).data) + deflate.flush()


class Stream:
    """A file made of growing tables and small values; paths in it are like ``"spikes/out/step"``.

    Parameters
    ----------
    path
        Where. Nothing appears there before the first commit; then a file of the same kind is replaced.
    kind, version
        What the file is (:mod:`spikesim.files.envelope`).

    Raises
    ------
    FileAccessError
        If the file cannot be written, or something else is there.
    """

    def __init__(self, path: str | Path, kind: str, version: int) -> None:
        self.kind, self.version = kind, version
        self.target = check_target(path, kind)
        self.tables: dict[str, Table] = {}
        self.values: dict[str, NDArray[Any] | str] = {}
        self.attributes: dict[str, str | int | float] = {"format": kind, "version": version}
        self._begin()

    def _begin(self) -> None:
        self._file, self._temporary = temporary(self.target)
        self._end = HEAD  # of the file
        self._areas = [(HEAD, 0), (HEAD, 0)]  # (start, room): the one in use, the other
        self._published = False

    def table(
        self, path: str, dtype: np.dtype[Any] | type, row_shape: tuple[int, ...] = (), chunk_bytes: int | None = None
    ) -> Table:
        """Add a table; small chunks suit one of few rows that is committed often."""
        self.tables[path] = Table(self, np.dtype(dtype).newbyteorder("<"), row_shape, chunk_bytes or CHUNK_BYTES)
        return self.tables[path]

    def take_over(self, old: h5py.File, rows: Mapping[str, int]) -> None:
        """Begin with the first rows of the tables of another file."""
        for path, number in rows.items():
            source = old[path]
            table = self.tables.get(path) or self.table(path, source.dtype, source.shape[1:])
            table.take_over(source, number)

    def log(self, data: bytes) -> int:
        """Write bytes at the end of the file, once and for all; return their HDF5 address."""
        start = self._end
        self._write(start, data)
        self._end += len(data) + -len(data) % 8
        return start - BLOCK

    def commit(self, compress: bool = False) -> None:
        """Make everything so far visible, in one indivisible write.

        Parameters
        ----------
        compress
            Compress unfinished chunks too; for the last commit.
        """
        start, room = self._areas[1]
        start = start if room else self._end
        area, root = self._area(start, compress)
        size = area.next + BLOCK - start
        if size > room:
            if start != self._end:  # it has outgrown its place
                start = self._end
                area, root = self._area(start, compress)
            room = size if compress else 2 * size
            self._end += room + -room % 8
        self._areas[1] = (start, room)
        data = area.join()
        self._write(start, data)
        if os.fstat(self._file.fileno()).st_size < self._end:
            self._file.truncate(self._end)
        superblock = hdf5.superblock(BLOCK, self._end, root)
        place: dict[str, int | str] = {
            "area": start,
            "bytes": len(data),
            "end": self._end,
            "checksum": checksum(superblock + data),
        }
        self._write(0, user_block(self.kind, self.version, **place) + superblock)
        self._areas.reverse()
        self._publish()

    def _area(self, start: int, compress: bool) -> tuple[hdf5.Area, int]:
        """Return the blocks of an area at ``start``, and the address of the root group."""
        area = hdf5.Area(start - BLOCK)
        tree: dict[str, Any] = {}
        for path, value in (*self.tables.items(), *self.values.items()):
            *groups, name = path.split("/")
            place = tree
            for part in groups:
                place = place.setdefault(part, {})
            place[name] = value
        return area, self._group(tree, self.attributes, area, compress)

    def _group(self, members: dict[str, Any], attributes: dict[str, Any], area: hdf5.Area, compress: bool) -> int:
        addresses = {}
        for name, member in members.items():
            if isinstance(member, dict):
                addresses[name] = self._group(member, {}, area, compress)
            elif isinstance(member, Table):
                addresses[name] = member.write(area, compress)
            else:
                addresses[name] = hdf5.dataset(member, area)
        return hdf5.group(addresses, attributes, area)

    def _write(self, start: int, data: bytes) -> None:
        try:
            self._file.seek(start)
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise FileAccessError(
                f"{str(self.target)!r} cannot be written any further: {error.strerror or error}; "
                "what was recorded up to about a second ago is in it"
            ) from None

    def _publish(self) -> None:
        if self._published:
            return
        try:
            if os.name == "nt":  # where an open file cannot be renamed
                self._file.close()
            os.replace(self._temporary, self.target)
            if self._file.closed:
                self._file = self.target.open("r+b", buffering=0)
        except OSError as error:
            raise FileAccessError(f"{str(self.target)!r} cannot be replaced: {error.strerror or error}") from None
        self._published = True

    def _name_is_taken(self) -> bool:
        """Tell whether something else has replaced our file, such as another run with the same name."""
        try:
            return self._published and not os.path.samestat(os.stat(self.target), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return True

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Commit for the last time and close; leave out the room that areas have taken, where it is worth it."""
        used = sum(int(t.chunks[:, 1].sum()) for t in self.tables.values())
        taken = self._name_is_taken()
        if taken:
            wanted, self.target = self.target, free_name(self.target)
            warnings.warn(
                f"{str(wanted)!r} was replaced or deleted during the run; its recording is in {str(self.target)!r}",
                stacklevel=2,
            )
        if taken or self._end > 1.1 * (used + HEAD) + 2**16:
            self._compact()
        self.commit(compress=True)
        self._file.close()

    def _compact(self) -> None:
        """Go over to a new file that holds only the finished chunks, in the order of the tables."""
        old, old_temporary, published = self._file, self._temporary, self._published
        self._begin()
        for table in self.tables.values():
            addresses = [self.log(_read(old, int(address) + BLOCK, int(size))) for address, size, _ in table.chunks]
            table.move(np.array(addresses, np.int64))
        old.close()
        if not published:
            old_temporary.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Close without another commit: the file stays as the last one left it."""
        self._file.close()
        if not self._published:
            self._temporary.unlink(missing_ok=True)


def _read(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)
