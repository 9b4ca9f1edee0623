"""Tables of the numba engine: each, expanded again, holds the synapses of the edge, however it was cut and drawn."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from spikesim import Network, Population, Projection, ms, synapses
from spikesim.backends.numba.build import Bitmap, Part, Rows16, Segments, bitmaps, dense, rows, rows16, segments
from spikesim.backends.numba.build import segments as segments_function
from spikesim.connect import (
    AllToAll,
    Chain,
    Connection,
    Conv2d,
    Dense,
    FixedIndegree,
    FixedOutdegree,
    FixedProbability,
    FixedTotalNumber,
    OneToOne,
    Pool2d,
    SmallWorld,
    Sparse,
    partners,
    walks,
)
from spikesim.distributions import Gamma, KaimingNormal, Normal, Uniform
from spikesim.errors import InvalidValueError, UnsupportedError
from spikesim.graph import Edge, Graph
from spikesim.lowering import lower
from spikesim.models.neurons import lif
from spikesim.synapses import Given, Snapped

rng = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def threads_for_small_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ALONE", 1)


RULES: dict[str, tuple[Connection, object, object]] = {
    "all": (AllToAll(), 70, 190),
    "all, no autapses": (AllToAll(autapses=False), 150, 150),
    "one": (OneToOne(), 150, 150),
    "probability": (FixedProbability(0.1), 233, 317),
    "probability, no autapses": (FixedProbability(0.3, autapses=False), 200, 200),
    "probability 0": (FixedProbability(0.0), 60, 70),
    "probability 1": (FixedProbability(1.0), 60, 70),
    "indegree": (FixedIndegree(37), 133, 317),
    "indegree, no autapses": (FixedIndegree(50, autapses=False), 200, 200),
    "indegree, distinct": (FixedIndegree(37, multapses=False), 133, 317),
    "indegree 0": (FixedIndegree(0), 30, 20),
    "indegree above a block": (FixedIndegree(1500), 90, 80),
    "outdegree": (FixedOutdegree(37), 133, 317),
    "total": (FixedTotalNumber(9000), 133, 317),
    "total 0": (FixedTotalNumber(0), 33, 51),
    "small world": (SmallWorld(10, 0.3), 200, 200),
    "dense": (Dense(rng.normal(size=(150, 40))), 40, 150),
    "sparse": (Sparse(sparse.random(80, 70, 0.2, random_state=3)), 70, 80),
    "convolution": (Conv2d(rng.normal(size=(3, 2, 3, 3)), 2, 1), (2, 9, 8), (3, 5, 4)),
    "chain": (Chain((Pool2d(2), Conv2d(rng.normal(size=(3, 2, 3, 3)), 1, 1))), (2, 8, 6), (3, 4, 3)),
}
NUMBERS = [  # weight, delay
    (0.3, 2 * ms),
    (Normal(1.0, 0.1, low=0.0), Normal(1.5 * ms, 0.75 * ms, 0.05 * ms)),
    (Normal(0.0, 0.3, high=0.5), Uniform(0.0, 3 * ms)),
    (Uniform(-1.0, 2.0), 1 * ms),
    (-0.2, Gamma(2.0, 1 * ms)),
    (KaimingNormal(), Normal(1 * ms, 1 * ms)),
]
every_rule = pytest.mark.parametrize("name", RULES)
both_threads = pytest.mark.parametrize("threads", [1, 3])


def graph(name: str, weight: object = 0.3, delay: object = 2 * ms, snap: bool = True) -> Graph:
    rule, pre, post = RULES[name]
    net = Network(
        [Population("a", pre, lif()), Population("b", post, lif()), Population("c", 150, lif())],
        [
            Projection("a", "b", rule, weight=None if rule.has_weights else weight, delay=delay),
            Projection("a", "c", FixedProbability(0.2), weight=Normal(-2.0, 1.0), delay=Normal(2 * ms, 1 * ms)),
        ],
        dt=0.1 * ms,
        seed=5,
    )
    return lower(net, snap=snap)


def cuts(n: int) -> list[list[tuple[int, int]]]:
    """Return one tile, several, and some that leave gaps."""
    return [[(0, n)], *([[(0, 64), (64, 128), (128, n)], [(64, 128)]] if n > 128 else [])]


def pairs(edge: Edge) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr)), edge.indices


def synapses_per_pair(edge: Edge) -> np.ndarray:
    counts = np.zeros((edge.n_pre, edge.n_post), int)
    np.add.at(counts, pairs(edge), 1)
    return counts


def expanded(table: Rows16, size: int) -> np.ndarray:
    source = np.repeat(np.arange(len(table.indptr) - 1), np.diff(table.indptr))
    assert (np.diff(source * 65536 + table.targets) >= 0).all()  # sorted by source, then target
    counts = np.zeros((len(table.indptr) - 1, size), int)
    np.add.at(counts, (source, table.targets), 1)
    assert table.multiplicity == counts.max(initial=0)
    return counts


def expanded_bits(table: Bitmap, size: int) -> np.ndarray:
    counts = expanded(table.rest, size)
    bits = np.unpackbits(table.bits.view(np.uint8), bitorder="little").reshape(len(counts), 64 * table.width)
    assert not bits[:, size:].any()
    counts += bits[:, :size]
    assert table.multiplicity == max(1, counts.max(initial=0))
    return counts


@every_rule
@both_threads
@pytest.mark.parametrize(("build", "expand"), [(rows16, expanded), (bitmaps, expanded_bits)])
def test_rows_and_bitmaps(name: str, threads: int, build: Callable, expand: Callable) -> None:
    known = graph(name).edges[0]
    counts = synapses_per_pair(known)
    for tiles in cuts(known.n_post):
        edge = graph(name).edges[0]
        for (low, high), table in zip(tiles, build(edge, tiles, threads), strict=True):
            assert (expand(table, high - low) == counts[:, low:high]).all()
        assert (edge.out_degree == known.out_degree).all()


@every_rule
@both_threads
def test_drawn_rows_serve_too(name: str, threads: int) -> None:
    edge = graph(name).edges[0]
    counts = synapses_per_pair(edge)
    assert edge.pattern.drawn is not None
    (table,) = bitmaps(edge, [(0, edge.n_post)], threads)
    assert (expanded_bits(table, edge.n_post) == counts).all()


def test_a_second_round_of_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (partners, walks):  # far too few words at first
        monkeypatch.setattr(module, "words_for", lambda total, p: int(total * p / 2) + 1)
    known = synapses_per_pair(graph("probability").edges[0])
    for threads in (1, 3):
        (table,) = rows16(graph("probability").edges[0], [(0, 317)], threads)
        assert (expanded(table, 317) == known).all()


# ----------------------------------------------------------------------------------------- weights, delays of their own
def entries(table: Segments, n_pre: int) -> np.ndarray:
    """Return source, delay, cell, weight of every entry, in the order of the table."""
    first = table.first.astype(np.int64)
    assert len(first) == n_pre * table.delays + 1 and first[0] == 0 and first[-1] == len(table.cells)
    source, delay = np.divmod(np.repeat(np.arange(len(first) - 1), np.diff(first)), table.delays)
    return np.stack([source, delay + table.min_delay, table.cells, table.weights])


def expected_entries(parts: list[Part], known: dict[str, Edge], snap: bool) -> np.ndarray:
    found = []
    for number, part in enumerate(parts):
        edge = known[part.edge.name]
        source, target = pairs(edge)
        here = (target >= part.low) & (target < part.high)
        weights = np.broadcast_to(edge.weights, source.shape)[here] / (edge.weight.grid if snap else 1.0)  # type: ignore[attr-defined]
        delays = np.broadcast_to(edge.delays, source.shape)[here]
        order = np.full(here.sum(), number)
        found.append(np.stack([source[here], delays, order, target[here] - part.low + part.cell, weights]))
    both = np.concatenate(found, axis=1)
    return both[:, np.lexsort(both[3::-1])][[0, 1, 3, 4]]  # stable: repeated pairs keep their order


@every_rule
def test_segments(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(segments_function.__globals__, "SYNAPSES", 3000)  # many parts for the threads
    for k, (weight, delay) in enumerate(NUMBERS[:3] if RULES[name][0].has_weights else NUMBERS):
        snap = k != 2
        known = {e.name: e for e in graph(name, weight, delay, snap).edges}
        n = known["a->b"].n_post
        for count in (1, 2) if n > 64 else (1,):
            ab, ac = graph(name, weight, delay, snap).edges
            tiles = [[Part(ab, 0, n, 0), Part(ac, 0, 150, n)]]
            if count == 2:
                tiles = [[Part(ab, 0, 64, 20), Part(ac, 64, 150, 500)], [Part(ac, 0, 64), Part(ab, 64, n, 100)]]
            for parts, table in zip(tiles, segments(tiles, 2 - k % 2), strict=True):
                assert table.weights.dtype == (np.int32 if snap else np.float64)
                assert (entries(table, ab.n_pre) == expected_entries(parts, known, snap)).all()
            for edge in (ab, ac):
                assert (edge.out_degree == known[edge.name].out_degree).all()


@every_rule
@pytest.mark.parametrize("snap", [True, False])
def test_dense(name: str, snap: bool) -> None:
    known = graph(name, Normal(0.0, 0.3), snap=snap).edges[0]
    matrix = np.zeros((known.n_pre, known.n_post))
    np.add.at(matrix, pairs(known), known.weights)
    matrix /= known.weight.grid if snap else 1.0  # type: ignore[attr-defined]
    for tiles in cuts(known.n_post):
        edge = graph(name, Normal(0.0, 0.3), snap=snap).edges[0]
        for (low, high), found in zip(tiles, dense(edge, tiles, 2), strict=True):
            assert found.flags.c_contiguous
            assert (
                found.dtype == np.int32 if snap and np.abs(matrix[:, low:high]).max(initial=0) < 2**31 else np.float64
            )
            assert found == pytest.approx(matrix[:, low:high], rel=0 if snap else 1e-12)


def test_weights_beyond_the_grid_are_kept_in_float64() -> None:
    edge = graph("all").edges[0]
    weights = np.arange(-6650.0, 6650.0)
    changed = replace(edge, weight=Snapped(Given(weights), 2.0**-30))  # what was set after lowering
    (table,), (matrix,) = segments([[Part(changed, 0, 190)]]), dense(changed, [(0, 190)])
    assert table.weights.dtype == matrix.dtype == np.float64
    assert (table.weights == weights * 2**30).all() and (matrix.reshape(-1) == weights * 2**30).all()


def test_weights_of_zero_do_not_count() -> None:
    net = Network(
        [Population("a", 40, lif()), Population("b", 30, lif())],
        [Projection("a", "b", AllToAll(), weight=np.arange(1200) % 7 - 3.0, delay=1 * ms)],
    )
    first, second = lower(net).edges[0], lower(net).edges[0]
    segments([[Part(first, 0, 30)]])
    assert (first.out_degree == (np.arange(1200).reshape(40, 30) % 7 != 3).sum(axis=1)).all()
    assert (first.out_degree == second.out_degree).all()


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = graph("total").edges[0]
    for tiles in ([(0, 65)], [(3, 64)], [(64, 128), (0, 64)], [(0, 400)]):
        with pytest.raises(InvalidValueError, match="tiles must be ascending ranges"):
            rows16(edge, tiles)
    with pytest.raises(UnsupportedError, match="65536 cells"):
        segments([[Part(edge, 0, 317, 65500)]])
    monkeypatch.setattr(rows, "MAX_ENTRIES", 9000)
    with pytest.raises(UnsupportedError, match="9000 synapses into one tile"):
        rows16(edge, [(0, 317)])
    with pytest.raises(InvalidValueError, match="can be drawn"):
        walks.out_degrees(FixedTotalNumber(2**40), (10,), (10,), edge.pattern.stream)


# --------------------------------------------------------------------------------------------------------- lazy edges
@every_rule
def test_degrees_without_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known, edge = graph(name).edges[0], graph(name).edges[0]
    source, target = pairs(known)
    monkeypatch.setattr(synapses, "compiled", lambda n: True)
    edge.forget()
    assert (edge.pattern.in_degree() == np.bincount(target, minlength=edge.n_post)).all()
    assert (edge.pattern.out_degree == np.bincount(source, minlength=edge.n_pre)).all()
    assert edge.synapses == len(source) and edge.pattern.drawn is None
    most = edge.pattern.rule.most_inputs(edge.pattern.pre, edge.pattern.post)
    assert most is None or most >= np.bincount(target, minlength=edge.n_post).max()


@every_rule
@pytest.mark.parametrize(("weight", "delay"), NUMBERS)
def test_what_is_known_beforehand_holds(name: str, weight: object, delay: object) -> None:
    made = graph(name, weight, delay)
    edge = made.edges[0]
    weights, delays = np.asarray(edge.weights), np.asarray(edge.delays)
    assert edge.weight_limit == np.abs(weights).max(initial=0.0)
    assert (edge.min_delay, edge.max_delay) == ((delays.min(), delays.max()) if delays.size else (0, 0))
    assert (edge.constant_weight is None) == (weights.ndim == 1)
    assert (edge.constant_delay is None) == (delays.ndim == 1)
    total = np.bincount(edge.indices, np.broadcast_to(np.abs(weights), (edge.synapses,)), edge.n_post).max(initial=0.0)
    exactness = made.exactness["b", "i"]
    assert 2.0**exactness.bits * exactness.grid >= total
    before = edge.indices
    edge.forget()
    assert (edge.indices == before).all() and edge.indices is not before
    assert (np.asarray(edge.weights) == weights).all() and (np.asarray(edge.delays) == delays).all()


def test_lowering_draws_no_synapses() -> None:
    for name in ("all", "probability", "indegree", "outdegree", "total", "small world"):
        edge = graph(name).edges[0]
        assert edge.pattern.drawn is None and not {"_weights", "_delays"} & set(edge.__dict__)


SMALL = """
import resource, sys
from spikesim import Network, Population, Projection, ms
from spikesim.connect import FixedIndegree, FixedTotalNumber
from spikesim.distributions import Normal
from spikesim.lowering import lower
from spikesim.models.neurons import lif
from spikesim.backends.numba.build import Part, bitmaps, rows16, segments

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

def build(n, k):
    populations = [Population("a", n, lif()), Population("b", n, lif())]
    delay = Normal(1.5 * ms, 0.75 * ms, 0.05 * ms)
    projections = [
        Projection("a", "b", FixedIndegree(k), weight=1.0, delay=1 * ms, name="bits"),
        Projection("a", "b", FixedIndegree(k), weight=1.0, delay=1 * ms, name="rows"),
        Projection("a", "b", FixedTotalNumber(n * k), weight=Normal(1.0, 0.1), delay=delay, name="segments"),
    ]
    bits, rows, own = lower(Network(populations, projections, dt=0.1 * ms)).edges
    tiles = [(0, n)]
    before = peak()
    kept = bitmaps(bits, tiles, 2)
    after = peak()
    print(after - before, kept[0].bits.nbytes + kept[0].rest.targets.nbytes)
    kept = rows16(rows, tiles, 2)
    print(peak() - after, kept[0].targets.nbytes)
    after = peak()
    kept = segments([[Part(own, 0, n)]], 2)
    print(peak() - after, kept[0].cells.nbytes + kept[0].weights.nbytes + kept[0].first.nbytes)

build(500, 100)
build(20000, 1000)
"""


def test_little_memory_besides_the_tables() -> None:
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines()[-3:]:  # 20 million synapses each; what the tables before left is used again
        grown, table = (float(x) for x in line.split())
        assert grown < 1.5 * table / 2**20 + 40, line
