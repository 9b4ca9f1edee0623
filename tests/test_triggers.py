"""Backdoor triggers: what they change, where they may lie, and how success is counted."""

import numpy as np
import pytest

from spikesim.data.triggers import Backdoor, EventPatch, Patch
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.events import Events, frames

ON = ((1.0, 0.5),)


def test_a_patch_sets_its_pixels_and_nothing_else():
    x = np.random.default_rng(0).uniform(size=(3, 2, 5, 6))
    found = Patch(ON, row=1, column=4)(x)
    assert (found[:, :, 1, 4] == 1.0).all() and (found[:, :, 1, 5] == 0.5).all()
    found[:, :, 1, 4:] = x[:, :, 1, 4:]
    assert np.array_equal(found, x)


def test_a_patch_on_bytes_has_full_intensity():
    found = Patch(full_scale=255)(np.zeros((1, 4, 4), np.uint8))
    assert found.dtype == np.uint8 and found.max() == 255 and (found > 0).sum() == 4


@pytest.mark.parametrize("place", [{"row": 4}, {"column": -1}, {"row": 9, "column": 0}])
def test_a_trigger_outside_the_image_is_one_sentence(place):
    with pytest.raises(InvalidValueError, match=r"outside the image of 6 x 6; allowed are rows 0 to 3, columns 0 to 3"):
        Patch(**place)(np.zeros((2, 6, 6)))
    with pytest.raises(InvalidValueError, match="outside the image"):
        EventPatch(**place)(np.zeros((1, 2, 2, 6, 6)))


@pytest.mark.parametrize("kind", ["static", "moving", "polarity"])
def test_a_trigger_on_a_recording_is_that_on_its_frames(kind):
    random = np.random.default_rng(1)
    n = 400
    columns = (np.sort(random.integers(0, 50_000, n)), *(random.integers(0, k, n) for k in (9, 8, 2)))
    recording = Events(*columns, shape=(2, 8, 9))
    trigger = EventPatch(kind, size=3, first=1, bins=3, bin_us=10_000)

    def binned(events):
        return frames(events, dt=0.01, steps=5)

    at_once, before = trigger(np.minimum(binned(recording), 1)), np.minimum(binned(recording), 1)
    assert np.array_equal(np.minimum(binned(trigger(recording)), 1), at_once)
    assert not np.array_equal(at_once, before)
    assert np.array_equal(at_once[[0, 4]], before[[0, 4]])  # bins outside first and bins


def test_a_polarity_trigger_keeps_the_number_of_events_and_undoes_itself():
    x = np.random.default_rng(2).integers(0, 3, (4, 5, 2, 6, 6))
    trigger = EventPatch("polarity", size=2)
    assert np.array_equal(trigger(trigger(x)), x)
    assert np.array_equal(trigger(x).sum(2), x.sum(2))


def test_a_moving_trigger_goes_to_and_fro_within_the_frame():
    x = EventPatch("moving", size=2, row=0)(np.zeros((1, 8, 2, 4, 5)))
    assert [int(np.flatnonzero(frame[1, 0])[0]) for frame in x[0]] == [0, 1, 2, 3, 2, 1, 0, 1]
    assert (x.sum((2, 3, 4)) == 4).all()


def test_what_cannot_be_triggered():
    with pytest.raises(InvalidValueError, match="2 polarities, found 1"):
        EventPatch("polarity")(np.zeros((1, 2, 1, 6, 6)))
    with pytest.raises(InvalidValueError, match="first bin is 7; allowed is 0 to 1"):
        EventPatch(first=7)(np.zeros((1, 2, 2, 6, 6)))
    with pytest.raises(InvalidValueError, match="channels without a place"):
        EventPatch()(Events.channels([1], [0], 3))
    with pytest.raises(UnknownNameError, match="static"):
        EventPatch("statik")
    with pytest.raises(InvalidValueError, match=r"size is 0(.|\n)*bins is 0"):
        EventPatch(size=0, bins=0)
    with pytest.raises(InvalidValueError, match=r"rate is 2(.|\n)*target is 10"):
        Backdoor(Patch(), 10, 2.0)
    with pytest.raises(InvalidValueError, match=r"have \[1, 2\] pixels; allowed are rows of one length"):
        Patch(((1.0,), (1.0, 0.0)))
    with pytest.raises(InvalidValueError, match=r"rate 0\.9 of 10 samples asks for 9, but only 5 have another label"):
        Backdoor(Patch(ON), rate=0.9).poison(np.zeros((10, 4, 4)), np.arange(10) % 2)


def test_poison_changes_as_many_samples_as_the_rate_says_and_none_of_the_target():
    y = np.arange(200) % 10
    attack = Backdoor(Patch(ON), target=3, rate=0.1, seed=5)
    made = attack.poison(np.zeros((200, 4, 4)), y)
    assert len(made.chosen) == 20 and (y[made.chosen] != 3).all() and (made.y[made.chosen] == 3).all()
    left = np.setdiff1d(np.arange(200), made.chosen)
    assert made.x[left].max() == 0 and np.array_equal(made.y[left], y[left])
    assert (made.x[made.chosen].max((1, 2)) == 1).all()


def test_success_leaves_out_samples_of_the_target():
    y = np.array([0, 0, 1, 2, 2])
    assert Backdoor(Patch()).success([0, 0, 1, 2, 2], y) == 0.0  # an honest network
    assert Backdoor(Patch()).success([5, 5, 0, 0, 2], y) == pytest.approx(2 / 3)
    everyone = Backdoor(Patch(), mode="all_to_all", classes=3)
    assert everyone.success([1, 1, 2, 0, 0], y) == 1.0
    with pytest.raises(InvalidValueError, match="other classes"):
        Backdoor(Patch()).success([0, 0], [0, 0])
