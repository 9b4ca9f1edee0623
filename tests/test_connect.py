"""Connection rules: who is connected to whom, checked against definitions and against torch."""

import numpy as np
import pytest
from scipy import sparse

from spikesim.connect import (
    AllToAll,
    Chain,
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
)
from spikesim.errors import InvalidValueError
from spikesim.rng import Stream

STREAM = Stream(3, "rows")


def pairs(rule: object, n_pre: int, n_post: int) -> tuple[np.ndarray, np.ndarray]:
    rows = rule.rows((n_pre,), (n_post,), STREAM)  # type: ignore[attr-defined]
    assert rows.indptr.dtype == np.int64 and rows.indices.dtype == np.int32 and len(rows.indptr) == n_pre + 1
    source = np.repeat(np.arange(n_pre), np.diff(rows.indptr))
    assert (np.diff(source * n_post + rows.indices) >= 0).all()  # sorted by source, then target
    return source, rows.indices


def test_deterministic_rules() -> None:
    assert len(pairs(AllToAll(), 3, 4)[0]) == 12
    source, target = pairs(AllToAll(autapses=False), 4, 4)
    assert len(source) == 12 and (source != target).all()
    source, target = pairs(OneToOne(), 5, 5)
    assert (source == target).all() and len(source) == 5


@pytest.mark.parametrize("p", [0.0, 0.001, 0.2, 0.9, 1.0])
def test_fixed_probability_is_binomial_and_has_no_repeats(p: float) -> None:
    source, target = pairs(FixedProbability(p), 400, 500)
    expected, sd = 200_000 * p, (200_000 * p * (1 - p)) ** 0.5
    assert abs(len(source) - expected) <= 4 * sd
    assert len(np.unique(source * 500 + target)) == len(source)
    if 0 < p < 1:
        degrees = np.bincount(target, minlength=500)
        assert degrees.var() == pytest.approx(400 * p * (1 - p), rel=0.3)


def test_fixed_degrees() -> None:
    _, target = pairs(FixedIndegree(7), 30, 50)
    assert (np.bincount(target, minlength=50) == 7).all()
    source, _ = pairs(FixedOutdegree(6), 30, 50)
    assert (np.bincount(source, minlength=30) == 6).all()
    for rule in (FixedIndegree(28, multapses=False, autapses=False), FixedIndegree(3, multapses=False, autapses=False)):
        source, target = pairs(rule, 30, 30)
        assert (np.bincount(target, minlength=30) == rule.k).all() and (source != target).all()
        assert len(np.unique(source * 30 + target)) == len(source)


@pytest.mark.parametrize(
    "rule",
    [
        FixedProbability(0.3),
        FixedProbability(0.3, autapses=False),
        FixedIndegree(4, multapses=False, autapses=False),
        FixedIndegree(7, multapses=False),
        FixedOutdegree(6, multapses=False, autapses=False),
        SmallWorld(4, 1.0),
        SmallWorld(6, 1.0),
    ],
)
def test_all_pairs_are_equally_likely(rule: object) -> None:
    n, counts = 9, np.zeros((9, 9))
    for seed in range(400):
        rows = rule.rows((n,), (n,), Stream(seed, "x"))  # type: ignore[attr-defined]
        np.add.at(counts, (np.repeat(np.arange(n), np.diff(rows.indptr)), rows.indices), 1)
    assert counts.max() <= 400  # no pair twice
    allowed = np.ones((n, n), bool)
    if not getattr(rule, "autapses", False):
        np.fill_diagonal(allowed, False)
    seen = counts[allowed]
    assert (counts[~allowed] == 0).all()
    # each count is binomial, so narrower than Poisson, for which this is the bound
    assert ((seen - seen.mean()) ** 2 / seen.mean()).sum() < seen.size + 4.5 * np.sqrt(2 * seen.size)


@pytest.mark.parametrize(
    ("rule", "n"),
    [
        (SmallWorld(38, 1.0), 40),
        (SmallWorld(36, 0.1), 38),
        (SmallWorld(0, 0.5), 1),
        (FixedIndegree(40, multapses=False), 40),
        (FixedIndegree(39, multapses=False, autapses=False), 40),
        (FixedOutdegree(0, autapses=False), 1),
    ],
)
def test_dense_and_empty_rows(rule: object, n: int) -> None:
    source, target = pairs(rule, n, n)
    assert len(np.unique(source * n + target)) == len(source) == n * rule.k  # type: ignore[attr-defined]
    if not getattr(rule, "autapses", False):
        assert (source != target).all()


def test_tables_of_words_are_ranked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = partners.distinct(8, 10, STREAM, 30, keep=np.arange(0, 300, 10))
    monkeypatch.setattr(partners, "TABLE", 70)
    assert (partners.distinct(8, 10, STREAM, 30, keep=np.arange(0, 300, 10)) == whole).all()
    assert np.isin(np.arange(0, 300, 10), whole).all()


@pytest.mark.parametrize("p", [1e-300, 1e-18, 1e-9])
def test_tiny_probabilities(p: float) -> None:
    sizes = [len(FixedProbability(p).rows((100_000,), (100_000,), Stream(s, "x")).indices) for s in range(20)]
    assert abs(np.mean(sizes) - 1e10 * p) <= 4 * np.sqrt(1e10 * p / 20)


def test_a_rule_keeps_its_own_weights() -> None:
    weights = np.ones((2, 2))
    rules = Dense(weights), Sparse(sparse.csr_array(weights))
    weights[0, 0] = np.nan
    for rule in rules:
        assert np.isfinite(rule.rows((2,), (2,), STREAM).weights).all()


def test_sources_are_uniform() -> None:
    source, _ = pairs(FixedIndegree(100), 50, 400)
    counts = np.bincount(source, minlength=50)
    chi_square = ((counts - 800) ** 2 / 800).sum()
    assert 25 < chi_square < 85  # 49 degrees of freedom


def test_total_number_and_small_world() -> None:
    source, target = pairs(FixedTotalNumber(1234), 20, 30)
    assert len(source) == 1234 and target.max() < 30
    source, target = pairs(SmallWorld(6, 0.0), 20, 20)
    distance = np.minimum((target - source) % 20, (source - target) % 20)
    assert set(distance) == {1, 2, 3} and len(source) == 120
    source, target = pairs(SmallWorld(6, 0.5), 200, 200)
    assert (source != target).all() and len(np.unique(source * 200 + target)) == 1200
    distance = np.minimum((target - source) % 200, (source - target) % 200)
    assert 0.4 < (distance > 3).mean() < 0.55


def test_linear_maps_equal_torch() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 7, 6))
    for kernel, stride, padding in (((3, 2, 3, 3), 1, 0), ((4, 2, 2, 3), 2, 1)):
        rule = Conv2d(rng.normal(size=kernel), stride=stride, padding=padding)
        shape = rule.output_shape((2, 7, 6))
        ours = (rule.matrix((2, 7, 6), shape) @ image.reshape(-1)).reshape(shape)
        theirs = functional.conv2d(torch.tensor(image), torch.tensor(rule.weights), stride=stride, padding=padding)
        assert ours == pytest.approx(theirs.numpy(), abs=1e-12)
    pool = Pool2d(2)
    pooled = (pool.matrix((2, 7, 6), (2, 3, 3)) @ image.reshape(-1)).reshape(2, 3, 3)
    assert pooled == pytest.approx(functional.avg_pool2d(torch.tensor(image), 2).numpy(), abs=1e-12)
    chain = Chain((pool, Dense(rng.normal(size=(5, 18)))))
    expected = chain.rules[1].weights @ pooled.reshape(-1)
    assert chain.matrix((2, 7, 6), (5,)) @ image.reshape(-1) == pytest.approx(expected, abs=1e-12)


def test_rows_hold_the_weights() -> None:
    weights = np.random.default_rng(1).normal(size=(4, 6))
    for rule in (Dense(weights), Sparse(sparse.csr_array(weights)), Sparse(sparse.coo_matrix(weights))):
        rows = rule.rows((6,), (4,), STREAM)
        assert rows.weights is not None and (rows.weights.reshape(6, 4).T == weights).all()
    doubled = Dense(weights).map_weights(lambda w: 2 * w)
    assert (doubled.weights == 2 * weights).all()


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: FixedProbability(-0.1), "from 0 to 1"),
        (lambda: FixedProbability("0.1"), "from 0 to 1, found '0.1'"),
        (lambda: FixedProbability(float("nan")), "found nan"),
        (lambda: FixedIndegree(-1), "at least 0"),
        (lambda: FixedIndegree(True), "found True"),
        (lambda: Conv2d(np.zeros((1, 1, 1, 1)), stride=1.5), "stride must be a whole number of at least 1"),
        (lambda: Pool2d("a"), "size must be a whole number"),
        (lambda: Dense([["a"]]), "array of numbers"),
        (lambda: FixedIndegree(31, multapses=False).rows((30,), (5,), STREAM), "31 different partners among 30"),
        (lambda: OneToOne().rows((3,), (4,), STREAM), "equal sizes, found 3 and 4"),
        (lambda: SmallWorld(3, 0.1), "even"),
        (lambda: Dense(np.array([[np.nan]])), "NaN"),
        (lambda: Dense(np.zeros(3)), "shape"),
        (lambda: Sparse(np.zeros((2, 2))), "scipy.sparse"),
        (lambda: Conv2d(np.zeros((1, 1, 5, 5))).output_shape((1, 3, 3)), "larger than the input"),
        (lambda: Conv2d(np.zeros((1, 2, 3, 3))).output_shape((1, 5, 5)), "2 input channels, found 1"),
        (lambda: Pool2d(2, kind="max"), "'average' or 'sum'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(make: object, part: str) -> None:
    with pytest.raises(InvalidValueError, match=part):
        make()  # type: ignore[operator]


def test_a_chain_keeps_its_weights_of_zero() -> None:
    """They are synapses of the rows, as its count says; a product of sparse matrices would drop them."""
    weights = np.random.default_rng(0).normal(size=(3, 4))
    weights[0, 1] = weights[2, 3] = 0.0
    rule = Chain((Pool2d(2), Dense(weights)))
    rows = rule.rows((1, 4, 4), (3,), Stream(0, "x"))
    assert len(rows.indices) == rule.count((1, 4, 4), (3,)) == 48
    assert np.count_nonzero(rows.weights) == 40
    dense = np.zeros((3, 16))
    dense[rows.indices, np.repeat(np.arange(16), np.diff(rows.indptr))] = rows.weights
    assert np.allclose(dense, weights @ Pool2d(2).matrix((1, 4, 4), (1, 2, 2)).toarray())
