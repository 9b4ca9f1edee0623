"""The one vector instruction that the compiler does not find by itself in loops as short as the emulator's."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spikesim.backends.loihi.tables import LANES
from spikesim.equations import vectors


@intrinsic
def add_weights(typing, sums, at, weights, begin):
    """``add_weights(sums, at, weights, begin)``: add `LANES` weights (int16) to as many sums (int32), modulo 2^32."""
    vectors.vector_array(sums, types.int32, "sums")
    vectors.vector_array(weights, types.int16, "weights")

    def generate(context, builder, signature, args):
        target = builder.gep(vectors.data(context, builder, sums, args[0]), [args[1]])
        source = builder.gep(vectors.data(context, builder, weights, args[2]), [args[3]])
        wide = builder.sext(vectors.load(builder, source, LANES, ir.IntType(16)), ir.VectorType(vectors.I32, LANES))
        vectors.store(builder, builder.add(vectors.load(builder, target, LANES, vectors.I32), wide), target)
        return context.get_dummy_value()

    return types.void(sums, types.int64, weights, types.int64), generate
