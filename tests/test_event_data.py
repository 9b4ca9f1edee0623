"""Samples of recordings, batches over time, images as sequences and frames."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from spikesim import data, ms
from spikesim import events as ev
from spikesim.cli.data_verb import command
from spikesim.data import Batches, EventSamples, frames, places
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.events import Events


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    """Never read or write the developer's own data."""
    monkeypatch.setenv("SPIKESIM_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "SYSTEM", {})


def made(n=10, span=20_000):
    """Return samples of a small camera, and the list of which were read."""
    rng, seen, recordings = np.random.default_rng(0), [], []
    for k in range(n):
        size = 20 + 5 * k
        columns = (rng.integers(0, m, size) for m in (span * (k + 1) // n, 5, 4, 2))
        recordings.append(Events(*columns, (2, 4, 5)))

    def read(k):
        seen.append(k)
        return recordings[k]

    return EventSamples(read, np.arange(n) % 3, (2, 4, 5)), recordings, seen


# ---------------------------------------------------------------- samples


def test_samples_are_read_when_asked_for():
    samples, recordings, seen = made()
    assert len(samples) == 10 and not seen
    assert samples[4] == (recordings[4], 1) and seen == [4]
    part = samples[np.array([7, 2])]
    assert part[1] == (recordings[2], 2) and part[:1].labels.tolist() == [1]
    rest, held = samples.split(seed=0, fraction=0.3)
    assert sorted([*rest.numbers, *held.numbers]) == list(range(10)) and len(held) == 3


def test_samples_that_cannot_be():
    with pytest.raises(InvalidValueError, match="class numbers"):
        EventSamples(lambda k: None, [0.5], (2,))
    with pytest.raises(InvalidValueError, match="found 1 for 2 labels"):
        EventSamples(lambda k: None, [0, 1], (2,), [0])
    with pytest.raises(InvalidValueError, match=r"has the shape \(3,\); allowed is \(2,\)"):
        EventSamples(lambda k: Events.channels([0], [0], 3), [0], (2,))[0]


# ---------------------------------------------------------------- batches


def test_batches_hold_the_frames_of_their_recordings():
    samples, recordings, seen = made()
    batches = samples.batches(4, dt=1 * ms, lengths=True)
    found = list(batches)
    assert len(batches) == len(found) == 3 and [len(y) for _, y, _ in found] == [4, 4, 2]
    assert seen == list(range(10))
    for k, events in enumerate(recordings):
        x, y, lengths = (part[k % 4] for part in found[k // 4])
        assert y == k % 3 and lengths == events.t[-1] // 1000 + 1
        assert np.array_equal(x[:lengths], ev.frames(events, dt=1 * ms)) and not x[lengths:].any()
    assert found[0][0].shape[1] == max(found[0][2]) < found[2][0].shape[1]  # as long as the longest of a batch
    x, _ = next(iter(samples.batches(4, dt=1 * ms, steps=5, binary=True, dtype=np.uint8)))
    assert x.shape == (4, 5, 2, 4, 5) and x.dtype == np.uint8 and x.max() == 1


def test_no_more_than_a_batch_is_read_ahead():
    samples, _, seen = made()
    passing = iter(samples.batches(3, dt=1 * ms, seed=1))
    next(passing)
    assert len(seen) == 3
    next(passing)
    assert len(seen) == 6 and len(set(seen)) == 6


def test_the_order_of_an_epoch_depends_on_its_number_only():
    samples, _, seen = made()

    def order(batches):
        seen.clear()
        list(batches)
        return list(seen)

    batches = samples.batches(4, dt=1 * ms, seed=5)
    first, second = order(batches), order(batches)
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    again = samples.batches(3, dt=1 * ms, seed=5)
    again.set_epoch(1)
    assert order(again) == second
    assert order(samples.batches(4, dt=1 * ms, seed=6)) != first
    assert order(samples.batches(4, dt=1 * ms)) == list(range(10))


def test_transforms_draw_anew_in_every_epoch_and_the_same_again():
    samples, recordings, _ = made()
    vary = ev.transform("drop_events", probability=0.5, seed=3)
    batches = samples.batches(10, dt=1 * ms, transforms=[vary])
    (first, _), (second, _) = next(iter(batches)), next(iter(batches))
    assert not np.array_equal(first.sum(), second.sum()) or not np.array_equal(first, second)
    batches.set_epoch(0)
    assert np.array_equal(next(iter(batches))[0], first)
    expected = ev.frames(vary(recordings[9], 9), dt=1 * ms)
    assert np.array_equal(first[9, : len(expected)], expected)


def test_arrays_with_lengths_are_cut_to_the_longest_of_a_batch():
    x = np.arange(4 * 6 * 2.0).reshape(4, 6, 2)
    found = list(Batches((x, [0, 1, 2, 3], [2, 3, 6, 1]), 2, lengths=True))
    assert [b[0].shape for b in found] == [(2, 3, 2), (2, 6, 2)]
    assert np.array_equal(found[0][0], x[:2, :3]) and found[0][0].dtype == np.float32
    padded, _ = next(iter(Batches((x, [0, 1, 2, 3]), 4, steps=8)))
    assert padded.shape == (4, 8, 2) and not padded[:, 6:].any()
    assert np.array_equal(data.mask([0, 2], 3), [[False] * 3, [True, True, False]])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda s: Batches(s, 0, dt=1 * ms), "batch_size is 0"),
        (lambda s: Batches(s, 2), "need dt or steps"),
        (lambda s: Batches(([[1.0]], [0]), 2, dt=1 * ms), "these are arrays"),
        (lambda s: Batches(([[1.0]], [0, 1]), 2), r"x is \[1, 1\] for 2 labels"),
        (lambda s: Batches(3, 2), "samples are int"),
        (lambda s: Batches(s, 2, dt=1 * ms).set_epoch(-1), "epoch is -1"),
        (lambda s: data.load("digits").rows().batches(2, "validation"), "allowed are 'train' and 'test'"),
        (lambda s: list(Batches(s, 2, dt=1 * ms, transforms=[odd])), "leave recordings of shapes"),
    ],
)
def test_batches_that_cannot_be(make, says):
    with pytest.raises(InvalidValueError, match=says):
        make(made()[0])


def odd(events):
    return ev.downsample(events, 1 + len(events) // 5 % 2)


# ---------------------------------------------------------------- images as sequences


def test_rows_and_pixels_are_views_of_the_images():
    digits = data.load("digits")
    assert np.array_equal(digits.rows().x_train[3, 5], digits.x_train[3, 5])
    assert np.array_equal(digits.rows(4).x_test[0, 1], digits.x_test[0, 4:8].ravel())
    assert np.array_equal(digits.pixels().x_train[7, :, 0], digits.x_train[7].ravel())
    assert np.shares_memory(digits.pixels(2).x_train, digits.x_train)
    x, y = next(iter(digits.scaled().rows().batches(16, "test")))
    assert np.array_equal(x, (digits.x_test[:16] / 16).astype(np.float32)) and np.array_equal(y, digits.y_test[:16])
    for wrong, says in ((lambda: digits.rows(3), "divisors of the height 8"), (lambda: digits.pixels(5), "of 64")):
        with pytest.raises(InvalidValueError, match=says):
            wrong()
    with pytest.raises(InvalidValueError, match="allowed are images"):
        digits.flat().rows()


# ---------------------------------------------------------------- frames

IMAGES = np.random.default_rng(0).random((6, 2, 9, 11))


def test_frame_transforms_move_pixels_and_nothing_else():
    assert np.array_equal(frames.crop(frames.pad(IMAGES, 3), 9, 11), IMAGES)
    assert np.array_equal(frames.crop(IMAGES, 4, 5, top=0, left=6), IMAGES[..., :4, 6:])
    assert np.array_equal(frames.flip(IMAGES), IMAGES[..., ::-1])
    with pytest.raises(InvalidValueError, match="within 9 x 11"):
        frames.crop(IMAGES, 10, 2)


def test_random_frames_depend_on_seed_epoch_and_sample_only():
    whole = frames.random_crop(IMAGES, 2, seed=1, epoch=4)
    assert whole.shape == IMAGES.shape
    assert np.array_equal(whole[2:], frames.random_crop(IMAGES[2:], 2, seed=1, epoch=4, first_sample=2))
    assert not np.array_equal(whole, frames.random_crop(IMAGES, 2, seed=1, epoch=5))
    padded = frames.pad(IMAGES, 2)
    for image, wide in zip(whole, padded, strict=True):  # each is one of the 25 windows
        windows = [wide[..., r : r + 9, c : c + 11] for r in range(5) for c in range(5)]
        assert sum(np.array_equal(image, w) for w in windows) == 1
    many = frames.random_flip(np.arange(2.0) + np.zeros((1000, 1, 1, 2)), seed=0)
    assert 420 < (many[:, 0, 0, 0] == 1).sum() < 580


def test_normalised_has_mean_0_and_deviation_1_of_the_training_part():
    digits = data.load("digits").normalised()
    assert abs(digits.x_train.mean()) < 1e-12 and abs(digits.x_train.std() - 1) < 1e-12
    assert 0 < abs(digits.x_test.mean()) < 0.1 and digits.full_scale == 1
    channels = frames.normalise(IMAGES, axis=1)
    assert np.abs(channels.mean((0, 2, 3))).max() < 1e-12
    assert np.array_equal(frames.normalise(IMAGES, 0.5, 0.25), (IMAGES - 0.5) / 0.25)
    assert frames.normalise(np.ones((2, 3))).tolist() == [[0.0] * 3] * 2  # constants stay finite
    with pytest.raises(InvalidValueError, match="sd: found"):
        frames.normalise(IMAGES, 0.0, 0.0)


# ---------------------------------------------------------------- command line


@pytest.fixture
def said():
    def run(*words):
        done = CliRunner().invoke(command, [str(w) for w in words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_show_a_file_and_draw_it(tmp_path, said):
    ev.write_events(tmp_path / "a.npz", Events([0, 5, 99_999], [0, 1, 1], [2, 2, 2], [1, 1, 0], (2, 3, 4)))
    shown = said("show", tmp_path / "a.npz", "--plot", tmp_path / "a.png", "--stop", "50ms")
    for text in ("shape      2 x 3 x 4", "events     3", "duration   0.1", "rate       30", "pixels     2 of 12"):
        assert text in shown
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(said("show", tmp_path / "a.npz", "--json"))["on"] == pytest.approx(2 / 3)


def test_show_a_set_of_events(tmp_path, said):
    data.synthetic_shd(tmp_path, train=4, test=2, classes=2)
    shown = said("show", "shd", "--path", tmp_path, "--sample", 1)
    assert "training   4 x 700; per class 2 2" in shown and "SYNTHETIC" in shown and "events     1200" in shown
    with pytest.raises(InvalidValueError, match="--sample is 4; allowed is 0 to 3"):
        said("show", "shd", "--path", tmp_path, "--sample", 4)
    with pytest.raises(InvalidValueError, match="'digits' has none"):
        said("show", "digits", "--plot", tmp_path / "x.png")
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        said("show", "digit")


def test_convert(tmp_path, said):
    whole = data.synthetic_nmnist().train[0][0]
    ev.write_events(tmp_path / "a.bin", whole)
    said("convert", tmp_path / "a.bin", tmp_path / "b.npz", "--start", "10ms", "--stop", "200ms", "--crop", "20,16")
    expected = ev.crop(ev.crop_time(whole, 10 * ms, 200 * ms), 20, 16)
    assert ev.read_events(tmp_path / "b.npz") == expected
    assert "no place for shape (2, 16, 20) and origin 10000 us" in said(
        "convert", tmp_path / "b.npz", tmp_path / "c.npy"
    )
    with pytest.raises(InvalidValueError, match="--crop takes 2 whole numbers"):
        said("convert", tmp_path / "a.bin", tmp_path / "b.npz", "--crop", "20")


def test_fetching_what_no_package_holds_says_where_it_is(said):
    with pytest.raises(InvalidValueError, match=r"no package holds it; download shd_train\.h5, shd_test\.h5"):
        said("fetch", "shd")
    listed = {row["name"]: row["where"] for row in json.loads(said("list", "--json"))["data"]}
    assert "zenkelab" in listed["shd"] and "home" in listed["shd"]


def test_commands_that_want_images_say_so_of_events(tmp_path, monkeypatch):
    from spikesim.cli.train_verb import load_data

    monkeypatch.setenv("SPIKESIM_DATA", str(tmp_path))
    (tmp_path / "shd").mkdir()
    data.synthetic_shd(tmp_path / "shd", train=2, test=2, classes=2)
    with pytest.raises(InvalidValueError, match="holds events; allowed here are images"):
        load_data("shd", 0)
