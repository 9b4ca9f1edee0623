"""Events to frames: counts per step and pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikesim.errors import InvalidValueError
from spikesim.events.value import Events, microseconds

LARGEST = 2**31
"""Numbers in one array of frames above which a mistake is more likely than intent."""


def frames(
    events: Events,
    *,
    dt: float | None = None,
    steps: int | None = None,
    binary: bool = False,
    dtype: DTypeLike = np.float32,
) -> NDArray[Any]:
    """Count the events of each pixel in each time step.

    Parameters
    ----------
    events
        A recording.
    dt
        Length of a step in seconds, a whole number of microseconds. Steps count from time 0.
    steps
        Number of steps. With ``dt``: later events are left out, missing ones are 0. Without ``dt``: the time from the
        first to the last event is cut into so many equal parts.
    binary
        Whether a pixel spiked, instead of how often.
    dtype
        Of the result.

    Returns
    -------
    frames
        Shape ``[steps, *events.shape]``.

    Raises
    ------
    InvalidValueError
        If neither ``dt`` nor ``steps`` is given, one is no such number, or the result would be absurdly large.

    Examples
    --------
    >>> from spikesim import ms
    >>> events = Events.channels([100, 900, 2500], [0, 0, 1], 2)
    >>> frames(events, dt=1 * ms)
    array([[2., 0.],
           [0., 0.],
           [0., 1.]], dtype=float32)
    >>> frames(events, steps=2, binary=True, dtype=int)
    array([[1, 0],
           [0, 1]])
    """
    step, count = bins(events, dt, steps)
    size = count * int(np.prod(events.shape))
    if size > LARGEST:
        raise InvalidValueError(
            f"frames: {count} steps of {' x '.join(map(str, events.shape))} are {size} numbers; allowed are {LARGEST}: "
            "give a larger dt, crop or downsample"
        )
    out = np.zeros((count, *events.shape), dtype)
    fill(out, events, step, binary=binary)
    return out


def bins(events: Events, dt: float | None, steps: int | None) -> tuple[NDArray[np.int64], int]:
    """Return the step of each event, and the number of steps; see :func:`frames`.

    Raises
    ------
    InvalidValueError
        See :func:`frames`.
    """
    if steps is not None and (isinstance(steps, bool) or int(steps) != steps or steps < 1):
        raise InvalidValueError(f"frames: steps is {steps!r}; allowed is a whole number from 1")
    if dt is not None:
        step = events.t // microseconds(dt, "frames: dt", least=1)
        return step, int(steps) if steps is not None else int(step[-1]) + 1 if len(events) else 0
    if steps is None:
        raise InvalidValueError("frames: neither dt nor steps is given; give one or both, for example dt=1 * ms")
    if not len(events):
        return events.t, int(steps)
    first = events.t[0]
    return (events.t - first) * int(steps) // (events.span - first), int(steps)


def fill(out: NDArray[Any], events: Events, step: NDArray[np.int64], *, binary: bool = False) -> None:
    """Add events to zeros ``[steps, ...]`` at their steps; those beyond the last step are left out."""
    keep = step < len(out)  # steps are sorted as the events are
    last = int(np.count_nonzero(keep))
    pixels = events.pixels if len(events.shape) == 1 else events.pixels + _plane(events)
    where = (step * int(np.prod(events.shape)) + pixels)[:last]
    flat = out.reshape(-1)
    if binary:
        flat[where] = 1
    else:
        np.add.at(flat, where, out.dtype.type(1))


def _plane(events: Events) -> NDArray[np.int64]:
    """Return where the frame of each event's polarity begins."""
    return events.p.astype(np.int64) * (events.shape[1] * events.shape[2])
