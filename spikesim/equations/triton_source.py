"""Scans over time printed for Triton: a neuron's step and its exact backward step as two kernels for a GPU.

The counterpart of :mod:`spikesim.equations.scan_source`: the same expressions, the same arrays ``[steps, width]``.
One program takes a block of columns through all steps and keeps the states in registers. Nothing is kept for the
backward scan but the inputs and the first states: it runs the steps forward again. Results are bit-identical to the
other targets as long as products and sums are not contracted (launch with ``enable_fp_fusion=False``); divisions and
square roots are printed in their IEEE form, because Triton's own are approximate in float32.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from spikesim.equations.scan_source import Layout, Surrogate, backward_step
from spikesim.equations.source import import_source, print_lines
from spikesim.equations.triton_elementary import PUBLIC, elementary_source

HEADER = '''"""Printed by spikesim: {kind} of the neuron {name} in {dtype}. Do not edit; a change has no effect."""

import triton
import triton.language as tl

'''

_SOURCE: dict[str, str] = {
    "neg": "{0} * -1.0",  # older versions compute 0 - x, which is +0 for 0
    "abs": "tl.abs({0})",
    "floor": "tl.floor({0})",
    "exp": "exp({0})",
    "log": "log({0})",
    "tanh": "tanh({0})",
    "spike": "tl.where({0} > ZERO, ONE, ZERO)",
    "detach": "{0}",
    "not": "~({0})",
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "min": "tl.where({0} < {1}, {0}, {1})",
    "max": "tl.where({0} > {1}, {0}, {1})",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "eq": "{0} == {1}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "where": "tl.where({0}, {1}, {2})",
}
TABLES: Mapping[str, Mapping[str, str]] = {
    "float32": _SOURCE | {"div": "tl.math.div_rn({0}, {1})", "sqrt": "tl.math.sqrt_rn({0})"},
    "float64": _SOURCE | {"div": "{0} / {1}", "sqrt": "tl.sqrt({0})"},
}


def forward_triton(layout: Layout, kept: tuple[str, ...]) -> str:
    """Print the forward scan for Triton.

    The kernel ``scan(spikes, in_<port>..., c_<state>..., x_<state>... (kept ones), p_<constant>..., begin, steps,
    width, n, STAGES, BLOCK)`` is that of :func:`spikesim.equations.scan_source.forward_source` for all columns and
    the steps ``begin .. begin + steps - 1``. A constant is one number, or ``n`` of them; column ``j`` is of neuron
    ``j % n``. With more than one stage, so many steps are loaded ahead.
    """
    states, ports = list(layout.model.states), layout.ports
    lines, results, numbers = print_lines(layout.model.dynamics, _leaf(layout), TABLES[layout.dtype])
    arguments = ["spikes", *(f"in_{n}" for n in ports), *(f"c_{n}" for n in states), *(f"x_{n}" for n in kept)]
    before = ["at = first", *_steady(layout), *(f"v_{n} = tl.load(c_{n} + column, inside, ZERO)" for n in states)]
    body = [*_inputs(layout), *lines, f"tl.store(spikes + at, {results['spike']}, inside)", "at += width"]
    body += _together({f"v_{n}": results[n] for n in states})
    body += [f"tl.store(x_{n} + at, v_{n}, inside)" for n in kept]
    after = [f"tl.store(c_{n} + column, v_{n}, inside)" for n in states]
    return _scan("forward scan", layout, arguments, [*before, *_loop("steps", body), *after], numbers)


def backward_triton(layout: Layout, learn: tuple[str, ...], traced: tuple[str, ...], with_: Surrogate) -> str:
    """Print the backward scan for Triton.

    The kernel ``scan(d_spikes, in_<port>..., z_<state>..., h_<state>..., d_x_<state>... (traced ones),
    c_<state>..., d_in_<port>..., d_p_<constant>... (learnable ones), p_<constant>..., begin, steps, width, n, STAGES,
    BLOCK)`` is that of :func:`spikesim.equations.scan_source.backward_source` for all columns. It runs the steps
    forward again first; ``h_<state>`` ``[steps, width]`` is room for the states of that.

    Parameters
    ----------
    layout
        What it is specialised for.
    learn
        Step constants that get a gradient, one value per column.
    traced
        States whose values over time have a gradient of their own.
    with_
        The surrogate.
    """
    states, ports = list(layout.model.states), layout.ports
    derived = backward_step(layout.model, ports, learn, with_)
    lines, results, numbers = print_lines(derived, _leaf(layout), TABLES[layout.dtype], "b")
    arguments = ["d_spikes", *(f"in_{n}" for n in ports), *(f"z_{n}" for n in states), *(f"h_{n}" for n in states)]
    arguments += [*(f"d_x_{n}" for n in traced), *(f"c_{n}" for n in states), *(f"d_in_{n}" for n in ports)]
    arguments += [f"d_p_{n}" for n in learn]
    held = {f"C_{n}": f"c_{n}" for n in states} | {f"A_{n}": f"d_p_{n}" for n in learn}
    held |= {f"D_{n}": f"d_in_{n}" for n in layout.steady}
    again, more = _again(layout)
    before = [*_steady(layout), *again, *(f"{v} = tl.load({p} + column, inside, ZERO)" for v, p in held.items())]
    before += ["at = first + tl.cast(width, tl.int64) * (steps - 1)"]
    before += ["row = column + tl.cast(width, tl.int64) * (steps - 1)"]
    body = [f"v_{n} = tl.load(h_{n} + row, inside, ZERO)" for n in states]
    body += [*_inputs(layout), "g = tl.load(d_spikes + at, inside, ZERO)"]
    later = {n: f"C_{n} + tl.load(d_x_{n} + at + width, inside, ZERO)" if n in traced else f"C_{n}" for n in states}
    body += [f"g_{n} = {value}" for n, value in later.items()] + lines
    for n in ports:
        found = results[f"d_input_{n}"]
        body += [f"D_{n} += {found}" if n in layout.steady else f"tl.store(d_in_{n} + at, {found}, inside)"]
    body += _together({f"C_{n}": results[f"d_state_{n}"] for n in states})
    body += [*(f"A_{n} += {results[f'd_param_{n}']}" for n in learn), "at -= width", "row -= width"]
    after = [f"tl.store({place} + column, {value}, inside)" for value, place in held.items()]
    return _scan("backward scan", layout, arguments, [*before, *_loop("steps", body), *after], numbers | more)


def _again(layout: Layout) -> tuple[list[str], dict[str, float]]:
    """Print how the steps run forward again: row k of ``h_<state>`` gets the state before step ``begin + k``."""
    states = list(layout.model.states)
    if not states:
        return [], {}
    lines, results, numbers = print_lines(layout.model.dynamics, _leaf(layout), TABLES[layout.dtype], "f")
    text = ["at, row = first, column", *(f"v_{n} = tl.load(z_{n} + at, inside, ZERO)" for n in states)]
    text += [f"tl.store(h_{n} + row, v_{n}, inside)" for n in states]
    body = [*_inputs(layout), *lines, *_together({f"v_{n}": results[n] for n in states}), "at += width", "row += width"]
    body += [f"tl.store(h_{n} + row, v_{n}, inside)" for n in states]
    # the barrier: with several stages, another thread may load what this one has stored
    return [*text, *_loop("steps - 1", body), "tl.debug_barrier()"], numbers


def update_triton(layout: Layout, rings: tuple[str, ...], drives: tuple[str, ...]) -> str:
    """Print one step of a population in a simulation: take the input, update the states in place, list who fired.

    The kernel is ``update(clock, raster, active, count, listed, ring_<port>..., slots_<port>..., drive_<port>...,
    every_<port>..., x_<state>..., p_<constant>..., group, n, BLOCK)``, launched over blocks of neurons and samples.

    Parameters
    ----------
    layout
        What it is specialised for; its ports are those with a ring or a drive.
    rings
        Ports that synapses reach: ``ring_<port>`` is float64 ``[slots, samples, n]``; slot ``t % slots`` is emptied.
    drives
        Ports with drives: ``drive_<port>`` is float64 ``[rows, samples, n]``; row ``k`` times ``every_<port>``.

    Notes
    -----
    ``clock`` is int64: the step ``t``, and its number ``k`` in the present stretch. ``raster`` is uint8 ``[steps,
    samples, n]``, ``active`` int64 ``[samples]``. ``listed`` takes pairs (index in samples times n, group) in any
    order, ``count`` their number: the sums that they lead to are exact, so the order does not matter.
    """
    lines, results, numbers = print_lines(layout.model.dynamics, _leaf(layout), TABLES[layout.dtype])
    states = list(layout.model.states)
    arguments = ["clock", "raster", "active", "count", "listed"]
    arguments += [f"{part}_{n}" for part in ("ring", "slots") for n in rings]
    arguments += [f"{part}_{n}" for part in ("drive", "every") for n in drives]
    arguments += [*(f"x_{n}" for n in states), *(f"p_{n}" for n in layout.constants), "group", "n"]
    body = ["t, k = tl.load(clock), tl.load(clock + 1)", "sample = tl.program_id(1).to(tl.int64)"]
    body += ["neuron = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)", "inside = neuron < n"]
    body += ["column = sample * n + neuron", "width = tl.num_programs(1).to(tl.int64) * n", "busy = neuron < 0"]
    for n in layout.ports:
        total = []
        if n in rings:
            body += [f"R_{n} = ring_{n} + t % slots_{n} * width + column", f"S_{n} = tl.load(R_{n}, inside, 0.0)"]
            body += [f"tl.store(R_{n}, tl.zeros_like(S_{n}), inside)", f"busy = busy | (S_{n} != 0.0)"]
            total += [f"S_{n}"]
        if n in drives:
            total += [f"tl.load(drive_{n} + k * every_{n} * width + column, inside, 0.0)"]
        body += [f"i_{n} = ({' + '.join(total)}).to(tl.{layout.dtype})"]
    body += [*_constants(layout), *(f"v_{n} = tl.load(x_{n} + column, inside, ZERO)" for n in states), *lines]
    body += [f"tl.store(x_{n} + column, {results[n]}, inside)" for n in states]
    body += [f"fired = (tl.broadcast_to({results['spike']}, [BLOCK]) > ZERO) & inside"]
    body += ["tl.store(raster + k * width + column, fired.to(tl.uint8), inside)"]
    body += ["tl.atomic_add(active + sample, tl.sum(((busy & inside) | fired).to(tl.int64)))"]
    body += ["place = tl.atomic_add(count + tl.zeros_like(neuron), tl.full([BLOCK], 1, tl.int32), fired)"]
    body += ["tl.store(listed + 2 * place, column.to(tl.int32), fired)"]
    body += ["tl.store(listed + 2 * place + 1, tl.full([BLOCK], group, tl.int32), fired)"]
    return _kernel("update", "step", layout, arguments, body, numbers, ["group"])


def load_triton(text: str, kind: str) -> Any:
    """Import a printed kernel; Triton keeps its compiled code on disk by itself."""
    module = import_source(text, f"triton_{kind}")
    return module.update if kind == "step" else module.scan


def _leaf(layout: Layout) -> Callable[[str, str], str]:
    def leaf(kind: str, name: str) -> str:
        if kind == "cotangent":
            return "g" if name == "spike" else f"g_{name}"
        if kind == "param":
            return f"e_{name}"
        return f"v_{name}" if kind == "state" else f"i_{name}" if name in layout.ports else "ZERO"

    return leaf


def _together(values: Mapping[str, str]) -> list[str]:
    """Assign all at once: the value of one may be the old value of another. A number becomes a block of its own."""
    if not values:
        return []
    blocks = [f"tl.broadcast_to({value}, [BLOCK])" for value in values.values()]
    return [f"{', '.join(values)} = {', '.join(blocks)}"]


def _constants(layout: Layout) -> list[str]:
    return [
        f"e_{n} = tl.load(p_{n} + column % n, inside, ZERO)" if n in layout.arrays else f"e_{n} = tl.load(p_{n})"
        for n in layout.constants
    ]


def _steady(layout: Layout) -> list[str]:
    """Read what is the same at every step."""
    return [f"i_{n} = tl.load(in_{n} + column, inside, ZERO)" for n in layout.steady]


def _inputs(layout: Layout) -> list[str]:
    return [f"i_{n} = tl.load(in_{n} + at, inside, ZERO)" for n in layout.ports if n not in layout.steady]


def _loop(steps: str, body: list[str]) -> list[str]:
    return [f"for _ in tl.range(0, {steps}, num_stages=STAGES):", *(f"    {line}" for line in body)]


def _scan(kind: str, layout: Layout, arguments: list[str], body: list[str], numbers: dict[str, float]) -> str:
    """Put a scan together. Where it begins and ends is left unspecialised: it differs between calls."""
    arguments = [*arguments, *(f"p_{n}" for n in layout.constants), "begin", "steps", "width", "n"]
    lines = ["column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)", "inside = column < width"]
    lines += ["first = column + tl.cast(width, tl.int64) * begin", *_constants(layout), *body]
    return _kernel("scan", kind, layout, [*arguments, "STAGES: tl.constexpr"], lines, numbers, ["begin", "steps"])


def _kernel(
    name: str,
    kind: str,
    layout: Layout,
    arguments: list[str],
    body: list[str],
    numbers: dict[str, float],
    varying: list[str],
) -> str:
    """Put a module together: the elementary functions that the body calls, the numbers, the body."""
    text = "\n".join(body)
    used = {name for name in PUBLIC if re.search(rf"\b{name}\(", text)}
    constants = {"ZERO": 0.0, "ONE": 1.0} | numbers
    lines = [HEADER.format(kind=kind, name=re.sub(r"\W", "_", layout.model.name), dtype=layout.dtype)]
    lines += [elementary_source(layout.dtype, used)] if used else []
    lines += ["", f"@triton.jit(do_not_specialize={varying!r})"]
    lines += [f"def {name}({', '.join(arguments)}, BLOCK: tl.constexpr):"]
    lines += [f"    {constant} = tl.full((), {value!r}, tl.{layout.dtype})" for constant, value in constants.items()]
    return "\n".join([*lines, *(f"    {line}" for line in body)]) + "\n"
