"""Can Lava run here? Answered from package metadata, without importing it."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple

LAVA_VERSION = "0.10.0"
REMEDY = "spikesim install lava"
# networkx and asteval are what Lava imports at run time beside numpy and scipy; scikit-learn, which it demands, is not.
_ALSO_NEEDED = ("networkx", "asteval", "scipy")


class Availability(NamedTuple):
    """Whether Lava can run, why not, and the command that helps."""

    available: bool
    reason: str
    remedy: str


def availability() -> Availability:
    """Look for lava-nc 0.10.0 and what it needs.

    Returns
    -------
    Availability
        With an empty reason and remedy if Lava can run.
    """
    if sys.platform == "win32":
        return Availability(False, "Lava starts its processes by fork, which Windows does not have", "")
    try:
        found = version("lava-nc")
    except PackageNotFoundError:
        return Availability(False, "lava-nc is not installed", REMEDY)
    if found != LAVA_VERSION:
        return Availability(False, f"lava-nc {found} is installed, spikesim knows {LAVA_VERSION} only", REMEDY)
    missing = [name for name in _ALSO_NEEDED if find_spec(name) is None]
    if missing:
        return Availability(False, f"lava-nc needs {' and '.join(missing)}, not installed", REMEDY)
    numpy = version("numpy")
    if tuple(int(part) for part in numpy.split(".")[:2]) >= (2, 4):
        return Availability(False, f"parts of lava-nc hang on numpy {numpy}; numpy 2.0 to 2.3 works", REMEDY)
    return Availability(True, "", "")
