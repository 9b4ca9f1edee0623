"""Integrals that exact integration of a leaky membrane needs, safe where time constants coincide.

All are used in step constants only: they are evaluated once, before a run.
"""

from __future__ import annotations

import math
from typing import Any

from spikesim.equations.primitives import absolute, exp, floor, tanh, where

_TERMS = 13  # of the series of ramp; the next one is below 1e-18 where it is used


def growth(z: Any) -> Any:
    """``(e^z - 1) / z``, the mean of ``e^(z x)`` for x from 0 to 1.

    >>> float(growth(0.0)), float(growth(-1e-9))
    (1.0, 0.9999999995)
    """
    nonzero = absolute(z) > 0.0
    safe = where(nonzero, z, 1.0)  # never divides by 0, so that no NaN gets into a gradient
    # tanh(z/2) (e^z + 1) is e^z - 1 without cancellation
    return where(nonzero, tanh(z * 0.5) * (exp(z) + 1.0) / safe, 1.0)


def ramp(z: Any) -> Any:
    """``(e^z (z - 1) + 1) / z^2``, the integral of ``x e^(z x)`` for x from 0 to 1.

    >>> float(ramp(0.0))
    0.5
    """
    near = absolute(z) < 0.25
    safe = where(near, 1.0, z)
    series: Any = 0.0
    for n in reversed(range(_TERMS)):
        series = series * z + 1.0 / (math.factorial(n) * (n + 2))
    return where(near, series, (exp(z) * (z - 1.0) + 1.0) / (safe * safe))


def jump_to_membrane(dt: Any, tau_m: Any, tau_s: Any) -> Any:
    """How far a unit current that decays with ``tau_s`` moves ``tau_m dv/dt = -v + current`` within a step.

    Equals ``tau_s / (tau_s - tau_m) (e^(-dt/tau_s) - e^(-dt/tau_m))``, also for equal time constants.
    """
    return dt / tau_m * exp(-dt / tau_m) * growth(dt / tau_m - dt / tau_s)


def steps(time: Any, dt: Any) -> Any:
    """Return the whole number of steps nearest to a time."""
    return floor(time / dt + 0.5)
