"""Equations as MathML, which browsers draw by themselves: no script, no network. The author's order is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spikesim.equations.expression import LEAVES, Expressions
from spikesim.equations.show import _constant_names, _named, _number, _step_names
from spikesim.neuron import NeuronModel

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eta": "η", "theta": "θ", "kappa": "κ", "lam": "λ",
    "lambda": "λ", "mu": "μ", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "omega": "ω",
}  # fmt: skip
_INFIX = {
    "add": ("+", 4), "sub": ("−", 4), "mul": ("⋅", 5), "gt": ("&gt;", 3), "ge": ("≥", 3), "lt": ("&lt;", 3),
    "le": ("≤", 3), "eq": ("=", 3), "and": ("∧", 2), "or": ("∨", 1),
}  # fmt: skip


def equations_mathml(model: NeuronModel, part: str = "step") -> str:
    """Return a model's equations as one MathML table; ``s`` is the spike, Θ the step function, ``v'`` the next ``v``.

    Parameters
    ----------
    model
        The model.
    part
        ``"step"``, or ``"constants"``: what is computed once, before the run.

    Examples
    --------
    >>> from spikesim.models.neurons import li
    >>> "<mi>β</mi><mo>⋅</mo><mi>v</mi>" in equations_mathml(li(beta=0.5).model)
    True
    """
    expressions = model.dynamics if part == "step" else model.constants
    labels = _step_names(model) if part == "step" else _constant_names(model)
    names = _named(expressions, labels)
    lines = [(name, _Printer(expressions, names).top(index)) for index, name in names.items()]
    lines += [(labels[n], _name(names[i])) for n, i in expressions.outputs.items() if names[i] != labels[n]]
    rows = "".join(
        f"<mtr>{_cell(_name(name), 'right')}<mtd><mo>=</mo></mtd>{_cell(value)}</mtr>" for name, value in lines
    )
    return f'<math display="block"><mtable displaystyle="true">{rows}</mtable></math>'


class _Printer:
    """Prints nodes of a tape; those with a name are referred to by it."""

    def __init__(self, expressions: Expressions, names: Mapping[int, str]) -> None:
        self.nodes, self.names = expressions.nodes, names

    def top(self, index: int) -> str:
        """Print a node that has a name in full."""
        return self._node(index)[0]

    def _print(self, index: int) -> tuple[str, int]:
        """Return a node and how tightly it binds."""
        return (_name(self.names[index]), 9) if index in self.names else self._node(index)

    def _node(self, index: int) -> tuple[str, int]:
        node = self.nodes[index]
        if node.op == "const":
            return f"<mn>{_number(float(node.value or 0.0)).replace('-', '−')}</mn>", 9
        if node.op in LEAVES:
            return _name(str(node.value)), 9
        args = [self._print(a) for a in node.args]
        if node.op in _INFIX:
            sign, strength = _INFIX[node.op]
            left, right = _fenced(args[0], strength), _fenced(args[1], strength + 1)
            return f"<mrow>{left}<mo>{sign}</mo>{right}</mrow>", strength
        return _CALLS.get(node.op, _call(node.op))(args)


Arguments = list[tuple[str, int]]


def _cell(content: str, side: str = "left") -> str:
    return f'<mtd style="text-align: {side}">{content}</mtd>'


def _fenced(text: tuple[str, int], strength: int) -> str:
    return text[0] if text[1] >= strength else f"<mrow><mo>(</mo>{text[0]}<mo>)</mo></mrow>"


def _call(name: str) -> Callable[[Arguments], tuple[str, int]]:
    def printed(args: Arguments) -> tuple[str, int]:
        inside = "<mo>,</mo>".join(a for a, _ in args)
        return f"<mrow><mi>{name}</mi><mo>(</mo>{inside}<mo>)</mo></mrow>", 9

    return printed


def _cases(args: Arguments) -> tuple[str, int]:
    (condition, _), (chosen, _), (other, _) = args
    rows = (
        f"<mtr>{_cell(chosen)}{_cell(f'<mtext>if&#160;</mtext>{condition}')}</mtr>"
        f"<mtr>{_cell(other)}{_cell('<mtext>otherwise</mtext>')}</mtr>"
    )
    return f"<mrow><mo>{{</mo><mtable>{rows}</mtable></mrow>", 3


def _bars(left: str, right: str) -> Callable[[Arguments], tuple[str, int]]:
    return lambda args: (f"<mrow><mo>{left}</mo>{args[0][0]}<mo>{right}</mo></mrow>", 9)


_CALLS: dict[str, Callable[[Arguments], tuple[str, int]]] = {
    "neg": lambda args: (f"<mrow><mo>−</mo>{_fenced(args[0], 6)}</mrow>", 4),
    "div": lambda args: (f"<mfrac>{args[0][0]}{args[1][0]}</mfrac>", 5),
    "exp": lambda args: (
        (f"<msup><mi>e</mi>{args[0][0]}</msup>", 8) if "<mfrac" not in args[0][0] else _call("exp")(args)
    ),
    "sqrt": lambda args: (f"<msqrt>{args[0][0]}</msqrt>", 9),
    "spike": _call("Θ"),
    "not": lambda args: (f"<mrow><mo>¬</mo>{_fenced(args[0], 6)}</mrow>", 6),
    "abs": _bars("|", "|"),
    "floor": _bars("⌊", "⌋"),
    "where": _cases,
}


def _name(name: str) -> str:
    """Return a name: Greek where it is Greek, what follows an underscore as a subscript."""
    prime = '<mo lspace="0" rspace="0">′</mo>' if name.endswith("'") else ""
    base, *subscripts = name.removesuffix("'").replace("spike", "s").split("_")
    digits = base.lstrip("abcdefghijklmnopqrstuvwxyz")
    if len(base) == len(digits) + 1 and digits.isdigit():  # x1 is x with subscript 1
        base, subscripts = base[0], [digits, *subscripts]
    head = f"<mi>{_GREEK.get(base, base)}</mi>"
    if subscripts:
        head = f"<msub>{head}<mi>{' '.join(_GREEK.get(s, s) for s in subscripts)}</mi></msub>"
    return f"<mrow>{head}{prime}</mrow>" if prime else head
