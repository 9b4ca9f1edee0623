from numba import njit


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_dense(sums, weights, stride, ids, n):
    for i in range(n):
        w = weights[ids[i] * stride : ids[i] * stride + stride]
        for j in range(len(sums)):
            sums[j] += w[j]


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_dense_values(sums, weights, stride, ids, values, n):
    for i in range(n):
        w = weights[ids[i] * stride : ids[i] * stride + stride]
        for j in range(len(sums)):
            sums[j] += w[j] * values[i]
