"""Learners by name: a table of methods, each a frozen value with plain, documented settings.

>>> sorted(METHODS)
['fine-tune', 'gpm', 'hlop', 'hlop-replay', 'joint', 'replay']
>>> method("hlop", rows=20).rows
20

``method(name, **settings)`` checks the settings; ``.build(network, **training)`` makes the learner. Settings are numbers,
strings, None, and lists or dictionaries of such, so they can be stored in a file and given on a command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

from spikesim.continual.gpm import Gpm
from spikesim.continual.hlop import Hlop, Schedule
from spikesim.continual.learners import FineTune, Joint, Learner, Replay
from spikesim.errors import UnknownNameError
from spikesim.network import Network

Start = Network | Callable[[int], Network]


class Method(Protocol):
    """A way of continual learning, with its settings."""

    told: ClassVar[bool]
    """Whether it only works where the task is told at test time."""

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner.

        Parameters
        ----------
        network
            Where learning starts, or a function that returns it for a seed.
        **training
            Settings of :class:`spikesim.continual.FineTune`, hence of :func:`spikesim.train.train`.
        """


@dataclass(frozen=True)
class FineTuning:
    """Trains on one task after the other and does nothing about forgetting: the lower bound."""

    told: ClassVar[bool] = False

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return FineTune(network, **training)


@dataclass(frozen=True)
class JointTraining:
    """Keeps all samples and trains anew on them for every task: the upper bound."""

    told: ClassVar[bool] = False

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return Joint(network, **training)


@dataclass(frozen=True)
class Replaying:
    """Trains beside samples of old tasks, drawn evenly.

    Parameters
    ----------
    size
        Samples that are kept.
    """

    size: int = 200
    told: ClassVar[bool] = False

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return Replay(network, size=self.size, **training)


@dataclass(frozen=True)
class GpmProjection:
    """Exact subspaces of old activity are protected; see :class:`spikesim.continual.Gpm`.

    Parameters
    ----------
    share
        Share of the squared activity of every task that is protected.
    rows
        So many directions per task and projection instead.
    most
        Rows that are kept for the decomposition of a task.
    """

    share: float = 0.97
    rows: int | None = None
    most: int = 2000
    told: ClassVar[bool] = False

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return FineTune(network, protect=Gpm(self.share, rows=self.rows, most=self.most), **training)


@dataclass(frozen=True)
class HlopProjection:
    """Learned subspaces of old activity are protected; see :class:`spikesim.continual.Hlop`.

    Parameters
    ----------
    rows
        Lateral neurons per task: one number, one per task, or either by projection.
    learning_rate
        Of the lateral weights, of all projections or by projection.
    momentum, iterations, clip, levels, orthonormalise
        See :class:`spikesim.continual.Subspace`.
    """

    rows: Schedule | Mapping[str, Schedule] = 20
    learning_rate: float | Mapping[str, float] = 0.01
    momentum: float = 0.9
    iterations: int = 5
    clip: float = 10.0
    levels: int | None = None
    orthonormalise: bool = False
    told: ClassVar[bool] = False

    def protection(self) -> Hlop:
        """Return the hook of training."""
        return Hlop(
            self.rows, learning_rate=self.learning_rate, momentum=self.momentum, iterations=self.iterations,
            clip=self.clip, levels=self.levels, orthonormalise=self.orthonormalise,
        )  # fmt: skip

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return FineTune(network, protect=self.protection(), **training)


@dataclass(frozen=True)
class HlopWithReplay(HlopProjection):
    """HLOP, and samples of old tasks beside the new ones.

    Parameters
    ----------
    rows, learning_rate, momentum, iterations, clip, levels, orthonormalise
        See :class:`HlopProjection`.
    size
        Samples that are kept.
    """

    size: int = 200

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return Replay(network, size=self.size, protect=self.protection(), **training)


METHODS: dict[str, type[Any]] = {
    "fine-tune": FineTuning,
    "joint": JointTraining,
    "replay": Replaying,
    "gpm": GpmProjection,
    "hlop": HlopProjection,
    "hlop-replay": HlopWithReplay,
}
"""Name to class; a user's own class may be added."""


def method(name: str, **settings: Any) -> Method:
    """Return a way of continual learning by name.

    Parameters
    ----------
    name
        A name in :data:`METHODS`.
    **settings
        Its settings.

    Raises
    ------
    UnknownNameError
        If there is no such method, or it has no such setting.

    Examples
    --------
    >>> method("replay", size=50)
    Replaying(size=50)
    """
    if name not in METHODS:
        raise UnknownNameError("method of continual learning", name, list(METHODS))
    known = [f.name for f in fields(METHODS[name])]
    for setting in settings:
        if setting not in known:
            raise UnknownNameError(f"setting of method {name!r}:", setting, known)
    made: Method = METHODS[name](**settings)
    return made


def methods(told: bool) -> Sequence[str]:
    """Return the names of the methods that a scenario can be learned with.

    Parameters
    ----------
    told
        Whether the scenario tells the task at test time.
    """
    return [name for name, found in METHODS.items() if told or not found.told]
