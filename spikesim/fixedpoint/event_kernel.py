"""The compiled check of a list of events; numpy needs ten passes for it."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, error_model="numpy")
def scan(column, source):
    """Look through events, at least one, given by two int64 arrays.

    Returns
    -------
    gap : int
        The least step from a pair (column, source) to the next: negative if they are not sorted, 0 if one comes twice.
    low, high : int
        Least and greatest source.
    """
    low = high = source[0]
    gap = np.int64(1)
    for i in range(1, source.size):
        low, high = min(low, source[i]), max(high, source[i])
        gap = min(gap, ((column[i] - column[i - 1]) << 32) + (source[i] - source[i - 1]))
    return gap, low, high
