"""Seeded distributions: moments, bounds, and clear refusals."""

import numpy as np
import pytest

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


def test_a_draw_depends_on_its_index_alone() -> None:
    assert (Normal(0.0, 1.0, low=-1.0).sample(10, STREAM) == Normal(0.0, 1.0, low=-1.0).sample(100, STREAM)[:10]).all()


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
        (lambda: Normal(0.0, 1.0, low=9.0), "five standard deviations"),
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
