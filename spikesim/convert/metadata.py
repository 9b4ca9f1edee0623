"""Parts of a network as one array of bytes, for the free part of other people's formats.

The bytes are a ZIP archive of plain arrays: ``structure`` holds JSON (:mod:`spikesim.files.codec`), ``0``, ``1``, ...
the arrays it refers to. Reading them never executes anything.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileFormatError
from spikesim.files.codec import Arrays, decode, encode

KEY = "spikesim"


def pack(value: Any) -> NDArray[np.uint8]:
    """Return a network, a part of one, or a dictionary of parts as bytes.

    >>> unpack(pack({"delay": 0.5, "weights": np.eye(2)}))["delay"]
    0.5
    """
    arrays: Arrays = []
    structure = json.dumps(encode(value, arrays)).encode()
    named = {str(k): array for k, array in enumerate(arrays)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, structure=np.frombuffer(structure, np.uint8), **named)  # type: ignore[arg-type]
    return np.frombuffer(buffer.getvalue(), np.uint8)


def unpack(data: Any) -> Any:
    """Return what :func:`pack` was given.

    Raises
    ------
    FileFormatError
        If the bytes are something else.
    """
    try:
        with np.load(io.BytesIO(np.asarray(data, np.uint8).tobytes()), allow_pickle=False) as archive:
            structure = json.loads(archive["structure"].tobytes())
            arrays = [archive[str(k)] for k in range(len(archive.files) - 1)]
        return decode(structure, arrays)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"its metadata {KEY!r} cannot be read: {error}") from None


def of(node: Any) -> dict[str, Any]:
    """Return what spikesim wrote into the metadata of a NIR node or graph; empty in a foreign file."""
    found = (getattr(node, "metadata", None) or {}).get(KEY)
    return found if isinstance(found, dict) else {}
