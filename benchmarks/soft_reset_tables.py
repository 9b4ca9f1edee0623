"""The two tables of the argument for soft reset and MPR: what rate coding loses, and what a spike leaves out.

Nothing is random and nothing is trained: both follow from the equations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, uniform

from spikesim.equations.response import respond
from spikesim.equations.surrogates import phi
from spikesim.models.neurons import integrate_and_fire, lif_soft
from spikesim.neuron import Neuron

STEPS = 8
INPUTS = np.linspace(-0.5, 1.5, 4001)
CODERS: dict[str, Neuron] = {
    "hard reset, th = 1": integrate_and_fire(),
    "soft reset, th = q = 1": integrate_and_fire(reset="subtract"),
    "soft reset, th = 1/2, q = 1": lif_soft("code"),
}
POTENTIALS: dict[str, Any] = {
    "N(0, 0.5)": norm(0.0, 0.5),
    "N(0.25, 0.5)": norm(0.25, 0.5),
    "N(0.5, 0.5)": norm(0.5, 0.5),
    "N(0, 1)": norm(0.0, 1.0),
    "N(0.5, 1)": norm(0.5, 1.0),
    "U(0, 1)": uniform(0.0, 1.0),
}


def rates(neuron: Neuron) -> NDArray[np.float64]:
    """Return the share of steps in which a neuron fires for each of ``INPUTS``, held for ``STEPS`` steps."""
    return np.asarray(respond(neuron, np.tile(INPUTS, (STEPS, 1)))["spike"].mean(axis=0))


def rate_table() -> list[dict[str, Any]]:
    """Return distinct output rates, and mean and largest error where the input can be represented, ``[0, 1]``."""
    inside = (INPUTS >= 0.0) & (INPUTS <= 1.0)
    rows = []
    for name, neuron in CODERS.items():
        rate = rates(neuron)
        error = np.abs(rate - INPUTS)[inside]
        row = {"neuron": name, "rates": len(np.unique(rate)), "mean": float(error.mean()), "max": float(error.max())}
        rows.append(row)
    return rows


def quantisation_table() -> list[dict[str, Any]]:
    """Return ``E[(u - o)^2]`` and ``E[(phi(u) - o)^2]``, ``o = 1[u > 1/2]``, for distributions of the membrane."""
    return [
        {"membrane": name, "raw": _expected(lambda u: u, known), "mpr": _expected(phi, known)}
        for name, known in POTENTIALS.items()
    ]


def _expected(shown: Any, distribution: Any, points: int = 400_001) -> float:
    """Return the expected squared distance to the spike, by the trapezoidal rule on both sides of the threshold."""
    low, high = distribution.ppf([1e-15, 1.0 - 1e-15])
    total = 0.0
    for begin, end, spike in ((low, 0.5, 0.0), (0.5, high, 1.0)):
        u = np.linspace(begin, end, points)
        total += float(np.trapezoid((shown(u) - spike) ** 2 * distribution.pdf(u), u))
    return total
