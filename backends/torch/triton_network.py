"""All synapses of a network as flat arrays on a device, in the form that :mod:`.triton_kernels` delivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.graph import Edge, Graph

UNITS = 2**31 - 1  # weights of at most so many units of their grid are held as int32


class Synapses:
    """The rows of all projections, one projection after the other, by source of the projections.

    A synapse takes 4 bytes for its target, 4 for a weight of its own (whole units of the port's grid; 8 if some
    weight is not on a grid) and 2 for a delay of its own.

    Parameters
    ----------
    graph
        The network; no projection is graded or learns.
    changed
        Weights in place of the graph's, by projection.
    device
        Where to hold them.
    """

    def __init__(self, graph: Graph, changed: Mapping[str, Any], device: torch.device) -> None:
        self.device = device
        self.sources = list(dict.fromkeys(e.pre for e in graph.edges))
        self.edges = [e for name in self.sources for e in graph.edges if e.pre == name]  # those of a source together
        exact = {e.name: graph.exactness.get((e.post, e.port)) for e in self.edges}
        grids = {name: port.grid if port else 0.0 for name, port in exact.items()}
        whole = all(_whole(e, grids[e.name], changed.get(e.name)) for e in self.edges)
        self.scale = self._tensor([grids[e.name] if whole else 1.0 for e in self.edges], torch.float64)
        own = {e.name: e.constant_weight is None if e.name not in changed else bool(np.ndim(changed[e.name]))
               for e in self.edges}  # fmt: skip
        counts = {"rows": [e.n_pre + 1 for e in self.edges], "target": [e.synapses for e in self.edges]}
        counts["weight"] = [e.synapses if own[e.name] else 1 for e in self.edges]
        counts["delay"] = [1 if e.constant_delay is not None else e.synapses for e in self.edges]
        types = {"rows": torch.int64, "target": torch.int32, "delay": torch.int16}
        types["weight"] = torch.int32 if whole else torch.float64
        self.arrays = {n: torch.empty(sum(c), dtype=types[n], device=device) for n, c in counts.items()}
        self.starts = {n: np.cumsum([0, *c[:-1]]).tolist() for n, c in counts.items()}
        for k, edge in enumerate(self.edges):
            given = changed.get(edge.name)
            weights = np.atleast_1d(np.asarray(edge.weights if given is None else given, np.float64))
            if whole:
                weights = np.rint(weights / grids[edge.name])
            self._put("rows", k, edge.indptr)
            self._put("target", k, edge.indices)
            self._put("delay", k, np.atleast_1d(edge.delays))
            self._put("weight", k, weights)
            edge.forget()  # a large network is held once
        self.own = [(own[e.name], e.constant_delay is None) for e in self.edges]

    def _put(self, name: str, edge: int, values: NDArray[Any]) -> None:
        start = self.starts[name][edge]
        self.arrays[name][start : start + len(values)] = torch.as_tensor(np.array(values)).to(self.arrays[name].dtype)

    def _tensor(self, values: Sequence[Any], dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=self.device)

    def groups(self) -> torch.Tensor:
        """Return, for each source, its first edge, the edge after its last one, and its elements; int64."""
        names = [e.pre for e in self.edges]
        rows = [(names.index(s), names.index(s) + names.count(s)) for s in self.sources]
        return self._tensor([(a, b, self.edges[a].n_pre) for a, b in rows], torch.int64)

    def table(self, rings: Mapping[tuple[str, str], tuple[int, int]]) -> torch.Tensor:
        """Return the fields of each edge as :func:`.triton_kernels.deliver` takes them; int64.

        Parameters
        ----------
        rings
            By ``(population, port)``: where the ring begins, and its slots.
        """
        fields = []
        for k, edge in enumerate(self.edges):
            begins = [self.starts[name][k] for name in ("rows", "target", "weight", "delay")]
            fields.append([*begins, *self.own[k], *rings[edge.post, edge.port], edge.n_post])
        return self._tensor(fields, torch.int64)


def _whole(edge: Edge, grid: float, changed: Any) -> bool:
    """Tell whether all weights of an edge are whole multiples of its grid that 32 bits hold."""
    limit = edge.weight_limit if changed is None else float(np.max(np.abs(changed), initial=0.0))
    return grid > 0 and limit / grid <= UNITS
