"""The functions a ``step`` may use. Given symbols they write expressions; given numbers or arrays they compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikesim.equations.expression import Symbol


def _apply(op: str, *args: Any) -> Any:
    for arg in args:
        if isinstance(arg, Symbol):
            return Symbol(arg.tape, arg.tape.add(op, [arg.lift(a) for a in args]))
    from spikesim.equations.targets import NUMPY

    return NUMPY[op](*args)


def spike(x: Any) -> Any:
    """Fire where ``x > 0``: 1 there, 0 elsewhere. The only non-smooth primitive that gradients pass (by a surrogate).

    >>> spike(0.3), spike(0.0)
    (np.float64(1.0), np.float64(0.0))
    """
    return _apply("spike", x)


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return ``a`` where the condition holds, else ``b``.

    The condition is a comparison, or a spike; through a spike gradients flow as through ``s * a + (1 - s) * b``.
    """
    return _apply("where", condition, a, b)


def exp(x: Any) -> Any:
    """Exponential, the same bits on every backend (:mod:`spikesim.equations.elementary`)."""
    return _apply("exp", x)


def log(x: Any) -> Any:
    """Natural logarithm, the same bits on every backend."""
    return _apply("log", x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent, the same bits on every backend."""
    return _apply("tanh", x)


def sqrt(x: Any) -> Any:
    """Square root (correctly rounded by IEEE 754)."""
    return _apply("sqrt", x)


def floor(x: Any) -> Any:
    """Largest whole number not above ``x``; its gradient is zero."""
    return _apply("floor", x)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of two values."""
    return _apply("min", a, b)


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of two values."""
    return _apply("max", a, b)


def clip(x: Any, low: Any, high: Any) -> Any:
    """Limit ``x`` to ``[low, high]``."""
    return minimum(maximum(x, low), high)


def detach(x: Any) -> Any:
    """Return ``x`` itself, but let no gradient pass."""
    return _apply("detach", x)


def absolute(x: Any) -> Any:
    """Magnitude of ``x``."""
    return _apply("abs", x) if isinstance(x, Symbol) else np.abs(x)
