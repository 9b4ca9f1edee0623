"""How often each element of a network fires: what traffic and deadlines depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.counts import Counts
from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.profile.partition import elements
from spikesim.recording import Recording

Reals = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Activity:
    """Mean spikes per step of every element.

    Parameters
    ----------
    rates
        Population or source to float64 ``[n]``.
    """

    rates: Mapping[str, Reals]

    @classmethod
    def of(cls, run: Recording | Counts) -> Activity:
        """Take the means of a run over samples and steps.

        Where only the sum over a population is known (a source, or a population that was not recorded), it is spread
        evenly over its elements.
        """
        counts = run if isinstance(run, Counts) else run.counts
        recorded = {} if isinstance(run, Counts) else run.spikes
        steps = max(counts.steps * counts.samples, 1)
        sums = {name: (p.spikes.sum(), p.neurons) for name, p in counts.populations.items()}
        sums |= {name: (spikes.sum(), counts.source_sizes[name]) for name, spikes in counts.sources.items()}
        rates = {}
        for name, (total, n) in sums.items():
            each = recorded[name].counts().sum(axis=0) if name in recorded else None
            known = each is not None and each.sum() == total
            rates[name] = np.asarray(each if known else np.full(n, total / n), np.float64) / steps
        return cls(rates)

    def over(self, graph: Graph) -> Reals:
        """Return the rates of all elements of a network, one after the other."""
        missing = [name for name, n in elements(graph) if len(self.rates.get(name, ())) != n]
        if missing:
            raise InvalidValueError(
                f"the run is not one of network {graph.name!r}: it has no {', '.join(map(repr, missing))} of the "
                "same size; give a recording of the network that is placed"
            )
        return np.concatenate([np.zeros(0), *(self.rates[name] for name, _ in elements(graph))])
