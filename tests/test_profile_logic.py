"""Digital logic: prices of memory and arithmetic, and ordinary networks to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikesim import Input, Network, Population, Projection, ms
from spikesim.counts import Counts, PopulationCounts, ProjectionCounts, count
from spikesim.errors import UnknownNameError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.models.neurons import lif
from spikesim.profile import Bill, load_device
from spikesim.profile.baseline import baselines, break_even, equivalent_bits
from spikesim.profile.logic import Prices, level, price_logic


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


def test_memory_level_is_the_smallest_that_holds_the_weights() -> None:
    device = load_device("cmos45")
    assert [level(device, b).name for b in (1, 8192, 8193, 32769, 2**20, 2**20 + 1)] == [
        "sram_8k",
        "sram_8k",
        "sram_32k",
        "sram_1m",
        "sram_1m",
        "dram",
    ]


def test_logic_bill_by_hand() -> None:
    """1000 synapses in fp32 (4 kB): each event adds (0.9 pJ) and fetches half a 64-bit word of 10 pJ."""
    counts = totals(10, 1000, 0, 200, steps=5, active=20)
    bill = price_logic(counts, load_device("cmos45"), "fp32")
    found = {t.name: t.energy for t in bill.terms}
    assert found["accumulate"].nominal_j == pytest.approx(200 * 0.9e-12)
    assert found["weight fetch"].nominal_j == pytest.approx(200 * 5e-12)
    assert found["weight fetch"].high_j == pytest.approx(200 * 10e-12)
    assert found["neuron update"].low_j == pytest.approx(20 * 4.6e-12)
    assert found["neuron update"].nominal_j == pytest.approx(50 * 4.6e-12)
    assert found["state access"].nominal_j == pytest.approx(100 * 5e-12)
    assert found["state access"].high_j == pytest.approx((100 + 400) * 10e-12)
    assert bill.evidence == "unverified"


def test_int8_mac_is_cheaper_than_an_fp32_addition() -> None:
    """Why 4.6 against 0.9 pJ says little (hardware facts, item 7)."""
    device = load_device("cmos45")
    int8 = Prices.of(device, "int8", 10, 10).multiply_add.nominal
    assert int8 == pytest.approx(0.23e-12)
    assert int8 < Prices.of(device, "fp32", 10, 10).add.nominal


def test_unknown_precision() -> None:
    with pytest.raises(UnknownNameError, match="precision of cmos45"):
        price_logic(totals(1, 1, 1, 1), load_device("cmos45"), "fp8")


def test_equivalent_bits() -> None:
    assert [equivalent_bits(t) for t in (1, 2, 3, 4, 7, 8, 10, 255, 256)] == [1, 2, 2, 3, 3, 4, 4, 8, 9]


def feedforward(rate: float, steps: int = 10) -> tuple[Graph, Counts]:
    graph = lower(
        Network(
            populations=[Population("a", 100, lif(tau_m=10 * ms)), Population("b", 10, lif(tau_m=10 * ms))],
            stimuli=[Input("in", 64)],
            projections=[Projection("in", "a", weight=0.5), Projection("a", "b", weight=0.5)],
        )
    )
    sizes = {"in": 64, "a": 100, "b": 10}
    emitted = {name: np.full((1, n), round(rate * steps)) for name, n in sizes.items()}
    active = {"a": np.array([100 * steps]), "b": np.array([10 * steps])}
    return graph, count(graph, steps, emitted, active)


def test_ordinary_network_does_one_pass() -> None:
    graph, counts = feedforward(0.2)
    base = baselines(counts, graph)
    macs = next(t for t in base.ann_fp32.terms if t.name == "multiply-accumulate")
    assert macs.count == 64 * 100 + 100 * 10
    assert base.forward_passes == 1
    assert base.equivalent_bits == 4
    assert "4-bit" in base.ann_quantised.title


def test_recurrent_network_does_one_pass_a_step() -> None:
    base = baselines(totals(10, 50, 20, 100, steps=7))
    assert base.forward_passes == 7
    assert next(t for t in base.ann_fp32.terms if t.name == "multiply-accumulate").count == 350


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_at_break_even_both_cost_the_same(precision: str) -> None:
    graph, counts = feedforward(0.2)
    base = baselines(counts, graph)
    ann = base.ann_fp32 if precision == "fp32" else base.ann_quantised
    logic = load_device("cmos45")
    found = break_even(counts, logic, precision, ann, 7400)
    assert found.actual_rate_per_step == pytest.approx(0.2)
    assert found.events_per_synapse is not None
    per_sample = round(found.events_per_synapse * 7400)
    projections = {"x": ProjectionCounts("in", "a", 7400, np.array([per_sample]), False, False)}
    at = Counts(counts.steps, 1, counts.dt, counts.populations, projections, {}, {})
    spiking = price_logic(at, logic, precision, weights=7400).priced.nominal_j
    assert spiking == pytest.approx(ann.priced.nominal_j, rel=2e-3)


def test_no_break_even_if_neuron_updates_cost_more_already() -> None:
    base = baselines(totals(1000, 10, 0, 0, steps=1))
    assert base.break_even[0].rate_per_step is None
    assert "never cheaper" in base.break_even[0].sentence
