"""Equations for people: readable text, LaTeX, and the exact Jacobian of a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spikesim.equations.derivative import vector_jacobian
from spikesim.equations.expression import BOOLEAN, LEAVES, Expressions
from spikesim.equations.surrogates import surrogate
from spikesim.equations.targets import sympy_ops
from spikesim.neuron import NeuronModel

# pattern and binding strength of the result; an argument that binds less tightly (or as tightly, on the right) gets
# parentheses, so that the text shows the order of the floating-point operations
_INFIX = {
    "add": ("{0} + {1}", 4),
    "sub": ("{0} - {1}", 4),
    "mul": ("{0} * {1}", 5),
    "div": ("{0} / {1}", 5),
    "gt": ("{0} > {1}", 3),
    "ge": ("{0} >= {1}", 3),
    "lt": ("{0} < {1}", 3),
    "le": ("{0} <= {1}", 3),
    "eq": ("{0} == {1}", 3),
    "and": ("{0} and {1}", 2),
    "or": ("{0} or {1}", 1),
}
_CALLS = {"abs": "absolute", "min": "minimum", "max": "maximum"}


def equations_text(model: NeuronModel) -> str:
    """Return a model's equations as readable assignments; ``v'`` is the next value of ``v``.

    Examples
    --------
    >>> from spikesim.models.neurons import lif_soft
    >>> print(equations_text(lif_soft().model))
    lif_soft: Soft-reset integrate-and-fire neuron (SRIF): a spike subtracts q
      state v = 0
      input i
      param lam = 1, th = 0.5, q = 1, bias = 0
      step
        x1 = lam * v + (i + bias)
        spike = spike(x1 - th)
        v' = x1 - q * spike
    """
    states = [f"{n} = {_number(s.init)}{' ' + s.unit if s.unit else ''}" for n, s in model.states.items()]
    params = [f"{n} = {_number(p.default)}{' ' + p.unit if p.unit else ''}" for n, p in model.params.items()]
    lines = [
        f"{model.name}: {model.doc}" if model.doc else model.name,
        f"  state {', '.join(states)}",
        f"  input {', '.join(model.inputs) or 'none'}",
    ]
    lines += [f"  param {', '.join(params)}"] if params else []
    if model.constants.outputs:
        lines += [
            "  step constants",
            *(f"    {n} = {x}" for n, x in _text_assignments(model.constants, _constant_names(model))),
        ]
    steps = _text_assignments(model.dynamics, _step_names(model))
    return "\n".join([*lines, "  step", *(f"    {name} = {text}" for name, text in steps)])


def equations_latex(model: NeuronModel) -> str:
    r"""Return a model's step as a LaTeX ``aligned`` block; :math:`\Theta` is the spike.

    Examples
    --------
    >>> from spikesim.models.neurons import lif_soft
    >>> print(equations_latex(lif_soft().model))
    \begin{aligned}
    x_{1} &= \mathrm{bias} + i + \mathrm{lam} v \\
    s &= \Theta{\left(- \mathrm{th} + x_{1} \right)} \\
    v' &= - q s + x_{1}
    \end{aligned}
    """
    import sympy as sp

    lines = []
    for name, value in _symbolic(model, {**sympy_ops(), "spike": sp.Function("Theta")}):
        names = {symbol: _latex_name(symbol.name) for symbol in value.free_symbols}
        lines.append(f"{_latex_name(name)} &= {sp.latex(value, symbol_names=names)}")
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


@dataclass(frozen=True)
class Jacobian:
    """Derivatives of the spike and the next states by the states and inputs.

    Parameters
    ----------
    rows
        ``"spike"`` and the states.
    columns
        The states, then the inputs.
    matrix
        sympy expressions; ``g(x)`` is the derivative of ``spike(x)``, that is the surrogate.
    definitions
        What the names in the expressions stand for (``spike``, ``x1``, ``v'``, ...), in the order of computation.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    matrix: Any
    definitions: Mapping[str, Any]

    def __getitem__(self, entry: tuple[str, str]) -> Any:
        """Return one derivative: ``jacobian["v", "i"]``."""
        row, column = entry
        return self.matrix[self.rows.index(row), self.columns.index(column)]

    def __str__(self) -> str:
        """Return the definitions, then one line for each derivative that is not zero."""
        names = {row: row if row == "spike" else f"{row}'" for row in self.rows}
        entries = [(f"d {names[r]} / d {c}", self[r, c]) for r in self.rows for c in self.columns]
        return "\n".join(f"{label} = {value}" for label, value in [*self.definitions.items(), *entries] if value != 0)


def jacobian(model: NeuronModel) -> Jacobian:
    """Return the exact Jacobian of a model's step.

    Examples
    --------
    >>> from spikesim.models.neurons import lif_soft
    >>> print(jacobian(lif_soft().model))
    x1 = bias + i + lam*v
    spike = spike(-th + x1)
    v' = -q*spike + x1
    d spike / d v = lam*g(-th + x1)
    d spike / d i = g(-th + x1)
    d v' / d v = -lam*q*g(-th + x1) + lam
    d v' / d i = -q*g(-th + x1) + 1
    """
    import sympy as sp

    definitions = dict(_symbolic(model, _smooth_ops()))
    columns = (*model.states, *model.inputs)
    gradients: dict[str, list[Any]] = {}
    for name, value in definitions.items():  # the chain rule, one definition after the other
        known = [(g, sp.diff(value, _symbol(n))) for n, g in gradients.items() if _symbol(n) in value.free_symbols]
        gradients[name] = [
            sp.expand(sp.diff(value, _symbol(c)) + sum(g[k] * d for g, d in known)) for k, c in enumerate(columns)
        ]
    labels = _step_names(model)
    return Jacobian(tuple(labels), columns, sp.Matrix([gradients[n] for n in labels.values()]), definitions)


def jacobian_text(model: NeuronModel) -> str:
    """Return the exact Jacobian of a model's step as text: definitions, then the derivatives that are not zero."""
    return str(jacobian(model))


def backward_text(model: NeuronModel, surrogate_name: str = "arctan") -> str:
    """Return the backward step, as it is compiled, as readable assignments.

    ``D_spike`` and ``D_v`` are the gradients of the spike and of the next ``v``; ``d_v``, ``d_i`` and ``d_th`` those of
    the present ``v``, the input and the parameter.

    Examples
    --------
    >>> from spikesim.models.neurons import lif_soft
    >>> print(backward_text(lif_soft().model, "triangle"))
    x1 = lam * v + (i + bias) - th
    d_q = -D_v * spike(x1)
    x2 = (D_spike + -D_v * q) * (1 * maximum(0, 1 - absolute(x1)))
    d_th = -x2
    d_i = D_v + x2
    d_lam = d_i * v
    d_v = d_i * lam
    d_bias = d_i
    """
    leaves = [(kind, name) for kind in ("state", "input", "param") for name in model.dynamics.leaves(kind)]
    backward = vector_jacobian(model.dynamics, leaves, surrogate(surrogate_name))
    labels = {f"d_{kind}_{name}": f"d_{name}" for kind, name in leaves}
    return "\n".join(f"{name} = {text}" for name, text in _text_assignments(backward, labels))


def _symbolic(model: NeuronModel, ops: Mapping[str, Callable[..., Any]]) -> list[tuple[str, Any]]:
    """Return the step as named sympy expressions, each in terms of the ones before."""
    labels = _step_names(model)
    names = _named(model.dynamics, labels)
    lines = []
    for index, name in names.items():
        before = {k: _symbol(n) for k, n in names.items() if k != index}
        lines.append((name, _sympy_value(model.dynamics, index, before, ops)))
    return lines + [(labels[n], _symbol(names[i])) for n, i in model.dynamics.outputs.items() if names[i] != labels[n]]


def _smooth_ops() -> dict[str, Callable[..., Any]]:
    """Return the sympy table with the derivatives that the grammar defines: spikes give g, rounding gives none."""
    import sympy as sp

    class spike(sp.Function):  # type: ignore[misc]
        def fdiff(self, argindex: int = 1) -> Any:
            return sp.Function("g")(self.args[0])

    class Flat(sp.Function):  # type: ignore[misc]
        def fdiff(self, argindex: int = 1) -> Any:
            return sp.Integer(0)

    return {
        **sympy_ops(),
        "spike": spike,
        "floor": type("floor", (Flat,), {}),
        "detach": type("detach", (Flat,), {}),
        "abs": lambda x: sp.Piecewise((-x, x < 0), (x, True)),
        "min": lambda a, b: sp.Piecewise((a, a < b), (b, True)),
        "max": lambda a, b: sp.Piecewise((a, a > b), (b, True)),
    }


def _symbol(name: str) -> Any:
    import sympy as sp

    return sp.Symbol(name, real=True)


def _sympy_value(
    expressions: Expressions, index: int, values: dict[int, Any], ops: Mapping[str, Callable[..., Any]]
) -> Any:
    """Evaluate one node; those in ``values`` are known."""
    if index not in values:
        node = expressions.nodes[index]
        if node.op == "const":
            values[index] = ops["const"](node.value)
        elif node.op in LEAVES:
            values[index] = _symbol(str(node.value))
        else:
            values[index] = ops[node.op](*(_sympy_value(expressions, a, values, ops) for a in node.args))
    return values[index]


def _step_names(model: NeuronModel) -> dict[str, str]:
    return {n: n if n == "spike" else f"{n}'" for n in model.dynamics.outputs}


def _constant_names(model: NeuronModel) -> dict[str, str]:
    return {n: n for n in model.constants.outputs}


def _named(expressions: Expressions, labels: Mapping[str, str]) -> dict[int, str]:
    """Return the nodes that get a line of their own: outputs, and what is used more than once; in order."""
    names: dict[int, str] = {}
    for output, index in expressions.outputs.items():
        names.setdefault(index, labels[output])
    live = expressions.live()
    uses = Counter(a for i in live for a in set(expressions.nodes[i].args))
    taken = {str(n.value) for n in expressions.nodes if n.op in LEAVES} | set(names.values())
    free = (f"x{k}" for k in range(1, len(expressions.nodes) + len(taken) + 1) if f"x{k}" not in taken)
    for index in sorted(live):
        if index not in names and uses[index] > 1 and expressions.nodes[index].op not in (*LEAVES, *BOOLEAN, "neg"):
            names[index] = next(free)
    return dict(sorted(names.items()))


def _text_assignments(expressions: Expressions, labels: Mapping[str, str]) -> list[tuple[str, str]]:
    names = _named(expressions, labels)
    lines = [(name, _text(expressions, index, names, top=True)[0]) for index, name in names.items()]
    return lines + [(labels[n], names[i]) for n, i in expressions.outputs.items() if names[i] != labels[n]]


def _text(expressions: Expressions, index: int, names: Mapping[int, str], top: bool = False) -> tuple[str, int]:
    """Return an expression and how tightly it binds."""
    node = expressions.nodes[index]
    if index in names and not top:
        return names[index], 9
    if node.op == "const":
        return _number(float(node.value or 0.0)), 9
    if node.op in LEAVES:
        return f"D_{node.value}" if node.op == "cotangent" else str(node.value), 9
    args = [_text(expressions, a, names) for a in node.args]
    if node.op == "neg":
        return f"-{_wrap(args[0], 6)}", 6
    if node.op in _INFIX:
        pattern, strength = _INFIX[node.op]
        return pattern.format(_wrap(args[0], strength), _wrap(args[1], strength + 1)), strength
    return f"{_CALLS.get(node.op, node.op)}({', '.join(a for a, _ in args)})", 9


def _wrap(text: tuple[str, int], strength: int) -> str:
    return text[0] if text[1] >= strength else f"({text[0]})"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _latex_name(name: str) -> str:
    """Return a name as LaTeX: Greek where it is Greek, upright where it is a word."""
    import sympy as sp

    base, *subscripts = name.removesuffix("'").replace("spike", "s").split("_")
    head = str(sp.latex(sp.Symbol(base)))
    head = f"\\mathrm{{{head}}}" if len(base) > 1 and head == base else head
    tail = f"_{{\\mathrm{{{' '.join(subscripts)}}}}}" if subscripts else ""
    return head + tail + "'" * name.endswith("'")
