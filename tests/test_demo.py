"""The main job in small: every stage runs, the engines agree, the report is whole."""

from pathlib import Path

import h5py

from spikesim import Network, Recording
from spikesim.demo import Settings, demo


def test_the_whole_line(tmp_path: Path, require) -> None:
    require("torch")
    lines: list[str] = []
    result = demo(tmp_path / "demo", Settings(seeds=(0,), hidden=(64,), epochs=15, lava_samples=2), lines.append)
    rows = {what: figure for what, figure, _ in result.rows}
    assert float(rows["test accuracy, float"].rstrip("%")) > 85
    assert rows["numba against torch"].startswith("0 of ")
    assert rows["emulator against numba"] == "0 spikes differ"
    assert rows["emulator against Lava"].startswith("0 of ") or rows["emulator against Lava"] == "not run"
    assert len(lines) == len(result.seconds) == 6
    page = (tmp_path / "demo/report.html").read_text("utf-8")
    for part in ("One digit in the network", "Does it fit?", "Energy per sample", "Fixed point", "data:image/"):
        assert part in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page
    with h5py.File(tmp_path / "demo/run.h5", "r") as file:
        assert "spikes" in file
    assert set(Recording.load(tmp_path / "demo/run.h5").traces) == {"layer1", "layer2"}
    assert Network.load(tmp_path / "demo/network.h5") == result.need("network")
