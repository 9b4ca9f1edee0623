"""Pruning plasticity: how well a network recovers from being pruned at once, with and without regrown synapses.

Reference: Liu et al., NeurIPS 2021, arXiv 2106.10404: accuracy after pruning and some more training, minus accuracy
just before pruning. The form here is a reconstruction: the paper's own text was not available.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spikesim.engine import backend
from spikesim.errors import InvalidValueError
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.sparsify.gradual import keep_largest
from spikesim.sparsify.granet import GraNet, Pruner
from spikesim.sparsify.masks import without_masked

if TYPE_CHECKING:
    from spikesim.train.upkeep import Ground


@dataclass(frozen=True)
class OneShot(GraNet):
    """Prune by size before the first batch; swap once after it.

    Parameters
    ----------
    sparsity, score, scope, keep_readout, exempt
        As for :class:`GraNet`.
    swap
        Share of the synapses that is swapped after the first batch; 0: none.
    """

    swap: float = 0.0

    def attend(self, ground: Ground) -> Pruner:
        """Begin with a training."""
        return _Once(self, ground)


class _Once(Pruner):
    """Prunes before the first batch, swaps after it."""

    def __init__(self, plan: OneShot, ground: Ground) -> None:
        fixed = {"start": 0.0, "every": 1, "until": 1.0, "swap_end": plan.swap}
        super().__init__(GraNet(**{**vars(plan), **fixed}), ground)
        weights = {m.name: self.store.weight(m.name) for m in self.store.matrices}
        generator = np.random.default_rng((ground.seed, 0))
        self.store.set(keep_largest(weights, self.masks(), plan.sparsity, generator, plan.scope))

    @property
    def settled(self) -> float:
        """Nothing is pruned while it trains."""
        return 0.0

    def _prune(self, number: int) -> None:
        """Everything was pruned before."""

    def _swap(self, number: int) -> None:
        if number == 1:
            super()._swap(number)


@dataclass(frozen=True, eq=False)
class Plasticity:
    """Accuracies around a pruning.

    Parameters
    ----------
    before, pruned, recovered
        On the test samples: before, right after pruning, and after training on.
    network
        The network in the end.
    """

    before: float
    pruned: float
    recovered: float
    network: Network

    @property
    def value(self) -> float:
        """The plasticity: what is gained over the accuracy before, 0 if all of it comes back."""
        return self.recovered - self.before

    def __str__(self) -> str:
        return (
            f"accuracy {self.before:.1%} before, {self.pruned:.1%} pruned, {self.recovered:.1%} recovered "
            f"(plasticity {self.value:+.1%})"
        )


def pruning_plasticity(
    network: Network,
    data: Any,
    test: Any,
    *,
    rate: float,
    epochs: int,
    regrow: float = 0.0,
    scope: str = "global",
    keep_readout: bool = False,
    **settings: Any,
) -> Plasticity:
    """Prune a network at once, train it on, and compare accuracies.

    Parameters
    ----------
    network
        A network that was trained, wholly or in part.
    data
        Samples to train on, as :func:`spikesim.train.train` takes them.
    test
        ``(x, y)`` to judge on.
    rate
        Share of the weights that is set to 0.
    epochs
        Of training afterwards.
    regrow
        Share of the remaining synapses that is swapped once, by the gradient of the first batch.
    scope, keep_readout
        As for :class:`spikesim.sparsify.GraNet`.
    **settings
        Of training, such as ``seed``, ``steps`` and ``encode``.
    """
    from spikesim.train import evaluate, train

    if not 0.0 <= rate < 1.0:
        raise InvalidValueError(f"rate must be from 0 to below 1, found {rate!r}")

    def accuracy(judged: Network) -> float:
        presented = {k: settings[k] for k in ("steps", "encode", "readout") if k in settings}
        return float(evaluate(judged, *test, **presented).accuracy)

    plan = OneShot(rate, swap=regrow, scope=scope, keep_readout=keep_readout)
    pruned = pruned_at_once(network, rate, scope=scope, keep_readout=keep_readout, seed=settings.get("seed", 0))
    trained = train(network, data, sparsity=plan, epochs=epochs, **settings)
    return Plasticity(accuracy(network), accuracy(pruned), accuracy(trained.network), trained.network)


def pruned_at_once(
    network: Network, rate: float, *, scope: str = "global", keep_readout: bool = False, seed: int = 0
) -> Network:
    """Return a network without its smallest weights, kernels pruned as kernels.

    Parameters
    ----------
    network
        The network.
    rate
        Share of the weights that is set to 0.
    scope, keep_readout
        As for :class:`spikesim.sparsify.GraNet`.
    seed
        Breaks ties.
    """
    import torch

    from spikesim.train.learner import NetworkLearner
    from spikesim.train.readout import Readout
    from spikesim.train.upkeep import Ground

    module = backend("torch").module(lower(network, folded=False), dtype="float64")  # type: ignore[attr-defined]
    last = network.populations[-1]
    learner = NetworkLearner(network, module, network.stimuli[0], Readout("rate", last.name, "", last.n))  # type: ignore[arg-type]
    matrices = learner.matrices()
    ground = Ground(module, matrices, torch.optim.SGD([m.weight for m in matrices]), 1, seed)
    with torch.no_grad():
        masks = OneShot(rate, scope=scope, keep_readout=keep_readout).attend(ground).masks()
    return without_masked(learner.result(), masks)
