"""What a profile counts besides spikes: reads, writes, packets, spikes under way, samples, and on every backend."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spikesim import Input, Network, Poisson, Population, Projection, ms, run
from spikesim.connect import Dense, FixedProbability
from spikesim.errors import FileAccessError, FileFormatError, InvalidValueError, UnknownNameError
from spikesim.lowering import lower
from spikesim.models.neurons import leaky, lif_soft
from spikesim.profile import Profile, Stat, place, profile, recording_of_rasters
from spikesim.profile.device import load_device
from spikesim.profile.hdf5 import holds_profile
from spikesim.profile.observed import observe
from spikesim.quantise import quantise

STEPS, SAMPLES = 12, 3
RNG = np.random.default_rng(3)
PRUNED = RNG.normal(0.4, 0.4, (8, 6)) * (RNG.random((8, 6)) > 0.4)
NET = Network(
    [Population("a", 8, leaky(beta=0.5)), Population("b", 5, leaky(beta=0.75))],
    [
        Projection("in", "a", Dense(PRUNED)),
        Projection("a", "a", FixedProbability(0.5), weight=0.2, delay=3 * ms),
        Projection("a", "b", Dense(RNG.normal(0.3, 0.3, (5, 8)))),
    ],
    [Input("in", 6)],
    name="loop",
)
DATA = {"in": (RNG.random((STEPS, SAMPLES, 6)) < 0.5).astype(np.uint8)}


@pytest.fixture(name="recording", scope="module")
def _recording() -> Any:
    return run(NET, inputs=DATA, backend="torch")


@pytest.fixture(name="result", scope="module")
def _result(recording: Any) -> Profile:
    return profile(recording, NET, ["loihi1", "truenorth"], inputs=DATA)


# -------------------------------------------------------------------------------------------------------- by hand
def test_spikes_under_way_at_the_end(result: Profile, recording: Any) -> None:
    """A spike of the last three steps does not arrive any more: the delay is three."""
    fired = recording["a"].dense()
    degree = np.diff(lower(NET).edges[1].indptr)
    late = fired[-3:].sum(axis=0) @ degree
    forward, loop, out = result.projections
    assert loop.events_pending == Stat.of(late)
    assert late.sum() > 0
    assert forward.events_pending == out.events_pending == Stat.of(np.zeros(SAMPLES))


def test_delays_that_differ() -> None:
    delays = np.tile([1, 2, 4], 4).reshape(3, 4) * 1e-3
    net = Network(
        [Population("a", 4, leaky()), Population("b", 3, leaky())],
        [Projection("a", "b", Dense(np.array([[1, 0, 1, 1]] * 3, float)), delay=delays.T.reshape(-1))],
    )
    fired = np.zeros((6, 1, 4), np.uint8)
    fired[3, 0, :] = 1  # two steps before the last: arrives unless the delay is more than two
    fired[5, 0, 1] = 1  # its weights are 0
    found = profile(recording_of_rasters(net, {"a": fired, "b": np.zeros((6, 1, 3))}), net, []).projections[0]
    graph = lower(net)
    slow = (np.asarray(graph.edges[0].delays) > 2) & (np.asarray(graph.edges[0].weights) != 0)
    assert found.events_pending is not None
    assert found.events_pending.mean == slow.sum() > 0


def test_weight_reads_hold_the_zeros_of_a_row(result: Profile) -> None:
    """A dense memory reads its whole row: eight weights for each input spike, of which some are 0."""
    spikes = DATA["in"].sum(axis=(0, 2))
    forward, loop, _ = result.projections
    assert forward.synapses == np.count_nonzero(PRUNED) < forward.synapses_stored == 48
    assert forward.weight_reads == Stat.of(8 * spikes)
    assert forward.weight_reads.mean > forward.events.mean
    assert loop.weight_reads == loop.events
    assert result.layers[1].weight_reads is not None
    assert result.layers[1].weight_reads.mean == pytest.approx(forward.weight_reads.mean + loop.events.mean)


def test_states_are_read_and_written_once_an_update(result: Profile, recording: Any) -> None:
    layer = result.layers[1]
    assert layer.states == 1
    assert layer.state_reads == layer.state_writes == Stat.of(recording.counts.populations["a"].active)
    assert layer.state_reads_dense == layer.state_writes_dense == 8 * STEPS


def test_traffic_is_exact_with_the_inputs(result: Profile, recording: Any) -> None:
    routes = place(lower(NET), load_device("loihi1")).routes
    each = {t.name: t for t in result.traffic["loihi1"]}
    assert set(each) == {"in", "a"}  # b projects nowhere
    assert each["in"].packets == Stat.of(DATA["in"].sum(axis=0) @ routes["in"].per_element())
    assert each["in"].exact and each["a"].exact
    bill = result.bills["loihi1"]
    assert next(t for t in bill.terms if t.name == "packet").count == pytest.approx(
        sum(t.packets.mean for t in each.values())
    )
    assert "truenorth" in result.traffic and result.traffic["truenorth"][0].hops_x is None


def test_inputs_of_another_run_are_refused(recording: Any) -> None:
    with pytest.raises(InvalidValueError, match=r"inputs\['in'\] holds .* the run counted"):
        profile(recording, NET, [], inputs={"in": 1 - DATA["in"]})


def test_a_stimulus_that_follows_from_the_seed_is_known() -> None:
    net = Network(
        [Population("a", 4, leaky())], [Projection("p", "a", weight=[0.5] * 8 + [0.0] * 4)], [Poisson("p", 3, 300.0)]
    )
    found = run(net, steps=50, backend="torch")
    seen = observe(found, lower(net))
    assert seen.emitted["p"].sum() == found.counts.sources["p"].sum() > 0
    assert profile(found, net, "loihi1").traffic["loihi1"][0].exact


# ------------------------------------------------------------------------------------------------------ every backend
def per_sample(found: Profile) -> dict[tuple[str, str], tuple[int, ...]]:
    return {(s.item, s.quantity): s.values for s in found.per_sample}


def fixed_network() -> Network:
    rng = np.random.default_rng(5)
    return quantise(
        Network(
            [Population("a", 12, lif_soft(th=0.7, q=0.7)), Population("b", 6, lif_soft(th=0.5, q=0.5))],
            [
                Projection("x", "a", Dense(rng.normal(0.15, 0.3, (12, 9)))),
                Projection("a", "a", FixedProbability(0.4), weight=-0.1, delay=2 * ms),
                Projection("a", "b", Dense(rng.normal(0.2, 0.3, (6, 12)))),
            ],
            [Input("x", 9)],
        )
    ).network


def test_counts_do_not_depend_on_the_backend() -> None:
    net = fixed_network()
    data = {"x": (np.random.default_rng(6).random((15, 2, 9)) < 0.4).astype(np.uint8)}
    found = {
        b: profile(run(net, inputs=data, backend=b), net, "loihi1", inputs=data) for b in ("numba", "torch", "loihi")
    }
    first = found["numba"]
    assert first.origin.arithmetic == "fixed point" and first.layers[1].spikes.mean > 0
    for backend, other in found.items():
        assert other.origin.backend == backend
        assert replace_origin(other) == replace_origin(first)
    rasters = {**data, **{n: s.dense() for n, s in run(net, inputs=data, backend="loihi").spikes.items()}}
    counted = profile(recording_of_rasters(net, rasters), net, "loihi1", inputs=data)
    assert replace_origin(counted) == replace_origin(first)  # from the spikes alone, nothing simulated


def replace_origin(found: Profile) -> dict[str, Any]:
    return {k: v for k, v in found.to_dict().items() if k != "origin"}


# ---------------------------------------------------------------------------------------------------- given rasters
def test_given_spikes_count_like_a_run(recording: Any, result: Profile) -> None:
    rasters = {**DATA, **{name: s.dense() for name, s in recording.spikes.items()}}
    counted = recording_of_rasters(NET, rasters)
    again = profile(counted, NET, ["loihi1", "truenorth"], inputs=DATA)
    assert replace_origin(again) == replace_origin(result)
    assert again.origin.backend == "given spikes"


def test_active_updates_where_inputs_cancel() -> None:
    """Two inputs of opposite weight: together they leave a neuron idle, one alone does not."""
    net = Network(
        [Population("a", 1, leaky())], [Projection("x", "a", Dense(np.array([[1.0, -1.0]])))], [Input("x", 2)]
    )
    given = {"x": np.array([[1, 1], [1, 0], [0, 0]]), "a": np.zeros((3, 1))}
    assert recording_of_rasters(net, given).counts.populations["a"].active.tolist() == [1]


def test_rasters_that_cannot_be() -> None:
    with pytest.raises(InvalidValueError, match=r"(?s)spikes of 'b' are missing.*'a' needs the shape .*found \[2, 7\]"):
        recording_of_rasters(NET, {**DATA, "a": np.zeros((2, 7))})
    with pytest.raises(InvalidValueError, match="'a' must hold spikes, 0 or 1"):
        recording_of_rasters(NET, {**DATA, "a": np.full((STEPS, SAMPLES, 8), 2), "b": np.zeros((STEPS, SAMPLES, 5))})
    with pytest.raises(UnknownNameError, match="did you mean 'a'"):
        recording_of_rasters(NET, {"aa": np.zeros((2, 8))})


# ------------------------------------------------------------------------------------------------------------- files
def test_hdf5_holds_every_sample_and_comes_back(result: Profile, tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    result.save(path)
    assert Profile.load(path) == result and holds_profile(path)
    with h5py.File(path) as file:
        assert file["per_sample/population/a/spikes"][:].tolist() == list(per_sample(result)["a", "spikes"])
        assert file["per_sample/projection/a->b/events"].shape == (SAMPLES,)
        assert file["layers/spikes"].shape == (3, 4)
        total = result.bills["loihi1"].total
        assert total is not None
        assert file["energy/loihi1/joules"][-1].tolist() == [total.low_j, total.nominal_j, total.high_j]
        assert np.isnan(file["projections/events_pending"][:]).sum() == 0
    foreign = tmp_path / "x.h5"
    foreign.write_bytes(b"something")
    with pytest.raises(FileAccessError, match="was not written by spikesim"):
        result.save(foreign)
    with pytest.raises(FileFormatError, match="not a spikesim profile"):
        Profile.load(foreign)


def test_a_truncated_file_is_recognised(result: Profile, tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    result.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileFormatError, match="truncated"):
        Profile.load(path)


def test_json_and_csv_have_the_samples(result: Profile, tmp_path: Path) -> None:
    text = result.to_json()
    assert Profile.from_json(text) == result
    values = per_sample(result)["a", "spikes"]
    assert f"[ {', '.join(map(str, values))} ]" in text
    result.to_csv(tmp_path / "p.csv", per_sample=True)
    with (tmp_path / "p.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    mine = [int(r["value"]) for r in rows if (r["item"], r["quantity"]) == ("a", "spikes") and r["sample"]]
    assert mine == list(values)
    named = {r["quantity"]: r for r in rows if r["part"] == "baseline" and r["item"] == "fp32"}
    assert float(named["rate_per_step"]["value"]) > 0 and named["break_even_rate_per_step"]["note"]
    assert any(r["part"] == "traffic" and r["item"] == "loihi1/in" for r in rows)


def test_html_is_one_page_with_plots(result: Profile, tmp_path: Path) -> None:
    result.save(tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text("utf-8")
    assert text.count("data:image/svg+xml;base64,") == 2
    for words in ("Traffic", "NeuroBench", "of fp32 ANN", "The same network without spikes", "elements fire"):
        assert words in text
    with pytest.raises(InvalidValueError, match=r"\.json, \.csv, \.h5, \.html; found 'p\.txt'"):
        result.save(tmp_path / "p.txt")


def test_an_older_profile_is_read(result: Profile) -> None:
    """Profiles of the first version had no samples, no traffic and no NeuroBench."""
    new = ("origin", "per_sample", "traffic", "neurobench_metrics")
    old = Profile.model_validate({k: v for k, v in result.to_dict().items() if k not in new})
    assert old.bills == result.bills
    with pytest.raises(InvalidValueError, match="profile again"):
        old.neurobench()


# -------------------------------------------------------------------------------------------------------------- time
def test_the_busiest_core_is_that_of_each_step() -> None:
    """Added up message by message, in nanoseconds: the busiest core of each step, and a barrier."""
    n, steps = 1500, 6  # two cores
    rng = np.random.default_rng(4)
    net = Network(
        [Population("a", n, leaky()), Population("b", 4, leaky())],
        [
            Projection("x", "a", FixedProbability(0.1), weight=0.1),
            Projection("a", "b", FixedProbability(0.5), weight=0.1),
        ],
        [Input("x", 10)],
    )
    graph, device = lower(net), load_device("loihi1_nahuku")
    data = {"x": rng.random((steps, 10)) < 0.3, "a": rng.random((steps, n)) < 0.01 * np.arange(6)[:, None]}
    data |= {"b": np.zeros((steps, 4), bool)}
    recording = recording_of_rasters(graph, data)
    found = profile(recording, graph, device, inputs={"x": data["x"]}).bills[device.name]
    mapping, populations = place(graph, device), recording.counts.populations
    busy = np.zeros((steps, mapping.cores))
    for name, home in mapping.core_of.items():
        p = populations[name]
        each = (9.7 * p.active[0] + 6.0 * p.idle[0]) / p.neurons / steps  # one neuron, one step
        np.add.at(busy, (slice(None), home), each)
        step, element = np.nonzero(data[name])
        np.add.at(busy, (step, home[element]), 30.0)
    for name, route in mapping.routes.items():
        for element, core, synapses in zip(route.element, route.core, route.synapses, strict=True):
            when = data[name][:, element]
            busy[when, core] += 3.8 * synapses + 16.0
            if name in mapping.core_of:
                busy[when, mapping.core_of[name][element]] += 5.1
    barrier = next(b.si.nominal for b in device.time.barrier if b.tiles >= mapping.routers)
    assert found.time_s == pytest.approx(busy.max(axis=1).sum() * 1e-9 + steps * barrier, rel=1e-9)
    assert "busiest core of each step" in found.time_basis
    evenly = profile(recording.counts, graph, device).bills[device.name]
    assert "evenly over the steps, so a lower bound" in evenly.time_basis
