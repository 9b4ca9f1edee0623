"""Transforms by name, as values: what is done to recordings can be listed, compared and repeated."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.events import filters, noise, transforms
from spikesim.events.value import Events

TRANSFORMS: dict[str, Callable[..., Events]] = {
    function.__name__: function
    for function in (
        transforms.crop_time, transforms.from_first, transforms.crop, transforms.downsample,
        transforms.flip_left_right, transforms.flip_up_down, transforms.transpose, transforms.flip_polarity,
        transforms.merge_polarity, filters.refractory, filters.denoise, filters.hot_pixels, noise.jitter_time,
        noise.jitter_space, noise.shift, noise.drop_events, noise.drop_pixels, noise.drop_time, noise.background,
        noise.flip_at_random,
    )
}  # fmt: skip
"""Every transform of events by its name."""


@dataclass(frozen=True)
class Transform:
    """A transform with its settings; made by :func:`transform`.

    Parameters
    ----------
    name
        One of :data:`TRANSFORMS`.
    settings
        Names and values, sorted by name.
    """

    name: str
    settings: tuple[tuple[str, Any], ...]

    def __call__(self, events: Events, number: int = 0) -> Events:
        """Return the transformed events; ``number`` says which draw it is, if the transform is random."""
        function = TRANSFORMS[self.name]
        given = dict(self.settings)
        if "number" in inspect.signature(function).parameters:
            given["number"] = given.get("number", 0) + number
        return function(events, **given)


def transform(name: str, **settings: Any) -> Transform:
    """Return a transform by name, to be applied to many recordings.

    Parameters
    ----------
    name
        One of :data:`TRANSFORMS`.
    **settings
        The parameters of the function of that name, without the events.

    Raises
    ------
    UnknownNameError
        If there is no such transform, or it has no such setting.
    InvalidValueError
        If a setting is missing.

    Examples
    --------
    >>> half = transform("downsample", factor=2)
    >>> half(Events.channels([1], [3], 4)).x
    array([1], dtype=int32)
    """
    if name not in TRANSFORMS:
        raise UnknownNameError("transform of events", name, list(TRANSFORMS))
    parameters = dict(list(inspect.signature(TRANSFORMS[name]).parameters.items())[1:])
    for key in settings:
        if key not in parameters:
            raise UnknownNameError(f"setting of transform {name!r}:", key, list(parameters))
    if missing := [k for k, p in parameters.items() if p.default is p.empty and k not in settings]:
        raise InvalidValueError(f"transform {name!r}: needs {', '.join(missing)}; pass {missing[0]}=...")
    return Transform(name, tuple(sorted(settings.items())))


def apply(
    events: Events, steps: Iterable[Callable[[Events, int], Events] | Callable[[Events], Events]], number: int = 0
) -> Events:
    """Apply transforms, or functions of your own from events to events, one after the other.

    >>> apply(Events.channels([1, 5], [3, 0], 4), [transform("downsample", factor=2), transform("from_first")])
    <Events: 2 in 5 us, 2>
    """
    for step in steps:
        events = step(events, number) if isinstance(step, Transform) else step(events)  # type: ignore[call-arg]
    return events
