"""Recordings as xarray and neo objects."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from spikesim.convert.recordings import to_neo, to_xarray
from spikesim.counts import Counts
from spikesim.errors import MissingPackageError
from spikesim.recording import Recording, Spikes, Trace


def recording() -> Recording:
    sample, step, neuron = np.array([0, 0, 0, 1]), np.array([1, 4, 4, 2]), np.array([2, 0, 2, 1])
    spikes = Spikes(sample.astype(np.int32), step, neuron.astype(np.int32), n=3, steps=10, samples=2, dt=1e-3)
    values = np.arange(20.0).reshape(2, 5, 2)
    trace = Trace(np.arange(0, 10, 2), values, np.array([0, 2]), 1e-3, "V")
    counts = Counts(10, 2, 1e-3, {}, {}, {}, {})
    return Recording({"out": spikes}, {"out": {"v": trace}}, counts, {"seed": 3, "network": "tiny", "path": Path("x")})


def test_xarray() -> None:
    pytest.importorskip("xarray")
    data = recording().to_xarray()
    assert data["out_count"].values.tolist() == [[1, 0, 2], [0, 1, 0]]
    assert data["out_time"].values.tolist() == pytest.approx([0.001, 0.004, 0.004, 0.002])
    assert data["out_spike_neuron"].values.tolist() == [2, 0, 2, 1]
    chosen = data["out_v"].sel(out_v_neuron=2, sample=1)
    assert chosen.values.tolist() == [11.0, 13.0, 15.0, 17.0, 19.0] and chosen.attrs["units"] == "V"
    assert chosen["out_v_time"].values.tolist() == pytest.approx([0.0, 0.002, 0.004, 0.006, 0.008])
    assert data.attrs["dt"] == 1e-3 and json.loads(data.attrs["meta"])["seed"] == 3


@pytest.mark.filterwarnings("ignore")  # of neo and quantities about numpy
def test_neo() -> None:
    pytest.importorskip("neo")
    block = recording().to_neo()
    assert block.name == "tiny" and block.annotations["seed"] == 3 and len(block.segments) == 2
    trains = block.segments[0].spiketrains
    assert [t.times.rescale("ms").magnitude.tolist() for t in trains] == [[4.0], [], [1.0, 4.0]]
    assert trains[2].annotations == {"population": "out", "neuron": 2} and float(trains[0].t_stop) == 0.01
    (signal,) = block.segments[1].analogsignals
    assert signal.shape == (5, 2) and float(signal.sampling_period) == 0.002 and str(signal.units.dimensionality) == "V"
    assert np.array_equal(signal.magnitude, recording().traces["out"]["v"].values[1])
    assert signal.array_annotations["neuron"].tolist() == [0, 2]


def test_a_missing_package_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, convert in (("xarray", to_xarray), ("neo", to_neo)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(
            MissingPackageError, match=rf"needs the package '{name}'.*pip install 'spikesim\[analysis\]'"
        ):
            convert(recording())
