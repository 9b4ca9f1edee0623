"""The page on continual learning matches the stored runs, and what reads them is right."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("continual_summary", "continual_effects", "page_continual", "continual")


@pytest.fixture(scope="module")
def scripts():
    """Return the files of ``benchmarks/``, which is no package."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield {name: importlib.import_module(name) for name in NAMES}
    sys.path.remove(str(ROOT / "benchmarks"))


def test_the_page_is_up_to_date(scripts):
    page = ROOT / "docs" / "methods" / "continual.md"
    assert scripts["page_continual"].continual() == page.read_text("utf-8"), "run benchmarks/write_docs.py"


def test_stored_runs_are_those_of_the_script(scripts):
    """With the settings that the script has now, and figures that follow from the matrix."""
    experiments, found = scripts["continual"].EXPERIMENTS, scripts["continual_summary"].stored()
    for name, runs in found.items():
        for label, rows in runs.items():
            assert len({row["plan"]["seed"] for row in rows}) == len(rows) <= experiments[name].seeds
            for row in rows:
                expected = experiments[name].plan(label, row["plan"]["seed"]).described()
                assert row["plan"] == json.loads(json.dumps(expected)), (name, label)
                last = np.array(row["matrix"][-1], float)
                assert np.isfinite(last).all() and last.min() > 0 and len(last) == len(row["matrix"])


def test_a_run_is_stored_and_read_back(scripts, tmp_path, monkeypatch):
    continual, summary = scripts["continual"], scripts["continual_summary"]
    small = continual.Experiment(
        "permuted-digits", {"tasks": 2, "samples": 40, "tests": 20}, "12",
        {"epochs": 1, "steps": 4, "rule": "dsr", "batch_size": 20},
        {"joint": continual.Way("joint", at_end=True), "hlop, told": continual.Way("hlop", {"rows": 3}, told=True)},
    )  # fmt: skip
    monkeypatch.setattr(continual, "EXPERIMENTS", {"digits": small})
    for run in continual.missing(["digits"], [], tmp_path):
        continual.once(*run, tmp_path)
    assert not continual.missing(["digits"], [], tmp_path) and not list(tmp_path.rglob("*.h5"))
    found = summary.stored(tmp_path)["digits"]
    table = summary.table_of(found)
    joint, hlop = summary.matrix(found["joint"][0]), summary.matrix(found["hlop, told"][0])
    assert np.isnan(joint[0]).all() and found["hlop, told"][0]["plan"]["training"]["heads"] is True
    np.testing.assert_allclose(table["hlop, told"]["BWT"], 100 * (hlop[1, 0] - hlop[0, 0]))
    np.testing.assert_allclose(table["hlop, told"]["intransigence"], 100 * np.mean(joint[1] - np.diag(hlop)))
    assert summary.cell("ACC", table["joint"]["ACC"]) == f"{100 * joint[1].mean():.2f}"
    assert summary.cell("memory", table["hlop, told"]["memory"]).endswith("B")


def row(seed, old, new, then, curve=()):
    """Return a run of two tasks: the first when learned, the second, and the first in the end."""
    return {
        "plan": {"seed": seed, "training": {"epochs": len(curve)}},
        "matrix": [[old, 0.1], [then, new]],
        "untrained": [0.1, 0.1],
        "curve": [[value, 0.5] for value in curve],
    }


def test_effects_are_paired_differences(scripts):
    effects = scripts["continual_effects"]
    ewc = [row(seed, 0.9, 0.8, 0.7 + 0.01 * seed) for seed in range(4)]
    afec = [row(seed, 0.9, 0.84 + 0.001 * seed, 0.7 + 0.01 * seed) for seed in (3, 1, 2)]  # in another order
    changes = effects.paired(afec, ewc)
    np.testing.assert_allclose(changes["learning accuracy"].each, [2.15, 2.05, 2.1])
    np.testing.assert_allclose(changes["ACC"].each, [2.15, 2.05, 2.1])
    np.testing.assert_allclose(changes["BWT"].each, 0, atol=1e-9)
    assert str(changes["ACC"]) == "+2.10 ± 0.03" and changes["ACC"].sign == 1
    assert [effects.Change(np.array(v)).sign for v in ([-1.0, -1.1], [-1.0, 0.9], [3.0])] == [-1, 0, 0]
    bases = {"afec, told": "ewc, told", "afec on si": "si", "afec on ewc, in turns": "ewc", "hlop": ""}
    assert {label: effects.base_of(label) for label in bases} == bases
    found = {"conflict": {"ewc": ewc, "afec on ewc": afec, "afec on mas": afec}, "digits": {"ewc": ewc}}
    text = effects.compared(found, "afec")
    assert "| Relabelled digits, 5 tasks, told | afec on ewc | ewc | 3 | +2.10 ± 0.03 |" in text
    assert "are learned better in 1 (Relabelled digits, 5 tasks, told: afec on ewc) of 1 with several seeds" in text
    assert "mas" not in text and effects.compared({"digits": {"ewc": ewc}}, "afec") == "Not run yet."


def test_what_is_kept_while_a_new_task_is_learned(scripts):
    effects = scripts["continual_effects"]
    runs = {
        "m 0, long": [row(s, 0.9, 0.95, 0.3, (0.85, 0.7, 0.3)) for s in range(2)],
        "m 1.35 per weight, long": [row(0, 0.9, 0.95, 0.31, (0.8, 0.7, 0.31))],
        "m 2, long": [row(s, 0.9, 0.94, 0.85 + 0.01 * s, (0.9, 0.88, 0.85)) for s in range(2)],
    }
    text = effects.synapses(runs)
    assert [line.split(" | ")[1] for line in text.split("\n")[2:5]] == ["m 0", "m 2", "m 1.35 per weight"]
    assert "| m 0 | 2 | 90.0 ± 0.0 | 30.0 ± 0.0 | 95.0 ± 0.0 |  |  | 2 |" in text
    assert "| +55.50 ± 0.50 | -1.00 ± 0.00 | more than 3 |" in text
    assert "m 2 is the best for the old task and keeps more of it (+55.50 ± 0.50 points" in text
    assert "per weight, changes the old task by +1.00 points" in text and effects.synapses({}) == "Not run yet."
