"""Filters against noise: refractory pixels, lonely events, hot pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError
from spikesim.events.value import Events, camera, microseconds

_NEIGHBOURS = [(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dx or dy]


def refractory(events: Events, period: float) -> Events:
    """Let every pixel rest: an event within ``period`` of the pixel's last kept event is dropped.

    Parameters
    ----------
    events
        A recording. The polarities of a pixel share its rest.
    period
        Seconds, a whole number of microseconds.

    Examples
    --------
    >>> from spikesim import us
    >>> refractory(Events.channels([0, 4, 8, 12], [0, 0, 0, 0], 1), 5 * us).t
    array([0, 8])
    """
    rest = microseconds(period, "refractory: period")
    if rest == 0:
        return events
    key, order, span = _by_pixel(events, rest)
    keep = np.zeros(len(events), bool)
    # All pixels at once: each round takes every pixel from its last kept event to the next one.
    following = np.searchsorted(key, key + rest)
    pixel = key // span if len(key) else key
    at = np.flatnonzero(np.diff(pixel, prepend=-1))
    while at.size:
        keep[at] = True
        after = following[at]
        inside = after < len(key)
        at = after[inside][pixel[after[inside]] == pixel[at[inside]]]
    kept = np.zeros(len(events), bool)
    kept[order] = keep
    return events.select(kept)


def denoise(events: Events, period: float) -> Events:
    """Drop lonely events: one stays if any of the eight pixels around it had an event within ``period`` before it.

    This is the background activity filter (T. Delbruck, "Frame-free dynamic digital vision", 2008). Events at the same
    microsecond support each other; events that are dropped themselves still support others.

    Parameters
    ----------
    events
        A camera's recording.
    period
        Seconds, a whole number of microseconds.
    """
    _, rows, columns = camera(events, "denoise")
    reach = microseconds(period, "denoise: period")
    key, _, span = _by_pixel(events, reach)
    keep = np.zeros(len(events), bool)
    for dx, dy in _NEIGHBOURS:
        x, y = events.x + dx, events.y.astype(np.int64) + dy
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        last = (x + y * columns) * span + events.t + reach  # keys hold t + reach, so that none becomes negative
        found = np.searchsorted(key, last, side="right") > np.searchsorted(key, last - reach, side="left")
        keep |= found & inside
    return events.select(keep)


def hot_pixels(events: Events, limit: float) -> Events:
    """Drop all events of pixels (or channels) that fire more often than ``limit`` Hz over the whole recording.

    Parameters
    ----------
    events
        A recording. The polarities of a pixel are counted together.
    limit
        Events per second of :attr:`Events.duration`.

    Examples
    --------
    >>> from spikesim import kHz
    >>> hot_pixels(Events.channels([0, 250, 500, 999], [0, 0, 0, 1], 2), 2 * kHz).x
    array([1], dtype=int32)
    """
    if not limit > 0:
        raise InvalidValueError(f"hot_pixels: limit is {limit!r}; allowed is a rate above 0 Hz")
    pixels = events.pixels
    counts = np.bincount(pixels, minlength=1)
    return events.select((counts <= limit * events.duration)[pixels])


def _by_pixel(events: Events, margin: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return sorted keys ``pixel * span + t + margin``, the order that sorts, and the span.

    Within a span, times of neighbouring pixels are more than a margin apart, so a search never ends in another pixel.
    """
    span = events.span + 2 * margin + 2
    if span * int(np.prod(events.shape)) >= 2**62:
        raise InvalidValueError(f"events: {events.span} us are too long for this filter; crop_time the recording first")
    key = events.pixels * span + events.t + margin
    order = np.argsort(key, kind="stable")
    return key[order], order, span
