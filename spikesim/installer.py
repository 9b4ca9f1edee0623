"""Install the packages that pip's resolver refuses beside spikesim: Lava, lava-dl (its netx) and norse.

They work, but their metadata say otherwise, so they are installed without their own dependencies, and what they really
need is installed beside them. :func:`plan` says which pip commands that takes and why; :func:`run` runs them.
"""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from spikesim.errors import SpikesimError, UnknownNameError

NUMPY = "numpy>=2,<2.4"
"""The bound of the base install: parts of Lava hang on numpy 2.4."""
TORCH = "torch>=2.6,<2.14"
"""The bound of every extra that reaches torch (``tests/test_packaging.py`` compares)."""


@dataclass(frozen=True)
class Step:
    """One pip command and the reason for it.

    Parameters
    ----------
    arguments
        What follows ``python -m pip``.
    why
        The reason, one sentence.
    """

    arguments: tuple[str, ...]
    why: str

    def command(self, python: str = sys.executable) -> list[str]:
        """Return the whole command for one interpreter."""
        quiet = ("-qq", "--disable-pip-version-check")  # errors only
        return [python, "-m", "pip", self.arguments[0], *quiet, *self.arguments[1:]]


@dataclass(frozen=True)
class Plan:
    """The commands that install one package.

    Parameters
    ----------
    package
        Name as given to ``spikesim install``.
    steps
        Commands in order.
    notes
        What the user should know afterwards.
    """

    package: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...]


def _lava(python_version: tuple[int, int]) -> Plan:
    flags = ("--no-deps",) if python_version == (3, 10) else ("--no-deps", "--ignore-requires-python")
    pins = "numpy<2 and networkx<=2.8.7"
    asks = pins if python_version == (3, 10) else f"{pins}, and Python 3.10 only"
    return Plan(
        "lava",
        (
            Step(
                ("install", NUMPY, "networkx", "asteval>=0.9.31,<0.10"),
                "what Lava really imports (numpy and scipy belong to spikesim; parts of Lava hang on numpy 2.4)",
            ),
            Step(
                ("install", *flags, "lava-nc==0.10.0"),
                f"lava-nc itself, without its own pins: it asks for {asks}; 0.10.0 is the last release",
            ),
        ),
        (
            "'pip check' will say that lava-nc requires numpy<2, networkx<=2.8.7 and, where it is absent, "
            "scikit-learn (which Lava never imports); that is expected and harmless.",
            "lava-nc also puts a package named 'tests' into site-packages; so do not import your own by that name.",
            "Import Lava through spikesim's backend 'lava': on Python >= 3.11 a plain 'import lava...' fails.",
        ),
    )


def _lava_dl(python_version: tuple[int, int]) -> Plan:
    lava = _lava(python_version)
    flags = lava.steps[-1].arguments[1:-1]
    return Plan(
        "lava-dl",
        (
            *lava.steps,
            Step(("install", TORCH), "torch, which netx imports; lava-dl asks for torch<2.4"),
            Step(("install", *flags, "lava-dl==0.6.0"), "lava-dl itself, without its own pins; the last release"),
        ),
        (
            *lava.notes,
            "Only its netx is used, through spikesim.backends.lava.netx; its slayer also needs opencv and torchvision.",
        ),
    )


def _norse(python_version: tuple[int, int]) -> Plan:
    del python_version  # the same everywhere
    return Plan(
        "norse",
        (
            Step(
                ("install", TORCH, "nir>=1.0.8,<1.1", "nirtorch>=2.6,<3"),
                "what norse really imports, with the bounds of spikesim[interop]",
            ),
            Step(
                ("install", "--no-deps", "norse==1.1.0"),
                "norse itself, without torchvision: that would drag in another torch",
            ),
        ),
        (
            "'pip check' will say that norse requires torchvision; that is expected: only norse's own example tasks "
            "(norse.task) import it.",
        ),
    )


_PLANS: dict[str, Callable[[tuple[int, int]], Plan]] = {"lava": _lava, "lava-dl": _lava_dl, "norse": _norse}


def plan(package: str, python_version: tuple[int, int] | None = None) -> Plan:
    """Say which pip commands install a package.

    Parameters
    ----------
    package
        ``"lava"``, ``"lava-dl"`` or ``"norse"``.
    python_version
        Major and minor version to plan for; the running interpreter's by default.

    Returns
    -------
    Plan
        Commands, reasons and notes. Nothing is run.

    Raises
    ------
    UnknownNameError
        If the package is none of them.

    Examples
    --------
    >>> for step in plan("lava", (3, 12)).steps:
    ...     print(*step.arguments)
    install numpy>=2,<2.4 networkx asteval>=0.9.31,<0.10
    install --no-deps --ignore-requires-python lava-nc==0.10.0
    """
    if package not in _PLANS:
        raise UnknownNameError("package to install", package, list(_PLANS))
    major, minor = python_version or sys.version_info[:2]
    return _PLANS[package]((major, minor))


def run(
    todo: Plan,
    *,
    dry_run: bool = False,
    python: str = sys.executable,
    echo: Callable[[str], object] = print,
) -> None:
    """Run a plan in the environment of one interpreter.

    Parameters
    ----------
    todo
        From :func:`plan`.
    dry_run
        Only say what would be run.
    python
        Interpreter whose environment receives the package.
    echo
        Receives each line of the account.

    Raises
    ------
    SpikesimError
        If pip is missing or a command fails; pip's own words stand above it.
    """
    if python == sys.executable:
        require_pip()
    for number, step in enumerate(todo.steps, start=1):
        echo(f"{todo.package} {number}/{len(todo.steps)}: {step.why}")
        echo(f"    {shlex.join(step.command(python))}")
        if not dry_run:
            _pip(todo.package, step, python)
    for note in todo.notes:
        echo(f"note: {note}")
    echo("dry run: nothing was changed." if dry_run else f"{todo.package} is installed.")


def require_pip() -> None:
    """Raise :class:`SpikesimError` if this interpreter has no pip."""
    if importlib.util.find_spec("pip") is None:
        raise SpikesimError(
            f"{sys.executable} has no pip, which does the installing; run: {sys.executable} -m ensurepip --upgrade"
        )


def _pip(package: str, step: Step, python: str) -> None:
    code = subprocess.run(step.command(python), check=False, stdin=subprocess.DEVNULL).returncode
    if code != 0:
        raise SpikesimError(
            f"{package} was not installed: pip ended with code {code} (its message is above); "
            f"solve that and run again: spikesim install {package}"
        )
