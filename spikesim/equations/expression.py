"""Expressions: what a neuron's ``step`` function becomes when it is called with symbols.

The grammar is closed: a tape of nodes, each one operation on earlier nodes. A tape is a plain value, so it can be
compared, hashed, stored in a file and printed for any target, and it keeps the author's order of floating-point
operations. Nothing in it is ever evaluated as Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from spikesim.errors import FileFormatError, InvalidValueError, UnsupportedError

LEAVES = ("const", "state", "input", "param", "cotangent")
UNARY = ("neg", "abs", "floor", "sqrt", "exp", "log", "tanh", "spike", "detach", "not")
BINARY = ("add", "sub", "mul", "div", "min", "max", "gt", "ge", "lt", "le", "eq", "and", "or")
TERNARY = ("where",)
ARITY = {**dict.fromkeys(LEAVES, 0), **dict.fromkeys(UNARY, 1), **dict.fromkeys(BINARY, 2), **dict.fromkeys(TERNARY, 3)}
BOOLEAN = ("gt", "ge", "lt", "le", "eq", "and", "or", "not")


class Node(NamedTuple):
    """One operation: its name, the indices of its arguments, and the name or number of a leaf."""

    op: str
    args: tuple[int, ...] = ()
    value: str | float | None = None


@dataclass(frozen=True, eq=False)
class Expressions:
    """Named results of a computation over a shared tape of nodes.

    Parameters
    ----------
    nodes
        The tape; an argument index is always smaller than the index of the node that uses it.
    outputs
        Result name to node index.
    """

    nodes: tuple[Node, ...]
    outputs: Mapping[str, int]

    @cached_property
    def _identity(self) -> tuple[Any, ...]:
        # 0.0 == -0.0, but they are different programs; hex tells them apart
        nodes = tuple((n.op, n.args, n.value.hex() if isinstance(n.value, float) else n.value) for n in self.nodes)
        return nodes, tuple(sorted(self.outputs.items()))

    def __eq__(self, other: object) -> bool:
        """Tell whether two expressions are the same program."""
        return isinstance(other, Expressions) and self._identity == other._identity

    def __hash__(self) -> int:
        """Return the same for equal programs."""
        return hash(self._identity)

    def leaves(self, op: str) -> list[str]:
        """Names of the leaves of one kind (``"state"``, ``"input"``, ``"param"``) that the outputs depend on."""
        live = self.live()
        return [str(n.value) for i, n in enumerate(self.nodes) if n.op == op and i in live]

    def live(self, outputs: Iterable[str] | None = None) -> set[int]:
        """Return the indices of the nodes that the given outputs (default: all) depend on."""
        todo = [self.outputs[name] for name in (self.outputs if outputs is None else outputs)]
        seen: set[int] = set()
        while todo:
            index = todo.pop()
            if index not in seen:
                seen.add(index)
                todo.extend(self.nodes[index].args)
        return seen

    def unique(self) -> Expressions:
        """Return the same program in which equal operations on equal arguments are one node (as traced ones are)."""
        tape = Tape()
        index: list[int] = []
        for n in self.nodes:
            index.append(tape.add(n.op, [index[a] for a in n.args], n.value))
        return tape.finish({name: index[k] for name, k in self.outputs.items()})

    def evaluate(
        self, leaves: Mapping[str, Mapping[str, Any]], ops: Mapping[str, Callable[..., Any]]
    ) -> dict[str, Any]:
        """Compute the outputs with any arithmetic (numpy, torch, sympy, ...).

        Parameters
        ----------
        leaves
            ``{"state": {...}, "input": {...}, "param": {...}}``: the values of the leaves.
        ops
            Operation name to function; ``ops["const"]`` turns a float into the target's number.

        Returns
        -------
        dict
            Output name to value.
        """
        live = self.live()
        values: list[Any] = [None] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            if index not in live:
                continue
            if node.op == "const":
                values[index] = ops["const"](node.value)
            elif node.op in LEAVES:
                values[index] = leaves[node.op][str(node.value)]
            else:
                values[index] = ops[node.op](*(values[a] for a in node.args))
        return {name: values[index] for name, index in self.outputs.items()}

    def to_json(self) -> dict[str, Any]:
        """Return a structure of lists, strings and numbers; floats are written as hexadecimal and come back exactly."""
        nodes = [[n.op, list(n.args), n.value.hex() if isinstance(n.value, float) else n.value] for n in self.nodes]
        return {"nodes": nodes, "outputs": dict(self.outputs)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Expressions:
        """Read what :meth:`to_json` wrote; every node is checked against the grammar.

        Raises
        ------
        FileFormatError
            If an operation is unknown, or an argument does not point to an earlier node.
        """
        nodes: list[Node] = []
        try:
            for op, args, value in data["nodes"]:
                if not _in_grammar(op, args, value, len(nodes)):
                    raise FileFormatError(f"stored expression: node {len(nodes)} ({op!r}) is not in the grammar")
                number = float.fromhex(value) if op == "const" else 0.0
                if not math.isfinite(number):
                    raise FileFormatError(f"stored expression: node {len(nodes)} is the number {number}")
                nodes.append(Node(op, tuple(args), number if op == "const" else value))
            outputs = {str(k): int(v) for k, v in data["outputs"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, FileFormatError):
                raise
            raise FileFormatError(f"stored expression cannot be read: {error}") from None
        if any(not 0 <= v < len(nodes) for v in outputs.values()):
            raise FileFormatError("stored expression: an output points outside the expression")
        return cls(tuple(nodes), outputs)


def _in_grammar(op: Any, args: Any, value: Any, earlier: int) -> bool:
    """Tell whether a stored node is one of the grammar, with arguments among the earlier ones."""
    if not isinstance(op, str) or op not in ARITY or not isinstance(args, (list, tuple)) or len(args) != ARITY[op]:
        return False
    named = isinstance(value, str) if op in LEAVES else value is None
    return named and all(type(a) is int and 0 <= a < earlier for a in args)


@dataclass
class Tape:
    """Collects nodes; equal operations on equal arguments become one node."""

    nodes: list[Node] = field(default_factory=list)
    _index: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def add(self, op: str, args: Sequence[int] = (), value: str | float | None = None) -> int:
        """Append an operation, or return the index of the same one."""
        # 0.0 == -0.0 and must not be merged; hex tells them apart
        key = (op, tuple(args), value.hex() if isinstance(value, float) else value)
        if key not in self._index:
            self._index[key] = len(self.nodes)
            self.nodes.append(Node(op, tuple(args), value))
        return self._index[key]

    def const(self, value: float) -> int:
        """Append a number.

        Raises
        ------
        InvalidValueError
            If it is infinite or not a number: no target could print it.
        """
        if not math.isfinite(value):
            raise InvalidValueError(f"a step function uses finite numbers, found {value}; leave the bound out")
        return self.add("const", (), float(value))

    def symbol(self, op: str, name: str) -> Symbol:
        """Append a leaf and return it as a symbol."""
        return Symbol(self, self.add(op, (), name))

    def finish(self, outputs: Mapping[str, int]) -> Expressions:
        """Freeze the tape, without the nodes that no output needs."""
        full = Expressions(tuple(self.nodes), dict(outputs))
        keep = sorted(full.live())
        renumber = {old: new for new, old in enumerate(keep)}
        nodes = tuple(Node(n.op, tuple(renumber[a] for a in n.args), n.value) for n in (self.nodes[i] for i in keep))
        return Expressions(nodes, {name: renumber[index] for name, index in outputs.items()})


class Symbol:
    """A value that is not known yet: arithmetic on it is written on its tape."""

    __slots__ = ("index", "tape")
    __array_ufunc__ = None  # numpy must not take symbols apart element by element

    def __init__(self, tape: Tape, index: int) -> None:
        self.tape, self.index = tape, index

    def __repr__(self) -> str:
        return f"<symbol {self.tape.nodes[self.index].op} #{self.index}>"

    def __bool__(self) -> bool:
        raise UnsupportedError(
            [
                "a step function cannot branch with `if`, `and`, `or` or `max` on a value that changes; "
                "use spikesim.where, minimum or maximum"
            ]
        )

    def __eq__(self, other: object) -> bool:  # Python's own would be False, and `where` would take the other branch
        raise UnsupportedError(
            ["a step function cannot compare a value that changes with `==` or `!=`; use `(a >= b) & (a <= b)`"]
        )

    __hash__ = object.__hash__

    def __float__(self) -> float:
        raise UnsupportedError(
            [
                "a step function cannot turn its values into plain numbers (math.exp, float, ...); "
                "use spikesim.exp, log, tanh, sqrt"
            ]
        )

    def apply(self, op: str, *others: Symbol | float) -> Symbol:
        """Write ``op(self, *others)`` on the tape."""
        return Symbol(self.tape, self.tape.add(op, (self.index, *(self.lift(o) for o in others))))

    def lift(self, value: Symbol | float) -> int:
        """Return the tape index of a symbol or a number."""
        if isinstance(value, Symbol):
            return value.index
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InvalidValueError(
                f"a step function works on numbers, found {type(value).__name__}; "
                "compute arrays outside it and pass them as parameters"
            ) from None
        return self.tape.const(number)

    def _reflected(self, op: str, other: float) -> Symbol:
        return Symbol(self.tape, self.tape.add(op, (self.lift(other), self.index)))

    def __add__(self, other: Symbol | float) -> Symbol:
        return self.apply("add", other)

    def __radd__(self, other: float) -> Symbol:
        return self._reflected("add", other)

    def __sub__(self, other: Symbol | float) -> Symbol:
        return self.apply("sub", other)

    def __rsub__(self, other: float) -> Symbol:
        return self._reflected("sub", other)

    def __mul__(self, other: Symbol | float) -> Symbol:
        return self.apply("mul", other)

    def __rmul__(self, other: float) -> Symbol:
        return self._reflected("mul", other)

    def __truediv__(self, other: Symbol | float) -> Symbol:
        return self.apply("div", other)

    def __rtruediv__(self, other: float) -> Symbol:
        return self._reflected("div", other)

    def __pow__(self, exponent: int) -> Symbol:
        if not isinstance(exponent, int) or exponent < 1:
            raise UnsupportedError(
                [f"a step function raises to whole positive powers only, found {exponent!r}; use exp(a * log(x)), sqrt"]
            )
        result = self
        for _ in range(exponent - 1):
            result = result * self
        return result

    def __neg__(self) -> Symbol:
        return self.apply("neg")

    def __abs__(self) -> Symbol:
        return self.apply("abs")

    def __gt__(self, other: Symbol | float) -> Symbol:
        return self.apply("gt", other)

    def __ge__(self, other: Symbol | float) -> Symbol:
        return self.apply("ge", other)

    def __lt__(self, other: Symbol | float) -> Symbol:
        return self.apply("lt", other)

    def __le__(self, other: Symbol | float) -> Symbol:
        return self.apply("le", other)

    def __and__(self, other: Symbol) -> Symbol:
        return self.apply("and", other)

    def __or__(self, other: Symbol) -> Symbol:
        return self.apply("or", other)

    def __invert__(self) -> Symbol:
        return self.apply("not")


def is_number(value: object) -> bool:
    """Tell whether a value is a finite plain number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
