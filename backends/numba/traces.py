"""What a stretch must know to record state variables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba.layout import Layout
from spikesim.graph import Graph


def probe_tables(
    graph: Graph, layout: Layout, first: int, steps: int, samples: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], dict[Any, Any]]:
    """Prepare the traces of a stretch.

    Returns
    -------
    probes, chosen
        Tables for the loop; which rows a part has is written into ``layout.part_table``.
    trace
        Room for the values, ``[samples, ..]``.
    shapes
        By population and variable: where its values begin, the steps, and how many neurons.
    """
    shapes, size, mine = {}, 0, dict[int, list[Any]]()
    for probe in graph.probes:
        node = graph.node(probe.target)
        neurons = np.arange(node.n) if probe.neurons is None else np.asarray(probe.neurons, np.int64)
        times = np.arange(-(-first // probe.every), (first + steps - 1) // probe.every + 1) * probe.every
        base = size - -(-first // probe.every) * len(neurons)
        for variable in probe.variables:
            state = list(node.model.states).index(variable)
            shapes[probe.target, variable] = (size, times, len(neurons))
            for number, part in enumerate(layout.parts):
                inside = np.nonzero((neurons >= part.lo) & (neurons < part.hi))[0]
                if part.node.name == probe.target and len(inside):
                    start = layout.groups[layout.group_of(node.name)].start[node.name]
                    pairs = np.stack([neurons[inside] + start, inside], axis=1)
                    mine.setdefault(number, []).append(([state, probe.every], [base, len(neurons)], pairs))
            size += len(neurons) * len(times)
            base += len(neurons) * len(times)
    rows: list[list[int]] = []
    chosen: list[NDArray[np.int64]] = []
    picked = 0
    for number in range(len(layout.parts)):
        layout.part_table[number, 10] = len(rows)
        for what, where, pairs in mine.get(number, []):
            rows.append([*what, picked, picked + len(pairs), *where])
            chosen.append(pairs)
            picked += len(pairs)
        layout.part_table[number, 11] = len(rows)
    table = np.array(rows, np.int64).reshape(-1, 6)
    flat = np.concatenate(chosen) if chosen else np.zeros((0, 2), np.int64)
    return table, np.ascontiguousarray(flat), np.zeros((samples, size)), shapes
