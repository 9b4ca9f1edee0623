"""Spike lists as messages between processes, and the call by which a compiled loop asks for them."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_CALLED = types.void(types.int64, types.int64, types.int64, types.int64)


@intrinsic
def call_back(typing, address, a, b, c):
    """``call_back(address, a, b, c)``: call a function ``void(int64, int64, int64)`` by its address.

    For a function of :mod:`ctypes`, which takes the interpreter lock itself.
    """

    def generate(context, builder, signature, args):
        whole = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [whole, whole, whole])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return _CALLED, generate


@njit(error_model="numpy", nogil=True, cache=True)
def pack(own, first, spans, listed, lists, counts, ids):
    """Write the spikes of own spans one after the other.

    Parameters
    ----------
    own
        int64 ``[populations, 2]``: the spans ``low .. high - 1`` that this process runs.
    first
        Step of the first column of ``counts``.
    spans, listed, lists
        The history of spikes (:mod:`spikesim.backends.numba.loop`).
    counts
        int32 ``[populations, samples, steps]``, overwritten: number of spikes.
    ids
        int32, overwritten from the beginning: neurons within their population, in the order of ``counts``.

    Returns
    -------
    int
        Number of spikes; if ``ids`` is too short for them, nothing beyond its end is written.
    """
    history, room, at = listed.shape[1], len(ids), 0
    for p in range(counts.shape[0]):
        for b in range(counts.shape[1]):
            for s in range(counts.shape[2]):
                slot, begin = (first + s) % history, at
                for span in range(own[p, 0], own[p, 1]):
                    n, start = listed[b, slot, span], spans[span, 0]
                    if at + n <= room:
                        for k in range(n):
                            ids[at + k] = lists[b, slot, start + k]
                    at += n
                counts[p, b, s] = at - begin
    return at


@njit(error_model="numpy", nogil=True, cache=True)
def unpack(me, remote, first, spans, listed, lists, counts, ids):
    """Enter the spikes of all other processes into the history.

    Parameters
    ----------
    me
        Number of this process.
    remote
        int64 ``[populations, 2]``: the spans of what the processes before and after this one run.
    first, spans, listed, lists
        As for :func:`pack`.
    counts
        int32 ``[processes, populations, samples, steps]``.
    ids
        int32: the spikes of all processes in their order, each as :func:`pack` wrote them.
    """
    history = listed.shape[1]
    for p in range(counts.shape[1]):
        for side in range(2):
            if remote[p, side] >= 0:
                for b in range(counts.shape[2]):
                    for s in range(counts.shape[3]):
                        listed[b, (first + s) % history, remote[p, side]] = 0
    at = 0
    for rank in range(counts.shape[0]):
        for p in range(counts.shape[1]):
            for b in range(counts.shape[2]):
                for s in range(counts.shape[3]):
                    n = counts[rank, p, b, s]
                    if rank != me and n > 0:
                        slot, span = (first + s) % history, remote[p, 0 if rank < me else 1]
                        have = listed[b, slot, span]
                        start = spans[span, 0] + have
                        for k in range(n):
                            lists[b, slot, start + k] = ids[at + k]
                        listed[b, slot, span] = have + n
                    at += n
