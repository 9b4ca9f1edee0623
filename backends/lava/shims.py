"""Two import traps of lava-nc 0.10.0, and the way around them without touching its files.

1. On Python 3.11 and later its ``var_model`` module does not import: a dataclass with ``eq`` and no hash is used as a
   field's default. A finder for exactly that module adds ``unsafe_hash=True`` in memory.
2. It calls ``multiprocessing.set_start_method("fork")`` at import, which raises if the method is set already.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, ModuleType
from typing import Any

from spikesim.errors import BackendError

MODULE = "lava.magma.compiler.var_model"
BEFORE, AFTER = "@dataclass\nclass ByteEncoder", "@dataclass(unsafe_hash=True)\nclass ByteEncoder"


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the module with one line changed; the cache of compiled files is neither read nor written."""

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode("utf-8")
        if source.count(BEFORE) != 1:
            raise BackendError(f"{MODULE} is not that of lava-nc 0.10.0; run: spikesim install lava")
        code: CodeType = compile(source.replace(BEFORE, AFTER), self.path, "exec", dont_inherit=True)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


@contextlib.contextmanager
def importing_lava() -> Iterator[None]:
    """Make ``import lava...`` work inside the ``with`` block, on any supported Python.

    Raises
    ------
    BackendError
        If processes of this program are started by another method than fork, which Lava needs.
    """
    method = multiprocessing.get_start_method(allow_none=True)
    if method not in (None, "fork"):
        raise BackendError(f"Lava starts its processes by fork, but this program has set {method!r}")
    if sys.version_info >= (3, 11) and not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    original = multiprocessing.set_start_method

    def set_once(method: Any, force: bool = False) -> None:
        if multiprocessing.get_start_method(allow_none=True) != method:
            original(method, force)

    multiprocessing.set_start_method = set_once
    try:
        yield
    finally:
        multiprocessing.set_start_method = original
