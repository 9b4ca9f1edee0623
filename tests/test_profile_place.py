"""Placement: against exhaustive search on tiny chips, against brute force on the mesh, and what is refused."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from spikesim import Network, Poisson, Population, Projection, ms
from spikesim.cli import app, register
from spikesim.connect import AllToAll, Conv2d, Dense, FixedProbability, OneToOne
from spikesim.errors import DeviceLimitError, FileFormatError, InvalidValueError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.models.neurons import lif, loihi_lif
from spikesim.profile import Activity, Device, list_devices, load_device, place
from spikesim.profile.deadline import cycles_per_step
from spikesim.profile.device import parse_device
from spikesim.profile.layer_cores import Layer, assign, kernel_words, neuron_words
from spikesim.profile.order import arrange, routers_in_order
from spikesim.profile.placement import headline, placement, placement_sections, placement_table
from spikesim.profile.schema import Grid

CHIPS = [name for name in list_devices() if load_device(name).kind == "chip"]


def tiny(**limits: float) -> Device:
    """A chip with a few small cores in one row."""
    text = 'format = 1\nname = "tiny"\ntitle = "Tiny"\npricing = "none"\nsummary = "a test"\n'
    known = 'nature = "estimate"\nevidence = "unverified"\nsource = "x"\n'
    text += "".join(f'[limits.{name}]\nvalue = {value}\nunit = "1"\n{known}' for name, value in limits.items())
    return parse_device(f"{text}[grid]\ncolumns = 4\nrows = 2\ncores_per_router = 1\n{known}")


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


def uses(graph: Graph, core_of: np.ndarray[Any, Any]) -> list[tuple[int, int, int]]:
    """Neurons, in-axons and out-axon entries of each core, by sets; neurons are counted over the populations."""
    start, total = {}, 0
    for node in graph.nodes:
        start[node.name] = total
        total += node.n
    pairs = set()
    for e in graph.edges:
        source = np.repeat(np.arange(e.n_pre), np.diff(e.indptr))
        for s, t, w in zip(source, e.indices, np.broadcast_to(e.weights, len(source)), strict=True):
            if w:
                pairs.add((e.pre, int(s), int(core_of[start[e.post] + t])))
    found = []
    for core in range(int(core_of.max()) + 1):
        out = sum(1 for pre, s, _ in pairs if pre in start and core_of[start[pre] + s] == core)
        found.append((int((core_of == core).sum()), sum(1 for *_, c in pairs if c == core), out))
    return found


def least_by_search(graph: Graph, most: tuple[int, int, int]) -> int:
    """The true least number of cores: every partition of the neurons into sets is tried."""
    n = graph.neurons
    best = n + 1

    def visit(prefix: list[int]) -> None:
        nonlocal best
        cores = max(prefix, default=-1) + 1
        if cores >= best:
            return
        if len(prefix) == n:
            loads = uses(graph, np.array(prefix))
            if all(a <= b for load in loads for a, b in zip(load, most, strict=True)):
                best = cores
            return
        for core in range(cores + 1):
            visit([*prefix, core])

    visit([])
    return best


# ---------------------------------------------------------------------------------------------------- fewest cores
@pytest.mark.parametrize("seed", range(6))
def test_cores_lie_between_the_bound_and_an_exhaustive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [[4, 3], [2, 2, 2], [5, 2], [3, 3], [6, 1], [2, 4]][seed]
    matrices = {(-1, 0): rng.random((sizes[0], 3)) < 0.6}
    for k in range(1, len(sizes)):
        matrices[k - 1, k] = rng.random((sizes[k], sizes[k - 1])) < 0.6
    graph = graph_of(sizes, matrices)
    most = (3, 6, 7)
    device = tiny(cores=8, neurons_per_core=most[0], in_axons_per_core=most[1], out_axons_per_core=most[2])
    mapping = place(graph, device)
    flat = np.concatenate([mapping.core_of[n.name] for n in graph.nodes])
    loads = uses(graph, flat)
    rules = ("neurons_per_core", "in_axons_per_core", "out_axons_per_core")
    for k, rule in enumerate(rules):
        assert mapping.loads[rule].tolist() == [load[k] for load in loads]
    best = least_by_search(graph, most)
    assert mapping.fit.least_cores is not None
    assert mapping.fit.least_cores <= best
    if best <= graph.neurons:
        assert best <= mapping.cores <= best + 1
        assert not mapping.fit.binding


def test_a_population_is_cut_where_a_core_is_full() -> None:
    """1500 + 548 neurons fill two cores of 1024 exactly; equal halves of each population would need three."""
    mapping = place(chain([1500, 548], FixedProbability(0.01), 20), load_device("loihi1"), weight_bits=8)
    assert mapping.cores == mapping.least_cores == 2
    assert mapping.loads["neurons_per_core"].tolist() == [1024, 1024]


def test_rests_share_a_core_with_whoever_has_the_same_inputs() -> None:
    """Two pairs of populations with the same sources: together each source sends one packet instead of two."""
    half = np.zeros((2, 4))
    half[:, :2] = 1.0
    graph = graph_of([2, 2, 2, 2], {(-1, 0): half, (-1, 1): half[:, ::-1], (-1, 2): half, (-1, 3): half[:, ::-1]}, 4)
    mapping = place(graph, tiny(cores=8, neurons_per_core=4))
    assert mapping.cores == 2
    assert mapping.routes["in"].per_element().tolist() == [1, 1, 1, 1]


def test_images_are_cut_place_by_place_where_that_saves_axons() -> None:
    """Four channels of 8 x 8: a core of 64 neurons as one channel sees the whole image, as 16 places only a part."""
    kernel = np.ones((4, 1, 3, 3))
    graph = lower(
        Network(
            populations=[Population("c", (4, 8, 8), lif(tau_m=10 * ms))],
            stimuli=[Poisson("in", (1, 8, 8), rate=10.0)],
            projections=[Projection("in", "c", Conv2d(kernel, padding=1), delay=1 * ms)],
        )
    )
    mapping = place(graph, tiny(cores=8, neurons_per_core=64))
    assert mapping.cores == 4
    # channel by channel each of the 64 inputs reaches all 4 cores
    assert mapping.routes["in"].per_element().sum() < 0.6 * 4 * 64


def test_configurations_are_counted_on_whole_numbers_only() -> None:
    def network(model: Any) -> Graph:
        return lower(
            Network(
                populations=[Population("p", 96, model)],
                stimuli=[Poisson("in", 2, rate=10.0)],
                projections=[Projection("in", "p", weight=1.0, delay=1 * ms)],
            )
        )

    device = load_device("loihi1")
    many = place(network(loihi_lif(du=np.arange(96.0))), device, weight_bits=8)
    assert many.loads["configurations_per_core"].tolist() == [32, 32, 32]
    few = place(network(loihi_lif(du=np.arange(96.0) % 8, v_th=np.arange(96.0) // 12 + 5)), device, weight_bits=8)
    assert few.cores == 1
    assert few.loads["configurations_per_core"].tolist() == [8]
    assert few.loads["thresholds_per_core"].tolist() == [8]
    unknown = place(network(lif(tau_m=np.linspace(5, 20, 96) * ms)), device, weight_bits=8)
    assert unknown.cores == 1
    assert any(u.startswith("sets of decays per core: known once") for u in unknown.fit.unchecked)


def test_layouts_are_chosen_in_each_core_and_reported() -> None:
    rng = np.random.default_rng(0)
    dense, rare = np.ones((40, 30)), rng.random((40, 30)) < 0.05
    graph = graph_of([40], {(-1, 0): dense}, 30)
    assert place(graph, load_device("loihi1")).layouts == {"in->p0": {"dense": 1}}
    assert place(graph_of([40], {(-1, 0): rare}, 30), load_device("loihi1")).layouts == {"in->p0": {"sparse": 1}}


def test_the_two_published_formulas_may_disagree() -> None:
    """62 words of rows: full by nengo-loihi's formula, too much by NxTF's, which leaves 6 bits of an entry free."""
    graph = chain([54], AllToAll(), 2048)  # 54 x 8 + 10 = 442 bits: 7 words; 442 + 6 + 6: 8 words
    mapping = place(graph, load_device("loihi1"), weight_bits=8)
    assert mapping.loads["synapse_words_per_core"].tolist() == [2048 * 7]
    assert mapping.fit.verdict == "fits"  # 8 x 2048 = 16384 exactly
    mapping = place(chain([54], AllToAll(), 2049), load_device("loihi1"), weight_bits=8)
    assert mapping.fit.verdict == "fits under assumptions"
    assert [w.used for w in mapping.fit.warnings] == [8 * 2049]
    assert "the two published formulas disagree" in mapping.fit.warnings[0].sentence


# ------------------------------------------------------------------------------------------------------- least traffic
def cost(router: Any, traffic: Any, entering: Any, columns: int) -> float:
    y, x = np.divmod(np.asarray(router), columns)
    apart = np.abs(x[:, None] - x) + np.abs(y[:, None] - y)
    return float((traffic * apart).sum() + (entering * (x + y)).sum())


@pytest.mark.parametrize("seed", range(5))
def test_order_on_the_mesh_is_the_best_of_all(seed: int) -> None:
    """Six cores on 3 x 2 places: 720 orders."""
    rng = np.random.default_rng(seed)
    traffic = rng.random((6, 6)) * (rng.random((6, 6)) < 0.5)
    np.fill_diagonal(traffic, 0.0)
    entering = rng.random(6) * (seed % 2)
    grid = Grid(columns=3, rows=2, cores_per_router=1, nature="estimate", evidence="unverified", source="x")
    best = min(cost(order, traffic, entering, 3) for order in itertools.permutations(range(6)))
    assert cost(arrange(traffic, entering, grid), traffic, entering, 3) == pytest.approx(best)


def test_a_ring_of_cores_becomes_a_ring_on_the_mesh() -> None:
    """32 cores in a shuffled ring on 8 x 4: a cycle through all places exists, so 32 hops are the least."""
    rng = np.random.default_rng(1)
    ring = rng.permutation(32)
    traffic = np.zeros((32, 32))
    traffic[ring, np.roll(ring, 1)] = 1.0
    grid = Grid(columns=8, rows=4, cores_per_router=1, nature="estimate", evidence="unverified", source="x")
    before = cost(routers_in_order(32, grid), traffic, np.zeros(32), 8)
    after = cost(arrange(traffic, np.zeros(32), grid), traffic, np.zeros(32), 8)
    assert 32 <= after <= 44 < before
    assert np.array_equal(arrange(traffic, np.zeros(32), grid), arrange(traffic, np.zeros(32), grid))


def test_activity_decides_which_cores_come_close() -> None:
    graph = graph_of([4, 4, 4], {(0, 1): np.eye(4), (0, 2): np.eye(4)[::-1]}, 1)
    device = tiny(cores=8, neurons_per_core=4)
    quiet = {"in": np.zeros(1), "p0": np.full(4, 0.5), "p1": np.zeros(4), "p2": np.zeros(4)}
    mapping = place(graph, device, activity=Activity(quiet))
    assert mapping.hops == pytest.approx(4 * 0.5 * (1 + 1))  # p0 stands between the others
    with pytest.raises(InvalidValueError, match="has no 'p2'"):
        place(graph, device, activity=Activity({k: v for k, v in quiet.items() if k != "p2"}))


def test_the_same_network_gives_the_same_mapping() -> None:
    graph = chain([700, 900, 800], FixedProbability(0.02), 50)
    one, two = (place(graph, load_device("loihi1"), seed=3) for _ in range(2))
    assert all(np.array_equal(one.core_of[k], two.core_of[k]) for k in one.core_of)
    assert np.array_equal(one.router, two.router)


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


# ------------------------------------------------------------------------------------------------------ report, picture
def test_report_holds_every_limit_and_core(tmp_path: Path) -> None:
    from rich.console import Console

    device = load_device("loihi1")
    mapping = place(chain([1500, 548], FixedProbability(0.01), 20), device, weight_bits=8)
    values = placement(mapping)
    assert json.loads(json.dumps(values)) == values
    assert values["limits"][0]["limit"] == "neurons per core"
    assert values["limits"][0]["share"] == 1.0
    assert len(values["per_core"]) == 2
    assert values["per_core"][1]["holds"] == "p0 (476 of 1500), p1"
    console = Console(width=200, record=True)
    console.print(placement_table(mapping, device))
    text = console.export_text()
    assert "2 cores (no placement needs fewer)" in text
    assert "layout of synapses" in text
    html = "".join(s.html() for s in placement_sections(mapping, device))
    assert "data:image/svg+xml" in html
    assert "What the cores use" in html


def test_picture_shows_each_core_where_it_stands() -> None:
    from spikesim.plot import core_bars, core_map

    device = load_device("loihi1")
    mapping = place(chain([9 * 1024], OneToOne(), 9 * 1024), device, weight_bits=8)
    axes = core_map(mapping, "neurons_per_core", device.grid)
    image = axes.images[0].get_array()
    assert image is not None
    assert image.shape == (2 * 4, 2 * 8)
    assert np.nansum(np.asarray(image.filled(np.nan))) == 9.0  # nine full cores
    bars = core_bars(mapping)
    assert max(bar.get_width() for bar in bars.patches) == 1.0
    plain = core_map(place(chain([30], AllToAll(), 4), load_device("speck2")))
    assert "does not say" in plain.texts[0].get_text()


def test_map_verb(tmp_path: Path) -> None:
    if not app.registered_commands:
        register()
    graph = Network(
        populations=[Population("p", 300, lif(tau_m=10 * ms))],
        stimuli=[Poisson("in", 257, rate=10.0)],
        projections=[Projection("in", "p", weight=0.5, delay=1 * ms)],
    )
    file = tmp_path / "net.h5"
    graph.save(file)
    picture = tmp_path / "cores.png"
    done = CliRunner().invoke(app, ["map", str(file), "--device", "loihi1", "--out", str(picture)])
    assert done.exit_code == 0, done.output
    assert "fits under assumptions" in done.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    refused = CliRunner().invoke(app, ["map", str(file), "--device", "truenorth", "--json"])
    assert refused.exit_code == 1
    assert json.loads(refused.output)["fit"]["verdict"] == "does not fit"
    every = CliRunner().invoke(app, ["map", str(file), "--device", "all", "--json"])
    assert set(json.loads(every.output)) == set(CHIPS)
    wrong = CliRunner().invoke(app, ["map", str(file), "--device", "cmos45"])
    assert "price list" in str(wrong.exception)
    wrong = CliRunner().invoke(app, ["map", str(file), "--out", "x.pdf"])
    assert "found 'x.pdf'" in str(wrong.exception)


def test_a_large_network_is_placed_quickly_enough_to_be_used() -> None:
    """No clock here: the number of runs that are looked at stays small, whatever the size."""
    from spikesim.profile.partition import Block

    graph = chain([20_000], FixedProbability(0.001), 2000)
    looked, run = [0], Block.run

    def counted(self: Block, *args: Any) -> Any:
        looked[0] += 1
        return run(self, *args)

    patch = pytest.MonkeyPatch()
    with patch.context() as m:
        m.setattr(Block, "run", counted)
        mapping = place(graph, load_device("loihi1"), weight_bits=8)
    assert mapping.cores == math.ceil(20_000 / 1024)
    assert looked[0] < 20 * mapping.cores
