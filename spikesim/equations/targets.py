"""Arithmetic tables: what each operation of the grammar means in numpy, sympy and printed Python source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spikesim.equations import elementary

# numpy: the reference; also turns parameters into step constants before a run
NUMPY: dict[str, Callable[..., Any]] = {
    "const": np.float64,
    "neg": np.negative,
    "abs": np.abs,
    "floor": np.floor,
    "sqrt": np.sqrt,
    "exp": elementary.exp,
    "log": elementary.log,
    "tanh": elementary.tanh,
    "spike": lambda x: np.where(np.asarray(x) > 0, 1.0, 0.0)[()],
    "detach": lambda x: x,
    "not": np.logical_not,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    # written as the printed source does it, so that a NaN takes the same way everywhere
    "min": lambda a, b: np.where(np.less(a, b), a, b)[()],
    "max": lambda a, b: np.where(np.greater(a, b), a, b)[()],
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "where": lambda c, a, b: np.where(np.asarray(c) > 0, a, b)[()],
}

# Python source for one scalar; the names exp, log, tanh, ... are imported by the printed module
SOURCE: dict[str, str] = {
    "neg": "-{0}",
    "abs": "abs({0})",
    "floor": "np.floor({0})",
    "sqrt": "np.sqrt({0})",
    "exp": "exp({0})",
    "log": "log({0})",
    "tanh": "tanh({0})",
    "spike": "(ONE if {0} > ZERO else ZERO)",
    "detach": "{0}",
    "not": "(not {0})",
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "min": "({0} if {0} < {1} else {1})",
    "max": "({0} if {0} > {1} else {1})",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "eq": "{0} == {1}",
    "and": "({0} and {1})",
    "or": "({0} or {1})",
    "where": "({1} if {0} else {2})",
}


def sympy_ops() -> dict[str, Callable[..., Any]]:
    """Return the table for sympy (imported here: it takes half a second)."""
    import sympy as sp

    spike = sp.Function("S")
    return {
        "const": lambda x: sp.Integer(int(x)) if float(x).is_integer() else sp.Float(x),
        "neg": lambda a: -a,
        "abs": sp.Abs,
        "floor": sp.floor,
        "sqrt": sp.sqrt,
        "exp": sp.exp,
        "log": sp.log,
        "tanh": sp.tanh,
        "spike": spike,
        "detach": lambda a: a,
        "not": sp.Not,
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "min": sp.Min,
        "max": sp.Max,
        "gt": sp.Gt,
        "ge": sp.Ge,
        "lt": sp.Lt,
        "le": sp.Le,
        "eq": sp.Eq,
        "and": sp.And,
        "or": sp.Or,
        # a spike as condition selects like a number in {0, 1}
        "where": lambda c, a, b: sp.Piecewise((a, c), (b, True)) if _is_condition(c) else c * a + (1 - c) * b,
    }


def _is_condition(c: Any) -> bool:
    """Tell a sympy comparison from a number (a sympy symbol is both to sympy)."""
    return bool(c.is_Boolean or c.is_Relational)
