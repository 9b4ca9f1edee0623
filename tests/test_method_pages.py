"""The pages on RNP and filter frequency match the stored runs, and what they say of them is right."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pages():
    """Return the two files of ``benchmarks/``, which is no package."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("page_rnp"), importlib.import_module("page_filter_frequency")
    sys.path.remove(str(ROOT / "benchmarks"))


def test_the_pages_are_up_to_date(pages):
    rnp, frequency = pages
    for name, text in (("rnp", rnp.rnp()), ("filter-frequency", frequency.filter_frequency())):
        page = ROOT / "docs" / "methods" / f"{name}.md"
        assert text == page.read_text("utf-8"), "run benchmarks/write_docs.py"


def run(points, tuned):
    return {"attacked": [0.98, 1.0], "curves": dict.fromkeys(("rnp", "magnitude", "random", "by trigger"), points),
            "tuned": {"rnp": tuned, "random": [[tuned[-1][0], [0.9, 0.8]]]}}  # fmt: skip


def test_a_defence_is_judged_by_the_first_count_that_ends_the_attack(pages):
    rnp, _ = pages
    curve = [[0, [0.98, 1.0]], [8, [0.97, 0.2]], [16, [0.95, 0.0]], [24, [0.5, 0.0]]]
    said = rnp.verdict("mnist", [run(curve, [[0, [0.98, 0.9]], [16, [0.97, 0.05]]])])
    assert "RNP needs 16 filters for an attack below 10 % and costs 3.0 points" in said
    assert "fine-tuning: alone 98.0 / 90.0, RNP with 16 pruned 97.0 / 5.0, random with 16 pruned 90.0 / 80.0" in said
    said = rnp.verdict("mnist", [run(curve[:2], [[0, [0.98, 0.9]], [8, [0.98, 0.4]]])])
    assert "RNP leaves the attack at 20 % or more" in said


def test_differences_are_paired_by_seed_and_seen_where_zero_is_outside(pages):
    _, frequency = pages
    names = [f"{k} {s}" for k in frequency.CORRUPTIONS if k != "lose_events" for s in frequency.SEVERITIES]

    def runs(accuracies):
        return {s: {"accuracy": dict.fromkeys(names, a), "low_share": 0.5} for s, a in accuracies.items()}

    found = {"free": runs({0: 0.5, 1: 0.9, 2: 0.7}), "q = 1": runs({1: 0.88, 0: 0.47, 3: 0.1}), "q = 0": runs({0: 0.5})}
    np.testing.assert_allclose(np.sort(frequency.gained(found, "q = 1")), [-3.0, -2.0])
    assert frequency.said(np.array([-3.0, -2.0])) == "-2.5 ± 6.4"  # t = 12.71, standard error 1/2
    assert (
        frequency.said(np.array([-3.0, -2.9, -3.1])).startswith("**-3.0 ± ") and frequency.said(np.array([1.0])) == ""
    )
    said = frequency.verdict("digits", {**found, "q = 1": runs({0: 0.4, 1: 0.801, 2: 0.599})})
    assert "worse than the free network is seen for q = 1 (-10.0" in said[1] and "better for none" in said[1]
