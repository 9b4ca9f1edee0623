"""Printed source: expressions become lines of Python for one scalar, and modules live in a cache folder.

A printed module is named by the hash of its text, so numba's on-disk cache works across processes and a traceback
shows lines that a person can open.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from spikesim.equations.expression import BOOLEAN, LEAVES, Expressions
from spikesim.equations.targets import SOURCE


def print_lines(
    expressions: Expressions, leaf: Callable[[str, str], str], table: Mapping[str, str] = SOURCE, prefix: str = "t"
) -> tuple[list[str], dict[str, str], dict[str, float]]:
    """Print expressions as assignments, one operation a line, in the author's order.

    Parameters
    ----------
    expressions
        What to print.
    leaf
        ``leaf(kind, name)``: how a state, input or parameter is written.
    table
        Operation to template.
    prefix
        Of the names of intermediate values.

    Returns
    -------
    lines
        Assignments.
    results
        Output name to the name of its value.
    constants
        Name to value of every number; the module defines them with the right type.
    """
    names: list[str] = [""] * len(expressions.nodes)
    lines, constants = [], {}
    live = expressions.live()
    for index, node in enumerate(expressions.nodes):
        if index not in live:
            continue
        if node.op == "const":
            names[index] = f"K{prefix}{index}"
            constants[names[index]] = float(node.value or 0.0)
        elif node.op in LEAVES:
            names[index] = leaf(node.op, str(node.value))
        else:
            names[index] = f"{prefix}{index}"
            args = [names[a] for a in node.args]
            if node.op == "where" and expressions.nodes[node.args[0]].op not in BOOLEAN:
                args[0] = f"{args[0]} > ZERO"  # a spike as condition
            lines.append(f"{names[index]} = {table[node.op].format(*args)}")
    return lines, {out: names[i] for out, i in expressions.outputs.items()}, constants


def cache_folder() -> Path:
    """Return the folder for printed modules: ``$SPIKESIM_CACHE``, the user's cache, or a temporary one."""
    chosen = os.environ.get("SPIKESIM_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spikesim"
    try:
        (base / "kernels").mkdir(parents=True, exist_ok=True)
        if os.access(base / "kernels", os.W_OK):
            return base / "kernels"
    except OSError:
        pass
    return _private_folder()


@functools.cache
def _private_folder() -> Path:
    """Return a new folder that nobody else can write to; what is in it is imported."""
    return Path(tempfile.mkdtemp(prefix="spikesim-"))


def import_source(text: str, kind: str, depends: str = "") -> ModuleType:
    """Write a printed module to the cache folder and import it.

    Parameters
    ----------
    text
        The module.
    kind
        First part of its name.
    depends
        Anything else the compiled code depends on (the source of the kernels it calls): part of the hash.
    """
    digest = hashlib.blake2b((text + "\0" + depends).encode(), digest_size=12).hexdigest()
    name = f"spikesim_{kind}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    path = cache_folder() / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        _write_atomically(path, text)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"printed module {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _write_atomically(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
