"""Plots: they show what is there, carry units, and leave the rest of matplotlib alone."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from spikesim import plot
from spikesim.counts import Counts, PopulationCounts
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.events import Events
from spikesim.plot import style
from spikesim.recording import Recording, Spikes, Trace


def spikes(n: int = 8, steps: int = 200, samples: int = 2, rate: float = 0.05, seed: int = 0) -> Spikes:
    sample, step, neuron = np.nonzero(np.random.default_rng(seed).random((samples, steps, n)) < rate)
    return Spikes(sample.astype(np.int32), step, neuron.astype(np.int32), n, steps, samples, 1e-3)


def recording(samples: int = 2) -> Recording:
    found = {"hidden": spikes(8, samples=samples), "out": spikes(3, samples=samples, rate=0.1, seed=1)}
    v = np.cumsum(np.random.default_rng(2).normal(size=(samples, 100, 4)), axis=1) * 1e-3 - 0.06
    traces = {"hidden": {"v": Trace(np.arange(0, 200, 2), v, np.array([0, 2, 4, 6]), 1e-3, "V")}}
    counted = {
        name: PopulationCounts(s.n, s.counts().sum(axis=1), np.zeros(samples, np.int64), np.zeros(samples, np.int64))
        for name, s in found.items()
    }
    counts = Counts(200, samples, 1e-3, counted, {}, {"image": np.full(samples, 320)}, {"image": 16})
    return Recording(found, traces, counts, {})


CAMERA = Events([0, 10, 20, 90_000], [0, 1, 1, 2], [0, 1, 1, 1], [1, 0, 0, 1], (2, 3, 4))
COCHLEA = Events.channels([0, 500], [3, 60], 70)

PLOTS = {
    "raster": (lambda ax: plot.raster(recording(), ax=ax), "time (ms)", ""),
    "raster of one": (lambda ax: plot.raster(spikes(), ax=ax), "time (ms)", "neuron"),
    "psth": (lambda ax: plot.psth(recording(), ax=ax), "time (ms)", "rate (Hz)"),
    "rates": (lambda ax: plot.rates(recording(), ax=ax), "rate (Hz)", "neurons"),
    "isi": (lambda ax: plot.isi(recording(), ax=ax), "inter-spike interval (ms)", "share of intervals (%)"),
    "correlation": (lambda ax: plot.correlation(spikes(), ax=ax), "neuron", "neuron"),
    "traces": (lambda ax: plot.traces(recording(), threshold=-0.05, ax=ax), "time (ms)", "v (mV)"),
    "learning": (lambda ax: plot.learning_curves({"a": [[2, 1], [3, 1]]}, log=True, ax=ax), "epoch", "error"),
    "confusion": (lambda ax: plot.confusion([0, 1, 2], [0, 1, 1], ax=ax), "class said", "true class"),
    "events of a camera": (lambda ax: plot.event_frame(CAMERA, ax=ax), "column", "row"),
    "events of channels": (lambda ax: plot.event_frame(COCHLEA, ax=ax), "time (ms)", "channel"),
    "activity": (lambda ax: plot.activity(recording(), ax=ax), "spikes per neuron and sample", ""),
}


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_draws_labels_its_axes_and_takes_others(name: str) -> None:
    draw, x, y = PLOTS[name]
    before = dict(matplotlib.rcParams)
    own = draw(None)
    assert isinstance(own, Axes) and (own.get_xlabel(), own.get_ylabel()) == (x, y)
    own.figure.canvas.draw()
    figure = Figure()
    given = figure.add_subplot(2, 1, 2)
    assert draw(given) is given and given.figure is figure
    assert dict(matplotlib.rcParams) == before


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys; from spikesim import plot; plot.confusion([0, 1], [0, 1]).figure.canvas.draw();"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_raster_holds_every_spike_of_the_sample() -> None:
    train = spikes()
    ax = plot.raster(train, sample=1)
    (ticks,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    drawn = {(round(s[0, 0]), round(s.mean(axis=0)[1])) for s in ticks.get_segments()}
    assert drawn == set(zip(train.of(1).step.tolist(), train.of(1).neuron.tolist(), strict=True))
    part = plot.raster(train, start=0.05, stop=0.1)
    (ticks,) = [c for c in part.collections if isinstance(c, LineCollection)]
    times = [s[0, 0] for s in ticks.get_segments()]
    assert part.get_xlim() == (50.0, 100.0) and 50 <= min(times) and max(times) < 100


def test_a_raster_of_many_neurons_is_thinned_and_says_so() -> None:
    ax = plot.raster(spikes(2000, 500, 1, rate=0.15))
    (dots,) = ax.lines
    assert len(dots.get_xdata()) < 110_000 and dots.get_rasterized()
    assert any("1 in 2 neurons shown" in t.get_text() for t in ax.texts)


def test_populations_are_named_in_their_colours() -> None:
    ax = plot.raster(recording())
    assert [t.get_text() for t in ax.get_yticklabels()] == ["hidden", "out"]
    assert [t.get_color() for t in ax.get_yticklabels()] == style.colours(2)
    assert len(plot.raster(recording(), populations=["out"]).get_yticklabels()) > 0


def test_traces_show_spikes_of_the_same_neurons() -> None:
    found = recording()
    ax = plot.traces(found, "hidden", "v", neurons=[4], sample=1)
    (line,) = ax.lines
    assert np.allclose(line.get_ydata(), found.traces["hidden"]["v"].values[1, :, 2] * 1e3)
    (marks,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    mine = found["hidden"].of(1)
    assert len(marks.get_segments()) == (mine.neuron == 4).sum()


def test_confusion_counts() -> None:
    assert plot.confusion_matrix([0, 0, 1, 2], [0, 1, 1, 0]).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    ax = plot.confusion([0, 0, 1, 2], [0, 1, 1, 0], classes=["a", "b", "c"])
    assert ax.get_title(loc="left") == "50.00 % of 4 right"
    assert sorted(t.get_text() for t in ax.texts) == ["1", "1", "1", "1"]


def test_activity_is_spikes_per_neuron() -> None:
    found = recording()
    widths = [bar.get_width() for bar in plot.activity(found).patches]
    assert widths == pytest.approx([20.0, len(found["hidden"]) / 16, len(found["out"]) / 6])


def test_silence_is_no_error() -> None:
    silent = Spikes(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int32), 3, 10, 1, 1e-3)
    for draw in (plot.raster, plot.psth, plot.rates, plot.isi):
        draw(silent).figure.canvas.draw()
    assert any("no neuron fired twice" in t.get_text() for t in plot.isi(silent).texts)
    plot.correlation(silent).figure.canvas.draw()


def test_mistakes_get_one_sentence() -> None:
    found = recording()
    with pytest.raises(UnknownNameError, match="did you mean 'hidden'"):
        plot.raster(found, populations=["hiden"])
    with pytest.raises(InvalidValueError, match=r"sample must be 0 .. 1, found 5"):
        plot.raster(found, sample=5)
    with pytest.raises(InvalidValueError, match="pass population="):
        plot.correlation(found)
    with pytest.raises(UnknownNameError, match="recorded state of 'hidden'"):
        plot.traces(found, "hidden", "w")
    with pytest.raises(InvalidValueError, match="neuron 5 was not recorded"):
        plot.traces(found, neurons=[5])
    with pytest.raises(InvalidValueError, match="add probes"):
        plot.traces(Recording(found.spikes, {}, found.counts))
    with pytest.raises(InvalidValueError, match="as many labels as predictions"):
        plot.confusion([0, 1], [0])
    with pytest.raises(InvalidValueError, match=r"classes must be 0 .. 1, found 0 .. 2"):
        plot.confusion([0, 1], [0, 2], classes=["a", "b"])


def test_a_frame_of_events_is_on_minus_off_within_its_time() -> None:
    def picture(ax: Axes) -> list[list[float]]:
        return np.asarray(ax.get_images()[0].get_array()).tolist()

    assert picture(plot.event_frame(CAMERA)) == [[1, 0, 0, 0], [0, -2, 1, 0], [0, 0, 0, 0]]
    early = plot.event_frame(CAMERA, 5e-6, 15e-6)
    assert picture(early)[1] == [0, -1, 0, 0] and early.get_title(loc="left").startswith("1 events, 0.005 to 0.015 ms")
    with pytest.raises(InvalidValueError, match="after start"):
        plot.event_frame(CAMERA, 2e-3, 1e-3)
