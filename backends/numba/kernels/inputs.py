from numba import njit


@njit(error_model="numpy", nogil=True, _nrt=False)
def list_spikes(raster, ptr, ids):
    steps, samples, n = raster.shape
    k = 0
    for b in range(samples):
        for t in range(steps):
            ptr[b, t] = k
            for j in range(n):
                if raster[t, b, j]:
                    ids[k] = j
                    k += 1
        ptr[b, steps] = k


@njit(error_model="numpy", nogil=True, _nrt=False)
def list_values(raster, ptr, ids, values):
    steps, samples, n = raster.shape
    k = 0
    for b in range(samples):
        for t in range(steps):
            ptr[b, t] = k
            for j in range(n):
                if raster[t, b, j] != 0.0:
                    ids[k] = j
                    values[k] = raster[t, b, j]
                    k += 1
        ptr[b, steps] = k
