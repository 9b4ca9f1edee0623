"""Noise-prune against what is known exactly: the Lyapunov equation, leverage scores, unbiasedness, dominance."""

import numpy as np
import pytest
from scipy import sparse

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.sparsify import covariance, eigen_errors, noise_prune, simulated_covariance
from spikesim.sparsify.noise import draw, noise_terms, scaled_to

DELTA = 1e-3


def clustered(sizes=(75, 15, 60), links=150, seed=0, signed=True):
    """Dense clusters, few links between them, and a diagonal that dominates by 1e-3 (method file, section 8)."""
    rng = np.random.default_rng(seed)
    n, group = sum(sizes), np.repeat(np.arange(len(sizes)), sizes)
    inside = np.triu(group[:, None] == group, 1) & (rng.random((n, n)) < 0.6)
    w = np.where(inside, rng.normal(1.0, 1.0, (n, n)) if signed else rng.random((n, n)), 0.0)
    i, j = np.nonzero(np.triu(group[:, None] != group, 1))
    some = rng.choice(len(i), links // 2, replace=False)
    w[i[some], j[some]] = rng.random(len(some))
    w = w + w.T
    w /= 1.1 * np.linalg.eigvalsh(w)[-1]
    return w - np.diag(np.abs(w).sum(axis=1) + DELTA)


def general(n=20, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, 0.5 / np.sqrt(n), (n, n)) - np.diag(rng.uniform(0.8, 1.5, n))


def test_covariance_solves_the_lyapunov_equation():
    a = general()
    c = covariance(a, sigma=0.7)
    assert np.abs(a @ c + c @ a.T + 0.49 * np.eye(20)).max() < 1e-10
    s = clustered()
    np.testing.assert_allclose(covariance(s), -np.linalg.inv(s) / 2, rtol=1e-8)
    np.testing.assert_allclose(covariance(s, method="symmetric"), -np.linalg.inv(s) / 2, rtol=1e-8)


def test_a_normal_matrix_has_a_closed_form_too():
    a = np.array([[-1.0, 2.0], [-2.0, -1.0]])  # a damped rotation
    np.testing.assert_allclose(covariance(a, method="normal"), covariance(a), rtol=1e-12)
    np.testing.assert_allclose(covariance(a), 0.5 * np.eye(2), rtol=1e-12)


def test_simulation_agrees_within_its_error():
    a = general()
    i, j = np.nonzero(~np.eye(20, dtype=bool))
    found, c = simulated_covariance(a, i, j, samples=200, seed=3), covariance(a)
    assert 0.0 < found.error < 0.05
    assert np.abs(found.variance / np.diag(c) - 1.0).mean() < 2.0 * found.error
    assert np.abs(found.pairs - c[i, j]).mean() < 2.0 * found.error * np.diag(c).mean()


def test_refusals():
    with pytest.raises(InvalidValueError, match="unstable"):
        covariance(np.eye(3))
    with pytest.raises(InvalidValueError, match="A = A"):
        covariance(general(), method="symmetric")
    with pytest.raises(InvalidValueError, match="square"):
        covariance(np.ones((2, 3)))
    with pytest.raises(UnknownNameError, match="uniform"):
        noise_prune(general(), 0.5, rule="unifrom")
    with pytest.raises(InvalidValueError, match="keep"):
        noise_prune(general(), 0.0)


@pytest.mark.parametrize("signed", [True, False])
def test_terms_are_leverage_scores(signed):
    """Their sum over edges is N - delta tr((-A)^-1): about N with frustrated edges, N - 1 without."""
    a = clustered(signed=signed)
    n, c = len(a), covariance(a, method="symmetric")
    i, j = np.nonzero(np.triu(a, 1))
    total = 2.0 * noise_terms(a[i, j], c[i, i], c[j, j], c[i, j]).sum()
    assert total == pytest.approx(n + DELTA * np.trace(np.linalg.inv(a)), abs=1e-8)
    assert total == pytest.approx(n if signed else n - 1, abs=0.6)


def test_inhibition_adds_the_covariance():
    one = np.ones(1)
    assert noise_terms(2 * one, 3 * one, 4 * one, one)[0] == 2 * (7 - 2)
    assert noise_terms(-2 * one, 3 * one, 4 * one, one)[0] == 2 * (7 + 2)
    assert noise_terms(0 * one, 3 * one, 4 * one, one)[0] == 0


def test_probabilities_hit_the_target_after_clipping():
    terms = np.random.default_rng(0).lognormal(0.0, 2.0, 1000)
    for floor in (0.0, 0.01):
        p = scaled_to(terms, 300, floor)
        assert p.sum() == pytest.approx(300, abs=1e-6) and p.min() >= floor and p.max() <= 1.0
    assert (np.clip(300 * terms / terms.sum(), 0, 1).sum()) < 290  # clipping without iterating loses entries
    assert scaled_to(np.array([1.0, 0.0, 0.0]), 2.0).tolist() == [1.0, 0.5, 0.5]


def test_a_fixed_number_is_drawn_with_the_right_probabilities():
    p = np.array([0.1, 0.3, 0.6, 1.0, 0.0, 0.5, 0.5])
    rng = np.random.default_rng(0)
    draws = np.array([draw(p, rng.random(7), 3) for _ in range(4000)])
    assert (draws.sum(axis=1) == 3).all()
    np.testing.assert_allclose(draws.mean(axis=0), p, atol=0.04)


def test_pruned_matrices_are_right_on_average():
    a = clustered((16, 6, 10), 20)
    c = covariance(a, method="symmetric")
    off = ~np.eye(32, dtype=bool)

    def error(seeds):
        mean = sum(noise_prune(a, 0.3, c=c, seed=s).matrix for s in seeds) / len(seeds)
        return np.linalg.norm((mean.toarray() - a)[off]) / np.linalg.norm(a[off])

    few, many = error(range(20)), error(range(20, 340))
    assert many < 0.1 and few / many == pytest.approx(4.0, rel=0.35)  # 1 / sqrt(n)


def test_symmetric_pruning_stays_dominant_and_so_stable():
    a = clustered()
    found = noise_prune(a, 0.2, seed=1).matrix.toarray()
    assert (found == found.T).all()
    assert np.linalg.eigvalsh(found)[-1] < 0.0
    off = np.abs(found - np.diag(np.diag(found))).sum(axis=1)
    np.testing.assert_allclose(-np.diag(found) - off, DELTA, rtol=1e-6)


def test_keep_all_changes_nothing_and_seeds_decide():
    a = general()
    np.testing.assert_allclose(noise_prune(a, 1.0).matrix.toarray(), a)
    first, again, other = (noise_prune(a, 0.4, seed=s).matrix.toarray() for s in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    exact = noise_prune(sparse.csr_array(a), 0.4, exact=True)
    assert exact.kept == 152 and exact.entries == 380
    np.testing.assert_allclose(exact.matrix.diagonal(), np.diag(a))


def test_the_slow_modes_are_kept():
    """Bridges between clusters are; the slow modes are about five times better than with other rules."""
    slow, worst = {}, {}
    for rule in ("noise", "weight", "uniform"):
        errors = [eigen_errors(a := clustered(seed=s), noise_prune(a, 0.4, rule=rule, seed=s).matrix) for s in range(3)]
        slow[rule] = np.mean([e.slow for e in errors])
        worst[rule] = np.mean([e.largest for e in errors])
    assert 3.0 * slow["noise"] < min(slow["weight"], slow["uniform"])
    assert worst["noise"] < min(worst["weight"], worst["uniform"])


def test_dynamics_under_the_same_noise_stay_closer():
    a = clustered(seed=4)
    rng = np.random.default_rng(0)
    kicks, start = rng.standard_normal((600, len(a))), rng.random(len(a))

    def path(matrix):
        x, states = start.copy(), []
        for kick in kicks:
            x = x + 0.05 * (matrix @ x + 2e-4) + 0.01 * np.sqrt(0.05) * kick
            states.append(x)
        return np.array(states)

    whole = path(a)
    apart = {
        rule: np.mean([np.linalg.norm(path(noise_prune(a, 0.2, rule=rule, seed=s).matrix) - whole) for s in range(3)])
        for rule in ("noise", "weight", "uniform")
    }
    assert apart["noise"] < min(apart["weight"], apart["uniform"])
