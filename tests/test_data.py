"""Data sets: the shipped digits, IDX and .ts files, where they are looked for, and fetching."""

import gzip
import hashlib
import json
import struct
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

from spikesim import data
from spikesim.cli.data_verb import command
from spikesim.data import digits, fetch, images, places, series
from spikesim.data.idx import idx_bytes, read_idx
from spikesim.errors import FileFormatError, InvalidValueError, MissingDataError, SpikesimError, UnknownNameError


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    """Never read or write the developer's own data."""
    monkeypatch.setenv("SPIKESIM_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "SYSTEM", {"fashion-mnist": tmp_path / "system"})
    return tmp_path / "home"


# ---------------------------------------------------------------- digits


def test_digits_are_scikit_learns(require):
    theirs = require("sklearn.datasets").load_digits()
    pixels, labels = digits.read()
    assert np.array_equal(pixels, theirs.images) and np.array_equal(labels, theirs.target)


def test_a_stratified_split_is_seeded_complete_and_even():
    sets = [data.load("digits", seed=s) for s in (0, 0, 1)]
    assert np.array_equal(sets[0].x_test, sets[1].x_test)
    assert not np.array_equal(sets[0].x_test, sets[2].x_test)
    train, test = data.split(digits.read()[1], seed=0)
    assert sorted([*train, *test]) == list(range(1797))
    per_class = np.bincount(sets[0].y_test) / np.bincount(digits.read()[1])
    assert np.abs(per_class - 0.2).max() < 0.004


def test_the_split_is_the_same_everywhere():
    # Recorded once: another platform or numpy must choose the same samples, or published accuracies would move.
    _, test = data.split(digits.read()[1], seed=0)
    assert hashlib.sha256(test.astype("<i8").tobytes()).hexdigest()[:16] == "83ac77e38f69c650"


def test_writers_of_the_test_part_are_not_trained_on():
    by_writers = data.load("digits", split="writers")
    pixels, labels = digits.read()
    assert np.array_equal(by_writers.x_test, pixels[-360:])
    cut = len(by_writers.y_train)
    assert cut in digits.FORMS and cut <= 1797 - 360
    assert np.array_equal(by_writers.x_train, pixels[:cut])
    # Each form copies one sequence of digits (one copy has a slip): the evidence for where a new writer begins.
    assert all((labels[f : f + 10] == labels[:10]).sum() >= 9 for f in digits.FORMS)


def test_scaled_and_flat():
    flat = data.load("digits").scaled().flat()
    assert flat.x_train.shape == (1438, 64) and flat.x_train.max() == 1.0 and flat.x_train.dtype == np.float64


def test_a_damaged_shipped_file_is_refused(monkeypatch):
    monkeypatch.setattr(digits, "SHA256", "0" * 64)
    with pytest.raises(FileFormatError, match="reinstall spikesim"):
        data.load("digits")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "half"}, "'stratified' and 'writers'"),
        ({"test_fraction": 1.5}, "test_fraction: found 1.5"),
        ({"seed": -1}, "seed: found -1"),
        ({"split": "writers", "seed": 3}, "seed=3"),
        ({"path": "/x"}, "shipped"),
    ],
)
def test_options_that_do_not_fit(options, says):
    with pytest.raises(InvalidValueError, match=says):
        data.load("digits", **options)


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="did you mean 'mnist'"):
        data.load("mnst")
    with pytest.raises(UnknownNameError):
        fetch.fetch("cifar")


# ---------------------------------------------------------------- IDX


def write_mnist(folder, *, packed=True, labels=20):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, shape in zip(images.PARTS, [(20, 28, 28), (labels,), (5, 28, 28), (5,)], strict=True):
        content = idx_bytes(rng.integers(0, 10, shape))
        name = images.file_names(part)[0 if packed else 3]
        (folder / name).write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_from_a_folder_of_the_user(tmp_path, packed):
    write_mnist(tmp_path / "mine", packed=packed)
    found = data.load("mnist", path=tmp_path / "mine")
    assert found.x_train.shape == (20, 28, 28) and found.x_train.dtype == np.uint8 and found.full_scale == 255
    assert found.y_test.dtype == np.int64 and len(found.classes) == 10


@pytest.mark.parametrize(
    ("name", "inner"),
    [
        ("mnist", "home/mnist"),
        ("mnist", "home/MNIST/raw"),
        ("fashion-mnist", "cache/spikesim/data/fashion-mnist"),
        ("fashion-mnist", "system"),
    ],
)
def test_where_files_are_found(tmp_path, name, inner):
    write_mnist(tmp_path / inner)
    assert str(tmp_path / inner) in data.load(name).source
    other = {"mnist": "fashion-mnist", "fashion-mnist": "mnist"}[name]
    with pytest.raises(MissingDataError):
        data.load(other)  # the files have the same names; the folder decides


def test_missing_data_say_where_they_were_looked_for(tmp_path):
    with pytest.raises(MissingDataError, match=r"home.*spikesim data fetch mnist") as caught:
        data.load("mnist")
    assert isinstance(caught.value, FileNotFoundError)
    write_mnist(tmp_path / "home" / "mnist")
    with pytest.raises(MissingDataError) as caught:
        data.load("mnist", path=tmp_path / "wrong")
    assert caught.value.looked_in == [str(tmp_path / "wrong")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "begins with nothing"),
        (b"\x89PNG....", "begins with 89 50"),
        (struct.pack(">4B", 0, 0, 0x0D, 1), "type 0x0d"),
        (struct.pack(">4BI", 0, 0, 8, 2, 3), "within its header"),
        (struct.pack(">4BI", 0, 0, 8, 1, 3) + b"ab", r"holds 2 values, its header says \(3,\) = 3"),
        (struct.pack(">4BI", 0, 0, 8, 1, 3) + b"abcd", "holds 4 values"),
        (gzip.compress(b"hello")[:-6], "damaged gzip"),
    ],
)
def test_damaged_idx(tmp_path, content, says):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(FileFormatError, match=says):
        read_idx(tmp_path / "file")


def test_idx_round_trip(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "file").write_bytes(idx_bytes(array))
    assert np.array_equal(read_idx(tmp_path / "file"), array)


def test_files_that_do_not_belong_together(tmp_path):
    write_mnist(tmp_path / "mine", labels=19)
    with pytest.raises(FileFormatError, match="do not belong together"):
        data.load("mnist", path=tmp_path / "mine")


# ---------------------------------------------------------------- Japanese Vowels

TS = "#c\n@problemName x\n@timeStamps false\n@data\n1,2,3:4,5,6:a\n7:8:b\n"


def test_ts_file(tmp_path):
    (tmp_path / "x.ts").write_text(TS)
    series, labels = data.read_ts(tmp_path / "x.ts")
    assert labels == ["a", "b"]
    assert np.array_equal(series[0], [[1, 4], [2, 5], [3, 6]]) and series[1].shape == (1, 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2:3,4:a\n", "no line '@data'"),
        ("@timeStamps true\n@data\n", "time stamps"),
        ("@data\n", "no sample"),
        ("@data\n1,2:3:a\n", "line 2.*channels of equal length"),
        ("@data\n1,?:3,4:a\n", "line 2"),
        ("@data\n1,nan:3,4:a\n", "line 2.*not finite"),
        ("@data\na\n", "line 2"),
    ],
)
def test_bad_ts_file(tmp_path, text, says):
    (tmp_path / "x.ts").write_text(text)
    with pytest.raises(FileFormatError, match=says):
        data.read_ts(tmp_path / "x.ts")


def vowels_wheel(tmp_path):
    wheel = tmp_path / "aeon.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in series.FILES["japanese-vowels"]:
            archive.writestr(f"aeon/datasets/data/JapaneseVowels/{file}", TS)
    return wheel


def trust(monkeypatch, name, *contents):
    monkeypatch.setitem(fetch.SHA256, name, tuple(hashlib.sha256(c).hexdigest() for c in contents))


def test_fetch_takes_the_files_out_of_a_wheel_and_load_finds_them(tmp_path, monkeypatch, empty_home):
    trust(monkeypatch, "japanese-vowels", TS.encode(), TS.encode())
    lines = []
    folder = fetch.fetch("japanese-vowels", archive=vowels_wheel(tmp_path), echo=lines.append)
    assert folder == empty_home / "japanese-vowels"
    assert sorted(p.name for p in folder.iterdir()) == sorted(series.FILES["japanese-vowels"])
    found = data.load("japanese-vowels")
    assert found.x_train.shape == (2, 3, 2) and list(found.lengths_train) == [3, 1]
    assert found.x_train[1, 1:].max() == 0 and list(found.y_test) == [0, 1]


# ---------------------------------------------------------------- fetching


def test_other_contents_are_refused_and_nothing_is_stored(tmp_path, empty_home):
    with pytest.raises(FileFormatError, match="expected 68a430eab"):
        fetch.fetch("japanese-vowels", archive=vowels_wheel(tmp_path), echo=lambda line: None)
    assert not empty_home.exists()


@pytest.mark.parametrize("name", ["mnist", "japanese-vowels"])
def test_a_foreign_archive_is_refused(tmp_path, name):
    (tmp_path / "x.whl").write_bytes(b"not a zip")
    with pytest.raises(FileFormatError, match="expected a wheel with"):
        fetch.fetch(name, archive=tmp_path / "x.whl", echo=lambda line: None)
    with pytest.raises(SpikesimError, match="found no file"):
        fetch.fetch(name, archive=tmp_path / "absent.whl", echo=lambda line: None)


def test_mnist_is_read_at_its_places_without_unpickling(tmp_path, monkeypatch):
    # The same layout in small: three parts, each images as k/256 in float32 and labels in 64 bits.
    rng = np.random.default_rng(0)
    raw, places_of = b"head", []
    expected = []
    for n in (3, 2, 2):
        pixels, labels = rng.integers(0, 256, (n, 28, 28)), rng.integers(0, 10, n)
        at = len(raw)
        raw += (pixels / 256).astype("<f4").tobytes()
        places_of.append((at, len(raw), n))
        raw += labels.astype("<i8").tobytes() + b"between"
        expected.append((pixels, labels))
    packed = gzip.compress(raw)
    monkeypatch.setattr(fetch, "MNIST_ARRAYS", tuple(places_of))
    monkeypatch.setattr(fetch, "MNIST_MEMBER_SHA256", hashlib.sha256(packed).hexdigest())
    joined = [np.concatenate([expected[0][k], expected[1][k]]) for k in (0, 1)]
    trust(monkeypatch, "mnist", *(idx_bytes(a) for a in (*joined, *expected[2])))
    with zipfile.ZipFile(tmp_path / "m.whl", "w") as archive:
        archive.writestr(fetch.MNIST_MEMBER, packed)
    fetch.fetch("mnist", archive=tmp_path / "m.whl", echo=lambda line: None)
    found = data.load("mnist")
    assert np.array_equal(found.x_train, joined[0]) and np.array_equal(found.y_test, expected[2][1])


def test_a_failing_download_says_what_to_do(monkeypatch):
    monkeypatch.setattr(fetch, "SERIES_WHEEL", "x")
    monkeypatch.setattr(
        fetch.subprocess, "run", lambda command, **k: fetch.subprocess.CompletedProcess(command, 1, "", "no net")
    )
    with pytest.raises(SpikesimError, match=r"(?s)--from FILE.whl.*no net"):
        fetch.fetch("japanese-vowels", echo=lambda line: None)


def test_without_apt_the_files_are_named(monkeypatch):
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    with pytest.raises(SpikesimError, match=r"train-images-idx3-ubyte.gz.*fashion-mnist"):
        fetch.fetch("fashion-mnist", echo=lambda line: None)


def test_command_line():
    run = CliRunner().invoke
    listed = run(command, ["list"]).output
    assert all(name in listed for name in data.list_datasets())
    rows = json.loads(run(command, ["list", "--json"]).output)
    assert {row["name"]: row["where"] for row in rows["data"]}["digits"] == "shipped"
    shown = run(command, ["show", "digits"]).output
    assert "1438 x 8 x 8" in shown and "BSD-3" in shown
    assert "nothing to fetch" in run(command, ["fetch", "digits"]).output
