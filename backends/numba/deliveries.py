"""What a kernel does with the spikes of one source over one table of synapses: one branch per representation.

Plastic synapses take the spikes of all delays of a step at once, through the functions of their rule.

The branches that a network needs are printed into its kernel, so a kernel depends on representations, not on sizes.
"""

from __future__ import annotations

from collections.abc import Collection

_INLINE = (
    "@njit(error_model='numpy', nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, "
    "no_cfunc_wrapper=True)"
)
_SEGMENT = "ahead[at:], cells, u32_at(job[10], job[11]), job[5], k, last, u16_at(job[12], job[13])"
_CELLS = "sums[job[8] : job[8] + job[7]]"

#: name: a call with ``job``, ``weight``, ``ids``, ``values``, ``n``, ``counts``, ``sums``. Segments are delivered for
#: some steps at once: delays number ``k`` to ``last`` into ``ahead`` from ``at`` on, ``cells`` sums for each step.
BRANCHES = {
    "bitmap": "count_bitmap(job, weight, ids, n, counts, sums, used, dirty)",
    "rows": "count_rows(job, weight, ids, n, counts, sums, used, dirty)",
    "segments32": f"add_segments({_SEGMENT}, i32_at(job[14], job[15]), ids, n)",
    "segments64": f"add_segments({_SEGMENT}, f64_at(job[14], job[15]), ids, n)",
    "segments32_values": f"add_segments_values({_SEGMENT}, i32_at(job[14], job[15]), ids, values, n)",
    "segments64_values": f"add_segments_values({_SEGMENT}, f64_at(job[14], job[15]), ids, values, n)",
    "dense32": f"add_dense({_CELLS}, i32_at(job[10], job[11]), job[7], ids, n)",
    "dense64": f"add_dense({_CELLS}, f64_at(job[10], job[11]), job[7], ids, n)",
    "dense32_values": f"add_dense_values({_CELLS}, i32_at(job[10], job[11]), job[7], ids, values, n)",
    "conv": f"convolve(job, {_CELLS}, ids, values[:0], n, image)",
    "conv_values": f"convolve(job, {_CELLS}, ids, values, n, image)",
    "dense64_values": f"add_dense_values({_CELLS}, f64_at(job[10], job[11]), job[7], ids, values, n)",
}
PLASTIC = len(BRANCHES)
NUMBER = {**{name: k for k, name in enumerate(BRANCHES)}, "plastic": PLASTIC}
IMPORTS = """
from spikesim.backends.numba.kernels.dense import add_dense, add_dense_values
from spikesim.backends.numba.kernels.rows import add_segments_values, add_segments
from spikesim.backends.numba.kernels.vector import f64_at, i32_at, u16_at, u32_at
from spikesim.backends.numba.steps import convolve, count_bitmap, count_rows
"""


def print_deliver(used: Collection[str]) -> str:
    """Print ``deliver`` with the branches that are used."""
    lines = [
        _INLINE,
        "def deliver(job, k, last, at, cells, weight, ids, values, n, counts, sums, ahead, used, dirty, image):",
    ]
    for name in (name for name in BRANCHES if name in used):
        lines += [f"    if job[0] == {NUMBER[name]}:  # {name}", f"        {BRANCHES[name]}"]
    return "\n".join([*lines, "    return", ""])
