"""Prices: published silicon, bills worked out by hand, and what may never happen."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikesim import Input, Network, Population, Projection, ms
from spikesim.counts import Counts, PopulationCounts, ProjectionCounts, count
from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.models.neurons import lif
from spikesim.profile import Bill, list_devices, load_device, place, price
from spikesim.profile.device import parse_device


def totals(
    neurons: int, synapses: int, spikes: int, events: int, *, steps: int = 1000, dt: float = 1e-3, active: int = 0
) -> Counts:
    """Counts of one population that is connected to itself, one sample."""

    def one(x: int) -> np.ndarray:
        return np.array([x], np.int64)

    population = PopulationCounts(neurons, one(spikes), one(active), one(neurons * steps - active))
    projection = ProjectionCounts("p", "p", synapses, one(events), False, True)
    return Counts(steps, 1, dt, {"p": population}, {"p->p": projection}, {}, {})


def terms(bill: Bill) -> dict[str, Any]:
    return {t.name: t for t in bill.terms}


def missing(bill: Bill) -> dict[str, Any]:
    return {m.name: m for m in bill.unpriced}


# -------------------------------------------------------------------------------------------------- published silicon
@pytest.mark.parametrize(("rate", "watts"), [(11.58, 68e-3), (20.07, 71e-3), (95.93, 94e-3)])
def test_truenorth_power(rate: float, watts: float) -> None:
    """2^20 neurons x 128 synapses (Akopyan 2015, Fig. 17); 20.07 Hz is not part of the fit, the others are."""
    spikes = round(2**20 * rate)
    bill = price(totals(2**20, 2**27, spikes, 128 * spikes), None, load_device("truenorth"))
    assert bill.mean_power_w == pytest.approx(watts, rel=0.25)
    assert bill.mean_power_w == pytest.approx(watts, rel=0.01)


def test_truenorth_all_in_figure_stands_beside_and_shows_its_error() -> None:
    spikes = round(2**20 * 95.93)
    bill = price(totals(2**20, 2**27, spikes, 128 * spikes), None, load_device("truenorth"))
    (beside,) = bill.comparisons
    assert beside.scope == "all_in"
    assert beside.energy.nominal_j == pytest.approx(334.8e-3, rel=0.01)  # +256 % at this rate
    assert bill.total is not None
    assert bill.total.nominal_j == pytest.approx(94e-3, rel=0.01)


@pytest.mark.parametrize(("operations", "watts"), [(0.65e6, 35e-6), (37.5e6, 477e-6)])
def test_odin_power(operations: float, watts: float) -> None:
    """Biological rate and maximum rate (Frenkel 2019, Fig. 8b); every spike costs 256 operations.

    The clock of 75 MHz was chosen to reproduce the paper: this checks the arithmetic, not the model.
    """
    spikes = round(operations / 256)
    bill = price(totals(256, 100, spikes, 3 * spikes), None, load_device("odin"))
    assert bill.mean_power_w == pytest.approx(watts, rel=0.25)
    assert bill.mean_power_w == pytest.approx(watts, rel=0.01)
    assert terms(bill)["synaptic_event"].count == 256 * spikes


def test_odin_is_bound_by_its_clock() -> None:
    bill = price(totals(256, 100, 10**6, 0), None, load_device("odin"))
    assert bill.time_s == pytest.approx(256e6 * 2 / 75e6)
    assert bill.time_basis.startswith("clock-bound")


# ------------------------------------------------------------------------------------------------------ worked by hand
@pytest.fixture(name="tiny")
def _tiny() -> tuple[Graph, Counts, dict[str, np.ndarray]]:
    """Three inputs to all of two neurons, those to one; two samples of four steps."""
    graph = lower(
        Network(
            populations=[Population("a", 2, lif(tau_m=10 * ms)), Population("b", 1, lif(tau_m=10 * ms))],
            stimuli=[Input("in", 3)],
            projections=[Projection("in", "a", weight=0.5), Projection("a", "b", weight=0.5)],
        )
    )
    emitted = {"in": np.array([[1, 2, 0], [4, 0, 1]]), "a": np.array([[1, 1], [2, 0]]), "b": np.array([[1], [1]])}
    counts = count(graph, 4, emitted, {"a": np.array([3, 5]), "b": np.array([2, 2])})
    return graph, counts, emitted


def test_loihi_bill_by_hand(tiny: tuple[Graph, Counts, dict[str, np.ndarray]]) -> None:
    graph, counts, emitted = tiny
    device = load_device("loihi1")
    mapping = place(graph, device, weight_bits=8)
    bill = price(counts, mapping, device, emitted=emitted)
    # sample 0: 3 input spikes x 2 + 2 spikes x 1 = 8 events; sample 1: 5 x 2 + 2 = 12
    assert counts.projections["in->a"].events.tolist() == [6, 10]
    assert counts.projections["a->b"].events.tolist() == [2, 2]
    by_hand = {
        "synaptic_event": 10 * Fraction("23.6"),
        "neuron_active": 6 * 81,  # (3 + 2 + 5 + 2) / 2
        "neuron_idle": 6 * 52,  # 12 updates a sample, 6 of them active
        "packet": 6 * Fraction("1.7"),  # all on core 0: one per input spike and per spike of a; b projects nowhere
        "hop_x": 0,
        "hop_y": 0,
    }
    found = {name: term.energy.nominal_j for name, term in terms(bill).items()}
    assert set(found) == set(by_hand)
    for name, picojoules in by_hand.items():
        assert found[name] == pytest.approx(float(picojoules) * 1e-12, rel=1e-15, abs=0), name
    assert bill.total is not None
    assert bill.total.nominal_j == pytest.approx(float(sum(by_hand.values())) * 1e-12, rel=1e-14)
    assert bill.total.high_j == pytest.approx((float(sum(by_hand.values())) + 10 * (35.5 - 23.6)) * 1e-12, rel=1e-12)
    # the samples differ by 4 events, 2 active instead of idle updates, and 2 packets
    difference = (4 * 23.6 + 2 * (81 - 52) + 2 * 1.7) * 1e-12
    assert bill.total_sd_j == pytest.approx(difference / np.sqrt(2), rel=1e-12)
    assert bill.evidence == "quoted"
    assert not bill.measured
    assert set(missing(bill)) == {"static"}
    assert bill.time_s == pytest.approx(4e-3)
    assert "assumption" in bill.time_basis


def test_fitted_loihi_time_by_hand(tiny: tuple[Graph, Counts, dict[str, np.ndarray]]) -> None:
    graph, counts, emitted = tiny
    device = load_device("loihi1_nahuku")
    bill = price(counts, place(graph, device, weight_bits=8), device, emitted=emitted)
    core = 10 * 3.8 + 6 * 9.7 + 6 * 6.0  # events, active, idle updates
    core += 6 * 16 + 2 * 5.1 + 3 * 30  # messages in (4 inputs + 2 of a), out (a), spikes of a and b
    assert bill.time_s == pytest.approx((core + 4 * 600) * 1e-9)  # four barriers of one tile
    assert "lower bound" in bill.time_basis


def test_packets_are_bounded_without_the_spikes_of_each_element() -> None:
    graph = lower(
        Network(
            populations=[Population("a", 3000, lif(tau_m=10 * ms))],
            stimuli=[Input("in", 3)],
            projections=[Projection("in", "a", weight=[0.5] * 3000 + [0.0] * 2999 + [1.0] + [0.0] * 2999 + [1.0])],
        )
    )
    emitted = {"in": np.array([[1, 7, 2]]), "a": np.zeros((1, 3000), np.int64)}
    counts = count(graph, 10, emitted, {"a": np.array([4])})
    device = load_device("loihi1")
    mapping = place(graph, device)
    assert mapping.routes["in"].per_element().tolist() == [3, 1, 1]
    exact, bounded = price(counts, mapping, device, emitted=emitted), price(counts, mapping, device)
    assert terms(exact)["packet"].count == 12
    band = terms(bounded)["packet"].energy
    assert [band.low_j, band.nominal_j, band.high_j] == pytest.approx([17e-12, 10 * 5 / 3 * 1.7e-12, 51e-12])
    assert "which elements fired was not given" in " ".join(bounded.assumptions)


# ------------------------------------------------------------------------------------------------------- what must hold
def test_an_update_is_charged_active_or_idle_never_both() -> None:
    device = load_device("loihi1")
    idle = terms(price(totals(10, 10, 0, 0, active=0), None, device))
    busy = terms(price(totals(10, 10, 0, 0, active=10_000), None, device))
    assert (idle["neuron_active"].energy.nominal_j, busy["neuron_idle"].energy.nominal_j) == (0, 0)
    assert idle["neuron_idle"].energy.nominal_j == pytest.approx(10_000 * 52e-12)
    assert busy["neuron_active"].energy.nominal_j == pytest.approx(10_000 * 81e-12)


def test_loihi2_gives_counts_and_fit_but_no_energy(tiny: tuple[Graph, Counts, dict[str, np.ndarray]]) -> None:
    graph, counts, emitted = tiny
    device = load_device("loihi2")
    mapping = place(graph, device, weight_bits=8)
    bill = price(counts, mapping, device, emitted=emitted)
    assert mapping.fit.verdict == "fits under assumptions"
    assert (bill.terms, bill.total, bill.time_s) == ((), None, None)
    assert bill.why_no_total == "Intel publishes no energy per operation for Loihi 2"
    assert missing(bill)["synaptic_event"].count == 10


def test_without_a_mapping_packets_are_missing_and_there_is_no_total() -> None:
    bill = price(totals(10, 10, 5, 5), None, load_device("loihi1"))
    assert bill.total is None
    assert "needs a mapping" in bill.why_no_total
    assert bill.priced.nominal_j > 0


def test_a_network_that_does_not_fit_has_no_total() -> None:
    graph = lower(
        Network(
            populations=[Population("a", 2, lif(tau_m=10 * ms))],
            stimuli=[Input("in", 65)],
            projections=[Projection("in", "a", weight=0.5)],
        )
    )
    counts = count(graph, 4, {"in": np.ones((1, 65), int), "a": np.ones((1, 2), int)}, {"a": np.array([4])})
    device = load_device("dynapse2")
    bill = price(counts, place(graph, device), device)
    assert bill.total is None
    assert bill.why_no_total.startswith("the network does not fit: population 'a': 65 synapses into one neuron")


def graded() -> tuple[Graph, Counts]:
    graph = lower(
        Network(
            populations=[Population("a", 2, lif(tau_m=10 * ms))],
            stimuli=[Input("in", 3, graded=True)],
            projections=[Projection("in", "a", weight=0.5)],
        )
    )
    emitted = {"in": np.full((1, 3), 4), "a": np.ones((1, 2), int)}
    return graph, count(graph, 4, emitted, {"a": np.array([4])})


def test_graded_events_are_never_priced_as_spikes_in_silence() -> None:
    graph, counts = graded()
    device = load_device("loihi1")
    mapping = place(graph, device)
    bill = price(counts, mapping, device)
    assert bill.total is None
    assert missing(bill)["graded_event"].charged
    assert missing(bill)["graded_event"].count == 24
    assert "graded_event" in bill.why_no_total
    opted = price(counts, mapping, device, graded_as_events=True)
    assert opted.total is not None
    assert terms(opted)["synaptic_event"].count == 24
    assert any("lower bound" in a for a in opted.assumptions)


def test_time_based_devices_do_not_scale_with_events() -> None:
    device = load_device("brainscales2")
    quiet = price(totals(10, 10, 0, 0), None, device)
    loud = price(totals(10, 10, 9999, 9999), None, device)
    assert quiet.total == loud.total
    assert quiet.time_s == pytest.approx(1e-3)  # a second, a thousand times faster
    assert quiet.total is not None
    assert quiet.total.nominal_j == pytest.approx(175e-6)
    assert "not scaled" in quiet.assumptions[0]


def test_an_all_in_price_is_never_added_to() -> None:
    text = """
format = 1
name = "x"
title = "X"
summary = "x"
pricing = "per_term"
[included]
graded_event = "synaptic_event"
weight_fetch = "synaptic_event"
neuron_active = "synaptic_event"
neuron_idle = "synaptic_event"
spike_out = "synaptic_event"
packet = "synaptic_event"
hop_x = "synaptic_event"
hop_y = "synaptic_event"
static = "synaptic_event"
[energy.synaptic_event]
value = 26
unit = "pJ"
nature = "measured"
evidence = "quoted"
source = "x"
scope = "all_in"
"""
    bill = price(totals(10, 10, 7, 5), None, parse_device(text))
    assert [t.name for t in bill.terms] == ["synaptic_event"]
    assert bill.total is not None
    assert bill.total.nominal_j == pytest.approx(5 * 26e-12)


def test_mapping_of_another_device_is_refused(tiny: tuple[Graph, Counts, dict[str, np.ndarray]]) -> None:
    graph, counts, _ = tiny
    with pytest.raises(InvalidValueError, match="the mapping is for 'loihi2', the prices are of 'loihi1'"):
        price(counts, place(graph, load_device("loihi2")), load_device("loihi1"))


def test_wrong_shape_of_emitted_is_refused(tiny: tuple[Graph, Counts, dict[str, np.ndarray]]) -> None:
    graph, counts, _ = tiny
    device = load_device("loihi1")
    with pytest.raises(InvalidValueError, match=r"emitted\['in'\] must have shape \(2, 3\), found \(1, 3\)"):
        price(counts, place(graph, device), device, emitted={"in": np.ones((1, 3), int)})


@pytest.mark.parametrize("name", list_devices())
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_more_events_never_cost_less(name: str, data: st.DataObject) -> None:
    numbers = st.integers(0, 10**6)
    neurons = data.draw(st.integers(1, 1000))
    fewer = {key: data.draw(numbers) for key in ("spikes", "events")}
    active = data.draw(st.integers(0, 100 * neurons))
    more = {key: value + data.draw(numbers) for key, value in fewer.items()}
    device = load_device(name)
    a = price(totals(neurons, 100, **fewer, steps=100, active=active), None, device).priced
    busier = data.draw(st.integers(active, 100 * neurons))
    b = price(totals(neurons, 100, **more, steps=100, active=busier), None, device)
    for bound in ("low_j", "nominal_j", "high_j"):
        assert getattr(b.priced, bound) >= getattr(a, bound) * (1 - 1e-12)
    assert b.priced.low_j <= b.priced.nominal_j <= b.priced.high_j


@pytest.mark.parametrize("name", list_devices())
def test_every_term_says_where_its_price_comes_from(name: str) -> None:
    bill = price(totals(10, 10, 7, 5, active=3), None, load_device(name))
    for term in bill.terms:
        assert term.source
        assert term.evidence
        assert term.scope in ("per_term", "all_in")
    assert bill.terms or bill.why_no_total
