"""Published silicon: what the shipped profiles predict, and that a fitted point is never a test of its own."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from spikesim.profile.silicon import Case, cases, table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "guides" / "energy.md"


def of(device: str, role: str = "test") -> list[Case]:
    return [c for c in cases() if c.device == device and c.role == role]


def test_truenorth_held_out_point() -> None:
    (case,) = of("truenorth")
    assert (case.published, case.unit) == (71e-3, "W")
    assert case.error == pytest.approx(-0.0054, abs=5e-4)
    assert len(of("truenorth", "fitted")) == 2  # the ends of the line are no tests


def test_odin_is_no_test_of_itself() -> None:
    assert of("odin") == []
    assert [c.published for c in of("odin", "fitted")] == [35e-6, 477e-6]
    assert all(abs(c.error) < 0.01 for c in of("odin", "fitted"))


def test_frady_query_on_loihi1() -> None:
    """76 800 neurons, 60 steps, 667 to 750 spikes to all of them: 1.33 mJ measured (hardware facts, section 3)."""
    errors = {c.name: c.error for c in of("loihi1")}
    assert errors["query, 667 spikes, updates inactive"] == pytest.approx(0.089, abs=1e-3)
    assert errors["query, 750 spikes, updates inactive"] == pytest.approx(0.202, abs=1e-3)
    within = [abs(e) <= 0.25 for e in errors.values()]
    assert within.count(False) == 1  # the most spikes, and every update priced as an active one: +30 %
    assert errors["query, 750 spikes, updates active"] == pytest.approx(0.303, abs=1e-3)


def test_the_fitted_loihi_misses_and_says_so() -> None:
    inactive = [c.error for c in of("loihi1_nahuku") if "inactive" in c.name]
    assert inactive == [pytest.approx(0.55, abs=0.01), pytest.approx(0.71, abs=0.01)]


def test_another_scope_is_shown_not_tested() -> None:
    (case,) = of("spinnaker1", "other scope")
    assert case.error < -0.99


def test_the_page_shows_these_numbers() -> None:
    assert table() in PAGE.read_text("utf-8"), "put spikesim.profile.silicon.table() into docs/guides/energy.md"


def test_the_page_shows_what_sanafe_gave() -> None:
    """The stored comparison with SANA-FE's Loihi: per term the same energy, and a time that is a lower bound."""
    script = ROOT / "benchmarks" / "oracles" / "sanafe_check.py"
    spec = importlib.util.spec_from_file_location("sanafe_check", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() in PAGE.read_text("utf-8"), "run sanafe_check.py --page and put it into docs/guides/energy.md"
    dense, sparse = json.loads(module.RESULT.read_text("utf-8"))["cases"]
    assert dense["counts"]["packets"] == dense["packets_sanafe"]
    assert all(row["ratio"] == pytest.approx(1.0, rel=1e-9) for row in dense["joules"].values())
    assert sparse["joules"]["synapse"]["ratio"] == pytest.approx(35.5 / 33.6, rel=1e-6)
    assert 0.7 < sparse["seconds"]["ratio"] < dense["seconds"]["ratio"] < 1.0
