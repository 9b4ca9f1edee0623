"""From an integer network to the flat arrays of the kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.backends.loihi.beside import is_static
from spikesim.backends.loihi.tables import HARD, LANES, NONE, OWN, SHARED, SOFT, Bins, Neurons, Runs, Synapses
from spikesim.errors import DeviceLimitError
from spikesim.fixedpoint import IntInput, IntNetwork, IntPopulation, IntProjection

# From this length on a run of neighbouring targets pays for its bookkeeping.
_SHORTEST_RUN = 8

_RESETS = {"hard": HARD, "soft": SOFT, "none": NONE}


@dataclass(frozen=True, eq=False)
class Layout:
    """An integer network as the kernels want it; made once and used for every sample and every call.

    Parameters
    ----------
    network
        What it was made from.
    neurons, direct, runs, binned, bins
        See `spikesim.backends.loihi.tables`.
    first
        For each population its first neuron, for each input its first source; inputs come after all neurons.
    n_neurons, n_sources
        Neurons of all populations; these plus the sources of all inputs.
    slots
        Length of the ring of arriving sums: the longest delay plus 1.
    """

    network: IntNetwork
    neurons: Neurons
    direct: Synapses
    runs: Runs
    binned: Synapses
    bins: Bins
    first: dict[str, int]
    n_neurons: int
    n_sources: int
    slots: int

    def span(self, name: str) -> slice:
        """Return the neurons (or sources) of a group as a slice of all of them."""
        return slice(self.first[name], self.first[name] + self.network.size(name))


def lay_out(network: IntNetwork) -> Layout:
    """Flatten a network.

    Parameters
    ----------
    network
        A network within the limits of `spikesim.fixedpoint.check_network`.

    Returns
    -------
    Layout

    Raises
    ------
    DeviceLimitError
        If neurons times delay slots do not fit into 31 bit.
    """
    groups: list[IntPopulation | IntInput] = [*network.populations, *network.inputs]
    bounds = np.concatenate([[0], np.cumsum([g.n for g in groups])]).astype(int).tolist()
    first = {g.name: b for g, b in zip(groups, bounds, strict=False)}
    n_neurons = bounds[len(network.populations)]
    static = [p for p in network.projections if is_static(network, p)]
    slots = 1 + max((p.max_delay for p in static), default=0)
    if n_neurons * slots >= 2**31:
        raise DeviceLimitError(
            [f"{n_neurons} neurons with {slots} delay slots need {n_neurons * slots} sums; the emulator holds 2^31 - 1"]
        )
    exact = {p.name: _loses_nothing(p) for p in static}
    at_once = _sorted([_direct(p, first, n_neurons) for p in static if exact[p.name]])
    direct, runs = _split_runs(at_once, n_neurons, bounds[-1])
    binned, bins = _binned([p for p in static if not exact[p.name]], first, n_neurons)
    return Layout(
        network=network,
        neurons=_neurons(network, first),
        direct=direct,
        runs=runs,
        binned=_by_source(_sorted(binned), bounds[-1]),
        bins=bins,
        first=first,
        n_neurons=n_neurons,
        n_sources=bounds[-1],
        slots=slots,
    )


class _Listed(NamedTuple):
    """Synapses one by one: source, place (or bin) and weight."""

    source: NDArray[np.int64]
    place: NDArray[np.int32]
    weight: NDArray[np.int16]


def _places(projection: IntProjection, first: dict[str, int], n_neurons: int) -> NDArray[np.int32]:
    """Position of each synapse's target, counted from the first neuron of the next column's slot."""
    target = projection.indices.astype(np.int64) + first[projection.post]
    return (np.int64(projection.delay) * n_neurons + target).astype(np.int32)


def _loses_nothing(projection: IntProjection) -> bool:
    """Tell whether shifting single weights gives the same as shifting their sum, as the chip does."""
    exp = projection.weight_exp
    return exp >= 0 or not (projection.effective_weights % (1 << -exp)).any()


def _direct(projection: IntProjection, first: dict[str, int], n_neurons: int) -> _Listed:
    """List the synapses with shifted weights: 255 << 7 and -256 << 7 just fit into 16 bit."""
    exp = projection.weight_exp
    weight = projection.effective_weights << exp if exp >= 0 else projection.effective_weights >> -exp
    return _Listed(
        projection.sources + np.int64(first[projection.pre]),
        _places(projection, first, n_neurons),
        weight.astype(np.int16),
    )


def _binned(projections: list[IntProjection], first: dict[str, int], n_neurons: int) -> tuple[list[_Listed], Bins]:
    """Give every (projection, delay, target) a bin, because the floor is taken of its sum."""
    listed = []
    places, shifts = [np.zeros(0, np.int32)], [np.zeros(0, np.uint8)]
    n_bins = 0
    for p in projections:
        place, bin_of_synapse = np.unique(_places(p, first, n_neurons), return_inverse=True)
        source = p.sources + np.int64(first[p.pre])
        listed.append(_Listed(source, (bin_of_synapse + n_bins).astype(np.int32), p.effective_weights.astype(np.int16)))
        places.append(place)
        shifts.append(np.full(place.size, -p.weight_exp, np.uint8))
        n_bins += place.size
    return listed, Bins(np.concatenate(places), np.concatenate(shifts))


def _sorted(listed: list[_Listed]) -> _Listed:
    """Merge the synapses of several projections, sorted by source and place."""
    empty = _Listed(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int16))
    source, place, weight = (np.concatenate(column) for column in zip(empty, *listed, strict=True))
    order = np.lexsort((place, source))
    return _Listed(source[order], place[order], weight[order])


def _row_starts(source: NDArray[np.int64], n_sources: int) -> NDArray[np.int64]:
    """Turn sorted sources into the bounds of their rows."""
    return np.concatenate([[0], np.cumsum(np.bincount(source, minlength=n_sources))]).astype(np.int64)


def _by_source(synapses: _Listed, n_sources: int) -> Synapses:
    return Synapses(_row_starts(synapses.source, n_sources), synapses.place, synapses.weight)


def _split_runs(synapses: _Listed, n_neurons: int, n_sources: int) -> tuple[Synapses, Runs]:
    """Separate runs of neighbouring targets from the synapses that have to be added one by one."""
    source, place, weight = synapses
    # A run may not cross from one delay slot into the next: the ring can end between them.
    starts = np.ones(source.size, bool)
    starts[1:] = (np.diff(source) != 0) | (np.diff(place) != 1) | (place[1:] % n_neurons == 0)
    begin = np.flatnonzero(starts)
    length = np.diff(begin, append=source.size)
    long = length >= _SHORTEST_RUN
    single = np.repeat(~long, length)
    begin, length = begin[long], length[long]
    runs = _in_blocks(_row_starts(source[begin], n_sources), place[begin], begin, length, weight)
    return _by_source(_Listed(source[single], place[single], weight[single]), n_sources), runs


def _in_blocks(
    indptr: NDArray[np.int64],
    place: NDArray[np.int32],
    begin: NDArray[np.intp],
    length: NDArray[np.intp],
    weight: NDArray[np.int16],
) -> Runs:
    """Group runs to the same places, and copy their weights together, filled up with zeros to whole vectors."""
    padded = -(-length // LANES) * LANES
    places, block, rows = np.unique(
        np.stack([place, padded], axis=1).reshape(-1, 2), axis=0, return_inverse=True, return_counts=True
    )
    new = np.cumsum(padded, dtype=np.int64) - padded
    within = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
    copied = np.zeros(int(padded.sum()), np.int16)
    copied[np.repeat(new, length) + within] = weight[np.repeat(begin, length) + within]
    return Runs(
        indptr=indptr,
        block=block.reshape(-1).astype(np.int32),
        begin=new,
        weight=copied,
        place=places[:, 0].astype(np.int32),
        length=places[:, 1].astype(np.int32),
        room=np.cumsum(rows, dtype=np.int64) - rows,
    )


def _neurons(network: IntNetwork, first: dict[str, int]) -> Neurons:
    populations = network.populations
    table = [
        (first[p.name], first[p.name] + p.n, _RESETS[p.reset], p.reset_interval, p.reset_offset, _kind(p))
        for p in populations
    ]
    return Neurons(
        # The chip adds 1 to the current decay, and only to that.
        keep_u=per_neuron(populations, lambda p: 4095 - p.du),
        keep_v=per_neuron(populations, lambda p: 4096 - p.dv),
        threshold=per_neuron(populations, lambda p: p.threshold),
        quantum=per_neuron(populations, lambda p: p.soft_quantum if p.reset == "soft" else 0),
        bias=per_neuron(populations, lambda p: p.bias),
        hold=per_neuron(populations, lambda p: p.refractory - 1),
        populations=np.array(table, np.int64).reshape(len(table), 6),
    )


def _kind(p: IntPopulation) -> int:
    """Tell whether all neurons share their parameters, which the loop then keeps in registers."""
    values = (p.du, p.dv, p.threshold, p.soft_quantum, p.bias)
    shared = all(np.all(np.ravel(x) == np.ravel(x)[0]) for x in values)
    return SHARED if shared and not np.any(np.subtract(p.refractory, 1)) else OWN


def per_neuron(populations: Sequence[IntPopulation], value: Callable[[IntPopulation], ArrayLike]) -> NDArray[np.int32]:
    """Write a parameter of every population into one array: int32, shape (neurons,)."""
    parts = [np.broadcast_to(np.asarray(value(p), np.int32), (p.n,)) for p in populations]
    return np.concatenate([np.zeros(0, np.int32), *parts])
