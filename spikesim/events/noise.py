"""Random transforms of events, for augmentation: what one draws depends on seed, draw and event only.

A draw is numbered. ``number`` is the place of the recording in its set, plus the size of the set for each epoch
before; :class:`spikesim.data.Batches` counts it: every epoch varies the recordings anew, and any can be repeated.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikesim.errors import InvalidValueError
from spikesim.events.value import Events, camera, microseconds
from spikesim.rng import Stream


def jitter_time(events: Events, sd: float, *, seed: int = 0, number: int = 0) -> Events:
    """Move every event by a normal number of microseconds; none becomes earlier than 0.

    Parameters
    ----------
    events
        A recording.
    sd
        Standard deviation in seconds.
    seed, number
        Which draw.
    """
    scale = _deviation(sd, "jitter_time") * 1e6
    moved = np.rint(scale * Stream(seed, "events/jitter_time").normal(len(events), step=number)).astype(np.int64)
    return replace(events, t=np.maximum(events.t + moved, 0))


def jitter_space(events: Events, sd: float, *, seed: int = 0, number: int = 0) -> Events:
    """Move every event by normal numbers of pixels (or channels), rounded; what leaves the sensor is dropped.

    Parameters
    ----------
    events
        A recording.
    sd
        Standard deviation in pixels, along each axis.
    seed, number
        Which draw.
    """
    scale, n = _deviation(sd, "jitter_space"), len(events)
    rows = events.shape[1] if len(events.shape) == 3 else 1
    draws = np.rint(scale * Stream(seed, "events/jitter_space").normal(2 * n, step=number)).astype(np.int64)
    x, y = events.x + draws[::2], events.y + (draws[1::2] if rows > 1 else 0)
    inside = (x >= 0) & (x < events.shape[-1]) & (y >= 0) & (y < rows)
    return replace(events, x=np.where(inside, x, 0), y=np.where(inside, y, 0)).select(inside)


def shift(events: Events, most: int, *, seed: int = 0, number: int = 0) -> Events:
    """Move a whole recording by up to ``most`` pixels (or channels) along each axis; what leaves is dropped.

    Parameters
    ----------
    events
        A recording.
    most
        Largest move; all whole numbers up to it are equally likely.
    seed, number
        Which draw.
    """
    if int(most) != most or most < 0:
        raise InvalidValueError(f"shift: most is {most!r}; allowed is a whole number from 0")
    dx, dy = (Stream(seed, "events/shift").integers(2, 2 * int(most) + 1, step=number) - int(most)).tolist()
    rows = events.shape[1] if len(events.shape) == 3 else 1
    x, y = events.x + dx, events.y + (dy if rows > 1 else 0)
    inside = (x >= 0) & (x < events.shape[-1]) & (y >= 0) & (y < rows)
    return replace(events, x=np.where(inside, x, 0), y=np.where(inside, y, 0)).select(inside)


def drop_events(events: Events, probability: float, *, seed: int = 0, number: int = 0) -> Events:
    """Drop each event with a probability.

    Parameters
    ----------
    events
        A recording.
    probability
        From 0 to 1.
    seed, number
        Which draw.
    """
    chance = _probability(probability, "drop_events")
    return events.select(~Stream(seed, "events/drop_events").bernoulli(len(events), chance, step=number))


def drop_pixels(events: Events, probability: float, *, seed: int = 0, number: int = 0) -> Events:
    """Drop all events of each pixel (or channel) with a probability, as if it were dead.

    Parameters
    ----------
    events
        A recording.
    probability
        From 0 to 1.
    seed, number
        Which draw.
    """
    n = int(np.prod(events.shape[-2:]))
    dead = Stream(seed, "events/drop_pixels").bernoulli(n, _probability(probability, "drop_pixels"), step=number)
    return events.select(~dead[events.pixels])


def drop_time(events: Events, length: float, *, seed: int = 0, number: int = 0) -> Events:
    """Drop all events of one window at a random place.

    Parameters
    ----------
    events
        A recording.
    length
        Of the window, in seconds; it lies within the recording if that is longer.
    seed, number
        Which draw.
    """
    window = microseconds(length, "drop_time: length")
    start = int(Stream(seed, "events/drop_time").integers(1, max(events.span - window, 0) + 1, step=number)[0])
    return events.select((events.t < start) | (events.t >= start + window))


def background(events: Events, rate: float, *, seed: int = 0, number: int = 0) -> Events:
    """Add noise: Poisson events of every pixel and polarity (or channel), over the duration of the recording.

    Parameters
    ----------
    events
        A recording.
    rate
        Of each pixel's polarity, in Hz.
    seed, number
        Which draw.
    """
    if not 0 <= rate < np.inf:
        raise InvalidValueError(f"background: rate is {rate!r}; allowed is a rate from 0 Hz")
    size, stream = int(np.prod(events.shape)), Stream(seed, "events/background")
    mean = rate * events.duration * size
    parts = max(1, round(mean / 1000))  # a Poisson count is the sum of Poisson counts, each small enough to draw
    count = int(stream.poisson(parts, mean / parts, step=number).sum())
    place = stream.child("place").integers(count, size, step=number)
    t = stream.child("time").integers(count, max(events.span, 1), step=number)
    plane, x = np.divmod(place, events.shape[-1])
    p, y = np.divmod(plane, events.shape[1]) if len(events.shape) == 3 else (plane, plane)
    added = {name: np.concatenate([getattr(events, name), new]) for name, new in zip("txyp", (t, x, y, p), strict=True)}
    return replace(events, **added)


def flip_at_random(events: Events, probability: float = 0.5, *, seed: int = 0, number: int = 0) -> Events:
    """Mirror the columns of a whole recording with a probability.

    Parameters
    ----------
    events
        A camera's recording.
    probability
        From 0 to 1.
    seed, number
        Which draw.
    """
    from spikesim.events.transforms import flip_left_right

    camera(events, "flip_at_random")
    chance = _probability(probability, "flip_at_random")
    return flip_left_right(events) if Stream(seed, "events/flip").bernoulli(1, chance, step=number)[0] else events


def _probability(value: float, what: str) -> float:
    if not 0.0 <= value <= 1.0:
        raise InvalidValueError(f"{what}: probability is {value!r}; allowed is from 0 to 1")
    return float(value)


def _deviation(value: float, what: str) -> float:
    if not 0.0 <= value < np.inf:
        raise InvalidValueError(f"{what}: sd is {value!r}; allowed is a finite number from 0")
    return float(value)
