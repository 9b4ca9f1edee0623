"""Values to several values, before they become spikes: receptive fields, signs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.encode._checks import positive, samples
from spikesim.equations.elementary import exp
from spikesim.errors import InvalidValueError


def population(
    x: ArrayLike, n: int, *, low: float = 0.0, high: float = 1.0, width: float | None = None
) -> NDArray[np.float64]:
    """Spread each value over ``n`` Gaussian receptive fields: the nearer a field's centre, the nearer to 1.

    Centres are evenly spaced from ``low`` to ``high``. The result is made spikes of by any encoder; with
    :func:`latency` it is the code of S. M. Bohte, J. N. Kok, H. La Poutre, Neurocomputing 48:17 (2002).

    Parameters
    ----------
    x
        Values, shape ``[samples, features...]``; those outside ``low`` to ``high`` are far from every centre.
    n
        Fields per value, at least 2.
    low, high
        First and last centre, in units of ``x``.
    width
        Standard deviation of a field; by default the distance of two centres.

    Returns
    -------
    intensities
        From 0 to 1, shape ``[samples, features..., n]``.

    Raises
    ------
    InvalidValueError
        If a value is not finite, or a setting is out of range.

    Examples
    --------
    >>> population([[0.5, 1.0]], 3).round(2)
    array([[[0.61, 1.  , 0.61],
            [0.14, 0.61, 1.  ]]])
    >>> from spikesim import encode
    >>> encode.latency(population([[0.5, 1.0]], 3), steps=10).shape
    (10, 1, 2, 3)
    """
    values = samples(x, "population").astype(np.float64)
    if isinstance(n, bool) or int(n) != n or n < 2:
        raise InvalidValueError(f"population: n is {n!r}; allowed is a whole number from 2")
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InvalidValueError(f"population: found low {low!r} and high {high!r}; allowed is low below high")
    centres = np.linspace(low, high, int(n))
    sd = (high - low) / (int(n) - 1) if width is None else positive(width, "population: width")
    result: NDArray[np.float64] = exp(-0.5 * ((values[..., None] - centres) / sd) ** 2)
    return result


def signed(x: ArrayLike) -> NDArray[np.float64]:
    """Split values of both signs into two intensities: what is above 0 and what is below.

    The result is made spikes of by any encoder: ``rate(signed(x), steps, seed=0)`` has ON and OFF spikes, laid out as
    :func:`delta` does it.

    Parameters
    ----------
    x
        Values, shape ``[samples, features...]``.

    Returns
    -------
    intensities
        From 0, shape ``[samples, 2, features...]``: positive parts at index 0, negative ones at index 1.

    Raises
    ------
    InvalidValueError
        If a value is not finite.

    Examples
    --------
    >>> signed([[0.5, -0.25]])
    array([[[0.5 , 0.  ],
            [0.  , 0.25]]])
    """
    values = samples(x, "signed").astype(np.float64)
    return np.stack([np.maximum(values, 0.0), np.maximum(-values, 0.0)], axis=1)
