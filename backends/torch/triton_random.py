"""Random numbers on a GPU: the draws of :mod:`spikesim.rng` and of the drives, bit for bit.

Each kernel fills ``[steps, samples, n]`` and takes the step of the first row, ``Stream.id`` and ``Stream.key``, the
indices that a sample takes in its stream (``padded``), and the sizes.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from spikesim.equations.triton_elementary import elementary_module

log = elementary_module("float64").log


@triton.jit
def _mix(a, b, r: tl.constexpr):
    a = a + b
    return a, ((b << r) | (b >> (32 - r))) ^ a


@triton.jit
def _even_rounds(x0, x1, x2, x3):
    x0, x1 = _mix(x0, x1, 10)
    x2, x3 = _mix(x2, x3, 26)
    x0, x3 = _mix(x0, x3, 11)
    x2, x1 = _mix(x2, x1, 21)
    x0, x1 = _mix(x0, x1, 13)
    x2, x3 = _mix(x2, x3, 27)
    x0, x3 = _mix(x0, x3, 23)
    x2, x1 = _mix(x2, x1, 5)
    return x0, x1, x2, x3


@triton.jit
def _odd_rounds(x0, x1, x2, x3):
    x0, x1 = _mix(x0, x1, 6)
    x2, x3 = _mix(x2, x3, 20)
    x0, x3 = _mix(x0, x3, 17)
    x2, x1 = _mix(x2, x1, 11)
    x0, x1 = _mix(x0, x1, 25)
    x2, x3 = _mix(x2, x3, 10)
    x0, x3 = _mix(x0, x3, 18)
    x2, x1 = _mix(x2, x1, 20)
    return x0, x1, x2, x3


@triton.jit
def bits_at(index, step, stream, key0, key1):
    """One random word (uint32) for each index and step (int64), those of :meth:`spikesim.rng.Stream.bits_at`."""
    k0, k1 = key0.to(tl.uint32), key1.to(tl.uint32)
    parity = (k0 ^ k1) ^ 0x1BD11BDA
    x0 = ((index >> 6) * 16 + (index & 15)).to(tl.uint32) + k0
    zero = x0 & 0
    x1, x2, x3 = step.to(tl.uint32) + k1, zero + stream.to(tl.uint32), (step >> 32).to(tl.uint32)
    x0, x1, x2, x3 = _even_rounds(x0, x1, x2, x3)
    x0, x1, x2, x3 = _odd_rounds(x0 + k1, x1, x2, x3 + parity + 1)
    x0, x1, x2, x3 = _even_rounds(x0, x1, x2 + parity, x3 + k0 + 2)
    x0, x1, x2, x3 = _odd_rounds(x0, x1 + parity, x2 + k0, x3 + k1 + 3)
    x0, x1, x2, x3 = _even_rounds(x0 + parity, x1 + k0, x2 + k1, x3 + 4)
    x0, x1, x3 = x0 + k0, x1 + k1, x3 + 5
    word = (index >> 4) & 3
    return tl.where(word == 0, x0, tl.where(word == 1, x1, tl.where(word == 2, x2, x3)))


@triton.jit(do_not_specialize=["m", "parts", "first", "stream", "key0", "key1", "steps"])
def poisson(
    out,
    weight,
    tables,
    which,
    m,
    parts,
    first,
    stream,
    key0,
    key1,
    padded,
    steps,
    samples,
    n,
    ADD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Fill ``out`` (float64) with weight times Poisson counts, or add them to it.

    The counterpart of :func:`spikesim.equations.drive_kernels.fill_poisson_rates`.

    Parameters
    ----------
    weight
        float64 ``[1]``: of one event.
    tables
        int64 ``[rates, m]``: thresholds; a count is the number of those that a word exceeds.
    which
        int64 ``[n]``: row of each neuron.
    parts
        A count is the sum of so many.
    """
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    width = tl.cast(samples, tl.int64) * n
    inside = at < width * steps
    column, step = at % width, at // width + first
    sample, neuron = column // n, column % n
    table = tables + tl.load(which + neuron, inside, 0) * m
    total = tl.zeros([BLOCK], tl.int64)
    for part in range(parts):
        moment = step | (tl.cast(part, tl.int64) << 48)
        word = bits_at(sample * padded + neuron, moment, stream, key0, key1).to(tl.int64)
        for threshold in range(m):
            total += (word > tl.load(table + threshold, inside, 0)).to(tl.int64)
    value = total.to(tl.float64) * tl.load(weight)
    if ADD:
        value = tl.load(out + at, inside, 0.0) + value
    tl.store(out + at, value, inside)


@triton.jit(do_not_specialize=["first", "stream", "key0", "key1", "steps"])
def bernoulli(out, probability, first, stream, key0, key1, padded, steps, samples, n, BLOCK: tl.constexpr):
    """Fill ``out`` (uint8) with ones where a uniform number is below the ``probability`` (float64 ``[n]``)."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    width = tl.cast(samples, tl.int64) * n
    inside = at < width * steps
    column, step = at % width, at // width + first
    sample, element = column // n, column % n
    word = bits_at(sample * padded + element, step, stream, key0, key1).to(tl.int64)
    fired = word.to(tl.float64) * 2.0**-32 < tl.load(probability + element, inside, 0.0)
    tl.store(out + at, fired.to(tl.uint8), inside)


@triton.jit
def _polynomial(c, x):
    value = tl.load(c) * x + tl.load(c + 1)
    for k in range(2, 8):
        value = value * x + tl.load(c + k)
    return value


@triton.jit
def normal_at(index, step, table, stream, key0, key1):
    """Return a standard normal number for each index and step: :func:`spikesim.equations.normal_kernels.normal_at`."""
    high = bits_at(2 * index, step, stream, key0, key1).to(tl.int64)
    low = bits_at(2 * index + 1, step, stream, key0, key1).to(tl.int64)
    u = (((high << 20) | (low >> 12)).to(tl.float64) + 0.5) * 2.0**-52
    q = u - 0.5
    r = 0.180625 - q * q
    centre = q * (_polynomial(table, r) / _polynomial(table + 8, r))
    r = tl.sqrt(-1.0 * log(tl.where(u < 1.0 - u, u, 1.0 - u)))
    near, far = r - 1.6, r - 5.0
    tail = _polynomial(table + 16, near) / _polynomial(table + 24, near)
    tail = tl.where(r <= 5.0, tail, _polynomial(table + 32, far) / _polynomial(table + 40, far))
    tail = tl.where(q < 0.0, -1.0 * tail, tail)
    return tl.where(tl.abs(q) > 0.425, tail, centre)


@triton.jit(do_not_specialize=["begun", "first", "stream", "key0", "key1", "steps"])
def ornstein_uhlenbeck(
    out,
    noise,
    numbers,
    table,
    begun,
    first,
    stream,
    key0,
    key1,
    padded,
    steps,
    samples,
    n,
    ADD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Fill ``out`` (float64) with an Ornstein-Uhlenbeck process per neuron, or add it; leave its end in ``noise``.

    The counterpart of :func:`spikesim.equations.drive_kernels.fill_ornstein_uhlenbeck`.

    Parameters
    ----------
    noise
        float64 ``[samples, n]``: the values of the step before.
    numbers
        float64 ``[4]``: mean, standard deviation, decay of a step, standard deviation of a step's kick.
    table
        float64 ``[6, 8]``: coefficients of the inverse normal distribution.
    begun
        1 if there is a step before.
    """
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    width = tl.cast(samples, tl.int64) * n
    inside = column < width
    index = column // n * padded + column % n
    mean, sd, decay, kick = tl.load(numbers), tl.load(numbers + 1), tl.load(numbers + 2), tl.load(numbers + 3)
    last = tl.load(noise + column, inside, 0.0)
    at, moment, age = column, 0 * column + first, 0 * column + begun
    for _ in range(steps):
        xi = normal_at(index, moment, table, stream, key0, key1)
        later = mean + (last - mean) * decay + kick * xi
        last = tl.where(age == 0, mean + sd * xi, later)
        value = last
        if ADD:
            value = tl.load(out + at, inside, 0.0) + value
        tl.store(out + at, value, inside)
        at, moment, age = at + width, moment + 1, age + 1
    tl.store(noise + column, last, inside)
