"""Import Lava in this process, or say why that cannot be.

Lava was archived in May 2026, so its two obstacles will stay: three dataclass defaults that Python 3.11 refuses, and an
unguarded ``multiprocessing.set_start_method('fork')`` at import. ``standalone/lava_network`` meets them, because an
exported folder has to do so, too.
"""

from __future__ import annotations

from spikesim.backends.lava.availability import availability
from spikesim.backends.lava.standalone import lava_network
from spikesim.errors import BackendError, MissingPackageError


def import_lava() -> None:
    """Import Lava, whatever the process did before; this fixes its start method to ``"fork"``.

    Raises
    ------
    MissingPackageError
        If Lava cannot run here.
    BackendError
        If the process uses another start method already, or Lava is not the release that spikesim knows.
    """
    able = availability()
    if not able.ok:
        raise MissingPackageError(able.missing, "Lava", able.remedy)
    try:
        lava_network.import_lava()
    except ImportError as error:
        raise BackendError(f"Lava cannot be imported in this process: {error}") from error
