"""The files of N-MNIST and N-Caltech101: five bytes an event.

The bytes are x, y, then the polarity and 23 bits of microseconds, most significant first (G. Orchard et al.,
"Converting static image datasets to spiking neuromorphic datasets using saccades", Front. Neurosci. 9:437, 2015, and
its page). A row of 240 marks no event but 2^13 us that are added to all times from there on, as its authors' code does.
"""

from __future__ import annotations

import numpy as np

from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.events.value import Events

SHAPE = (2, 34, 34)
_OVERFLOW_ROW, _OVERFLOW = 240, 2**13


def read_nmnist(content: bytes, where: str, shape: tuple[int, ...] | None = None) -> Events:
    """Read such a file.

    Parameters
    ----------
    content
        Its bytes.
    where
        For messages.
    shape
        By default that of N-MNIST, or the smallest that holds the events if they lie outside of it.

    Raises
    ------
    FileFormatError
        If it does not hold whole events.
    """
    if len(content) % 5:
        raise FileFormatError(
            f"{where}: holds {len(content)} bytes; a .bin file of events has five for each; copy the file again"
        )
    raw = np.frombuffer(content, np.uint8).reshape(-1, 5).astype(np.int64)
    marks = raw[:, 1] == _OVERFLOW_ROW
    t = ((raw[:, 2] & 0x7F) << 16 | raw[:, 3] << 8 | raw[:, 4]) + np.cumsum(marks) * _OVERFLOW
    keep = ~marks
    x, y = raw[keep, 0], raw[keep, 1]
    if shape is None and (not x.size or (x.max() < SHAPE[2] and y.max() < SHAPE[1])):
        shape = SHAPE
    return Events.from_columns({"t": t[keep], "x": x, "y": y, "p": raw[keep, 2] >> 7}, shape)


def nmnist_bytes(events: Events) -> bytes:
    """Return events as such a file.

    Raises
    ------
    InvalidValueError
        If a column, row or time does not fit into its bits.
    """
    limits = {"x": 2**8, "y": _OVERFLOW_ROW, "t": 2**23}
    problems = [
        f"{name} goes up to {getattr(events, name).max()}, allowed is {limit - 1}"
        for name, limit in limits.items()
        if len(events) and getattr(events, name).max() >= limit
    ]
    if problems:
        raise InvalidValueError(f"events do not fit a .bin file: {'; '.join(problems)}; write .npz or .h5 instead")
    raw = np.empty((len(events), 5), np.uint8)
    raw[:, 0], raw[:, 1] = events.x, events.y
    raw[:, 2] = (events.p.astype(np.int64) << 7) | (events.t >> 16)
    raw[:, 3], raw[:, 4] = (events.t >> 8) & 0xFF, events.t & 0xFF
    return raw.tobytes()
