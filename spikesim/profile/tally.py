"""Events that a device charges for, per sample, from the counts of a run and its mapping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.counts import Counts
from spikesim.errors import InvalidValueError
from spikesim.profile.device import Device
from spikesim.profile.layers import Emitted
from spikesim.profile.mapping import Mapping, Routes
from spikesim.profile.partition import Ints


@dataclass(frozen=True, eq=False)
class Tally:
    """Number of events per sample; ``low`` and ``high`` differ where only a range is known.

    Parameters
    ----------
    low, nominal, high
        float64 ``[samples]``.
    """

    low: NDArray[np.float64]
    nominal: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def exactly(cls, events: ArrayLike, samples: int) -> Tally:
        """Make a tally without a range."""
        values = np.broadcast_to(np.asarray(events, np.float64), (samples,))
        return cls(values, values, values)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.low + other.low, self.nominal + other.nominal, self.high + other.high)

    @property
    def mean(self) -> tuple[float, float, float]:
        """Low, nominal and high, averaged over the samples."""
        if not len(self.nominal):
            return 0.0, 0.0, 0.0
        return float(self.low.mean()), float(self.nominal.mean()), float(self.high.mean())


def tally(
    counts: Counts,
    mapping: Mapping | None,
    device: Device,
    emitted: Emitted | None = None,
    graded_as_events: bool = False,
) -> dict[str, Tally | None]:
    """Return the number of each kind of event, None where it cannot be known without a mapping.

    Parameters
    ----------
    counts, mapping, device
        As for :func:`spikesim.profile.energy.price`.
    emitted
        Spikes of every element. Packets are then exact; without it they lie between those of the least and of the
        most connected element of each population.
    graded_as_events
        Count a non-zero graded value as if it were a spike.
    """
    samples = counts.samples
    by_kind = {False: Tally.exactly(0, samples), True: Tally.exactly(0, samples)}
    for projection in counts.projections.values():
        by_kind[projection.graded] += Tally.exactly(projection.events, samples)
    populations = counts.populations.values()
    plain, graded = by_kind[False], by_kind[True]
    if device.events_per_spike is not None:
        plain = _crossbar(counts, device.events_per_spike.value)
    if graded_as_events:
        plain, graded = plain + graded, Tally.exactly(0, samples)
    return {
        "synaptic_event": plain,
        "graded_event": graded,
        "weight_fetch": by_kind[False] + by_kind[True],
        "neuron_active": Tally.exactly(sum((p.active for p in populations), np.zeros(samples)), samples),
        "neuron_idle": Tally.exactly(sum((p.idle for p in populations), np.zeros(samples)), samples),
        "spike_out": Tally.exactly(sum((p.spikes for p in populations), np.zeros(samples)), samples),
        **_transport(counts, mapping, emitted or {}),
    }


def spikes_of(counts: Counts, name: str) -> Ints:
    """Return the spikes of a population or source, per sample."""
    return counts.populations[name].spikes if name in counts.populations else counts.sources[name]


def _crossbar(counts: Counts, events_per_spike: float) -> Tally:
    """Every spike drives a whole row, whatever is connected."""
    graded = {p.pre for p in counts.projections.values() if p.graded}
    names = [n for n in (*counts.populations, *counts.sources) if n not in graded]
    total = sum((spikes_of(counts, n) for n in names), np.zeros(counts.samples))
    return Tally.exactly(total * events_per_spike, counts.samples)


def _transport(counts: Counts, mapping: Mapping | None, emitted: Emitted) -> dict[str, Tally | None]:
    if mapping is None or mapping.fit.cores is None:
        return dict.fromkeys(("packet", "hop_x", "hop_y"))
    total = {what: Tally.exactly(0, counts.samples) for what in ("packets", "hops_x", "hops_y")}
    for route in mapping.routes.values():
        for what in total:
            total[what] += sent(route, what, counts, emitted)
    hops = mapping.has_mesh
    return {
        "packet": total["packets"],
        "hop_x": total["hops_x"] if hops else None,
        "hop_y": total["hops_y"] if hops else None,
    }


def sent(route: Routes, what: str, counts: Counts, emitted: Emitted) -> Tally:
    """Return packets, ``hops_x`` or ``hops_y`` of a layer; a range where it is not known which elements fired."""
    if route.name not in counts.populations and route.name not in counts.sources:
        raise InvalidValueError(f"the counts know no population or source {route.name!r}; map the network that ran")
    each = route.per_element(what)
    if route.name in emitted:
        array = np.asarray(emitted[route.name])
        if array.shape != (counts.samples, route.n):
            raise InvalidValueError(
                f"emitted[{route.name!r}] must have shape {(counts.samples, route.n)}, found {array.shape}"
            )
        return Tally.exactly(array @ each, counts.samples)
    spikes = spikes_of(counts, route.name).astype(np.float64)
    return Tally(spikes * each.min(), spikes * each.mean(), spikes * each.max())
