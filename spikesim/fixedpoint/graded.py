"""Graded spikes: inputs whose spikes carry a whole number, and the currents that they become.

A graded spike of payload ``m`` over a synapse of weight ``w`` arrives as ``w m`` (Lava: ``num_message_bits > 0``). Sums
are taken as Lava takes them: ``Dense`` and ``Sparse`` in 32 bit that wrap around, ``DelayDense`` in 64 bit up to the
shift by the weight exponent.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikesim.fixedpoint.network import IntNetwork, IntProjection
from spikesim.fixedpoint.run import IntSample

Currents = dict[str, NDArray[np.int32]]


class Graded:
    """The projections of a network that graded spikes travel over; holds no state.

    Parameters
    ----------
    network
        The network.
    """

    def __init__(self, network: IntNetwork) -> None:
        self.network = network
        self.projections = [p for p in network.projections if network.graded(p.pre)]
        self.targets = list(dict.fromkeys(p.post for p in self.projections))
        self.tail = 1 + max((p.max_delay for p in self.projections), default=0)
        self.matrices = {p.name: self._by_delay(p) for p in self.projections}

    def _by_delay(self, p: IntProjection) -> list[tuple[int, csr_array]]:
        shape = (self.network.size(p.pre), self.network.size(p.post))
        delays = np.broadcast_to(p.delay, p.n_synapses)
        weights, sources = p.effective_weights.astype(np.int64), p.sources
        found = []
        for delay in np.unique(delays):
            mine = delays == delay
            found.append((int(delay), csr_array((weights[mine], (sources[mine], p.indices[mine])), shape=shape)))
        return found

    def currents(
        self, sample: IntSample, first: int, steps: int, waiting: Mapping[str, NDArray[np.int32]]
    ) -> tuple[Currents, Currents]:
        """Return what the graded spikes of a sample bring.

        Parameters
        ----------
        sample
            With rows (column, source, payload) for graded inputs.
        first, steps
            The columns of the run.
        waiting
            What an earlier run left, as returned by it; nothing at the beginning.

        Returns
        -------
        drive
            For each population that graded spikes reach: int32, shape (steps, n).
        waiting
            What arrives in the columns after the run: int32, shape (longest delay + 1, n).
        """
        sums = {name: np.zeros((steps + self.tail, self.network.size(name)), np.int64) for name in self.targets}
        for name, left in waiting.items():
            sums[name][: self.tail] += left
        for p in self.projections:
            events = np.asarray(sample.spikes.get(p.pre, np.zeros((0, 3), int)), np.int64).reshape(-1, 3)
            shape = (steps, self.network.size(p.pre))
            payloads = csr_array((events[:, 2], (events[:, 0] - first, events[:, 1])), shape=shape)
            for delay, weights in self.matrices[p.name]:
                arriving = _shifted(np.asarray((payloads @ weights).todense()), p)
                sums[p.post][1 + delay : 1 + delay + steps] += arriving
        wrapped = {name: total.astype(np.int32) for name, total in sums.items()}
        return (
            {name: total[:steps] for name, total in wrapped.items()},
            {name: total[steps:].copy() for name, total in wrapped.items()},
        )


def _shifted(total: NDArray[np.int64], p: IntProjection) -> NDArray[np.int64]:
    if p.max_delay == 0:
        total = total.astype(np.int32).astype(np.int64)
    return total << p.weight_exp if p.weight_exp > 0 else total >> -p.weight_exp
