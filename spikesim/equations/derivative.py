"""Exact derivatives of expressions by reverse accumulation, written in the same grammar.

The vector-Jacobian product of one step is what a backward scan over time needs: from the gradients of the spike and of
the next state it computes those of the present state, the inputs and the parameters. Sub-expressions of the forward
step are shared, because both stand on one tape. The derivative of ``spike`` is the chosen surrogate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spikesim.equations.expression import BOOLEAN, Expressions, Symbol, Tape
from spikesim.equations.primitives import where
from spikesim.errors import UnsupportedError

Surrogate = Callable[[Symbol], Symbol]


def vector_jacobian(
    step: Expressions, wrt: Sequence[tuple[str, str]], surrogate: Surrogate, *, detach_reset: bool = False
) -> Expressions:
    """Derive the backward step.

    Parameters
    ----------
    step
        The forward step; its outputs are ``"spike"`` and the next value of each state.
    wrt
        Leaves to differentiate for, as ``(kind, name)``: ``("state", "v")``, ``("input", "i")``, ``("param", "alpha")``.
    surrogate
        ``d spike(x) / dx`` as a function of a symbol.
    detach_reset
        Let the gradient of a spike flow only from the spike output, not from the states that the spike resets (nor,
        where the reset belongs to the next step, through the spike that is derived again there).

    Returns
    -------
    Expressions
        Outputs ``"d_<kind>_<name>"``, one per leaf asked for. Leaves are those of ``step`` and
        ``("cotangent", output)`` for each output of ``step``.
    """
    tape = Tape()
    symbols = [Symbol(tape, tape.add(n.op, n.args, n.value)) for n in step.nodes]
    gradients = _accumulate(step, symbols, tape, surrogate, detach_reset)
    outputs = {}
    for kind, name in wrt:
        index = next((i for i, n in enumerate(step.nodes) if n.op == kind and n.value == name), None)
        gradient = gradients.get(index) if index is not None else None
        outputs[f"d_{kind}_{name}"] = tape.const(0.0) if gradient is None else gradient.index
    return tape.finish(outputs)


def _accumulate(
    step: Expressions, symbols: list[Symbol], tape: Tape, surrogate: Surrogate, detach_reset: bool
) -> dict[int, Symbol]:
    """Propagate the cotangents of all outputs back to every node."""
    fired = (step.outputs["spike"], tape.symbol("cotangent", "spike"))
    states = [(index, tape.symbol("cotangent", name)) for name, index in step.outputs.items() if name != "spike"]
    if not detach_reset:
        return _propagate(step, symbols, [fired, *states], surrogate)
    # the spike's own cotangent passes the first spike on its way; the states' cotangents, and what lies behind, none
    behind: dict[int, Symbol] = {}
    own = _propagate(step, symbols, [fired], surrogate, behind)
    others = _propagate(step, symbols, [*states, *behind.items()], None)
    return {index: _sum(own.get(index), others.get(index)) for index in {**own, **others}}


def _propagate(
    step: Expressions,
    symbols: list[Symbol],
    seeds: Sequence[tuple[int, Symbol]],
    surrogate: Surrogate | None,
    behind: dict[int, Symbol] | None = None,
) -> dict[int, Symbol]:
    """Propagate gradients from some nodes to those below; without a surrogate none passes a spike.

    With ``behind``, gradients that have passed a spike are put there and go no further.
    """
    gradients: dict[int, Symbol] = {}
    for index, seed in seeds:
        gradients[index] = _sum(gradients.get(index), seed)
    for index in range(len(step.nodes) - 1, -1, -1):
        gradient, node = gradients.get(index), step.nodes[index]
        stops = node.op in BOOLEAN or not node.args or (node.op == "spike" and surrogate is None)
        if gradient is None or stops:
            continue
        into = gradients if behind is None or node.op != "spike" else behind
        args = [symbols[a] for a in node.args]
        kinds = [step.nodes[a].op for a in node.args]
        for arg, part in zip(node.args, _parts(node.op, args, kinds, symbols[index], gradient, surrogate), strict=True):
            if part is not None and step.nodes[arg].op != "const":
                into[arg] = _sum(into.get(arg), part)
    return gradients


def _sum(a: Symbol | None, b: Symbol | None) -> Symbol:
    if a is None or b is None:
        present = a if b is None else b
        if present is None:
            raise UnsupportedError(["no gradient to add"])
        return present
    return a + b


def _parts(
    op: str, x: list[Symbol], kinds: list[str], y: Symbol, g: Symbol, surrogate: Surrogate | None
) -> tuple[Symbol | None, ...]:
    """Return the gradient for each argument of ``y = op(*x)``, given the gradient ``g`` of ``y``."""
    match op:
        case "neg":
            return (-g,)
        case "add":
            return g, g
        case "sub":
            return g, -g
        case "mul":
            return g * x[1], g * x[0]
        case "div":
            return g / x[1], -(g * y) / x[1]
        case "abs":
            return (where(x[0] < 0.0, -g, g),)
        case "sqrt":
            return (g * 0.5 / y,)
        case "exp":
            return (g * y,)
        case "log":
            return (g / x[0],)
        case "tanh":
            return (g * (1.0 - y * y),)
        case "spike":
            return (None if surrogate is None else g * surrogate(x[0]),)
        case "min":
            return where(x[0] < x[1], g, 0.0), where(x[0] < x[1], 0.0, g)
        case "max":
            return where(x[0] > x[1], g, 0.0), where(x[0] > x[1], 0.0, g)
        case "where":
            through_spike = None if kinds[0] in BOOLEAN else g * (x[1] - x[2])
            return through_spike, where(x[0], g, 0.0), where(x[0], 0.0, g)
        case "floor" | "detach":
            return (None,)
    raise UnsupportedError([f"the operation {op!r} has no derivative"])
