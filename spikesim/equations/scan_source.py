"""Printed scans over time: a neuron's step and its exact backward step as two loops that numba compiles.

The arrays are ``[steps, width]`` with the neurons of all samples side by side, so that the inner loop runs over
contiguous memory and vectorises (:mod:`spikesim.equations.scoped` says why it would not by itself). Columns are
independent: threads may each take a range of them, and a range is worked off in blocks that stay in the cache.

Nothing is kept for the backward scan but the inputs and the first states: it runs each block forward again, which
costs less than writing the states of all steps to memory and reading them back.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spikesim.equations import elementary, scoped
from spikesim.equations.derivative import vector_jacobian
from spikesim.equations.expression import Expressions
from spikesim.equations.source import import_source, print_lines
from spikesim.equations.surrogates import surrogate
from spikesim.neuron import NeuronModel

HEADER = '''"""Printed by spikesim: {kind} of the neuron {name} in {dtype}. Do not edit; a change has no effect."""

import numpy as np
from numba import njit

from spikesim.equations.elementary_numba import exp, log, tanh
from spikesim.equations.scoped import load, store

FLOAT = np.{dtype}
ZERO, ONE = FLOAT(0.0), FLOAT(1.0)
'''


BLOCK = 2048  # columns that go through all steps before the next ones: their states stay in the first-level cache
ROOM = 1 << 16  # states of one block over all steps that the backward scan holds: they stay in the second-level cache
LINE = 64  # columns of which a block is a multiple


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
    steady
        Ports whose input is the same at every step: their arrays have one row.
    """

    model: NeuronModel
    dtype: str
    ports: tuple[str, ...]
    arrays: tuple[str, ...]
    steady: tuple[str, ...] = ()

    @property
    def constants(self) -> list[str]:
        """Step constants that the step reads, in the order of the scans' arguments."""
        return self.model.used_constants()


def backward_step(model: NeuronModel, ports: tuple[str, ...], learn: tuple[str, ...], with_: Surrogate) -> Expressions:
    """Derive the backward step for the states, some ports and some step constants of a model."""
    wrt = [("state", n) for n in model.states] + [("input", n) for n in ports] + [("param", n) for n in learn]
    return vector_jacobian(model.dynamics, wrt, with_.function(), detach_reset=with_.detach_reset)


def forward_source(layout: Layout, kept: tuple[str, ...]) -> str:
    """Print the forward scan.

    The function ``scan(first, last, begin, end, spikes, in_<port>..., c_<state>..., x_<state>... (kept ones),
    p_<constant>...)`` works on the columns ``first .. last - 1`` and the steps ``begin .. end - 1``. It changes the
    states ``c_<state>`` ``[width]`` and fills ``spikes`` ``[steps, width]`` and rows ``begin + 1 .. end`` of the
    kept states ``[steps + 1, width]``.
    """
    states, ports = list(layout.model.states), layout.ports
    lines, results, numbers = print_lines(layout.model.dynamics, _leaf(layout))
    arguments = ["spikes", *(f"in_{n}" for n in ports), *(f"c_{n}" for n in states), *(f"x_{n}" for n in kept)]
    scopes = Scopes([*(f"I_{n}" for n in ports), *(f"C_{n}" for n in states), *_vectors(layout)])
    inner = [*_loads(layout, scopes, "C"), *lines, scopes.store("S", results["spike"])]
    inner += [scopes.store(f"C_{n}", results[n]) for n in states]
    inner += [scopes.store(f"Y_{n}", results[n]) for n in kept]
    rows = ["S = spikes[t, low:high]", *_input_rows(layout), *(f"Y_{n} = x_{n}[t + 1, low:high]" for n in kept)]
    body = [f"for low in range(first, last, {BLOCK}):", f"    high = min(low + {BLOCK}, last)"]
    body += _indent([*_columns(layout), *(f"C_{n} = c_{n}[low:high]" for n in states)], 1)
    body += ["    for t in range(begin, end):", *_indent(rows, 2)]
    body += ["        for j in range(high - low):", *_indent(inner, 3)]
    return _module("forward scan", layout, arguments, body, numbers, scopes)


def backward_source(layout: Layout, learn: tuple[str, ...], traced: tuple[str, ...], with_: Surrogate) -> str:
    """Print the backward scan.

    The function ``scan(first, last, begin, end, d_spikes, in_<port>..., z_<state>..., d_x_<state>... (traced ones),
    c_<state>..., d_in_<port>..., d_p_<constant>... (learnable ones), p_<constant>...)`` walks the steps
    ``end - 1 .. begin`` backwards; row ``begin`` of ``z_<state>`` ``[1 or more, width]`` is the state before it.
    ``c_<state>`` ``[width]`` holds the gradient of the last state at first and that of the first state in the end;
    ``d_in_<port>`` ``[steps, width]`` is filled (added to, for a steady port); ``d_p_<constant>`` ``[width]`` is
    added to.
    """
    states, ports = list(layout.model.states), layout.ports
    arguments = ["d_spikes", *(f"in_{n}" for n in ports), *(f"z_{n}" for n in states), *(f"d_x_{n}" for n in traced)]
    arguments += [f"c_{n}" for n in states] + [f"d_in_{n}" for n in ports] + [f"d_p_{n}" for n in learn]
    before = [*_columns(layout), *(f"C_{n} = c_{n}[low:high]" for n in states)]
    before += [f"A_{n} = d_p_{n}[low:high]" for n in learn]
    scopes = Scopes([f"I_{n}" for n in ports] + _vectors(layout))
    again, numbers = _again(layout, scopes)
    back, more = _back(layout, learn, traced, with_, scopes)
    steps = f"(end - begin if end - begin > 1 else 1) * {max(len(states), 1)}"
    body = [f"block = min(max({ROOM} // ({steps}) // {LINE} * {LINE}, {LINE}), max(last - first, 1))"]
    body += [f"h_{n} = np.empty((end - begin, block), FLOAT)" for n in states]
    body += ["for low in range(first, last, block):", "    high = min(low + block, last)", *_indent(before, 1)]
    body += _indent([*again, *back], 1)
    return _module("backward scan", layout, arguments, body, numbers | more, scopes)


def _again(layout: Layout, scopes: Scopes) -> tuple[list[str], dict[str, float]]:
    """Print how a block runs forward again: row k of ``h_<state>`` gets the state before step ``begin + k``."""
    states = list(layout.model.states)
    if not states:
        return [], {}
    lines, results, numbers = print_lines(layout.model.dynamics, _leaf(layout), prefix="f")
    rows = [f"X_{n}, Y_{n} = h_{n}[t - begin, : high - low], h_{n}[t - begin + 1, : high - low]" for n in states]
    inner = [*_loads(layout, scopes, "X"), *lines, *(scopes.store(f"Y_{n}", results[n]) for n in states)]
    text = [f"h_{n}[0, : high - low] = z_{n}[begin, low:high]" for n in states]
    text += ["for t in range(begin, end - 1):", *_indent([*_input_rows(layout), *rows], 1)]
    return [*text, "    for j in range(high - low):", *_indent(inner, 2)], numbers


def _back(
    layout: Layout, learn: tuple[str, ...], traced: tuple[str, ...], with_: Surrogate, scopes: Scopes
) -> tuple[list[str], dict[str, float]]:
    """Print the walk backwards over a block."""
    states, ports = list(layout.model.states), layout.ports
    lines, results, numbers = print_lines(backward_step(layout.model, ports, learn, with_), _leaf(layout), prefix="b")
    rows = ["S = d_spikes[t, low:high]", *_input_rows(layout)]
    rows += [f"D_{n} = d_in_{n}[{'0' if n in layout.steady else 't'}, low:high]" for n in ports]
    rows += [f"X_{n} = h_{n}[t - begin, : high - low]" for n in states]
    rows += [f"G_{n} = d_x_{n}[t + 1, low:high]" for n in traced]
    inner = [*_loads(layout, scopes, "X"), f"g = {scopes.load('S')}"]
    for n in states:
        inner += [f"g_{n} = {scopes.load(f'C_{n}')}" + (f" + {scopes.load(f'G_{n}')}" if n in traced else "")]
    inner += lines
    for n in ports:
        old = f"{scopes.load(f'D_{n}')} + " if n in layout.steady else ""
        inner += [scopes.store(f"D_{n}", f"{old}{results[f'd_input_{n}']}")]
    inner += [scopes.store(f"C_{n}", results[f"d_state_{n}"]) for n in states]
    inner += [scopes.store(f"A_{n}", f"{scopes.load(f'A_{n}')} + {results[f'd_param_{n}']}") for n in learn]
    text = ["for t in range(end - 1, begin - 1, -1):", *_indent(rows, 1)]
    return [*text, "    for j in range(high - low):", *_indent(inner, 2)], numbers


def load(text: str, kind: str) -> Callable[..., None]:
    """Import a printed scan; its compiled code is kept on disk."""
    # numba's cache looks at the printed file only, so what it calls must be part of the file's name
    called = inspect.getsource(elementary) + inspect.getsource(scoped)
    function: Callable[..., None] = import_source(text, kind, depends=called).scan
    return function


def _leaf(layout: Layout) -> Callable[[str, str], str]:
    def leaf(kind: str, name: str) -> str:
        if kind == "cotangent":
            return "g" if name == "spike" else f"g_{name}"
        if kind == "param":
            return f"e_{name}" if name in layout.arrays else f"p_{name}"
        return f"v_{name}" if kind == "state" else f"i_{name}" if name in layout.ports else "ZERO"

    return leaf


class Scopes:
    """Numbers the arrays of a scan, and prints how an element ``j`` of one is read and written.

    How many there are is known in the end only, so the total is printed as a name.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = list(names)

    def _number(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def load(self, name: str) -> str:
        """Return the expression that reads."""
        return f"load({name}, j, {self._number(name)}, SCOPES)"

    def store(self, name: str, value: str) -> str:
        """Return the statement that writes."""
        return f"store({name}, j, {value}, {self._number(name)}, SCOPES)"


def _loads(layout: Layout, scopes: Scopes, held: str) -> list[str]:
    """Read everything of one column once, before anything is written; ``held``: letter of the states' arrays."""
    lines = [f"v_{n} = {scopes.load(f'{held}_{n}')}" for n in layout.model.states]
    lines += [f"i_{n} = {scopes.load(f'I_{n}')}" for n in layout.ports]
    return lines + [f"e_{n} = {scopes.load(f'P_{n}')}" for n in layout.constants if n in layout.arrays]


def _vectors(layout: Layout) -> list[str]:
    return [f"P_{n}" for n in layout.constants if n in layout.arrays]


def _columns(layout: Layout) -> list[str]:
    return [f"P_{n} = p_{n}[low:high]" for n in layout.constants if n in layout.arrays]


def _input_rows(layout: Layout) -> list[str]:
    return [f"I_{n} = in_{n}[{'0' if n in layout.steady else 't'}, low:high]" for n in layout.ports]


def _indent(lines: list[str], levels: int) -> list[str]:
    return ["    " * levels + line for line in lines]


def _module(
    kind: str, layout: Layout, arguments: list[str], body: list[str], numbers: dict[str, float], scopes: Scopes
) -> str:
    """Put a scan together. Rows are sliced before the inner loop: plain indices are what LLVM vectorises."""
    text = [HEADER.format(kind=kind, name=re.sub(r"\W", "_", layout.model.name), dtype=layout.dtype)]
    text += [f"{name} = FLOAT({_number(value)})" for name, value in numbers.items()]
    constants = [f"p_{n}" for n in layout.constants]
    signature = ", ".join(["first", "last", "begin", "end", *arguments, *constants])
    text += [f"SCOPES = {len(scopes.names)}", "", ""]
    text += ['@njit(cache=True, nogil=True, error_model="numpy")', f"def scan({signature}):", *_indent(body, 1)]
    return "\n".join(text) + "\n"


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value}")'
