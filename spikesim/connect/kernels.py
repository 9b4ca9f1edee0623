"""Compiled helpers for building connections."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import numpy as np
from numba import njit


@njit(error_model="numpy", nogil=True, cache=True)
def counting_sort(sources, k, indptr):
    """Return the targets by source; ``sources[i]`` belongs to target ``i // k``, so each row comes out sorted."""
    out = np.empty(len(sources), np.int32)
    at = indptr[:-1].copy()
    for i in range(len(sources)):
        source = sources[i]
        out[at[source]] = i // k
        at[source] += 1
    return out
