"""Sets of event recordings: SHD, N-MNIST, what tonic makes, BasicMotions; and what is wrong with files."""

import h5py
import numpy as np
import pytest

from spikesim import data, ms
from spikesim.data import fetch, places, series
from spikesim.errors import FileAccessError, FileFormatError, InvalidValueError, MissingDataError


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    """Never read or write the developer's own data."""
    monkeypatch.setenv("SPIKESIM_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "SYSTEM", {})


def test_synthetic_shd_is_labelled_and_read_back(tmp_path):
    folder = data.synthetic_shd(tmp_path, train=12, test=6, classes=4, seed=2)
    shd = data.load("shd", path=folder)
    assert shd.source.startswith("SYNTHETIC") and len(shd.train) == 12 and len(shd.test) == 6
    assert shd.classes == tuple(f"synthetic {k}" for k in range(4)) and shd.train.labels.tolist() == [0, 1, 2, 3] * 3
    events, label = shd.train[5]
    assert label == 1 and events.shape == (700,) and 0.5 < events.duration < 1.3
    (tmp_path / "again").mkdir()
    again = data.read_shd(data.synthetic_shd(tmp_path / "again", train=12, test=6, classes=4, seed=2) / "shd_train.h5")
    assert again[5][0] == events
    x, _ = next(iter(shd.train.batches(12, dt=10 * ms, steps=100)))
    assert x.shape == (12, 100, 700) and x.sum() == sum((shd.train[k][0].t < 1_000_000).sum() for k in range(12))


def published_shd(path, labels=(3, 19), units=None):
    """Write the layout as published: lists of seconds in half precision, of channels, and what labels mean."""
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (2,), h5py.vlen_dtype(np.float16))
        channels = file.create_dataset("spikes/units", (2,), h5py.vlen_dtype(np.uint16))
        times[0], times[1] = np.float16([0.25, 0.5, 0.125]), np.float16([])
        channels[0], channels[1] = np.uint16(units or [5, 699, 0]), np.uint16([])
        file["labels"] = np.array(labels, np.uint64)
        file["extra/keys"] = np.array([f"digit {k}".encode() for k in range(20)])
        file["extra/speaker"] = np.zeros(2, np.uint64)
    return path


def test_the_published_layout(tmp_path):
    for part in ("train", "test", "valid"):
        published_shd(tmp_path / f"ssc_{part}.h5")
    ssc = data.load("ssc", path=tmp_path)
    assert ssc.licence == "CC BY 4.0" and ssc.classes[19] == "digit 19" and len(ssc.validation) == 2
    events, label = ssc.train[0]
    assert label == 3 and events.t.tolist() == [125_000, 250_000, 500_000] and events.x.tolist() == [0, 5, 699]
    assert len(ssc.train[1][0]) == 0


def test_shd_that_is_absent_damaged_or_something_else(tmp_path):
    with pytest.raises(MissingDataError, match="zenkelab"):
        data.load("shd")
    path = published_shd(tmp_path / "a.h5", units=[5, 700, 0])
    with pytest.raises(FileFormatError, match=r"recording 0.*x goes from 0 to 700"):
        data.read_shd(path)[0]
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(FileFormatError, match="cannot be read"):
        data.read_shd(path)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["labels"] = [1]
    with pytest.raises(FileFormatError, match="needed is HDF5 with spikes/times"):
        data.read_shd(tmp_path / "b.h5")
    with pytest.raises(FileFormatError, match="must agree"):
        data.read_shd(published_shd(tmp_path / "c.h5", labels=(1, 2, 3)))


# ---------------------------------------------------------------- N-MNIST


def test_synthetic_nmnist_from_folders_is_what_was_made(tmp_path):
    whole = data.synthetic_nmnist(seed=4)
    assert whole.source.startswith("SYNTHETIC") and "synthetic" in whole.name
    few = data.EventDataset("few", whole.train[:12], whole.test[:3], whole.classes, "", "")
    loaded = data.load("n-mnist", path=data.write_nmnist(tmp_path / "n", few))
    assert (len(loaded.train), len(loaded.test)) == (12, 3)
    assert sorted(loaded.train.labels) == sorted(few.train.labels)
    match = np.argsort(few.train.labels, kind="stable")  # folders are in the order of the classes
    assert all(loaded.train[k] == few.train[int(match[k])] for k in (0, 5, 11))
    with pytest.raises(FileAccessError, match="exists already"):
        data.write_nmnist(tmp_path / "n", few)
    dense = loaded.dense(steps=10, dt=30 * ms)
    assert dense.x_train.shape == (12, 10, 2, 34, 34) and dense.x_train.dtype == np.uint8
    assert dense.x_test[0].sum() == len(loaded.test[0][0].select(loaded.test[0][0].t < 300_000))
    assert (dense.lengths_train == 10).all()


def test_nmnist_that_is_absent_or_empty(tmp_path):
    with pytest.raises(MissingDataError, match=r"Train\.zip"):
        data.load("n-mnist")
    for part in ("Train", "Test"):
        (tmp_path / part).mkdir()
    with pytest.raises(FileFormatError, match="holds no file"):
        data.load("n-mnist", path=tmp_path)
    with pytest.raises(InvalidValueError, match="allowed are images of at most 34 x 34"):
        data.synthetic_nmnist(data.load("digits").flat())


# ---------------------------------------------------------------- tonic


class LikeTonic:
    """What a data set of tonic looks like from outside."""

    sensor_size = (5, 4, 2)  # width, height, polarities

    def __init__(self, targets=True):
        if targets:
            self.targets = ["down", "up", "up"]

    def __len__(self):
        return 3

    def __getitem__(self, k):
        array = np.zeros(2, [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "?")])
        array["x"], array["y"], array["t"], array["p"] = [k, 4], [0, 3], [10 * k, 7], [True, False]
        return array, ["down", "up", "up"][k]


@pytest.mark.parametrize("targets", [True, False])
def test_a_set_of_tonic(targets):
    samples = data.from_tonic(LikeTonic(targets))
    assert samples.shape == (2, 4, 5) and samples.labels.tolist() == [0, 1, 1]
    events, label = samples[2]
    assert label == 1 and events.t.tolist() == [7, 20] and events.x.tolist() == [4, 2] and events.p.tolist() == [0, 1]


def test_what_is_no_set_of_tonic():
    with pytest.raises(InvalidValueError, match="no sensor_size"):
        data.from_tonic([1])
    with pytest.raises(InvalidValueError, match="item 0 is int"):
        data.from_tonic([1], shape=(2,))
    cochlea = type("Set", (LikeTonic,), {"sensor_size": (700, 1, 1)})()
    assert data.from_tonic(cochlea).shape == (700,)


# ---------------------------------------------------------------- BasicMotions


def test_basic_motions_has_equal_lengths(tmp_path):
    rows = "@data\n" + "".join(f"{k},2,3:4,5,6:{name}\n" for k, name in enumerate(["Walking", "Resting"]))
    for file in series.FILES["basic-motions"]:
        (tmp_path / file).write_text(rows)
    motions = data.load("basic-motions", path=tmp_path)
    assert motions.x_train.shape == (2, 3, 2) and motions.lengths_train is None
    assert motions.classes == ("Resting", "Walking") and motions.y_train.tolist() == [1, 0]
    assert "basic-motions" in fetch.SHA256
