"""For the writers of intrinsics: vectors of LLVM over numba's arrays, in words that no single processor owns."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError

I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
F64 = ir.DoubleType()


def vector_array(array, dtype, name):
    """Refuse, when a kernel is compiled, an array that is not a contiguous one-dimensional one of `dtype`."""
    if not (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C" and array.dtype == dtype):
        raise TypingError(f"{name} must be a contiguous {dtype}[n], found {array}")


def data(context, builder, array_type, array):
    """Pointer to the first entry of an array."""
    return context.make_array(array_type)(context, builder, array).data


def load(builder, pointer, count, item):
    """Load `count` items as one vector; any alignment."""
    return builder.load(builder.bitcast(pointer, ir.VectorType(item, count).as_pointer()), align=1)


def store(builder, value, pointer):
    """Store a vector; any alignment."""
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=1)


def splat(builder, value, count):
    """Vector of `count` copies of a scalar."""
    undefined = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first = builder.insert_element(undefined, value, I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, count), [0] * count))


def ask_line(builder, pointer):
    """Prefetch a cache line; a bad address is no fault."""
    kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
    ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(ask, [builder.bitcast(pointer, I8.as_pointer()), I32(0), I32(3), I32(1)])  # read, all levels, data
