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
def collect(flags, n, out, offset):
    """List the neurons that fired, and count those of which any flag is set.

    Parameters
    ----------
    flags
        uint8, of which the first `n` count: bit 0 says that the neuron fired, bit 1 that it had input.
    n
        Number of neurons.
    out
        int32, room for `n` entries; gets the indices plus `offset`, ascending.
    offset
        Number of the first neuron.

    Returns
    -------
    fired, active : int
        Number of neurons in either way.
    """
    found, active = 0, 0
    whole = n & ~63
    for at in range(0, whole, 64):
        active += count_ones(_flags_with(flags, at, 255))
        word = _flags_with(flags, at, 1)
        while word != 0:
            out[found] = offset + at + trailing_zeros(word)
            found += 1
            word &= word - np.uint64(1)
    for j in range(whole, n):
        active += flags[j] != 0
        if flags[j] & 1:
            out[found] = offset + j
            found += 1
    return found, active
