"""Poisson counts by inversion of counter-based words, from the generator to bytes without leaving the registers.

The same counts as :func:`spikesim.equations.random_kernels.fill_poisson`: 64 indices take the four words of 16 counters
of Threefry4x32-20, and a count is the number of thresholds that its word exceeds. Thresholds ascend, so a block of 64
is done as soon as none of its words exceeds one: about 9 of 16 compares at a mean of 2, two or four of 8 at 0.2.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import itertools

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numba.extending import intrinsic

from spikesim.equations.vectors import I8, I32, I64, data, splat, store, vector_array
from spikesim.rng import _PARITY, _ROTATIONS

LANES = 16
#: blocks of 64 counts that are made together. Where a vector of counters is one of 32 registers, four take 0.20 ns a
#: count and two 0.26; where it is two of 16 registers, four do not fit and take 0.95, two 0.60
AT_ONCE = 4 if get_host_cpu_features().get("avx512f") else 2
GROUP = 2  # thresholds between two looks whether the block is done
_WORDS = ir.VectorType(I32, LANES)
_BYTES = ir.VectorType(I8, 4 * LANES)


def _rotate(builder, x, by):
    """Rotate every lane to the left."""
    left = builder.shl(x, ir.Constant(_WORDS, [by] * LANES))
    return builder.or_(left, builder.lshr(x, ir.Constant(_WORDS, [32 - by] * LANES)))


def _threefry(builder, blocks, key):
    """Words of some blocks of counters, one instruction of each in turn: one alone leaves the processor waiting.

    A block is four vectors of counter words, and becomes four vectors of words; the key is two vectors (the rest is 0).
    """
    zero = ir.Constant(_WORDS, [0] * LANES)
    parity = builder.xor(builder.xor(key[0], key[1]), ir.Constant(_WORDS, [_PARITY] * LANES))
    schedule = (key[0], key[1], zero, zero, parity)
    blocks = [[builder.add(c, k) for c, k in zip(block, schedule, strict=False)] for block in blocks]
    for r in range(20):
        pairs = zip((0, 2), (1, 3) if r % 2 == 0 else (3, 1), _ROTATIONS[r % 8], strict=True)
        for (a, b, by), x in itertools.product(pairs, blocks):
            x[a] = builder.add(x[a], x[b])
            x[b] = builder.xor(_rotate(builder, x[b], by), x[a])
        if r % 4 == 3:
            s = r // 4 + 1
            for x in blocks:
                x[:] = [builder.add(x[i], schedule[(s + i) % 5]) for i in range(4)]
                x[3] = builder.add(x[3], ir.Constant(_WORDS, [s] * LANES))
    return blocks


def _exceeding(builder, words, threshold):
    """Mask <64 x i1> of the words that exceed a threshold."""
    wide = splat(builder, threshold, LANES)
    masks = [builder.icmp_unsigned(">", w, wide) for w in words]

    def join(a, b):
        size = 2 * a.type.count
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, size), list(range(size))))

    return join(join(masks[0], masks[1]), join(masks[2], masks[3]))


def _count(builder, words, thresholds, number):
    """Count the thresholds that each word exceeds; stops at the first group that no word reaches."""
    head = builder.append_basic_block("group")
    body = builder.append_basic_block("compare")
    done = builder.append_basic_block("done")
    before = builder.block
    builder.branch(head)
    builder.position_at_end(head)
    k = builder.phi(I64)
    counts = builder.phi(_BYTES)
    k.add_incoming(I64(0), before)
    counts.add_incoming(ir.Constant(_BYTES, [0] * 4 * LANES), before)
    builder.cbranch(builder.icmp_signed("<", k, number), body, done)
    builder.position_at_end(body)
    first = _exceeding(builder, words, builder.load(builder.gep(thresholds, [k])))
    total = builder.add(counts, builder.zext(first, _BYTES))
    rest = builder.append_basic_block("rest")
    builder.cbranch(builder.icmp_unsigned("!=", builder.bitcast(first, I64), I64(0)), rest, done)
    builder.position_at_end(rest)
    more = total
    for j in range(1, GROUP):
        threshold = builder.load(builder.gep(thresholds, [builder.add(k, I64(j))]))
        more = builder.add(more, builder.zext(_exceeding(builder, words, threshold), _BYTES))
    k.add_incoming(builder.add(k, I64(GROUP)), builder.block)
    counts.add_incoming(more, builder.block)
    builder.branch(head)
    builder.position_at_end(done)
    result = builder.phi(_BYTES)
    result.add_incoming(counts, head)
    result.add_incoming(total, body)
    return result


@intrinsic(prefer_literal=True)
def _blocks(typingctx, out, at, blocks, thresholds, counter, c1, c2, c3, key0, key1):
    """Write the counts of the indices that the counters ``counter ... counter + 16 * blocks - 1`` give."""
    vector_array(out, types.uint8, "out")
    vector_array(thresholds, types.uint32, "thresholds")
    number = blocks.literal_value

    def codegen(context, builder, signature, args):
        wide = [splat(builder, a, LANES) for a in args[4:]]
        lanes = [ir.Constant(_WORDS, list(range(LANES * b, LANES * (b + 1)))) for b in range(number)]
        words = _threefry(builder, [[builder.add(wide[0], own), *wide[1:4]] for own in lanes], wide[4:])
        table = context.make_array(thresholds)(context, builder, args[3])
        size = builder.extract_value(table.shape, 0)
        start = builder.gep(data(context, builder, out, args[0]), [args[1]])
        for b in range(number):
            counts = _count(builder, words[b], table.data, size)
            store(builder, counts, builder.gep(start, [I64(64 * b)]))
        return context.get_dummy_value()

    return types.void(out, types.intp, blocks, thresholds, *[types.uint32] * 6), codegen


@njit(error_model="numpy", nogil=True, _nrt=False)
def poisson_counts(out, thresholds, step, stream, key0, key1, offset):
    """Fill `out` with the Poisson counts of the indices ``offset ... offset + len(out) - 1``.

    Parameters
    ----------
    out
        uint8[n], n a multiple of 64.
    thresholds
        uint32[m], m a multiple of four, from :func:`spikesim.rng.poisson_thresholds`.
    step
        Integer from 0 to 2**63 - 1; of a mean above ``spikesim.rng.POISSON_MAX_MEAN``, the sub-draw of one part.
    stream
        Number of the stream (``Stream.id``).
    key0, key1
        Low and high half of the seed (``Stream.key``).
    offset
        First index, a multiple of 64.
    """
    c1, c2, c3 = np.uint32(step & 0xFFFFFFFF), np.uint32(stream), np.uint32(step >> 32)
    k0, k1 = np.uint32(key0), np.uint32(key1)
    first, blocks = offset >> 6, len(out) >> 6
    b = 0
    while b + AT_ONCE <= blocks:
        _blocks(out, 64 * b, AT_ONCE, thresholds, np.uint32((first + b) * 16), c1, c2, c3, k0, k1)
        b += AT_ONCE
    while b < blocks:
        _blocks(out, 64 * b, 1, thresholds, np.uint32((first + b) * 16), c1, c2, c3, k0, k1)
        b += 1
