"""Network -> Graph: say what is drawn, turn times into steps, put weights on the exact grid, order the updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Weighted
from spikesim.connect.base import elements
from spikesim.errors import NetworkError
from spikesim.graph import GRID_BITS, MANTISSA_BITS, Edge, Graph, Node, PortExactness
from spikesim.learning import largest_weight, lower_plasticity
from spikesim.network import Network, Population, Projection
from spikesim.rng import Stream
from spikesim.stimulus import Drive, Input, PoissonDrive, Source
from spikesim.synapses import Constant, Drawn, Given, Numbers, Pattern, Shared, Snapped, Steps, snap

__all__ = ["grid_of", "is_graded_input", "lower", "snap", "snap_input", "values"]

GRADED_BITS = 16  # graded inputs are snapped to multiples of 2^-16


def lower(network: Network, *, seed: int | None = None, snap: bool = True, folded: bool = True) -> Graph:
    """Lower a network to the flat form that backends run.

    Parameters
    ----------
    network
        The network.
    seed
        Replaces the network's seed.
    snap
        Put weights on the binary grid on which sums are exact in any order.
    folded
        Fold batch norms into weights and biases, and leave dropout out. False keeps both, for training.

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
    network = network.folded() if folded else network
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
    drives = tuple(_drive(network, d, exactness) for d in network.stimuli if isinstance(d, Drive))
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


def _drive(network: Network, drive: Drive, exactness: Mapping[tuple[str, str], PortExactness]) -> Drive:
    """Name the port of a drive; the weight of Poisson events stands on the grid of the port, as synaptic weights do.

    A weight so small that the grid would change it by more than 2^-17 of itself is left alone.
    """
    port = drive.port or network.population(drive.target).model.inputs[0]
    exact = exactness.get((drive.target, port))
    if isinstance(drive, PoissonDrive) and exact and abs(drive.weight) >= 2.0**16 * exact.grid:
        return replace(drive, port=port, weight=float(snap(drive.weight, exact.grid)))
    return replace(drive, port=port)


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
    pre, post = shapes[projection.pre], shapes[projection.post]
    pattern = Pattern(projection.rule, pre, post, Stream(network.seed, f"{projection.name}/synapses"))
    weight = _weights(network, projection, pattern)
    graded = bool(getattr(_source(network, projection.pre), "graded", False))
    plasticity = projection.plasticity
    return Edge(
        name=projection.name,
        pre=projection.pre,
        post=projection.post,
        port=projection.port or network.population(projection.post).model.inputs[0],
        pattern=pattern,
        weight=weight,
        delay=_delays(network, projection, pattern),
        graded=graded,
        rule=projection.rule,
        learning=None if plasticity is None else lower_plasticity(plasticity, network.dt, weight.extremes, graded),
        norm=projection.norm,
        dropout=projection.dropout,
    )


def _source(network: Network, name: str) -> Source | None:
    return next((s for s in _sources(network) if s.name == name), None)


def _weights(network: Network, projection: Projection, pattern: Pattern) -> Numbers:
    rule = projection.rule
    laid_out = None if rule.fits(pattern.pre, pattern.post) else pattern.rows.weights
    if laid_out is not None:
        return Given(np.asarray(laid_out, np.float64))
    if isinstance(rule, Weighted):
        return Shared(np.asarray(rule.shared()), pattern)
    if hasattr(projection.weight, "sample"):
        fan_in = max(1, round(pattern.count / elements(pattern.post)))
        drawn = Drawn(projection.weight, Stream(network.seed, f"{projection.name}/weight"), pattern.count, fan_in)
        drawn.extremes  # noqa: B018  draws that are beyond the largest float are refused here
        return drawn
    array = np.asarray(projection.weight, np.float64)
    return Constant(float(array)) if array.ndim == 0 else Given(_one_each("weight", array, pattern))


def _delays(network: Network, projection: Projection, pattern: Pattern) -> Numbers:
    value = projection.delay
    if hasattr(value, "sample"):
        return Steps(Drawn(value, Stream(network.seed, f"{projection.name}/delay"), pattern.count), network.dt)
    array = np.asarray(value, np.float64)
    steps = np.rint(array / network.dt)
    off = np.abs(array / network.dt - steps).max(initial=0.0)
    if off > 1e-3:
        raise ValueError(
            f"delay {float(array.flat[0]):g} s is not a whole number of steps of {network.dt:g} s; choose "
            "another delay or dt"
        )
    return Constant(float(steps)) if array.ndim == 0 else Given(_one_each("delay", steps, pattern))


def _one_each(what: str, array: NDArray[np.float64], pattern: Pattern) -> NDArray[np.float64]:
    if array.size != pattern.count:
        raise ValueError(
            f"{what} has {array.size} values but the rule makes {pattern.count} synapses; give one value per "
            "synapse, or one"
        )
    return array.reshape(-1)


def _levels(names: Sequence[str], edges: Sequence[Edge]) -> tuple[dict[str, int], list[str]]:
    """Order the populations so that same-step spikes arrive before their target is updated; or return the loop."""
    instant = {(e.pre, e.post) for e in edges if e.min_delay == 0 and e.pre in names and e.synapses}
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
            weight = Snapped(edges[k].weight, grid)
            change = max(change, weight.most_change)
            snapped[k] = replace(edges[k], weight=weight, rule=edges[k].rule.map_weights(partial(snap, grid=grid)))
        bits = _sum_bits([snapped[k] for k in members], grid)
        exactness[port] = PortExactness(grid, change / largest if largest else 0.0, bits)
    return snapped, exactness


def _sum_bits(edges: list[Edge], grid: float) -> int:
    """Bits of the largest sum that one step can bring, in units of the grid (and of the graded inputs' grid).

    A synapse has one delay and its source fires at most once a step, so it delivers at most once to any step. Where a
    bound on the synapses per target, each of the largest weight, does not prove that 53 bits suffice, they are counted,
    and where that does not either, the weights are added up.
    """
    graded = GRADED_BITS if any(e.graded for e in edges) else 0

    def bits(total: float) -> int:
        return int(np.ceil(np.log2(max(total / grid, 1.0)))) + graded

    most = [e.pattern.rule.most_inputs(e.pattern.pre, e.pattern.post) for e in edges]
    if None not in most:
        bound = bits(sum(float(m or 0) * largest_weight(e) for m, e in zip(most, edges, strict=True)))
        if bound <= MANTISSA_BITS:
            return bound
        total = sum((e.pattern.in_degree() * largest_weight(e) for e in edges), np.zeros(edges[0].n_post))
        if bits(total.max()) <= MANTISSA_BITS:
            return bits(total.max())
    total = np.zeros(edges[0].n_post)
    for edge in edges:
        each = np.abs(edge.weights) if edge.learning is None else largest_weight(edge)
        total += np.bincount(edge.indices, weights=np.broadcast_to(each, edge.synapses), minlength=edge.n_post)
    return bits(total.max(initial=0.0))


def snap_input(x: NDArray[Any]) -> NDArray[np.float64]:
    """Snap graded input values to multiples of ``2^-16``, so that sums of value times weight stay exact.

    >>> float(snap_input(0.1)) == 6554 / 65536
    True
    """
    return np.asarray(snap(np.asarray(x, np.float64), 2.0**-GRADED_BITS))


def is_graded_input(source: Source) -> bool:
    """Tell whether a source emits values rather than spikes."""
    return isinstance(source, Input) and source.graded
