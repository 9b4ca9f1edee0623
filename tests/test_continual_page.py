"""The page on continual learning matches the stored runs, and what reads them is right."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("continual_summary", "page_continual", "continual")


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
