import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse

from spikesim import connect as c
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.rng import Stream

STREAM = Stream(5, "projection")
KERNEL = np.arange(2 * 3 * 3 * 2, dtype=float).reshape(2, 3, 3, 2)
RANDOM = [
    c.FixedProbability(0.1),
    c.FixedProbability(0.9, autapses=False),
    c.FixedIndegree(7),
    c.FixedIndegree(7, multapses=False, autapses=False),
    c.FixedIndegree(35, multapses=False),
    c.FixedOutdegree(7),
    c.FixedOutdegree(37, multapses=False, autapses=False),
    c.FixedTotalNumber(500),
    c.FixedTotalNumber(500, multapses=False, autapses=False),
    c.FixedTotalNumber(1500, multapses=False),
    c.SmallWorld(6, 0.2),
]
FIXED = [
    c.AllToAll(),
    c.AllToAll(autapses=False),
    c.OneToOne(),
    c.Dense(np.arange(1600.0).reshape(40, 40)),
    c.Sparse(scipy.sparse.random(40, 40, 0.2, rng=np.random.default_rng(1))),
]
IMAGES = [
    c.Conv2d(KERNEL, stride=(2, 1), padding=(1, 0)),
    c.Pool2d(2),
    c.Pool2d((2, 3), stride=1, kind="average"),
    c.Chain([c.Pool2d(2, kind="average"), c.Conv2d(KERNEL), c.OneToOne()]),
    c.Chain([c.Chain([c.Pool2d(2)]), c.Dense(np.ones((5, 60)))]),
]


def keys(pairs, n_post):
    return pairs.pre.astype(np.int64) * n_post + pairs.post


def matrix(pairs, n_pre, n_post):
    return scipy.sparse.coo_array((pairs.weights, (pairs.post, pairs.pre)), shape=(n_post, n_pre)).toarray()


@pytest.mark.parametrize("rule", RANDOM + FIXED, ids=repr)
def test_pairs_are_sorted_and_in_range(rule):
    pairs = rule.pairs(40, 40, STREAM)
    assert pairs.pre.dtype == pairs.post.dtype == np.int32
    assert pairs.pre.min() >= 0 and pairs.pre.max() < 40 and pairs.post.min() >= 0 and pairs.post.max() < 40
    steps = np.diff(keys(pairs, 40))
    assert (steps >= 0).all()
    if not getattr(rule, "multapses", False):
        assert (steps > 0).all()
    if not getattr(rule, "autapses", True) or isinstance(rule, c.SmallWorld):
        assert (pairs.pre != pairs.post).all()


@pytest.mark.parametrize("rule", RANDOM, ids=repr)
def test_random_rules_are_functions_of_the_stream(rule):
    first, again = rule.pairs(40, 40, STREAM), rule.pairs(40, 40, STREAM)
    np.testing.assert_array_equal(keys(first, 40), keys(again, 40))
    other = rule.pairs(40, 40, Stream(5, "another projection"))
    assert not np.array_equal(keys(first, 40), keys(other, 40))


@pytest.mark.parametrize("rule", RANDOM + FIXED + IMAGES, ids=repr)
def test_stored_rules_come_back(rule):
    data = json.loads(json.dumps(rule.to_dict()))
    again = c.from_dict(data, {name: array.copy() for name, array in rule.arrays().items()})
    assert again == rule and hash(again) == hash(rule) and repr(again) == repr(rule)


def test_different_rules_are_unequal():
    assert c.Dense([[1, 2]]) != c.Dense([[1, 3]])
    assert c.Conv2d(KERNEL) != c.Conv2d(KERNEL, padding=1)
    assert c.FixedIndegree(3) != c.FixedOutdegree(3)
    assert c.Dense([[1.0]]) != c.AllToAll()


def test_degrees():
    assert np.bincount(c.FixedIndegree(7).pairs(30, 40, STREAM).post).tolist() == [7] * 40
    assert np.bincount(c.FixedIndegree(28, multapses=False).pairs(30, 40, STREAM).post).tolist() == [28] * 40
    assert np.bincount(c.FixedOutdegree(7, multapses=False).pairs(30, 40, STREAM).pre).tolist() == [7] * 30
    assert c.FixedTotalNumber(123, multapses=False).pairs(30, 40, STREAM).size == 123
    assert np.bincount(c.SmallWorld(6, 1.0).pairs(40, 40, STREAM).pre).tolist() == [6] * 40
    for rule in (c.FixedIndegree(0), c.FixedTotalNumber(0), c.FixedProbability(0), c.SmallWorld(0, 0.5)):
        assert rule.pairs(5, 5, STREAM).size == 0
    assert c.FixedProbability(1).pairs(5, 6, STREAM).size == 30
    assert c.FixedProbability(0.5, autapses=False).pairs(1, 1, STREAM).size == 0
    assert c.FixedIndegree(30, multapses=False).pairs(30, 4, STREAM).size == 120


@pytest.mark.parametrize("p", [1e-9, 1e-4, 0.02, 0.5, 0.97])
def test_fixed_probability_has_the_binomial_number(p):
    n = 100_000 if p < 1e-6 else 3000 if p < 0.1 else 400
    sizes = np.array([c.FixedProbability(p).pairs(n, n, Stream(s, "x")).size for s in range(10)])
    mean, variance = n * n * p, n * n * p * (1 - p)
    assert abs(sizes.mean() - mean) < 4 * np.sqrt(variance / 10)
    assert sizes.std() > 0


def uniform_over_pairs(rule, n, runs, allowed):
    counts = np.zeros(n * n)
    for seed in range(runs):
        np.add.at(counts, keys(rule.pairs(n, n, Stream(seed, "x")), n), 1)
    assert (counts[~allowed] == 0).all()
    seen = counts[allowed]
    expected = seen.mean()
    # counts over runs are binomial (at most Poisson) for each pair, so chi-square is below its Poisson value
    assert ((seen - expected) ** 2 / expected).sum() < allowed.sum() + 4.5 * np.sqrt(2 * allowed.sum())
    return expected


@pytest.mark.parametrize(
    "rule",
    [
        c.FixedProbability(0.3),
        c.FixedProbability(0.3, autapses=False),
        c.FixedIndegree(4),
        c.FixedIndegree(4, multapses=False, autapses=False),
        c.FixedIndegree(6, multapses=False),
        c.FixedOutdegree(6, multapses=False),
        c.FixedTotalNumber(30, autapses=False),
        c.FixedTotalNumber(30, multapses=False),
        c.SmallWorld(4, 1.0),
    ],
    ids=repr,
)
def test_all_allowed_pairs_are_equally_likely(rule):
    own = np.eye(9, dtype=bool).ravel()
    autapses = getattr(rule, "autapses", not isinstance(rule, c.SmallWorld))
    uniform_over_pairs(rule, 9, 400, np.ones(81, dtype=bool) if autapses else ~own)


def test_small_world_interpolates_between_ring_and_random():
    ring = c.SmallWorld(4, 0.0).pairs(50, 50, STREAM)
    distance = (ring.post - ring.pre) % 50
    assert sorted(set(distance.tolist())) == [1, 2, 48, 49]
    rewired = c.SmallWorld(4, 0.1).pairs(5000, 5000, STREAM)
    distance = (rewired.post - rewired.pre) % 5000
    away = (~np.isin(distance, [1, 2, 4998, 4999])).mean()
    assert abs(away - 0.1) < 4 * np.sqrt(0.09 / rewired.size)


def test_dense_and_sparse_keep_their_weights():
    rng = np.random.default_rng(1)
    w = rng.normal(size=(5, 7))
    np.testing.assert_array_equal(matrix(c.Dense(w).pairs(7, 5, STREAM), 7, 5), w)
    s = scipy.sparse.random(5, 7, 0.4, format="coo", rng=rng)
    np.testing.assert_array_equal(matrix(c.Sparse(s).pairs(7, 5, STREAM), 7, 5), s.toarray())
    doubled = scipy.sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2))
    assert c.Sparse(doubled).pairs(2, 2, STREAM).weights.tolist() == [3.0]


def test_arrays_are_copied_and_locked():
    w = np.ones((2, 2))
    rule = c.Dense(w)
    w[0, 0] = 9
    assert rule.weights[0, 0] == 1
    with pytest.raises(ValueError):
        rule.weights[0, 0] = 3
    assert c.Dense([[1, 2], [3, 4]]).pairs(2, 2, STREAM).weights.flags.writeable


@pytest.mark.parametrize("stride", [1, 2, (2, 3)])
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 2)])
def test_conv2d_is_that_of_torch(stride, padding, kernel):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    w, x = rng.integers(-8, 8, (4, 3, *kernel)).astype(float), rng.integers(-8, 8, (3, 7, 6)).astype(float)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(x)[None], torch.from_numpy(w), stride=stride, padding=padding
    )[0].numpy()
    rule = c.Conv2d(w, stride, padding)
    assert rule.output_shape(x.shape) == expected.shape
    pairs = rule.pairs(x.size, expected.size, STREAM, x.shape, expected.shape)
    assert (np.diff(keys(pairs, expected.size)) > 0).all()
    np.testing.assert_array_equal(matrix(pairs, x.size, expected.size) @ x.ravel(), expected.ravel())


@pytest.mark.parametrize(("size", "stride"), [(2, None), (3, 2), ((2, 3), (1, 2))])
def test_pool2d_is_that_of_torch(size, stride):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(1).integers(-8, 8, (3, 7, 6)).astype(float)
    expected = torch.nn.functional.avg_pool2d(torch.from_numpy(x)[None], size, stride)[0].numpy()
    for kind, factor in (("average", 1), ("sum", np.prod(size) if np.ndim(size) else size * size)):
        rule = c.Pool2d(size, stride, kind)
        assert rule.output_shape(x.shape) == expected.shape
        pairs = rule.pairs(x.size, expected.size, STREAM, x.shape)
        got = matrix(pairs, x.size, expected.size) @ x.ravel()
        np.testing.assert_allclose(got, expected.ravel() * factor, rtol=1e-13, atol=1e-14)


def test_chain_is_the_product_of_its_maps():
    rng = np.random.default_rng(1)
    conv = c.Conv2d(rng.integers(-8, 8, (4, 2, 3, 3)).astype(float))
    last = c.Dense(rng.integers(-8, 8, (5, 4 * 2 * 1)).astype(float))
    chain = c.Chain([c.Pool2d(2), conv, last])
    assert chain.output_shape((2, 8, 7)) == (5,)
    total = np.eye(2 * 8 * 7)
    shape = (2, 8, 7)
    for rule in chain.rules:
        out = rule.output_shape(shape)
        n_in, n_out = int(np.prod(shape)), int(np.prod(out))
        total = matrix(rule.pairs(n_in, n_out, STREAM, shape), n_in, n_out) @ total
        shape = out
    pairs = chain.pairs(2 * 8 * 7, 5, STREAM, (2, 8, 7))
    np.testing.assert_array_equal(matrix(pairs, 2 * 8 * 7, 5), total)
    assert (np.diff(keys(pairs, 5)) > 0).all()


def test_a_large_sparse_projection_needs_no_dense_array():
    pairs = c.FixedProbability(1e-4).pairs(100_000, 100_000, STREAM)
    assert abs(pairs.size - 1_000_000) < 4000


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: c.FixedProbability(1.2), "1.2.*from 0 to 1"),
        (lambda: c.FixedProbability(float("nan")), "nan"),
        (lambda: c.FixedProbability("0.1"), "plain number"),
        (lambda: c.FixedIndegree(1.5), "1.5"),
        (lambda: c.FixedIndegree(-1), "-1"),
        (lambda: c.FixedIndegree(1, multapses=2), "True and False"),
        (lambda: c.FixedIndegree(11, multapses=False).pairs(10, 5, STREAM), "up to 10 of 10.*multapses=True"),
        (lambda: c.FixedOutdegree(5, False, False).pairs(5, 5, STREAM), "up to 4 of 5"),
        (lambda: c.FixedIndegree(1, autapses=False).pairs(1, 1, STREAM), "up to 0 of 1"),
        (lambda: c.FixedTotalNumber(101, multapses=False).pairs(10, 10, STREAM), "up to 100"),
        (lambda: c.FixedTotalNumber(1, autapses=False).pairs(1, 1, STREAM), "up to 0"),
        (lambda: c.FixedIndegree(2, autapses=False).pairs(10, 5, STREAM), "autapses=False between 10 and 5"),
        (lambda: c.SmallWorld(3, 0.1), "even"),
        (lambda: c.SmallWorld(4, 1.1), "1.1"),
        (lambda: c.SmallWorld(4, 0.1).pairs(7, 7, STREAM), "at least 8"),
        (lambda: c.SmallWorld(2, 0.1).pairs(7, 8, STREAM), "equal sizes"),
        (lambda: c.OneToOne().pairs(3, 4, STREAM), "equal sizes"),
        (lambda: c.AllToAll().pairs(0, 4, STREAM), "sending population is 0"),
        (lambda: c.Dense([[1, np.nan]]), "1 of 2 entries that are NaN"),
        (lambda: c.Dense([1, 2]), "2 dimensions"),
        (lambda: c.Dense([["a"]]), "array of numbers"),
        (lambda: c.Dense(np.ones((2, 3))).pairs(2, 3, STREAM), "transpose"),
        (lambda: c.Sparse(np.eye(2)), "use Dense"),
        (lambda: c.Sparse(scipy.sparse.csr_array([[np.inf]])), "infinite"),
        (lambda: c.Conv2d(KERNEL, stride=0), "stride"),
        (lambda: c.Conv2d(KERNEL, stride=(1, 2, 3)), "one or two"),
        (lambda: c.Conv2d(KERNEL).pairs(10, 10, STREAM), "channels, height, width"),
        (lambda: c.Conv2d(KERNEL).output_shape((4, 9, 9)), "3 input channels; the senders have 4"),
        (lambda: c.Conv2d(KERNEL).output_shape((3, 2, 9)), "kernel must fit"),
        (lambda: c.Conv2d(KERNEL).pairs(75, 10, STREAM, (3, 5, 5)), r"shape \(2, 3, 4\)"),
        (lambda: c.Conv2d(KERNEL).pairs(75, 24, STREAM, (3, 5, 5), (2, 4, 3)), r"found shape \(2, 4, 3\)"),
        (lambda: c.Conv2d(KERNEL).pairs(74, 24, STREAM, (3, 5, 5)), "are not 74 neurons"),
        (lambda: c.Pool2d(2, kind="max"), "not linear"),
        (lambda: c.Pool2d(0), "Pool2d size"),
        (lambda: c.Chain([]), "at least one"),
        (lambda: c.Chain([c.AllToAll()]), "Chain was given AllToAll"),
        (lambda: c.from_dict({"kind": "FixedIndegree"}), "do not fit"),
        (lambda: c.from_dict({"kind": "Dense"}), "do not fit"),
        (lambda: c.from_dict({"kind": "Chain", "rules": [{"kind": "Pool2d"}]}), "do not fit"),
        (
            lambda: c.from_dict(
                {"kind": "Sparse", "shape": [2, 2]},
                {"data": np.ones(1), "indices": np.array([7]), "indptr": np.array([0, 1, 1])},
            ),
            "damaged",
        ),
    ],
)
def test_mistakes_are_refused(call, says):
    with pytest.raises(InvalidValueError, match=says):
        call()


def test_unknown_rules_are_refused():
    with pytest.raises(UnknownNameError, match="SmallWorld"):
        c.from_dict({"kind": "SmalWorld"})


def test_importing_is_light():
    code = "import sys, spikesim.connect; sys.exit(any(m in sys.modules for m in ('numba', 'torch', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
