"""Network -> Graph: draw what is random, turn times into steps, put weights on the exact grid, order the updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import NetworkError
from spikesim.graph import GRID_BITS, Edge, Graph, Node, PortExactness
from spikesim.learning import largest_sums, largest_weight, lower_plasticity
from spikesim.network import Network, Population, Projection
from spikesim.rng import Stream
from spikesim.stimulus import Input, Source

GRADED_BITS = 16  # graded inputs are snapped to multiples of 2^-16


def lower(network: Network, *, seed: int | None = None, snap: bool = True) -> Graph:
    """Lower a network to the flat form that backends run.

    Parameters
    ----------
    network
        The network.
    seed
        Replaces the network's seed.
    snap
        Put weights on the binary grid on which sums are exact in any order.

    Returns
    -------
    Graph

    Raises
    ------
    NetworkError
        If connections, delays or sizes do not fit; all problems are listed.
    """
    if seed is not None:
        network = replace(network, seed=seed)
    problems: list[str] = []
    senders: list[Population | Source] = [*network.populations, *_sources(network)]
    shapes = {p.name: p.shape for p in senders}
    edges = []
    for projection in network.projections:
        try:
            edges.append(_edge(network, projection, shapes))
        except (ValueError, LookupError) as error:
            problems.append(f"projection {projection.name!r}: {error}")
    nodes = [_node(network, p) for p in network.populations]
    order, loop = _levels([n.name for n in nodes], edges)
    if loop:
        problems.append(
            f"the populations {' -> '.join(loop)} form a loop without delay; give one of its projections a "
            f"delay of at least {network.dt:g} s"
        )
    if problems:
        raise NetworkError(problems, f"network {network.name!r} has {len(problems)} problems:")
    exactness: Mapping[tuple[str, str], PortExactness] = {}
    if snap:
        edges, exactness = _snap(edges)
    nodes = sorted((replace(n, level=order[n.name]) for n in nodes), key=lambda n: n.level)
    drives = tuple(
        replace(d, port=d.port or network.population(d.target).model.inputs[0])
        for d in network.stimuli
        if not isinstance(d, Source)
    )
    return Graph(
        network.name,
        network.dt,
        network.seed,
        tuple(nodes),
        _sources(network),
        tuple(edges),
        drives,
        tuple(network.probes),
        exactness,
    )


def _sources(network: Network) -> tuple[Source, ...]:
    return tuple(s for s in network.stimuli if isinstance(s, Source))


# ------------------------------------------------------------------------------------------------------- populations
def values(value: Any, n: int, stream: Stream) -> Any:
    """Turn a number, array or distribution into a float or a float64 array of ``n`` values."""
    if hasattr(value, "sample"):
        return value.sample(n, stream)
    array = np.asarray(value, np.float64).reshape(-1)
    return float(array[0]) if array.size == 1 else array


def _node(network: Network, population: Population) -> Node:
    model, n = population.model, population.n

    def draw(kind: str, name: str, value: Any) -> Any:
        return values(value, n, Stream(network.seed, f"{population.name}/{kind}/{name}"))

    params = {name: draw("param", name, population.neuron.value(name)) for name in model.params}
    everything = model.step_constants(params, network.dt)
    constants = {name: everything[name] for name in model.used_constants()}
    init = {
        name: np.broadcast_to(draw("init", name, population.neuron.init.get(name, state.init)), (n,)).astype(np.float64)
        for name, state in model.states.items()
    }
    return Node(population.name, n, population.shape, model, constants, params, init, 0)


# ------------------------------------------------------------------------------------------------------- projections
def _edge(network: Network, projection: Projection, shapes: Mapping[str, tuple[int, ...]]) -> Edge:
    pre_shape, post_shape = shapes[projection.pre], shapes[projection.post]
    n_pre, n_post = int(np.prod(pre_shape)), int(np.prod(post_shape))
    stream = Stream(network.seed, f"{projection.name}/synapses")
    rows = projection.rule.rows(pre_shape, post_shape, stream)
    count = len(rows.indices)
    model = network.population(projection.post).model
    weights = _weights(network, projection, rows.weights, count, n_post)
    graded = bool(getattr(_source(network, projection.pre), "graded", False))
    plasticity = projection.plasticity
    return Edge(
        name=projection.name,
        pre=projection.pre,
        post=projection.post,
        port=projection.port or model.inputs[0],
        n_pre=n_pre,
        n_post=n_post,
        indptr=rows.indptr,
        indices=rows.indices,
        weights=weights,
        delays=_delays(network, projection, count),
        graded=graded,
        rule=projection.rule,
        learning=None if plasticity is None else lower_plasticity(plasticity, network.dt, weights, graded),
    )


def _source(network: Network, name: str) -> Source | None:
    return next((s for s in _sources(network) if s.name == name), None)


def _weights(network: Network, projection: Projection, own: NDArray[Any] | None, count: int, n_post: int) -> Any:
    if own is not None:
        return np.asarray(own, np.float64)
    if hasattr(projection.weight, "sample"):
        fan_in = max(1, round(count / n_post))
        return projection.weight.sample(count, Stream(network.seed, f"{projection.name}/weight"), fan_in=fan_in)
    array = np.asarray(projection.weight, np.float64)
    if array.ndim == 0:
        return float(array)
    if array.size != count:
        raise ValueError(
            f"weight has {array.size} values but the rule makes {count} synapses; give one value per synapse, or one"
        )
    return array.reshape(-1)


def _delays(network: Network, projection: Projection, count: int) -> Any:
    value = projection.delay
    if hasattr(value, "sample"):
        seconds = value.sample(count, Stream(network.seed, f"{projection.name}/delay"))
        return np.maximum(np.rint(seconds / network.dt), 0 if seconds.min(initial=1.0) <= 0 else 1).astype(np.int32)
    array = np.asarray(value, np.float64)
    steps = np.rint(array / network.dt)
    off = np.abs(array / network.dt - steps).max(initial=0.0)
    if off > 1e-3:
        raise ValueError(
            f"delay {float(array.flat[0]):g} s is not a whole number of steps of {network.dt:g} s; choose "
            "another delay or dt"
        )
    if array.ndim == 0:
        return int(steps)
    if array.size != count:
        raise ValueError(
            f"delay has {array.size} values but the rule makes {count} synapses; give one value per synapse, or one"
        )
    return steps.reshape(-1).astype(np.int32)


def _levels(names: Sequence[str], edges: Sequence[Edge]) -> tuple[dict[str, int], list[str]]:
    """Order the populations so that same-step spikes arrive before their target is updated; or return the loop."""
    instant = {(e.pre, e.post) for e in edges if e.synapses and e.min_delay == 0 and e.pre in names}
    level = dict.fromkeys(names, 0)
    for _ in range(len(names) + 1):
        changed = False
        for pre, post in instant:
            if level[post] <= level[pre]:
                level[post] = level[pre] + 1
                changed = True
        if not changed:
            return level, []
    return level, _find_loop(instant)


def _find_loop(arrows: set[tuple[str, str]]) -> list[str]:
    """Return one loop, its first name repeated at the end."""
    remaining = set(arrows)
    while True:  # strip what cannot lie on a loop
        starts, ends = {a for a, _ in remaining}, {b for _, b in remaining}
        keep = {(a, b) for a, b in remaining if a in ends and b in starts}
        if keep == remaining:
            break
        remaining = keep
    path = [min(a for a, _ in remaining)]
    while path[-1] not in path[:-1]:
        path.append(min(b for a, b in remaining if a == path[-1]))
    return path[path.index(path[-1]) :]


# -------------------------------------------------------------------------------------------------------- exact sums
def grid_of(largest: float) -> float:
    """Return the grid for weights up to ``largest``: ``2^-30`` of it, rounded up to a power of two.

    >>> grid_of(1.0) == 2.0**-30, grid_of(1.1) == 2.0**-29
    (True, True)
    """
    if largest == 0:
        return 2.0**-GRID_BITS
    mantissa, exponent = np.frexp(largest)
    return float(2.0 ** (int(exponent) - (1 if mantissa == 0.5 else 0) - GRID_BITS))


def snap(values: Any, grid: float) -> Any:
    """Round to whole multiples of a power of two."""
    return np.rint(np.asarray(values) / grid)[()] * grid


def _snap(edges: list[Edge]) -> tuple[list[Edge], dict[tuple[str, str], PortExactness]]:
    ports: dict[tuple[str, str], list[int]] = {}
    for k, edge in enumerate(edges):
        ports.setdefault((edge.post, edge.port), []).append(k)
    snapped, exactness = list(edges), {}
    for port, members in ports.items():
        largest = max((largest_weight(edges[k]) for k in members), default=0.0)
        grid = grid_of(largest)
        change = 0.0
        for k in members:
            weights = snap(edges[k].weights, grid)
            change = max(change, float(np.abs(weights - edges[k].weights).max(initial=0.0)))
            weights = float(weights) if np.ndim(weights) == 0 else weights
            snapped[k] = replace(edges[k], weights=weights, rule=edges[k].rule.map_weights(partial(snap, grid=grid)))
        bits = _sum_bits([snapped[k] for k in members], grid)
        exactness[port] = PortExactness(grid, change / largest if largest else 0.0, bits)
    return snapped, exactness


def _sum_bits(edges: list[Edge], grid: float) -> int:
    """Bits of the largest sum that one step can bring, in units of the grid (and of the graded inputs' grid)."""
    total = np.zeros(edges[0].n_post)
    for edge in edges:
        total += largest_sums(edge)
    graded = GRADED_BITS if any(e.graded for e in edges) else 0
    # a synapse has one delay and its source fires at most once a step, so it delivers at most once to any step
    return int(np.ceil(np.log2(max(total.max(initial=0.0) / grid, 1.0)))) + graded


def snap_input(x: NDArray[Any]) -> NDArray[np.float64]:
    """Snap graded input values to multiples of ``2^-16``, so that sums of value times weight stay exact.

    >>> float(snap_input(0.1)) == 6554 / 65536
    True
    """
    return np.asarray(snap(np.asarray(x, np.float64), 2.0**-GRADED_BITS))


def is_graded_input(source: Source) -> bool:
    """Tell whether a source emits values rather than spikes."""
    return isinstance(source, Input) and source.graded
