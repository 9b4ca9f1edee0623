"""Placement on cores: loads, walls, budgets, packets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikesim import Network, Poisson, Population, Projection, ms
from spikesim.connect import AllToAll, FixedProbability, OneToOne
from spikesim.errors import DeviceLimitError, InvalidValueError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.models.neurons import lif
from spikesim.profile import list_devices, load_device, place
from spikesim.profile.memory import code_width, delay_width, words_per_axon


def net(sizes: list[int], rule: Any = None, inputs: int = 4, **projection: Any) -> Graph:
    """A chain: input -> p0 -> p1 -> ..."""
    names = [f"p{k}" for k in range(len(sizes))]
    rule = AllToAll() if rule is None else rule
    return lower(
        Network(
            populations=[Population(n, size, lif(tau_m=10 * ms)) for n, size in zip(names, sizes, strict=True)],
            stimuli=[Poisson("in", inputs, rate=10.0)],
            projections=[
                Projection(a, b, rule, weight=0.5, **projection) for a, b in zip(["in", *names], names, strict=False)
            ],
        )
    )


# ----------------------------------------------------------------------------------------------------- synapse memory
def test_worked_example_of_loihi_memory() -> None:
    """256 x 256, 8-bit weights, no delay (nengo-loihi SynapseConfig.bits_per_axon)."""
    memory = load_device("loihi1").synapse_memory
    assert memory is not None
    assert words_per_axon(256, memory, layout="dense") == 35
    assert 256 * words_per_axon(256, memory, layout="dense") == 8960
    assert words_per_axon(256, memory, layout="sparse", index_bits=8) == 69
    assert 256 * words_per_axon(256, memory, layout="sparse", index_bits=8) == 17664 > 16384


def test_memory_by_hand() -> None:
    memory = load_device("loihi1").synapse_memory
    assert memory is not None
    words = words_per_axon([0, 1, 6, 7, 60, 61], memory, layout="dense")
    assert words.tolist() == [0, 1, 1, 2, 8, 9]  # 18, 58, 66, 490 and 490 + 18 bits
    assert words_per_axon(10, memory, layout="dense", delay_bits=6) == 3  # 150 bits


def test_field_widths() -> None:
    codes = (0, 6, 7, 8, 9, 10, 11, 12)
    assert [code_width(b, codes) for b in (0, 1, 6, 10, 12, 13)] == [0, 6, 6, 10, 12, 12]
    assert [delay_width(d) for d in (0, 1, 2, 3, 62)] == [0, 0, 1, 2, 6]


def test_dense_matrix_fills_the_core_as_computed() -> None:
    mapping = place(net([256], inputs=256), load_device("loihi1"), weight_bits=8)
    assert mapping.cores == 1
    assert mapping.loads["synapse_words_per_core"].tolist() == [8960]
    assert mapping.loads["words_per_axon"].tolist() == [35]
    assert mapping.loads["in_axons_per_core"].tolist() == [256]


def test_sparse_rows_take_the_layout_that_needs_less() -> None:
    graph = net([256], FixedProbability(0.02), inputs=256)
    used = int(place(graph, load_device("loihi1")).loads["synapse_words_per_core"][0])
    assert used < 8960 / 2


# ------------------------------------------------------------------------------------------------------------ verdicts
def test_small_network_fits_on_loihi() -> None:
    mapping = place(net([100, 10]), load_device("loihi1"), weight_bits=8)
    assert mapping.fit.verdict == "fits"
    assert mapping.fit.unchecked == ()
    assert mapping.cores == 1  # both populations share it
    mapping.fit.require()


def test_unknown_weight_bits_are_an_assumption() -> None:
    fit = place(net([100, 10]), load_device("loihi1")).fit
    assert fit.verdict == "fits under assumptions"
    assert "9 bits" in fit.assumptions[0]


def test_truenorth_refuses_257_fan_in() -> None:
    fit = place(net([10], inputs=257), load_device("truenorth"), weight_bits=8).fit
    assert fit.verdict == "does not fit"
    sentences = [c.sentence for c in fit.binding]
    wanted = "population 'p0': 257 synapses into one neuron, IBM TrueNorth allows 256 (Merolla 2014"
    assert any(s.startswith(wanted) and "quoted" in s for s in sentences)
    with pytest.raises(DeviceLimitError, match="257 synapses into one neuron"):
        fit.require()


def test_truenorth_takes_256() -> None:
    assert place(net([10], inputs=256), load_device("truenorth"), weight_bits=8).fit.verdict == "fits"


def test_dynapse_refuses_65() -> None:
    fit = place(net([3], inputs=65), load_device("dynapse2")).fit
    assert [(c.rule, c.used, c.limit) for c in fit.binding] == [("fan_in", 65, 64)]


def test_irreducible_wall_does_not_shatter_the_population() -> None:
    mapping = place(net([64], inputs=5000), load_device("loihi1"))
    assert mapping.fit.verdict == "does not fit"
    axons = next(c for c in mapping.fit.binding if c.rule == "in_axons_per_core")
    assert axons.used == 5000
    assert "-> core 0: 5000 in-axons, Intel Loihi 1 (Davies 2018) allows 4096 (nengo-loihi" in axons.sentence
    assert mapping.cores < 64


def test_too_many_cores() -> None:
    fit = place(net([200_000], OneToOne(), inputs=200_000), load_device("loihi1")).fit
    cores = next(c for c in fit.binding if c.rule == "cores")
    assert cores.used == 196  # ceil(200 000 / 1024)


@pytest.mark.parametrize(("cores", "verdict"), [(120, "fits"), (121, "fits"), (128, "fits"), (129, "does not fit")])
def test_a_contested_wall_refuses_only_beyond_its_upper_end(cores: int, verdict: str) -> None:
    """Loihi 2: 120 cores by papers and boards, 128 on the die; 28 assumed bytes a neuron leave 7021 on a core."""
    fit = place(net([cores * 7000], OneToOne(), inputs=cores * 7000), load_device("loihi2")).fit
    assert fit.cores == cores
    assert fit.verdict == (verdict if verdict == "does not fit" else "fits under assumptions")
    assert [w.rule for w in fit.warnings] == (["cores"] if cores in (121, 128) else [])
    assert not fit.warnings or "allows 120 (contested: up to 128)" in fit.warnings[0].sentence


def test_budget_warns_and_says_what_happens() -> None:
    fit = place(net([3], delay=20 * ms), load_device("spinnaker1")).fit
    assert fit.verdict == "fits under assumptions"
    assert [w.rule for w in fit.warnings] == ["delay_max"]
    assert "relay neurons" in fit.warnings[0].sentence


def test_long_delay_is_a_wall_on_loihi() -> None:
    fit = place(net([3], delay=63 * ms), load_device("loihi1")).fit
    assert [c.rule for c in fit.binding] == ["delay_max"]
    assert "secondary" in fit.binding[0].sentence


def test_wide_weights_are_refused() -> None:
    fit = place(net([3]), load_device("loihi1"), weight_bits=16).fit
    assert [c.rule for c in fit.binding] == ["weight_bits"]
    with pytest.raises(InvalidValueError, match="weight_bits must be 1 to 64"):
        place(net([3]), load_device("loihi1"), weight_bits=0)


def test_unpublished_limits_are_unchecked_not_passed() -> None:
    fit = place(net([3]), load_device("loihi2"), weight_bits=8).fit
    assert fit.verdict == "fits under assumptions"
    assert any(u.startswith("in-axons per core") for u in fit.unchecked)
    assert any("physical_fit_verified=False" in a for a in fit.assumptions)
    fit = place(net([3]), load_device("spinnaker2")).fit
    assert fit.cores is None
    assert any(u.startswith("cores per chip") for u in fit.unchecked)


def test_xylo_inputs_and_outputs() -> None:
    rules = {c.rule for c in place(net([2000, 9], inputs=17), load_device("xylo_a2")).fit.binding}
    assert rules == {"inputs", "hidden_neurons", "outputs", "fan_in"}


def test_same_step_delivery_is_noted() -> None:
    fit = place(net([3, 2]), load_device("loihi1")).fit
    assert any("next step: in->p0, p0->p1" in n for n in fit.notes)


@pytest.mark.parametrize("name", list_devices())
def test_an_empty_network_and_one_without_synapses(name: str) -> None:
    device = load_device(name)
    place(Graph("empty", 1e-3, 0, (), (), (), (), ()), device)
    alone = place(lower(Network(populations=[Population("p", 5, lif(tau_m=10 * ms))])), device)
    assert sum(len(c) for c in alone.core_of.values()) == 5


# --------------------------------------------------------------------------------------------------- partition, routes
def test_loads_by_brute_force() -> None:
    """Axons, synapses and packets of a recurrent random network agree with sets."""
    graph = lower(
        Network(
            populations=[Population("a", 1500, lif(tau_m=10 * ms)), Population("b", 700, lif(tau_m=10 * ms))],
            stimuli=[Poisson("in", 300, rate=10.0)],
            projections=[
                Projection("in", "a", FixedProbability(0.05), weight=0.5),
                Projection("a", "b", FixedProbability(0.03), weight=0.5),
                Projection("b", "a", FixedProbability(0.02), weight=-0.5, delay=3 * ms),
                Projection("a", "a", FixedProbability(0.02), weight=0.1, delay=2 * ms),
                Projection("a", "b", FixedProbability(0.03), weight=-0.2, delay=2 * ms, name="second"),
            ],
            seed=3,
        )
    )
    mapping = place(graph, load_device("loihi1"), weight_bits=8)
    reached: dict[str, set[tuple[int, int]]] = {"in": set(), "a": set(), "b": set()}
    for edge in graph.edges:
        source = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
        core = mapping.core_of[edge.post][edge.indices]
        reached[edge.pre] |= set(zip(source.tolist(), core.tolist(), strict=True))
    for name, route in mapping.routes.items():
        assert set(zip(route.element.tolist(), route.core.tolist(), strict=True)) == reached[name]
        assert route.synapses.sum() == sum(e.synapses for e in graph.edges if e.pre == name)
        assert route.per_element().sum() == len(reached[name])
    axons_in = np.bincount([core for pairs in reached.values() for _, core in pairs], minlength=mapping.cores)
    assert mapping.loads["in_axons_per_core"].tolist() == axons_in.tolist()
    home = [int(mapping.core_of[n][element]) for n in ("a", "b") for element, _ in reached[n]]
    assert mapping.loads["out_axons_per_core"].tolist() == np.bincount(home, minlength=mapping.cores).tolist()
    assert mapping.loads["neurons_per_core"].sum() == 2200
    for rule, load in mapping.loads.items():
        assert load.max() <= load_device("loihi1").limit(rule).value  # type: ignore[union-attr]
    assert not mapping.fit.binding


def test_zero_weights_are_not_synapses() -> None:
    weights = np.zeros(4 * 300)
    weights[5] = 1.0
    graph = lower(
        Network(
            populations=[Population("p", 300, lif(tau_m=10 * ms))],
            stimuli=[Poisson("in", 4, rate=10.0)],
            projections=[Projection("in", "p", weight=weights)],
        )
    )
    mapping = place(graph, load_device("loihi1"))
    assert mapping.routes["in"].per_element().tolist() == [1, 0, 0, 0]


def test_out_axons_force_a_split() -> None:
    """1024 neurons that each reach 8 cores would need 8192 entries on one core."""
    mapping = place(net([1024, 8 * 1024], FixedProbability(0.05)), load_device("loihi1"))
    assert mapping.loads["out_axons_per_core"].max() <= 4096


def test_hops_on_the_mesh() -> None:
    """40 cores on an 8 x 4 mesh of four cores each; input enters at the corner, so they gather there.

    Ten routers are nearest: 1 at no hop, 2 at one, 3 at two, 4 at three.
    """
    mapping = place(net([40 * 1024], OneToOne(), inputs=40 * 1024), load_device("loihi1"))
    assert mapping.cores == 40
    assert mapping.routers == 10
    route = mapping.routes["in"]
    hops = (route.hops_x + route.hops_y)[::1024]
    assert sorted(hops.tolist()) == [0] * 4 + [1] * 8 + [2] * 12 + [3] * 16
    assert mapping.hops == 80 * 1024 < mapping.hops_before


def test_a_million_synapses() -> None:
    graph = net([2000], FixedProbability(0.5), inputs=1000)
    assert graph.synapses > 990_000
    assert place(graph, load_device("loihi1")).fit.verdict != "does not fit"
