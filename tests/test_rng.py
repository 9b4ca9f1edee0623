import subprocess
import sys

import numpy as np
import pytest

from spikesim import rng
from spikesim.equations.inversion import inverse_normal
from spikesim.errors import InvalidValueError
from spikesim.rng import Stream

FIRST = [2605302610, 2430410118, 3592885872]  # of Stream(1, "a")
STREAM_A = 1431053258
NOISE = Stream(12345678901234567890, "noise")


@pytest.fixture(autouse=True)
def numpy_reference(monkeypatch):
    """Small requests use numpy, although numba is loaded: what the kernels are compared with."""
    monkeypatch.setattr(rng, "compiled", lambda n: n >= rng.COMPILED_FROM)


def test_known_answers():
    # the test vector distributed with Random123: counter and key all zero
    words = rng.threefry(np.zeros(1, np.uint32), 0, 0, 0, 0, 0)
    assert [int(w[0]) for w in words] == [0x9C6CA96A, 0xE17EAE66, 0xFC10ECD4, 0x5256A7D8]


def test_first_words_never_change():
    """A change here breaks the reproducibility of every stored seed."""
    assert Stream(1, "a").bits(3).tolist() == FIRST
    assert rng.stream_id("a") == STREAM_A


def test_layout_is_the_documented_one():
    index = np.arange(1000)
    counters = ((index >> 6) * 16 + (index & 15)).astype(np.uint32)
    words = rng.threefry(counters, 5, NOISE.id, 2, *NOISE.key)
    expected = np.stack(words)[(index >> 4) & 3, index]
    step = 5 + (2 << 32)
    np.testing.assert_array_equal(NOISE.bits(1000, step), expected)
    np.testing.assert_array_equal(NOISE.bits_at(index, step), expected)
    np.testing.assert_array_equal(NOISE.wide_at(index[:500], step), NOISE.wide(500, step))
    np.testing.assert_array_equal(NOISE.bits_at(index.reshape(10, 100), step), expected.reshape(10, 100))


@pytest.mark.parametrize("offset", [0, 1, 63, 64, 100, 2**34 - 5000])
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 3000])
def test_compiled_bits_equal_the_reference(n, offset):
    from spikesim.equations.random_kernels import fill_bits, fill_uniform

    for step in (0, 7, 2**40 + 3):
        out = np.empty(n, np.uint32)
        fill_bits(out, step, NOISE.id, *NOISE.key, offset)
        np.testing.assert_array_equal(out, NOISE.bits(n, step, offset))
        floats = np.empty(n)
        fill_uniform(floats, step, NOISE.id, *NOISE.key, offset)
        np.testing.assert_array_equal(floats, NOISE.uniform(n, step, offset))


def test_compiled_single_words_equal_the_reference():
    from spikesim.equations.random_kernels import bits_at

    index = [0, 15, 16, 63, 64, 999, 2**34 - 1]
    expected = NOISE.bits_at(index, 2**33 + 5).tolist()
    assert [bits_at(i, 2**33 + 5, NOISE.id, *NOISE.key) for i in index] == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@pytest.mark.parametrize("mean", [0.0, 0.128, 2.0, 6.0])
def test_compiled_poisson_equals_the_reference(mean, dtype):
    from spikesim.equations.random_kernels import fill_poisson

    out = np.empty(5000, dtype)
    fill_poisson(out, rng.poisson_thresholds(mean), 3, NOISE.id, *NOISE.key, 17)
    np.testing.assert_array_equal(out, NOISE.poisson(5000, mean, 3, 17))


def test_large_requests_use_the_kernels_and_agree():
    n = rng.COMPILED_FROM
    assert (NOISE.bits(n)[:5000] == NOISE.bits(5000)).all()
    assert (NOISE.poisson(n, 9.0)[:5000] == NOISE.poisson(5000, 9.0)).all()


def test_streams_steps_and_seeds_are_independent():
    draws = [Stream(s, n).bits(20_000, t) for s in (1, 2, 2**32 + 1) for n in ("a", "b") for t in (0, 1, 2**32)]
    centred = np.stack(draws) * 2.0**-32 - 0.5
    correlation = centred @ centred.T / centred.shape[1] * 12
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)


def test_uniform_moments():
    u = NOISE.uniform(200_000)
    assert u.dtype == np.float64 and u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / u.size)
    counts = np.bincount((u * 64).astype(int), minlength=64)
    assert ((counts - u.size / 64) ** 2 / (u.size / 64)).sum() < 63 + 4 * np.sqrt(126)
    lagged = ((u[1:] - 0.5) * (u[:-1] - 0.5)).mean() * 12
    assert abs(lagged) < 4 / np.sqrt(u.size)


@pytest.mark.parametrize("mean", [0.02, 0.128, 1.0, 2.0, 6.0, 13.0, 100.0])
def test_poisson_moments(mean):
    counts = NOISE.poisson(200_000, mean)
    assert counts.dtype == np.int32
    assert abs(counts.mean() - mean) < 4 * np.sqrt(mean / counts.size)
    spread = np.sqrt((mean + 2 * mean**2) / counts.size)  # standard error of the variance
    assert abs(counts.var() - mean) < 4 * spread


def test_poisson_distribution():
    from scipy import stats

    counts = np.bincount(NOISE.poisson(500_000, 2.0), minlength=12)[:12]
    expected = stats.poisson(2.0).pmf(np.arange(12)) * 500_000
    keep = expected > 20
    assert ((counts - expected)[keep] ** 2 / expected[keep]).sum() < keep.sum() + 4 * np.sqrt(2 * keep.sum())


@pytest.mark.parametrize("mean", [0.0, 1e-12, 0.1, 2.0, 5.999, 6.0])
def test_poisson_thresholds(mean):
    from scipy import stats

    thresholds = rng.poisson_thresholds(mean).astype(np.int64)
    assert thresholds.size % 4 == 0 and (np.diff(thresholds) >= 0).all()
    real = thresholds[thresholds < 2**32 - 1]
    exact = stats.poisson(mean).cdf(np.arange(len(real))) * 2.0**32
    assert np.abs(real + 1 - exact).max(initial=0) <= 0.501
    assert stats.poisson(mean).sf(len(real)) < 2.0**-32


def test_bernoulli():
    assert NOISE.bernoulli(1000, 1.0).all() and not NOISE.bernoulli(1000, 0.0).any()
    hits = NOISE.bernoulli(200_000, 0.02).mean()
    assert abs(hits - 0.02) < 4 * np.sqrt(0.02 * 0.98 / 200_000)
    each = NOISE.bernoulli(3, [0.0, 1.0, 0.0])
    assert each.tolist() == [False, True, False]


@pytest.mark.parametrize("high", [1, 2, 7, 1000, 2**31 + 1, 2**32 - 1, 2**32, 10**10, 2**62])
def test_integers(high):
    drawn = NOISE.integers(50_000, high)
    assert drawn.dtype == np.int64 and drawn.min() >= 0 and drawn.max() < high
    assert abs(drawn.mean() - (high - 1) / 2) <= 4 * high / np.sqrt(12 * 50_000)
    words = NOISE.wide(50_000).tolist()
    assert drawn.tolist() == [(w * high) >> 64 for w in words]


def test_normal():
    from scipy import special

    z = NOISE.normal(200_000)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / z.size)
    assert abs((z**4).mean() - 3) < 4 * np.sqrt(96 / z.size)
    u = np.concatenate([NOISE.uniform(20_000) * 0.99 + 1e-3, 10.0 ** np.linspace(-15, -1, 1000), [2.0**-53]])
    np.testing.assert_allclose(inverse_normal(u), special.ndtri(u), rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(inverse_normal(1 - u[:100]), -inverse_normal(1 - (1 - u[:100])))


def test_permutation():
    order = NOISE.permutation(1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert (order != NOISE.permutation(1000, step=1)).any()
    places = np.array([Stream(s, "p").permutation(4) for s in range(2000)])
    for row in places.T:
        assert np.abs(np.bincount(row, minlength=4) - 500).max() < 4 * np.sqrt(2000 * 3 / 16)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Stream(-1, "a"),
        lambda: Stream(2**64, "a"),
        lambda: Stream(1.5, "a"),
        lambda: NOISE.bits(-1),
        lambda: NOISE.bits(1, step=-1),
        lambda: NOISE.bits(2, offset=2**34 - 1),
        lambda: NOISE.integers(3, 0),
        lambda: NOISE.integers(3, 2**62 + 1),
        lambda: NOISE.bernoulli(3, 1.1),
        lambda: NOISE.bernoulli(3, float("nan")),
        lambda: NOISE.poisson(3, -0.1),
        lambda: NOISE.poisson(3, float("inf")),
        lambda: rng.poisson_thresholds(6.1),
        lambda: rng.poisson_thresholds(float("nan")),
        lambda: rng.substep(0, 2**15),
    ],
)
def test_mistakes_are_refused(call):
    with pytest.raises(InvalidValueError):
        call()


def test_importing_does_not_load_numba():
    code = "import sys, spikesim.rng; sys.exit('numba' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
