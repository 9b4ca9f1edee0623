import dataclasses
import math

import numpy as np
import pytest

from spikesim import distributions as d
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.rng import Stream

STREAM = Stream(3, "weights")
ALL = [
    d.Uniform(-1, 2),
    d.Normal(1, 2),
    d.Normal(1.5, 0.75, low=0.05),
    d.Normal(-87.8, 8.78, high=0),
    d.Normal(0, 1, -0.5, 1.0),
    d.LogNormal(-0.3, 0.7),
    d.Gamma(2.5, 0.1),
    d.Gamma(0.5, 3),
    d.KaimingNormal(1.5),
    d.KaimingUniform(),
]


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_draw_i_is_a_function_of_the_stream_and_i(distribution):
    few, many = distribution.sample(500, STREAM, fan_in=50), distribution.sample(3000, STREAM, fan_in=50)
    assert few.dtype == np.float64 and few.shape == (500,)
    np.testing.assert_array_equal(few, many[:500])
    assert (few != distribution.sample(500, Stream(4, "weights"), fan_in=50)).mean() > 0.99
    assert distribution.sample(0, STREAM, fan_in=50).shape == (0,)


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_repr_and_dict_give_back_the_same_object(distribution):
    assert eval(repr(distribution), vars(d).copy()) == distribution
    assert d.from_dict(distribution.to_dict()) == distribution


def test_numpy_numbers_are_stored_as_plain_ones():
    assert repr(d.Normal(np.float64(1), np.int64(2), np.float32(0.5))) == "Normal(mean=1.0, sd=2.0, low=0.5, high=None)"


def truncated(mean, sd, low, high):
    from scipy import stats

    return stats.truncnorm((low - mean) / sd, (high - mean) / sd, mean, sd)


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (d.Uniform(-1, 2), lambda s: s.uniform(-1, 3)),
        (d.Normal(1, 2), lambda s: s.norm(1, 2)),
        (d.Normal(1.5, 0.75, low=0.05), lambda s: truncated(1.5, 0.75, 0.05, math.inf)),
        (d.Normal(0, 1, -0.5, 1.0), lambda s: truncated(0, 1, -0.5, 1)),
        (d.Normal(0, 1, 2, None), lambda s: truncated(0, 1, 2, math.inf)),
        (d.LogNormal(-0.3, 0.7), lambda s: s.lognorm(0.7, scale=math.exp(-0.3))),
        (d.Gamma(2.5, 0.1), lambda s: s.gamma(2.5, scale=0.1)),
        (d.Gamma(0.5, 3), lambda s: s.gamma(0.5, scale=3)),
        (d.KaimingNormal(1.5), lambda s: s.norm(0, 1.5 / math.sqrt(50))),
        (d.KaimingUniform(), lambda s: s.uniform(-1 / math.sqrt(50), 2 / math.sqrt(50))),
    ],
    ids=lambda x: repr(x) if dataclasses.is_dataclass(x) else "",
)
def test_the_shape_is_right(distribution, expected):
    from scipy import stats

    values = distribution.sample(50_000, STREAM, fan_in=50)
    assert stats.kstest(values, expected(stats).cdf).pvalue > 1e-4


def test_draw_takes_numbers_arrays_and_distributions():
    assert d.draw(2, 3, STREAM, "v").tolist() == [2.0, 2.0, 2.0]
    assert d.draw(np.arange(3), 3, STREAM, "v").tolist() == [0.0, 1.0, 2.0]
    np.testing.assert_array_equal(d.draw(ALL[0], 3, STREAM, "v"), ALL[0].sample(3, STREAM))


@pytest.mark.parametrize(
    "call",
    [
        lambda: d.Uniform(1, 0),
        lambda: d.Uniform(0, math.inf),
        lambda: d.Uniform("0", 1),
        lambda: d.Normal(0, -1),
        lambda: d.Normal(math.nan, 1),
        lambda: d.Normal(0, 1, low=1, high=0),
        lambda: d.Normal(0, 1, low=10),
        lambda: d.Normal(0, 0, low=1),
        lambda: d.LogNormal(0, -1),
        lambda: d.Gamma(0, 1),
        lambda: d.Gamma(1, 0),
        lambda: d.KaimingNormal(True),
        lambda: d.KaimingNormal().sample(3, STREAM),
        lambda: d.KaimingUniform().sample(3, STREAM, fan_in=0),
        lambda: d.draw([1, 2], 3, STREAM, "v"),
        lambda: d.draw([1, math.nan], 2, STREAM, "v"),
        lambda: d.draw(math.inf, 2, STREAM, "v"),
        lambda: d.draw("much", 2, STREAM, "v"),
        lambda: d.from_dict({"kind": "Uniform", "low": 0}),
        lambda: d.from_dict({"kind": "Uniform", "low": 0, "high": 1, "more": 2}),
    ],
)
def test_mistakes_are_refused(call):
    with pytest.raises(InvalidValueError):
        call()


def test_unknown_kinds_are_refused():
    with pytest.raises(UnknownNameError, match="Normal"):
        d.from_dict({"kind": "Norml"})
    with pytest.raises(UnknownNameError):
        d.from_dict({"kind": "os.system"})


def test_constant_normal():
    assert d.Normal(2, 0, low=0, high=2).sample(3, STREAM).tolist() == [2.0, 2.0, 2.0]
