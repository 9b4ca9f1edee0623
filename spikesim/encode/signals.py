"""Signals to spikes, and values to currents: delta and direct current."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.encode._checks import positive, samples, step_count
from spikesim.errors import UnknownNameError


def delta(x: ArrayLike, *, threshold: float, compare: str = "level") -> NDArray[np.bool_]:
    """Encode a signal by its changes: an ON spike when it has risen by the threshold, an OFF spike when it has fallen.

    Each feature keeps a level, at first its first value. A spike moves the level by one threshold towards the signal,
    at most one spike in a step; so the signal is the first value plus the threshold times the sum of (ON - OFF), to
    within one threshold, as long as it does not change faster than that in a step.

    Parameters
    ----------
    x
        Signals, shape ``[samples, time, features...]``.
    threshold
        Change that makes a spike, in units of ``x``.
    compare
        With what a value is compared: ``"level"``, as above, or ``"previous"``, the value one step before (so slow
        changes are never seen; snnTorch's ``spikegen.delta`` with ``padding`` does that).

    Returns
    -------
    spikes
        ``bool``, shape ``[time, samples, 2, features...]``: ON at index 0, OFF at index 1 of the third axis.

    Raises
    ------
    InvalidValueError
        If the threshold is not positive, a value is not finite, or the shape does not fit.
    UnknownNameError
        If ``compare`` is something else.

    Examples
    --------
    >>> spikes = delta([[[0.0], [1.0], [1.0], [0.0]]], threshold=1.0)
    >>> spikes[:, 0, :, 0].astype(int)      # columns ON, OFF
    array([[0, 0],
           [1, 0],
           [0, 0],
           [0, 1]])
    """
    signal = np.moveaxis(samples(x, "delta", least_axes=3).astype(np.float64), 1, 0)
    size = positive(threshold, "delta: threshold")
    out = np.zeros((*signal.shape[:2], 2, *signal.shape[2:]), dtype=bool)
    if compare not in ("level", "previous"):
        raise UnknownNameError("comparison of delta:", compare, ["level", "previous"])
    if compare == "previous":
        change = np.diff(signal, axis=0)
        out[1:, :, 0], out[1:, :, 1] = change >= size, change <= -size
        return out
    moved = np.zeros(signal.shape[1:])  # whole thresholds: counting does not round, adding thresholds would
    for step, value in enumerate(signal):
        change = value - (signal[0] + moved * size)
        up, down = change >= size, change <= -size
        moved += up.astype(np.float64) - down
        out[step, :, 0], out[step, :, 1] = up, down
    return out


def constant(x: ArrayLike, steps: int) -> NDArray[Any]:
    """Encode a value as a direct current: the same in every step.

    Parameters
    ----------
    x
        Currents, shape ``[samples, features...]``.
    steps
        Number of time steps.

    Returns
    -------
    currents
        Floating point (of ``x``'s precision, ``float64`` for whole numbers), shape ``[steps, samples, features...]``.

    Raises
    ------
    InvalidValueError
        If a value is not finite, or a shape or count does not fit.

    Examples
    --------
    >>> constant([[0.5, 2.0]], steps=3)[:, 0]
    array([[0.5, 2. ],
           [0.5, 2. ],
           [0.5, 2. ]])
    """
    current = samples(x, "constant")
    if current.dtype.kind != "f":
        current = current.astype(np.float64)
    return np.repeat(current[None], step_count(steps, "constant"), axis=0)
