"""What numba has no word for: rows of vectors summed in registers, bytes as a bit mask, the lowest bit."""

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

    To the ``count * LANES`` int32 of ``sums`` from ``at`` on are added those of int16 ``weights`` from ``rows[first +
    j] + shift`` on, for all ``j`` below ``n``, modulo 2^32. ``count`` is a literal: so many registers hold the totals.
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


@intrinsic
def as_bits(typing, marks, first):
    """``as_bits(marks, first)``: 64 bytes (uint8) as a uint64 with a bit for each that is not 0."""
    vectors.vector_array(marks, types.uint8, "marks")

    def generate(context, builder, signature, args):
        loaded = vectors.load(
            builder, builder.gep(vectors.data(context, builder, marks, args[0]), [args[1]]), 64, vectors.I8
        )
        return builder.bitcast(builder.icmp_unsigned("!=", loaded, ir.Constant(loaded.type, None)), vectors.I64)

    return types.uint64(marks, types.int64), generate


@intrinsic
def lowest_bit(typing, word):
    """``lowest_bit(word)``: the place of the lowest bit of a uint64 that is not 0, as int64."""

    def generate(context, builder, signature, args):
        return builder.cttz(args[0], vectors.I1(1))

    return types.int64(types.uint64), generate


@intrinsic
def ask(typing, array, index):
    """``ask(array, index)``: prefetch the cache line of ``array[index]``; a bad address is no fault."""

    def generate(context, builder, signature, args):
        vectors.ask_line(builder, builder.gep(vectors.data(context, builder, array, args[0]), [args[1]]))
        return context.get_dummy_value()

    return types.void(array, types.int64), generate
