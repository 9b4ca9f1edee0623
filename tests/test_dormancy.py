"""Dormant neurons: the identities that the ratio and its schedules obey."""

import numpy as np
import pytest

from spikesim import Input, Network, Population, Projection, run
from spikesim.analyse import diagnose, dormant_ratio, exploitation_share, exploration_std, perturb_factor
from spikesim.connect import OneToOne
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.neurons import lif

COUNTS = np.random.default_rng(0).poisson(np.geomspace(0.01, 30.0, 40), (50, 40))


def test_scores_add_up_and_do_not_depend_on_the_scale():
    found = dormant_ratio({"a": COUNTS, "b": 1000 * COUNTS})
    assert found.scores["a"].sum() == pytest.approx(40) and 0 < found.ratio < 1
    np.testing.assert_array_equal(found.masks["a"], found.masks["b"])


def test_monotone_in_tau_and_at_zero_the_share_of_silent_neurons():
    ratios = [dormant_ratio([COUNTS], tau).ratio for tau in (0.0, 0.01, 0.1, 1.0, 1e9)]
    assert ratios == sorted(ratios) and ratios[-1] == 1.0
    assert ratios[0] == (COUNTS.sum(axis=0) == 0).mean() > 0


@pytest.mark.parametrize(
    ("layer", "share"), [([[0, 0, 0, 0]], 1.0), ([[3, 3, 3, 3]], 0.0), ([[0, 5, 0, 5], [0, 7, 0, 1]], 0.5)]
)
def test_silent_equal_and_half_silent_layers(layer, share):
    assert dormant_ratio([layer]).ratio == share


def test_ratio_weighs_layers_by_their_neurons_and_the_floor_is_absolute():
    found = dormant_ratio({"small": np.zeros((2, 1)), "large": np.ones((2, 3, 3))})
    assert found.ratio == 0.1 and found.per_layer == {"small": 1.0, "large": 0.0}
    assert dormant_ratio([np.full((2, 4), 0.01)]).ratio == 0.0
    assert dormant_ratio([np.full((2, 4), 0.01)], r_min=0.5).ratio == 1.0


def test_schedules():
    assert perturb_factor(0.0, a_max=1.0) == 1.0 and perturb_factor(0.4) == pytest.approx(0.2)
    assert exploration_std(0.2) == 0.5 and exploration_std(1.0) == pytest.approx(1 / (1 + np.exp(-8)))
    assert exploration_std(0.0, awakened=0.7) == 0.7
    assert exploitation_share(0.2) == pytest.approx(0.3)
    assert exploitation_share(0.0) == pytest.approx(0.6 / (1 + np.exp(-10)))
    assert exploitation_share(0.4) == pytest.approx(2.72e-5, rel=0.01)


def test_diagnosis_of_a_recording():
    bias = np.array([-9.0, 0.2, 9.0])
    net = Network(
        [Population("a", 3, lif(bias=bias)), Population("b", 3, lif(bias=bias, t_ref=2e-3))],
        [Projection("in", "a", OneToOne(), weight=1.0)],
        [Input("in", 3)],
    )
    data = np.zeros((60, 3))
    recording = run(net, inputs={"in": data})
    found = diagnose(recording, refractory={"b": 2})
    for name in ("a", "b"):
        assert found.dormancy.masks[name].tolist() == [True, False, False]
        assert found.always_firing[name].tolist() == [False, False, True]
    assert found.zero_gradient is None and "33.3% always firing" in str(found)
    flags = diagnose(recording, populations=["a"], network=net, inputs={"in": data}).zero_gradient
    # u starts at -9 + 0 and stays more than 1 below the threshold; 0.2 comes near it; 9 is always far above
    assert flags is not None and flags["a"].tolist() == [True, False, True]
    wide = diagnose(recording, populations=["a"], network=net, inputs={"in": data}, surrogate="arctan").zero_gradient
    assert wide is not None and not wide["a"].any()


def test_mistakes_get_a_clear_answer():
    with pytest.raises(InvalidValueError, match=r"(?s)layer '0': .* found \[3\].*layer '1': .*at least 0.*tau must be"):
        dormant_ratio([[1, 2, 3], [[-1.0]]], tau=-1.0)
    with pytest.raises(InvalidValueError, match="at least one layer"):
        dormant_ratio([])
    net = Network([Population("a", 2, lif())])
    with pytest.raises(UnknownNameError, match="population of the network"):
        other = Network([Population("b", 2, lif())])
        diagnose(run(net, steps=5), network=other)
