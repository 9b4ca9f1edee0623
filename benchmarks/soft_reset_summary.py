"""Means, intervals and paired differences of the stored trainings with and without soft reset and MPR."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

STORED = machine.RESULTS / "soft_reset"
LEVEL = 0.95
FEWEST = 8  # seeds of which a mean is shown
EXPERIMENTS = {
    "digits-4": "digits, 4 layers",
    "digits-6": "digits, 6 layers",
    "digits-6-norm": "digits, 6 layers, norm",
    "digits-6-tdbn": "digits, 6 layers, tdBN",
    "digits-12-tdbn": "digits, 12 layers, tdBN",
    "digits-12-tdbn-quick": "the same, learning rate x 3",
    "fashion": "Fashion-MNIST, 7 conv., norm",
    "fashion-tdbn": "Fashion-MNIST, 7 conv., tdBN",
}
VARIANTS = {
    "hard+rectangle": "hard, rectangle",
    "hard+mpr": "hard, MPR",
    "soft+rectangle": "soft, rectangle",
    "soft+mpr": "soft, MPR",
    "half+rectangle": "soft q = 1/2, rectangle",
    "half+mpr": "soft q = 1/2, MPR",
}
EFFECTS = {  # how much each variant counts, per cent of accuracy
    "soft reset": {"soft+rectangle": 0.5, "soft+mpr": 0.5, "hard+rectangle": -0.5, "hard+mpr": -0.5},
    "MPR": {"soft+mpr": 0.5, "hard+mpr": 0.5, "soft+rectangle": -0.5, "hard+rectangle": -0.5},
    "MPR, with soft reset": {"soft+mpr": 1.0, "soft+rectangle": -1.0},
    "both": {"soft+mpr": 1.0, "hard+rectangle": -1.0},
    "soft reset, q = 1/2": {"half+rectangle": 0.5, "half+mpr": 0.5, "hard+rectangle": -0.5, "hard+mpr": -0.5},
}
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with half the width of its interval.

    Parameters
    ----------
    mean, error, half
        Mean, standard error of it, and half the width of Student's interval.
    seeds
        How many.
    """

    mean: float
    error: float
    half: float
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return abs(self.mean) > self.half


def estimate(values: Iterable[float]) -> Estimate:
    """Return mean, standard error and Student's interval of values of independent seeds."""
    x = np.array(list(values), float)
    error = float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else float("nan")
    return Estimate(float(x.mean()), error, error * float(t.ppf(0.5 + LEVEL / 2, max(1, len(x) - 1))), len(x))


def stored(folder: Path = STORED) -> dict[str, dict[str, Any]]:
    """Return the experiments that have enough seeds, in order."""
    found = {name: machine.read(name, folder) for name in EXPERIMENTS}
    return {name: value for name, value in found.items() if value and len(by_seed(value)) >= FEWEST}


def by_seed(experiment: dict[str, Any]) -> dict[int, dict[str, dict[str, Any]]]:
    """Return the runs by seed and variant, of the seeds that all variants have."""
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for run in experiment["runs"]:
        found.setdefault(run["seed"], {})[run["variant"]] = run
    full = {run["variant"] for run in experiment["runs"]}
    return {seed: runs for seed, runs in sorted(found.items()) if set(runs) == full}


def values(experiment: dict[str, Any], variant: str, key: str = "accuracy") -> Vector:
    """Return a figure of a variant by seed, ``[seeds]`` or ``[seeds, layers]``; accuracies in per cent."""
    found = np.array([runs[variant][key] for runs in by_seed(experiment).values()], float)
    return 100.0 * found if key == "accuracy" else found


def variants(experiment: dict[str, Any]) -> list[str]:
    """Return the variants that an experiment has, in order."""
    there = {run["variant"] for run in experiment["runs"]}
    return [v for v in VARIANTS if v in there]


def effect(experiment: dict[str, Any], name: str) -> Estimate | None:
    """Return a difference in accuracy, paired by seed, in points; None if its variants were not trained."""
    shares = EFFECTS[name]
    if not set(shares) <= set(variants(experiment)):
        return None
    return estimate(sum(share * values(experiment, variant) for variant, share in shares.items()))


def steepness(folder: Path = STORED) -> list[tuple[float, Vector]]:
    """Return accuracies in per cent over the steepness k of MPR, of digits in 6 layers with soft reset.

    k = 0 is the rectangle. The seeds are those that every k has.
    """
    runs = [r for name in ("digits-6", "digits-6-k") for r in machine.read(name, folder).get("runs", ())]
    found: dict[float, dict[int, float]] = {}
    for run in runs:
        reset, surrogate = run["variant"].split("+")
        if reset == "soft":
            k = {"rectangle": 0.0, "mpr": 3.0}.get(surrogate)
            found.setdefault(float(surrogate.split()[1]) if k is None else k, {})[run["seed"]] = run["accuracy"]
    seeds = sorted(set.intersection(*map(set, found.values())))
    return [(k, 100.0 * np.array([by[seed] for seed in seeds])) for k, by in sorted(found.items())]
