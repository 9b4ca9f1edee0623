"""``exp``, ``log``, ``tanh`` and ``sigmoid`` for numba kernels: the bits of :mod:`spikesim.equations.elementary`.

A kernel calls them like functions of the standard library::

    from spikesim.equations.elementary_numba import exp

A float32 argument is computed in float32, anything else in float64. They are free of branches, so a loop over an array
vectorises; they must not be compiled with ``fastmath``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload, register_jitable

from spikesim.equations import elementary
from spikesim.equations.elementary import exp, log, sigmoid, tanh

__all__ = ["exp", "log", "sigmoid", "tanh"]


@register_jitable  # type: ignore[untyped-decorator]
def _select(condition: Any, yes: Any, no: Any) -> Any:
    return yes if condition else no


@register_jitable  # type: ignore[untyped-decorator]
def _to_bits64(x: Any) -> Any:
    return np.float64(x).view(np.int64)  # numba wants to see the type


@register_jitable  # type: ignore[untyped-decorator]
def _from_bits64(i: Any) -> Any:
    return np.int64(i).view(np.float64)


@register_jitable  # type: ignore[untyped-decorator]
def _to_bits32(x: Any) -> Any:
    return np.float32(x).view(np.int32)


@register_jitable  # type: ignore[untyped-decorator]
def _from_bits32(i: Any) -> Any:
    return np.int32(i).view(np.float32)  # numba widens 32-bit integer arithmetic


# error_model="numpy": a division must not become a branch that raises
_compile = njit(error_model="numpy")
_DOUBLE = elementary.bind(
    64, {"select": _select, "to_bits": _to_bits64, "from_bits": _from_bits64}, np.float64, _compile
)
_SINGLE = elementary.bind(
    32, {"select": _select, "to_bits": _to_bits32, "from_bits": _from_bits32}, np.float32, _compile
)


def _overload(function: Any, name: str) -> None:
    double, single = _DOUBLE[name], _SINGLE[name]

    def in_single(x: Any) -> Any:
        return single(x)

    def in_double(x: Any) -> Any:
        return double(np.float64(x))

    @overload(function)  # type: ignore[untyped-decorator]
    def _choose(x: Any) -> Any:
        if x == types.float32:
            return in_single
        return in_double if isinstance(x, (types.Float, types.Integer, types.Boolean)) else None


for _name, _function in {"exp": exp, "log": log, "tanh": tanh, "sigmoid": sigmoid}.items():
    _overload(_function, _name)
