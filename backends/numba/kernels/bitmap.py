"""Synapses of constant weight as bits: row = source, bit = target; a spike adds its row to counters of one byte.

A word of 64 bits becomes a mask over 64 bytes. LLVM makes of it one masked instruction with AVX-512 and a few shuffles
elsewhere. Eight rows a pass: eight streams of memory hide the latency, and the counters are read and written once.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from spikesim.equations.vectors import I1, I8, data, load, store, vector_array


@intrinsic
def _add_words(typingctx, counts, at, bits, words):
    """Add the bits of some words to ``counts[at : at + 64]``; `words` is a tuple of places in `bits`."""
    vector_array(counts, types.uint8, "counts")
    vector_array(bits, types.uint64, "bits")
    places = types.UniTuple(types.int64, len(words))

    def codegen(context, builder, signature, args):
        pointer = builder.gep(data(context, builder, counts, args[0]), [args[1]])
        source = data(context, builder, bits, args[2])
        total = load(builder, pointer, 64, I8)
        for k in range(len(words)):
            word = builder.load(builder.gep(source, [builder.extract_value(args[3], k)]))
            mask = builder.bitcast(word, ir.VectorType(I1, 64))
            total = builder.add(total, builder.zext(mask, ir.VectorType(I8, 64)))
        store(builder, total, pointer)
        return context.get_dummy_value()

    return types.void(counts, types.intp, bits, places), codegen


@njit(error_model="numpy", nogil=True, _nrt=False)
def add_bitmap(counts, bits, words, ids, n):
    """Add the rows of `n` sources to the counters of their targets.

    Parameters
    ----------
    counts
        uint8[64 * words]. No counter may pass 255: at most 255 rows between two readings.
    bits
        uint64[sources * words], bit ``t % 64`` of word ``source * words + t // 64`` for target t.
    words
        Words of a row.
    ids
        int32, the first `n` entries are the sources.
    n
        Number of sources.
    """
    words = np.int64(words)
    k = 0
    while k + 8 <= n:
        r0, r1, r2, r3 = ids[k] * words, ids[k + 1] * words, ids[k + 2] * words, ids[k + 3] * words
        r4, r5, r6, r7 = ids[k + 4] * words, ids[k + 5] * words, ids[k + 6] * words, ids[k + 7] * words
        for w in range(words):
            _add_words(counts, 64 * w, bits, (r0 + w, r1 + w, r2 + w, r3 + w, r4 + w, r5 + w, r6 + w, r7 + w))
        k += 8
    if k + 4 <= n:
        r0, r1, r2, r3 = ids[k] * words, ids[k + 1] * words, ids[k + 2] * words, ids[k + 3] * words
        for w in range(words):
            _add_words(counts, 64 * w, bits, (r0 + w, r1 + w, r2 + w, r3 + w))
        k += 4
    if k + 2 <= n:
        r0, r1 = ids[k] * words, ids[k + 1] * words
        for w in range(words):
            _add_words(counts, 64 * w, bits, (r0 + w, r1 + w))
        k += 2
    if k < n:
        r0 = ids[k] * words
        for w in range(words):
            _add_words(counts, 64 * w, bits, (r0 + w,))
