"""Array access that tells LLVM which arrays cannot overlap.

numba's arrays carry no ``noalias``. To vectorise a loop over many of them LLVM inserts overlap checks and silently
gives up above eight, which leaves the loop scalar. ``load`` and ``store`` attach alias scopes instead
(https://llvm.org/docs/LangRef.html#noalias-and-alias-scope-metadata): the caller promises that within one function
different scope numbers are different memory.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _mark(context, builder, instruction, array, scope, scopes):
    """Attach alignment of one element, the instruction's own scope, and all the others as not aliasing."""
    module = builder.module
    domain = module.add_metadata([ir.MetaDataString(module, "spikesim")])
    known = [module.add_metadata([ir.MetaDataString(module, f"array {k}"), domain]) for k in range(scopes)]
    instruction.align = context.get_abi_sizeof(context.get_value_type(array.dtype))
    instruction.set_metadata("alias.scope", module.add_metadata([known[scope]]))
    instruction.set_metadata("noalias", module.add_metadata([s for k, s in enumerate(known) if k != scope]))


def _pointer(context, builder, array, value, index):
    return builder.gep(context.make_array(array)(context, builder, value).data, [index], inbounds=True)


@intrinsic(prefer_literal=True)
def load(typing, array, index, scope, scopes):
    """``load(array, index, scope, scopes)``: ``array[index]`` of a contiguous array, without any check."""
    if not (isinstance(scope, types.IntegerLiteral) and isinstance(scopes, types.IntegerLiteral)):
        return None
    number, total = scope.literal_value, scopes.literal_value

    def generate(context, builder, signature, args):
        value = builder.load(_pointer(context, builder, signature.args[0], args[0], args[1]))
        _mark(context, builder, value, signature.args[0], number, total)
        return value

    return array.dtype(array, types.int64, scope, scopes), generate


@intrinsic(prefer_literal=True)
def store(typing, array, index, value, scope, scopes):
    """``store(array, index, value, scope, scopes)``: ``array[index] = value``, likewise."""
    if not (isinstance(scope, types.IntegerLiteral) and isinstance(scopes, types.IntegerLiteral)):
        return None
    number, total = scope.literal_value, scopes.literal_value

    def generate(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        _mark(context, builder, builder.store(args[2], pointer), signature.args[0], number, total)
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype, scope, scopes), generate
