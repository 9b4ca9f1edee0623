"""lava-dl's own netx: load a file as live Lava processes, without the rest of lava-dl."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from spikesim.backends.lava.shims import import_lava
from spikesim.errors import MissingFileError, MissingPackageError, UnsupportedError

REMEDY = "spikesim install lava-dl"


def netx_available() -> bool:
    """Tell whether lava-dl is installed, without importing it."""
    return find_spec("lava") is not None and find_spec("lava.lib") is not None and find_spec("lava.lib.dl") is not None


def load_netx(path: str | Path, **options: Any) -> Any:
    """Load a netx file with lava-dl 0.6.0.

    Parameters
    ----------
    path
        The file.
    **options
        As for ``lava.lib.dl.netx.hdf5.Network``.

    Returns
    -------
    lava.lib.dl.netx.hdf5.Network
        Live processes, with ``inp``, ``out`` and ``layers``.

    Raises
    ------
    MissingPackageError, MissingFileError
        If Lava, lava-dl or the file is not there.

    Notes
    -----
    netx takes one function from lava-dl's training library, which drags in opencv and torchvision: the parameters of
    resonators. A stand-in for the three modules on the way to it is enough for every other neuron.
    """
    if not Path(path).is_file():
        raise MissingFileError(f"there is no file {str(path)!r}")
    import_lava()
    if not netx_available():
        raise MissingPackageError("lava-dl", "loading a netx file in Lava", REMEDY)
    _stand_in_for_slayer()
    from lava.lib.dl.netx.hdf5 import Network

    return Network(net_config=str(path), **options)


def _stand_in_for_slayer() -> None:
    name = "lava.lib.dl.slayer"
    for part in ("", ".neuron", ".rf"):
        name += part
        if name not in sys.modules:
            module = ModuleType(name)
            module.__path__ = []
            sys.modules[name] = module
    sys.modules[name].__dict__.setdefault("neuron_params", _no_resonators)


def _no_resonators(*given: Any) -> Any:
    raise UnsupportedError(["layers of resonators need lava-dl's slayer; spikesim writes none"])
