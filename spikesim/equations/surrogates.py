"""Surrogate derivatives of the spike, under the field's names. Each is a function of ``x = u - threshold``.

A surrogate replaces ``d spike(x) / dx`` in the backward pass only; the forward pass never changes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.equations.primitives import absolute, exp, maximum, tanh, where
from spikesim.errors import UnknownNameError

SurrogateFunction = Callable[..., Any]


def arctan(x: Any, alpha: float = 2.0) -> Any:
    """``(alpha / 2) / (1 + (pi alpha x / 2)^2)`` (snnTorch's default, Fang et al. 2021).

    >>> float(arctan(0.0))
    1.0
    """
    z = x * (math.pi * alpha / 2.0)
    return (alpha / 2.0) / (1.0 + z * z)


def fast_sigmoid(x: Any, slope: float = 25.0) -> Any:
    """``1 / (1 + slope |x|)^2`` (SuperSpike, Zenke and Ganguli 2018)."""
    z = 1.0 + slope * absolute(x)
    return 1.0 / (z * z)


def sigmoid(x: Any, slope: float = 25.0) -> Any:
    """``slope s (1 - s)`` with ``s = 1 / (1 + exp(-slope x))``, in a form that cannot overflow."""
    e = exp(-slope * absolute(x))
    return slope * e / ((1.0 + e) * (1.0 + e))


def triangle(x: Any, gamma: float = 1.0) -> Any:
    """``gamma max(0, 1 - |x|)`` (Esser et al. 2016, Bellec et al. 2018)."""
    return gamma * maximum(0.0, 1.0 - absolute(x))


def rectangle(x: Any, width: float = 1.0) -> Any:
    """``1 / width`` on ``|x| <= width / 2`` (straight-through clamp; Guo et al. 2022 without MPR)."""
    return where(absolute(x) <= width / 2.0, 1.0 / width, 0.0)


def gaussian(x: Any, sigma: float = 0.5) -> Any:
    """Return the normal density of standard deviation ``sigma``."""
    return exp(x * x * (-0.5 / sigma**2)) * (1.0 / (sigma * math.sqrt(2.0 * math.pi)))


def multi_gaussian(x: Any, sigma: float = 0.5, h: float = 0.15, s: float = 6.0) -> Any:
    """Sum of a positive and two negative normal densities (Yin, Corradi and Bohte 2021)."""
    centre = gaussian(x, sigma) * (1.0 + h)
    return centre - gaussian(x - sigma, s * sigma) * h - gaussian(x + sigma, s * sigma) * h


def mpr(x: Any, k: float = 3.0) -> Any:
    """Membrane Potential Rectifier: slope of its inner branch on ``|x| <= 1/2``, 0 elsewhere.

    ``phi(u) = 1/2 + tanh(k (u - 1/2)) / (2 tanh(k/2))`` with ``x = u - 1/2`` (Guo et al. 2022, ECCV). Because ``phi``
    keeps every value on its side of the threshold, rectifying never changes a spike: its whole effect on training is
    this surrogate in place of :func:`rectangle`, of equal area.

    >>> round(float(mpr(0.0)), 7)
    1.6571871
    """
    t = tanh(k * x)
    return where(absolute(x) <= 0.5, (1.0 - t * t) * (k / (2.0 * math.tanh(k / 2.0))), 0.0)


def phi(u: ArrayLike, k: float = 3.0) -> NDArray[np.float64]:
    """Rectify a membrane potential: push it towards 0 and 1 without moving it across 1/2 (Guo et al. 2022, ECCV).

    Three branches: ``1 - (1-u)^(1/3)`` below 0, ``1/2 + tanh(k (u - 1/2)) / (2 tanh(k/2))`` on [0, 1], ``u^(1/3)``
    above 1. It goes before the firing test while training; since spikes do not change, training only needs its slope
    (:func:`mpr`) and a run needs nothing. Use it to look at the quantisation error of a layer's membrane potentials.

    Parameters
    ----------
    u
        Membrane potential over the quantum; spikes are at 0 and 1, the threshold at 1/2.
    k
        Steepness of the middle branch; 3 in the paper.

    Examples
    --------
    >>> phi([-7.0, 0.0, 0.5, 1.0, 8.0]).tolist()
    [-1.0, 0.0, 0.5, 1.0, 2.0]
    """
    x = np.asarray(u, np.float64)
    inner = 0.5 + 0.5 * (np.tanh(k * (np.clip(x, 0.0, 1.0) - 0.5)) / np.tanh(0.5 * k))
    above = np.cbrt(np.maximum(x, 1.0))
    below = 1.0 - np.cbrt(1.0 - np.minimum(x, 0.0))
    return np.where(x < 0.0, below, np.where(x > 1.0, above, inner))


SURROGATES: dict[str, SurrogateFunction] = {
    f.__name__: f for f in (arctan, fast_sigmoid, sigmoid, triangle, rectangle, gaussian, multi_gaussian, mpr)
}


ALIASES = {"atan": "arctan", "triangular": "triangle", "rectangular": "rectangle", "boxcar": "rectangle"}


def surrogate(name: str, **settings: float) -> Callable[[Any], Any]:
    """Return a surrogate by name, with its settings bound.

    >>> float(surrogate("triangle", gamma=0.3)(0.0))
    0.3

    Raises
    ------
    UnknownNameError
        If there is no such surrogate, or it has no such setting.
    """
    name = ALIASES.get(name, name)
    if name not in SURROGATES:
        raise UnknownNameError("surrogate", name, list(SURROGATES))
    function = SURROGATES[name]
    known = list(inspect.signature(function).parameters)[1:]
    for setting in settings:
        if setting not in known:
            raise UnknownNameError(f"setting of surrogate {name!r}:", setting, known)
    return lambda x: function(x, **settings)
