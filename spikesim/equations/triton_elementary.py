"""``exp``, ``log`` and ``tanh`` as source for Triton: the algorithms of :mod:`spikesim.equations.elementary`, printed.

Triton compiles the text of a function and not the function, so the algorithms cannot be bound to another target as they
are for numpy, numba and torch. They are read, their operations replaced by Triton's, and printed into each module.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from functools import cache
from types import ModuleType
from typing import Any

from spikesim.equations import elementary
from spikesim.equations.source import import_source

WIDTHS = {"float32": 32, "float64": 64}
INTEGERS = {"float32": "int32", "float64": "int64"}
PUBLIC = ("exp", "log", "tanh")


class _Translate(ast.NodeTransformer):
    """Replace what :func:`spikesim.equations.elementary.bind` supplies, and every division by a rounded one."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def visit_Call(self, node: ast.Call) -> Any:
        node.args = [self.visit(a) for a in node.args]
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "select":
            node.func = _expression("tl.where")
        elif name == "abs":
            node.func = _expression("tl.abs")
        elif name in ("to_bits", "from_bits"):
            kind = INTEGERS[self.dtype] if name == "to_bits" else self.dtype
            node.func = ast.Attribute(node.args[0], "to", ast.Load())
            node.args = [_expression(f"tl.{kind}")]
            node.keywords = [ast.keyword("bitcast", ast.Constant(True))]
        return node

    def visit_Name(self, node: ast.Name) -> Any:
        # not as a constant of the module: Triton compares those between compilations, and no NaN equals itself
        value = elementary._DOUBLE.get(node.id)
        special = isinstance(value, float) and not math.isfinite(value)
        return _expression(f'float("{value}")') if special else node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        if isinstance(node.op, ast.Div) and self.dtype == "float32":  # Triton's own division of float32 is approximate
            return ast.Call(_expression("tl.math.div_rn"), [node.left, node.right], [])
        return node


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@cache
def _functions(dtype: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return each algorithm's printed text and the names that it uses, in an order in which they can be defined."""
    single = "_single" if WIDTHS[dtype] == 32 else ""
    sources = {name: name + single for name in ("_exp_tail", "_log_tail")}
    sources |= {name: name for name in ("_power_of_two", "_exp_parts", "_exp", "_tanh", "_log")}
    found = {}
    for name, source in sources.items():
        tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(elementary, source)))).body[0]
        if not isinstance(tree, ast.FunctionDef):
            continue
        tree.name, tree.returns, tree.body = name, None, tree.body[1:]  # the first statement is the docstring
        for argument in tree.args.args:
            argument.annotation = None
        tree = ast.fix_missing_locations(_Translate(dtype).visit(tree))
        used = frozenset(n.id for n in ast.walk(tree) if isinstance(n, ast.Name))
        found[name] = (f"@triton.jit\n{ast.unparse(tree)}\n", used)
    return found


def elementary_source(dtype: str, wanted: set[str]) -> str:
    """Print the functions ``exp``, ``log``, ``tanh`` that are wanted, with all that they need.

    Parameters
    ----------
    dtype
        ``"float32"`` or ``"float64"``.
    wanted
        Some of the three names.

    Returns
    -------
    str
        Lines for a module that has imported ``triton`` and ``triton.language as tl``; empty if nothing is wanted.
    """
    functions = _functions(dtype)
    needed, todo = set(), [f"_{name}" for name in wanted]
    while todo:
        name = todo.pop()
        if name in functions and name not in needed:
            needed.add(name)
            todo.extend(functions[name][1])
    values = elementary._DOUBLE if dtype == "float64" else elementary._SINGLE
    constants = sorted({c for name in needed for c in functions[name][1] if c in values})
    lines = [f"{name} = tl.constexpr({values[name]!r})" for name in constants]
    text = "\n".join(lines) + "\n\n\n" if lines else ""
    text += "\n\n".join(functions[name][0] for name in functions if name in needed)
    return text + "".join(f"\n\n{name} = _{name}" for name in PUBLIC if name in wanted)


def elementary_module(dtype: str) -> ModuleType:
    """Import the functions for one precision, for kernels that are not printed."""
    header = f'"""Printed by spikesim: elementary functions in {dtype}."""\n\nimport triton\n'
    header += "import triton.language as tl\n\n"
    return import_source(header + elementary_source(dtype, set(PUBLIC)) + "\n", "triton_elementary")
