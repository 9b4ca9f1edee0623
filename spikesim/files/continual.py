"""Results of continual learning in files, and where a run of it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikesim.files.storage import read_value, write_value

KIND, VERSION = "spikesim continual results", 1
STATE_KIND, STATE_VERSION = "spikesim continual run", 1


@dataclass(frozen=True, eq=False)
class ContinualRun:
    """One learner in one scenario.

    Parameters
    ----------
    scenario, learner
        Their names, for people.
    method
        Name of the method.
    seed
        Of the learner.
    arrays
        The accuracy matrix and what else :class:`spikesim.continual.Result` holds, by name.
    about
        Settings and versions, plain values.
    """

    scenario: str
    learner: str
    method: str
    seed: int
    arrays: Mapping[str, Any]
    about: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ContinualResults:
    """Runs of several methods and seeds.

    Parameters
    ----------
    about
        What they have in common: scenario, network, training; plain values.
    runs
        In the order in which they ended.
    """

    about: Mapping[str, Any]
    runs: tuple[ContinualRun, ...]


@dataclass(frozen=True, eq=False)
class ContinualState:
    """A run between two tasks.

    Parameters
    ----------
    identity
        What decides the numbers, and must be the same when it goes on.
    arrays
        As in :class:`ContinualRun`, of the tasks that are done.
    learner
        Of :func:`spikesim.continual.state.state_of`.
    """

    identity: Mapping[str, Any]
    arrays: Mapping[str, Any]
    learner: Mapping[str, Any]


def save_results(results: ContinualResults, path: str | Path) -> None:
    """Write results; the file before stays until this one is whole."""
    write_value(results, path, KIND, VERSION)


def load_results(path: str | Path) -> ContinualResults:
    """Read results.

    Raises
    ------
    MissingFileError, FileAccessError
        If the file cannot be read.
    FileFormatError
        If it is foreign, damaged, truncated or newer.
    """
    return read_value(path, KIND, VERSION, ContinualResults)


def save_state(state: ContinualState, path: str | Path) -> None:
    """Write where a run stands; the state before stays until this one is whole."""
    write_value(state, path, STATE_KIND, STATE_VERSION)


def load_state(path: str | Path) -> ContinualState:
    """Read where a run stands; raises as :func:`load_results`."""
    return read_value(path, STATE_KIND, STATE_VERSION, ContinualState)
