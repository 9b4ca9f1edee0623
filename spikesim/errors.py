"""The exception tree.

::

    SpikesimError
    ├── InvalidValueError (ValueError)      a number, a shape, a name that cannot be
    │   ├── NetworkError                    a network that cannot be built; lists all problems
    │   └── DeviceLimitError                a network that a device cannot hold; lists all limits
    ├── UnknownNameError (LookupError)      a name that is not known; says the nearest one that is
    ├── FileFormatError (ValueError)        a damaged or foreign file
    ├── FileAccessError (OSError)           a file that cannot be written, or must not be overwritten
    │   └── MissingFileError (FileNotFoundError)   a file that is not there
    ├── UnsupportedError (TypeError)        a backend or format cannot express the network; lists all reasons
    ├── MissingPackageError (ImportError)   an optional package is absent; says the command that installs it
    ├── MissingDataError (FileNotFoundError) a data set is not on this machine; says where it was looked for
    └── BackendError (RuntimeError)         an engine failed while running

Every message says what, what was found, what is allowed, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class SpikesimError(Exception):
    """Base of everything that spikesim raises on purpose."""


class InvalidValueError(SpikesimError, ValueError):
    """A value that cannot be used."""


class DivergedError(InvalidValueError):
    """An iteration has grown beyond all bounds from the values that it was given."""


class ProblemList(SpikesimError):
    """An error that lists every problem found, not only the first.

    Parameters
    ----------
    problems
        One sentence each.
    heading
        The line above them, used when there is more than one problem.
    """

    def __init__(self, problems: Iterable[str], heading: str = "") -> None:
        self.problems = list(problems)
        lines = self.problems if len(self.problems) == 1 else [f"- {p}" for p in self.problems]
        if heading and len(self.problems) > 1:
            lines = [heading, *lines]
        super().__init__("\n".join(lines))


class NetworkError(ProblemList, InvalidValueError):
    """A network that cannot be built."""


class DeviceLimitError(ProblemList, InvalidValueError):
    """A network that a device cannot hold."""


class FileFormatError(SpikesimError, ValueError):
    """A file that is damaged, foreign, or from a newer version."""


class FileAccessError(SpikesimError, OSError):
    """A file that cannot be read or written, or that must not be overwritten."""


class MissingFileError(FileAccessError, FileNotFoundError):
    """A file that is not there."""


class UnsupportedError(ProblemList, TypeError):
    """A backend or a file format that cannot express the network."""


class BackendError(SpikesimError, RuntimeError):
    """An engine that failed while running."""


class UnknownNameError(SpikesimError, LookupError):
    """A name that is not known.

    Parameters
    ----------
    kind
        What is named: ``"neuron model"``, ``"backend"``, ...
    name
        The name that was given.
    known
        The names that exist.
    """

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        self.kind, self.name, self.known = kind, name, list(known)
        near = difflib.get_close_matches(str(name), self.known, n=1)
        hint = f"; did you mean {near[0]!r}? Known: " if near else "; known: "
        super().__init__(f"unknown {kind} {name!r}{hint}{', '.join(sorted(self.known)) or 'none'}")


class MissingPackageError(SpikesimError, ImportError):
    """An optional package that is not installed.

    Parameters
    ----------
    package
        The package that is missing.
    purpose
        What needs it.
    command
        The command that installs it.
    """

    def __init__(self, package: str, purpose: str, command: str) -> None:
        self.package, self.command = package, command
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed; run: {command}")


class MissingDataError(SpikesimError, FileNotFoundError):
    """A data set that is not on this machine.

    Parameters
    ----------
    name
        The data set.
    looked_in
        The folders that were searched.
    remedy
        What to do about it.
    """

    def __init__(self, name: str, looked_in: Sequence[str], remedy: str) -> None:
        self.name, self.looked_in = name, list(looked_in)
        super().__init__(f"the files of the data set {name!r} are in none of {', '.join(looked_in)}; {remedy}")
