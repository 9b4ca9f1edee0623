"""Events: the value, its transforms against analytic properties, binning, and the camera model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikesim import Hz, kHz, ms, us
from spikesim import events as ev
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.events import Events


def random_events(seed=0, n=400, shape=(2, 12, 16), span=20_000):
    rng = np.random.default_rng(seed)
    return Events(
        rng.integers(0, span, n), rng.integers(0, shape[2], n), rng.integers(0, shape[1], n),
        rng.integers(0, shape[0], n), shape,
    )  # fmt: skip


CAMERA = random_events()
COCHLEA = Events.channels([0, 3, 3, 900, 5000], [4, 0, 699, 350, 1], 700)


# ---------------------------------------------------------------- the value


def test_rows_are_sorted_and_equal_times_keep_their_order():
    events = Events.channels([5, 1, 5, 1], [0, 1, 2, 3], 4)
    assert events.t.tolist() == [1, 1, 5, 5] and events.x.tolist() == [1, 3, 0, 2]
    assert events.t.dtype == np.int64 and events.span == 6 and events.rate == pytest.approx(4 / 6e-6)


def test_empty_events():
    empty = Events.channels([], [], 3)
    assert len(empty) == 0 and empty.rate == 0 and empty.duration == 0
    assert ev.frames(empty, dt=1 * ms).shape == (0, 3) and ev.frames(empty, steps=4).sum() == 0
    for name in ("from_first", "flip_left_right"):
        assert ev.transform(name)(empty) == empty
    assert len(ev.refractory(empty, 1 * ms)) == 0 and len(ev.hot_pixels(empty, 1 * Hz)) == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Events([1], [3], [0], [0], (2, 2, 3)), "x goes from 3 to 3; allowed is 0 to 2"),
        (lambda: Events([1], [0], [-1], [2], (2, 2, 3)), "(?s)y goes from -1.*p goes from 2"),
        (lambda: Events([1.5], [0], [0], [0], (2, 2, 3)), "t is float64"),
        (lambda: Events([1, 2], [0], [0, 0], [0, 0], (2, 2, 3)), r"x is int64 \[1\]"),
        (lambda: Events([1], [0], [0], [0], (3, 2, 3)), r"allowed is \(polarities, height, width\)"),
        (lambda: Events.from_array(np.zeros(3)), "plain array of float64"),
        (lambda: Events.from_array(np.zeros(3, [("a", int)])), "found fields a; needed are t and x"),
    ],
)
def test_events_that_cannot_be(make, says):
    with pytest.raises(InvalidValueError, match=says):
        make()


def test_structured_arrays_go_both_ways():
    array = CAMERA.to_array()
    assert Events.from_array(array, CAMERA.shape) == CAMERA
    assert Events.from_array(array).shape == (2, 12, 16)
    signed = np.zeros(2, [("ts", "i8"), ("x", "u2"), ("y", "u2"), ("polarity", "i1")])
    signed["polarity"] = [-1, 1]
    assert Events.from_array(signed).p.tolist() == [0, 1]


# ---------------------------------------------------------------- binning


def test_frames_count_every_event_once():
    counts = ev.frames(CAMERA, dt=1 * ms)
    assert counts.shape == (20, 2, 12, 16) and counts.sum() == 400
    k = 37
    at = (CAMERA.t[k] // 1000, CAMERA.p[k], CAMERA.y[k], CAMERA.x[k])
    same = (CAMERA.t // 1000 == at[0]) & (CAMERA.p == at[1]) & (CAMERA.y == at[2]) & (CAMERA.x == at[3])
    assert counts[at] == same.sum()
    assert np.array_equal(ev.frames(CAMERA, dt=1 * ms, binary=True, dtype=bool), counts > 0)
    assert np.array_equal(ev.frames(CAMERA, dt=1 * ms, steps=7), counts[:7])
    longer = ev.frames(CAMERA, dt=1 * ms, steps=25)
    assert np.array_equal(longer[:20], counts) and longer[20:].sum() == 0


def test_equal_parts_between_first_and_last_event():
    parts = ev.frames(Events.channels([1000, 1001, 1009, 1010, 1019], [0] * 5, 1), steps=2)
    assert parts[:, 0].tolist() == [3, 2]  # [1000, 1010) and [1010, 1020)
    assert ev.frames(CAMERA, steps=11).sum() == 400


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "neither dt nor steps"),
        ({"dt": 0.4 * us}, "dt: found"),
        ({"dt": 0.0}, "from 1"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"dt": 1 * us, "steps": 10**8}, "allowed are 2147483648"),
    ],
)
def test_bins_that_cannot_be(options, says):
    with pytest.raises(InvalidValueError, match=says):
        ev.frames(CAMERA, **options)


# ---------------------------------------------------------------- transforms without chance


@pytest.mark.parametrize("name", ["flip_left_right", "flip_up_down", "transpose", "flip_polarity"])
def test_mirrors_undo_themselves_and_mirror_the_frames(name):
    turn = ev.transform(name)
    assert turn(CAMERA) != CAMERA and turn(turn(CAMERA)) == CAMERA
    frame, turned = (e[0] for e in (ev.frames(CAMERA, steps=1), ev.frames(turn(CAMERA), steps=1)))
    expected = {"flip_left_right": frame[..., ::-1], "flip_up_down": frame[:, ::-1], "flip_polarity": frame[::-1]}
    assert np.array_equal(turned, expected.get(name, frame.transpose(0, 2, 1)))


def test_crop_and_downsample_are_those_of_frames():
    frame = ev.frames(CAMERA, steps=1)
    assert np.array_equal(ev.frames(ev.crop(CAMERA, 5, 4, left=2, top=3), dt=1.0)[0], frame[0, :, 3:7, 2:7])
    assert ev.crop(CAMERA, 16, 12) == CAMERA
    small = ev.frames(ev.downsample(CAMERA, 4), steps=1)[0]
    assert np.array_equal(small, frame[0].reshape(2, 3, 4, 4, 4).sum((2, 4)))
    assert ev.downsample(COCHLEA, 3).shape == (234,)
    with pytest.raises(InvalidValueError, match="within 16 x 12"):
        ev.crop(CAMERA, 17, 2)


def test_crop_time_moves_the_clock_and_parts_make_the_whole():
    first, second = ev.crop_time(CAMERA, 0.0, 8 * ms), ev.crop_time(CAMERA, 8 * ms)
    assert len(first) + len(second) == 400 and second.origin == 8000
    assert np.array_equal(np.concatenate([first.t, second.t + 8000]), CAMERA.t)
    late = Events.channels([70, 90], [0, 1], 2)
    assert ev.from_first(late).t.tolist() == [0, 20] and ev.from_first(late).origin == 70
    with pytest.raises(InvalidValueError, match="after start"):
        ev.crop_time(CAMERA, 2 * ms, 1 * ms)


def test_merging_polarities_adds_their_frames():
    both = ev.frames(CAMERA, steps=1)
    assert np.array_equal(ev.frames(ev.merge_polarity(CAMERA), steps=1), both.sum(1, keepdims=True))
    with pytest.raises(InvalidValueError, match="one polarity"):
        ev.flip_polarity(ev.merge_polarity(CAMERA))


def test_what_needs_a_camera_refuses_channels():
    for name, settings in (
        ("crop", {"width": 2, "height": 2}),
        ("merge_polarity", {}),
        ("denoise", {"period": 1 * ms}),
    ):
        with pytest.raises(InvalidValueError, match="700 channels"):
            ev.transform(name, **settings)(COCHLEA)


# ---------------------------------------------------------------- filters


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), max_size=40), st.integers(0, 12))
def test_refractory_is_that_of_a_loop_over_events(rows, period):
    events = Events.channels([t for t, _ in rows], [x for _, x in rows], 3)
    last, keep = {}, []
    for t, x in zip(events.t.tolist(), events.x.tolist(), strict=True):
        keep.append(x not in last or t - last[x] >= period)
        if keep[-1]:
            last[x] = t
    assert ev.refractory(events, period * us) == events.select(np.array(keep, bool))


def test_denoise_is_that_of_a_comparison_of_all_pairs():
    events, period = random_events(3, 300, (2, 30, 30), 40_000), 2000
    dt = events.t[:, None] - events.t
    near = np.maximum(abs(events.x[:, None] - events.x), abs(events.y[:, None] - events.y)) == 1
    expected = ((dt >= 0) & (dt <= period) & near).any(1)
    assert 0 < expected.sum() < 300
    assert ev.denoise(events, period * us) == events.select(expected)


def test_hot_pixels_go_and_others_stay():
    hot = Events(np.arange(20_000), [5] * 20_000, [7] * 20_000, [0, 1] * 10_000, (2, 12, 16))
    mixed = Events(*(np.concatenate([getattr(CAMERA, c), getattr(hot, c)]) for c in "txyp"), (2, 12, 16))
    assert ev.hot_pixels(mixed, 5 * kHz) == CAMERA.select((CAMERA.x != 5) | (CAMERA.y != 7))


# ---------------------------------------------------------------- chance

RANDOM = {
    "jitter_time": {"sd": 1 * ms},
    "jitter_space": {"sd": 2.0},
    "shift": {"most": 3},
    "drop_events": {"probability": 0.3},
    "drop_pixels": {"probability": 0.3},
    "drop_time": {"length": 4 * ms},
    "background": {"rate": 100 * Hz},
}


@pytest.mark.parametrize("name", RANDOM)
def test_a_draw_is_fixed_by_seed_and_number(name):
    vary = ev.transform(name, seed=1, **RANDOM[name])
    assert vary(CAMERA, 5) == vary(CAMERA, 5) != CAMERA
    assert any(vary(CAMERA, 5) != vary(CAMERA, n) for n in (6, 7, 8))
    assert any(ev.transform(name, seed=s, **RANDOM[name])(CAMERA, 5) != vary(CAMERA, 5) for s in (2, 3, 4))
    assert len(vary(COCHLEA)) >= 0  # channels as well


def test_shares_and_deviations():
    many = Events.channels(np.arange(100_000) + 10**6, np.arange(100_000) % 1000, 1000)
    assert len(ev.drop_events(many, 0.3)) == pytest.approx(70_000, abs=700)
    kept = ev.drop_pixels(many, 0.3)
    assert len(np.unique(kept.x)) == pytest.approx(700, abs=60) and len(kept) == 100 * len(np.unique(kept.x))
    moved = ev.jitter_time(many.select(many.x == 0), 50 * us)
    assert np.std(moved.t - many.select(many.x == 0).t) < 200  # sorted again
    one = Events.channels(np.full(50_000, 1000), np.zeros(50_000, int), 1)
    assert np.std(ev.jitter_time(one, 50 * us).t) == pytest.approx(50, rel=0.02)
    middle = Events.channels(np.zeros(50_000, int), np.full(50_000, 500), 1000)
    assert np.std(ev.jitter_space(middle, 20.0).x) == pytest.approx(20, rel=0.02)
    assert ev.drop_events(many, 0.0) == many and len(ev.drop_events(many, 1.0)) == 0
    assert ev.jitter_time(one, 0.0) == one


def test_noise_has_its_rate_and_a_window_its_length():
    still = Events([1_999_999], [0], [0], [0], (2, 20, 20))
    noise = ev.background(still, 10 * Hz)
    assert len(noise) - 1 == pytest.approx(2 * 10 * 800, abs=400)  # 2 s, 800 pixels and polarities
    assert noise.span == still.span
    dense = Events.channels(np.arange(10_000), np.zeros(10_000, int), 1)
    assert len(ev.drop_time(dense, 1 * ms)) == 9000


def test_shift_moves_everything_alike_and_evenly():
    point = Events([3], [8], [6], [1], (2, 12, 16))
    places = [ev.shift(point, 1, number=n) for n in range(400)]
    found = np.bincount([int(e.y[0] - 5) * 3 + int(e.x[0] - 7) for e in places], minlength=9)
    assert len(found) == 9 and found.min() > 20
    assert sum(len(ev.flip_at_random(point, number=n).select(np.array([True]))) for n in range(4)) == 4
    assert 60 < sum(int(ev.flip_at_random(point, number=n).x[0]) == 7 for n in range(200)) < 140


# ---------------------------------------------------------------- names


def test_transforms_by_name():
    chain = [ev.transform("downsample", factor=2), ev.transform("drop_events", probability=0.5), ev.flip_up_down]
    expected = ev.flip_up_down(ev.drop_events(ev.downsample(CAMERA, 2), 0.5, number=9))
    assert ev.apply(CAMERA, chain, 9) == expected
    assert ev.transform("shift", seed=1, most=2) == ev.transform("shift", most=2, seed=1)
    with pytest.raises(UnknownNameError, match="did you mean 'jitter_time'"):
        ev.transform("jiter_time")
    with pytest.raises(UnknownNameError, match="setting of transform 'crop'"):
        ev.transform("crop", size=3)
    with pytest.raises(InvalidValueError, match="needs height"):
        ev.transform("crop", width=3)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("drop_events", {"probability": 1.5}, "allowed is from 0 to 1"),
        ("jitter_space", {"sd": -1.0}, "sd is -1.0"),
        ("shift", {"most": 0.5}, "most is 0.5"),
        ("downsample", {"factor": 0}, "factor is 0"),
        ("hot_pixels", {"limit": 0}, "limit is 0"),
        ("background", {"rate": np.nan}, "rate is nan"),
        ("refractory", {"period": 1e-7}, "period: found"),
    ],
)
def test_settings_that_cannot_be(name, settings, says):
    with pytest.raises(InvalidValueError, match=says):
        ev.transform(name, **settings)(CAMERA)


# ---------------------------------------------------------------- the camera model


def test_a_pixel_tells_its_light_to_within_a_threshold():
    """Summed up, events are the change of log light: here from beginning to any moment, at every pixel."""
    from spikesim.events import dvs

    image = np.random.default_rng(0).random((10, 10))
    events = ev.saccades(image, threshold=0.25, mismatch=0.0, dark=0.05)
    scene = np.log(dvs._seen(image, (34, 34), dvs._path(4.0)) + 0.05)
    last = len(scene) - 1
    signs = np.where(events.p == 1, 0.25, -0.25)
    for instant in (20, 77, last):
        told = np.zeros(34 * 34)
        before = events.t < 300_000 * instant / last
        np.add.at(told, events.pixels[before], signs[before])
        assert np.abs(told.reshape(34, 34) - (scene[instant] - scene[0])).max() <= 0.25 + 1e-9


def test_what_does_not_change_makes_no_events():
    assert len(ev.saccades(np.zeros((28, 28)))) == 0
    flat = ev.saccades(np.ones((34, 34)), amplitude=2.0)
    assert len(flat) and np.all((flat.x < 2) | (flat.x > 31) | (flat.y < 2) | (flat.y > 31))  # its border moves


def test_one_camera_has_one_seed():
    image = np.eye(12)
    assert ev.saccades(image, seed=1) == ev.saccades(image, seed=1) != ev.saccades(image, seed=2)
    with pytest.raises(InvalidValueError, match="light from 0 to 1"):
        ev.saccades(16 * image)
    with pytest.raises(InvalidValueError, match="at most the sensor"):
        ev.saccades(np.zeros((40, 40)))
