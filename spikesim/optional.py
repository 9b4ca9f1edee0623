"""Optional packages: whether they are there, and what to run when they are not.

The base install stays small. A function that needs more asks for it here, so the user reads one sentence with the
command instead of a bare ``ModuleNotFoundError``.
"""

from __future__ import annotations

import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import NamedTuple

from spikesim.errors import MissingPackageError, SpikesimError, UnknownNameError


class Package(NamedTuple):
    """Where an optional import name comes from."""

    distribution: str
    """Name under which pip knows it."""
    command: str
    """What the user runs to get it."""


class Availability(NamedTuple):
    """Answer of :func:`available`; unpacks as ``ok, reason``."""

    ok: bool
    """Whether the package is installed."""
    reason: str
    """Distribution and version, or what to run."""


def _extra(distribution: str, extra: str) -> Package:
    return Package(distribution, f"pip install 'spikesim[{extra}]'")


PACKAGES: dict[str, Package] = {
    "torch": _extra("torch", "torch"),
    "snntorch": _extra("snntorch", "interop"),
    "nir": _extra("nir", "interop"),
    "nirtorch": _extra("nirtorch", "interop"),
    "pint": _extra("pint", "analysis"),
    "xarray": _extra("xarray", "analysis"),
    "neo": _extra("neo", "analysis"),
    "quantities": _extra("quantities", "analysis"),
    "tensorboard": _extra("tensorboard", "logs"),
    "gymnasium": _extra("gymnasium", "rl"),
    "triton": Package("triton", "pip install triton (Linux only)"),
    "sklearn": _extra("scikit-learn", "sparsify"),
    "rustworkx": _extra("rustworkx", "sparsify"),
    "norse": Package("norse", "spikesim install norse"),
    "lz4": _extra("lz4", "events"),
    "zstandard": _extra("zstandard", "events"),
    "mpi4py": _extra("mpi4py", "mpi"),
    "distributed": _extra("distributed", "dask"),
    "lava": Package("lava-nc", "spikesim install lava"),
}
"""Every optional package by its import name."""


def _package(name: str) -> Package:
    top = name.partition(".")[0]
    if top not in PACKAGES:
        raise UnknownNameError("optional package", top, list(PACKAGES))
    return PACKAGES[top]


def available(name: str) -> Availability:
    """Tell whether an optional package is installed, without importing it.

    Parameters
    ----------
    name
        Import name, such as ``"torch"``; a submodule stands for its package.

    Returns
    -------
    Availability
        ``(True, "torch 2.13.0")`` or ``(False, "torch is not installed; run: ...")``.

    Raises
    ------
    UnknownNameError
        If the name is not in :data:`PACKAGES`.

    Examples
    --------
    >>> ok, reason = available("lava")
    >>> reason.startswith("lava-nc")
    True
    """
    package = _package(name)
    try:
        found = version(package.distribution)
    except PackageNotFoundError:
        found = ""
    # Metadata alone can be a left-over of a removal, and a folder of the same name on the path has no metadata.
    if not found or importlib.util.find_spec(name.partition(".")[0]) is None:
        return Availability(False, f"{package.distribution} is not installed; run: {package.command}")
    return Availability(True, f"{package.distribution} {found}")


def require(name: str, purpose: str) -> ModuleType:
    """Import an optional package, or say how to get it.

    Parameters
    ----------
    name
        Import name, such as ``"torch"`` or ``"norse.torch"``.
    purpose
        What needs it, as the subject of a sentence: ``"the backend 'torch'"``.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    SpikesimError
        If it is installed but its import fails.
    UnknownNameError
        If the name is not in :data:`PACKAGES`.

    Examples
    --------
    >>> require("torhc", "this example")
    Traceback (most recent call last):
    ...
    spikesim.errors.UnknownNameError: unknown optional package 'torhc'; did you mean 'torch'? ...
    """
    package = _package(name)
    ok, reason = available(name)
    if not ok:
        raise MissingPackageError(package.distribution, purpose, package.command)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SpikesimError(
            f"{purpose} needs {name}; {reason} is installed but cannot be imported ({error}); "
            f"reinstall it: {package.command}"
        ) from error
