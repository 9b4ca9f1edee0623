"""Two profiles in one table, and the command line around profiles."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from spikesim import Input, Network, Population, Projection, run
from spikesim.cli import app, register
from spikesim.connect import Dense
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.neurons import leaky, lif_soft
from spikesim.profile import Profile, compare_profiles, profile
from spikesim.quantise import quantise

register()
RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(0.3, 0.4, (10, 16))
DATA = {"in": (RNG.random((20, 4, 16)) < 0.4).astype(np.uint8)}


def network(weights: Any, name: str) -> Network:
    return Network(
        [Population("h", 10, leaky()), Population("out", 4, leaky())],
        [Projection("in", "h", Dense(weights)), Projection("h", "out", weight=0.3)],
        [Input("in", 16)],
        name=name,
    )


FULL, PRUNED = network(WEIGHTS, "full"), network(WEIGHTS * (abs(WEIGHTS) > 0.3), "pruned")


def profiled(net: Network, devices: Any = ("loihi1", "odin")) -> Profile:
    return profile(run(net, inputs=DATA, backend="torch"), net, devices, inputs=DATA)


@pytest.fixture(name="both", scope="module")
def _both() -> tuple[Profile, Profile]:
    return profiled(FULL), profiled(PRUNED)


def call(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def shown(value: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=400).print(value)
    return out.getvalue()


# --------------------------------------------------------------------------------------------------------- the table
def test_before_and_after_pruning(both: tuple[Profile, Profile]) -> None:
    found = compare_profiles(*both)
    assert (found.first, found.second) == ("full", "pruned")
    kept = int((abs(WEIGHTS) > 0.3).sum())
    synapses = found.value("synapses")
    assert (synapses.first, synapses.second) == (160 + 40, kept + 40)
    assert synapses.change == pytest.approx((kept + 40) / 200 - 1)
    energy = found.value("energy", "loihi1")
    totals = [p.bills["loihi1"].total for p in both]
    assert (energy.first, energy.second) == tuple(t.nominal_j for t in totals if t)
    assert found.value("spikes", "h").first == both[0].layers[1].spikes.mean
    assert found.value("spikes", "in").change == 0.0  # the same input
    assert found.notes == ()
    text = shown(found.table())
    assert "full against pruned" in text and "loihi1" in text and "%" in text and "same" in text


def test_two_devices_of_one_run(both: tuple[Profile, Profile]) -> None:
    found = compare_profiles(both[0], devices=("loihi1", "odin"))
    assert (found.first, found.second) == ("loihi1", "odin")
    assert {r.item for r in found.rows} == {"loihi1, odin"}
    assert "loihi1 leaves out static" in " ".join(found.notes)


def test_the_only_device_of_each_is_compared() -> None:
    a, b = profiled(FULL, "loihi1"), profiled(FULL, "odin")
    assert compare_profiles(a, b).value("energy", "loihi1, odin").first is not None


def test_float_and_fixed_point_say_so() -> None:
    soft = Network(
        [Population("h", 6, lif_soft(th=0.7, q=0.7))], [Projection("in", "h", Dense(WEIGHTS[:6]))], [Input("in", 16)]
    )
    found = compare_profiles(profiled(soft, "loihi1"), profiled(quantise(soft).network, "loihi1"))
    assert "the first ran in float64, the second in fixed point" in found.notes[0]
    assert "spikes per sample" in found.notes[0]


def test_layers_that_only_one_has(both: tuple[Profile, Profile]) -> None:
    other = Network([Population("z", 4, leaky())], [Projection("in", "z", weight=0.3)], [Input("in", 16)], name="z")
    assert any("only the first has h, out" in n for n in compare_profiles(both[0], profiled(other)).notes)


def test_changes_from_nothing_have_no_percentage(both: tuple[Profile, Profile]) -> None:
    rows = compare_profiles(*both).rows
    assert all(r.change is None for r in rows if r.first is None or (r.first == 0 and r.second))
    assert all(r.change == 0.0 for r in rows if r.first == r.second == 0)


def test_files(both: tuple[Profile, Profile], tmp_path: Path) -> None:
    found = compare_profiles(*both, labels=("before", "after"))
    found.to_csv(tmp_path / "c.csv")
    with (tmp_path / "c.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.rows) and float(rows[0]["before"]) == found.rows[0].first
    data = json.loads(found.to_json(tmp_path / "c.json"))
    assert data["rows"][0]["change"] == found.rows[0].change


def test_mistakes(both: tuple[Profile, Profile]) -> None:
    with pytest.raises(InvalidValueError, match=r"pass devices=\(a, b\)"):
        compare_profiles(both[0])
    with pytest.raises(UnknownNameError, match="did you mean 'odin'"):
        compare_profiles(both[0], devices=("loihi1", "odinn"))
    with pytest.raises(UnknownNameError, match="energies"):
        compare_profiles(*both).value("energies")


# ---------------------------------------------------------------------------------------------------------- baselines
def test_ordinary_networks_stand_beside_every_energy(both: tuple[Profile, Profile]) -> None:
    """The ratio by hand: one pass of 160 + 40 fp32 MACs of 4.6 pJ, weights and activations from the 8 kB memory."""
    found = both[0]
    base, total = found.baselines, found.bills["loihi1"].total
    assert base is not None and total is not None
    values = 16 + 10 + 4
    by_hand = 200 * 4.6e-12 + 200 * 5e-12 + 2 * values * 5e-12
    assert base.ann_fp32.priced.nominal_j == pytest.approx(by_hand, rel=1e-12)
    quantised = 200 * 0.23e-12 + 200 * 10e-12 / 8 + 2 * values * 10e-12 / 4  # 8 and 16 of the 64 bits of an access
    assert base.ann_quantised.priced.nominal_j == pytest.approx(quantised, rel=1e-12)
    assert base.equivalent_bits == 5
    text = shown(found.table())
    assert "of fp32 ANN" in text and "of 5-bit ANN" in text
    line = next(x for x in text.splitlines() if x.strip().startswith("loihi1 "))
    assert f"{total.nominal_j / by_hand:.3g} ×" in line


def test_break_even_by_hand(both: tuple[Profile, Profile]) -> None:
    """Spiking: each event an addition (0.9 pJ) and half a word (5 pJ); updates a MAC and two accesses in every step."""
    base = both[0].baselines
    assert base is not None
    updates = 14 * 20
    fixed = updates * 4.6e-12 + 2 * updates * 5e-12
    left = base.ann_fp32.priced.nominal_j - fixed
    found = base.break_even[0]
    assert found.rate_per_step is None  # 280 updates cost more than 200 MACs, without a single spike
    assert left < 0
    events = both[0].projections
    actual = sum(p.events.mean for p in events) / 200 / 20
    assert found.actual_rate_per_step == pytest.approx(actual, rel=1e-12)


def test_break_even_between_nothing_and_everything() -> None:
    """1000 inputs, 10 neurons, 4 steps: 40 kB of weights cost 100 pJ a word of 64 bits, 4 kB of values 10 pJ."""
    net = Network([Population("h", 10, leaky())], [Projection("in", "h", weight=0.01)], [Input("in", 1000)])
    spikes = (np.random.default_rng(2).random((4, 1, 1000)) < 0.1).astype(np.uint8)
    base = profile(run(net, inputs={"in": spikes}, backend="torch"), net, []).baselines
    assert base is not None
    ann = 10_000 * (4.6 + 50.0) + 2 * 1010 * 5.0  # pJ: fp32 is half a word of 64 bits
    assert base.ann_fp32.priced.nominal_j == pytest.approx(ann * 1e-12, rel=1e-12)
    updates = 40 * (4.6 + 2 * 5.0)
    events = (ann - updates) / (10_000 * (0.9 + 50.0))
    found = base.break_even[0]
    assert found.events_per_synapse == pytest.approx(events, rel=1e-12)
    assert found.rate_per_step == pytest.approx(events / 4, rel=1e-12)
    assert found.actual_rate_per_step == pytest.approx(spikes.mean(), rel=1e-12)
    assert "27.28%" in found.sentence and "below it" in found.sentence


# -------------------------------------------------------------------------------------------------------- command line
@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory: Any) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("profiles")
    files = {name: folder / f"{name}.h5" for name in ("full", "pruned")}
    FULL.save(files["full"])
    PRUNED.save(files["pruned"])
    files["inputs"] = folder / "inputs.npz"
    np.savez(files["inputs"], **DATA)
    recording = run(FULL, inputs=DATA, backend="torch")
    files["spikes"] = folder / "spikes.npz"
    np.savez(files["spikes"], **DATA, **{n: s.dense() for n, s in recording.spikes.items()})
    return files


def test_a_network_on_arrays_against_another(files: dict[str, Path], tmp_path: Path) -> None:
    words = ("--data-file", files["inputs"], "--device", "loihi1", "--backend", "torch")
    out = tmp_path / "full.json"
    text = call("profile", files["full"], *words, "--out", out)
    assert f"profile written to {out}" in text
    against = json.loads(call("profile", files["pruned"], *words, "--against", out, "--json"))
    assert (against["first"], against["second"]) == ("pruned", "full")
    assert "pruned against full" in call("profile", files["pruned"], *words, "--against", files["full"])
    other = tmp_path / "pruned.h5"
    call("profile", files["pruned"], *words, "--out", other)
    table = tmp_path / "c.csv"
    assert "full against pruned" in call("compare", out, other, "--out", table)
    assert "loihi1" in table.read_text("utf-8")


def test_given_spikes_are_counted_without_a_run(files: dict[str, Path]) -> None:
    words = ("--device", "loihi1", "--json")
    given = json.loads(call("profile", files["full"], "--data-file", files["spikes"], *words))
    simulated = json.loads(call("profile", files["full"], "--data-file", files["inputs"], "--backend", "torch", *words))
    assert given.pop("origin")["backend"] == "the spikes in spikes.npz"
    simulated.pop("origin")
    assert given == simulated


def test_one_profile_on_two_devices(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "p.h5"
    call("profile", files["full"], "--data-file", files["spikes"], "--device", "loihi1", "--device", "odin", "-o", out)
    assert "loihi1 against odin" in call("compare", out, "--device", "loihi1", "--device", "odin")
    with pytest.raises(InvalidValueError, match="is no profile"):
        call("compare", files["full"])


def test_brief_by_default_and_long_on_request(both: tuple[Profile, Profile]) -> None:
    found = profile(run(FULL, inputs=DATA, backend="torch"), FULL, "all")
    brief, long = shown(found.table()), shown(found.table(long=True))
    assert "no published price" in brief and "Intel publishes no energy" not in brief
    assert "Intel publishes no energy per operation" in " ".join(long.split())
    assert "Traffic" in long and "Memory" in long and "Traffic" not in brief
