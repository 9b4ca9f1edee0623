"""From given rasters to lists: what of a source is not 0, by sample and step.

First :func:`count_inputs` fills the table of beginnings, so that the caller can allocate; then :func:`list_inputs`
writes. Entries are looked at 64 at a time; only what is not 0 costs more.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from spikesim.backends.numba.kernels.vector import count_ones, trailing_zeros
from spikesim.equations.vectors import F64, I8, I64, load


@intrinsic
def _not_zero(typingctx, raster, at):
    """Word whose bit l says whether entry ``at + l`` of a contiguous array is not 0."""
    if not (isinstance(raster, types.Array) and raster.layout == "C" and raster.dtype in (types.uint8, types.float64)):
        raise TypingError(f"a raster must be contiguous uint8 or float64, found {raster}")

    def codegen(context, builder, signature, args):
        base = builder.gep(context.make_array(raster)(context, builder, args[0]).data, [args[1]])
        if raster.dtype == types.uint8:
            block = load(builder, base, 64, I8)
            mask = builder.icmp_unsigned("!=", block, ir.Constant(block.type, [0] * 64))
        else:
            block = load(builder, base, 64, F64)
            mask = builder.fcmp_unordered("!=", block, ir.Constant(block.type, [0.0] * 64))
        return builder.bitcast(mask, I64)

    return types.uint64(raster, types.int64), codegen


@njit(error_model="numpy", nogil=True, _nrt=False)
def count_inputs(raster, starts):
    """Find where the inputs of each sample and step begin in the lists.

    Parameters
    ----------
    raster
        uint8 (spikes) or float64 (values) ``[steps, samples, n]``, C order.
    starts
        int64 ``[samples, steps + 1]``, overwritten: the inputs of sample b in step t are the entries
        ``starts[b, t] ... starts[b, t + 1] - 1`` of the lists, whose length is ``starts[-1, -1]``.
    """
    steps, samples, n = raster.shape
    flat = raster.reshape(-1)
    for t in range(steps):
        for b in range(samples):
            base, found = (t * samples + b) * n, 0
            whole = n & ~63
            for at in range(0, whole, 64):
                found += count_ones(_not_zero(flat, base + at))
            for j in range(whole, n):
                found += flat[np.uint64(base + j)] != 0
            starts[b, t + 1] = found
    total = 0
    for b in range(samples):
        starts[b, 0] = total
        for t in range(steps):
            total += starts[b, t + 1]
            starts[b, t + 1] = total


@njit(error_model="numpy", nogil=True, _nrt=False)
def list_inputs(raster, starts, ids, values):
    """List the inputs of each sample and step, ascending.

    Parameters
    ----------
    raster, starts
        See :func:`count_inputs`, which has filled `starts`.
    ids
        int32, room for ``starts[-1, -1]`` entries; gets the indices.
    values
        float64 of the same length, gets the values; empty if they are not wanted.
    """
    steps, samples, n = raster.shape
    flat = raster.reshape(-1)
    for t in range(steps):
        for b in range(samples):
            base, found = (t * samples + b) * n, starts[b, t]
            if found == starts[b, t + 1]:
                continue
            whole = n & ~63
            for at in range(0, whole, 64):
                word = _not_zero(flat, base + at)
                while word != 0:
                    ids[found] = at + trailing_zeros(word)
                    found += 1
                    word &= word - np.uint64(1)
            for j in range(whole, n):
                if flat[np.uint64(base + j)] != 0:
                    ids[found] = j
                    found += 1
            if len(values) > 0:
                for k in range(starts[b, t], found):
                    values[k] = flat[base + ids[k]]
