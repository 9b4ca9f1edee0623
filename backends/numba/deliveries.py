"""What a kernel does with the spikes of one source over one table of synapses: one branch per representation.

The branches that a network needs are printed into its kernel, so a kernel depends on representations, not on sizes.
"""

from __future__ import annotations

from collections.abc import Collection

#: name: lines with ``job``, ``k`` (delay number), ``ids``, ``n``, ``values``, ``weight``, ``counts``, ``sums``
BRANCHES = {
    "bitmap": "count_bitmap(job, weight, ids, n, counts, sums, used, dirty)",
    "rows": "count_rows(job, weight, ids, n, counts, sums, used, dirty)",
    "segments32": (
        "add_segments(sums, u32_at(job[10], job[11]), job[5], k, u16_at(job[12], job[13]), i32_at(job[14], job[15]), "
        "ids, n)"
    ),
    "segments64": (
        "add_segments(sums, u32_at(job[10], job[11]), job[5], k, u16_at(job[12], job[13]), f64_at(job[14], job[15]), "
        "ids, n)"
    ),
    "dense32": "add_dense(sums[job[8] : job[8] + job[7]], i32_at(job[10], job[11]), job[7], ids, n)",
    "dense64": "add_dense(sums[job[8] : job[8] + job[7]], f64_at(job[10], job[11]), job[7], ids, n)",
    "segments32_values": (
        "add_segment_values(sums, u32_at(job[10], job[11]), job[5], k, u16_at(job[12], job[13]), "
        "i32_at(job[14], job[15]), ids, values, n)"
    ),
    "segments64_values": (
        "add_segment_values(sums, u32_at(job[10], job[11]), job[5], k, u16_at(job[12], job[13]), "
        "f64_at(job[14], job[15]), ids, values, n)"
    ),
    "dense32_values": (
        "add_dense_values(sums[job[8] : job[8] + job[7]], i32_at(job[10], job[11]), job[7], ids, values, n)"
    ),
    "dense64_values": (
        "add_dense_values(sums[job[8] : job[8] + job[7]], f64_at(job[10], job[11]), job[7], ids, values, n)"
    ),
}
NUMBER = {name: k for k, name in enumerate(BRANCHES)}


def print_deliver(used: Collection[str]) -> str:
    """Print ``deliver`` with the branches that are used."""
    lines = [
        "@njit(error_model='numpy', nogil=True, _nrt=False, forceinline=True)",
        "def deliver(job, k, weight, ids, values, n, counts, sums, used, dirty):",
    ]
    for name in sorted(used, key=list(BRANCHES).index):
        lines += [f"    if job[0] == {NUMBER[name]}:  # {name}", f"        {BRANCHES[name]}"]
    return "\n".join([*lines, "    return", ""])
