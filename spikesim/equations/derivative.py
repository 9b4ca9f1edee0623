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
        Leaves to differentiate for, as ``(kind, name)``: ``("state", "v")``, ``("input", "i")``, ``("param", "th")``.
    surrogate
        ``d spike(x) / dx`` as a function of a symbol.
    detach_reset
        Let gradients pass a spike only on their way from the spike output, not through the reset of a state (a spike
        that is derived again from a stored membrane, as for a reset in the next step, passes none).

    Returns
    -------
    Expressions
        Outputs ``"d_<kind>_<name>"``, one per leaf asked for. Leaves are those of ``step`` and
        ``("cotangent", output)`` for each output of ``step``.
    """
    step, tape = step.unique(), Tape()
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
    gradients: dict[int, Symbol] = {}
    shell = _shell(step)
    for name, index in step.outputs.items():
        gradients[index] = _sum(gradients.get(index), tape.symbol("cotangent", name))
    for index in range(len(step.nodes) - 1, -1, -1):
        gradient, node = gradients.get(index), step.nodes[index]
        if gradient is None or node.op in BOOLEAN or not node.args:
            continue
        args = [symbols[a] for a in node.args]
        kinds = [step.nodes[a].op for a in node.args]
        for arg, part in zip(node.args, _parts(node.op, args, kinds, symbols[index], gradient, surrogate), strict=True):
            through_reset = index not in shell and (step.nodes[arg].op == "spike" or arg == step.outputs["spike"])
            if part is None or step.nodes[arg].op == "const" or (detach_reset and through_reset):
                continue
            gradients[arg] = _sum(gradients.get(arg), part)
    return gradients


def _shell(step: Expressions) -> set[int]:
    """Return the nodes between the spike output and the spike operation that it is made of (none if it is that)."""
    todo, seen = [step.outputs["spike"]], set()
    while todo:
        index = todo.pop()
        if step.nodes[index].op != "spike" and index not in seen:
            seen.add(index)
            todo.extend(step.nodes[index].args)
    return seen


def _sum(a: Symbol | None, b: Symbol | None) -> Symbol:
    if a is None or b is None:
        present = a if b is None else b
        if present is None:
            raise UnsupportedError(["no gradient to add"])
        return present
    return a + b


def _parts(
    op: str, x: list[Symbol], kinds: list[str], y: Symbol, g: Symbol, surrogate: Surrogate
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
            return (g * surrogate(x[0]),)
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
