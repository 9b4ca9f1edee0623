"""A model of an event camera that looks at a still image and moves: synthetic events, where no recording is at hand.

The camera moves as that of N-MNIST did (three saccades along a triangle, G. Orchard et al., Front. Neurosci. 9:437,
2015). A pixel keeps the logarithm of the light at its last event and makes an event whenever the light has changed by
its threshold since (P. Lichtsteiner, C. Posch, T. Delbruck, IEEE JSSC 43:566, 2008). What comes out resembles a
recording and is none: say so where results are reported.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.errors import InvalidValueError
from spikesim.events.value import Events, microseconds
from spikesim.rng import Stream

_STRIDE = 0.1  # pixels from one instant to the next, at most
_CORNERS = np.array([[0.0, 0.0], [0.5, 1.0], [1.0, 0.0], [0.0, 0.0]])  # of the triangle: along x, along y


def saccades(
    image: ArrayLike,
    *,
    size: tuple[int, int] = (34, 34),
    duration: float = 0.3,
    amplitude: float = 4.0,
    threshold: float = 0.3,
    mismatch: float = 0.03,
    dark: float = 0.1,
    seed: int = 0,
) -> Events:
    """Return the events of a camera that is moved three times in front of an image. They are synthetic.

    Parameters
    ----------
    image
        Light from 0 to 1, ``[height, width]``; black around it.
    size
        Height and width of the sensor; the image is in its middle.
    duration
        Seconds of the three saccades together, a whole number of microseconds.
    amplitude
        Side of the triangle in pixels.
    threshold
        Change of the natural logarithm of ``light + dark`` that makes an event.
    mismatch
        Standard deviation of the pixels' thresholds, relative to the threshold.
    dark
        Light that is always there; it limits the contrast.
    seed
        Of the pixels' thresholds: one camera has one seed.

    Returns
    -------
    Events
        Of shape ``(2, *size)``. The logarithm of light is taken to change linearly while the camera moves by a tenth
        of a pixel.

    Raises
    ------
    InvalidValueError
        If the image has no two axes, is not from 0 to 1, or a setting is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> saccades(np.zeros((8, 8)))
    <Events: 0 in 0 us, 2 x 34 x 34>
    >>> len(saccades(np.eye(8))) > 500
    True
    """
    light = np.asarray(image, np.float64)
    if light.ndim != 2 or not light.size or not (light.min() >= 0 and light.max() <= 1):
        raise InvalidValueError(f"saccades: image is {light.shape}; allowed is [height, width] with light from 0 to 1")
    if light.shape[0] > size[0] or light.shape[1] > size[1]:
        raise InvalidValueError(f"saccades: image is {light.shape}; allowed is at most the sensor's size {size}")
    for name, value in (("threshold", threshold), ("dark", dark), ("amplitude", amplitude)):
        if not 0 < value < np.inf:
            raise InvalidValueError(f"saccades: {name} is {value!r}; allowed is a finite number above 0")
    span = microseconds(duration, "saccades: duration", least=1)
    levels = threshold * (1 + mismatch * Stream(seed, "events/saccades").normal(size[0] * size[1]))
    scene = np.log(_seen(light, size, _path(amplitude)) + dark)
    return _changes(scene.reshape(len(scene), -1), np.maximum(levels, 0.1 * threshold), size, span)


def _path(amplitude: float) -> NDArray[np.float64]:
    """Return where the camera looks at each instant, ``[instants, 2]`` (x, y) in pixels."""
    steps = 3 * int(np.ceil(np.hypot(0.5, 1.0) * amplitude / _STRIDE))
    ends = np.linspace(0, steps, len(_CORNERS))
    middle = 0.5 * amplitude
    return np.stack([np.interp(np.arange(steps + 1), ends, c * amplitude - middle) for c in _CORNERS.T], axis=1)


def _seen(light: NDArray[np.float64], size: tuple[int, int], path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light on the sensor at each instant, ``[instants, *size]``, interpolated between pixels."""
    reach = int(np.ceil(np.abs(path).max())) + 1
    rows, columns = (s + 2 * reach for s in size)
    wide = np.zeros((rows, columns))
    top, left = (rows - light.shape[0]) // 2, (columns - light.shape[1]) // 2
    wide[top : top + light.shape[0], left : left + light.shape[1]] = light
    out = np.empty((len(path), *size))
    for frame, (dx, dy) in zip(out, path, strict=True):
        x, y = int(np.floor(dx)), int(np.floor(dy))
        part = wide[reach + y : reach + y + size[0] + 1, reach + x : reach + x + size[1] + 1]
        across = part[:, :-1] + (dx - x) * (part[:, 1:] - part[:, :-1])
        frame[:] = across[:-1] + (dy - y) * (across[1:] - across[:-1])
    return out


def _changes(scene: NDArray[np.float64], levels: NDArray[np.float64], size: tuple[int, int], span: int) -> Events:
    """Return an event at each moment when a pixel is its threshold away from where it was at its last event."""
    told = np.zeros(scene.shape, np.int64)  # thresholds told so far, up minus down
    for k in range(1, len(scene)):
        told[k] = told[k - 1] + ((scene[k] - scene[0] - told[k - 1] * levels) / levels).astype(np.int64)  # towards 0
    count = np.diff(told, axis=0)
    step, pixel = np.nonzero(count)
    n, sign = np.abs(count[step, pixel]), np.sign(count[step, pixel])
    nth = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + 1  # 1 .. n for the crossings of one step and pixel
    step, pixel, sign = (np.repeat(column, n) for column in (step, pixel, sign))
    before, after = scene[step, pixel] - scene[0, pixel], scene[step + 1, pixel] - scene[0, pixel]
    crossed = (told[step, pixel] + sign * nth) * levels[pixel]
    moved = np.where(after == before, 1.0, after - before)  # rounding may leave a crossing to a pixel that stands still
    share = np.clip((crossed - before) / moved, 0.0, 1.0)
    t = (span * ((step + share) / (len(scene) - 1))).astype(np.int64)
    y, x = np.divmod(pixel, size[1])
    return Events(t, x, y, (sign > 0).astype(np.int8), (2, *size))
