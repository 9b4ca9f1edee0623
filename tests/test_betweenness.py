"""Betweenness against networkx, rustworkx and what is plain to see."""

import numpy as np
import pytest
from scipy import sparse

from spikesim.errors import InvalidValueError
from spikesim.sparsify import betweenness


def random_graph(n=60, p=0.08, seed=0):
    rng = np.random.default_rng(seed)
    return sparse.csr_array((rng.random((n, n)) < p) * rng.standard_normal((n, n)))


def test_exact_equals_a_peer(require):
    require("rustworkx")
    for matrix in (random_graph(), random_graph(40, 0.02, 1)):  # the second falls into pieces
        found = betweenness(matrix)
        assert found.sources == matrix.shape[0] and not found.errors.any()
        np.testing.assert_allclose(betweenness(matrix, engine="rustworkx").values, found.values, atol=1e-9)
        np.testing.assert_allclose(betweenness(matrix.T).values, found.values, atol=1e-9)  # reversed


def test_samples_estimate_it_with_honest_errors():
    matrix = random_graph(300, 0.02, 3)
    exact = betweenness(matrix).values
    samples = [betweenness(matrix, sources=100, seed=seed) for seed in range(10)]
    off = np.array([s.values - exact for s in samples])
    claimed = np.array([s.errors for s in samples])
    assert 0.8 < np.sqrt((off**2).mean() / (claimed**2).mean()) < 1.25
    assert abs(off.mean()) < 0.02 * exact.mean()
    found = samples[0]
    assert np.corrcoef(found.values, exact)[0, 1] > 0.85


def test_hubs_and_bridges():
    star = np.zeros((6, 6))
    star[0, 1:] = star[1:, 0] = 1.0
    assert betweenness(star).values.tolist() == [20.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    cliques = np.zeros((10, 10))
    cliques[:5, :5] = cliques[5:, 5:] = 1.0
    cliques[4, 5] = cliques[5, 4] = 1.0
    assert set(np.argsort(-betweenness(cliques).values)[:2].tolist()) == {4, 5}


def test_refusals():
    with pytest.raises(InvalidValueError, match="square"):
        betweenness(np.ones((2, 3)))
    with pytest.raises(InvalidValueError, match="sources"):
        betweenness(np.ones((3, 3)), sources=4)
    with pytest.raises(InvalidValueError, match="engine"):
        betweenness(np.ones((3, 3)), engine="igraph")
