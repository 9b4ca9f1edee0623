"""Print a neuron model as a numba loop over neurons: the forward step of a range of one population."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spikesim.equations.source import print_lines
from spikesim.neuron import NeuronModel

Writer = Callable[[str], str]
ARGUMENTS = "group, b, row, lo, n, counts, sums, drawn, ext, ports, factors, flags, dirty"
KINDS = ", ".join("int64" for _ in ARGUMENTS.split(","))
COMPILED = f"@cfunc('int64({KINDS})', cache=True, error_model='numpy', _nrt=False)"
HEADER = '''"""Printed by spikesim: {title}. Do not edit; it is made again from the model's equations."""

import numpy as np
from numba import cfunc
from spikesim.equations.elementary_numba import exp, log, tanh
from spikesim.equations.scoped import load, store
{imports}
F = np.{dtype}
ZERO = F(0.0)
ONE = F(1.0)
FIRED = np.uint8(1)
HAD_INPUT = np.uint8(2)
NOTHING = np.uint8(0)
'''


@dataclass(frozen=True)
class PortForm:
    """What arrives at a port of a neuron, in which form; part of what a kernel is compiled for.

    Parameters
    ----------
    channels
        Counters, one per projection with one weight and one delay.
    sums
        Whether there are projections that add weights.
    drive
        ``""``, ``"counts"`` (events of one Poisson drive) or ``"values"`` (the sum of the drives).
    split
        float32 only, counters and counted drives: each weight is split into multiples of 2^15 and of 1 units of the
        grid. The sums of either half need at most 24 bits (the layout has checked that), so they are exact in
        float32, and their sum is rounded once, as from float64.
    """

    channels: int = 0
    sums: bool = False
    drive: str = ""
    split: bool = False


@dataclass(frozen=True)
class KernelForm:
    """A neuron model, which of its constants vary within a population, and what arrives at its ports."""

    model: NeuronModel
    vectors: frozenset[str]
    ports: tuple[PortForm, ...]

    def names(self) -> tuple[list[str], list[str]]:
        """Return the names of the constants that are one number, and of those with one value per neuron."""
        used = self.model.used_constants()
        return [n for n in used if n not in self.vectors], [n for n in used if n in self.vectors]


def print_advance(form: KernelForm, dtype: str, imports: str) -> str:
    """Print the module with the function that advances neurons ``lo .. lo + n - 1`` of a model by one step.

    Parameters
    ----------
    form
        What to print.
    dtype
        ``"float64"`` or ``"float32"``, the precision of the state.
    imports
        Lines that import ``i64_at`` and its kin, which lay arrays over memory.

    Returns
    -------
    str
        Source of ``advance(group, b, row, lo, n, counts, sums, drawn, ext, ports, factors, flags, dirty)``: numbers,
        and addresses of arrays. ``group`` leads to addresses of states, constants that are one number, those that
        vary, and the length of a row of states. Columns of ``ports``: where its sums begin, its counters, its drive,
        and the distance between counters; of ``factors``: unit of the sums, weight of the drive, weights of the
        counters. Sums are cleared; ``flags`` gets 1 for a spike plus 2 if a port's synaptic input was not 0. Where
        only counters are expected, ``dirty`` says that some of them had to be moved to the sums.
    """
    model = form.model

    def leaf(kind: str, name: str) -> str:
        return {"state": "s_", "input": "i_"}.get(kind, "p_") + name

    lines, results, constants = print_lines(model.dynamics, leaf)
    out = [HEADER.format(title=model.name, dtype=dtype, imports=imports)]
    out += [f"{name} = F({value!r})" for name, value in constants.items()]
    body = _bind_arrays(form, dtype)
    for k, (name, port) in enumerate(zip(model.inputs, form.ports, strict=True)):
        body += _bind_port(k, name, port)
    plain = _neuron_loop(form, lines, results, add_sums=False)
    summed = _neuron_loop(form, lines, results, add_sums=True)
    if any(port.channels for port in form.ports) and not any(port.sums for port in form.ports):
        # two loops instead of a choice inside one: with the choice LLVM was measured not to vectorise large bodies
        body += ["if dirty:", *("    " + s for s in summed), "else:", *("    " + s for s in plain)]
    else:
        body += summed
    body.append("return 0")
    return "\n".join([*out, "", "", COMPILED, f"def advance({ARGUMENTS}):", *("    " + line for line in body), ""])


def _bind_arrays(form: KernelForm, dtype: str) -> list[str]:
    """Return the lines that find states, constants and tables."""
    (scalars, vectors), states, ports = form.names(), form.model.states, len(form.ports)
    view, item = ("f32_at", 4) if dtype == "float32" else ("f64_at", 8)

    def at(base: str, row: str) -> str:
        # arrays that begin where the loop does: an index that might be negative keeps it from being vectorised
        return f"{view}(table[{base}] + {item} * ({row} * table[4] + lo), n)"

    lines = ["table = i64_at(group, 5)", "note = u8_at(flags, n)"]
    lines += [f"scalars = {view}(table[2] + {item * len(scalars)} * row, {len(scalars)})"] if scalars else []
    lines += [f"p_{name} = scalars[{k}]" for k, name in enumerate(scalars)]
    lines += [f"v_{name} = {at('3', str(k))}" for k, name in enumerate(vectors)]
    lines += [f"x_{name} = {at('1', f'(b * {len(states)} + {k})')}" for k, name in enumerate(states)]
    if ports:
        lines += [f"where, factor = i64_rows_at(ports, {ports}, 4), f64_rows_at(factors, {ports}, 6)"]
    return lines


def _bind_port(k: int, name: str, port: PortForm) -> list[str]:
    """Return the lines that find a port's arrays and numbers."""
    lines = [f"grid_{name} = factor[{k}, 0]"]
    if port.sums or port.channels:
        lines += [f"a_{name} = f64_at(sums + 8 * where[{k}, 0], n)"]
    for c in range(port.channels):
        lines += [f"c_{name}_{c} = u8_at(counts + where[{k}, 1] + {c} * where[{k}, 3], n)"]
        lines += [f"w_{name}_{c} = factor[{k}, {2 + c}]"]
    if port.drive:
        source = f"u8_at(drawn + where[{k}, 2], n)" if port.drive == "counts" else f"f64_at(ext + 8 * where[{k}, 2], n)"
        lines += [f"d_{name} = {source}", f"w_{name}_d = factor[{k}, 1]"]
    for label in _counted(port) if port.split else []:
        lines += [f"high = np.rint(w_{name}_{label} / (grid_{name} * 32768.0)) * (grid_{name} * 32768.0)"]
        lines += [f"h_{name}_{label} = F(high)", f"l_{name}_{label} = F(w_{name}_{label} - high)"]
    return lines


def _counted(port: PortForm) -> list[str]:
    """Return the labels of all that is counted: channels, then the drive."""
    return [*map(str, range(port.channels)), *(["d"] if port.drive == "counts" else [])]


def _neuron_loop(form: KernelForm, lines: Sequence[str], results: dict[str, str], *, add_sums: bool) -> list[str]:
    """Return the loop over neurons."""
    model = form.model
    arrays: list[str] = []

    def at(array: str) -> str:
        if array not in arrays:
            arrays.append(array)
        return f"{array}, j, {{value}}{arrays.index(array)}, {{scopes}}"

    def read(array: str) -> str:
        return f"load({at(array)})".replace("{value}", "")

    def write(array: str, value: str) -> str:
        return f"store({at(array)})".replace("{value}", f"{value}, ")

    loop = [f"s_{name} = {read('x_' + name)}" for name in model.states]
    loop += [f"p_{name} = {read('v_' + name)}" for name in form.names()[1]]
    had = []
    for name, port in zip(model.inputs, form.ports, strict=True):
        if port.split and not add_sums:
            loop += _split_input(name, port, read)
        else:
            loop += _input(name, port, read, write, add_sums)
        if port.channels or port.sums:
            had += [f"g_{name} != {'ZERO' if port.split and not add_sums else '0.0'}"]
    loop += lines
    loop += [write("x_" + name, results[name]) for name in model.states]
    loop += [f"fired = {results['spike']} > ZERO"]
    active = f" | (HAD_INPUT if {' or '.join(had)} else NOTHING)" if had else ""
    loop += [write("note", f"np.uint8((FIRED if fired else NOTHING){active})")]
    return ["for j in range(n):", *("    " + line.replace("{scopes}", str(len(arrays))) for line in loop)]


def _input(name: str, port: PortForm, read: Writer, write: Callable[[str, str], str], add_sums: bool) -> list[str]:
    """Return the lines that add up the input of a port in float64: exactly what arrives, then the drive."""
    lines, terms = [], []
    if add_sums and (port.sums or port.channels):
        lines += [f"a = {read('a_' + name)}", write("a_" + name, "0.0")]
        terms += [f"grid_{name} * a"]
    terms += [f"w_{name}_{c} * np.float64({read(f'c_{name}_{c}')})" for c in range(port.channels)]
    if terms:
        lines += [f"g_{name} = {' + '.join(terms)}"]
    drive = (
        {"counts": f"w_{name}_d * np.float64({read('d_' + name)})", "values": read("d_" + name)} if port.drive else {}
    )
    inputs = [*([f"g_{name}"] if terms else []), *([drive[port.drive]] if port.drive else [])]
    return [*lines, f"i_{name} = F({' + '.join(inputs) or '0.0'})"]


def _split_input(name: str, port: PortForm, read: Writer) -> list[str]:
    """Return the lines that add up counters times halves of weights in float32."""
    lines = [f"k_{c} = F({read(f'c_{name}_{c}')})" for c in range(port.channels)]
    halves = [" + ".join(f"{half}_{name}_{c} * k_{c}" for c in range(port.channels)) for half in "hl"]
    lines += [f"high = {halves[0]}", f"low = {halves[1]}", f"g_{name} = high + low"]
    if port.drive:
        lines += [f"k_d = F({read('d_' + name)})"]
        lines += [f"i_{name} = (high + h_{name}_d * k_d) + (low + l_{name}_d * k_d)"]
    else:
        lines += [f"i_{name} = g_{name}"]
    return lines
