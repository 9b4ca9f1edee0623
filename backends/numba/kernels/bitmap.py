from numba import njit
import numpy as np
@njit(error_model="numpy", nogil=True)
def add_bitmap(counts, bits, words, ids, n):
    for i in range(n):
        r = ids[i]*words
        for w in range(words):
            x = bits[r+w]
            for l in range(64):
                counts[64*w+l] += np.uint8((x >> np.uint64(l)) & np.uint64(1))
