"""Integer networks: how weights are stored, which values are refused, and how all problems are reported at once."""

import numpy as np
import pytest

from spikesim.errors import DeviceLimitError, InvalidValueError, NetworkError
from spikesim.fixedpoint import (
    IntInput,
    IntNetwork,
    IntPopulation,
    IntProjection,
    IntRun,
    check_network,
    find_violations,
    optimize_weight_bits,
    raster_to_events,
    sign_mode_of,
    truncate_weights,
)
from spikesim.fixedpoint.run import IntCounts, as_samples

# fmt: off
GIVEN = [27, -47, -39, 1, -1, 2, -2, 3, -3, 127, -127, 128, -128, 253, 254, 255, 256, 300, -255, -256, -257, -300, 0]
MIXED = {
    8: [26, -48, -40, 0, -2, 2, -2, 2, -4, 126, -128, 128, -128, 252, 254, 254, 254, 254, -256, -256, -256, -256, 0],
    7: [24, -48, -40, 0, -4, 0, -4, 0, -4, 124, -128, 128, -128, 252, 252, 252, 252, 252, -256, -256, -256, -256, 0],
    6: [24, -48, -40, 0, -8, 0, -8, 0, -8, 120, -128, 128, -128, 248, 248, 248, 248, 248, -256, -256, -256, -256, 0],
    5: [16, -48, -48, 0, -16, 0, -16, 0, -16, 112, -128, 128, -128,
        240, 240, 240, 240, 240, -256, -256, -256, -256, 0],
    4: [0, -64, -64, 0, -32, 0, -32, 0, -32, 96, -128, 128, -128, 224, 224, 224, 224, 224, -256, -256, -256, -256, 0],
}
POSITIVE = [0, 1, 2, 3, 27, 47, 127, 128, 254, 255, 256, 300]
EXCITATORY = {
    8: [0, 1, 2, 3, 27, 47, 127, 128, 254, 255, 255, 255],
    7: [0, 0, 2, 2, 26, 46, 126, 128, 254, 254, 254, 254],
    6: [0, 0, 0, 0, 24, 44, 124, 128, 252, 252, 252, 252],
    4: [0, 0, 0, 0, 16, 32, 112, 128, 240, 240, 240, 240],
}
# fmt: on


@pytest.mark.parametrize("bits", MIXED)
def test_mixed_weights_are_rounded_down(bits: int) -> None:
    assert truncate_weights(GIVEN, bits).tolist() == MIXED[bits]


@pytest.mark.parametrize("bits", EXCITATORY)
def test_weights_of_one_sign_are_rounded_towards_zero(bits: int) -> None:
    assert truncate_weights(POSITIVE, bits).tolist() == EXCITATORY[bits]
    assert truncate_weights([-w for w in POSITIVE], bits).tolist() == [-w for w in EXCITATORY[bits]]


@pytest.mark.parametrize(
    ("mode", "given", "kept"),
    [
        ("excitatory", [27, -47, 60], [27, 0, 60]),
        ("inhibitory", [27, -47, -60], [0, -47, -60]),
        ("mixed", [27, 47, 60], [26, 46, 60]),
        ("mixed", [-27, -47, -60], [-28, -48, -60]),
    ],
)
def test_forced_sign_mode(mode: str, given: list[int], kept: list[int]) -> None:
    assert truncate_weights(given, 8, mode).tolist() == kept


@pytest.mark.parametrize(
    ("weights", "mode", "expected", "bits", "exponent"),
    [
        ([60, -60], "mixed", [240, -240], 5, -2),
        ([61, -61], "mixed", [244, -244], 7, -2),
        ([254, -256], "mixed", [254, -256], 8, 0),
        ([100, -3], "mixed", [200, -6], 8, -1),
        ([12, -20], "mixed", [96, -160], 4, -3),
        ([1, -1], "mixed", [128, -128], 2, -7),
        ([127, -128], "mixed", [254, -256], 8, -1),
        ([200, -100], "mixed", [200, -100], 7, 0),
        ([60, 3], "excitatory", [240, 12], 6, -2),
        ([255, 0], "excitatory", [255, 0], 8, 0),
        ([-60, -3], "inhibitory", [-240, -12], 6, -2),
        ([0, -7], "inhibitory", [0, -224], 3, -5),
        ([0, 0], "excitatory", [0, 0], 0, 0),
    ],
)
def test_optimised_weights(weights: list[int], mode: str, expected: list[int], bits: int, exponent: int) -> None:
    assert sign_mode_of(weights) == mode
    best = optimize_weight_bits(weights)
    assert (best.weights.tolist(), best.num_weight_bits, best.weight_exp) == (expected, bits, exponent)
    assert truncate_weights(best.weights, bits, mode).tolist() == expected


def test_weights_that_no_chip_holds_are_refused() -> None:
    with pytest.raises(DeviceLimitError, match="need 9 bits"):
        optimize_weight_bits([128, -1])
    with pytest.raises(DeviceLimitError, match=r"weights are -10\.\.300"):
        optimize_weight_bits([300, -10])
    with pytest.raises(InvalidValueError, match="num_weight_bits is 9"):
        truncate_weights([1], 9)
    with pytest.raises(InvalidValueError, match="sign_mode is 'both'"):
        truncate_weights([1], 8, "both")  # type: ignore[arg-type]


def test_every_violation_is_reported() -> None:
    bad = IntPopulation(
        "bad", 2, du=4096, dv=-1, vth=131072, bias_mant=[0, 4096], bias_exp=-1, quantum=-5, u0=2**23 + 1, v0=2**23
    )
    line = IntProjection.from_dense("line", "in", "bad", [[-257], [256]], delay=63, weight_exp=8, num_weight_bits=9)
    network = IntNetwork([bad], [line], [IntInput("in", 1)])
    with pytest.raises(DeviceLimitError) as caught:
        check_network(network)
    text = "\n".join(caught.value.problems)
    for name in ("du", "dv", "vth", "bias_mant", "bias_exp", "quantum", "u0", "v0"):
        assert f"population 'bad': {name} is" in text
    for name in ("weights", "delay", "weight_exp", "num_weight_bits"):
        assert f"projection 'line': {name} is" in text
    assert "bias_mant is 4096 at 1 of 2 places, first at index 1; allowed is -4096..4095" in text
    assert len(caught.value.problems) == 12


def test_limits_themselves_are_allowed() -> None:
    for low in (True, False):
        edge = IntPopulation(
            "edge",
            1,
            du=0 if low else 4095,
            dv=0 if low else 4096,
            vth=0 if low else 131071,
            bias_mant=-4096 if low else 4095,
            bias_exp=0 if low else 7,
            u0=1 - 2**23 if low else 2**23,
            v0=(1 - 2**23) if low else 2**23 - 1,
        )
        line = IntProjection.from_dense("line", "in", "edge", [[-256 if low else 255]], delay=0 if low else 62)
        assert find_violations(IntNetwork([edge], [line], [IntInput("in", 1)])) == []


def test_negative_bias_exponent_only_if_asked() -> None:
    cells = IntPopulation("cells", 1, bias_exp=-2)
    assert find_violations(IntNetwork([cells])) != []
    assert find_violations(IntNetwork([cells], allow_negative_bias_exp=True)) == []


def test_networks_that_do_not_fit_together() -> None:
    cells = IntPopulation("cells", 2)
    lost = IntProjection.from_dense("lost", "nobody", "nowhere", [[1]])
    wide = IntProjection.from_dense("wide", "in", "cells", [[1], [1], [1]])
    with pytest.raises(NetworkError) as caught:
        IntNetwork([cells, cells], [lost, wide, wide], [IntInput("in", 2), IntInput("none", 0)])
    text = str(caught.value)
    assert "the name 'cells' is used by more than one group" in text
    assert "the name 'wide' is used by more than one projection" in text
    assert "'none' has 0 neurons" in text
    assert "no group 'nobody'" in text and "no population 'nowhere'" in text
    assert "1 rows for the 2 sources of 'in'" in text
    assert "targets 0..2 in a population of 2" in text


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: IntPopulation("p", 2, du=[1, 2, 3]), "du has shape"),
        (lambda: IntPopulation("p", 2, du=1.5), "whole numbers"),  # type: ignore[arg-type]
        (lambda: IntPopulation("p", 2, vth="high"), "whole numbers"),  # type: ignore[arg-type]
        (lambda: IntPopulation("p", 2, reset="later"), "reset is 'later'"),  # type: ignore[arg-type]
        (lambda: IntProjection("l", "a", "b", [0, 2], [0], [1]), "indptr ends at 2"),  # type: ignore[arg-type]
        (lambda: IntProjection("l", "a", "b", [1, 1], [], []), "start at 0"),  # type: ignore[arg-type]
        (lambda: IntProjection("l", "a", "b", [0, 1], [0], [1, 2]), "2 weights for 1"),  # type: ignore[arg-type]
        (lambda: IntProjection.from_dense("l", "a", "b", [1, 2]), "a matrix"),
    ],
)
def test_parts_that_cannot_be(make: object, match: str) -> None:
    with pytest.raises(NetworkError, match=match):
        make()  # type: ignore[operator]


def test_inputs_that_do_not_fit_are_all_reported() -> None:
    network = IntNetwork([IntPopulation("cells", 2)], [], [IntInput("in", 2)])
    with pytest.raises(NetworkError) as caught:
        as_samples(network, 0, 5, [{"in": [(5, 0), (0, 2), (1, 1), (1, 1)]}, {"on": []}, {"in": [0.5]}])
    text = str(caught.value)
    assert "sample 0: input 'in': columns 0..5 do not lie in this run's 0..4" in text
    assert "sample 0: input 'in': sources 0..2 do not lie in 0..1" in text
    assert "sample 0: input 'in': a source spikes twice" in text
    assert "sample 1: there is no input 'on'; known: in" in text
    assert "sample 2: input 'in': events have shape (1,)" in text


def test_sparse_and_dense_agree() -> None:
    w = np.array([[0, 3], [5, 0]])
    sparse = IntProjection.from_dense("l", "a", "b", w, delay=[[9, 1], [2, 9]], keep_zeros=False)
    assert (sparse.indptr.tolist(), sparse.indices.tolist(), sparse.weights.tolist()) == ([0, 1, 2], [1, 0], [5, 3])
    assert np.array_equal(sparse.delay, [2, 1]) and sparse.max_delay == 2 and sparse.sources.tolist() == [0, 1]
    assert IntProjection.from_dense("l", "a", "b", w).n_synapses == 4


def test_raster_and_events_are_inverse() -> None:
    raster = np.random.default_rng(0).random((3, 7)) < 0.4
    events = raster_to_events(raster)
    empty = IntCounts({}, {})
    run = IntRun(7, 0, None, {"p": events}, {}, {}, np.arange(7), empty)
    assert np.array_equal(run.raster("p", 3), raster)
    batch = np.insert(np.concatenate([events, events]), 0, np.repeat([0, 1], len(events)), axis=1)
    run = IntRun(7, 0, 2, {"p": batch}, {}, {}, np.arange(7), empty)
    assert np.array_equal(run.raster("p", 3), [raster, raster])
