"""How long a sample takes on a device: the busiest core and the barrier, or network time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.counts import Counts
from spikesim.profile.device import Device
from spikesim.profile.layers import Emitted
from spikesim.profile.mapping import Mapping
from spikesim.profile.quantity import Duration
from spikesim.profile.schema import Times
from spikesim.profile.tally import spikes_of, tally

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class SampleTime:
    """Seconds per sample, and what they rest on."""

    seconds: float
    basis: str


def sample_time(counts: Counts, mapping: Mapping | None, device: Device, emitted: Emitted | None = None) -> SampleTime:
    """Return the time of one sample (mean over the samples)."""
    if device.time.complete and mapping is not None and mapping.fit.cores is not None:
        return _busiest_core(counts, mapping, device.time, emitted or {})
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


def _busiest_core(counts: Counts, mapping: Mapping, times: Times, emitted: Emitted) -> SampleTime:
    """Spread events evenly over the steps: a lower bound, as cores that take turns wait for each other."""
    busy = np.zeros(mapping.cores)
    for name, route in mapping.routes.items():
        sent = _per_element(counts, emitted, name, route.n)
        busy += _s(times.synaptic_event) * _on(route.core, route.synapses * sent[route.element], mapping.cores)
        busy += _s(times.message_in) * _on(route.core, sent[route.element], mapping.cores)
        if not route.is_source:
            home = mapping.core_of[name]
            busy += _s(times.message_out) * _on(home, sent * route.per_element(), mapping.cores)
            busy += _s(times.spike_out) * _on(home, sent, mapping.cores)
    for name, home in mapping.core_of.items():
        neurons, population = np.bincount(home, minlength=mapping.cores), counts.populations[name]
        for updates, price in ((population.active, times.neuron_active), (population.idle, times.neuron_idle)):
            busy += _s(price) * _mean(updates) / population.neurons * neurons
    fitting = [b for b in times.barrier if b.tiles >= mapping.routers]
    barrier = min(fitting, key=lambda b: b.tiles) if fitting else max(times.barrier, key=lambda b: b.tiles)
    seconds = float(busy.max(initial=0.0)) + counts.steps * _s(barrier)
    return SampleTime(
        seconds,
        f"busiest core + barrier of {barrier.value:g} {barrier.unit} a step ({barrier.source}; {barrier.evidence}); "
        "events spread evenly over the steps, so a lower bound",
    )


def _per_element(counts: Counts, emitted: Emitted, name: str, n: int) -> Reals:
    """Return the mean spikes of every element per sample; spread evenly where only their sum is known."""
    if name in emitted and counts.samples:
        return np.asarray(np.mean(emitted[name], axis=0), np.float64)
    return np.full(n, _mean(spikes_of(counts, name)) / n)


def _mean(values: NDArray[np.int64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _on(core: NDArray[np.int64], values: Reals, cores: int) -> Reals:
    return np.bincount(core, values, minlength=cores).astype(np.float64)


def _s(duration: Duration | None) -> float:
    return 0.0 if duration is None else duration.si.nominal
