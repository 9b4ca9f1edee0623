"""Kernels for products with matrices that are mostly zero, such as spikes.

The non-zeros are found as bits and listed twice: row by row (who fired in a sample and step), and, for blocks of
:data:`ROWS` rows, column by column (when a source fired). Forward product and weight gradient then are the same loop:
sums of rows of another matrix, held in registers while a list is gone through. Columns of that other matrix are taken
:data:`WIDE` at a time, so that what is gathered from stays in the second-level cache.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from spikesim.equations.vectors import I1, I32, I64, data, load, splat, store, vector_array

WIDE, NARROW = 128, 16  # columns whose sums are held in registers
ROWS = 512  # rows of a block of the lists by column: 128 columns of them stay in the second-level cache

jit = njit(cache=True, nogil=True, error_model="numpy")
inline = njit(error_model="numpy", nogil=True, forceinline=True)


# -------------------------------------------------------------------------------------------------------- intrinsics
def _floats(array, name):
    if not (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"):
        raise TypingError(f"{name} must be a contiguous array of one dimension, found {array}")
    return ir.FloatType() if array.dtype == types.float32 else ir.DoubleType()


@intrinsic
def _nonzero64(typingctx, x, at):
    """Return 64 bits: which of ``x[at : at + 64]`` are not zero (NaN is not)."""
    item = _floats(x, "x")

    def codegen(context, builder, signature, args):
        pointer = builder.gep(data(context, builder, signature.args[0], args[0]), [args[1]])
        values = load(builder, pointer, 64, item)
        zeros = ir.Constant(values.type, [0.0] * 64)
        return builder.bitcast(builder.fcmp_unordered("!=", values, zeros), I64)

    return types.uint64(x, types.int64), codegen


@intrinsic
def _trailing_zeros(typingctx, word):
    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], I1(1))

    return types.int64(types.uint64), codegen


@intrinsic
def _count_ones(typingctx, word):
    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic(prefer_literal=True)
def _sum_rows(typingctx, width, lanes, out, to, w, at, stride, ids, first, last, add):
    """``out[to + j] = [out[to + j] +] sum of w[ids[k] * stride + at + j]`` over first <= k < last, for j < lanes.

    `width` sums are held in registers; `lanes` is that, or fewer if `width` is NARROW.
    """
    item = _floats(w, "w")
    vector_array(ids, types.int32, "ids")

    def codegen(context, builder, signature, args):
        return _row_loop(context, builder, signature.args, args, item, None)

    kinds = (width, types.int64, out, types.int64, w, types.int64, types.int64, ids, types.int64, types.int64, add)
    return types.void(*kinds), codegen


@intrinsic(prefer_literal=True)
def _sum_rows_values(typingctx, width, lanes, out, to, w, at, stride, ids, first, last, add, values):
    """Likewise, each row times ``values[k]``."""
    item = _floats(w, "w")
    vector_array(ids, types.int32, "ids")

    def codegen(context, builder, signature, args):
        factors = data(context, builder, signature.args[11], args[11])
        return _row_loop(context, builder, signature.args, args, item, factors)

    kinds = (width, types.int64, out, types.int64, w, types.int64, types.int64, ids, types.int64, types.int64, add)
    return types.void(*kinds, values), codegen


def _whole(builder, kind):
    """Return functions that load and store a whole vector."""
    return lambda at: load(builder, at, kind.count, kind.element), lambda value, at: store(builder, value, at)


def _masked(builder, kind, lanes):
    """Return functions that load and store the first `lanes` entries of a vector."""
    mask = ir.VectorType(I1, kind.count)
    numbers = ir.Constant(ir.VectorType(I64, kind.count), list(range(kind.count)))
    chosen = builder.icmp_signed("<", numbers, splat(builder, lanes, kind.count))
    name = f"v{kind.count}{'f32' if kind.element == ir.FloatType() else 'f64'}.p0"
    at, zeros = ir.PointerType(kind), ir.Constant(kind, [0.0] * kind.count)
    read = ir.FunctionType(kind, [at, I32, mask, kind])
    write = ir.FunctionType(ir.VoidType(), [kind, at, I32, mask])
    reader = cgutils.get_or_insert_function(builder.module, read, f"llvm.masked.load.{name}")
    writer = cgutils.get_or_insert_function(builder.module, write, f"llvm.masked.store.{name}")

    def load_some(pointer):
        return builder.call(reader, [builder.bitcast(pointer, at), I32(1), chosen, zeros])

    def store_some(value, pointer):
        builder.call(writer, [value, builder.bitcast(pointer, at), I32(1), chosen])

    return load_some, store_some


def _row_loop(context, builder, kinds, args, item, factors):
    """Write the loop over a list, with the sums in registers."""
    width, add = kinds[0].literal_value, kinds[10].literal_value
    out = builder.gep(data(context, builder, kinds[2], args[2]), [args[3]])
    w = builder.gep(data(context, builder, kinds[4], args[4]), [args[5]])
    ids, (first, last) = data(context, builder, kinds[7], args[7]), args[8:10]
    vector = ir.VectorType(item, width)
    read, write = _whole(builder, vector) if width > NARROW else _masked(builder, vector, args[1])
    begin = read(out) if add else ir.Constant(vector, [0.0] * width)
    head, body, done = (builder.append_basic_block(name) for name in ("entry", "row", "sums"))
    before = builder.block
    builder.branch(head)
    builder.position_at_end(head)
    k, total = builder.phi(I64), builder.phi(vector)
    k.add_incoming(first, before)
    total.add_incoming(begin, before)
    builder.cbranch(builder.icmp_signed("<", k, last), body, done)
    builder.position_at_end(body)
    row = builder.mul(builder.sext(builder.load(builder.gep(ids, [k])), I64), args[6])
    own = read(builder.gep(w, [row]))
    if factors is not None:
        own = builder.fmul(own, splat(builder, builder.load(builder.gep(factors, [k])), width))
    k.add_incoming(builder.add(k, I64(1)), body)
    total.add_incoming(builder.fadd(total, own), body)
    builder.branch(head)
    builder.position_at_end(done)
    write(total, out)
    return context.get_dummy_value()


# ------------------------------------------------------------------------------------------------------------- lists
@jit
def mark(first, last, x, columns, words, count):
    """Note the non-zeros of some rows as bits, and how many there are.

    Parameters
    ----------
    first, last
        Rows.
    x
        float ``[m * columns]``.
    columns
        Length of a row.
    words
        uint64 ``[m, ceil(columns / 64)]``: filled.
    count
        int64 ``[m]``: filled.
    """
    whole = columns // 64
    for m in range(first, last):
        at, n = m * columns, 0
        for p in range(whole):
            word = _nonzero64(x, at + p * 64)
            words[m, p] = word
            n += _count_ones(word)
        if whole * 64 < columns:
            word = types.uint64(0)
            for j in range(whole * 64, columns):
                if x[at + j] != 0:
                    word |= types.uint64(1) << types.uint64(j - whole * 64)
                    n += 1
            words[m, whole] = word
        count[m] = n


@jit
def list_rows(first, last, words, start, ids):
    """List the columns of the non-zeros of some rows: row m has ``ids[start[m] : start[m + 1]]`` (int32)."""
    for m in range(first, last):
        k = start[m]
        for p in range(words.shape[1]):
            word = words[m, p]
            while word != 0:
                ids[k] = p * 64 + _trailing_zeros(word)
                word &= word - types.uint64(1)
                k += 1


@jit
def list_values(first, last, x, columns, start, ids, value, ones):
    """Copy the non-zeros of some rows, and note if one of them is not 1."""
    all_ones = True
    for m in range(first, last):
        for k in range(start[m], start[m + 1]):
            value[k] = x[m * columns + ids[k]]
            all_ones = all_ones and value[k] == 1
    if not all_ones:
        ones[0] = False


@jit
def list_columns(first, last, start, ids, value, begin, order, moved):
    """List the rows of the non-zeros of each column, for some blocks of rows.

    Parameters
    ----------
    first, last
        Blocks.
    start, ids
        The lists by row.
    begin
        int64 ``[blocks, columns + 1]``: filled; column i of a block has the entries ``begin[i] .. begin[i + 1] - 1``.
    order
        int32, as long as `ids`: filled with rows, counted from the block's first.
    value, moved
        Values of the entries in the order of `ids`, and filled with them in the order of `order`; of length 0 if all
        are 1.
    """
    columns, rows = begin.shape[1] - 1, len(start) - 1
    for b in range(first, last):
        low, high = b * ROWS, min(b * ROWS + ROWS, rows)
        here = begin[b]
        here[:] = 0
        for k in range(start[low], start[high]):
            here[ids[k] + 1] += 1
        here[0] = start[low]
        for i in range(columns):
            here[i + 1] += here[i]
        for m in range(low, high):
            for k in range(start[m], start[m + 1]):
                at = here[ids[k]]
                here[ids[k]] = at + 1
                order[at] = m - low
                if len(value):
                    moved[at] = value[k]
        for i in range(columns, 0, -1):
            here[i] = here[i - 1]
        here[0] = start[low]


# ---------------------------------------------------------------------------------------------------------- products
def _gather_band(width):
    @inline
    def band(low, lanes, start, ids, value, w, stride, out):
        for m in range(len(start) - 1):
            to, a, b = m * stride + low, start[m], start[m + 1]
            if len(value):
                _sum_rows_values(width, lanes, out, to, w, low, stride, ids, a, b, False, value)
            else:
                _sum_rows(width, lanes, out, to, w, low, stride, ids, a, b, False)

    return band


def _scatter_band(width):
    @inline
    def band(low, lanes, begin, order, value, g, stride, out):
        for block in range(len(begin)):
            here, at = begin[block], block * ROWS * stride + low
            for i in range(len(here) - 1):
                to, a, b = i * stride + low, here[i], here[i + 1]
                if len(value):
                    _sum_rows_values(width, lanes, out, to, g, at, stride, order, a, b, True, value)
                else:
                    _sum_rows(width, lanes, out, to, g, at, stride, order, a, b, True)

    return band


_gather_wide, _gather_narrow = _gather_band(WIDE), _gather_band(NARROW)
_scatter_wide, _scatter_narrow = _scatter_band(WIDE), _scatter_band(NARROW)


@jit
def gather(first, last, start, ids, value, w, stride, out):
    """Sum rows of a matrix by the lists by row.

    Parameters
    ----------
    first, last
        Columns to fill.
    start, ids
        The lists: row m of the result is the sum of the rows ``ids[start[m] : start[m + 1]]`` of `w`.
    value
        Factor of each entry; of length 0 if all are 1.
    w, out
        float ``[n * stride]`` and ``[m * stride]``.
    stride
        Length of their rows.
    """
    low = first
    while low + WIDE <= last:
        _gather_wide(low, WIDE, start, ids, value, w, stride, out)
        low += WIDE
    while low < last:
        _gather_narrow(low, min(NARROW, last - low), start, ids, value, w, stride, out)
        low += NARROW


@jit
def scatter(first, last, begin, order, value, g, stride, out):
    """Add rows of a matrix by the lists by column: ``out[i] += sum of g[m]`` over the list of column i.

    Parameters
    ----------
    first, last
        Columns of `g` and `out`.
    begin, order
        What :func:`list_columns` made.
    value
        Factor of each entry, in the order of `order`; of length 0 if all are 1.
    g, out
        float ``[m * stride]`` and ``[columns * stride]``.
    stride
        Length of their rows.
    """
    low = first
    while low + WIDE <= last:
        _scatter_wide(low, WIDE, begin, order, value, g, stride, out)
        low += WIDE
    while low < last:
        _scatter_narrow(low, min(NARROW, last - low), begin, order, value, g, stride, out)
        low += NARROW
