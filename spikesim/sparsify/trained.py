"""Prune a network while it is trained on from its weights, by GraNet's schedule, and report as for finished ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spikesim.errors import InvalidValueError
from spikesim.network import Network
from spikesim.sparsify.granet import GraNet, Pruner
from spikesim.sparsify.linear import LinearModel, linearise
from spikesim.sparsify.report import PruneReport, Round, make_report, notes_on

if TYPE_CHECKING:
    from spikesim.train.upkeep import Ground

NEEDS = (
    "granet prunes a network while it is trained, so it needs samples with labels: pass data= in Python, --data on the "
    "command line; a reservoir, of which the read-out alone learns, is pruned by lnp, noise or another method"
)


@dataclass(frozen=True)
class Only:
    """GraNet on some projections; other learned ones stay as dense as they are and do not count.

    Parameters
    ----------
    plan
        The schedule.
    projections
        Their names.
    """

    plan: GraNet
    projections: tuple[str, ...]

    def attend(self, ground: Ground) -> Pruner:
        """Begin with a training."""
        learned = dict.fromkeys(m.name.partition("/")[0] for m in ground.matrices)
        others = tuple(name for name in learned if name not in self.projections)
        return replace(self.plan, exempt=others).attend(ground)


def pruned_in_training(
    network: Network, projections: Sequence[str], keep: float, seed: int, data: Any, training: Mapping[str, Any]
) -> tuple[Network, PruneReport]:
    """Train a network on while synapses are removed and swapped.

    Parameters
    ----------
    network
        Its weights are where training starts.
    projections
        Those that are pruned.
    keep
        Share of their weights that is left.
    seed
        Of training and of the noise of the report.
    data
        Samples to train on, as :func:`spikesim.train.train` takes them.
    training
        Its other settings.

    Raises
    ------
    InvalidValueError
        If there is no data, or training cannot be done.
    """
    if data is None:
        raise InvalidValueError(NEEDS)
    if wrong := sorted({"sparsity", "seed"} & set(training)):
        raise InvalidValueError(f"training cannot hold {' and '.join(wrong)}: prune has arguments of its own for that")
    from spikesim.train import train

    first = _present(linearise(network, projections, seed=seed))
    plan = Only(GraNet(1.0 - keep), tuple(projections))
    trained = train(network, data, sparsity=plan, seed=seed, **training)
    after = _present(linearise(trained.network, projections, noise=first.noise, seed=seed))
    notes = [f"trained for {len(trained.history)} epochs: {trained.history[-1].figures()}"] if trained.history else []
    notes += notes_on(network, projections, first, trained.network, after)
    entry = Round(sum(p.n for p in network.populations), len(after.pre), 1.0, None, 0.0)
    everyone = np.ones(first.n, bool)
    report = make_report(network, trained.network, "granet", seed, first, after, everyone, [entry], None, notes)
    return trained.network, report


def _present(model: LinearModel) -> LinearModel:
    """Return the system without synapses of weight 0, which kernels keep."""
    return model.rewired({name: s.only(s.weight != 0.0) for name, s in model.synapses.items()})
