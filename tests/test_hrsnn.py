"""The heterogeneous recurrent networks: what is drawn, what learns, and equal spikes on both engines."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse, stats

from spikesim import run
from spikesim.engine import compile as compile_network
from spikesim.errors import InvalidValueError
from spikesim.lowering import lower
from spikesim.models.networks import _small_world, chrsnn, hrsnn, mrsnn
from spikesim.models.networks._small_world import time_constants
from spikesim.reservoir import settled
from spikesim.rng import Stream

ROOT = Path(__file__).resolve().parents[1]


def whole_matrix(network):
    """The recurrent weights of a network, [targets, sources], populations side by side."""
    graph, names = lower(network), [p.name for p in network.populations]
    blocks = [[None] * len(names) for _ in names]
    for e in graph.edges:
        if e.pre in names:
            block = sparse.csr_array((e.weights, e.indices, e.indptr), shape=(e.n_pre, e.n_post)).T
            row, column = names.index(e.post), names.index(e.pre)
            blocks[row][column] = block if blocks[row][column] is None else blocks[row][column] + block
    return sparse.csr_array(sparse.block_array(blocks))


def series(channels=3, steps=400, samples=2):
    return np.random.default_rng(5).normal(size=(steps // 5, samples, channels)).repeat(5, axis=0)


def test_time_constants_are_the_clipped_gamma_distribution():
    tau = time_constants(20_000, 20e-3, 3.0, Stream(1, "t"))
    inside = tau[(tau > 3e-3) & (tau < 0.1)]
    law = stats.gamma(3.0, scale=20e-3 / 3)
    low, high = law.cdf([3e-3, 0.1])
    assert stats.kstest(inside, lambda t: (law.cdf(t) - low) / (high - low)).pvalue > 1e-3
    assert abs((tau == 3e-3).mean() - low) < 0.005 and tau.max() <= 0.1


@pytest.mark.parametrize("make", [hrsnn, mrsnn, chrsnn])
def test_sources_keep_one_sign_and_the_radius_is_what_was_asked(make):
    w = whole_matrix(make(80, radius=0.7, seed=3))
    dense = w.toarray()
    positive = np.array([(c[c != 0] > 0).all() for c in dense.T])
    negative = np.array([(c[c != 0] < 0).all() for c in dense.T])
    assert (positive ^ negative).all() and positive.mean() == 0.8
    assert np.abs(np.linalg.eigvals(dense)).max() == pytest.approx(0.7, rel=1e-6)
    assert (np.diag(dense) == 0).all()
    ratio = -dense[dense < 0].mean() / dense[dense > 0].mean()
    assert 3.5 < ratio < 4.5


def test_the_radius_of_a_large_matrix_is_found_without_making_it_dense(monkeypatch):
    w = whole_matrix(hrsnn(120, k=20))
    monkeypatch.setattr(_small_world, "DENSE_UP_TO", 0)
    assert _small_world.spectral_radius(w) == pytest.approx(np.abs(np.linalg.eigvals(w.toarray())).max(), rel=1e-6)


def test_the_control_differs_in_time_constants_only():
    a, b = hrsnn(80, seed=4), mrsnn(80, seed=4)
    assert (whole_matrix(a) != whole_matrix(b)).nnz == 0
    tau = [np.broadcast_to(n.population("recurrent").neuron.params["tau_m"], 80) for n in (a, b)]
    assert np.std(tau[0]) > 5e-3 and (tau[1] == 20e-3).all()
    # a constant input reaches the same level through any time constant
    ways = [
        n["series->recurrent"].rule.weights / (1 - np.exp(-1e-3 / t))[:, None] for n, t in zip((a, b), tau, strict=True)
    ]
    np.testing.assert_allclose(*ways)


def test_membranes_rest_at_the_bias():
    net = hrsnn(20, bias=0.6, gain=1e-9, tau=4e-3, seed=1)
    program = compile_network(net)
    program.reset(1)
    program.step(250)
    np.testing.assert_allclose(program.get_state("recurrent", "v"), 0.6, atol=1e-3)


def test_clusters_have_their_own_time_constants_and_a_connected_ring():
    net = chrsnn(200, taus=(5e-3, 20e-3, 40e-3, 60e-3), p=0.0, seed=2)
    means = [np.mean(p.neuron.params["tau_m"]) for p in net.populations]
    assert means == sorted(means) and means[-1] > 3 * means[0]
    pairs = {(p.pre, p.post) for p in net.projections if p.pre.startswith("cluster")}
    names = [p.name for p in net.populations]
    assert pairs == {(a, names[(k + d) % 4]) for k, a in enumerate(names) for d in (-1, 0, 1)}
    assert [p.n for p in chrsnn(43).populations] == [10, 11, 11, 11]


@pytest.mark.parametrize("make", [lambda: hrsnn(48, seed=2), lambda: chrsnn(60), lambda: hrsnn(48, stdp=3)])
def test_numba_and_torch_give_the_same_spikes(make):
    u = series()
    one, other = (run(make(), inputs={"series": u}, backend=b) for b in ("numba", "torch"))
    assert one.counts.spikes > 300
    for name in one.spikes:
        assert (one[name].step == other[name].step).all() and (one[name].neuron == other[name].neuron).all()


def test_plastic_groups_share_the_synapses_out():
    plain, plastic = hrsnn(60, seed=6), hrsnn(60, stdp=4, seed=6)
    assert abs(whole_matrix(plain) - whole_matrix(plastic)).max() < 1e-8  # the port's grid follows w_max
    rules = [p for p in plastic.projections if p.plasticity is not None]
    assert len(rules) == 4 and all(p.rule.weights.data.min() > 0 and p.rule.weights.nnz > 50 for p in rules)
    for name in ("a_plus", "a_minus", "tau_plus", "tau_minus"):
        assert len({p.plasticity.value(name) for p in rules}) == 4
    lower(hrsnn(240, stdp=8, seed=5))  # one of its weights is beyond three times the mean
    same = [p.plasticity.params for p in mrsnn(60, stdp=2).projections if p.plasticity is not None]
    assert same[0] == same[1]


def test_settled_weights_are_the_learned_ones_joined():
    net, u = hrsnn(40, stdp=2, seed=1), series(samples=1, steps=600)
    program = compile_network(net, "torch")
    program.reset(1)
    program.advance(len(u), {"series": u})
    expected = whole_matrix(net).toarray() * 0
    for e in program.graph.edges:
        if e.pre == "recurrent":
            learned = program.get_weights(e.name)
            expected += sparse.csr_array((learned, e.indices, e.indptr), shape=(40, 40)).T.toarray()
    still = settled(net, u[::5, 0], hold=5)
    assert [p.name for p in still.projections] == ["recurrent->recurrent", "series->recurrent"]
    np.testing.assert_allclose(still["recurrent->recurrent"].rule.weights.toarray(), expected, rtol=0, atol=1e-9)
    change = abs(expected - whole_matrix(net).toarray()).max()
    assert change > 1e-3 and still["recurrent->recurrent"].plasticity is None


def test_what_cannot_be_built_is_said():
    with pytest.raises(InvalidValueError) as error:
        hrsnn(40, 0, radius=-1.0, tau=0.0)
    assert all(word in str(error.value) for word in ("inputs", "radius", "tau"))
    for wrong in (
        lambda: hrsnn(5),
        lambda: hrsnn(40, k=7),
        lambda: hrsnn(40, k=40),
        lambda: chrsnn(80, taus=(0.01, 0.02)),
    ):
        with pytest.raises(InvalidValueError):
            wrong()
    with pytest.raises(InvalidValueError, match="learns"):
        settled(hrsnn(40), np.zeros((10, 3)))


def test_the_page_is_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    text = importlib.import_module("page_hrsnn").hrsnn()
    assert text == (ROOT / "docs" / "methods" / "hrsnn.md").read_text("utf-8"), "run benchmarks/write_docs.py"
    assert "{" not in text
