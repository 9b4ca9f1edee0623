"""NIRData: recordings out and in, and as nir itself understands them."""

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from spikesim.convert import from_nirdata, to_nirdata, write_nirdata
from spikesim.convert.nir_data import step_times
from spikesim.counts import Counts, PopulationCounts
from spikesim.errors import FileFormatError, InvalidValueError, UnsupportedError
from spikesim.recording import Recording, Spikes, Trace, same_spikes

STEPS, SAMPLES, DT = 1000, 3, 3e-3


@pytest.fixture(scope="module", autouse=True)
def nir(request):
    return request.getfixturevalue("require")("nir")


@pytest.fixture(scope="module")
def recording():
    rng = np.random.default_rng(0)
    spikes = {}
    for name, n, rate in (("a", 5, 0.1), ("quiet", 3, 0.0)):
        sample, step, neuron = np.nonzero(rng.random((SAMPLES, STEPS, n)) < rate)
        spikes[name] = Spikes(sample.astype(np.int32), step, neuron.astype(np.int32), n, STEPS, SAMPLES, DT)
    trace = lambda steps, neurons: Trace(  # noqa: E731
        np.array(steps), rng.normal(size=(SAMPLES, len(steps), len(neurons))), np.array(neurons), DT, "V"
    )
    traces = {"a": {"v": trace(range(0, STEPS, 5), range(5)), "u": trace(range(0, STEPS, 100), [1, 3])}}
    fired = {name: s.counts().sum(axis=1) for name, s in spikes.items()}
    counts = {name: PopulationCounts(spikes[name].n, f, f, f) for name, f in fired.items()}
    return Recording(spikes, traces, Counts(STEPS, SAMPLES, DT, counts, {}, {}, {}), {"seed": 7})


def test_a_recording_comes_back(recording, tmp_path):
    write_nirdata(recording, tmp_path / "r.nirdata")
    back = from_nirdata(tmp_path / "r.nirdata")
    assert same_spikes(recording, back) and list(back.spikes) == ["a", "quiet"]
    assert (back.steps, back.samples, back.dt, back.meta["seed"]) == (STEPS, SAMPLES, DT, 7)
    assert back.counts.spikes == len(recording["a"]) > 1000
    for state, trace in recording.traces["a"].items():
        got = back.traces["a"][state]
        assert all(np.array_equal(getattr(trace, k), getattr(got, k)) for k in ("steps", "values", "neurons"))
        assert got.unit == "V"


def test_nir_s_own_raster_is_ours(nir, recording, tmp_path):
    """nir takes floor(time / dt), which the plain product of step and dt would put a step too early now and then."""
    write_nirdata(recording, tmp_path / "r.nirdata")
    events = nir.read_data(str(tmp_path / "r.nirdata")).nodes["a"].observables["spikes"]
    raster = events.to_time_gridded(DT).data
    assert np.array_equal(raster.transpose(1, 0, 2), recording["a"].dense())
    naive = np.floor(np.arange(STEPS) * DT / DT)
    assert (naive < np.arange(STEPS)).any()  # so the test can fail


@pytest.mark.parametrize("dt", [1e-3, 1e-4, 2.5e-5, 3e-3, 0.1])
def test_times_are_the_beginnings_of_steps(dt):
    steps = np.arange(200_000)
    times = step_times(steps, dt)
    assert np.array_equal(np.floor(times / dt), steps)
    assert np.abs(times - steps * dt).max() <= 2 * np.spacing(steps[-1] * dt)


def test_foreign_data(nir):
    """Rasters of truth values, padded events, a nested graph."""
    raster = np.random.default_rng(0).random((2, 20, 4)) < 0.2
    events = nir.TimeGriddedData(raster, DT).to_event(60, time_shift=0.3e-3)
    inner = nir.NIRGraphData({"lif": nir.NIRNodeData({"spikes": events, "other": events})})
    data = nir.NIRGraphData({"grid": nir.NIRNodeData({"spikes": nir.TimeGriddedData(raster, DT)}), "rnn": inner})
    found = from_nirdata(data)
    assert set(found.spikes) == {"grid", "rnn.lif", "rnn.lif.other"}
    assert all(np.array_equal(s.dense().transpose(1, 0, 2), raster) for s in found.spikes.values())
    with pytest.raises(InvalidValueError, match="no time step"):
        from_nirdata(inner)
    assert from_nirdata(inner, dt=DT).steps == 20


def test_what_is_no_recording_is_named(nir, tmp_path):
    two = nir.EventData(np.array([[0, 0]]), np.array([[1e-4, 2e-4]]), 1, 10 * DT)
    odd = nir.ValuedEventData(np.array([[0, 1, 1]]), np.array([[0.0, DT, 3 * DT]]), 2, 10 * DT, np.ones((1, 3)))
    with pytest.raises(UnsupportedError) as error:
        from_nirdata(nir.NIRGraphData({"n": nir.NIRNodeData({"spikes": two, "odd": odd})}), dt=DT)
    assert "twice within a step" in str(error.value) and "form no trace" in str(error.value)
    (tmp_path / "x.nirdata").write_text("no")
    with pytest.raises(FileFormatError, match="not a NIRData file"):
        from_nirdata(tmp_path / "x.nirdata")


def test_to_nirdata_and_back_on_the_command_line(recording, tmp_path):
    from spikesim.cli import convert_verb

    app = typer.Typer()
    app.command()(convert_verb.command)

    def call(*arguments):
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exit_code == 0, result.output + str(result.exception)
        return result.output

    recording.save(tmp_path / "r.h5")
    assert "r.nirdata" in call(tmp_path / "r.h5", "--to", "nirdata")
    call(tmp_path / "r.nirdata", "--to", "h5", "--out", tmp_path / "back.h5")
    assert same_spikes(Recording.load(tmp_path / "back.h5"), recording)
    assert recording.to_nirdata().nodes.keys() == to_nirdata(recording).nodes.keys() == {"a", "quiet"}
