"""The first 512 bytes of the files that spikesim writes, and how such files come into being.

HDF5 leaves room for a "user block" in front of its own first byte. Ours says in readable text what the file is, and
holds a checksum. A damaged, truncated or foreign file is therefore recognised before the HDF5 library, which may
crash on one, sees it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from spikesim.errors import FileAccessError, FileFormatError, MissingFileError

BLOCK = 512
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
KINDS = (
    "spikesim network",
    "spikesim recording",
    "spikesim checkpoint",
    "spikesim sweep",
    "spikesim training checkpoint",
    "spikesim profile",
    "spikesim continual results",
    "spikesim continual run",
)
READERS = {
    "spikesim network": "Network.load",
    "spikesim recording": "Recording.load",
    "spikesim sweep": "spikesim.load_sweep",
    "spikesim checkpoint": "spikesim.resume, with the name of the recording",
    "spikesim training checkpoint": "spikesim train --resume",
    "spikesim profile": "spikesim.profile.Profile.load",
    "spikesim continual results": "spikesim.continual.load_study",
    "spikesim continual run": "spikesim learn, with the options that it was begun with",
}


def user_block(kind: str, version: int, **fields: int | str) -> bytes:
    """Return the first 512 bytes of a file.

    Parameters
    ----------
    kind
        What the file is, one of :data:`KINDS`.
    version
        Of the layout of the file.
    **fields
        What the reader needs besides, such as a checksum.
    """
    text = json.dumps({"format": kind, "version": version, **fields}).encode()
    return (text + b"\n" + checksum(text).encode()).ljust(BLOCK, b"\n")


def checksum(data: bytes) -> str:
    """Return the checksum of some bytes, 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_user_block(raw: bytes, path: Path, kind: str, version: int) -> dict[str, Any]:
    """Return the fields of the first 512 bytes of a file.

    Parameters
    ----------
    raw
        The bytes.
    path
        For messages.
    kind
        What the file should be.
    version
        The newest layout that can be read.

    Raises
    ------
    FileFormatError
        If the file is something else, is damaged, or is newer.
    """
    fields = _fields(raw)
    if fields is None:
        raise FileFormatError(f"{str(path)!r} is not a {kind}: {_what_it_is(raw)}; pass a file that save() wrote")
    found = fields.get("format")
    if found != kind:
        remedy = f"; read it with {READERS[found]}" if found in READERS else ""
        raise FileFormatError(f"{str(path)!r} holds a {found}, expected a {kind}{remedy}")
    if not isinstance(fields.get("version"), int) or fields["version"] > version:
        raise FileFormatError(
            f"{str(path)!r} was written by a newer spikesim: it has layout version {fields.get('version')}, "
            f"this one reads versions up to {version}; upgrade with pip install -U spikesim"
        )
    return fields


def _fields(raw: bytes) -> dict[str, Any] | None:
    """Return the fields of a user block, or None if the bytes are not an intact one."""
    text, _, seal = raw[:BLOCK].rstrip(b"\n").partition(b"\n")
    if len(raw) < BLOCK or not text.startswith(b'{"format": "') or checksum(text).encode() != seal:
        return None
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _what_it_is(raw: bytes) -> str:
    if not raw:
        return "it is empty"
    if raw.startswith(HDF5_SIGNATURE):
        return "it is an HDF5 file that spikesim did not write"
    if b'"format": "spikesim' in raw[:BLOCK]:
        return "its first bytes are damaged"
    return "it begins with other bytes"


def open_for_reading(path: str | Path, kind: str) -> BinaryIO:
    """Open a file, or say why that is not possible.

    Raises
    ------
    MissingFileError
        If there is no such file; the message says the nearest name that there is.
    FileAccessError
        If it cannot be read.
    """
    path = Path(path)
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise MissingFileError(f"no {kind} at {str(path)!r}: the file does not exist{_nearest(path)}") from None
    except OSError as error:
        raise FileAccessError(f"{str(path)!r} cannot be read: {error.strerror or error}; pass a {kind} file") from None


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no folder {str(path.parent)!r} either"
    near = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_target(path: str | Path, kind: str) -> Path:
    """Return where a file is going to be written, links resolved; refuse to overwrite what is not of the same kind.

    Raises
    ------
    FileAccessError
        If the folder is missing or the file there is something else; it is left as it is.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileAccessError(
            f"{str(path)!r} cannot be written: there is no folder {str(target.parent)!r}; create it first"
        )
    if not target.exists():
        return target
    if not target.is_file():
        raise FileAccessError(f"{str(path)!r} cannot be written: it is not a regular file; choose another name")
    with open_for_reading(target, kind) as file:
        raw = file.read(BLOCK)
    fields = _fields(raw)
    if raw and (fields is None or fields.get("format") != kind):
        found = f"is a {fields['format']}" if fields else "was not written by spikesim"
        raise FileAccessError(
            f"{str(path)!r} exists and {found}, so no {kind} is written over it; choose another name, or delete it"
        )
    return target


def temporary(target: Path) -> tuple[BinaryIO, Path]:
    """Create a new file beside the target, to be renamed to it."""
    path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        return path.open("x+b", buffering=0), path
    except OSError as error:
        raise FileAccessError(
            f"{str(target)!r} cannot be written: {error.strerror or error}; choose another folder"
        ) from None


def write_atomically(target: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file so that its name only ever stands for a whole one.

    Parameters
    ----------
    target
        Where; what is there is replaced at the end.
    write
        Fills a new, empty file.
    """
    file, path = temporary(target)
    try:
        with file:
            write(file)
        os.replace(path, target)
    except OSError as error:
        raise FileAccessError(
            f"{str(target)!r} could not be written: {error.strerror or error}; nothing was changed"
        ) from None
    finally:
        path.unlink(missing_ok=True)
