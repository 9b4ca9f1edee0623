"""Corruptions of images and of spikes: strengths, seeds, and what they keep."""

import numpy as np
import pytest

from spikesim.data.corruptions import CORRUPTIONS, blur, contrast, corrupt, lose_events, losing, noise, occlusion
from spikesim.errors import InvalidValueError, UnknownNameError


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0.1, 0.9, (5, 12, 12))


@pytest.mark.parametrize("name", [n for n in CORRUPTIONS if n != "lose_events"])
def test_images_stay_images_and_change_more_with_severity(images, name):
    found = [corrupt(images, name, severity, seed=3) for severity in (1, 3, 5)]
    sizes = [np.abs(f - images).mean() for f in found]
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert all(f.min() >= 0 and f.max() <= 1 and f.shape == images.shape for f in found)
    assert np.array_equal(found[1], corrupt(images, name, 3, seed=3))
    if name not in ("blur", "contrast"):
        assert not np.array_equal(found[1], corrupt(images, name, 3, seed=4))


def test_each_does_what_it_says(images):
    flat = np.full((1, 30, 30), 0.5)
    assert noise(np.full((20, 40, 40), 0.5), 0.1).std() == pytest.approx(0.1, rel=0.02)
    assert blur(flat, 2)[0, 10:20, 10:20] == pytest.approx(0.5)
    one = np.zeros((1, 3, 3))
    one[0, 1, 1] = 1.0
    assert blur(one, 1)[0].tolist() == [[0.0625, 0.125, 0.0625], [0.125, 0.25, 0.125], [0.0625, 0.125, 0.0625]]
    assert contrast(images, 0.4) - 0.5 == pytest.approx(0.4 * (images - 0.5))
    hidden = occlusion(images, 0.5) == 0
    assert hidden.sum((1, 2)).tolist() == [36] * 5
    specks = corrupt(np.full((50, 40, 40), 0.5), "salt_and_pepper", 4)
    assert (specks == 0).mean() == pytest.approx(0.08, abs=0.005) == (specks == 1).mean()


def test_lost_events_are_lost_one_by_one():
    counts = np.random.default_rng(1).integers(0, 4, (6, 50, 2, 20, 20))
    left = lose_events(counts, 0.3, seed=2)
    assert left.dtype == counts.dtype and (left <= counts).all()
    assert left.sum() / counts.sum() == pytest.approx(0.7, abs=0.01)
    assert not lose_events(counts, 1.0).any() and np.array_equal(lose_events(counts, 0.0), counts)
    spikes = losing("regular", 0.5)(np.full((10, 30), 0.8), 10)
    assert spikes.shape == (10, 10, 30) and spikes.mean() == pytest.approx(0.4, abs=0.03)


def test_what_is_refused(images):
    with pytest.raises(UnknownNameError, match="occlusion"):
        corrupt(images, "oclusion", 1)
    with pytest.raises(InvalidValueError, match="severity is 6; allowed is 1 to 5"):
        corrupt(images, "blur", 6)
    with pytest.raises(InvalidValueError, match=r"Dataset.scaled\(\)"):
        corrupt(images * 255, "noise", 1)
    with pytest.raises(InvalidValueError, match="encode samples as spikes first"):
        corrupt(images, "lose_events", 1)
    with pytest.raises(UnknownNameError, match="latency"):
        losing("constant", 0.1)
