"""Events: which pixel or channel changed, and when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError

NAMES = {"t": ("t", "ts", "timestamp", "time"), "x": ("x",), "y": ("y",), "p": ("p", "on", "polarity", "pol")}
"""Under which names the columns of events occur in files and in other people's arrays."""


@dataclass(frozen=True, eq=False, repr=False)
class Events:
    """A recording of a camera or a cochlea: one row per event, in the order of time.

    Parameters
    ----------
    t
        Time in microseconds from 0, ``int64`` ``[events]``. Rows in another order are sorted; equal times keep theirs.
    x
        Column of the pixel, or channel, ``int32``.
    y
        Row of the pixel, 0 at the top, ``int32``; 0 for channels.
    p
        Polarity, ``int8``: 1 for more light (ON), 0 for less (OFF); 0 for channels.
    shape
        ``(polarities, height, width)`` of a camera, ``(channels,)`` of anything else. A frame has this shape.
    origin
        What the clock of the recording said, in microseconds, at ``t = 0``.

    Raises
    ------
    InvalidValueError
        If columns differ in length, are not whole numbers, or an event lies outside ``shape``.

    Examples
    --------
    >>> events = Events([10, 30], x=[0, 2], y=[0, 1], p=[1, 0], shape=(2, 2, 3))
    >>> events
    <Events: 2 in 31 us, 2 x 2 x 3>
    >>> Events.channels([5, 9], [1, 1], 4).shape
    (4,)
    """

    t: NDArray[np.int64]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    p: NDArray[np.int8]
    shape: tuple[int, ...]
    origin: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        """Convert, check and sort the columns."""
        shape = _shape(self.shape)
        columns = {name: np.asarray(getattr(self, name)) for name in "txyp"}
        problems = [
            f"events: {name} is {c.dtype} {list(c.shape)}; allowed is one axis of whole numbers, as many as in t "
            f"({columns['t'].size})"
            for name, c in columns.items()
            if c.shape != (columns["t"].size,) or (c.size and c.dtype.kind not in "iub")
        ]
        limits = dict(zip("pyx", (1, 1, shape[0]) if len(shape) == 1 else shape, strict=True))
        limits["t"] = 2**62
        problems += [
            f"events: {name} goes from {c.min()} to {c.max()}; allowed is 0 to {limits[name] - 1}"
            for name, c in columns.items()
            if not problems and c.size and (int(c.min()) < 0 or int(c.max()) >= limits[name])
        ]
        if problems:
            raise InvalidValueError("\n".join(problems))
        t = columns["t"]
        order = None if t.size < 2 or (t[1:] >= t[:-1]).all() else np.argsort(t, kind="stable")
        for name, kind in (("t", np.int64), ("x", np.int32), ("y", np.int32), ("p", np.int8)):
            column = columns[name].astype(kind)
            object.__setattr__(self, name, column if order is None else column[order])
        object.__setattr__(self, "shape", shape)

    @classmethod
    def channels(cls, t: ArrayLike, channel: ArrayLike, n: int) -> Events:
        """Return events of ``n`` channels without place or polarity, such as those of a cochlea.

        Parameters
        ----------
        t
            Times in microseconds.
        channel
            Channel of each event.
        n
            Number of channels.
        """
        zeros = np.zeros(np.size(t), np.int8)
        return cls(np.asarray(t), np.asarray(channel), zeros, zeros, (n,))  # type: ignore[arg-type]

    @classmethod
    def from_array(cls, array: NDArray[Any], shape: tuple[int, ...] | None = None, *, origin: int = 0) -> Events:
        """Return the events of a structured array, as tonic, aedat, expelliarmus and ``.npy`` files have them.

        Parameters
        ----------
        array
            Fields ``t`` (microseconds) and ``x``, and mostly ``y`` and ``p``; polarity may be bool, 0 and 1, or -1
            and 1. :data:`NAMES` lists the other names that are understood.
        shape
            See :class:`Events`; without it the smallest that holds the events, with two polarities.
        origin
            See :class:`Events`.

        Raises
        ------
        InvalidValueError
            If a field is missing, or an event lies outside ``shape``.
        """
        fields = array.dtype.names
        if fields is None:
            raise InvalidValueError(
                f"events: found a plain array of {array.dtype}; allowed is a structured one with fields t, x, y, p, "
                "for example from numpy.rec.fromarrays([t, x, y, p], names='t,x,y,p')"
            )
        found = {name: next((f for f in names if f in fields), None) for name, names in NAMES.items()}
        if found["t"] is None or found["x"] is None:
            raise InvalidValueError(f"events: found fields {', '.join(fields)}; needed are t and x, and mostly y and p")
        return cls.from_columns({name: array[f] for name, f in found.items() if f is not None}, shape, origin=origin)

    @classmethod
    def from_columns(
        cls, columns: dict[str, NDArray[Any]], shape: tuple[int, ...] | None = None, *, origin: int = 0
    ) -> Events:
        """Return events of columns ``t``, ``x`` and perhaps ``y`` and ``p``; see :meth:`from_array`."""
        t, x = np.asarray(columns["t"]), np.asarray(columns["x"])
        y = np.asarray(columns.get("y", np.zeros(t.size, np.int8)))
        p = np.asarray(columns.get("p", np.zeros(t.size, np.int8)))
        if p.dtype.kind == "i" and p.size and p.min() == -1:
            p = (p > 0).astype(np.int8)
        if shape is None:
            width, height = (int(c.max()) + 1 if c.size else 1 for c in (x, y))
            shape = (2, height, width) if "y" in columns else (width,)
        return cls(t, x, y, p, shape, origin=origin)

    def to_array(self) -> NDArray[Any]:
        """Return a structured array with fields ``t`` (int64), ``x``, ``y`` (int16 or int32) and ``p`` (bool)."""
        place = "<i2" if max(self.shape) <= 2**15 else "<i4"
        array = np.empty(len(self), [("t", "<i8"), ("x", place), ("y", place), ("p", "?")])
        for name in "txyp":
            array[name] = getattr(self, name)
        return array

    def __len__(self) -> int:
        """Return the number of events."""
        return int(self.t.size)

    def __eq__(self, other: object) -> bool:
        """Compare all columns, shape and origin."""
        if not isinstance(other, Events):
            return NotImplemented
        same = self.shape == other.shape and self.origin == other.origin
        return same and all(np.array_equal(getattr(self, c), getattr(other, c)) for c in "txyp")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Describe size and duration instead of printing arrays."""
        return f"<Events: {len(self)} in {self.span} us, {' x '.join(map(str, self.shape))}>"

    @property
    def span(self) -> int:
        """Microseconds from 0 to just after the last event."""
        return int(self.t[-1]) + 1 if len(self) else 0

    @property
    def duration(self) -> float:
        """Seconds from 0 to just after the last event."""
        return self.span * 1e-6

    @property
    def rate(self) -> float:
        """Events per second of :attr:`duration`; 0 if there is none."""
        return len(self) / self.duration if len(self) else 0.0

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Number of each event's pixel, without polarity, ``[events]``."""
        return self.x + self.y.astype(np.int64) * self.shape[-1]

    def select(self, keep: NDArray[Any]) -> Events:
        """Return the events that a mask or sorted numbers choose."""
        return replace(self, t=self.t[keep], x=self.x[keep], y=self.y[keep], p=self.p[keep])


def _shape(shape: Any) -> tuple[int, ...]:
    """Return a shape as integers, or say what one looks like."""
    found = tuple(int(n) for n in np.atleast_1d(np.asarray(shape)).tolist())
    if len(found) not in (1, 3) or min(found) < 1 or (len(found) == 3 and found[0] > 2):
        raise InvalidValueError(
            f"events: shape is {shape!r}; allowed is (polarities, height, width) with 1 or 2 polarities, or (channels,)"
        )
    return found


def camera(events: Events, what: str) -> tuple[int, int, int]:
    """Return the shape of a camera's events; refuse those of channels, for which ``what`` has no meaning."""
    if len(events.shape) != 3:
        raise InvalidValueError(
            f"{what}: these events have {events.shape[0]} channels without a place; allowed are those of a camera, "
            "with shape (polarities, height, width)"
        )
    return events.shape[0], events.shape[1], events.shape[2]


def microseconds(seconds: float, what: str, *, least: int = 0) -> int:
    """Return a time in whole microseconds, the resolution of events; refuse one that is no such number."""
    found = float(seconds) * 1e6
    if not np.isfinite(found) or abs(found - round(found)) > 1e-6 * max(1.0, abs(found)) or round(found) < least:
        raise InvalidValueError(
            f"{what}: found {seconds!r} s; allowed is a whole number of microseconds from {least}, for example 1 * ms"
        )
    return round(found)
