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
from spikesim.errors import InvalidValueError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.models.neurons import lif, loihi_lif
from spikesim.profile import Activity, Device, list_devices, load_device, place
from spikesim.profile.device import parse_device
from spikesim.profile.order import arrange, routers_in_order
from spikesim.profile.placement import placement, placement_sections, placement_table
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
