"""Transforms of events that leave nothing to chance: cutting, scaling, turning, polarity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikesim.errors import InvalidValueError
from spikesim.events.value import Events, camera, microseconds


def crop_time(events: Events, start: float = 0.0, stop: float | None = None) -> Events:
    """Keep what happens from ``start`` to before ``stop``, and count time from ``start``.

    Parameters
    ----------
    events
        A recording.
    start, stop
        Seconds, whole numbers of microseconds; to the end by default.

    Examples
    --------
    >>> from spikesim import us
    >>> crop_time(Events.channels([5, 10, 20], [0, 0, 0], 1), 10 * us, 20 * us).t
    array([0])
    """
    first = microseconds(start, "crop_time: start")
    last = events.span if stop is None else microseconds(stop, "crop_time: stop")
    if stop is not None and last <= first:
        raise InvalidValueError(f"crop_time: stop is {stop!r} s; allowed is a time after start, which is {start!r} s")
    kept = events.select(slice(*np.searchsorted(events.t, [first, last])))  # type: ignore[arg-type]
    return replace(kept, t=kept.t - first, origin=events.origin + first)


def from_first(events: Events) -> Events:
    """Count time from the first event.

    >>> from_first(Events.channels([7, 9], [0, 0], 1)).t
    array([0, 2])
    """
    return crop_time(events, int(events.t[0]) * 1e-6) if len(events) else events


def crop(events: Events, width: int, height: int, left: int | None = None, top: int | None = None) -> Events:
    """Keep a rectangle of the sensor.

    Parameters
    ----------
    events
        A camera's recording.
    width, height
        Of the rectangle, in pixels.
    left, top
        Its first column and row; in the middle by default.

    Raises
    ------
    InvalidValueError
        If the rectangle does not lie on the sensor.

    Examples
    --------
    >>> events = Events([1, 2], x=[0, 5], y=[0, 4], p=[1, 1], shape=(2, 8, 8))
    >>> inside = crop(events, 4, 4)
    >>> inside.x, inside.y, inside.shape
    (array([3], dtype=int32), array([2], dtype=int32), (2, 4, 4))
    """
    polarities, rows, columns = camera(events, "crop")
    x0 = (columns - width) // 2 if left is None else left
    y0 = (rows - height) // 2 if top is None else top
    if min(width, height) < 1 or min(x0, y0) < 0 or x0 + width > columns or y0 + height > rows:
        raise InvalidValueError(
            f"crop: found {width} x {height} pixels from column {x0}, row {y0}; allowed is a rectangle within "
            f"{columns} x {rows}"
        )
    x, y = events.x - x0, events.y - y0
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    kept = replace(events, x=np.where(inside, x, 0), y=np.where(inside, y, 0), shape=(polarities, height, width))
    return kept.select(inside)


def downsample(events: Events, factor: int) -> Events:
    """Merge squares of ``factor x factor`` pixels, or as many neighbouring channels; no event is lost.

    Examples
    --------
    >>> downsample(Events.channels([1, 2], [0, 699], 700), 5)
    <Events: 2 in 3 us, 140>
    """
    n = _whole(factor, "downsample: factor")
    sizes = tuple(-(-size // n) for size in events.shape[-2:])  # rounded up
    return replace(events, x=events.x // n, y=events.y // n, shape=(*events.shape[:-2], *sizes))


def flip_left_right(events: Events) -> Events:
    """Mirror columns, or channels.

    >>> flip_left_right(Events.channels([1], [0], 3)).x
    array([2], dtype=int32)
    """
    return replace(events, x=events.shape[-1] - 1 - events.x)


def flip_up_down(events: Events) -> Events:
    """Mirror rows of a camera's recording."""
    _, rows, _ = camera(events, "flip_up_down")
    return replace(events, y=rows - 1 - events.y)


def transpose(events: Events) -> Events:
    """Exchange rows and columns of a camera's recording."""
    polarities, rows, columns = camera(events, "transpose")
    return replace(events, x=events.y, y=events.x, shape=(polarities, columns, rows))


def flip_polarity(events: Events) -> Events:
    """Exchange ON and OFF.

    >>> flip_polarity(Events([1, 2], [0, 0], [0, 0], [1, 0], (2, 1, 1))).p
    array([0, 1], dtype=int8)
    """
    if camera(events, "flip_polarity")[0] != 2:
        raise InvalidValueError("flip_polarity: these events have one polarity; allowed are events with two")
    return replace(events, p=1 - events.p)


def merge_polarity(events: Events) -> Events:
    """Make ON and OFF the same: one polarity remains.

    >>> merge_polarity(Events([1], [0], [0], [1], (2, 4, 5))).shape
    (1, 4, 5)
    """
    _, rows, columns = camera(events, "merge_polarity")
    return replace(events, p=np.zeros(len(events), np.int8), shape=(1, rows, columns))


def _whole(value: int, what: str) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise InvalidValueError(f"{what} is {value!r}; allowed is a whole number from 1")
    return int(value)
