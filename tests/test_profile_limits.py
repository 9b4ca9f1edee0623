"""Chips of their own kind, deadlines, and what each chip refuses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from spikesim import Network, Poisson, Population, Projection, ms
from spikesim.connect import AllToAll, Dense, OneToOne
from spikesim.errors import DeviceLimitError, FileFormatError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.models.neurons import lif
from spikesim.profile import Activity, list_devices, load_device, place
from spikesim.profile.deadline import cycles_per_step
from spikesim.profile.device import parse_device
from spikesim.profile.layer_cores import Layer, assign, kernel_words, neuron_words
from spikesim.profile.placement import headline

CHIPS = [name for name in list_devices() if load_device(name).kind == "chip"]


def graph_of(sizes: list[int], matrices: dict[tuple[int, int], np.ndarray[Any, Any]], inputs: int = 3) -> Graph:
    """Populations p0, p1, ...; matrices by (source, target), -1 for the input."""
    name = {-1: "in", **{k: f"p{k}" for k in range(len(sizes))}}
    return lower(
        Network(
            populations=[Population(f"p{k}", n, lif(tau_m=10 * ms)) for k, n in enumerate(sizes)],
            stimuli=[Poisson("in", inputs, rate=10.0)],
            projections=[
                Projection(name[a], name[b], Dense(w.astype(np.float64)), delay=1 * ms)
                for (a, b), w in matrices.items()
            ],
        )
    )


def chain(sizes: list[int], rule: Any, inputs: int, **projection: Any) -> Graph:
    names = ["in", *(f"p{k}" for k in range(len(sizes)))]
    return lower(
        Network(
            populations=[Population(n, size, lif(tau_m=10 * ms)) for n, size in zip(names[1:], sizes, strict=True)],
            stimuli=[Poisson("in", inputs, rate=10.0)],
            projections=[Projection(a, b, rule, weight=0.5, **projection) for a, b in itertools.pairwise(names)],
        )
    )


# ---------------------------------------------------------------------------------------------- chips of their own kind
def test_speck_memory_by_hand() -> None:
    assert kernel_words(2, 3, 3, 8) == 2 * 2 ** (4 + 3)
    assert kernel_words(1, 5, 5, 6) == 2 ** (5 + 3)
    assert neuron_words(6, 28, 28) == 6 * 2 ** (5 + 5)


def test_speck_layers_get_a_core_each_if_there_is_a_way() -> None:
    """A greedy choice in order may take the only large core; the matching does not."""
    cores = load_device("speck2").layer_cores
    assert cores is not None
    wide = [Layer(f"w{k}", 16384, 65536, 3, (1,), 8) for k in range(3)]  # only three cores have 64 Ki neuron words
    deep = [Layer(f"d{k}", 65536, 16384, 3, (1,), 8) for k in range(2)]  # only two have 64 Ki kernel words
    small = [Layer(f"s{k}", 10, 10, 3, (1,), 8) for k in range(4)]
    assert len(assign([*small, *wide, *deep], cores)) == 9
    assert len(assign([*wide, Layer("w3", 16384, 65536, 3, (1,), 8)], cores)) == 3


def test_speck_refuses_what_its_cores_cannot_hold() -> None:
    """784 x 128 from a flat input: 784 channels of one pixel, 784 x 2^7 kernel words."""
    fit = place(chain([128, 10], AllToAll(), 784), load_device("speck2")).fit
    refused = {c.rule: c for c in fit.binding}
    assert refused["kernel_words"].used == 784 * 128
    assert "'p0': 100352 words of kernel memory, SynSense Speck 2 allows 65536" in refused["kernel_words"].sentence
    assert "'p0', for which no core is left" in refused["layer_cores"].sentence


def test_truenorth_counts_the_weights_into_a_neuron() -> None:
    values = np.array([[1, 2, 3, 4, 4], [1, 2, 3, 4, 5], [0, 1, 0, 1, 2]])
    fit = place(graph_of([3], {(-1, 0): values}, 5), load_device("truenorth"), weight_bits=8).fit
    assert [(w.rule, w.used) for w in fit.warnings] == [("weight_values_per_neuron", 5)]
    assert "copy of the axon" in fit.warnings[0].sentence


def test_dynapse_needs_a_tag_for_each_source_of_a_core() -> None:
    """256 neurons with 10 sources of their own each: 2560 tags, but a core knows 2048; two cores do."""
    weights = np.kron(np.eye(256), np.ones((1, 10)))
    fit = place(graph_of([256], {(-1, 0): weights}, 2560), load_device("dynapse2")).fit
    assert fit.cores == 2
    assert not fit.binding


def test_xylo_cycles_by_hand() -> None:
    """N_in 2, N_hid 3 with 4 recurrent synapses, N_out 1 (rockpool's formula without aliases)."""
    recurrent = np.array([[0, 1, 1], [0, 0, 1], [1, 0, 0]])
    graph = graph_of([3, 1], {(-1, 0): np.ones((3, 2)), (0, 0): recurrent, (0, 1): np.ones((1, 3))}, 2)
    cycles = load_device("xylo_a2").step_cycles
    assert cycles is not None
    worst = 2 * (3.5 * 3 + 1) + (7 * 4 + 3 * 3) + 3 * (1 + 8) + 3 * (19 + 3) + 12
    assert cycles_per_step(graph, cycles, None) == pytest.approx(worst)
    half = Activity({"in": np.full(2, 0.5), "p0": np.array([0.0, 0.5, 2.0]), "p1": np.zeros(1)})
    expected = 2 * (3.5 * 0.5 * 3 + 1) + (7 * 4 * 0.5 + 9) + 3 * 0.5 * 9 + 3 * (19 + 3 * 0.5) + 12
    assert cycles_per_step(graph, cycles, half) == pytest.approx(expected)
    assert place(graph, load_device("xylo_a2")).fit.binding == ()


def test_xylo_says_how_much_faster_its_clock_would_have_to_be() -> None:
    graph = chain([900, 8], AllToAll(), 16, delay=1 * ms)
    fit = place(
        graph, load_device("xylo_a2"), activity=Activity({"in": np.ones(16), "p0": np.ones(900), "p1": np.ones(8)})
    ).fit
    cycles = next(w for w in (*fit.warnings, *fit.headroom) if w.rule == "cycles_per_step")
    expected = 16 * (3.5 * 900 + 1) + 3 * 900 + 900 * (1 + 64) + 900 * 22 + 12 * 8
    assert cycles.used == pytest.approx(expected)
    assert cycles.limit == pytest.approx(50e6 * 1e-3)
    assert f"needs a clock of {expected / 1e3:.3g} MHz" in cycles.sentence


def test_spinnaker_misses_its_deadline_by_a_stated_time() -> None:
    """100 inputs in every step into 200 neurons: 20 000 events, 2 ms of a step of 1 ms."""
    graph = chain([200], AllToAll(), 100, delay=1 * ms)
    busy = Activity({"in": np.ones(100), "p0": np.zeros(200)})
    fit = place(graph, load_device("spinnaker1"), activity=busy).fit
    late = next(w for w in fit.warnings if w.rule == "step_time")
    assert (late.used, late.limit) == (pytest.approx(2.0), pytest.approx(1.0))
    assert "1 ms late in every step: the core falls behind real time" in late.sentence
    assert fit.verdict == "fits under assumptions"
    quiet = place(
        graph, load_device("spinnaker1"), activity=Activity({"in": np.full(100, 0.1), "p0": np.zeros(200)})
    ).fit
    assert not quiet.warnings
    assert any("needs a run of the network" in u for u in place(graph, load_device("spinnaker1")).fit.unchecked)


def test_odin_pays_256_events_for_every_spike() -> None:
    graph = chain([10], AllToAll(), 100, delay=1 * ms)
    fit = place(graph, load_device("odin"), activity=Activity({"in": np.full(100, 2.0), "p0": np.zeros(10)})).fit
    rate = next(w for w in fit.warnings if w.rule == "events_per_second")
    assert rate.used == pytest.approx(200 * 256 / 1e-3)
    assert rate.limit == pytest.approx(37.5e6)
    assert "1.37 times slower" in rate.sentence


# ------------------------------------------------------------------------------------------------------------ refusals
TOO_LARGE = {
    "akida": ("neurons", "warns"),
    "brainscales2": ("neurons", "refuses"),
    "darwin3": ("neurons", "refuses"),
    "dynapse2": ("cores", "refuses"),
    "loihi1": ("cores", "refuses"),
    "loihi1_nahuku": ("cores", "refuses"),
    "loihi2": ("cores", "refuses"),
    "odin": ("cores", "refuses"),
    "speck2": ("neurons", "refuses"),
    "spinnaker1": ("cores", "warns"),
    "spinnaker2": ("cores per chip", "cannot tell"),  # what a core holds is up to its software
    "tianjic": ("neurons", "refuses"),
    "truenorth": ("cores", "refuses"),
    "xylo_a2": ("outputs", "refuses"),
    "xylo_a3": ("outputs", "refuses"),
}
SIZES = {"loihi2": 1_100_000, "darwin3": 2_400_000, "truenorth": 1_050_000, "akida": 1_300_000}


def test_every_chip_has_a_network_that_is_too_large() -> None:
    assert set(TOO_LARGE) == set(CHIPS)


@pytest.mark.parametrize("name", sorted(TOO_LARGE))
def test_a_network_too_large_is_refused_by_the_name_of_the_limit(name: str) -> None:
    rule, answer = TOO_LARGE[name]
    device = load_device(name)
    fit = place(lower(Network(populations=[Population("a", SIZES.get(name, 350_000), lif(tau_m=10 * ms))])), device).fit
    if answer == "cannot tell":
        assert fit.verdict == "fits under assumptions"
        assert any(text.startswith(rule) for text in fit.unchecked)
        return
    assert fit.verdict == ("does not fit" if answer == "refuses" else "fits under assumptions")
    found = next(c for c in (fit.binding if answer == "refuses" else fit.warnings) if c.rule == rule)
    assert f"{device.title} allows" in found.sentence
    assert found.source in found.sentence
    if answer == "refuses":
        with pytest.raises(DeviceLimitError, match=device.title.replace("(", r"\(").replace(")", r"\)")):
            fit.require()


def test_too_many_cores_names_the_proof_and_the_chips() -> None:
    fit = place(chain([200_000], OneToOne(), 200_000), load_device("loihi1")).fit
    assert (fit.cores, fit.least_cores, fit.chips) == (196, 196, 2)
    cores = next(c for c in fit.binding if c.rule == "cores")
    assert "no placement needs fewer than 196 (by neurons)" in cores.sentence
    assert "2 chips would have enough; links between chips are not modelled" in cores.sentence


def test_far_beyond_the_chip_cutting_is_given_up() -> None:
    """On ODIN each of 500 neurons with 250 inputs of its own would take a core; 64 of them are proof enough."""
    graph = graph_of([500], {(-1, 0): np.kron(np.eye(500), np.ones((1, 250)))}, 125_000)
    mapping = place(graph, load_device("odin"))
    fit = mapping.fit
    assert headline(mapping) == "more than 65 cores; no placement needs fewer than 489"
    assert fit.cores == 65
    assert fit.chips is None
    assert [c.rule for c in fit.binding] == ["cores"]  # not what the uncut rest would use
    assert fit.binding[0].sentence.endswith(
        "no placement needs fewer than 489 (by in axons); cutting was given up there"
    )


def test_wrong_sections_of_a_device_file_are_told_the_field() -> None:
    base = 'format = 1\nname = "x"\ntitle = "X"\nsummary = "x"\npricing = "none"\n'
    with pytest.raises(FileFormatError, match="kernel_words and neuron_words need one number for each core"):
        parse_device(
            f"{base}[layer_cores]\nkernel_words = [1, 2]\nneuron_words = [1]\nkernel_side = 3\nstrides = [1]\n"
            'out_features = 3\ntargets = 1\nnature = "vendor"\nevidence = "code"\nsource = "x"\n'
        )
    with pytest.raises(FileFormatError, match=r"step_time.consequence: is missing"):
        parse_device(
            f'{base}[step_time.step]\nvalue = 1\nunit = "ms"\nnature = "vendor"\nevidence = "code"\nsource = "x"\n'
        )
