"""In which form input arrives at the ports of a network, and which populations one kernel therefore serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.numba.plan import Owned, Plan
from spikesim.equations.numba_source import KernelForm, PortForm
from spikesim.graph import Graph, Node
from spikesim.rng import poisson_parts, poisson_thresholds
from spikesim.stimulus import PoissonDrive

COUNTED = ("rows", "bitmap")
MOST_COUNT = 255  # of a byte


@dataclass(eq=False)
class Group:
    """All populations of one kernel form, side by side in one state array."""

    form: KernelForm
    owned: Owned
    nodes: list[Node] = field(default_factory=list)
    start: dict[str, int] = field(default_factory=dict)  # where neuron 0 of a population is, or would be

    @property
    def n(self) -> int:
        """Number of neurons."""
        return sum(hi - lo for lo, hi in (self.owned[node.name] for node in self.nodes))

    def add(self, node: Node) -> None:
        """Append a population."""
        self.start[node.name] = self.n - self.owned[node.name][0]
        self.nodes.append(node)

    def _mine(self, values: Any, node: Node) -> NDArray[Any]:
        return np.broadcast_to(values, node.n)[slice(*self.owned[node.name])]

    def initial(self) -> NDArray[np.float64]:
        """Return the initial states, ``[states, n]``."""
        names = self.form.model.states
        rows = [np.concatenate([self._mine(node.init[s], node) for node in self.nodes]) for s in names]
        return np.array(rows).reshape(len(names), self.n)

    def constants(self, dtype: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the constants that are one number, ``[populations, names]``, and those per neuron, ``[names, n]``."""
        scalars, vectors = self.form.names()
        numbers = [[float(node.constants[name]) for name in scalars] for node in self.nodes]
        rows = [np.concatenate([self._mine(k.constants[name], k) for k in self.nodes]) for name in vectors]
        each = np.array(rows, dtype).reshape(len(vectors), self.n)
        return np.array(numbers, dtype).reshape(len(self.nodes), -1), each


@dataclass(eq=False)
class FastDrives:
    """The Poisson drives that the kernel draws: one constant rate, alone on their port.

    ``counts`` are those whose counts fit a byte: their mean needs no parts.
    """

    names: set[str] = field(default_factory=set)
    counts: set[str] = field(default_factory=set)
    thresholds: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    table: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(1, np.uint32))


def fast_drives(graph: Graph) -> FastDrives:
    """Find the Poisson drives that the kernel can draw itself."""
    found = FastDrives()
    pieces: list[NDArray[np.uint32]] = []
    ports = [(d.target, d.port) for d in graph.drives]
    for drive in graph.drives:
        alone = ports.count((drive.target, drive.port)) == 1
        if not (isinstance(drive, PoissonDrive) and alone and isinstance(drive.rate, float)):
            continue
        number, mean = poisson_parts(drive.rate * graph.dt)
        table = poisson_thresholds(mean)
        first = sum(len(t) for t in pieces)
        found.thresholds[drive.name] = (first, first + len(table), number)
        pieces.append(table)
        found.names.add(drive.name)
        if number == 1:
            found.counts.add(drive.name)
    found.table = np.concatenate([*pieces, np.zeros(1, np.uint32)])
    return found


def port_forms(graph: Graph, plan: Plan, dtype: str, fast: FastDrives) -> dict[tuple[str, str], PortForm]:
    """Return in which form input arrives at each port."""
    forms = {}
    for node in graph.nodes:
        for port in node.model.inputs:
            edges = [e for e in graph.edges if (e.post, e.port) == (node.name, port)]
            counted = [e for e in edges if plan.choices[e.name].kind in COUNTED]
            drives = [d for d in graph.drives if (d.target, d.port) == (node.name, port)]
            drive = "" if not drives else "counts" if drives[0].name in fast.counts else "values"
            limits = [(abs(e.constant_weight or 0.0), MOST_COUNT) for e in counted]
            if drive == "counts":
                first, last, _ = fast.thresholds[drives[0].name]
                limits.append((abs(getattr(drives[0], "weight", 0.0)), last - first))
            sums = len(counted) < len(edges)
            small = dtype == "float32" and counted and not sums and drive != "values"
            split = bool(small) and _splits(limits, grid_of_port(graph, node.name, port))
            forms[node.name, port] = PortForm(len(counted), sums, drive, split)
    return forms


def _splits(limits: list[tuple[float, int]], grid: float) -> bool:
    """Tell whether counters times the halves of their weights add up exactly in float32: 24 bits for either half.

    ``limits`` are sizes of weights, which must be whole multiples of the grid, and the largest counts.
    """
    if grid < 2.0**-100 or any(w / grid != np.rint(w / grid) for w, _ in limits):
        return False
    high = sum(np.rint(w / grid / 2**15) * most for w, most in limits)
    return bool(high <= 2**24 and sum(2**14 * most for _, most in limits) <= 2**24)


def groups(graph: Graph, ports: dict[tuple[str, str], PortForm], owned: Owned) -> list[Group]:
    """Group the populations by the kernel that serves them."""
    found: dict[KernelForm, Group] = {}
    for node in graph.nodes:
        vectors = frozenset(n for n in node.model.used_constants() if np.ndim(node.constants[n]))
        form = KernelForm(node.model, vectors, tuple(ports[node.name, p] for p in node.model.inputs))
        found.setdefault(form, Group(form, owned)).add(node)
    return list(found.values())


def grid_of_port(graph: Graph, post: str, port: str) -> float:
    """Return the unit of the sums of a port; 0 if its weights are on no grid."""
    exact = graph.exactness.get((post, port))
    return exact.grid if exact else 0.0
