"""Printed scans over time: a neuron's step and its exact backward step as two loops that numba compiles.

The arrays are ``[steps, width]`` with the neurons of all samples side by side, so that the inner loop runs over
contiguous memory and vectorises. The forward scan keeps the states before every step; the backward scan computes the
rest of the step again from them. Columns are independent: threads may each take a range of them.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spikesim.equations import elementary
from spikesim.equations.derivative import vector_jacobian
from spikesim.equations.expression import Expressions
from spikesim.equations.source import import_source, print_lines
from spikesim.equations.surrogates import surrogate
from spikesim.neuron import NeuronModel

HEADER = '''"""Printed by spikesim: {kind} of the neuron {name} in {dtype}. Do not edit; a change has no effect."""

import numpy as np
from numba import njit

from spikesim.equations.elementary_numba import exp, log, tanh

FLOAT = np.{dtype}
ZERO, ONE = FLOAT(0.0), FLOAT(1.0)
'''


@dataclass(frozen=True)
class Surrogate:
    """A surrogate by name, with its settings; hashable, so that kernels can be kept by it.

    Parameters
    ----------
    name
        A name in :data:`spikesim.equations.surrogates.SURROGATES`.
    settings
        Keyword settings as sorted pairs.
    detach_reset
        See :func:`spikesim.equations.derivative.vector_jacobian`.
    """

    name: str = "arctan"
    settings: tuple[tuple[str, float], ...] = ()
    detach_reset: bool = False

    def function(self) -> Callable[[Any], Any]:
        """Return the surrogate derivative as a function."""
        return surrogate(self.name, **dict(self.settings))


@dataclass(frozen=True)
class Layout:
    """What the printed scans of a model are specialised for.

    Parameters
    ----------
    model
        The neuron.
    dtype
        ``"float32"`` or ``"float64"``.
    ports
        Input ports that receive something; the others hold 0.
    arrays
        Step constants with one value per column; the others are single numbers.
    """

    model: NeuronModel
    dtype: str
    ports: tuple[str, ...]
    arrays: tuple[str, ...]

    @property
    def constants(self) -> list[str]:
        """Step constants that the step reads, in the order of the scans' arguments."""
        return self.model.used_constants()


def backward_step(model: NeuronModel, ports: tuple[str, ...], learn: tuple[str, ...], with_: Surrogate) -> Expressions:
    """Derive the backward step for the states, some ports and some step constants of a model."""
    wrt = [("state", n) for n in model.states] + [("input", n) for n in ports] + [("param", n) for n in learn]
    return vector_jacobian(model.dynamics, wrt, with_.function(), detach_reset=with_.detach_reset)


def forward_source(layout: Layout) -> str:
    """Print the forward scan.

    The function ``scan(first, last, spikes, in_<port>..., x_<state>..., p_<constant>...)`` fills ``spikes``
    ``[steps, width]`` and rows 1 and on of each state ``[steps + 1, width]``, in the columns ``first .. last - 1``.
    """
    states, ports = list(layout.model.states), layout.ports
    lines, results, numbers = print_lines(layout.model.dynamics, _leaf(layout))
    arguments = ["first", "last", "spikes", *(f"in_{n}" for n in ports), *(f"x_{n}" for n in states)]
    arguments += [f"p_{n}" for n in layout.constants]
    rows = ["S = spikes[t, first:last]"]
    rows += [f"I_{n} = in_{n}[t, first:last]" for n in ports]
    rows += [f"X_{n}, Y_{n} = x_{n}[t, first:last], x_{n}[t + 1, first:last]" for n in states]
    body = [*_loads(layout), *lines, f"S[j] = {results['spike']}", *(f"Y_{n}[j] = {results[n]}" for n in states)]
    return _module("forward scan", layout, arguments, _columns(layout), "range(spikes.shape[0])", rows, body, numbers)


def backward_source(layout: Layout, learn: tuple[str, ...], traced: tuple[str, ...], with_: Surrogate) -> str:
    """Print the backward scan.

    The function ``scan(first, last, d_spikes, in_<port>..., x_<state>..., d_x_<state>... (traced ones),
    c_<state>..., d_in_<port>..., d_p_<constant>... (learnable ones), p_<constant>...)`` walks time backwards.
    ``c_<state>`` ``[width]`` holds the gradient of the last state at first and that of the initial state in the end;
    ``d_in_<port>`` ``[steps, width]`` is filled; ``d_p_<constant>`` ``[width]`` is added to.
    """
    states, ports = list(layout.model.states), layout.ports
    derived = backward_step(layout.model, ports, learn, with_)
    lines, results, numbers = print_lines(derived, _leaf(layout))
    arguments = ["first", "last", "d_spikes", *(f"in_{n}" for n in ports), *(f"x_{n}" for n in states)]
    arguments += [f"d_x_{n}" for n in traced] + [f"c_{n}" for n in states] + [f"d_in_{n}" for n in ports]
    arguments += [f"d_p_{n}" for n in learn] + [f"p_{n}" for n in layout.constants]
    before = [*_columns(layout), *(f"C_{n} = c_{n}[first:last]" for n in states)]
    before += [f"A_{n} = d_p_{n}[first:last]" for n in learn]
    rows = ["S = d_spikes[t, first:last]"]
    rows += [f"I_{n}, D_{n} = in_{n}[t, first:last], d_in_{n}[t, first:last]" for n in ports]
    rows += [f"X_{n} = x_{n}[t, first:last]" for n in states]
    rows += [f"G_{n} = d_x_{n}[t + 1, first:last]" for n in traced]
    body = [*_loads(layout), "g = S[j]"]
    body += [f"g_{n} = C_{n}[j] + G_{n}[j]" if n in traced else f"g_{n} = C_{n}[j]" for n in states]
    body += [*lines, *(f"D_{n}[j] = {results[f'd_input_{n}']}" for n in ports)]
    body += [f"C_{n}[j] = {results[f'd_state_{n}']}" for n in states]
    body += [f"A_{n}[j] += {results[f'd_param_{n}']}" for n in learn]
    time = "range(d_spikes.shape[0] - 1, -1, -1)"
    return _module("backward scan", layout, arguments, before, time, rows, body, numbers)


def load(text: str, kind: str) -> Callable[..., None]:
    """Import a printed scan; its compiled code is kept on disk."""
    # numba's cache looks at the printed file only, so what it calls must be part of the file's name
    function: Callable[..., None] = import_source(text, kind, depends=inspect.getsource(elementary)).scan
    return function


def _leaf(layout: Layout) -> Callable[[str, str], str]:
    def leaf(kind: str, name: str) -> str:
        if kind == "cotangent":
            return "g" if name == "spike" else f"g_{name}"
        if kind == "param":
            return f"e_{name}" if name in layout.arrays else f"p_{name}"
        return f"v_{name}" if kind == "state" else f"i_{name}" if name in layout.ports else "ZERO"

    return leaf


def _loads(layout: Layout) -> list[str]:
    """Read everything of one column once, before anything is written."""
    lines = [f"v_{n} = X_{n}[j]" for n in layout.model.states] + [f"i_{n} = I_{n}[j]" for n in layout.ports]
    return lines + [f"e_{n} = P_{n}[j]" for n in layout.constants if n in layout.arrays]


def _columns(layout: Layout) -> list[str]:
    return [f"P_{n} = p_{n}[first:last]" for n in layout.constants if n in layout.arrays]


def _module(
    kind: str,
    layout: Layout,
    arguments: list[str],
    before: list[str],
    time: str,
    rows: list[str],
    body: list[str],
    numbers: dict[str, float],
) -> str:
    """Put a scan together. Rows are sliced before the inner loop: plain indices are what LLVM vectorises."""
    text = [HEADER.format(kind=kind, name=re.sub(r"\W", "_", layout.model.name), dtype=layout.dtype)]
    text += [f"{name} = FLOAT({_number(value)})" for name, value in numbers.items()]
    text += ["", "", '@njit(cache=True, nogil=True, error_model="numpy")', f"def scan({', '.join(arguments)}):"]
    text += [f"    {line}" for line in before]
    text += [f"    for t in {time}:", *(f"        {line}" for line in rows)]
    text += ["        for j in range(last - first):", *(f"            {line}" for line in body)]
    return "\n".join(text) + "\n"


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value}")'
