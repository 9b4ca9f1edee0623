"""What it takes to import lava-nc 0.10.0 on a current Python, without touching installed files.

Lava was archived in May 2026, so its two obstacles will stay: three dataclass defaults that Python 3.11 refuses, and an
unguarded ``multiprocessing.set_start_method('fork')`` at import. Both are for the process that runs Lava; the library
itself never imports it.
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from spikesim.errors import BackendError

PATCHED_MODULE = "lava.magma.compiler.var_model"
_OLD = "@dataclass\nclass ByteEncoder"
_NEW = "@dataclass(unsafe_hash=True)\nclass ByteEncoder"
_MULTIPROCESSING = "lava.magma.runtime.message_infrastructure.multiprocessing"


class PatchingLoader(SourceFileLoader):
    """Load one module of Lava with one line of it changed, in memory only."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile from the source, past the bytecode cache in both directions."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        """Make ``ByteEncoder`` hashable, so that it may be a dataclass default on Python >= 3.11."""
        source = bytes(data).decode("utf-8")
        found = source.count(_OLD)
        if found != 1:
            raise BackendError(
                f"{path} contains {_OLD!r} {found} times instead of once; spikesim knows lava-nc 0.10.0 only, "
                "install that with: spikesim install lava"
            )
        code: CodeType = super().source_to_code(source.replace(_OLD, _NEW).encode("utf-8"), path)
        return code


class PatchingFinder(MetaPathFinder):
    """Find exactly one module and leave every other to the rest of the import system."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec with the patching loader for `PATCHED_MODULE`, else None."""
        if fullname != PATCHED_MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            spec.loader = PatchingLoader(fullname, spec.origin)
        return spec


def install_import_hook() -> bool:
    """Put the finder in front, if this Python needs it and it is not there yet; say whether it was put there.

    Raises
    ------
    BackendError
        If the module was imported before and therefore cannot be patched.
    """
    if sys.version_info < (3, 11) or any(isinstance(f, PatchingFinder) for f in sys.meta_path):
        return False
    if PATCHED_MODULE in sys.modules:
        return False
    sys.meta_path.insert(0, PatchingFinder())
    return True


def _tolerant(original: Callable[..., None]) -> Callable[..., None]:
    """Wrap ``set_start_method`` so that asking for the method that is set already is no error."""

    def set_start_method(method: str | None, force: bool = False) -> None:
        if force or multiprocessing.get_start_method(allow_none=True) != method:
            original(method, force)

    return set_start_method


def import_lava() -> None:
    """Import Lava's runtime, whatever the process did before.

    Lava works by fork, so this fixes the start method of the whole process to ``"fork"``.

    Raises
    ------
    BackendError
        If the process uses another start method already.
    """
    install_import_hook()
    if _MULTIPROCESSING in sys.modules:
        return
    current = multiprocessing.get_start_method(allow_none=True)
    if current not in (None, "fork"):
        raise BackendError(
            f"this process starts children by {current!r}, Lava only works with 'fork'; run Lava in a process of its "
            "own, as spikesim.backends.lava.runner does"
        )
    original = multiprocessing.set_start_method
    multiprocessing.set_start_method = _tolerant(original)
    try:
        importlib.import_module(_MULTIPROCESSING)
    finally:
        multiprocessing.set_start_method = original
