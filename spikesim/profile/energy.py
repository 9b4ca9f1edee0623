"""Price the counts of a run on a device: a pure function, the same whichever backend ran."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.counts import Counts
from spikesim.errors import InvalidValueError
from spikesim.profile.bill import Bill, Comparison, Group, Missing, Term, line
from spikesim.profile.device import Device
from spikesim.profile.layers import Emitted
from spikesim.profile.logic import price_logic
from spikesim.profile.mapping import Mapping
from spikesim.profile.quantity import Energy, PowerPrice, Quantity
from spikesim.profile.schema import EVENT_TERMS
from spikesim.profile.tally import Tally, tally
from spikesim.profile.timing import Rasters, SampleTime, sample_time

GROUPS: dict[str, Group] = {
    "synaptic_event": "compute",
    "graded_event": "compute",
    "weight_fetch": "weight memory",
    "neuron_active": "neurons",
    "neuron_idle": "neurons",
    "spike_out": "communication",
    "packet": "communication",
    "hop_x": "communication",
    "hop_y": "communication",
}
NO_MAPPING = "needs a mapping of the network on the device's cores"


def price(
    counts: Counts,
    mapping: Mapping | None,
    device: Device,
    *,
    emitted: Emitted | None = None,
    rasters: Rasters | None = None,
    graded_as_events: bool = False,
    precision: str = "fp32",
) -> Bill:
    """Price one sample (the mean over the samples) on a device.

    Parameters
    ----------
    counts
        Integer counts of a run.
    mapping
        The network on the device's cores; without it packets and hops cannot be priced.
    device
        The device.
    emitted
        Spikes of every element, ``[samples, n]`` by population or source: makes packets exact.
    rasters
        ``(sample, step, element)`` of all that each population and source emitted: makes the busiest core that of each
        step, on devices that state times.
    graded_as_events
        Price a graded value as if it were one spike, on devices that have no price for it. A lower bound.
    precision
        Of the arithmetic, on devices of kind ``logic``.

    Returns
    -------
    Bill
        Its total is absent if a charged term has no price, if the device publishes none, or if the network does not
        fit. An active neuron update is charged the active price, an idle one the idle price, none both.

    Raises
    ------
    InvalidValueError
        The mapping belongs to another device.
    """
    if mapping is not None and mapping.device != device.name:
        raise InvalidValueError(f"the mapping is for {mapping.device!r}, the prices are of {device.name!r}; map again")
    if device.kind == "logic":
        return price_logic(counts, device, precision)
    as_events = graded_as_events and device.price("graded_event") is None
    events = tally(counts, mapping, device, emitted, as_events)
    time = sample_time(counts, mapping, device, emitted, rasters)
    terms, missing = _static_terms(device, time), _unpriced(device, events)
    per_sample: NDArray[np.float64] = np.full(counts.samples, sum(t.energy.nominal_j for t in terms))
    if device.pricing in ("per_term", "affine"):
        for name in EVENT_TERMS:
            priced = _event_term(device, name, events[name], missing)
            if priced is not None:
                terms.append(priced[0])
                per_sample = per_sample + priced[1]
    clock, cycles = _clock_term(device, events["synaptic_event"])
    if clock is not None:
        terms.append(clock)
        per_sample = per_sample + cycles
    reason = _why_no_total(device, mapping, missing, terms)
    bill = Bill(
        device=device.name,
        title=device.title,
        pricing=device.pricing,
        terms=tuple(terms),
        unpriced=tuple(missing),
        why_no_total=reason,
        time_s=None if device.pricing == "none" else time.seconds,
        time_basis=time.basis,
        assumptions=tuple(_assumptions(device, mapping, emitted, as_events, counts)),
        comparisons=tuple(_comparisons(device, events["synaptic_event"])),
    )
    if reason:
        return bill
    return bill.model_copy(update={"total": bill.priced, "total_sd_j": _sd(per_sample)})


def _sd(values: NDArray[np.float64]) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


# ------------------------------------------------------------------------------------------------------------- terms
def _event_term(
    device: Device, name: str, count: Tally | None, missing: list[Missing]
) -> tuple[Term, NDArray[np.float64]] | None:
    unit_price = device.price(name)
    if unit_price is None:
        return None
    if count is None:
        missing.append(Missing(name=name, count=None, reason=NO_MAPPING, charged=True))
        return None
    low, nominal, high = count.mean
    energy = unit_price.si.times(low, nominal, high)
    note = "" if low == high else f"between {low:g} and {high:g} events: which elements fired was not given"
    term = line(name, GROUPS[name], nominal, energy, unit_price, unit_price.scope, note)
    return term, count.nominal * unit_price.si.nominal


def _static_terms(device: Device, time: SampleTime) -> list[Term]:
    power = device.power.active if device.pricing == "time_based" else device.power.static
    if power is None:
        return []
    name = "power x time" if device.pricing == "time_based" else "static"
    return [line(name, "static", time.seconds, _over_time(power, time), power, power.scope, f"over {time.basis}")]


def _over_time(power: PowerPrice, time: SampleTime) -> Energy:
    return power.si.times(time.seconds, time.seconds, time.seconds)


def _clock_term(device: Device, events: Tally | None) -> tuple[Term | None, NDArray[np.float64]]:
    clock = device.power.clock
    if clock is None or events is None:
        return None, np.zeros(0)
    per_event = clock.cycles_per_event.value
    low, nominal, high = (x * per_event for x in events.mean)
    energy = clock.energy.si.times(low, nominal, high)
    note = f"{per_event:g} cycles per event: the clock runs no faster than it must"
    term = line("clock", "compute", nominal, energy, clock.energy, clock.energy.scope, note)
    return term, events.nominal * per_event * clock.energy.si.nominal


def _unpriced(device: Device, events: dict[str, Tally | None]) -> list[Missing]:
    missing = []
    for name, entry in device.unpriced.items():
        count = events.get(name)
        mean = count.mean[1] if count is not None else None
        if name in events and mean == 0:
            continue  # nothing of the kind happened
        missing.append(Missing(name=name, count=mean, reason=entry.reason, charged=entry.charged))
    return missing


def _why_no_total(device: Device, mapping: Mapping | None, missing: list[Missing], terms: list[Term]) -> str:
    if device.pricing == "none":
        return next((m.reason for m in missing), "no price is published")
    if mapping is not None and mapping.fit.binding:
        return f"the network does not fit: {mapping.fit.binding[0].sentence}"
    lacking = [m for m in missing if m.charged]
    if lacking:
        return f"no price for {', '.join(m.name for m in lacking)}: {lacking[0].reason}"
    return "" if terms else "nothing to price"


# -------------------------------------------------------------------------------------------------------- statements
def _assumptions(
    device: Device, mapping: Mapping | None, emitted: Emitted | None, graded_as_events: bool, counts: Counts
) -> list[str]:
    found: list[str] = []
    if graded_as_events and any(p.graded for p in counts.projections.values()):
        found.append("a graded value is priced like one spike: a lower bound")
    if device.pricing == "time_based":
        found.append("the power is that of the source's own application; it is not scaled to this network")
    if device.price("packet") is not None and mapping is not None:
        found.append("input spikes enter at the first router; bringing them onto the chip is not priced")
        if not emitted:
            found.append("which elements fired was not given: the range covers the least and the most connected ones")
    if device.price("neuron_active") is not None:
        found.append("a neuron update is active if it received input or fired")
    return found


def _comparisons(device: Device, events: Tally | None) -> list[Comparison]:
    found = []
    for name, figure in device.references.items():
        if figure.per not in ("synaptic_event", "inference"):
            continue
        count = 1.0 if figure.per == "inference" else (events.mean[1] if events is not None else 0.0)
        found.append(_comparison(name, figure.si.times(count, count, count), figure, figure.per, figure.scope))
    return found


def _comparison(name: str, energy: Energy, figure: Quantity, per: str, scope: str) -> Comparison:
    return Comparison.model_validate(
        {
            "name": name,
            "energy": energy,
            "per": per,
            "scope": scope,
            "nature": figure.nature,
            "evidence": figure.evidence,
            "source": figure.source,
            "note": figure.note,
        }
    )
