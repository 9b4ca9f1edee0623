"""From flags of one byte to lists: 64 neurons a look, one turn of a loop per spike."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from spikesim.backends.numba.kernels.vector import count_ones, trailing_zeros
from spikesim.equations.vectors import I8, I64, data, load, vector_array


@intrinsic(prefer_literal=True)
def _flags_with(typingctx, flags, at, bits):
    """Word whose bit l says whether ``flags[at + l]`` has one of the (literal) `bits`."""
    vector_array(flags, types.uint8, "flags")

    def codegen(context, builder, signature, args):
        bytes_ = load(builder, builder.gep(data(context, builder, flags, args[0]), [args[1]]), 64, I8)
        chosen = builder.and_(bytes_, ir.Constant(bytes_.type, [bits.literal_value] * 64))
        return builder.bitcast(builder.icmp_unsigned("!=", chosen, ir.Constant(bytes_.type, [0] * 64)), I64)

    return types.uint64(flags, types.int64, bits), codegen


@njit(error_model="numpy", nogil=True, _nrt=False)
def collect(flags, n, out):
    """List the neurons that fired.

    Parameters
    ----------
    flags
        uint8, of which the first `n` count: bit 0 says that the neuron fired.
    n
        Number of neurons.
    out
        int32, room for `n` entries; gets the indices, ascending.

    Returns
    -------
    int
        Number of indices.
    """
    found = 0
    whole = n & ~63
    for at in range(0, whole, 64):
        word = _flags_with(flags, at, 1)
        while word != 0:
            out[found] = at + trailing_zeros(word)
            found += 1
            word &= word - np.uint64(1)
    for j in range(whole, n):
        if flags[j] & 1:
            out[found] = j
            found += 1
    return found


@njit(error_model="numpy", nogil=True, _nrt=False)
def active(flags, n):
    """Count the neurons of which any flag is set (bit 0: fired, bit 1: had input).

    Parameters
    ----------
    flags
        uint8, of which the first `n` count.
    n
        Number of neurons.

    Returns
    -------
    int
    """
    found = 0
    whole = n & ~63
    for at in range(0, whole, 64):
        found += count_ones(_flags_with(flags, at, 255))
    for j in range(whole, n):
        found += flags[j] != 0
    return found
