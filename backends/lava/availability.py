"""Can Lava run here? Answered from package metadata, without importing it."""

from __future__ import annotations

import sys
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

from spikesim.optional import available

LAVA_VERSION = "0.10.0"
REMEDY = "spikesim install lava"
# networkx and asteval are what Lava imports at run time beside numpy and scipy; scikit-learn, which it demands, is not.
_ALSO_NEEDED = ("networkx", "asteval", "scipy")


class LavaAvailability(NamedTuple):
    """Whether Lava can run, what is missing (as the name of a package), and the command that helps."""

    ok: bool
    missing: str = ""
    remedy: str = ""


def availability() -> LavaAvailability:
    """Look for lava-nc 0.10.0 and what it needs."""
    if sys.platform == "win32":
        return LavaAvailability(False, "lava-nc, whose processes start by fork, which Windows lacks", "use Linux")
    ok, found = available("lava")
    if not ok:
        return LavaAvailability(False, "lava-nc", REMEDY)
    if found.split()[-1] != LAVA_VERSION:
        return LavaAvailability(False, f"lava-nc=={LAVA_VERSION} (found {found})", REMEDY)
    missing = [name for name in _ALSO_NEEDED if find_spec(name) is None]
    if missing:
        return LavaAvailability(False, " and ".join(missing), REMEDY)
    numpy = version("numpy")
    # Parts of Lava hang there: numpy 2.4 no longer turns arrays of one element into numbers.
    if tuple(int(part) for part in numpy.split(".")[:2]) >= (2, 4):
        return LavaAvailability(False, f"numpy<2.4 (found numpy {numpy})", REMEDY)
    return LavaAvailability(True)
