"""Price operations and memory accesses on ordinary digital logic: spiking, event-driven, or as an ordinary network.

Both are priced with the same rules, so that they can be compared: every operation fetches its weight from the smallest
memory that holds all weights, and every state or activation is read and written in the smallest memory that holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.counts import Counts
from spikesim.errors import UnknownNameError
from spikesim.profile.bill import Bill, Group, Missing, Term
from spikesim.profile.device import Device
from spikesim.profile.quantity import Band, Energy, EnergyPrice, Evidence, weakest
from spikesim.profile.schema import Arithmetic, MemoryLevel

MAC = "one multiplication and one addition"
UPDATE = f"a neuron update is {MAC}, and one read and one write of a state, whatever the model"
STATE_BITS = 16  # the least width of a membrane potential or an accumulator; 8 bits do not hold a sum of 8-bit weights


@dataclass(frozen=True)
class Range:
    """A number of events: least, expected, most."""

    low: float
    nominal: float
    high: float

    @classmethod
    def exactly(cls, count: float) -> Range:
        """Make a range of one number."""
        return cls(count, count, count)


@dataclass(frozen=True)
class Spiking:
    """Mean counts per sample of a spiking network.

    Parameters
    ----------
    accumulates, multiply_accumulates
        Synaptic events of spikes and of graded values.
    active, idle
        Neuron updates.
    neurons, weights
        Sizes; ``weights`` is what has to be stored (a convolution shares its weights).
    """

    accumulates: float
    multiply_accumulates: float
    active: float
    idle: float
    neurons: int
    weights: int

    @classmethod
    def of(cls, counts: Counts, weights: int | None = None) -> Spiking:
        """Take the means over the samples."""
        projections, populations = counts.projections.values(), counts.populations.values()

        def mean(arrays: Sequence[NDArray[np.int64]]) -> float:
            return float(sum(a.mean() for a in arrays if len(a)))

        return cls(
            mean([p.events for p in projections if not p.graded]),
            mean([p.events for p in projections if p.graded]),
            mean([p.active for p in populations]),
            mean([p.idle for p in populations]),
            sum(p.neurons for p in populations),
            sum(p.synapses for p in projections) if weights is None else weights,
        )


@dataclass(frozen=True)
class Prices:
    """What operations and accesses cost at one precision for a network of a given size."""

    device: Device
    precision: str
    arithmetic: Arithmetic
    weight_level: MemoryLevel
    state_level: MemoryLevel

    @classmethod
    def of(cls, device: Device, precision: str, weights: int, values: int) -> Prices:
        """Choose the memories by the bytes to be held."""
        if precision not in device.arithmetic:
            raise UnknownNameError(f"precision of {device.name}", precision, list(device.arithmetic))
        arithmetic = device.arithmetic[precision]
        state_bits = max(arithmetic.bits, STATE_BITS)
        weight_level = level(device, weights * arithmetic.bits / 8)
        return cls(device, precision, arithmetic, weight_level, level(device, values * state_bits / 8))

    @property
    def add(self) -> Band:
        """Addition; sums of narrow integers are kept wide, which is the upper end."""
        own = self.arithmetic.add.si
        wide = self.device.arithmetic.get("int32") if self.precision == "int8" else None
        high = max(own.high, wide.add.si.high) if wide else own.high
        return Band(low=own.low, nominal=own.nominal, high=high)

    @property
    def multiply_add(self) -> Band:
        """Multiplication and addition."""
        m, a = self.arithmetic.multiply.si, self.add
        return Band(low=m.low + a.low, nominal=m.nominal + a.nominal, high=m.high + a.high)

    def weight(self) -> Band:
        """One weight: its share of a full word, at worst an access of its own."""
        return _share(self.weight_level, self.arithmetic.bits)

    def state(self) -> Band:
        """One read or write of a state or activation, likewise."""
        return _share(self.state_level, max(self.arithmetic.bits, STATE_BITS))


def level(device: Device, needed_bytes: float) -> MemoryLevel:
    """Return the smallest memory that holds so many bytes; off chip if none does."""
    inside = [m for m in device.memory if m.capacity_bytes is not None and m.capacity_bytes >= needed_bytes]
    outside = [m for m in device.memory if m.capacity_bytes is None]
    return min(inside, key=lambda m: m.capacity_bytes or 0) if inside else (outside or list(device.memory))[-1]


def _share(memory: MemoryLevel, bits: int) -> Band:
    access, part = memory.energy.si, min(1.0, bits / memory.access_bits)
    return Band(low=access.low * part, nominal=access.nominal * part, high=access.high)


def price_logic(counts: Counts, device: Device, precision: str = "fp32", *, weights: int | None = None) -> Bill:
    """Price an event-driven run on digital logic.

    Parameters
    ----------
    counts
        Counts of a run.
    device
        A device of kind ``logic``.
    precision
        One of its precisions.
    weights
        Weights to be stored; as many as synapses by default.

    Notes
    -----
    An event fetches one weight and adds it (a graded one multiplies first). A neuron update is one multiplication and
    one addition, and one read and one write of a state; the lower end updates active neurons only (the leak of the idle
    ones is caught up later), the upper end also reads and writes the state at every event.
    """
    work = Spiking.of(counts, weights)
    prices = Prices.of(device, precision, work.weights, work.neurons)
    events = Range.exactly(work.accumulates + work.multiply_accumulates)
    updates = Range(work.active, work.active + work.idle, work.active + work.idle)
    accesses = Range(2 * updates.low, 2 * updates.nominal, 2 * updates.high + 2 * events.high)
    a, w, s = prices.arithmetic, prices.weight_level, prices.state_level
    terms = [
        _term("accumulate", "compute", Range.exactly(work.accumulates), prices.add, [a.add], f"{precision} addition"),
        _term(
            "multiply-accumulate",
            "compute",
            Range.exactly(work.multiply_accumulates),
            prices.multiply_add,
            [a.multiply, a.add],
            MAC,
        ),
        _term("weight fetch", "weight memory", events, prices.weight(), [w.energy], _access(w, a.bits)),
        _term("neuron update", "neurons", updates, prices.multiply_add, [a.multiply, a.add], MAC),
        _term("state access", "neurons", accesses, prices.state(), [s.energy], _access(s, max(a.bits, STATE_BITS))),
    ]
    return _bill(device, f"{device.title}, {precision} spiking", terms, [f"{precision} arithmetic", UPDATE])


def price_ann(
    device: Device, precision: str, macs: float, weights: int, values: int, title: str, notes: list[str]
) -> Bill:
    """Price one forward pass of an ordinary network on digital logic.

    Parameters
    ----------
    device, precision
        As for :func:`price_logic`.
    macs
        Multiply-accumulates.
    weights, values
        Weights and activations to be held.
    title, notes
        For the bill.

    Notes
    -----
    Each operation fetches its weight (the lower end: each stored weight is fetched once); each activation is written
    and read once (the upper end: read again by each operation).
    """
    prices = Prices.of(device, precision, weights, values)
    a, w, s = prices.arithmetic, prices.weight_level, prices.state_level
    width = max(a.bits, STATE_BITS)
    fetches = Range(min(weights, macs), macs, macs)
    accesses = Range(2.0 * values, 2.0 * values, values + macs)
    terms = [
        _term("multiply-accumulate", "compute", Range.exactly(macs), prices.multiply_add, [a.multiply, a.add], MAC),
        _term("weight fetch", "weight memory", fetches, prices.weight(), [w.energy], _access(w, a.bits)),
        _term("activation access", "neurons", accesses, prices.state(), [s.energy], _access(s, width)),
    ]
    return _bill(device, title, terms, notes)


def _access(memory: MemoryLevel, bits: int) -> str:
    return f"{memory.name}, {bits} of {memory.access_bits} bits of an access; upper end: an access each"


def _term(name: str, group: Group, count: Range, unit: Band, parts: Sequence[EnergyPrice], note: str) -> Term:
    energy = Energy(low_j=unit.low * count.low, nominal_j=unit.nominal * count.nominal, high_j=unit.high * count.high)
    evidence: Evidence = weakest([p.evidence for p in parts]) or "unverified"
    return Term(
        name=name,
        group=group,
        count=count.nominal,
        energy=energy,
        price=" + ".join(str(p) for p in parts),
        nature=parts[0].nature,
        evidence=evidence,
        scope="per_term",
        source=parts[0].source,
        note=note,
    )


def _bill(device: Device, title: str, terms: list[Term], assumptions: list[str]) -> Bill:
    bill = Bill(
        device=device.name,
        title=title,
        pricing=device.pricing,
        terms=tuple(t for t in terms if t.energy.high_j > 0),
        unpriced=tuple(Missing(name=n, count=None, reason=u.reason, charged=False) for n, u in device.unpriced.items()),
        assumptions=tuple(assumptions),
        time_basis="not known: a price list has no clock",
    )
    return bill.model_copy(update={"total": bill.priced})
