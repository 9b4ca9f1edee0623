"""What a network needs on so many ranks: memory, traffic and time of each, from sizes alone.

The formulas count what the engine stores and does; ``benchmarks/bench_ranks.py`` compares them with runs. What rank 0
needs for the recording comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass

TILE = 65536  # targets of one table at most
DENSE = 0.01  # density from which synapses of one weight and delay are bits
BASE = 2.0e8  # bytes: Python, numpy, numba, compiled kernels
NETWORK = 100.0  # bytes per neuron of the whole network while a rank builds its part: initial values, degrees
CACHE = 2**20  # bytes of an index that a processor's own cache holds
# Nanoseconds on one thread of x86-64 with AVX-512: a neuron's step, a spike that finds its row in the cache or beyond,
# a synaptic event of rows and of segments, a possible pair of a bitmap.
NS_NEURON, NS_ROW, NS_FAR_ROW, NS_EVENT, NS_SEGMENT_EVENT, NS_BIT = 0.75, 6.0, 250.0, 0.75, 1.5, 0.0055


@dataclass(frozen=True)
class Estimate:
    """What one rank needs.

    Parameters
    ----------
    tables
        Bytes of the synapses onto its own neurons.
    index
        Bytes that say where the synapses of each source begin: for all neurons of the network, in each tile.
    neurons
        Bytes of states, and of what each rank draws for all neurons while it builds its part.
    history
        Bytes of the spikes that are still under way.
    received
        Bytes of spikes from other ranks in a second of biological time.
    busy
        Seconds of computing for a second of biological time.
    exchanges
        Exchanges in a second of biological time.
    """

    tables: float
    index: float
    neurons: float
    history: float
    received: float
    busy: float
    exchanges: float

    @property
    def memory(self) -> float:
        """Bytes in all, with the program itself."""
        return BASE + self.tables + self.index + self.neurons + self.history

    def seconds(self, latency: float = 2e-5, bandwidth: float = 1e10) -> float:
        """Return the time for a second of biological time, with a network of so many seconds and bytes per second."""
        return self.busy + self.exchanges * latency + self.received / bandwidth


def estimate(
    neurons: float,
    indegree: float,
    ranks: int,
    *,
    rate: float = 5.0,
    dt: float = 1e-4,
    min_delay: float = 1.5e-3,
    max_delay: float = 1.5e-3,
    own_weights: bool = False,
    states: int = 3,
) -> Estimate:
    """Estimate what one rank needs for a random network without order in space.

    Parameters
    ----------
    neurons, indegree, ranks
        Neurons of the network, synapses onto each, and ranks with one thread each.
    rate
        Mean rate in hertz.
    dt, min_delay, max_delay
        Seconds.
    own_weights
        Whether each synapse has its own weight and delay, or all have one.
    states
        Numbers that a neuron keeps.

    Returns
    -------
    Estimate

    Examples
    --------
    >>> one, four = (estimate(25_000, 2500, ranks) for ranks in (1, 4))
    >>> round(one.tables / 1e6), round(four.tables / 1e6)
    (78, 20)
    """
    own, steps = neurons / ranks, 1.0 / dt
    tiles = max(1.0, -(-own // TILE))
    delays = round((max_delay - min_delay) / dt) + 1 if own_weights else 1
    slots = (max_delay + 2 * min_delay) / dt
    spikes = neurons * rate
    bits = not own_weights and indegree / neurons >= DENSE
    if bits:
        tables, index, event = neurons * own / 8, 0.0, NS_BIT * own
    else:
        tables, index = own * indegree * (6 if own_weights else 2), 4 * neurons * delays * tiles
        event = indegree / ranks * (NS_SEGMENT_EVENT if own_weights else NS_EVENT)
    row = NS_ROW if bits or 4 * neurons * delays < CACHE else NS_FAR_ROW
    return Estimate(
        tables=tables,
        index=index,
        neurons=8 * own * states + NETWORK * neurons,
        history=4 * slots * (own + spikes * dt),
        received=4 * spikes * (1 - 1 / ranks),
        busy=1e-9 * (own * steps * NS_NEURON + spikes * (tiles * (row + (delays - 1) * NS_ROW) + event)),
        exchanges=1 / min_delay,
    )
