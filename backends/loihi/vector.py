"""The one vector loop that the compiler does not find by itself."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikesim.backends.loihi.tables import LANES
from spikesim.equations import vectors


@intrinsic(prefer_literal=True)
def add_rows(typing, sums, at, weights, shift, rows, first, n, count):
    """``add_rows(sums, at, weights, shift, rows, first, n, count)``: add up rows of weights and add them to sums.

    To the ``count * LANES`` int32 of ``sums`` from ``at`` on are added those of int16 ``weights`` from ``rows[first + j]
    + shift`` on, for all ``j`` below ``n``, modulo 2^32. ``count`` is a literal: so many registers hold the totals.
    """
    if not isinstance(count, types.IntegerLiteral):
        return None
    vectors.vector_array(sums, types.int32, "sums")
    vectors.vector_array(weights, types.int16, "weights")
    vectors.vector_array(rows, types.int64, "rows")
    chunks = count.literal_value
    wide = ir.VectorType(vectors.I32, LANES)

    def generate(context, builder, signature, args):
        _sums, _at, _weights, _shift, _rows, _first, _n, _ = args
        target = builder.gep(vectors.data(context, builder, sums, _sums), [_at])
        source = builder.gep(vectors.data(context, builder, weights, _weights), [_shift])
        begins = builder.gep(vectors.data(context, builder, rows, _rows), [_first])
        targets = [builder.gep(target, [vectors.I64(LANES * c)]) for c in range(chunks)]
        totals = [cgutils.alloca_once(builder, wide) for _ in range(chunks)]  # the optimiser makes registers of them
        for total, part in zip(totals, targets, strict=True):
            builder.store(vectors.load(builder, part, LANES, vectors.I32), total)
        with cgutils.for_range(builder, _n, intp=vectors.I64) as loop:
            row = builder.gep(source, [builder.load(builder.gep(begins, [loop.index]))])
            for c, total in enumerate(totals):
                part = builder.gep(row, [vectors.I64(LANES * c)])
                weight = builder.sext(vectors.load(builder, part, LANES, ir.IntType(16)), wide)
                builder.store(builder.add(builder.load(total), weight), total)
        for total, part in zip(totals, targets, strict=True):
            vectors.store(builder, builder.load(total), part)
        return context.get_dummy_value()

    i64 = types.int64
    return types.void(sums, i64, weights, i64, rows, i64, i64, count), generate
