from numba import njit
import numpy as np
@njit(error_model="numpy", nogil=True)
def collect(flags, n, out):
    k = 0
    for j in range(n):
        if flags[j] & 1:
            out[k] = j
            k += 1
    return k
@njit(error_model="numpy", nogil=True)
def active(flags, n):
    k = 0
    for j in range(n):
        k += flags[j] != 0
    return k
