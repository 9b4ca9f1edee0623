"""Drives over many steps at once, for numba: Poisson counts with a rate per neuron, and Ornstein-Uhlenbeck noise."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import numpy as np
from numba import njit

from spikesim.equations.normal_kernels import fill_normal
from spikesim.equations.random_kernels import fill_bits

_jit = njit(cache=True, error_model="numpy", nogil=True)


@_jit
def fill_poisson_rates(out, weight, tables, which, parts, first, stream, key0, key1, width, low):
    """Fill ``out`` with weight times Poisson counts.

    Parameters
    ----------
    out
        float64 ``[steps, samples, n]``.
    weight
        Of one event.
    tables
        uint32 ``[rates, thresholds]``, ascending rows filled up with the largest number, which no word exceeds.
    which
        int64 ``[n]``: row of each neuron.
    parts
        A count is the sum of so many, each with a mean of that share.
    first
        Step of ``out[0]``.
    stream, key0, key1
        ``Stream.id`` and ``Stream.key``.
    width, low
        Numbers that a sample takes, and the first that is wanted.
    """
    steps, samples, n = out.shape
    words = np.empty(n, np.uint32)
    for k in range(steps):
        for b in range(samples):
            row = out[k, b]
            row[:] = 0.0
            for part in range(parts):
                fill_bits(words, first + k | part << 48, stream, key0, key1, b * width + low)
                for j in range(n):
                    table, count = tables[which[j]], 0
                    while words[j] > table[count]:  # few: the mean of a part is small
                        count += 1
                    row[j] += count
            for j in range(n):
                row[j] *= weight


@_jit
def fill_ornstein_uhlenbeck(out, noise, begun, mean, sd, decay, kick, first, stream, key0, key1, width, low):
    """Fill ``out`` with an Ornstein-Uhlenbeck process per neuron, and leave its last values in ``noise``.

    Parameters
    ----------
    out
        float64 ``[steps, samples, n]``.
    noise
        float64 ``[samples, n]``: the values of the step before.
    begun
        Whether there is a step before; if not, the first values are drawn from the stationary distribution.
    mean, sd
        Of the stationary distribution.
    decay, kick
        exp(-dt / tau) and sqrt(1 - decay^2).
    first, stream, key0, key1, width, low
        See :func:`fill_poisson_rates`.
    """
    steps, samples, n = out.shape
    xi = np.empty(n)
    for k in range(steps):
        for b in range(samples):
            fill_normal(xi, b * width + low, 0.0, 1.0, -np.inf, np.inf, stream, key0, key1, 1, first + k)
            row, last = out[k, b], noise[b]
            for j in range(n):
                if begun or k > 0:
                    last[j] = mean + (last[j] - mean) * decay + sd * kick * xi[j]
                else:
                    last[j] = mean + sd * xi[j]
                row[j] = last[j]
