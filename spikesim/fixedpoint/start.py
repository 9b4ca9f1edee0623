"""States from which a population reaches its initial states by itself.

On the chip a population may run some columns before step 0 of the graph (``find_lags``), without input but with its
leak and bias. It begins there in the state from which these columns lead exactly to the initial one: a decay by a
factor of at most 1, rounded towards zero, takes every whole number as a value, so there is such a state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ONE = 4096  # decays are in parts of this
MAX_STATE = 2**23


def decayed(x: NDArray[np.int64], keep: Any) -> NDArray[np.int64]:
    """Multiply by ``keep / 4096``, rounded towards zero, as the chip does.

    >>> decayed(np.array([100, -100]), 2048).tolist()
    [50, -50]
    """
    return np.asarray(np.sign(x) * (np.abs(x) * keep // ONE))


def before_decay(y: NDArray[np.int64], keep: Any) -> NDArray[np.int64]:
    """Return the smallest states that decay to ``y``.

    >>> before_decay(np.array([50, -3, 0]), 2000).tolist()
    [103, -7, 0]
    """
    return np.asarray(np.sign(y) * -(-np.abs(y) * ONE // np.maximum(keep, 1)))


def start_states(
    columns: int, u: Any, v: Any, *, keep_u: Any, keep_v: Any, bias: Any, threshold: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return the states some columns before given ones.

    Parameters
    ----------
    columns
        How many.
    u, v
        The states to reach, ``[n]``.
    keep_u, keep_v
        What a column leaves of them, in parts of 4096: one number, or one per neuron.
    bias
        Added to v in every column, ``[n]``.
    threshold
        Of a spike, which must not happen on the way.

    Returns
    -------
    u, v
        The first states, ``[n]``; None if there are none.
    """
    bias = np.asarray(bias, np.int64)
    u, v = np.broadcast_arrays(np.asarray(u, np.int64), np.asarray(v, np.int64) + 0 * bias)
    currents, volts = [u], [v]
    for _ in range(columns):
        volts.append(np.where(keep_v, before_decay(volts[-1] - currents[-1] - bias, keep_v), 0))
        currents.append(before_decay(currents[-1], keep_u))
    first = currents[-1], volts[-1]
    return first if _leads_to(first, columns, u, v, keep_u, keep_v, bias, threshold) else None


def _leads_to(
    first: tuple[NDArray[np.int64], NDArray[np.int64]],
    columns: int,
    u: NDArray[np.int64],
    v: NDArray[np.int64],
    keep_u: Any,
    keep_v: Any,
    bias: NDArray[np.int64],
    threshold: Any,
) -> bool:
    """Run the columns forward: no spike, nothing beyond the range, and the right end (v is free if nothing stays)."""
    for k in range(columns + 1):
        now_u, now_v = alone(k, *first, keep_u=keep_u, keep_v=keep_v, bias=bias)
        if np.abs([now_u, now_v]).max(initial=0) >= MAX_STATE or (k and (now_v > threshold).any()):
            return False
    return bool((now_u == u).all() and ((now_v == v) | (np.asarray(keep_v) == 0)).all())


def alone(
    columns: int, u: Any, v: Any, *, keep_u: Any, keep_v: Any, bias: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the states after some columns without input and without a spike.

    >>> alone(2, np.array([0]), np.array([0]), keep_u=0, keep_v=2048, bias=np.array([100]))[1].tolist()
    [150]
    """
    for _ in range(columns):
        u = decayed(u, keep_u)
        v = decayed(v, keep_v) + u + bias
    return u, v
