"""The profile of a run: counts, tables, files, plots."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from rich.console import Console

from spikesim import Input, Network, Population, Projection, ms
from spikesim.connect import Conv2d
from spikesim.counts import Counts, count
from spikesim.errors import FileFormatError, InvalidValueError, UnknownNameError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.models.neurons import lif
from spikesim.plot.energy import energy_ranges, energy_terms
from spikesim.profile import Profile, Stat, list_devices, load_device, profile
from spikesim.profile.baseline import stored_weights
from spikesim.profile.text import engineering
from spikesim.profile.tidy import COLUMNS
from spikesim.recording import Recording

SAMPLES, STEPS = 4, 10
NET = Network(
    populations=[Population("h", 20, lif(tau_m=10 * ms)), Population("out", 3, lif(tau_m=10 * ms))],
    stimuli=[Input("in", 8)],
    projections=[
        Projection("in", "h", weight=np.r_[np.zeros(40), np.ones(120)]),
        Projection("h", "h", weight=0.1, delay=1 * ms),
        Projection("h", "out", weight=0.5),
    ],
    name="small",
)


@pytest.fixture(name="graph", scope="module")
def _graph() -> Graph:
    return lower(NET)


@pytest.fixture(name="emitted", scope="module")
def _emitted() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {name: rng.integers(0, 6, (SAMPLES, n)) for name, n in (("in", 8), ("h", 20), ("out", 3))}


@pytest.fixture(name="counts", scope="module")
def _counts(graph: Graph, emitted: dict[str, Any]) -> Counts:
    return count(graph, STEPS, emitted, {"h": np.array([90, 100, 120, 95]), "out": np.array([20, 21, 22, 23])})


@pytest.fixture(name="result", scope="module")
def _result(graph: Graph, counts: Counts) -> Profile:
    return profile(counts, graph)


# ------------------------------------------------------------------------------------------------------------- counts
def test_layers_by_hand(result: Profile, emitted: dict[str, Any]) -> None:
    source, hidden, out = result.layers
    assert (source.kind, source.neurons, source.synapses, source.operations_dense) == ("source", 8, 0, 0)
    assert (hidden.synapses, out.synapses) == (120 + 400, 60)
    forward = emitted["in"][:, 2:].sum(axis=1) * 20  # the first two inputs have weights of 0 only
    recurrent = emitted["h"].sum(axis=1) * 20
    assert hidden.events_forward == Stat.of(forward)
    assert hidden.events_recurrent == Stat.of(recurrent)
    assert hidden.accumulates == Stat.of(forward + recurrent)
    assert hidden.multiply_accumulates.mean == 0
    assert hidden.operations_dense == (8 * 20 + 400) * STEPS
    assert (hidden.updates_active.mean, hidden.updates_idle.mean, hidden.updates_dense) == (101.25, 98.75, 200)
    spikes = emitted["h"].sum(axis=1)
    assert hidden.spikes.mean == spikes.mean()
    assert hidden.spikes.sd == pytest.approx(spikes.std(ddof=1))
    assert (hidden.spikes.p5, hidden.spikes.p95) == tuple(np.percentile(spikes, [5, 95]))
    assert hidden.rate_hz == pytest.approx(spikes.mean() / (20 * 0.01))


def test_projections(result: Profile) -> None:
    assert [(p.name, p.operation, p.recurrent, p.synapses, p.synapses_stored) for p in result.projections] == [
        ("in->h", "AC", False, 120, 160),
        ("h->h", "AC", True, 400, 400),
        ("h->out", "AC", False, 60, 60),
    ]


def test_dense_counts_are_those_of_neurobench() -> None:
    """20-30-10 network, 25 steps: NeuroBench 2.3 gave Dense 22500 and MembraneUpdates 1000."""
    graph = lower(
        Network(
            populations=[Population("h", 30, lif(tau_m=10 * ms)), Population("out", 10, lif(tau_m=10 * ms))],
            stimuli=[Input("in", 20)],
            projections=[Projection("in", "h", weight=0.5), Projection("h", "out", weight=0.5)],
        )
    )
    emitted = {name: np.zeros((1, n), int) for name, n in (("in", 20), ("h", 30), ("out", 10))}
    counts = count(graph, 25, emitted, {"h": np.array([0]), "out": np.array([0])})
    layers = profile(counts, graph, []).layers
    assert sum(x.operations_dense for x in layers) == 22500
    assert sum(x.updates_dense for x in layers) == 1000


def test_a_convolution_stores_its_kernel_once() -> None:
    graph = lower(
        Network(
            populations=[Population("h", (4, 8, 8), lif(tau_m=10 * ms))],
            stimuli=[Input("in", (1, 8, 8))],
            projections=[Projection("in", "h", Conv2d(np.ones((4, 1, 3, 3)), padding=1))],
        )
    )
    assert graph.synapses == 4 * 22 * 22
    assert stored_weights(graph) == 36


def test_stat_of_one_sample_and_of_none() -> None:
    assert Stat.of([3]) == Stat(mean=3, sd=0, p5=3, p95=3)
    assert Stat.of([]) == Stat(mean=0, sd=0, p5=0, p95=0)


# ------------------------------------------------------------------------------------------------------------ devices
def test_every_device_has_a_bill_and_every_chip_a_fit(result: Profile) -> None:
    assert list(result.bills) == list_devices()
    assert set(result.fits) == set(list_devices()) - {"cmos45", "cmos7"}


def test_chosen_devices(graph: Graph, counts: Counts) -> None:
    own = load_device("odin")
    assert list(profile(counts, graph, "loihi1").bills) == ["loihi1"]
    assert list(profile(counts, graph, ["truenorth", own]).bills) == ["truenorth", "odin"]
    with pytest.raises(UnknownNameError, match="did you mean 'odin'"):
        profile(counts, graph, ["odn"])


def test_network_may_be_given_unlowered(graph: Graph, counts: Counts) -> None:
    assert profile(counts, NET, "loihi1") == profile(counts, graph, "loihi1")


def test_another_network_is_refused(counts: Counts) -> None:
    other = Network(populations=[Population("h", 21, lif(tau_m=10 * ms))])
    with pytest.raises(InvalidValueError, match="the run is not one of network 'network'"):
        profile(counts, other)


def recording(counts: Counts, emitted: dict[str, Any]) -> Recording:
    none = np.zeros(0, int)
    known = {"samples": SAMPLES, "steps": STEPS, "step": none, "sample": none, "neuron": none}
    spikes = {
        name: SimpleNamespace(counts=lambda name=name: emitted[name], n=emitted[name].shape[1], **known)
        for name in ("h", "out")
    }
    return Recording(cast(Any, spikes), {}, counts)


def test_a_recording_makes_packets_exact(graph: Graph, counts: Counts, emitted: dict[str, Any]) -> None:
    bill = profile(recording(counts, emitted), graph, "loihi1").bills["loihi1"]
    packets = next(t for t in bill.terms if t.name == "packet")
    assert packets.count == pytest.approx((emitted["in"].sum() * 6 / 8 + emitted["h"].sum()) / SAMPLES)


# -------------------------------------------------------------------------------------------------------------- files
def test_json_round_trip(result: Profile, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    text = result.to_json(path)
    assert Profile.from_json(text) == result
    assert Profile.from_json(path.read_text("utf-8")) == result
    data = json.loads(text)
    assert data == result.to_dict()
    assert data["bills"]["loihi1"]["evidence"] == "quoted"
    assert set(data["bills"]["loihi1"]["total"]) == {"low_j", "nominal_j", "high_j"}
    assert data["bills"]["loihi2"]["total"] is None


def test_json_of_something_else() -> None:
    with pytest.raises(FileFormatError, match="not a profile of spikesim: network: Field required"):
        Profile.from_json("{}")
    with pytest.raises(FileFormatError, match="not a profile of spikesim: the text"):
        Profile.from_json("[")


def test_csv_is_tidy(result: Profile, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    result.to_csv(path)
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    spikes = next(r for r in rows if (r["item"], r["quantity"]) == ("h", "spikes"))
    assert float(spikes["value"]) == result.layers[1].spikes.mean
    total = next(r for r in rows if (r["part"], r["item"], r["quantity"]) == ("energy", "loihi1", "total"))
    assert (total["unit"], total["evidence"]) == ("J per sample", "quoted")
    assert result.bills["loihi1"].total is not None
    assert float(total["value"]) == result.bills["loihi1"].total.nominal_j
    for row in rows:
        if row["part"] == "energy" and row["value"] and row["quantity"] != "time":
            assert row["evidence"], row


def test_table_prints_evidence_beside_every_energy(result: Profile) -> None:
    out = io.StringIO()
    Console(file=out, width=320).print(result.table(long=True))
    text = out.getvalue()
    for line in text.splitlines():
        if line.strip().startswith(("Intel Loihi 1", "SpiNNaker", "ODIN", "45 nm")):
            assert any(word in line for word in ("quoted", "code", "unverified", "derived")), line
    assert "Intel publishes no energy per operation" in text
    assert "20 " in text


def test_engineering_numbers() -> None:
    found = [engineering(x, "J") for x in (1.4009e-6, 0.0, 999.9e-9, 12.34e-12, 123.4, 9.996e-3, -2e-3)]
    assert found == ["1.40 µJ", "0 J", "1.00 µJ", "12.3 pJ", "123 J", "10.0 mJ", "-2.00 mJ"]
    assert engineering(float("inf")) == "inf"


# -------------------------------------------------------------------------------------------------------------- plots
def test_range_plot(result: Profile) -> None:
    bills = list(result.bills.values())
    ax = energy_ranges(bills)
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_yticklabels()] == [b.title for b in bills]
    notes = [t.get_text() for t in ax.texts]
    assert len(notes) == len(bills)
    assert any("simulated; quoted" in n for n in notes)
    assert any(n.startswith("no total: Intel publishes") for n in notes)
    marks = [line for line in ax.lines if line.get_marker() in ("o", "s")]
    assert len(marks) == sum(b.total is not None for b in bills)


def test_hollow_mark_unless_everything_was_measured(result: Profile) -> None:
    for name, face in (("loihi1", (1.0, 1.0, 1.0)), ("spinnaker1", to_rgb("#2f5d8a"))):
        (mark,) = [m for m in energy_ranges([result.bills[name]]).lines if m.get_marker() == "o"]
        assert to_rgb(cast(Any, mark.get_markerfacecolor())) == face


def test_share_plot_uses_the_axes_given(result: Profile) -> None:
    given = Figure().add_subplot()
    ax = energy_terms([result.bills["loihi1"], result.bills["loihi2"]], given)
    assert ax is given
    assert len(ax.get_yticks()) == 1  # loihi2 has no total
    assert sum(p.get_width() for p in ax.patches) == pytest.approx(1.0)


def test_plots_of_nothing() -> None:
    energy_ranges([])
    energy_terms([])
