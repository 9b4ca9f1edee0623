"""What numba has no word for: bit counts, prefetch, atomics, arrays over raw memory.

Everything is portable LLVM: no instruction of one processor is named, except the hint that a thread is spinning.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from spikesim.equations.vectors import F64, I1, I32, I64, ask_line, data, vector_array

inline = njit(error_model="numpy", nogil=True, _nrt=False, forceinline=True)


# ------------------------------------------------------------------------------------------------------------- bits
@intrinsic
def trailing_zeros(typingctx, word):
    """Position of the lowest set bit of a uint64 that is not 0, as int64."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], I1(1))

    return types.int64(types.uint64), codegen


@intrinsic
def count_ones(typingctx, word):
    """Count the set bits of a uint64, as int64."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


# ----------------------------------------------------------------------------------------------------------- memory
@intrinsic
def prefetch(typingctx, array, index):
    """Ask for the cache line of ``array[index]`` (a contiguous array; the index is not checked, none is a fault)."""
    if not (isinstance(array, types.Array) and array.ndim == 1):
        raise TypingError(f"prefetch needs a one-dimensional array, found {array}")

    def codegen(context, builder, signature, args):
        ask_line(builder, builder.gep(data(context, builder, array, args[0]), [args[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


def _array_over(item):
    """Make the function that lays an array of `item` over raw memory; it owns nothing and counts no references."""
    kind = types.Array(item, 1, "C")

    @intrinsic
    def over(typingctx, address, n):
        def codegen(context, builder, signature, args):
            array = context.make_array(kind)(context, builder)
            size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(item)))
            start = builder.inttoptr(args[0], context.get_data_type(item).as_pointer())
            populate_array(array, data=start, shape=(args[1],), strides=(size,), itemsize=size, meminfo=None)
            return array._getvalue()

        return kind(types.int64, types.int64), codegen

    return over


def _matrix_over(item):
    """Make the function that lays rows of `item` over raw memory, likewise."""
    kind = types.Array(item, 2, "C")

    @intrinsic
    def over(typingctx, address, rows, n):
        def codegen(context, builder, signature, args):
            array = context.make_array(kind)(context, builder)
            size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(item)))
            start = builder.inttoptr(args[0], context.get_data_type(item).as_pointer())
            strides = (builder.mul(args[2], size), size)
            populate_array(array, data=start, shape=(args[1], args[2]), strides=strides, itemsize=size, meminfo=None)
            return array._getvalue()

        return kind(types.int64, types.int64, types.int64), codegen

    return over


#: ``u8_at(address, n)`` and so on: array over the memory at an address. The owner must outlive every use.
u8_at = _array_over(types.uint8)
u16_at = _array_over(types.uint16)
u32_at = _array_over(types.uint32)
u64_at = _array_over(types.uint64)
i32_at = _array_over(types.int32)
i64_at = _array_over(types.int64)
f32_at = _array_over(types.float32)
f64_at = _array_over(types.float64)
f64_rows_at = _matrix_over(types.float64)  # ``(address, rows, n)``
i64_rows_at = _matrix_over(types.int64)


def _matrix_in(item):
    """Make the function that finds a matrix of `item` in a table of addresses, rows and columns."""
    kind = types.Array(item, 2, "C")

    @intrinsic
    def found(typingctx, table, entry):
        vector_array(table, types.int64, "table")

        def codegen(context, builder, signature, args):
            start = builder.gep(data(context, builder, table, args[0]), [args[1]])
            address, rows, n = (builder.load(builder.gep(start, [I64(k)])) for k in range(3))
            array = context.make_array(kind)(context, builder)
            size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(item)))
            pointer = builder.inttoptr(address, context.get_data_type(item).as_pointer())
            strides = (builder.mul(n, size), size)
            populate_array(array, data=pointer, shape=(rows, n), strides=strides, itemsize=size, meminfo=None)
            return array._getvalue()

        return kind(table, types.int64), codegen

    return found


#: ``i64_in(table, entry)`` and so on: the matrix whose address, rows and columns stand in ``table[entry : entry + 3]``
u32_in = _matrix_in(types.uint32)
i32_in = _matrix_in(types.int32)
i64_in = _matrix_in(types.int64)
f64_in = _matrix_in(types.float64)


@intrinsic
def address_of(typingctx, array):
    """Address of the first entry of an array, as int64."""

    def codegen(context, builder, signature, args):
        return builder.ptrtoint(data(context, builder, array, args[0]), I64)

    return types.int64(array), codegen


@intrinsic
def call(typingctx, address, arguments):
    """Call the compiled function (numba's ``cfunc``) at an address with a tuple of int64 and float64; returns int64."""
    kinds = {types.int64: I64, types.float64: F64}
    if not (isinstance(arguments, types.BaseTuple) and all(types.unliteral(a) in kinds for a in arguments.types)):
        raise TypingError(f"call needs a tuple of int64 and float64, found {arguments}")

    def codegen(context, builder, signature, args):
        function = ir.FunctionType(I64, [kinds[types.unliteral(a)] for a in arguments.types]).as_pointer()
        return builder.call(builder.inttoptr(args[0], function), cgutils.unpack_tuple(builder, args[1]))

    return types.int64(types.int64, arguments), codegen


# ---------------------------------------------------------------------------------------------------------- threads
@intrinsic
def atomic_load(typingctx, array, index):
    """Value of ``array[index]`` (int64), sequentially consistent."""
    vector_array(array, types.int64, "array")

    def codegen(context, builder, signature, args):
        return builder.load_atomic(builder.gep(data(context, builder, array, args[0]), [args[1]]), "seq_cst", 8)

    return types.int64(array, types.intp), codegen


@intrinsic
def atomic_store(typingctx, array, index, value):
    """Set ``array[index]`` (int64), sequentially consistent."""
    vector_array(array, types.int64, "array")

    def codegen(context, builder, signature, args):
        at = builder.gep(data(context, builder, array, args[0]), [args[1]])
        builder.store_atomic(args[2], at, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), codegen


@intrinsic
def atomic_add(typingctx, array, index, value):
    """Add to ``array[index]`` (int64), sequentially consistent; returns the value before."""
    vector_array(array, types.int64, "array")

    def codegen(context, builder, signature, args):
        at = builder.gep(data(context, builder, array, args[0]), [args[1]])
        return builder.atomic_rmw("add", at, args[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), codegen


@intrinsic
def relax(typingctx):
    """Tell the processor that this thread spins, where there is a word for it."""

    def codegen(context, builder, signature, args):
        triple, nothing = str(builder.module.triple), ir.FunctionType(ir.VoidType(), [])
        if triple.startswith("x86_64"):
            builder.call(cgutils.get_or_insert_function(builder.module, nothing, "llvm.x86.sse2.pause"), [])
        elif triple.startswith(("aarch64", "arm64")):
            hint = ir.FunctionType(ir.VoidType(), [I32])
            builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.aarch64.hint"), [I32(1)])
        return context.get_dummy_value()

    return types.void(), codegen
