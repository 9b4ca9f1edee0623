"""How long a sample takes on a device: the busiest core and the barrier, or network time."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.counts import Counts
from spikesim.profile.device import Device
from spikesim.profile.layers import Emitted
from spikesim.profile.mapping import Mapping, Routes
from spikesim.profile.quantity import Duration
from spikesim.profile.schema import Times
from spikesim.profile.tally import spikes_of, tally

Reals = NDArray[np.float64]
Rasters = MappingType[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]
"""Population or source name to the (sample, step, element) of all that it emitted."""
AT_ONCE = 1 << 24  # entries of the table of samples, steps and cores; a larger run is spread evenly
EVEN = "events spread evenly over the steps, so a lower bound"
EACH = "the busiest core of each step; neuron updates spread evenly, cores that wait for each other left out"


@dataclass(frozen=True)
class SampleTime:
    """Seconds per sample, and what they rest on."""

    seconds: float
    basis: str


def sample_time(
    counts: Counts,
    mapping: Mapping | None,
    device: Device,
    emitted: Emitted | None = None,
    rasters: Rasters | None = None,
) -> SampleTime:
    """Return the time of one sample (mean over the samples).

    Parameters
    ----------
    counts, mapping, device, emitted
        As for :func:`spikesim.profile.energy.price`.
    rasters
        When every element emitted: the busiest core is then that of each step. Without those of all populations and
        sources that project, events are spread evenly over the steps.
    """
    if device.time.complete and mapping is not None and mapping.fit.cores is not None:
        return _busiest_core(counts, mapping, device.time, emitted or {}, rasters or {})
    network = counts.steps * counts.dt
    clock = device.power.clock
    if clock is not None and clock.max_mhz is not None:
        events = tally(counts, mapping, device, emitted)["synaptic_event"]
        needed = (events.mean[1] if events else 0.0) * clock.cycles_per_event.value / (clock.max_mhz.value * 1e6)
        if needed > network:
            return SampleTime(needed, f"clock-bound: {clock.max_mhz} cannot keep pace with network time")
    if device.time.speed_up is not None:
        factor = device.time.speed_up.value
        return SampleTime(network / factor, f"network time / {factor:g} (assumption: the chip keeps its nominal speed)")
    return SampleTime(network, f"network time, {counts.steps} steps of {counts.dt:g} s (assumption: real time)")


def _busiest_core(counts: Counts, mapping: Mapping, times: Times, emitted: Emitted, rasters: Rasters) -> SampleTime:
    """Return the barrier of every step, and what its busiest core does."""
    fitting = [b for b in times.barrier if b.tiles >= mapping.routers]
    barrier = min(fitting, key=lambda b: b.tiles) if fitting else max(times.barrier, key=lambda b: b.tiles)
    updates, routes = _updates(counts, mapping, times), list(mapping.routes.values())
    table = counts.samples * counts.steps * mapping.cores
    known = 0 < table <= AT_ONCE and all(r.name in rasters for r in routes if spikes_of(counts, r.name).any())
    if known:
        working = _each_step(counts, routes, mapping, times, rasters, updates / counts.steps)
    else:
        working = float((updates + _evenly(counts, routes, mapping, times, emitted)).max(initial=0.0))
    seconds = working + counts.steps * _s(barrier)
    said = f"busiest core + barrier of {barrier.value:g} {barrier.unit} a step ({barrier.source}; {barrier.evidence}); "
    return SampleTime(seconds, said + (EACH if known else EVEN))


def _updates(counts: Counts, mapping: Mapping, times: Times) -> Reals:
    """Return the seconds that each core updates neurons, all steps together."""
    busy = np.zeros(mapping.cores)
    for name, home in mapping.core_of.items():
        neurons, population = np.bincount(home, minlength=mapping.cores), counts.populations[name]
        for updates, price in ((population.active, times.neuron_active), (population.idle, times.neuron_idle)):
            busy += _s(price) * _mean(updates) / population.neurons * neurons
    return busy


def _per_spike(route: Routes, mapping: Mapping, times: Times) -> sparse.csr_array:
    """Return the seconds on each core that one spike of each element costs, ``[n, cores]``."""
    element, core = [route.element], [route.core]
    seconds = [_s(times.synaptic_event) * route.synapses + _s(times.message_in)]
    if not route.is_source:
        element.append(np.arange(route.n))
        core.append(mapping.core_of[route.name])
        seconds.append(_s(times.message_out) * route.per_element() + _s(times.spike_out))
    where = np.concatenate(element), np.concatenate(core)
    return sparse.csr_array((np.concatenate(seconds), where), shape=(route.n, mapping.cores))


def _evenly(counts: Counts, routes: Sequence[Routes], mapping: Mapping, times: Times, emitted: Emitted) -> Reals:
    """Return the seconds that each core spends on spikes, all steps together."""
    busy = np.zeros(mapping.cores)
    for route in routes:
        busy += _per_element(counts, emitted, route.name, route.n) @ _per_spike(route, mapping, times)
    return busy


def _each_step(
    counts: Counts, routes: Sequence[Routes], mapping: Mapping, times: Times, rasters: Rasters, updates: Reals
) -> float:
    """Return the sum over the steps of what the busiest core does in each, mean over the samples."""
    rows = counts.samples * counts.steps
    busy = np.broadcast_to(updates, (rows, mapping.cores)).copy()
    for route in routes:
        sample, step, element = rasters.get(route.name, (np.zeros(0, int),) * 3)
        row = np.asarray(sample, np.int64) * counts.steps + step
        fired = sparse.csr_array((np.ones(len(row)), (row, element)), shape=(rows, route.n))
        busy += (fired @ _per_spike(route, mapping, times)).toarray()
    return float(busy.max(axis=1, initial=0.0).sum() / counts.samples)


def _per_element(counts: Counts, emitted: Emitted, name: str, n: int) -> Reals:
    """Return the mean spikes of every element per sample; spread evenly where only their sum is known."""
    if name in emitted and counts.samples:
        return np.asarray(np.mean(emitted[name], axis=0), np.float64)
    return np.full(n, _mean(spikes_of(counts, name)) / n)


def _mean(values: NDArray[np.int64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _s(duration: Duration | None) -> float:
    return 0.0 if duration is None else duration.si.nominal
