"""SONATA's edges as projections: one for each port, and one more for each further synapse between the same neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.connect import Sparse
from spikesim.convert.sonata_config import MS
from spikesim.convert.sonata_neurons import Cells
from spikesim.convert.sonata_tables import Edges
from spikesim.network import Projection

WEIGHT, DELAY = 1.0, 1.0  # of NEST's static_synapse: pA, nS or mV; ms
STATIC = ("static_synapse", "nest:static_synapse")
Ints = NDArray[np.int64]
Vector = NDArray[np.float64]


@dataclass
class Part:
    """A population of the network, or the source that stands for virtual nodes (without ``cells``)."""

    name: str
    rows: Ints  # of the node population
    cells: Cells | None = None


def connect(edges: Edges, parts: Mapping[str, Sequence[Part]], dt: float) -> tuple[list[Projection], list[str]]:
    """Return the projections of an edge population, or the reasons why there are none."""
    problems = _problems(edges, parts)
    weight = edges.numbers("weight", "syn_weight", default=WEIGHT) * edges.numbers("nsyns", default=1.0)
    delay = np.rint(edges.numbers("delay", default=DELAY) * MS / dt).astype(np.int64)
    if (delay < 1).any():
        problems.append(f"delays must be at least one step of {dt / MS:g} ms")
    if problems:
        return [], [f"edges {edges.name!r}: {p}" for p in problems]
    made: list[Projection] = []
    for pre in parts.get(edges.source, ()):
        for post in parts.get(edges.target, ()):
            if post.cells is not None:
                made += _between(edges, pre, post, post.cells, weight, delay, dt)
    return made, []


def _problems(edges: Edges, parts: Mapping[str, Sequence[Part]]) -> list[str]:
    found = []
    models = sorted(str(m) for m in edges.distinct("model_template") if m not in STATIC)
    if models:
        found.append(f"synapse {', '.join(models)}; known is static_synapse")
    functions = sorted(map(str, edges.distinct("weight_function")))
    if functions:
        found.append(f"weight_function {', '.join(functions)} is code; store its result as syn_weight")
    if any(part.cells is None for part in parts.get(edges.target, ())):
        found.append("they lead to virtual nodes, which only send")
    odd = sorted(edges.parameter_names() - {"weight", "delay", "syn_weight"})
    if odd:
        found.append(f"parameters {', '.join(odd)} have no counterpart")
    return found


def _between(
    edges: Edges, pre: Part, post: Part, cells: Cells, weight: Vector, delay: Ints, dt: float
) -> list[Projection]:
    source, target = _places(pre.rows, edges.pre), _places(post.rows, edges.post)
    whole = pre.name == edges.source and post.name == edges.target
    label = edges.name if whole else f"{edges.name} {pre.name} {post.name}"
    made = []
    for port in dict.fromkeys(cells.ports):
        here = (source >= 0) & (target >= 0) & _at_port(cells.ports, port, weight)
        if not here.any():
            continue
        values = (weight[here] if cells.signed else np.abs(weight[here])) * cells.weight[target[here]]
        layers = _layers(source[here], target[here], values, delay[here], (len(post.rows), len(pre.rows)))
        suffix = f" {port}" if cells.ports[0] != cells.ports[1] else ""
        for k, (rule, steps) in enumerate(layers, 1):
            seconds = float(steps[0]) * dt if (steps == steps[0]).all() else steps * dt
            name = f"{label}{suffix}{f' {k}' if len(layers) > 1 else ''}"
            made.append(Projection(pre.name, post.name, rule, delay=seconds, port=port, name=name))
    return made


def _places(rows: Ints, nodes: Ints) -> Ints:
    """Return the place of each node within some rows, -1 if it is not among them."""
    place = np.full(int(max(rows.max(initial=-1), nodes.max(initial=-1))) + 1, -1, np.int64)
    place[rows] = np.arange(len(rows))
    return place[nodes]


def _at_port(ports: tuple[str, str], port: str, weight: Vector) -> NDArray[np.bool_]:
    if ports[0] == ports[1]:
        return np.ones(len(weight), bool)
    return weight >= 0 if port == ports[0] else weight < 0


def _layers(
    pre: Ints,
    post: Ints,
    weight: Vector,
    delay: Ints,
    shape: tuple[int, int],
) -> list[tuple[Sparse, Ints]]:
    """Return matrices and delays such that no matrix has a pair twice; equal pairs of equal delay are added up."""
    order = np.lexsort((delay, post, pre))
    pre, post, weight, delay = pre[order], post[order], weight[order], delay[order]
    first = np.ones(len(pre), bool)
    first[1:] = (np.diff(pre) != 0) | (np.diff(post) != 0) | (np.diff(delay) != 0)
    weight = np.add.reduceat(weight, np.flatnonzero(first))
    pre, post, delay = pre[first], post[first], delay[first]
    pairs = pre * shape[0] + post
    start = np.flatnonzero(np.concatenate([[True], np.diff(pairs) != 0]))
    turn = np.arange(len(pairs)) - np.repeat(start, np.diff(np.concatenate([start, [len(pairs)]])))
    layers = []
    for k in range(int(turn.max()) + 1):
        here = turn == k
        matrix = sparse.csr_array(sparse.coo_array((weight[here], (post[here], pre[here])), shape=shape))
        layers.append((Sparse(matrix), delay[here]))
    return layers
