"""What the same network would cost as an ordinary one, at the same precision, on the same logic.

A network that answers in T steps can tell at most T + 1 levels of activity apart, so its fair rival is an ordinary
network with activations of ``ceil(log2(T + 1))`` bits (Yan, Bai & Wong 2024, arXiv 2409.08290), not one in fp32.
"""

from __future__ import annotations

import math

from spikesim.connect import Chain, Connection, Conv2d, Pool2d
from spikesim.counts import Counts
from spikesim.graph import Graph
from spikesim.profile.bill import Bill
from spikesim.profile.device import Device, load_device
from spikesim.profile.logic import Prices, Spiking, price_ann, price_logic
from spikesim.profile.quantity import Record

QUANTISED = "int8"


class BreakEven(Record):
    """The activity at which the spiking network costs as much as the ordinary one (nominal prices).

    Parameters
    ----------
    precision
        Of both.
    events_per_synapse
        Spikes per synapse and sample at break-even; None if the neuron updates alone already cost more.
    rate_per_step
        The same per step: the share of source elements that may fire.
    actual_events_per_synapse, actual_rate_per_step
        What the network did.
    """

    precision: str
    events_per_synapse: float | None
    rate_per_step: float | None
    actual_events_per_synapse: float
    actual_rate_per_step: float

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        found = f"this network: {self.actual_rate_per_step:.2%} of the source elements fire in a step"
        if self.rate_per_step is None:
            return f"{self.precision}: never cheaper: the neuron updates alone cost more ({found})"
        if self.rate_per_step >= 1:
            return f"{self.precision}: cheaper even if all elements fired in every step ({found})"
        verdict = "below" if self.actual_rate_per_step < self.rate_per_step else "not below"
        return f"{self.precision}: break-even at {self.rate_per_step:.2%}; {found}, {verdict} it"


class Baselines(Record):
    """The network as spiking and as ordinary, in fp32 and quantised, on one digital technology.

    Parameters
    ----------
    device
        Name of the logic.
    steps
        T.
    equivalent_bits
        ``ceil(log2(T + 1))``.
    forward_passes
        Passes of the ordinary network: 1, or T if the network is recurrent.
    spiking_fp32, spiking_quantised, ann_fp32, ann_quantised
        Bills.
    break_even
        For each precision.
    """

    device: str
    steps: int
    equivalent_bits: int
    forward_passes: int
    spiking_fp32: Bill
    spiking_quantised: Bill
    ann_fp32: Bill
    ann_quantised: Bill
    break_even: tuple[BreakEven, ...]

    @property
    def bills(self) -> tuple[Bill, ...]:
        """All four bills."""
        return self.spiking_fp32, self.spiking_quantised, self.ann_fp32, self.ann_quantised


def equivalent_bits(steps: int) -> int:
    """Return the bits of activation that T steps of spikes can carry: ``ceil(log2(T + 1))``.

    >>> equivalent_bits(15), equivalent_bits(16)
    (4, 5)
    """
    return max(1, math.ceil(math.log2(steps + 1)))


def stored_weights(graph: Graph) -> int:
    """Return the weights that a device must store; a convolution shares its kernel."""

    def of(rule: Connection, synapses: int) -> int:
        if isinstance(rule, Chain):
            return sum(of(r, getattr(getattr(r, "weights", None), "size", 1)) for r in rule.rules)
        if isinstance(rule, Conv2d):
            return int(rule.weights.size)
        return 1 if isinstance(rule, Pool2d) else synapses

    return sum(min(of(e.rule, e.synapses), e.synapses) for e in graph.edges)


def baselines(counts: Counts, graph: Graph | None = None, device: Device | None = None) -> Baselines:
    """Price the network as spiking and as ordinary.

    Parameters
    ----------
    counts
        Counts of a run.
    graph
        The network; tells shared weights, without it each synapse is taken to have its own.
    device
        A device of kind ``logic``; 45 nm by default.
    """
    logic = load_device("cmos45") if device is None else device
    bits = equivalent_bits(counts.steps)
    recurrent = any(p.recurrent for p in counts.projections.values())
    passes = counts.steps if recurrent else 1
    synapses = sum(p.synapses for p in counts.projections.values())
    weights = synapses if graph is None else stored_weights(graph)
    values = sum(p.neurons for p in counts.populations.values()) + sum(counts.source_sizes.values())
    notes = _notes(passes)
    ann = {
        precision: price_ann(logic, precision, float(synapses * passes), weights, values * passes, title, said)
        for precision, title, said in (
            ("fp32", f"{logic.title}, fp32 ordinary network", notes),
            (QUANTISED, f"{logic.title}, {bits}-bit ordinary network", [*notes, _bits_note(bits, counts.steps)]),
        )
    }
    return Baselines(
        device=logic.name,
        steps=counts.steps,
        equivalent_bits=bits,
        forward_passes=passes,
        spiking_fp32=price_logic(counts, logic, "fp32", weights=weights),
        spiking_quantised=price_logic(counts, logic, QUANTISED, weights=weights),
        ann_fp32=ann["fp32"],
        ann_quantised=ann[QUANTISED],
        break_even=tuple(break_even(counts, logic, p, ann[p], weights) for p in ("fp32", QUANTISED)),
    )


def break_even(counts: Counts, logic: Device, precision: str, ann: Bill, weights: int) -> BreakEven:
    """Return the activity at which the spiking network costs as much as the ordinary one."""
    work = Spiking.of(counts, weights)
    prices = Prices.of(logic, precision, work.weights, work.neurons)
    synapses = sum(p.synapses for p in counts.projections.values() if not p.graded)
    per_event = prices.add.nominal + prices.weight().nominal
    spiking = price_logic(counts, logic, precision, weights=weights).priced.nominal_j
    fixed = spiking - work.accumulates * per_event  # neuron updates, and whatever multiplies
    left = ann.priced.nominal_j - fixed
    events = left / (per_event * synapses) if synapses and left > 0 else None
    actual = work.accumulates / synapses if synapses else 0.0
    steps = max(counts.steps, 1)
    return BreakEven(
        precision=precision,
        events_per_synapse=events,
        rate_per_step=None if events is None else events / steps,
        actual_events_per_synapse=actual,
        actual_rate_per_step=actual / steps,
    )


def _notes(passes: int) -> list[str]:
    if passes == 1:
        return ["one forward pass per sample"]
    return [f"the network is recurrent: one forward pass for each of the {passes} steps"]


def _bits_note(bits: int, steps: int) -> str:
    if bits <= 8:
        return f"{steps} steps carry {bits} bits; priced as int8, the nearest precision with a price"
    return f"{steps} steps carry {bits} bits; priced as int8, the nearest precision with a price: too low"
