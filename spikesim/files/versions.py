"""Which software made a file."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from functools import cache

ALWAYS, IF_USED = ("numpy", "h5py"), ("scipy", "numba", "torch")


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    return tuple((name, importlib.metadata.version(name)) for name in ALWAYS)  # milliseconds each


def versions() -> dict[str, str]:
    """Return the versions of spikesim, of Python, of the system, and of the packages that are in use now.

    >>> {"spikesim", "numpy", "python", "platform"} <= set(versions())
    True
    """
    import spikesim

    found = dict(_installed())
    found |= {name: str(sys.modules[name].__version__) for name in IF_USED if name in sys.modules}
    system = {"python": platform.python_version(), "platform": platform.platform()}
    return {"spikesim": spikesim.__version__, **found, **system}
