"""Files of Prophesee cameras: DAT, and RAW in the encodings EVT 2 and EVT 3.

Written from the published descriptions (docs.prophesee.ai, "DAT File Format", "EVT 2.0 Format", "EVT 3.0 Format").
A file begins with lines of text, each after ``%`` and a space. All numbers are little-endian.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import FileFormatError
from spikesim.events.value import Events

_CD_TYPES = (0x00, 0x0C)  # Event2d and EventCD; what else a DAT file may hold are triggers
_PART = 2**20  # words that are decoded together
_WRAPS = 2**11  # a 12-bit clock that falls by more than half of its range has gone round


def read_prophesee(content: bytes, where: str, shape: tuple[int, ...] | None = None) -> Events:
    """Read a DAT or RAW file.

    Parameters
    ----------
    content
        The whole file.
    where
        For messages.
    shape
        ``(2, height, width)``; by default what the header says, else the smallest that holds the events.

    Returns
    -------
    Events
        Time counts from the first event; ``origin`` is that event on the camera's clock.

    Raises
    ------
    FileFormatError
        If the file is damaged, or of an encoding that is not known.
    """
    header, start = _header(content)
    body = content[start:]
    encoding = _encoding(header)
    if encoding == "dat":
        t, x, y, p = _dat(body, where)
    elif encoding in ("2.0", "3.0"):
        size = 4 if encoding == "2.0" else 2
        words = np.frombuffer(body[: len(body) // size * size], f"<u{size}")  # a camera may stop within a word
        t, x, y, p = _evt2(words) if encoding == "2.0" else _evt3(words)
    else:
        raise FileFormatError(
            f"{where}: is a Prophesee file of encoding {encoding or 'unknown'}; allowed are DAT, EVT 2.0 and EVT 3.0: "
            "convert it with metavision_file_to_dat"
        )
    if shape is None and (found := _geometry(header)):
        shape = (2, *found)
    origin = int(t.min()) if t.size else 0
    return Events.from_columns({"t": t - origin, "x": x, "y": y, "p": p}, shape, origin=origin)


def _header(content: bytes) -> tuple[str, int]:
    """Return the lines of text and where the numbers begin."""
    at = 0
    while content[at : at + 2] == b"% ":
        line = content[at:].split(b"\n", 1)[0]
        at += len(line) + 1
        if line.strip() == b"% end":
            break
    return content[:at].decode("latin-1"), at


def _encoding(header: str) -> str:
    """Return ``"dat"``, ``"2.0"``, ``"3.0"``, or what else the header names."""
    if re.search(r"^% Data file containing", header, re.M | re.I):
        return "dat"
    found = re.search(r"^% evt (\S+)", header, re.M) or re.search(r"^% format EVT([0-9.]+)", header, re.M)
    if found is None:
        return ""
    return {"2": "2.0", "3": "3.0", "21": "2.1"}.get(found[1], found[1])


def _geometry(header: str) -> tuple[int, int] | None:
    """Return height and width if the header says them."""
    if pair := re.search(r"^% geometry (\d+)x(\d+)", header, re.M):
        return int(pair[2]), int(pair[1])
    sides = [re.search(rf"\b{name}[ =](\d+)", header, re.I) for name in ("height", "width")]
    return (int(sides[0][1]), int(sides[1][1])) if sides[0] and sides[1] else None


def _dat(body: bytes, where: str) -> tuple[NDArray[np.int64], ...]:
    """Read eight bytes per event: time, then 14 bits of x, 14 of y and the polarity."""
    if len(body) < 2 or body[0] not in _CD_TYPES or body[1] != 8 or (len(body) - 2) % 8:
        raise FileFormatError(
            f"{where}: {len(body)} bytes follow its header, event type and size are {body[:2].hex(' ') or 'missing'}; "
            "allowed are type 00 or 0c and size 08, then whole events; copy the file again"
        )
    words = np.frombuffer(body, "<u4", offset=2).reshape(-1, 2).astype(np.int64)
    wraps = np.cumsum(np.diff(words[:, 0], prepend=0) < -(2**31))  # 32 bits last for 71 minutes
    place = words[:, 1]
    return words[:, 0] + wraps * 2**32, place & 0x3FFF, (place >> 14) & 0x3FFF, (place >> 28) & 1


def _evt2(words: NDArray[np.uint32]) -> tuple[NDArray[np.int64], ...]:
    """Read 32-bit words: events with six bits of time, and the bits above whenever they change."""
    word = words.astype(np.int64)
    kind = word >> 28
    high = _last(kind == 8, word & 0xFFFFFFF)
    keep = (kind <= 1) & (high >= 0)
    word, kind, high = word[keep], kind[keep], high[keep]
    return (high << 6) | ((word >> 22) & 0x3F), (word >> 11) & 0x7FF, word & 0x7FF, kind


def _evt3(words: NDArray[np.uint16]) -> tuple[NDArray[np.int64], ...]:
    """Read 16-bit words that change one field each: two halves of time, row, column, or a group of columns.

    A part of the file at a time: what holds at its end is put before the next part, as words.
    """
    upper, state, parts = 0, np.zeros(0, np.int64), []
    for start in range(0, max(len(words), 1), _PART):
        word = np.concatenate([state, words[start : start + _PART].astype(np.int64)])
        events, upper, state = _evt3_part(word, upper)
        parts.append(events)
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _evt3_part(word: NDArray[np.int64], above: int) -> tuple[tuple[NDArray[np.int64], ...], int, NDArray[np.int64]]:
    """Return events t, x, y, p, and what holds at the end: the bits of time above its words, and the words.

    ``above`` is added to the upper half of all times: how often the 12 bits of it have gone round before.
    """
    kind, value = word >> 12, word & 0xFFF
    upper, low = _evt3_time(kind, value)
    t = np.where(upper >= 0, ((upper + above) << 12) | low, -1)
    y = _last(kind == 0, value & 0x7FF)
    # A group holds a bit for each of the next 12 or 8 columns, and moves the base on by as many.
    width = np.where(kind == 4, 12, np.where(kind == 5, 8, 0))
    before = np.cumsum(width) - width
    base = _last(kind == 3, np.arange(len(word)))
    first = np.where(base >= 0, (value & 0x7FF)[base] + before - before[base], -1)
    groups, single = np.flatnonzero(width), np.flatnonzero(kind == 2)
    bits = (value[groups, None] >> np.arange(12)) & (np.arange(12) < width[groups, None])
    which, column = np.nonzero(bits & 1)
    source = np.concatenate([groups[which], single])
    x = np.concatenate([first[groups[which]] + column, value[single] & 0x7FF])
    p = np.concatenate([value[base[groups[which]]] >> 11, value[single] >> 11])
    order = np.argsort(source, kind="stable")  # as they stand in the file; columns of a group stay in order
    source, x, p = source[order], x[order], p[order]
    known = (t[source] >= 0) & (y[source] >= 0) & ((kind[source] == 2) | (first[source] >= 0))
    events = (t[source][known], x[known], y[source][known], p[known])
    if not len(word):
        return events, above, word
    return events, *_evt3_end(word, upper + above, low, y, first + width)


def _evt3_end(word: NDArray[np.int64], *columns: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """Return the bits of time above the words, and words that say what holds after the last one."""
    upper, low, y, x = (int(column[-1]) for column in columns)
    state = [] if y < 0 else [y]
    if low >= 0:  # known as soon as the upper half is
        state += [0x8000 | (upper & 0xFFF), 0x6000 | low]
    base = np.flatnonzero(word >> 12 == 3)
    if base.size and 0 <= x < 2**11:
        state.append(0x3000 | (int(word[base[-1]]) & 0x800) | x)
    return upper & ~0xFFF if low >= 0 else 0, np.array(state, np.int64)


def _evt3_time(kind: NDArray[np.int64], value: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the upper and lower half of the time at each word, -1 before the first upper one."""
    high = np.flatnonzero(kind == 8)
    step = np.diff(value[high], prepend=value[high][:1])
    upper = np.zeros(len(kind), np.int64)
    upper[high] = value[high] + (np.cumsum(step < -_WRAPS) << 12)
    # A new upper half without a lower one begins at 0; the same upper half, sent again, leaves the lower as it is.
    resets = np.zeros(len(kind), bool)
    resets[high] = np.r_[True, step[1:] != 0] if len(high) else False
    said = _last(kind == 8, np.arange(len(kind)))
    low = _last((kind == 6) | resets, np.where(kind == 6, value, 0))
    # Some writers send the upper half once; then the lower one goes round without it.
    lows = np.flatnonzero(kind == 6)
    rounds = np.zeros(len(kind), np.int64)
    rounds[lows[1:]] = (np.diff(value[lows]) < 0) & (np.diff(said[lows]) == 0)
    rounds = np.cumsum(rounds)
    known = said >= 0
    return np.where(known, upper[said] + rounds - rounds[said], -1), np.where(known, low, -1)


def _last(where: NDArray[np.bool_], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each word the value at the last place that is marked, -1 before the first."""
    at = np.maximum.accumulate(np.where(where, np.arange(len(where)), -1)) if len(where) else np.zeros(0, np.int64)
    return np.where(at >= 0, values[at], -1) if len(where) else at
