"""Print a neuron model as a numba loop over neurons: the forward step of one population slice."""

from __future__ import annotations

from collections.abc import Collection

from spikesim.equations.source import print_lines
from spikesim.neuron import NeuronModel

TAIL = "ring, slots, ext, base, has_ext, flags, offset"
REST = f"scalars, vectors, {TAIL}"
HEADER = '''"""Printed by spikesim: {title}. Do not edit; it is made again from the model's equations."""

import numpy as np
from numba import njit
from spikesim.equations.elementary_numba import exp, log, tanh
{imports}
F = np.{dtype}
ZERO = F(0.0)
ONE = F(1.0)
'''


def print_advance(model: NeuronModel, arrays: Collection[str], number: int) -> str:
    """Print the function that advances some neurons of a model by one step.

    Parameters
    ----------
    model
        The equations.
    arrays
        Names in ``p`` that have one value per neuron; the others are one number for all.
    number
        Distinguishes the functions of one module.

    Returns
    -------
    str
        Source of ``advance_<number>(...)``: it reads the inputs of this step from ``ring`` and clears them, adds the
        drives in ``ext[base:]``, updates ``state``, writes one flag per neuron and returns how many had input or fired.
    """
    used = model.used_constants()
    scalars = [n for n in used if n not in arrays]
    vectors = [n for n in used if n in arrays]
    states = list(model.states)

    def leaf(kind: str, name: str) -> str:
        if kind == "state":
            return f"s_{name}"
        if kind == "input":
            return f"i_{name}"
        return f"p_{name}[j]" if name in arrays else f"p_{name}"

    lines, results, constants = print_lines(model.dynamics, leaf, prefix=f"t{number}_")
    out = [f"{name} = F({value!r})" for name, value in constants.items()]
    out += ["", "", "@njit(error_model='numpy', nogil=True)"]
    out += [f"def advance_{number}(b, lo, hi, state, {REST}):"]
    body = [f"p_{name} = scalars[{k}]" for k, name in enumerate(scalars)]
    # slices, so that every index is j from 0 on: an index that might be negative keeps a loop from being vectorised
    body += ["n = hi - lo"]
    body += [f"p_{name} = vectors[{k}, lo:hi]" for k, name in enumerate(vectors)]
    body += [f"x_{name} = state[b, {k}, lo:hi]" for k, name in enumerate(states)]
    body += [f"r_{name} = ring[slots[{k}] : slots[{k}] + n]" for k, name in enumerate(model.inputs)]
    body += ["fired = flags[offset + lo : offset + hi]", "active = 0"]
    # two loops instead of a choice inside one: with the choice LLVM was measured not to vectorise large bodies
    body += ["if has_ext:"]
    body += [f"    e_{name} = ext[base + {k} * n : base + {k} * n + n]" for k, name in enumerate(model.inputs)]
    body += ["    " + line for line in _neuron_loop(model, lines, results, driven=True)]
    body += ["else:", *("    " + line for line in _neuron_loop(model, lines, results, driven=False))]
    return "\n".join([*out, *("    " + line for line in body), "    return active", ""])


def _neuron_loop(model: NeuronModel, lines: list[str], results: dict[str, str], *, driven: bool) -> list[str]:
    """Return the loop over neurons, with or without drives."""
    loop = [f"s_{name} = x_{name}[j]" for name in model.states]
    for name in model.inputs:
        loop += [f"g_{name} = r_{name}[j]", f"r_{name}[j] = 0.0"]
        loop += [f"i_{name} = F(g_{name} + e_{name}[j])" if driven else f"i_{name} = F(g_{name})"]
    loop += lines
    loop += [f"x_{name}[j] = {results[name]}" for name in model.states]
    fired = f"{results['spike']} > ZERO"
    loop += [f"fired[j] = {fired}"]
    had_input = [f"g_{name} != 0.0" for name in model.inputs]
    loop += [f"active += 1 if ({' or '.join([*had_input, fired])}) else 0"]
    return ["for j in range(n):", *("    " + line for line in loop)]


def print_loop(models: list[tuple[NeuronModel, frozenset[str]]], dtype: str, imports: str) -> str:
    """Print a whole module: one ``advance`` per model and the choice among them."""
    parts = [HEADER.format(title=", ".join(m.name for m, _ in models), dtype=dtype, imports=imports)]
    parts += [print_advance(model, arrays, k) for k, (model, arrays) in enumerate(models)]
    parts.append("\n@njit(error_model='numpy', nogil=True)")
    parts.append(f"def advance(m, b, lo, hi, states, {REST}):")
    for k in range(len(models)):
        head = "    if" if k == 0 else "    elif"
        parts.append(f"{head} m == {k}:")
        parts.append(
            f"        return advance_{k}(b, lo, hi, states[{k}], scalars[{k}], vectors[{k}], ring, slots, ext, "
            "base, has_ext, flags, offset)"
        )
    parts.append("    return 0\n")
    return "\n".join(parts)
