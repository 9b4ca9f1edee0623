# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
"""x"""

import numpy as np
from numba import njit

from spikesim.backends.numba.kernels.vector import trailing_zeros


@njit(error_model="numpy", nogil=True, _nrt=False)
def collect(flags, n, out):
    words = flags.view(np.uint64)
    k = 0
    for w in range((n + 7) >> 3):
        x = words[w] & np.uint64(0x0101010101010101)
        while x != np.uint64(0):
            j = w * 8 + (trailing_zeros(x) >> 3)
            x &= x - np.uint64(1)
            if j < n:
                out[k] = j
                k += 1
    return k


@njit(error_model="numpy", nogil=True, _nrt=False)
def active(flags, n):
    k = 0
    for j in range(n):
        k += flags[j] != 0
    return k
