"""Published networks: sizes, in-degrees, weights and drives against their sources, without simulating."""

from typing import Any

import numpy as np
import pytest

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.graph import Edge, Graph
from spikesim.lowering import lower
from spikesim.models.networks import NETWORKS, brunel, coba, cuba, digits_mlp, microcircuit
from spikesim.models.networks.microcircuit import POPULATIONS, direct_current, indegree
from spikesim.network import Network, Projection
from spikesim.stimulus import Input, PoissonDrive

SMALL: dict[str, dict[str, Any]] = {
    "brunel": {"n": 500},
    "microcircuit": {"scale": 0.01},
    "resnet19": {"width": 2, "shape": (3, 8, 8)},
    "resnet20": {"width": 2, "shape": (3, 16, 16)},
    "vgg16": {"width": 2, "shape": (3, 16, 16)},
}


def edge(graph: Graph, name: str) -> Edge:
    return next(e for e in graph.edges if e.name == name)


def in_degrees(e: Edge) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.bincount(e.indices, minlength=e.n_post)


def synapses_by_rule(net: Network) -> int:
    total = 0
    for p in net.projections:
        assert isinstance(p, Projection)
        total += p.rule.k * net.population(p.post).n if hasattr(p.rule, "k") else p.rule.n  # type: ignore[attr-defined]
    return total


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_lowers_and_depends_on_its_seed_alone(name: str) -> None:
    settings = SMALL.get(name, {})
    first, again, other = (lower(NETWORKS[name](**settings, seed=s)) for s in (3, 3, 4))
    assert first.name == name and first.neurons == again.neurons
    for a, b in zip(first.edges, again.edges, strict=True):
        assert (a.indices == b.indices).all() and (a.indptr == b.indptr).all() and np.all(a.weights == b.weights)
    assert any(
        a.synapses != b.synapses or (a.indices != b.indices).any() or np.any(a.weights != b.weights)
        for a, b in zip(first.edges, other.edges, strict=True)
    )
    assert all(e.exact for e in first.exactness.values())
    assert NETWORKS[name].__doc__


@pytest.mark.parametrize("make", [cuba, coba])
def test_balanced_benchmarks(make: Any) -> None:
    net = make()
    graph = lower(net)
    assert [(n.name, n.n) for n in graph.nodes] == [("exc", 3200), ("inh", 800)]
    assert graph.dt == 1e-4
    assert abs(graph.synapses - 0.02 * 4000**2) < 5 * np.sqrt(0.02 * 0.98 * 4000**2)
    for e in graph.edges:
        assert e.port == e.pre and e.delays == 1
        assert abs(in_degrees(e).mean() - 0.02 * e.n_pre) < 0.05 * 0.02 * e.n_pre
    p = graph.node("exc").params
    named = {"tau_m": 20e-3, "tau_exc": 5e-3, "tau_inh": 10e-3, "e_l": -49e-3, "v_th": -50e-3, "v_reset": -60e-3}
    assert {k: p[k] for k in named} == pytest.approx(named) and p["t_ref"] == pytest.approx(5e-3)
    assert graph.node("exc").constants["n_ref"] == 50
    v = np.concatenate([n.init["v"] for n in graph.nodes])
    assert v.min() >= -60e-3 and v.max() < -50e-3 and abs(v.mean() + 55e-3) < 2e-4
    assert not graph.drives and not graph.sources


def test_autapses_are_allowed_in_the_benchmarks() -> None:
    e = edge(lower(cuba()), "exc->exc:exc")
    own = sum(i in e.indices[e.indptr[i] : e.indptr[i + 1]] for i in range(3200))
    assert 30 < own < 100  # 64 expected


def test_weights_of_the_benchmarks() -> None:
    weights = {p.name: p.weight for p in cuba().projections}
    assert weights["exc->inh:exc"] == pytest.approx(1.62e-3) and weights["inh->exc:inh"] == pytest.approx(-9e-3)
    weights = {p.name: p.weight for p in coba().projections}
    assert weights["exc->inh:exc"] == 0.6 and weights["inh->exc:inh"] == 6.7
    c = lower(coba(400)).node("exc").params
    assert (c["e_exc"], c["e_inh"]) == (0.0, pytest.approx(-80e-3))


def test_other_sizes_keep_the_synapses_per_neuron() -> None:
    assert abs(lower(cuba(1000)).synapses / 1000 - 80) < 2


@pytest.mark.parametrize(
    ("n", "c_exc", "c_inh", "j_mv", "rate", "synapses"),
    [
        (1250, 100, 25, 1.0, 2000.0, 156_250),
        (12500, 1000, 250, 0.1, 20000.0, 15_625_000),
        (50000, 1000, 250, 0.1, 20000.0, 62_500_000),
    ],
)
def test_brunel_dimensions(n: int, c_exc: int, c_inh: int, j_mv: float, rate: float, synapses: int) -> None:
    net = brunel(n)
    assert [p.n for p in net.populations] == [int(0.8 * n), n - int(0.8 * n)]
    assert synapses_by_rule(net) == synapses
    for p in net.projections:
        assert p.rule.k == (c_exc if p.pre == "exc" else c_inh)  # type: ignore[attr-defined]
        assert p.weight == pytest.approx(j_mv * 1e-3 * (1.0 if p.pre == "exc" else -5.0))
        assert p.delay == pytest.approx(1.5e-3)
    for d in net.stimuli:
        assert isinstance(d, PoissonDrive)
        assert d.rate == pytest.approx(rate) and d.weight == pytest.approx(j_mv * 1e-3)


def test_brunel_lowers_to_fixed_in_degrees_and_whole_delays() -> None:
    graph = lower(brunel(1250))
    for e in graph.edges:
        assert (in_degrees(e) == (100 if e.pre == "exc" else 25)).all() and e.delays == 15
    node = graph.node("inh")
    assert node.constants["n_ref"] == 20 and node.constants["v_th"] == pytest.approx(20e-3)
    assert node.model.options["threshold"] == ">="
    pairs = np.repeat(np.arange(1000), np.diff(edge(graph, "exc->exc").indptr)) * 1000 + edge(graph, "exc->exc").indices
    assert len(np.unique(pairs)) < len(pairs)  # drawn with replacement


def test_brunel_without_synapses_and_with_other_settings() -> None:
    assert brunel(1250, recurrent=False).projections == ()
    net = brunel(1250, g=4.0, eta=1.0)
    assert {p.weight for p in net.projections} == {1e-3, -4e-3}
    assert net["poisson_inh"].rate == pytest.approx(1000.0)  # type: ignore[union-attr]


# rows: target; columns: synapses from 23E 23I 4E 4I 5E 5I 6E 6I at scale 0.1
MICROCIRCUIT = {
    "23E": (2068, 1280, 95.23, [454753, 223137, 202457, 96576, 32881, 0, 22541, 0]),
    "23I": (583, 1200, 158.78, [174317, 50138, 40985, 16849, 22154, 0, 3498, 0]),
    "4E": (2192, 1680, 169.58, [34853, 7453, 244846, 174045, 7014, 0, 146206, 0]),
    "4I": (548, 1520, 186.48, [81104, 877, 99352, 52224, 877, 0, 88118, 0]),
    "5E": (485, 1600, 127.69, [106118, 18139, 55048, 1504, 20370, 24056, 14356, 0]),
    "5I": (106, 1520, 145.55, [12349, 1685, 6042, 127, 3180, 4282, 1314, 0]),
    "6E": (1440, 2320, 85.14, [46800, 5472, 67248, 13104, 41040, 3024, 83664, 108288]),
    "6I": (295, 1680, 173.18, [22597, 148, 2183, 59, 4012, 236, 28880, 13541]),
}


def test_microcircuit_at_a_tenth() -> None:
    net = microcircuit(0.1)
    assert sum(p.n for p in net.populations) == 7717
    assert synapses_by_rule(net) == 2_986_121
    names = {p.name for p in net.projections}
    for target, (n, rate, dc, row) in MICROCIRCUIT.items():
        assert net.population(target).n == n
        drive = net[f"background_{target}"]
        assert isinstance(drive, PoissonDrive)
        assert drive.rate == pytest.approx(rate) and drive.weight == pytest.approx(277.6e-12, rel=2e-4)
        assert net.population(target).neuron.value("i_e") == pytest.approx(dc * 1e-12, abs=5e-15)
        for source, synapses in zip(POPULATIONS, row, strict=True):
            assert (f"{source}->{target}" in names) == (synapses > 0)
            if synapses:
                projection = net[f"{source}->{target}"]
                assert projection.rule.n == synapses  # type: ignore[union-attr]


def test_microcircuit_weights_and_delays() -> None:
    graph = lower(microcircuit(0.1))
    assert graph.synapses == 2_986_121
    expected = {"23E->23E": (277.6, 27.8), "4E->23E": (555.3, 27.8), "23I->23E": (-1110.6, 111.1)}
    for name, (mean, sd) in expected.items():
        e = edge(graph, name)
        w = np.asarray(e.weights) * 1e12
        assert w.mean() == pytest.approx(mean, rel=2e-3) and w.std() == pytest.approx(sd, rel=2e-2)
        assert (np.sign(w) == np.sign(mean)).all()
        delays = np.asarray(e.delays)
        centre = 15.0 if mean > 0 else 7.5
        # Normal(m, m/2) without what lies below 0.05 ms
        assert delays.min() == 1 and delays.mean() == pytest.approx(1.034 * centre, rel=0.01)
        assert delays.std() == pytest.approx(0.467 * centre, rel=0.03)
    v = np.concatenate([n.init["v"] for n in graph.nodes])
    assert v.mean() == pytest.approx(-58e-3, abs=3e-4) and v.std() == pytest.approx(5e-3, rel=0.05)
    assert graph.node("4E").constants["n_ref"] == 20


def test_microcircuit_at_full_scale() -> None:
    net = microcircuit(1.0)
    assert sum(p.n for p in net.populations) == 77169
    assert 2.9e8 < synapses_by_rule(net) < 3.0e8
    assert direct_current("23E", 1.0) == 0.0
    assert indegree("5I", "23E") == 0


def test_digits_mlp() -> None:
    net = digits_mlp((32, 16), seed=5)
    source = net["image"]
    assert isinstance(source, Input) and not source.graded and source.n == 64
    graded = digits_mlp((32,), graded=True)["image"]
    assert isinstance(graded, Input) and graded.graded
    assert [(p.name, p.n, p.model.name) for p in net.populations] == [
        ("layer1", 32, "lif_soft"),
        ("layer2", 16, "lif_soft"),
        ("layer3", 10, "lif_soft"),
    ]
    graph = lower(net)
    assert [n.level for n in graph.nodes] == [0, 1, 2]  # no delays: the layers of one step follow one another
    w = np.asarray(edge(graph, "image->layer1").weights)
    assert w.size == 64 * 32 and w.std() == pytest.approx(np.sqrt(2 / 64), rel=0.05)
    assert not digits_mlp((8,), readout="membrane").population("layer2").model.spiking


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: cuba(5), InvalidValueError),
        (lambda: coba(3.5), InvalidValueError),  # type: ignore[arg-type]
        (lambda: brunel(10), InvalidValueError),
        (lambda: microcircuit(0.0), InvalidValueError),
        (lambda: microcircuit(1.5), InvalidValueError),
        (lambda: digits_mlp(readout="votes"), UnknownNameError),  # type: ignore[arg-type]
    ],
)
def test_impossible_sizes(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()
