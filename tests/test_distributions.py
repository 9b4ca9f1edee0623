"""Seeded distributions: moments, bounds, and clear refusals."""

import numpy as np
import pytest
from scipy import stats

from spikesim import distributions
from spikesim.distributions import (
    DISTRIBUTIONS,
    Gamma,
    KaimingNormal,
    KaimingUniform,
    LogNormal,
    Normal,
    Uniform,
    from_dict,
    to_dict,
)
from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.rng import Stream

N = 40_000
STREAM = Stream(5, "test")


@pytest.mark.parametrize(
    ("distribution", "mean", "sd"),
    [
        (Uniform(2.0, 5.0), 3.5, 3.0 / 12**0.5),
        (Normal(1.0, 2.0), 1.0, 2.0),
        (Normal(0.0, 1.0, low=0.0), (2 / np.pi) ** 0.5, (1 - 2 / np.pi) ** 0.5),
        (LogNormal(0.1, 0.5), np.exp(0.1 + 0.125), np.exp(0.225) * (np.exp(0.25) - 1) ** 0.5),
        (Gamma(3.0, 0.5), 1.5, 0.5 * 3**0.5),
        (KaimingNormal(), 0.0, (2 / 50) ** 0.5),
        (KaimingUniform(), 0.0, (2 / 50) ** 0.5),
    ],
)
def test_moments(distribution: object, mean: float, sd: float) -> None:
    x = distribution.sample(N, STREAM, fan_in=50)  # type: ignore[attr-defined]
    assert x.mean() == pytest.approx(mean, abs=4 * sd / N**0.5)
    assert x.std() == pytest.approx(sd, rel=0.03)


def test_draws_outside_the_bounds_are_drawn_again() -> None:
    x = Normal(0.75, 0.375, low=0.05, high=1.5).sample(N, STREAM)
    assert x.min() >= 0.05 and x.max() <= 1.5
    inside = Normal(0.75, 0.375).sample(N, STREAM)
    kept = (inside >= 0.05) & (inside <= 1.5)
    assert (x[kept] == inside[kept]).all()  # only the others are drawn again


@pytest.mark.parametrize("distribution", [Normal(0.0, 1.0, low=2.0), Gamma(2.0, 1.0), Gamma(0.3, 1.0), LogNormal(0, 1)])
def test_a_draw_depends_on_its_index_alone(distribution: object) -> None:
    few, many = (distribution.sample(n, STREAM) for n in (300, 3000))  # type: ignore[attr-defined]
    assert (few == many[:300]).all()


ALL = [
    Uniform(-1.0, 2.0),
    Normal(1.0, 0.5),
    Normal(1.5, 0.75, low=0.05),
    Normal(0.0, 1.0, low=-0.2, high=0.4),
    Normal(2.0, 0.0),
    LogNormal(0.0, 0.5),
    Gamma(2.0, 1.0),
    Gamma(0.4, 1.0),
    KaimingNormal(),
    KaimingUniform(),
]


@pytest.mark.parametrize("distribution", ALL)
def test_parts_are_the_whole(distribution: object) -> None:
    whole = distribution.sample(3000, STREAM, fan_in=9)  # type: ignore[attr-defined]
    for first, n in ((0, 1), (1, 700), (701, 63), (764, 2236), (3000, 0)):
        part = distribution.sample(n, STREAM, fan_in=9, offset=first)  # type: ignore[attr-defined]
        assert (part == whole[first : first + n]).all()
    assert distribution.extremes(3000, STREAM, fan_in=9) == (whole.min(), whole.max())  # type: ignore[attr-defined]


@pytest.mark.parametrize("distribution", [d for d in ALL if isinstance(d, Normal)])
def test_compiled_normal_numbers_equal_the_reference(distribution: Normal, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for use in (True, False):
        monkeypatch.setattr(distributions, "compiled", lambda n, use=use: use)
        found[use] = distribution.sample(N, STREAM, offset=123_457)
    assert (found[True] == found[False]).all()
    monkeypatch.setattr(distributions, "COMPILED_FROM", 0)  # extremes from words
    whole = distribution.sample(N, STREAM)
    assert distribution.extremes(N, STREAM) == (whole.min(), whole.max())


@pytest.mark.parametrize(
    ("distribution", "exact"),
    [
        (Normal(1.5, 0.75, low=0.05), stats.truncnorm((0.05 - 1.5) / 0.75, np.inf, 1.5, 0.75)),
        (Normal(0.0, 1.0, -0.5, 1.0), stats.truncnorm(-0.5, 1.0)),
        (Normal(0.0, 1.0, low=2.0), stats.truncnorm(2.0, np.inf)),
        (LogNormal(-0.3, 0.7), stats.lognorm(0.7, scale=np.exp(-0.3))),
        (Gamma(2.5, 0.1), stats.gamma(2.5, scale=0.1)),
        (Gamma(0.3, 3.0), stats.gamma(0.3, scale=3.0)),
    ],
)
def test_shape_of_the_distribution(distribution: object, exact: object) -> None:
    sample = distribution.sample(N, STREAM)  # type: ignore[attr-defined]
    assert stats.kstest(sample, exact.cdf).pvalue > 1e-4  # type: ignore[attr-defined]


def test_numbers_are_stored_plainly() -> None:
    assert repr(Normal(np.float64(1), np.int64(2), np.float32(0.5))) == "Normal(mean=1.0, sd=2.0, low=0.5, high=None)"
    assert (Normal(2.0, 0.0, low=0.0, high=2.0).sample(3, STREAM) == 2.0).all()


@pytest.mark.parametrize(
    "distribution", [Uniform(0.0, 1.0), Normal(0.1, 0.2, low=0.0), Gamma(1.0, 2.0), KaimingNormal(1.5)]
)
def test_round_trip(distribution: object) -> None:
    assert from_dict(to_dict(distribution)) == distribution  # type: ignore[arg-type]
    assert type(distribution).__name__ in DISTRIBUTIONS


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: Uniform(2.0, 1.0), "low must not exceed high"),
        (lambda: Normal(0.0, -1.0), "sd must be at least 0"),
        (lambda: Normal(0.0, 1.0, low=9.0), "of the draws lie in 9 .. inf"),
        (lambda: Normal(0.0, 1.0, low=1.0, high=0.5), "only 0 of the draws"),
        (lambda: Normal(0.0, 0.0, low=1.0), "only 0 of the draws"),
        (lambda: Normal("a", 1.0), "mean must be a finite number, found 'a'"),
        (lambda: Uniform(None, 1.0), "low must be a finite number"),
        (lambda: KaimingNormal(True), "gain must be a finite number"),
        (lambda: LogNormal(1000.0, 1.0).sample(3, STREAM), "largest float"),
        (lambda: Gamma(0.0, 1.0), "above 0"),
        (lambda: Normal(float("nan"), 1.0), "finite"),
        (lambda: KaimingNormal().sample(3, STREAM), "inputs per neuron"),
    ],
)
def test_mistakes_are_refused(make: object, part: str) -> None:
    with pytest.raises(InvalidValueError, match=part):
        make()  # type: ignore[operator]


def test_foreign_files_are_refused() -> None:
    for data in ({"distribution": "Cauchy"}, {"distribution": "Normal", "mu": 1.0}, {}):
        with pytest.raises(FileFormatError):
            from_dict(data)
