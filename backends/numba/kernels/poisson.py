# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from numba import njit
from spikesim.equations.random_kernels import fill_poisson
@njit(error_model="numpy", nogil=True)
def poisson_counts(out, thresholds, step, stream, key0, key1, offset):
    fill_poisson(out, thresholds, step, stream, key0, key1, offset)
