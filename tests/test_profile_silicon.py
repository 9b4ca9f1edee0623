"""Published silicon: what the shipped profiles predict, and that a fitted point is never a test of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikesim.profile.silicon import Case, cases, table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guides" / "energy.md"


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
