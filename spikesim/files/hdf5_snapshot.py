"""Reading what :mod:`spikesim.files.hdf5_stream` writes, checked before the HDF5 library sees it."""

from __future__ import annotations

import io
import os
import threading
import weakref
from pathlib import Path
from typing import Any

from spikesim.errors import FileFormatError
from spikesim.files.envelope import BLOCK, checksum, open_for_reading, read_user_block
from spikesim.files.hdf5_stream import HEAD

_lock = threading.Lock()


class Snapshot(io.RawIOBase):
    """The state of a stream at its last commit, as a read-only file; it stays readable while the run goes on.

    Parameters
    ----------
    path
        The file.
    kind, version
        What it should be.

    Raises
    ------
    MissingFileError, FileAccessError
        If the file cannot be read.
    FileFormatError
        If it is foreign, damaged, truncated or newer.

    Notes
    -----
    What may change (head and area) is checked and kept in memory; finished chunks never change and are read when
    asked for. The descriptor stays open, so the recording outlives the renaming or deletion of its file.
    """

    def __init__(self, path: str | Path, kind: str, version: int) -> None:
        super().__init__()
        self.path = Path(path)
        with open_for_reading(path, kind) as file:
            self._descriptor = os.dup(file.fileno())
        self._closer = weakref.finalize(self, os.close, self._descriptor)
        self._at = 0
        self._head = self._from_file(0, HEAD)
        while problem := self._load_area(kind, version):
            before, self._head = self._head, self._from_file(0, HEAD)
            if self._head == before:  # otherwise a run that is still writing was quicker than we: try again
                raise problem

    def _load_area(self, kind: str, version: int) -> FileFormatError | None:
        """Read and check the area that the head points to; return what is wrong with it, or None."""
        try:
            fields = read_user_block(self._head, self.path, kind, version)
        except FileFormatError as error:
            return error
        problem = self._area_problem(fields)
        if problem is None:
            return None
        return FileFormatError(f"{str(self.path)!r} is damaged: {problem}; restore it from a copy")

    def _area_problem(self, fields: dict[str, Any]) -> str | None:
        places = [fields.get(name) for name in ("area", "bytes", "end")]
        if not all(isinstance(p, int) for p in places):
            return f"its head says {fields}"
        self._area_start, size, self.size = (int(p) for p in places if p is not None)
        found = os.fstat(self._descriptor).st_size
        if found < self.size:
            return f"it is truncated, found {found} bytes, expected {self.size}"
        self._area = self._from_file(self._area_start, size)
        if checksum(self._head[BLOCK:] + self._area) != fields.get("checksum"):
            return "the description of its contents does not match its checksum"
        return None

    def _from_file(self, start: int, size: int) -> bytes:
        parts = []
        with _lock:  # one descriptor has one position
            os.lseek(self._descriptor, start, os.SEEK_SET)
            while size and (part := os.read(self._descriptor, size)):
                parts.append(part)
                size -= len(part)
        return b"".join(parts)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the current position."""
        view = memoryview(buffer).cast("B")
        start, end = self._at, min(self._at + len(view), self.size)
        data = bytearray(self._from_file(start, max(0, end - start)))
        for known_start, known in ((0, self._head), (self._area_start, self._area)):
            low, high = max(start, known_start), min(end, known_start + len(known))
            if low < high:
                data[low - start : high - start] = known[low - known_start : high - known_start]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it has positions."""
        return True
