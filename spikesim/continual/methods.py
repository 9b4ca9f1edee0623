"""Ways of continual learning as frozen values with plain settings: numbers, strings, None, and lists of such."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol

from spikesim.continual.afec import Afec
from spikesim.continual.clnp import Clnp
from spikesim.continual.ewc import Ewc
from spikesim.continual.gpm import Gpm
from spikesim.continual.hlop import Hlop, Schedule
from spikesim.continual.learners import FineTune, Learner
from spikesim.continual.mas import Mas
from spikesim.continual.metaplastic import Metaplastic
from spikesim.continual.rehearsal import Joint, Replay
from spikesim.continual.si import SynapticIntelligence
from spikesim.continual.single import SingleTask
from spikesim.errors import InvalidValueError, UnknownNameError
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
class SingleTraining:
    """Trains a fresh network on every task: what each task is worth by itself."""

    told: ClassVar[bool] = False

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return SingleTask(network, **training)


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
        Lateral neurons per task: one number, one per task, or either by projection; None for a fifth of the
        dimensions that are still free.
    learning_rate
        Of the lateral weights, of all projections or by projection.
    momentum, iterations, clip, levels, orthonormalise
        See :class:`spikesim.continual.Subspace`.
    """

    rows: Schedule | Mapping[str, Schedule] | None = None
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


@dataclass(frozen=True)
class EwcPenalty:
    """Weights are pulled back by Fisher information; see :class:`spikesim.continual.Ewc`.

    Parameters
    ----------
    strength
        Factor of the pull.
    combine, decay, labels, samples, batch
        See :class:`spikesim.continual.Ewc`.
    """

    strength: float = 100.0
    combine: str = "mean"
    decay: float = 1.0
    labels: str = "given"
    samples: int = 300
    batch: int = 1
    told: ClassVar[bool] = False

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return FineTune(network, penalty=Ewc(**_settings(self)), **training)


@dataclass(frozen=True)
class MasPenalty:
    """Weights are pulled back by how much outputs depend on them; see :class:`spikesim.continual.Mas`.

    Parameters
    ----------
    strength
        Factor of the pull.
    combine, decay, samples, batch
        See :class:`spikesim.continual.Mas`.
    """

    strength: float = 0.1
    combine: str = "sum"
    decay: float = 1.0
    samples: int = 300
    batch: int = 1
    told: ClassVar[bool] = False

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return FineTune(network, penalty=Mas(**_settings(self)), **training)


@dataclass(frozen=True)
class SiPenalty:
    """Weights are pulled back by what they contributed; see :class:`spikesim.continual.SynapticIntelligence`.

    Parameters
    ----------
    strength
        Factor of the pull.
    damping, combine, decay
        See :class:`spikesim.continual.SynapticIntelligence`.
    """

    strength: float = 1.0
    damping: float = 1e-3
    combine: str = "sum"
    decay: float = 1.0
    told: ClassVar[bool] = False

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return FineTune(network, penalty=SynapticIntelligence(**_settings(self)), **training)


@dataclass(frozen=True)
class AfecPenalty:
    """Active forgetting on top of EWC, MAS or SI; see :class:`spikesim.continual.Afec`.

    Parameters
    ----------
    base
        ``"ewc"``, ``"mas"`` or ``"si"``; None for no pull towards old weights.
    settings
        Of the base: those of :class:`EwcPenalty`, ...
    forgetting
        Factor of the pull towards the expanded weights.
    start
        ``"fresh"``, ``"main"`` or ``"continue"``.
    mode
        ``"sequential"`` or ``"interleaved"``.
    replay
        Samples of old tasks that are kept and trained beside; 0 for none.
    """

    base: str | None = "ewc"
    settings: Mapping[str, Any] = field(default_factory=dict)
    forgetting: float = 10.0
    start: str = "fresh"
    mode: str = "sequential"
    replay: int = 0
    told: ClassVar[bool] = False

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        if self.base is not None and self.base not in PENALTIES:
            raise UnknownNameError("base of AFEC:", self.base, list(PENALTIES))
        if self.base is None and self.settings:
            raise InvalidValueError(f"AFEC without a base has no settings of one, found {dict(self.settings)}")
        base = None if self.base is None else PENALTIES[self.base](**self.settings)
        penalty = Afec(base, self.forgetting, start=self.start, mode=self.mode)
        if self.replay:
            return Replay(network, size=self.replay, penalty=penalty, **training)
        return FineTune(network, penalty=penalty, **training)


@dataclass(frozen=True)
class ClnpPruning:
    """Neurons that a task needs are frozen, the others learn the next; see :class:`spikesim.continual.Clnp`.

    Parameters
    ----------
    margin
        Accuracy that may be given up to prune more.
    l1, rate_penalty
        Weights of the sum of absolute weights and of the mean rate.
    samples
        Training samples on which activity and accuracy are measured.
    """

    margin: float = 0.01
    l1: float = 3e-5
    rate_penalty: float = 0.05
    samples: int = 300
    told: ClassVar[bool] = True

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return Clnp(network, **_settings(self), **training)


@dataclass(frozen=True)
class MetaplasticSynapses:
    """Weights of one bit that are the harder to turn, the surer they are; see :class:`spikesim.continual.Metaplastic`.

    Parameters
    ----------
    m
        Metaplasticity; 0 is plain binarised training.
    per
        ``"median"``: ``m`` relative to the hidden weights; ``"weight"``: in ``1 / |h|``.
    spread
        Hidden weights begin within plus and minus this.
    bits, largest
        Hidden weights as counters of so many bits, and where these saturate.
    """

    m: float = 1.0
    per: str = "median"
    spread: float = 0.05
    bits: int | None = None
    largest: float = 0.25
    told: ClassVar[bool] = False

    def build(self, network: Start, **training: Any) -> Learner:
        """Return the learner."""
        return Metaplastic(network, **_settings(self), **training)


def _settings(values: Any) -> dict[str, Any]:
    return {f.name: getattr(values, f.name) for f in fields(values)}


PENALTIES: dict[str, type[Any]] = {"ewc": Ewc, "mas": Mas, "si": SynapticIntelligence}
