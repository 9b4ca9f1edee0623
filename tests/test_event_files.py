"""Files of events: written by hand from the published descriptions, by other packages, and damaged."""

import struct

import h5py
import numpy as np
import pytest

from spikesim.errors import FileAccessError, FileFormatError, InvalidValueError, MissingFileError
from spikesim.events import Events, prophesee, read_events, write_events

EVENTS = Events([0, 3, 3, 70_000], [0, 33, 5, 7], [1, 2, 33, 0], [1, 0, 1, 0], (2, 34, 34))


def written(tmp_path, name, *parts):
    (tmp_path / name).write_bytes(b"".join(parts))
    return tmp_path / name


def rows(events):
    return list(zip(*(getattr(events, c).tolist() for c in "txyp"), strict=True))


# ---------------------------------------------------------------- what we write


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.npy", "a.bin"])
def test_round_trip(tmp_path, name):
    write_events(tmp_path / name, EVENTS)
    assert read_events(tmp_path / name, EVENTS.shape) == EVENTS
    write_events(tmp_path / name, EVENTS.select(slice(0, 2)))  # over a file of its own kind
    assert len(read_events(tmp_path / name)) == 2


@pytest.mark.parametrize("name", ["a.npz", "a.h5"])
def test_shape_and_origin_are_kept(tmp_path, name):
    odd = Events([5], [1], [0], [0], (1, 7, 9), origin=10**15)
    write_events(tmp_path / name, odd)
    assert read_events(tmp_path / name) == odd
    channels = Events.channels([1, 2], [5, 6], 700)
    write_events(tmp_path / name, channels)
    assert read_events(tmp_path / name) == channels


def test_where_writing_is_refused(tmp_path):
    other = written(tmp_path, "notes.npz", b"my notes")
    with pytest.raises(FileAccessError, match=r"is no .npz file"):
        write_events(other, EVENTS)
    assert other.read_bytes() == b"my notes"
    with pytest.raises(FileAccessError, match="no folder"):
        write_events(tmp_path / "none" / "a.npz", EVENTS)
    with pytest.raises(InvalidValueError, match=r"allowed are .npz"):
        write_events(tmp_path / "a.raw", EVENTS)
    with pytest.raises(InvalidValueError, match="t goes up to 8388608, allowed is 8388607"):
        write_events(tmp_path / "a.bin", Events([2**23], [0], [0], [0], (2, 34, 34)))


# ---------------------------------------------------------------- five bytes an event


def test_nmnist_bytes(tmp_path):
    # The description's fields: x, y, then polarity in the top bit and 23 bits of time, most significant byte first.
    file = written(tmp_path, "a.bin", bytes([3, 4, 0x80 | 0x01, 0x02, 0x03, 33, 0, 0x01, 0x02, 0x04]))
    assert rows(read_events(file)) == [(0x010203, 3, 4, 1), (0x010204, 33, 0, 0)]
    assert read_events(file).shape == (2, 34, 34)


def test_a_row_of_240_adds_to_the_clock(tmp_path):
    file = written(tmp_path, "a.bin", bytes([1, 1, 0, 0, 5, 0, 240, 0, 0, 0, 2, 2, 0, 0, 6]))
    assert rows(read_events(file)) == [(5, 1, 1, 0), (6 + 8192, 2, 2, 0)]


# ---------------------------------------------------------------- other people's arrays


def test_hdf5_as_dsec_has_it(tmp_path):
    with h5py.File(tmp_path / "e.h5", "w") as file:
        for name in "txyp":
            file[f"events/{name}"] = getattr(EVENTS, name).astype("u4" if name == "t" else "u2")
        file["t_offset"] = 123
    found = read_events(tmp_path / "e.h5", (2, 34, 34))
    assert rows(found) == rows(EVENTS) and found.origin == 123


def test_structured_arrays(tmp_path):
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["events"] = EVENTS.to_array()
    np.savez(tmp_path / "e.npz", whatever=EVENTS.to_array())
    assert rows(read_events(tmp_path / "e.h5")) == rows(read_events(tmp_path / "e.npz")) == rows(EVENTS)


# ---------------------------------------------------------------- Prophesee

DAT = b"% Data file containing CD events\n% Version 2\n% Width 640\n% Height 480\n"
EVT2 = b"% evt 2.0\n% geometry 1280x720\n% end\n"
EVT3 = b"% format EVT3;height=480;width=640\n% end\n"


def words(size, *values):
    return np.array(values, f"<u{size}").tobytes()


def test_dat(tmp_path):
    events = words(4, 1000, 5 | 6 << 14 | 1 << 28, 1002, 639 | 479 << 14)
    found = read_events(written(tmp_path, "a.dat", DAT, b"\x0c\x08", events))
    assert rows(found) == [(0, 5, 6, 1), (2, 639, 479, 0)]
    assert found.shape == (2, 480, 640) and found.origin == 1000


def test_dat_goes_on_when_its_clock_goes_round(tmp_path):
    found = read_events(written(tmp_path, "a.dat", DAT, b"\x00\x08", words(4, 2**32 - 1, 0, 4, 0)))
    assert found.t.tolist() == [0, 5]


def test_evt2(tmp_path):
    high = 8 << 28 | 0x123
    on, off = 1 << 28 | 5 << 22 | 7 << 11 | 9, 0 << 28 | 63 << 22 | 1279 << 11 | 719
    trigger = 10 << 28 | 1
    found = read_events(written(tmp_path, "a.raw", EVT2, words(4, off, high, on, trigger, off, high + 1, on)))
    base = 0x123 << 6
    assert found.shape == (2, 720, 1280) and found.origin == base + 5  # what comes before the clock is left out
    assert rows(found) == [(0, 7, 9, 1), (58, 1279, 719, 0), (64, 7, 9, 1)]


@pytest.mark.parametrize("part", [1, 2, 5, 2**20])
def test_evt3(tmp_path, monkeypatch, part):
    stream = words(
        2,
        0x0000 | 7,  # row 7, before any time
        0x8000 | 0x001, 0x6000 | 0x010,  # time 0x001010
        0x2000 | 0x800 | 100,  # column 100, ON
        0x0000 | 9, 0x3000 | 0x800 | 200,  # row 9, groups from column 200, ON
        0x4000 | 0b100000000001, 0x5000 | 0b10000010,  # columns 200, 211; then 212 + 1 and 212 + 7
        0x6000 | 0x020, 0x2000 | 3,  # time 0x001020, column 3, OFF
        0xA000, 0x8000 | 0x001,  # a trigger; the same upper half again changes nothing
        0x2000 | 4,
        0x8000 | 0x002, 0x2000 | 5,  # a new upper half: time 0x002000
        0x8000 | 0xFFF, 0x8000 | 0x000, 0x2000 | 6,  # the clock goes round
    )  # fmt: skip
    monkeypatch.setattr(prophesee, "_PART", part)
    found = read_events(written(tmp_path, "a.raw", EVT3, stream))
    assert found.shape == (2, 480, 640) and found.origin == 0x1010
    assert rows(found) == [
        (0, 100, 7, 1), (0, 200, 9, 1), (0, 211, 9, 1), (0, 213, 9, 1), (0, 219, 9, 1), (16, 3, 9, 0), (16, 4, 9, 0),
        (0x2000 - 0x1010, 5, 9, 0), ((1 << 24) - 0x1010, 6, 9, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(("encoding", "name"), [("dat", "a.dat"), ("evt2", "a.raw"), ("evt3", "a.raw")])
def test_prophesee_is_read_as_another_package_reads_it(tmp_path, monkeypatch, encoding, name):
    monkeypatch.setattr(prophesee, "_PART", 1000)
    wizard = pytest.importorskip("expelliarmus").Wizard(encoding=encoding)
    rng = np.random.default_rng(0)
    array = np.zeros(3000, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
    array["t"] = np.sort(rng.integers(0, 2_000_000, 3000))
    array["x"], array["y"], array["p"] = (rng.integers(0, n, 3000) for n in (640, 480, 2))
    array["t"][500:1100], array["y"][500:1100], array["p"][500:1100] = array["t"][500], 7, 1  # a row lights up
    array["x"][500:1100] = np.arange(600)
    wizard.save(tmp_path / name, array)
    theirs, ours = wizard.read(tmp_path / name), read_events(tmp_path / name)
    for column in "txyp":
        expected = theirs[column] - (ours.origin if column == "t" else 0)
        assert np.array_equal(getattr(ours, column), expected)


# ---------------------------------------------------------------- iniVation

HEADER31 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"


def packet31(kind, events, overflow=0):
    head = struct.pack("<hhiiiiii", kind, 1, 8, 4, overflow, len(events), len(events), len(events))
    return head + b"".join(struct.pack("<II", v | p << 1 | y << 2 | x << 17, t) for t, x, y, p, v in events)


def test_aedat_31(tmp_path):
    file = written(
        tmp_path, "a.aedat", HEADER31,
        packet31(1, [(100, 127, 0, 1, 1), (101, 5, 6, 0, 0), (102, 7, 8, 0, 1)]),  # the second is marked invalid
        packet31(2, [(105, 0, 0, 0, 1)]),  # a frame, of no interest
        packet31(1, [(3, 1, 2, 1, 1)], overflow=1),
    )  # fmt: skip
    found = read_events(file)
    assert found.shape == (2, 128, 128) and found.origin == 100
    assert rows(found) == [(0, 127, 0, 1), (2, 7, 8, 0), (2**31 + 3 - 100, 1, 2, 1)]


XML = (
    '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/"><node name="0" path='
    '"/mainloop/Recorder/outInfo/0/"><attr key="typeIdentifier" type="string">{}</attr><node name="info" path='
    '"/mainloop/Recorder/outInfo/0/info/"><attr key="sizeX" type="int">346</attr>'
    '<attr key="sizeY" type="int">260</attr>'
    "</node></node></node></dv>"
)


def aedat4(kind, *packets, compression=0, pack=bytes):
    """Write the flatbuffers of an AEDAT 4 file by hand."""
    text = XML.format(kind).encode()
    table = struct.pack("<HHHHH2xiiI4xq", 10, 24, 4, 16, 8, 12, compression, 16, -1)
    header = struct.pack("<I4s", 20, b"IOHE") + table + struct.pack("<I", len(text)) + text + b"\0"
    content = b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header
    for events in packets:
        body = struct.pack("<I4sHHH2xiI4xI", 16, b"EVTS", 6, 8, 4, 8, 8, len(events))
        body += b"".join(struct.pack("<qhhB3x", *event) for event in events)
        body = pack(struct.pack("<I", len(body)) + body)
        content += struct.pack("<ii", 0, len(body)) + body
    return content


CLOCK = 1_600_000_000_000_000
PACKETS = [[(CLOCK, 345, 0, 1)], [(CLOCK + 9, 1, 259, 0), (CLOCK + 9, 2, 5, 1)]]


@pytest.mark.parametrize("compression", ["none", "lz4", "zstandard"])
def test_aedat_4(tmp_path, require, compression):
    options = {}
    if compression == "lz4":
        options = {"compression": 1, "pack": require("lz4.frame").compress}
    elif compression == "zstandard":
        options = {"compression": 3, "pack": require("zstandard").ZstdCompressor().compress}
    file = written(tmp_path, "a.aedat4", aedat4("EVTS", *PACKETS, **options))
    found = read_events(file)
    assert rows(found) == [(0, 345, 0, 1), (9, 1, 259, 0), (9, 2, 5, 1)]
    assert found.shape == (2, 260, 346) and found.origin == CLOCK
    whole = file.read_bytes()
    for length in range(16, len(whole) - 1, 7):
        file.write_bytes(whole[:length])
        try:
            assert len(read_events(file)) < 3  # between two packets: a shorter recording
        except FileFormatError as error:
            assert "copy the file again" in str(error)


def test_the_files_written_by_hand_are_what_another_package_reads(tmp_path):
    decoder = pytest.importorskip("aedat").Decoder(str(written(tmp_path, "a.aedat4", aedat4("EVTS", *PACKETS))))
    assert decoder.id_to_stream()[0]["width"] == 346
    theirs = np.concatenate([packet["events"] for packet in decoder])
    assert [tuple(int(value) for value in row) for row in theirs] == [e for packet in PACKETS for e in packet]


def test_damage_to_any_byte_of_aedat_4_is_refused_or_read(tmp_path):
    whole, rng = aedat4("EVTS", *PACKETS), np.random.default_rng(0)
    for k in range(len(whole)):
        damaged = bytearray(whole)
        damaged[k] ^= int(rng.integers(1, 256))
        try:
            read_events(written(tmp_path, "a.aedat4", damaged))
        except FileFormatError:
            continue


# ---------------------------------------------------------------- damaged and foreign


def npz_bytes(tmp_path):
    write_events(tmp_path / "x.npz", EVENTS)
    return (tmp_path / "x.npz").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"hello", r"begins with 68 65 6c 6c 6f; allowed are"),
        ("a.h5", b"", "is empty"),
        ("a.bin", b"1234567", "holds 7 bytes"),
        ("a.npz", b"PK\x03\x04rubbish", "copy the file again"),
        ("a.npy", b"\x93NUMPYrubbish", "copy the file again"),
        ("a.h5", b"\x89HDF\r\n\x1a\nrubbish", "copy the file again"),
        ("a.dat", DAT + b"\x0c\x08" + b"12345", "whole events"),
        ("a.dat", DAT, "missing"),
        ("a.raw", b"% evt 2.1\n% end\n", "of encoding 2.1"),
        ("a.raw", b"% hello\n", "of encoding unknown"),
        ("a.aedat", b"#!AER-DAT2.0\r\n", "is AEDAT 2.0"),
        ("a.aedat", b"#!AER-DAT3.1\r\n", "no end"),
        ("a.aedat", HEADER31 + b"abc", "within a packet header"),
        ("a.aedat4", aedat4("FRME"), "names no stream of events"),
        ("a.aedat4", aedat4("EVTS", compression=9), "compression 9"),
        ("a.aedat4", aedat4("EVTS")[:40], "ends within its header"),
        ("a.aedat", HEADER31 + packet31(1, [(1, 2, 3, 0, 1)])[:-1], "does not fit into the file"),
        ("a.dat", DAT + b"\x0c\x08" + words(4, 1, 700), "x goes from 700 to 700"),
    ],
)
def test_what_is_not_read(tmp_path, name, content, says):
    with pytest.raises(FileFormatError, match=says):
        read_events(written(tmp_path, name, content))


def test_every_truncation_of_our_own_files_is_noticed(tmp_path):
    for name in ("x.npz", "x.h5", "x.npy"):
        write_events(tmp_path / name, EVENTS)
        whole = (tmp_path / name).read_bytes()
        for length in range(8, len(whole) - 1, max(1, len(whole) // 40)):
            with pytest.raises(FileFormatError):
                read_events(written(tmp_path, "cut" + name, whole[:length]))


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", t=np.array([{}], object), allow_pickle=True)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(FileFormatError, match="pickle"):
            read_events(tmp_path / name)


def test_wrong_columns_and_missing_files(tmp_path):
    np.savez(tmp_path / "a.npz", time_stamps=[1])
    with pytest.raises(FileFormatError, match="holds time_stamps; needed are columns"):
        read_events(tmp_path / "a.npz")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = [1]
    with pytest.raises(FileFormatError, match="holds images; needed are datasets"):
        read_events(tmp_path / "a.h5")
    with pytest.raises(MissingFileError, match=r"did you mean 'a\.npz'"):
        read_events(tmp_path / "b.npz")
