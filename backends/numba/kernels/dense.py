"""Synapses as a matrix: row = source; the rows of active sources are added with the sums held in registers.

A tile of 64 targets goes through all active sources before the next one does, so a sum is read and written once a step
and not once a spike. Weights are converted on the way. The sums of one target are added in the order of the sources, so
weights without a grid give the same bits however the targets are cut.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from llvmlite import ir
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from spikesim.equations.vectors import F64, I32, I64, ask_line, data, load, splat, store, vector_array

TILE = 64
AHEAD = 4  # sources between the row that is asked for and the row that is added


def item_type(weights):
    """LLVM type of a weight, int32 or float64."""
    for dtype, item in ((types.int32, I32), (types.float64, F64)):
        if isinstance(weights, types.Array) and weights.layout == "C" and weights.dtype == dtype:
            return item
    raise TypingError(f"weights must be a contiguous int32[n] or float64[n], found {weights}")


def as_floats(builder, vector):
    """Convert a vector of weights to float64, exactly."""
    if vector.type.element == F64:
        return vector
    return builder.sitofp(vector, ir.VectorType(F64, vector.type.count))


def _add_rows(context, builder, kinds, args, width, values=None):
    """Write the loop over the sources for `width` targets; `args`: sums, at, weights, stride, ids, n."""
    sums = builder.gep(data(context, builder, kinds[0], args[0]), [args[1]])
    weights = builder.gep(data(context, builder, kinds[2], args[2]), [args[1]])
    ids, n = data(context, builder, kinds[4], args[4]), args[5]
    item = item_type(kinds[2])

    def row(k):
        return builder.gep(weights, [builder.mul(builder.sext(builder.load(builder.gep(ids, [k])), I64), args[3])])

    begin = load(builder, sums, width, F64)
    head, body, done = (builder.append_basic_block(name) for name in ("source", "row", "sums"))
    before = builder.block
    builder.branch(head)
    builder.position_at_end(head)
    k, total = builder.phi(I64), builder.phi(begin.type)
    k.add_incoming(I64(0), before)
    total.add_incoming(begin, before)
    builder.cbranch(builder.icmp_signed("<", k, n), body, done)
    builder.position_at_end(body)
    later = builder.add(k, I64(AHEAD))
    later = row(builder.select(builder.icmp_signed("<", later, n), later, k))
    for line in range(0, width, 16 if item == I32 else 8):
        ask_line(builder, builder.gep(later, [I64(line)]))
    own = as_floats(builder, load(builder, row(k), width, item))
    if values is not None:
        own = builder.fmul(own, splat(builder, builder.load(builder.gep(values, [k])), width))
    k.add_incoming(builder.add(k, I64(1)), body)
    total.add_incoming(builder.fadd(total, own), body)
    builder.branch(head)
    builder.position_at_end(done)
    store(builder, total, sums)
    return context.get_dummy_value()


@intrinsic(prefer_literal=True)
def _add_tile(typingctx, width, sums, at, weights, stride, ids, n):
    """``sums[at + j] += sum over k of weights[ids[k] * stride + at + j]`` for j below `width`."""
    vector_array(sums, types.float64, "sums")
    vector_array(ids, types.int32, "ids")
    item_type(weights)

    def codegen(context, builder, signature, args):
        return _add_rows(context, builder, signature.args[1:], args[1:], width.literal_value)

    return types.void(width, sums, types.int64, weights, types.int64, ids, types.int64), codegen


@intrinsic(prefer_literal=True)
def _add_tile_values(typingctx, width, sums, at, weights, stride, ids, n, values):
    """Like `_add_tile`, every row times its value."""
    vector_array(sums, types.float64, "sums")
    vector_array(ids, types.int32, "ids")
    vector_array(values, types.float64, "values")
    item_type(weights)

    def codegen(context, builder, signature, args):
        factors = data(context, builder, values, args[7])
        return _add_rows(context, builder, signature.args[1:], args[1:], width.literal_value, factors)

    return types.void(width, sums, types.int64, weights, types.int64, ids, types.int64, values), codegen


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_dense(sums, weights, stride, ids, n):
    """Add the rows of `n` sources.

    Parameters
    ----------
    sums
        float64[m], one per target, in units of the weights.
    weights
        int32 in grid units, or float64: the weight from source s to target j is ``weights[s * stride + j]``.
    stride
        Distance of two rows, at least m.
    ids
        int32, the first `n` entries are the sources.
    n
        Number of sources.
    """
    j, m = 0, len(sums)
    while j + TILE <= m:
        _add_tile(64, sums, j, weights, stride, ids, n)
        j += TILE
    while j + 8 <= m:
        _add_tile(8, sums, j, weights, stride, ids, n)
        j += 8
    while j < m:
        _add_tile(1, sums, j, weights, stride, ids, n)
        j += 1


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_dense_values(sums, weights, stride, ids, values, n):
    """Add the rows of `n` sources, each times a value.

    Parameters
    ----------
    sums, weights, stride, ids, n
        See :func:`add_dense`.
    values
        float64, the first `n` entries are the values of the sources in `ids`.
    """
    j, m = 0, len(sums)
    while j + TILE <= m:
        _add_tile_values(64, sums, j, weights, stride, ids, n, values)
        j += TILE
    while j + 8 <= m:
        _add_tile_values(8, sums, j, weights, stride, ids, n, values)
        j += 8
    while j < m:
        _add_tile_values(1, sums, j, weights, stride, ids, n, values)
        j += 1
