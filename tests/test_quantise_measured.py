"""What quantising changed when a network runs: distances, overflows, causes, accuracy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from spikesim import Input, Network, Population, Projection, ms
from spikesim.cli import app, register
from spikesim.connect import Dense
from spikesim.errors import InvalidValueError
from spikesim.models.neurons import cuba_lif, leaky
from spikesim.quantise import difference, quantise
from spikesim.quantise.measured import ALL, FORM
from spikesim.quantise.plan import KINDS
from spikesim.recording import Spikes

SAMPLE = np.random.default_rng(3).random((60, 3, 25)) < 0.25


def net(cell: Any = None) -> Network:
    cell = cuba_lif(reset="subtract", du=0.3, dv=0.1) if cell is None else cell
    rng = np.random.default_rng(1)
    return Network(
        [Population("a", 30, cell), Population("b", 12, cuba_lif(reset="subtract", du=0.3, dv=0.1))],
        [
            Projection("x", "a", Dense(rng.normal(0.1, 0.3, (30, 25)))),
            Projection("a", "a", Dense(rng.normal(0.0, 0.1, (30, 30))), delay=2 * ms),
            Projection("a", "b", Dense(rng.normal(0.05, 0.2, (12, 30)))),
        ],
        [Input("x", 25)],
    )


def heterogeneous() -> Network:
    pick = np.random.default_rng(5).integers
    return net(
        cuba_lif(
            reset="subtract", du=np.array([0.25, 0.5])[pick(0, 2, 30)], dv=np.array([0.05, 0.1, 0.2])[pick(0, 3, 30)]
        )
    )


def call(*words: object) -> str:
    """Run a verb in this process; a user's mistake comes out as its exception."""
    register()
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def spikes(raster: np.ndarray) -> Spikes:
    """Events of a raster ``[samples, steps, n]``."""
    sample, step, neuron = np.nonzero(raster)
    return Spikes(sample.astype(np.int32), step, neuron.astype(np.int32), raster.shape[2], raster.shape[1], 2, 1e-3)


@settings(deadline=None)
@given(st.integers(0, 2**31), st.floats(0.0, 1.0))
def test_van_rossum_is_the_integral_that_it_says(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    before, after = (rng.random((2, 2, 30, 3)) < rate * 0.5).astype(bool)
    found = difference(spikes(before), spikes(after), tau=4e-3)
    # between two steps a filtered train falls as exp(-t / tau), so the integral of its square is known exactly
    change, filtered, square = after.astype(float) - before, np.zeros((2, 3)), np.zeros((2, 3))
    for step in range(30):
        filtered = filtered * np.exp(-1 / 4) + change[:, step]
        square += filtered**2 * (0.5 * (1 - np.exp(-2 / 4)) if step < 29 else 0.5)
    assert found.van_rossum == pytest.approx(np.sqrt(square).mean())
    assert found.differing == int((before != after).sum())
    first = np.nonzero((before != after).any(axis=(0, 2)))[0]
    assert found.first_step == (int(first[0]) if len(first) else None)


def test_one_spike_more_and_one_that_moved() -> None:
    a = np.zeros((2, 50, 1), bool)
    b, c = a.copy(), a.copy()
    b[0, 10, 0] = c[0, 14, 0] = True
    assert difference(spikes(a), spikes(b)).van_rossum == pytest.approx(np.sqrt(0.5) / 2)
    moved = difference(spikes(b), spikes(c), tau=10e-3)
    assert moved.van_rossum == pytest.approx(np.sqrt(1 - np.exp(-0.4)) / 2)
    assert (moved.before, moved.after, moved.differing, moved.share, moved.first_step) == (1, 1, 2, 1.0, 10)


def test_the_chips_form_alone_changes_nothing_and_kinds_are_told_apart(tmp_path: Path) -> None:
    found = quantise(net(), weight_bits=4).measure(SAMPLE)
    causes = {c.rounding: c for c in found.causes}
    assert list(causes) == [FORM, *KINDS, ALL] and causes[FORM].differing == 0
    assert found.blamed == "weights" and causes["weights"].share > 3 * causes["decays"].share
    assert causes[ALL].differing == sum(r["differing"] for r in found.rows()) > 0
    shown = json.loads(found.to_json(tmp_path / "m.json"))
    assert shown["blamed"] == "weights" and {r["population"] for r in shown["populations"]} == {"a", "b"}
    assert "rounding weights" in str(found) and (tmp_path / "m.json").is_file()
    slow = net(cuba_lif(reset="subtract", du=0.3, dv=0.00025, bias=-0.02))  # 1.02 of 4096: a twelfth of it is lost
    by_decay = quantise(slow, calibration=SAMPLE).measure(SAMPLE)
    assert quantise(slow).populations["a"].time_constant_error > 0.01 and by_decay.rows()[0]["wraps"] == 0


def test_bins_are_blamed_on_decays_and_split_networks_are_read_back() -> None:
    found = quantise(heterogeneous(), bins=1, calibration=SAMPLE).measure(SAMPLE)
    assert found.blamed == "decays"
    split = quantise(heterogeneous(), bins=4, calibration=SAMPLE).measure(SAMPLE, causes=False)
    assert list(split.populations) == ["a", "b"] == list(split.overflows)
    assert split.populations["a"].share < found.populations["a"].share


def test_overflows_are_counted() -> None:
    cell = cuba_lif(reset="to", du=0.01, dv=0.5, v_th=1.0)
    many = Network([Population("a", 3, cell)], [Projection("x", "a", Dense(np.ones((3, 400))))], [Input("x", 400)])
    data = np.ones((60, 2, 400))
    wild = quantise(many).measure(data, causes=False)
    assert wild.overflows["a"][0] > 0 and wild.populations["a"].differing > 0
    tame = quantise(many, calibration=data).measure(data, causes=False)
    assert tame.overflows["a"] == (0, 0) and tame.populations["a"].differing == 0


def test_accuracy_is_that_of_the_labels() -> None:
    cell = leaky(beta=0.5, reset="to", timing="same", v_th=0.5)
    net = Network([Population("a", 2, cell)], [Projection("x", "a", Dense(np.eye(2)))], [Input("x", 2)])
    data = np.zeros((5, 4, 2))
    labels = np.array([0, 1, 1, 0])
    data[:, np.arange(4), labels] = 1
    found = quantise(net).measure(data, labels, causes=False)
    assert (found.accuracy_float, found.accuracy_fixed) == (1.0, 1.0)
    assert quantise(net).measure(data, 1 - labels, causes=False).accuracy_fixed == 0.0
    with pytest.raises(InvalidValueError, match="one whole class number for each of 4 samples"):
        quantise(net).measure(data, labels[:2])
    with pytest.raises(InvalidValueError, match="rate, latency"):
        quantise(net).measure(data, labels, readout="membrane")


def test_the_command_line_calibrates_bins_and_blames(tmp_path: Path) -> None:
    out = tmp_path / "q.h5"
    words = ("quantise", "digits_mlp", "--set", "hidden=16", "--data", "digits", "--out", out, "--weight-bits", "4")
    shown = json.loads(call(*words, "--calibrate", 20, "--bins", "2", "--json"))
    assert shown["blamed"] == "weights" and len(shown["causes"]) == 6
    assert {"accuracy_float", "accuracy_fixed", "spikes_differing"} <= set(shown)
    assert "which rounding did it" in call(*words, "--bins", "layer1=2", "--no-causes")
    for wrong, part in ((("--bins", "layer1=x"), "population=number"), (("--calibrate", "5"), "name a data set")):
        with pytest.raises(InvalidValueError, match=part):
            call("quantise", "digits_mlp", "--out", out, *wrong)
