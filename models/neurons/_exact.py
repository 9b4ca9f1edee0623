"""Integrals that exact integration of a leaky membrane needs, safe where time constants coincide.

All are used in step constants only: they are evaluated once, before a run.
"""

from __future__ import annotations

import math
from typing import Any

from spikesim.equations.primitives import absolute, exp, floor, where

_TERMS = 18  # the next term of each series is below 1e-17 on |z| < 1


def _series(z: Any, coefficients: list[float]) -> Any:
    result: Any = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        result = result * z + c
    return result


def growth(z: Any) -> Any:
    """``(e^z - 1) / z``, the mean of ``e^(z x)`` for x from 0 to 1.

    >>> float(growth(0.0)), float(growth(-1e-9))
    (1.0, 0.9999999995)
    """
    near = absolute(z) < 1.0
    safe = where(near, 1.0, z)  # never divides by 0, so that no NaN gets into a gradient
    return where(near, _series(z, [1.0 / math.factorial(n + 1) for n in range(_TERMS)]), (exp(z) - 1.0) / safe)


def ramp(z: Any) -> Any:
    """``(e^z (z - 1) + 1) / z^2``, the integral of ``x e^(z x)`` for x from 0 to 1.

    >>> float(ramp(0.0))
    0.5
    """
    near = absolute(z) < 1.0
    safe = where(near, 1.0, z)
    series = _series(z, [1.0 / (math.factorial(n) * (n + 2)) for n in range(_TERMS)])
    return where(near, series, (exp(z) * (z - 1.0) + 1.0) / (safe * safe))


def jump_to_membrane(dt: Any, tau_m: Any, tau_s: Any) -> Any:
    """How far a unit current that decays with ``tau_s`` moves ``tau_m dv/dt = -v + current`` within a step.

    Equals ``tau_s / (tau_s - tau_m) (e^(-dt/tau_s) - e^(-dt/tau_m))``, also for equal time constants.
    """
    return dt / tau_m * exp(-dt / tau_m) * growth(dt / tau_m - dt / tau_s)


def steps(time: Any, dt: Any) -> Any:
    """Return the whole number of steps nearest to a time."""
    return floor(time / dt + 0.5)
