"""Subspaces learned and exact, and the figures of an accuracy matrix: against analytic properties."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from spikesim.continual import Gpm, Hlop, Subspace, figures
from spikesim.continual.gpm import principal_rows
from spikesim.continual.subspace import away_from
from spikesim.errors import InvalidValueError, UnknownNameError

N, K = 60, 8


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def orthonormal(k, n, seed=0):
    return np.linalg.qr(normal(n, k, seed=seed))[0].T


class Source:
    """Rows with eight strong directions, eigenvalues from 3 to 1, and noise of variance 0.02 in the others."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)
        self.directions = np.linalg.qr(self.generator.normal(size=(N, N)))[0].T
        self.eigenvalues = np.concatenate([np.linspace(3, 1, K), np.full(N - K, 0.02)])

    @property
    def top(self):
        return self.directions[:K]

    def rows(self, m=64):
        return (self.generator.normal(size=(m, N)) * np.sqrt(self.eigenvalues)) @ self.directions

    def moment(self):
        return self.directions.T * self.eigenvalues @ self.directions


def degrees(one, other):
    return np.degrees(subspace_angles(np.asarray(one).T, np.asarray(other).T).max())


def learned(source, circuit, batches=50):
    circuit.add_subspace(K, np.random.default_rng(1))
    for _ in range(batches):
        circuit.update(source.rows())
    return circuit


# ------------------------------------------------------------------------------------------------------ the circuit
def test_the_circuit_finds_the_principal_subspace():
    source = Source(0)
    circuit = Subspace(N, learning_rate=0.05)
    circuit.add_subspace(K, np.random.default_rng(1))
    assert degrees(circuit.rows, source.top) > 60
    circuit = learned(source, Subspace(N, learning_rate=0.05))
    assert degrees(circuit.rows, source.top) < 6
    assert np.abs(circuit.rows @ circuit.rows.T - np.eye(K)).max() < 1e-2


@pytest.mark.parametrize(("frozen", "samples"), [(0, 7), (3, 7), (0, 4), (3, 1)])
def test_update_is_the_rule_as_it_is_written(frozen, samples):
    """Section by section: all rows respond and feed back, frozen ones do not change, momentum, clip."""
    settings = {"learning_rate": 0.03, "momentum": 0.8, "iterations": 4, "clip": 0.7}
    circuit, generator = Subspace(10, **settings), np.random.default_rng(0)
    circuit.add_subspace(3, generator)
    circuit.update(normal(7, 10, seed=1))
    if frozen:
        circuit.merge()
    circuit.add_subspace(2, generator)
    h, m = circuit.rows.copy(), circuit.velocity.copy()
    clipped = 0
    for seed in (2, 3):
        x = 1.5 * normal(samples, 10, seed=seed)
        for _ in range(4):
            y = x @ h.T
            d = y.T @ (x - y @ h) / samples
            clipped += (np.abs(d) > 0.7).sum()
            d = np.clip(d, -0.7, 0.7)
            m[frozen:] = 0.8 * m[frozen:] + 0.2 * d[frozen:]
            h[frozen:] += 0.03 * m[frozen:]
        circuit.update(x)
    assert clipped
    np.testing.assert_allclose(circuit.rows, h, rtol=0, atol=1e-12)
    np.testing.assert_allclose(circuit.velocity, m, rtol=0, atol=1e-12)


def test_bases_of_the_principal_subspace_are_fixed_points():
    x = normal(200, 12) * np.linspace(3, 0.5, 12)
    top = np.linalg.eigh(x.T @ x)[1].T[::-1][:4]
    circuit = Subspace(12, learning_rate=0.1)
    circuit.add_subspace(4, np.random.default_rng(0))
    circuit.rows[:] = rotated = orthonormal(4, 4) @ top
    circuit.update(x)
    np.testing.assert_allclose(circuit.rows, rotated, rtol=0, atol=1e-12)
    circuit.rows[:] = start = np.linalg.eigh(x.T @ x)[1].T[:4]  # the smallest: a fixed point too, but not a stable one
    circuit.rows += 1e-6 * normal(4, 12, seed=3)
    for _ in range(200):
        circuit.update(x / 3)
    assert degrees(circuit.rows, start) > 60 and degrees(circuit.rows, top) < 1


def test_new_rows_learn_what_old_ones_leave():
    circuit, second = learned(Source(0), Subspace(N, learning_rate=0.05), 200), Source(5)
    circuit.merge()
    old = circuit.rows.copy()
    learned(second, circuit, 300)
    assert np.array_equal(circuit.rows[:K], old)
    rest = np.eye(N) - np.linalg.pinv(old) @ old
    top = np.linalg.eigh(rest @ second.moment() @ rest)[1].T[::-1][:K]
    assert degrees(circuit.rows[K:], top) < 5
    assert np.abs(circuit.rows[K:] @ old.T).max() < 2e-2


def test_numpy_and_torch_learn_the_same():
    torch = pytest.importorskip("torch")
    ours, theirs = (Subspace(12, learning_rate=0.05, levels=30) for _ in range(2))
    for circuit in (ours, theirs):
        circuit.add_subspace(3, np.random.default_rng(0))
    for task in range(2):
        for seed in range(5):
            x = normal(9, 12, seed=10 * task + seed)
            ours.update(x)
            theirs.update(torch.as_tensor(x))
        for circuit in (ours, theirs):
            circuit.merge()
            circuit.add_subspace(2, np.random.default_rng(1))
    np.testing.assert_allclose(theirs.rows, ours.rows, rtol=0, atol=1e-12)
    g = normal(4, 12)
    np.testing.assert_allclose(theirs.project(torch.as_tensor(g)), ours.project(g), rtol=0, atol=1e-12)
    single = theirs.project(torch.as_tensor(g).float())
    assert single.dtype == torch.float32 and theirs.rows.dtype == torch.float32


def test_spiking_lateral_neurons_count_bursts():
    circuit = learned(Source(0), Subspace(N, learning_rate=0.05, levels=1000))
    assert degrees(circuit.rows, Source(0).top) < 6
    circuit.levels = 40
    y = circuit.respond(30 * Source(0).rows())
    assert np.abs(y).max() == 20
    np.testing.assert_allclose(y / 20 * 40, np.round(y / 20 * 40), rtol=0, atol=1e-12)
    circuit.merge()
    x = Source(1).rows()
    assert np.abs(circuit.project_rows(x) - circuit.project_rows(x, spiking=False)).max() > 1e-3


def test_a_circuit_never_gets_more_rows_than_dimensions():
    circuit, generator = Subspace(10), np.random.default_rng(0)
    circuit.add_subspace(7, generator)
    circuit.add_subspace(0, generator)
    with pytest.raises(InvalidValueError, match=r"7 rows and 4 more are 11.*10 dimensions; from 0 to 3"):
        circuit.add_subspace(4, generator)
    circuit.add_subspace(3, generator)
    assert len(circuit.rows) == 10
    with pytest.raises(InvalidValueError, match="from 0 to 0"):
        circuit.add_subspace(-1, generator)


@pytest.mark.parametrize("orthonormalise", [False, True])
def test_orthonormal_rows_on_request_leave_frozen_ones_alone(orthonormalise):
    circuit = Subspace(12, learning_rate=0.02, orthonormalise=orthonormalise)
    for task in range(3):
        circuit.add_subspace(3, np.random.default_rng(task))
        before = circuit.rows[: circuit.frozen].copy()
        for seed in range(3):
            circuit.update(normal(20, 12, seed=seed + task))
        learned_rows = circuit.rows.copy()
        circuit.merge()
        assert np.array_equal(circuit.rows[: len(before)], before)
        if not orthonormalise:
            assert np.array_equal(circuit.rows, learned_rows)
    error = np.abs(circuit.rows @ circuit.rows.T - np.eye(9)).max()
    assert error < 1e-12 if orthonormalise else error > 1e-3


# ---------------------------------------------------------------------------------------------------- the projection
def test_projectors():
    h = orthonormal(5, 12)
    p = away_from(np.eye(12), h)
    np.testing.assert_allclose(p @ p, p, rtol=0, atol=1e-14)
    np.testing.assert_allclose(p, p.T, rtol=0, atol=1e-14)
    np.testing.assert_allclose(h @ p, 0, rtol=0, atol=1e-14)


def frozen(k, n):
    circuit = Subspace(n)
    circuit.add_subspace(k, np.random.default_rng(0))
    assert np.array_equal(circuit.project(np.ones((2, n))), np.ones((2, n)))  # nothing is frozen yet
    circuit.rows += 0.05 * normal(k, n, seed=9)  # learned rows are not quite orthonormal
    circuit.merge()
    return circuit


def test_projecting_the_gradient_is_projecting_the_rows():
    circuit, x, error = frozen(4, 12), normal(30, 12, seed=1), normal(30, 5, seed=2)
    np.testing.assert_allclose(
        circuit.project(error.T @ x), error.T @ circuit.project_rows(x), rtol=0, atol=1e-12
    )  # fmt: skip


def test_projecting_the_gradient_of_a_convolution_is_projecting_its_patches():
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    image, error = torch.as_tensor(normal(3, 2, 6, 6)), torch.as_tensor(normal(3, 5, 3, 3, seed=1))
    circuit = frozen(4, 2 * 3 * 3)
    weight = torch.zeros((5, 2, 3, 3), dtype=torch.float64, requires_grad=True)
    functional.conv2d(image, weight, stride=2, padding=1).backward(error)
    patches = functional.unfold(image, 3, stride=2, padding=1).transpose(1, 2).flatten(0, 1)
    expected = error.flatten(2).transpose(1, 2).flatten(0, 1).T @ circuit.project_rows(patches)
    torch.testing.assert_close(circuit.project(weight.grad.flatten(1)), expected, rtol=0, atol=1e-12)


def test_filtering_over_time_commutes_with_the_projection():
    circuit, spikes = frozen(4, 12), (np.random.default_rng(0).random((20, 12)) < 0.3).astype(float)

    def traces(x):
        found = np.zeros_like(x)
        for t in range(len(x)):
            found[t] = (0.8 * found[t - 1] if t else 0) + x[t]
        return found

    np.testing.assert_allclose(
        circuit.project_rows(traces(spikes)), traces(circuit.project_rows(spikes)), rtol=0, atol=1e-12
    )  # fmt: skip


def test_old_responses_stay():
    """Exactly with the exact basis of all that was seen, nearly with learned rows of what was strong."""
    old, gradient = normal(40, 6) @ normal(6, 30, seed=1), normal(5, 50, seed=2) @ normal(50, 30, seed=3)

    def moved(change, x):
        return np.linalg.norm(change @ x.T) / np.linalg.norm(change) / np.linalg.norm(x)

    exact = principal_rows(old, np.zeros((0, 30)), share=1.0)
    assert exact.shape == (6, 30)
    assert moved(away_from(gradient, exact), old) < 1e-13 < 0.05 < moved(gradient, old)
    source = Source(0)
    circuit, unseen, change = learned(source, Subspace(N, learning_rate=0.05), 100), source.rows(500), normal(5, N)
    circuit.merge()
    assert moved(circuit.project(change), unseen) < 0.05 < 0.1 < moved(change, unseen)


# --------------------------------------------------------------------------------------------------------------- GPM
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_the_exact_basis_is_the_smallest_that_holds_the_share(share):
    basis, rows = np.zeros((0, 20)), normal(50, 20) * np.linspace(3, 0.1, 20)
    for _ in range(2):
        more = principal_rows(rows, basis, share=share)
        basis = np.concatenate([basis, more])

        def held(basis, rows=rows):
            return np.square(rows @ basis.T).sum() / np.square(rows).sum()

        assert held(basis) >= share - 1e-12
        assert len(more) == 0 or held(basis[:-1]) < share
        np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), rtol=0, atol=1e-13)
        rows = normal(50, 20, seed=1) * np.linspace(0.1, 3, 20)


def test_the_exact_basis_never_exceeds_what_is_there():
    assert principal_rows(np.zeros((5, 4)), np.zeros((0, 4)), share=0.9).shape == (0, 4)
    assert principal_rows(normal(5, 4), np.eye(4), k=3).shape == (0, 4)
    assert principal_rows(normal(50, 4), np.eye(4)[:1], share=1.0).shape == (3, 4)
    assert principal_rows(normal(2, 4), np.zeros((0, 4)), k=3).shape == (2, 4)


def test_learned_and_exact_subspaces_agree():
    """Both as hooks, over two tasks, on the same rows."""
    hlop, gpm, name, change = Hlop(K, learning_rate=0.05), Gpm(rows=K, most=10**6), "a->b", normal(6, N, seed=20)
    for task in range(2):
        source = Source(task)
        batches = [source.rows() for _ in range(150)]
        for rows in batches:
            assert hlop(name, rows, change).shape == change.shape
            assert (gpm(name, rows, change) is None) == (task == 0)
        hlop.end_task()
        gpm.end_task(lambda hook, batches=batches: [hook(name, rows, change) for rows in batches])
        learned_way, exact_way = hlop.subspaces[name].project(change), gpm(name, rows, change)
        cosine = (learned_way * exact_way).sum() / np.linalg.norm(learned_way) / np.linalg.norm(exact_way)
        assert cosine > 0.99
        assert degrees(hlop.subspaces[name].rows, gpm.bases[name]) < 8
        assert hlop.memory == gpm.memory == (task + 1) * K * N * 8


def test_observing_for_the_exact_basis_learns_nothing_and_keeps_a_bounded_number_of_rows():
    gpm, answers = Gpm(share=1.0, most=10), []
    gpm.end_task(lambda hook: answers.extend(hook("a->b", normal(4, 30, seed=k), np.ones((2, 30))) for k in range(5)))
    assert all(np.array_equal(answer, np.zeros((2, 30))) for answer in answers)
    assert gpm.bases["a->b"].shape == (10, 30)


# ------------------------------------------------------------------------------------------------------------- hooks
def test_schedules_of_rows():
    hook = Hlop({"a": (3, 2), "b": 1, "c": (0, 0, 2)}, learning_rate={"a": 0.5})
    sizes = []
    for _ in range(5):
        for name in ("a", "b", "c", "free"):
            answer = hook(name, normal(8, 12), normal(2, 12))
            assert (answer is None) == (name == "free")
        hook.end_task()
        sizes.append([len(hook.subspaces[name].rows) for name in "abc"])
    assert sizes == [[3, 1, 0], [5, 2, 0], [7, 3, 2], [9, 4, 4], [11, 5, 6]]
    assert hook.subspaces["a"].learning_rate == 0.5 and hook.subspaces["b"].learning_rate == 0.01
    with pytest.raises(InvalidValueError, match=r"projection 'a', task 6: 11 rows and 2 more.* 12 dim"):
        hook("a", normal(8, 12), normal(2, 12))
    hook.begin(0)
    assert not hook.subspaces and hook.task == 0
    hook, sizes = Hlop(), []
    for _ in range(10):  # without a schedule rows never run out
        hook("a", normal(8, 12), normal(2, 12))
        hook.end_task()
        sizes.append(len(hook.subspaces["a"].rows))
    assert sizes == [3, 5, 7, 8, 9, 10, 11, 12, 12, 12]


def test_mistakes_are_told():
    with pytest.raises(InvalidValueError) as found:
        Hlop({"a": (), "b": -1}, learning_rate=0, momentum=1, iterations=0, clip=-1, levels=0)
    assert len(str(found.value).split("\n")) == 7
    with pytest.raises(InvalidValueError, match=r"share(.|\n)*rows(.|\n)*most"):
        Gpm(1.5, rows=0, most=0)
    hook = Hlop({"a->b": 2})
    with pytest.raises(UnknownNameError, match=r"learned projection 'a->b'"):
        hook.end_task()
    for protect in (Hlop(2), Gpm()):
        with pytest.raises(InvalidValueError, match="'s' is sparse"):
            protect("s", normal(3, 4), normal(7))


# ----------------------------------------------------------------------------------------------------------- metrics
def test_figures_of_a_matrix_by_hand():
    found = figures([[0.9, 0.1], [0.6, 0.8]], untrained=[0.1, 0.1], joint=[0.95, 0.9])
    expected = {
        "ACC": 0.7, "AIA": 0.8, "BWT": -0.3, "FWT": 0.0, "forgetting": 0.3, "learning accuracy": 0.85,
        "intransigence": 0.075,
    }  # fmt: skip
    assert found == pytest.approx(expected, abs=1e-12)


def test_identities_of_the_figures():
    r = np.random.default_rng(0).random((5, 5))
    found = figures(r)
    assert found["ACC"] - found["learning accuracy"] == pytest.approx(found["BWT"] * 4 / 5)
    falling = np.minimum.accumulate(r, axis=0)
    falling[np.tril_indices(5)] = np.sort(r, axis=0)[::-1][np.tril_indices(5)]  # never rises after it was learned
    assert figures(falling)["forgetting"] == pytest.approx(-figures(falling)["BWT"])
    rising = np.sort(r, axis=0)
    assert figures(rising)["forgetting"] < 0  # not cut at 0
    flat = figures(np.full((3, 3), 0.4), untrained=[0.4] * 3, joint=[0.4] * 3)
    assert flat == pytest.approx({"ACC": 0.4, "AIA": 0.4, "learning accuracy": 0.4} | dict.fromkeys(
        ("BWT", "FWT", "forgetting", "intransigence"), 0.0))  # fmt: skip


def test_what_cannot_be_said_is_nan_or_refused():
    growing = np.where(np.tril(np.ones((3, 3))) > 0, 0.5, np.nan)
    found = figures(growing, untrained=[np.nan] * 3)
    assert np.isnan(found.pop("FWT")) and np.isfinite(list(found.values())).all()
    single = figures([[0.9]])
    assert single["ACC"] == 0.9 and np.isnan(single["BWT"]) and np.isnan(single["forgetting"])
    with pytest.raises(InvalidValueError, match=r"\[tasks, tasks\], found \[2, 3\]"):
        figures(np.ones((2, 3)))
    with pytest.raises(InvalidValueError, match=r"\[2\], found \[3\]"):
        figures(np.ones((2, 2)), joint=[1, 1, 1])
