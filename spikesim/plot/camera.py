"""What an event camera saw."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from spikesim.events.transforms import crop_time
from spikesim.events.value import Events
from spikesim.plot import style


def event_frame(events: Events, start: float = 0.0, stop: float | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the events of a stretch of time as one picture: ON minus OFF at each pixel; or channels against time.

    Parameters
    ----------
    events
        A recording.
    start, stop
        Seconds; all of it by default.
    ax
        Where to draw; a new figure by default.

    Raises
    ------
    InvalidValueError
        If the stretch ends before it begins.
    """
    part = crop_time(events, start, stop)
    if len(events.shape) == 1:
        return _channels(part, start, ax)
    polarities, rows, columns = part.shape
    total = np.zeros(rows * columns)
    np.add.at(total, part.pixels, np.where(part.p == 1, 1.0, -1.0) if polarities == 2 else 1.0)
    side = 3.6 / max(rows, columns)
    ax = style.new_axes(ax, width=max(2.0, side * columns) + 0.8, height=max(2.0, side * rows) + 0.8)
    ax.grid(False)
    limit = max(1.0, float(np.abs(total).max()))
    picture: dict[str, Any] = (
        {"cmap": style.DIVERGING, "vmin": -limit, "vmax": limit}
        if polarities == 2
        else {"cmap": style.SEQUENTIAL, "vmin": 0.0, "vmax": limit}
    )
    ax.imshow(total.reshape(rows, columns), interpolation="nearest", **picture)
    style.label(ax, "column", "row", f"{len(part)} events, {_stretch(start, part, stop)}")
    return ax


def _channels(part: Events, start: float, ax: Axes | None) -> Axes:
    factor, unit = style.time_unit(start + part.duration)
    ax = style.new_axes(ax)
    ax.plot((start + part.t * 1e-6) * factor, part.x, ",", color=style.COLOURS[0], rasterized=True)
    ax.set_ylim(-1, part.shape[0])
    style.label(ax, f"time ({unit})", "channel", f"{len(part)} events")
    return ax


def _stretch(start: float, part: Events, stop: float | None) -> str:
    end = start + part.duration if stop is None else stop
    factor, unit = style.time_unit(end)
    return f"{start * factor:.4g} to {end * factor:.4g} {unit}"
